"""Ends the work that a server still does for a connection we have left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from dbmesh.backend.connection import Connection
from dbmesh.backend.failures import Unreachable
from dbmesh.errors import MeshError

_ATTEMPTS = 3


class Killer:
    """One task per data source and burst: it dials once and kills all that has been left by then."""

    def __init__(self, dial: Callable[[str], Awaitable[Connection]]) -> None:
        self._dial = dial
        self._left: dict[str, list[str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.failed = 0

    def kill(self, connection: Connection) -> None:
        """The connection's thread ends with its query: nobody will read its answer."""
        self._send(connection, f"KILL {connection.thread_id}")

    def interrupt(self, connection: Connection) -> None:
        """The query ends with ERR 1317, the connection lives on."""
        self._send(connection, f"KILL QUERY {connection.thread_id}")

    def _send(self, connection: Connection, statement: str) -> None:
        left = self._left.get(connection.data_source)
        if left is not None:
            left.append(statement)
            return
        self._left[connection.data_source] = [statement]
        task = asyncio.get_running_loop().create_task(self._run(connection.data_source))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait until all is killed."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _run(self, data_source: str) -> None:
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(Unreachable),
                stop=stop_after_attempt(_ATTEMPTS),
                wait=wait_random_exponential(multiplier=0.05, max=0.5),
                reraise=True,
            ):
                with attempt:
                    control = await self._dial(data_source)
        except MeshError:
            # A server that cannot be reached has nothing that could be killed from here; it notices the closed socket.
            self.failed += len(self._left.pop(data_source))
            return
        try:
            await self._kill_all(control, self._left[data_source])
        finally:
            self._left.pop(data_source, None)
            control.close()

    async def _kill_all(self, control: Connection, left: list[str]) -> None:
        while left:
            try:
                await control.execute(left.pop(0), time_limit=5)
            except MeshError:
                self.failed += control.closed  # else: unknown thread id, it has ended by itself
                if control.closed:
                    return
