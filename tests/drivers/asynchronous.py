"""The part of an adapter that asyncio drivers share: a loop of its own for each connection."""

from __future__ import annotations

import asyncio
import selectors
import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar

from dbmesh.sandbox.process import wait_until
from tests.drivers.adapter import Answer, Client, Row

T = TypeVar("T")


class AsyncClient(Client):
    """``opening`` makes the awaitable that connects; ``streaming`` is the driver's unbuffered cursor."""

    def __init__(self, opening: Callable[[], Awaitable[Any]], streaming: type) -> None:
        self._selector = selectors.DefaultSelector()
        self._runner = asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(self._selector))
        self._streaming = streaming
        try:
            self.connection = self._run(_awaited(opening))
        except BaseException:
            self._runner.close()
            raise

    def _run(self, work: Any) -> Any:
        return self._runner.run(work)

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Answer:
        return self._run(self._execute(sql.replace("?", "%s"), tuple(parameters) or None))

    async def _execute(self, sql: str, parameters: tuple[Any, ...] | None) -> Answer:
        async with self.connection.cursor() as cursor:
            await cursor.execute(sql, parameters)
            if cursor.description is None:
                return Answer((), (), cursor.rowcount, cursor.lastrowid)
            columns = tuple((column[0], column[1], column[6]) for column in cursor.description)
            return Answer(columns, [tuple(row) for row in await cursor.fetchall()], cursor.rowcount)

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        async def run() -> None:
            async with self.connection.cursor() as cursor:
                await cursor.executemany(sql.replace("?", "%s"), [tuple(row) for row in rows])

        self._run(run())

    def stream(self, sql: str) -> Iterator[Row]:
        opening = self.connection.cursor(self._streaming)
        cursor = self._run(opening.__aenter__())
        self._run(cursor.execute(sql))
        while rows := self._run(cursor.fetchmany(1000)):
            yield from rows
        self._run(opening.__aexit__(None, None, None))

    def begin(self) -> None:
        self._run(self.connection.begin())

    def commit(self) -> None:
        self._run(self.connection.commit())

    def rollback(self) -> None:
        self._run(self.connection.rollback())

    def close(self) -> None:
        self._run(self.connection.ensure_closed())
        wait_until(self._all_closed, 10, lambda: "the driver's socket stays open")
        self._runner.close()

    def _all_closed(self) -> bool:
        """The drivers do not wait until the loop has closed their sockets; one that stays is the loop's own."""
        self._run(asyncio.sleep(0))
        return len(self._selector.get_map()) == 1


async def _awaited(opening: Callable[[], Awaitable[T]]) -> T:
    return await opening()


def unverified() -> ssl.SSLContext:
    """TLS without a check of the certificate, as the mesh's is its own."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
