"""Finds the end of a command's response in the bytes as they pass, without decoding a row.

Protocol pages "COM_QUERY Response" and "Text Resultset"; good for COM_STMT_EXECUTE too, whose rows begin with 0x00.
"""

from __future__ import annotations

from typing import Final

from dbmesh.protocol.constants import MAX_PAYLOAD, Status
from dbmesh.protocol.failures import ProtocolError
from dbmesh.protocol.lenenc import read_int

# An OK packet's numbers fit in 1 + 9 + 9 + 2 + 2 bytes, an ERR packet's errno and SQLSTATE in 9.
_HEAD: Final = 23


class ResponseTracker:
    """``reset`` it, then feed every chunk until ``feed`` tells where the response ended.

    Afterwards: ``is_error``, ``errno``, ``error_length`` (of the ERR packet's payload), ``status``, ``warnings``,
    ``affected``, ``last_insert_id`` (of the last OK), ``rows`` (of the last result set; -1 when there was none),
    ``wants_file`` (a LOCAL INFILE request: the client speaks next).
    """

    __slots__ = (
        "_continued",
        "_deprecate_eof",
        "_final",
        "_in_rows",
        "_left",
        "_skip",
        "_tail",
        "affected",
        "errno",
        "error_length",
        "is_error",
        "last_insert_id",
        "rows",
        "status",
        "wants_file",
        "warnings",
    )

    def __init__(self, deprecate_eof: bool) -> None:
        self._deprecate_eof = deprecate_eof
        self.status: int = Status.AUTOCOMMIT
        self.reset()

    def reset(self) -> None:
        """Forget the last response; ``status`` stays what the server said last."""
        self._in_rows = False
        self._final = False  # the last packet has begun
        self._skip = 0  # bytes of the current packet's payload that are still to come
        self._left = 0  # column definitions still to come
        self._tail = b""  # a packet's head of which too little has come to judge it
        self._continued = False  # the next packet goes on with the payload of the last
        self.is_error = False
        self.wants_file = False
        self.errno = 0
        self.error_length = 0
        self.rows = -1
        self.warnings = 0
        self.affected = 0
        self.last_insert_id = 0

    def feed(self, chunk: bytes) -> int:
        """The number of the chunk's bytes that belong to the response when it ends in this chunk, else -1.

        Raises ProtocolError for bytes that are no response.
        """
        carried = len(self._tail)
        data = self._tail + chunk if carried else chunk
        end = len(data)
        pos = self._skip
        rows = self.rows
        final = self._final
        in_rows = self._in_rows
        while not final and pos + 4 <= end:
            length = data[pos] | data[pos + 1] << 8 | data[pos + 2] << 16
            if self._continued:
                self._continued = length == MAX_PAYLOAD
            elif in_rows and pos + 4 < end and data[pos + 4] < 0xFE and length:
                rows += 1
                if length == MAX_PAYLOAD:
                    self._continued = True
            elif self._left and pos + 4 < end and data[pos + 4] < 0xFE and length:
                self._left -= 1  # a column definition
                in_rows = self._in_rows = self._deprecate_eof and not self._left
            else:
                head = length if length < _HEAD else _HEAD
                if pos + 4 + head > end:
                    break
                self.rows = rows
                final = self._final = self._judge(data[pos + 4 : pos + 4 + head], length)
                rows = self.rows
                in_rows = self._in_rows
            pos += 4 + length
        self.rows = rows
        if final and pos <= end:
            return pos - carried
        if pos < end:
            self._tail = data[pos:]
            self._skip = 0
        else:
            self._tail = b""
            self._skip = pos - end
        return -1

    def _judge(self, head: bytes, length: int) -> bool:
        """True when the packet that begins with ``head`` is the last one of the response."""
        if not length:
            raise ProtocolError()
        if head[0] == 0xFF:
            if length < 3 or length == MAX_PAYLOAD:
                raise ProtocolError()
            self.is_error = True
            self.error_length = length
            self.errno = head[1] | head[2] << 8
            return True
        if self._in_rows:
            return self._judge_end_of_rows(head, length)
        if self._left:
            self._left -= 1
            self._in_rows = self._deprecate_eof and not self._left
            return False
        if self.rows < 0:
            return self._judge_first(head, length)
        return self._judge_end_of_columns(head, length)

    def _judge_first(self, head: bytes, length: int) -> bool:
        if head[0] == 0xFB:
            self.wants_file = True
            return True
        if head[0] == 0x00 or (head[0] == 0xFE and length < 9):
            return self._take_numbers(head, length)
        self._left, width = read_int(head, 0)
        if width != length:
            raise ProtocolError()
        self.rows = 0
        return False

    def _judge_end_of_columns(self, head: bytes, length: int) -> bool:
        if head[0] != 0xFE or length != 5:
            raise ProtocolError()
        self._in_rows = True
        self.status = head[3] | head[4] << 8
        # a cursor's rows are fetched by another command
        return self.status & Status.CURSOR_EXISTS != 0

    def _judge_end_of_rows(self, head: bytes, length: int) -> bool:
        if length == MAX_PAYLOAD or (length >= 9 and not self._deprecate_eof):
            self.rows += 1  # a row whose first field is longer than 16 MiB
            self._continued = length == MAX_PAYLOAD
            return False
        return self._take_numbers(head, length)

    def _take_numbers(self, head: bytes, length: int) -> bool:
        followed = 0
        if length == 5:
            # MySQL's EOF behind OUT parameters does not tell of the OK that ends the CALL
            followed = self.status & Status.PS_OUT_PARAMS
            self.warnings = head[1] | head[2] << 8
            self.status = head[3] | head[4] << 8
        else:
            self.affected, pos = read_int(head, 1)
            self.last_insert_id, pos = read_int(head, pos)
            if len(head) < pos + 4:
                raise ProtocolError()
            self.status = head[pos] | head[pos + 1] << 8
            self.warnings = head[pos + 2] | head[pos + 3] << 8
        if not followed and not self.status & Status.MORE_RESULTS:
            return True
        self._in_rows = False
        self.rows = -1
        return False
