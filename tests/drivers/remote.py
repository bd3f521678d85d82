"""Drivers of other languages: one program per language, which is told what to do by lines of JSON.

Requests: ``{"do": ..., "on": number of the connection, ...}``, where do is connect, execute, prepared, stream, begin,
commit, rollback or close. Parameters: ``{"int": "5"}``, ``{"text": ...}``, ``{"bytes": hex}``, or
``{"cell": [answer, row, column]}``, a value that the driver has read before and writes as it is.

Replies: ``{"answer": number, "columns", "rows": [[[type, text], ...]], "affected", "id"}``;
``{"error": {"kind", "errno", "sqlstate", "text"}}``; for a stream ``{"ids": [...]}`` while there are rows, then ``{}``.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dbmesh.sandbox.endpoint import Endpoint
from tests.drivers.adapter import Answer, Client, Failure, Row


class RemoteError(Exception):
    """What the driver said: the kind of its exception, and the server's error if it tells one."""


class Cell:
    """A value as its own language shows it."""

    def __init__(self, kind: str, text: str, place: tuple[int, int, int]) -> None:
        self.kind, self.text, self.place = kind, text, place

    def __repr__(self) -> str:
        return f"{self.kind} {self.text}"

    def __int__(self) -> int:
        return int(self.text)

    def __bytes__(self) -> bytes:
        return bytes.fromhex(self.text)


@dataclass
class Program:
    """A language's program, which runs as long as connections are open.

    ``command``: builds it and says how to run it.
    """

    command: Callable[[], Sequence[str]]
    connections: int = 0
    last: int = 0

    @cached_property
    def line(self) -> Sequence[str]:
        return self.command()

    def open(self) -> int:
        if not self.connections:
            self.process = subprocess.Popen(
                self.line,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="surrogatepass",
            )
        self.connections += 1
        self.last += 1
        return self.last

    def close(self) -> None:
        self.connections -= 1
        if not self.connections:
            self.process.communicate(timeout=20)

    def send(self, **request: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the driver's program has ended"
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise RemoteError(reply["error"])
        return reply


class RemoteClient(Client):
    def __init__(self, program: Program, endpoint: Endpoint, database: str, tls: bool) -> None:
        self.program = program
        self.number = program.open()
        try:
            self._ask("connect", **endpoint.address(), database=database, tls=tls)
        except BaseException:
            program.close()
            raise

    def _ask(self, what: str, **details: Any) -> dict[str, Any]:
        self.program.send(do=what, on=self.number, **details)
        return self.program.receive()

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Answer:
        return self._answer("execute", sql, parameters)

    def execute_prepared(self, sql: str, rows: Sequence[Sequence[Any]]) -> list[Answer]:
        return [self._answer("prepared", sql, row) for row in rows]

    def _answer(self, what: str, sql: str, parameters: Sequence[Any]) -> Answer:
        reply = self._ask(what, sql=sql, parameters=[_written(value) for value in parameters])
        rows = [
            tuple(Cell(kind, text, (reply["answer"], at, n)) for n, (kind, text) in enumerate(row))
            for at, row in enumerate(reply.get("rows", ()))
        ]
        columns = tuple(map(tuple, reply.get("columns", ())))
        return Answer(columns, rows, reply.get("affected"), reply.get("id"))

    def stream(self, sql: str) -> Iterator[Row]:
        reply = self._ask("stream", sql=sql)
        while "ids" in reply:
            yield from ((number,) for number in reply["ids"])
            reply = self.program.receive()

    def begin(self) -> None:
        self._ask("begin")

    def commit(self) -> None:
        self._ask("commit")

    def rollback(self) -> None:
        self._ask("rollback")

    def tls_version(self) -> str | None:
        [[_, version]] = self.execute("SHOW STATUS LIKE 'Ssl_version'").rows
        return version.text or None

    def close(self) -> None:
        try:
            self._ask("close")
        finally:
            self.program.close()


def _written(value: Any) -> dict[str, Any]:
    if isinstance(value, Cell):
        return {"cell": value.place}
    if isinstance(value, int):
        return {"int": str(value)}
    return {"text": value} if isinstance(value, str) else {"bytes": bytes(value).hex()}


def failure(error: Exception) -> Failure | None:
    if not isinstance(error, RemoteError) or not error.args[0].get("errno"):
        return None
    told = error.args[0]
    return Failure(told["kind"], told["errno"], told["sqlstate"])
