"""Merges run by hand: streams given as lists, and streams asked from a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest
from pymysql.connections import Connection

from dbmesh.merge import Columns, Evaluate, MergeSpec, Need, Rows, merged
from dbmesh.protocol import ColumnDefinition, decode_text_row, encode_text_row
from dbmesh.sandbox import Server

Row = tuple[bytes | None, ...]
Stream = tuple[Sequence[ColumnDefinition], Sequence[Row]]


@dataclass
class Answer:
    """A decoded result, of a server or of a merge."""

    columns: list[ColumnDefinition]
    rows: list[Row]


@dataclass
class MergeRun:
    """Runs merges; remembers the SQL that it evaluated and the rows it was asked for."""

    evaluate: Callable[[str], Answer] | None = None
    batch: int = 3
    asked: list[str] = field(default_factory=list)
    needs: list[int] = field(default_factory=list)

    def __call__(self, spec: MergeSpec, *streams: Stream) -> Answer:
        left = [[encode_text_row(row) for row in rows] for _, rows in streams]
        result: Answer | None = None
        steps = merged(spec, [columns for columns, _ in streams])
        reply: Any = None
        while True:
            try:
                event = steps.send(reply)
            except StopIteration:
                break
            reply = None
            match event:
                case Need(stream):
                    self.needs.append(stream)
                    reply = left[stream][: self.batch] or None
                    del left[stream][: self.batch]
                case Evaluate(sql):
                    assert self.evaluate is not None
                    self.asked.append(sql)
                    reply = self.evaluate(sql)
                case Columns(columns):
                    assert result is None
                    result = Answer(columns, [])
                case Rows(rows):
                    assert rows
                    assert result is not None
                    result.rows += [tuple(decode_text_row(row)) for row in rows]
        assert result is not None
        return result


@pytest.fixture
def run_merge() -> MergeRun:
    return MergeRun()


class Asker:
    """Asks a server and keeps what it sends as it sends it."""

    def __init__(self, connection: Connection[Any]) -> None:
        self.connection = connection

    def __call__(self, sql: str) -> Answer:
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            result: Any = cursor._result
            columns = [
                ColumnDefinition(
                    f.name.encode(), f.type_code, f.charsetnr, f.length, f.flags, f.scale,
                    f.db, f.table_name, f.org_table, f.org_name.encode(),
                )
                for f in result.fields or ()
            ]  # fmt: skip
            rows = [tuple(v.encode() if isinstance(v, str) else v for v in row) for row in cursor.fetchall()]
        return Answer(columns, rows)

    def do(self, *statements: str) -> None:
        with self.connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


@pytest.fixture(scope="session")
def merge_schema(plain_server: Server) -> Iterator[str]:
    """Stays empty: the tests make temporary tables, which are quick and end with their connection."""
    plain_server.script(["DROP DATABASE IF EXISTS merge_unit", "CREATE DATABASE merge_unit"])
    yield "merge_unit"
    plain_server.script(["DROP DATABASE merge_unit"])


@pytest.fixture
def ask(plain_server: Server, merge_schema: str) -> Iterator[Asker]:
    raw: dict[Any, Any] = {str: lambda value, _=None: f"'{value}'"}
    with closing(plain_server.connection(merge_schema, conv=raw, autocommit=None)) as connection:
        yield Asker(connection)
