"""Reads a server's answer to COM_STMT_PREPARE, with the face of `result_reader.ResultReader`."""

from __future__ import annotations

from dbmesh.protocol.failures import ProtocolError
from dbmesh.protocol.framing import Framer
from dbmesh.protocol.response import Err, Ok, parse_err
from dbmesh.protocol.resultset import ColumnDefinition

_UNLIMITED = 1 << 40


class PrepareReader:
    """At the end either ``err`` is set, or ``statement``, the server's number, and both lists of definitions."""

    __slots__ = ("_eofs", "_framer", "_left", "buffered", "columns", "err", "ok", "parameters", "rows", "set_ended",
                 "statement")  # fmt: skip

    def __init__(self, deprecate_eof: bool, sequence: int) -> None:
        self._framer = Framer(_UNLIMITED, expected=sequence)
        self._eofs = 0 if deprecate_eof else 1
        self._left: list[list[ColumnDefinition] | None] = []  # where each of the packets still to come belongs
        self.statement = 0
        self.parameters: list[ColumnDefinition] = []
        self.columns: list[ColumnDefinition] | None = None
        self.rows: list[bytes] = []
        self.buffered = 0
        self.ok: Ok | None = None
        self.err: Err | None = None
        self.set_ended = False

    @property
    def ended(self) -> bool:
        return self.set_ended

    @property
    def surplus(self) -> int:
        return self._framer.buffered

    def feed(self, chunk: bytes) -> None:
        """Raises ProtocolError for bytes that are no such answer."""
        self._framer.feed(chunk)
        while not self.set_ended and (payload := self._framer.next()) is not None:
            if payload[:1] == b"\xff":
                self.err = parse_err(payload)
                self.set_ended = True
            elif self.columns is None:
                self._take_first(payload)
            else:
                self._take_definition(payload)
            if self.columns is not None and not self._left:
                self.set_ended = True

    def _take_first(self, payload: bytes) -> None:
        if len(payload) < 12 or payload[0]:
            raise ProtocolError()
        self.statement = int.from_bytes(payload[1:5], "little")
        columns = self.columns = []
        for kept, at in ((columns, 5), (self.parameters, 7)):
            count = payload[at] | payload[at + 1] << 8
            if count:
                self._left += [None] * self._eofs
                self._left += [kept] * count

    def _take_definition(self, payload: bytes) -> None:
        kept = self._left.pop()
        if kept is not None:
            kept.append(ColumnDefinition.parse(payload))
        elif payload[0] != 0xFE or len(payload) != 5:
            raise ProtocolError()
