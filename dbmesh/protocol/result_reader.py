"""Reads one command's response packet by packet: columns and row payloads, for those who look at rows.

``tracker`` is its sibling for those who only pass bytes on.
"""

from __future__ import annotations

from dbmesh.protocol.constants import MAX_PAYLOAD, Status
from dbmesh.protocol.failures import ProtocolError
from dbmesh.protocol.framing import Framer
from dbmesh.protocol.lenenc import read_int
from dbmesh.protocol.response import Err, Ok, parse_end_of_rows, parse_err, parse_ok
from dbmesh.protocol.resultset import ColumnDefinition

_UNLIMITED = 1 << 40


class ResultReader:
    """Fed with chunks; collects the columns, the row payloads since the last ``take_rows``, and the end.

    ``columns`` is None until all of them are there, and stays None for a response without a result set. At the end
    ``ended`` is True and one of ``ok`` and ``err`` is set. Of several result sets (``more_results``) each ends with
    ``set_ended``; call ``next_set`` to go on with the bytes already there. A server that was offered a local file
    (``file_offered``) may ask for it first: ``wants_file``; after the file its answer is expected anew.
    """

    __slots__ = ("_columns", "_deprecate_eof", "_followed", "_framer", "_left", "buffered", "columns", "ended", "err",
                 "file_offered", "ok", "rows", "set_ended", "wants_file")  # fmt: skip

    def __init__(self, deprecate_eof: bool) -> None:
        self._deprecate_eof = deprecate_eof
        self._framer = Framer(_UNLIMITED, expected=1)
        self._begin_set()

    def _begin_set(self) -> None:
        self._columns: list[ColumnDefinition] = []
        self._followed = False  # an OK comes behind the rows, of which MySQL does not tell: they are OUT parameters
        self._left = -1  # packets before the rows; -1: the column count itself
        self.columns: list[ColumnDefinition] | None = None
        self.rows: list[bytes] = []
        self.buffered = 0
        self.ok: Ok | None = None
        self.err: Err | None = None
        self.file_offered = False
        self.wants_file = False
        self.ended = False
        self.set_ended = False

    @property
    def surplus(self) -> int:
        """Bytes behind the end of the response."""
        return self._framer.buffered

    @property
    def following(self) -> int:
        """The sequence id of the next packet, whoever sends it."""
        return self._framer.expected

    def expect(self, sequence: int) -> None:
        """Read another response whose first packet has that sequence id."""
        self._framer.expected = sequence
        self._begin_set()

    def next_set(self) -> None:
        """Go on with the next result set of the same response."""
        self._begin_set()
        self.feed(b"")

    def take_rows(self) -> list[bytes]:
        rows = self.rows
        self.rows = []
        self.buffered = 0
        return rows

    def feed(self, chunk: bytes) -> None:
        """Raises ProtocolError for bytes that are no response."""
        framer = self._framer
        if chunk:
            framer.feed(chunk)
        rows = self.rows
        in_rows = self.columns is not None
        while not self.set_ended:
            payload = framer.next()
            if payload is None:
                return
            if in_rows and payload[:1] < b"\xfe" and payload:
                rows.append(payload)
                self.buffered += len(payload)
            else:
                self._take(payload)
                in_rows = self.columns is not None

    def _take(self, payload: bytes) -> None:
        if not payload:
            raise ProtocolError()
        if payload[0] == 0xFF:
            self.err = parse_err(payload)
            self.ended = self.set_ended = True
        elif self.columns is not None:
            self._take_end_of_rows(payload)
        elif self._left < 0:
            self._take_first(payload)
        else:
            self._take_column(payload)

    def _take_first(self, payload: bytes) -> None:
        if payload[0] == 0xFB and self.file_offered:
            self.wants_file = True
            return
        if payload[0] == 0xFB:
            raise ProtocolError("A server asked for a local file that was not offered")
        if payload[0] == 0x00 or (payload[0] == 0xFE and len(payload) < 9):
            self._end(parse_end_of_rows(payload) if payload[0] else parse_ok(payload))
            return
        count, width = read_int(payload, 0)
        if width != len(payload):
            raise ProtocolError()
        self._left = count + (not self._deprecate_eof)

    def _take_column(self, payload: bytes) -> None:
        self._left -= 1
        if self._left or self._deprecate_eof:
            self._columns.append(ColumnDefinition.parse(payload))
        elif payload[0] != 0xFE or len(payload) != 5:
            raise ProtocolError()
        else:
            self._followed = bool(parse_end_of_rows(payload).status & Status.PS_OUT_PARAMS)
        if not self._left:
            self.columns = self._columns

    def _take_end_of_rows(self, payload: bytes) -> None:
        if len(payload) >= MAX_PAYLOAD or (len(payload) >= 9 and not self._deprecate_eof):
            self.rows.append(payload)
            self.buffered += len(payload)
        else:
            self._end(parse_end_of_rows(payload))

    def _end(self, ok: Ok) -> None:
        self.ok = ok
        self.set_ended = True
        self.ended = not self._followed and not ok.status & Status.MORE_RESULTS
