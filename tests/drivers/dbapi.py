"""The part of an adapter that all drivers of Python's DB-API (PEP 249) share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

from tests.drivers.adapter import Answer, Client, Row


class DbApiClient(Client):
    """A client over a DB-API connection whose parameters are ``%s``."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def cursor(self) -> Any:
        return self.connection.cursor()

    def streaming_cursor(self) -> Any:
        return self.cursor()

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Answer:
        with closing(self.cursor()) as cursor:
            cursor.execute(sql.replace("?", "%s"), tuple(parameters) or None)
            return answer(cursor)

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        with closing(self.cursor()) as cursor:
            cursor.executemany(sql.replace("?", "%s"), [tuple(row) for row in rows])

    def stream(self, sql: str) -> Iterator[Row]:
        with closing(self.streaming_cursor()) as cursor:
            cursor.execute(sql)
            while rows := cursor.fetchmany(1000):
                yield from rows

    def commit(self) -> None:
        self.connection.commit()

    def rollback(self) -> None:
        self.connection.rollback()

    def close(self) -> None:
        self.connection.close()


def answer(cursor: Any) -> Answer:
    """What a cursor holds after execute."""
    if cursor.description is None:
        return Answer((), (), cursor.rowcount, cursor.lastrowid)
    columns = tuple((column[0], column[1], column[6]) for column in cursor.description)
    return Answer(columns, [tuple(row) for row in cursor.fetchall()], cursor.rowcount)
