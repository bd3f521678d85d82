"""Row streams of a scattered SELECT: one lane per backend connection, several route units may share a lane.

The first unit of every lane starts at once, so the servers work side by side. When the merge asks for a unit whose
lane is still busy with another, the rest of that one is spooled to a temporary file: memory stays bounded.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from typing import IO

from dbmesh.backend.connection import Connection, Request
from dbmesh.backend.row_stream import RowStream
from dbmesh.engine.caller import Caller, WarningRow
from dbmesh.errors import BackendError, MeshError
from dbmesh.plan.model import RouteUnit
from dbmesh.protocol.resultset import ColumnDefinition

SPOOL_MEMORY = 1 << 20  # bytes of a spooled stream that stay in memory
SPOOL_BATCH = 1 << 16  # bytes read back at a time
MOST_WARNINGS = 64  # are kept, as max_error_count has it
LEFTOVER_BATCHES = 16  # read to the end after a LIMIT rather than lose the connection


class UnitStream:
    """The rows of one route unit: live from its lane's connection, or from the spool."""

    def __init__(self, lane: Lane, unit: RouteUnit) -> None:
        self.unit = unit
        self._lane = lane
        self._live: RowStream | None = None
        self._spool: IO[bytes] | None = None
        self.ended = False

    @property
    def columns(self) -> list[ColumnDefinition] | None:
        """None until the unit's query has been sent."""
        return None if self._live is None else self._live.columns

    async def start(self, request: Request) -> None:
        self._live = await self._lane.connection.stream(request)

    async def next_batch(self) -> list[bytes] | None:
        """Row payloads, or None after the last."""
        if self._spool is not None:
            return self._read_spool(self._spool)
        await self._lane.activate(self)
        return await self._next_live()

    async def _next_live(self) -> list[bytes] | None:
        assert self._live is not None
        try:
            batch = await self._live.next_batch()
        except BackendError:
            self.ended = True
            raise
        if batch is None:
            self.ended = True
            await self._lane.note_warnings(self._live.warnings)
        return batch

    async def spool(self) -> None:
        """Move the rest of the rows out of the connection's way."""
        spool = tempfile.SpooledTemporaryFile(max_size=SPOOL_MEMORY)  # noqa: SIM115 - closed with the stream
        while (batch := await self._next_live()) is not None:
            spool.writelines(len(row).to_bytes(4, "little") + row for row in batch)
        spool.seek(0)
        self._spool = spool

    def _read_spool(self, spool: IO[bytes]) -> list[bytes] | None:
        rows: list[bytes] = []
        size = 0
        while size < SPOOL_BATCH and (header := spool.read(4)):
            rows.append(spool.read(int.from_bytes(header, "little")))
            size += len(rows[-1])
        return rows or None

    async def finish(self, limit: int | None) -> bool:
        """Read and forget what is left, at most ``limit`` batches; False when there was more."""
        if self._spool is not None:
            self._spool.close()
        read = 0
        while self._live is not None and not self.ended:
            if limit is not None and read >= limit:
                return False
            await self._next_live()
            read += 1
        return True

    def abandon(self) -> None:
        if self._spool is not None:
            self._spool.close()
        if self._live is not None and not self.ended:
            self._live.close()


class Lane:
    """One connection and the route units that run on it, one at a time, in the order they are asked for."""

    def __init__(self, connection: Connection, caller: Caller) -> None:
        self.connection = connection
        self.streams: list[UnitStream] = []
        self.warnings = 0
        self.warning_rows: list[WarningRow] = []
        self._caller = caller
        self._active: UnitStream | None = None

    def add(self, unit: RouteUnit) -> UnitStream:
        self.streams.append(UnitStream(self, unit))
        return self.streams[-1]

    async def activate(self, stream: UnitStream) -> None:
        """Let the stream's query run on the connection, after the one that runs there has been spooled."""
        if self._active is stream:
            return
        if self._active is not None and not self._active.ended:
            await self._active.spool()
        self._active = stream
        await stream.start(self._caller.request(stream.unit.sql))

    async def note_warnings(self, number: int) -> None:
        """After a unit's last row: the next one on this connection would make its server forget them."""
        self.warnings += number
        if number and len(self.warning_rows) < MOST_WARNINGS:
            self.warning_rows += await self.connection.warnings()

    async def finish(self, limit: int | None) -> bool:
        """True when the connection is clean and can serve others."""
        clean = True
        for stream in self.streams:
            try:
                clean = await stream.finish(limit) and clean
            except BackendError:
                continue  # that ends the stream as well as its last row
            except MeshError:
                clean = False
        return clean and not self.connection.closed

    def abandon(self) -> None:
        for stream in self.streams:
            stream.abandon()


async def start(lanes: Sequence[Lane], *, whole: bool) -> None:
    """Send the first query of every lane; the first error ends all.

    ``whole``: all are waited for, for a transaction's connections that must not be lost to another server's error.
    """
    tasks = [asyncio.ensure_future(lane.activate(lane.streams[0])) for lane in lanes]
    try:
        if whole:
            await asyncio.wait(tasks)
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
