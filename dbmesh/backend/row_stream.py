"""The rows of a backend's answer, taken as they come."""

from __future__ import annotations

from typing import Protocol

from dbmesh.errors import BackendError
from dbmesh.protocol.binary import RowCodec
from dbmesh.protocol.response import Err
from dbmesh.protocol.result_reader import ResultReader
from dbmesh.protocol.resultset import ColumnDefinition


class Source(Protocol):
    """The connection that the rows come from."""

    async def more(self, reader: ResultReader) -> None:
        """Wait for more of the reader's response. Raises BackendLost."""

    def error(self, err: Err) -> BackendError: ...

    def settle(self, reader: ResultReader) -> None:
        """When the whole response has come, be idle."""

    def resume_reading(self) -> None: ...

    def abandon(self) -> None: ...


class RowStream:
    """The rows of one statement as they come. At most `connection.HIGH_WATER` bytes and one chunk wait in it.

    ``columns`` is empty when the statement gave no result set; ``status`` and ``warnings`` are true after the end.
    """

    __slots__ = ("_source", "codec", "columns", "reader", "status", "warnings")

    def __init__(self, source: Source, reader: ResultReader) -> None:
        self._source = source
        self.codec: RowCodec | None = None  # of binary rows
        self.reader = reader
        self.columns: list[ColumnDefinition] = []
        self.status = 0
        self.warnings = 0

    async def started(self) -> None:
        """Wait for the columns. Raises BackendError, BackendLost."""
        reader = self.reader
        while reader.columns is None and not reader.set_ended:
            await self._source.more(reader)
        self.columns = reader.columns or []
        if reader.err is not None and not reader.rows:
            raise self._source.error(reader.err)

    async def next_batch(self) -> list[bytes] | None:
        """The payloads of the rows that have come since, at least one; None after the last. Errors as `started`."""
        reader = self.reader
        while not reader.rows:
            if reader.set_ended:
                self._finish()
                return None
            await self._source.more(reader)
        rows = reader.take_rows()
        if not reader.ended:
            self._source.resume_reading()
        return rows if self.codec is None else list(map(self.codec.to_text, rows))

    async def next_set(self) -> None:
        """Go on with the next result of a procedure; returns as `started` does."""
        self.reader.next_set()
        self._source.settle(self.reader)
        await self.started()
        if self.codec is not None:
            self.codec = RowCodec(self.columns)

    def _finish(self) -> None:
        if self.reader.err is not None:
            raise self._source.error(self.reader.err)
        assert self.reader.ok is not None
        self.status = self.reader.ok.status
        self.warnings = self.reader.ok.warnings

    def close(self) -> None:
        """Forget the rest. Unless all of it had come, the connection is lost with it and the server's work ends."""
        if not self.reader.ended:
            self._source.abandon()
