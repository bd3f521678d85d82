"""Reads the answers to several commands that were sent at once, with the face of `result_reader.ResultReader`."""

from __future__ import annotations

from collections.abc import Sequence

from dbmesh.protocol.response import Err, Ok
from dbmesh.protocol.result_reader import ResultReader
from dbmesh.protocol.resultset import ColumnDefinition

Answered = tuple[list[ColumnDefinition], list[bytes], Ok | None, Err | None]


class PipelineReader:
    """``sequences``: of the first packet of each answer. ``answers``: columns, row payloads, and OK or ERR, in order.

    Each command has one result; all of it is kept until the end.
    """

    __slots__ = ("_one", "_sequences", "answers", "buffered", "columns", "err", "ok", "rows", "set_ended")

    def __init__(self, deprecate_eof: bool, sequences: Sequence[int]) -> None:
        self._one = ResultReader(deprecate_eof)
        self._sequences = list(sequences)
        self._one.expect(self._sequences[0])
        self.answers: list[Answered] = []
        self.columns: list[ColumnDefinition] | None = None
        self.rows: list[bytes] = []
        self.buffered = 0
        self.ok: Ok | None = None  # the last one: its status is the connection's
        self.err: Err | None = None
        self.set_ended = False

    @property
    def ended(self) -> bool:
        return self.set_ended

    @property
    def surplus(self) -> int:
        return self._one.surplus

    def feed(self, chunk: bytes) -> None:
        """Raises ProtocolError for bytes that are no response."""
        one = self._one
        one.feed(chunk)
        while one.ended:
            self.ok = one.ok or self.ok
            self.answers.append((one.columns or [], one.rows, one.ok, one.err))
            if len(self.answers) == len(self._sequences):
                self.set_ended = True
                return
            one.expect(self._sequences[len(self.answers)])
            one.feed(b"")
