"""Rows of the binary protocol, to and from text rows (protocol page "Binary Protocol Resultset").

The text side is what a server's text protocol would send, but for FLOAT: its text has digits enough to give the same
four bytes again, where a server writes six. So a row that was turned into text and back is the row it was.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from dbmesh.protocol.constants import FieldFlag, FieldType
from dbmesh.protocol.failures import ProtocolError
from dbmesh.protocol.lenenc import encode_string, read_string
from dbmesh.protocol.resultset import ColumnDefinition, decode_text_row, encode_text_row

Read = Callable[[bytes, int], tuple[bytes, int]]
Write = Callable[[bytes], bytes]

_FLOAT = struct.Struct("<f")
_DOUBLE = struct.Struct("<d")
_DATE = struct.Struct("<HBB")
_MOMENT = struct.Struct("<HBBBBB")
_MOMENT_MICRO = struct.Struct("<HBBBBBI")
_SPAN = struct.Struct("<BIBBB")
_SPAN_MICRO = struct.Struct("<BIBBBI")
_WIDTHS = {
    FieldType.TINY: 1,
    FieldType.SHORT: 2,
    FieldType.YEAR: 2,
    FieldType.LONG: 4,
    FieldType.INT24: 4,
    FieldType.LONGLONG: 8,
}
_MOST_DECIMALS = 6  # more: as many digits as the value needs
_FEWEST_DIGITS, _MOST_DIGITS = 6, 9  # of a FLOAT; nine always tell it from its neighbours


class RowCodec:
    """The rows of one result set. ``columns``: its definitions, the same for both protocols."""

    __slots__ = ("_bitmap", "_readers", "_writers")

    def __init__(self, columns: Sequence[ColumnDefinition]) -> None:
        self._readers = [_reader(column) for column in columns]
        self._writers = [_writer(column) for column in columns]
        self._bitmap = (len(columns) + 9) // 8

    def decode(self, payload: bytes) -> list[bytes | None]:
        """The text of each field of a binary row, None for NULL. Raises ProtocolError when it is cut off."""
        pos = 1 + self._bitmap
        if len(payload) < pos or payload[0]:
            raise ProtocolError()
        nulls = int.from_bytes(payload[1:pos], "little") >> 2
        row: list[bytes | None] = []
        try:
            for read in self._readers:
                if nulls & 1:
                    row.append(None)
                else:
                    value, pos = read(payload, pos)
                    row.append(value)
                nulls >>= 1
        except (struct.error, IndexError):
            raise ProtocolError() from None
        if pos != len(payload):
            raise ProtocolError()
        return row

    def encode(self, row: Sequence[bytes | None]) -> bytes:
        """The binary row of a row's texts."""
        nulls = 0
        parts = []
        bit = 4
        for value, write in zip(row, self._writers, strict=True):
            if value is None:
                nulls |= bit
            else:
                parts.append(write(value))
            bit <<= 1
        return b"\0" + nulls.to_bytes(self._bitmap, "little") + b"".join(parts)

    def to_text(self, payload: bytes) -> bytes:
        """A binary row's payload as a text row's."""
        return encode_text_row(self.decode(payload))

    def to_binary(self, payload: bytes) -> bytes:
        """A text row's payload as a binary row's."""
        return self.encode(decode_text_row(payload))


def _reader(column: ColumnDefinition) -> Read:
    width = _WIDTHS.get(column.type)
    if width is not None:
        return _read_integer(width, not column.flags & FieldFlag.UNSIGNED, _digits(column))
    match column.type:
        case FieldType.FLOAT:
            return _read_float
        case FieldType.DOUBLE:
            return _read_double
        case FieldType.DATE | FieldType.NEWDATE:
            return _read_date
        case FieldType.DATETIME | FieldType.TIMESTAMP | FieldType.DATETIME2 | FieldType.TIMESTAMP2:
            return _read_moment(column.decimals)
        case FieldType.TIME | FieldType.TIME2:
            return _read_time(column.decimals)
    return read_string


def _digits(column: ColumnDefinition) -> int:
    """How many digits a number has at least: those of ZEROFILL, and the four of a YEAR."""
    if column.type == FieldType.YEAR:
        return 4
    return column.length if column.flags & FieldFlag.ZEROFILL else 0


def _read_integer(width: int, signed: bool, digits: int) -> Read:
    def read(payload: bytes, pos: int) -> tuple[bytes, int]:
        end = pos + width
        if end > len(payload):
            raise ProtocolError()
        value = b"%d" % int.from_bytes(payload[pos:end], "little", signed=signed)
        return (value.rjust(digits, b"0") if digits else value), end

    return read


def _read_float(payload: bytes, pos: int) -> tuple[bytes, int]:
    return float_text(payload[pos : pos + 4]).encode("ascii"), pos + 4


def float_text(packed: bytes) -> str:
    """The shortest decimal number that is this FLOAT again."""
    [value] = _FLOAT.unpack(packed)
    for digits in range(_FEWEST_DIGITS, _MOST_DIGITS):
        text = f"{value:.{digits}g}"
        if _FLOAT.pack(_within(float(text))) == packed:
            return _plain(text)
    return _plain(f"{value:.{_MOST_DIGITS}g}")


def _within(value: float) -> float:
    """The largest FLOATs, rounded up to few digits, are none any more."""
    largest = 3.4028234663852886e38
    return max(-largest, min(value, largest)) if abs(value) < 3.5e38 else value


def _read_double(payload: bytes, pos: int) -> tuple[bytes, int]:
    [value] = _DOUBLE.unpack_from(payload, pos)
    return _plain(repr(value)).encode("ascii"), pos + 8


def _plain(text: str) -> str:
    """1e+20 and 5.0 as servers write them: 1e20, 5."""
    return text.replace("e+", "e").removesuffix(".0")


def _read_date(payload: bytes, pos: int) -> tuple[bytes, int]:
    year, month, day, _, _, _, _, end = _moment(payload, pos)
    return b"%04d-%02d-%02d" % (year, month, day), end


def _read_moment(decimals: int) -> Read:
    def read(payload: bytes, pos: int) -> tuple[bytes, int]:
        *parts, micro, end = _moment(payload, pos)
        return b"%04d-%02d-%02d %02d:%02d:%02d" % tuple(parts) + _fraction(micro, decimals), end

    return read


def _moment(payload: bytes, pos: int) -> tuple[int, int, int, int, int, int, int, int]:
    """Year to microsecond, and the position behind them."""
    length = payload[pos]
    end = pos + 1 + length
    match length:
        case 0:
            return 0, 0, 0, 0, 0, 0, 0, end
        case 4:
            return *_DATE.unpack_from(payload, pos + 1), 0, 0, 0, 0, end
        case 7:
            return *_MOMENT.unpack_from(payload, pos + 1), 0, end
        case 11:
            return *_MOMENT_MICRO.unpack_from(payload, pos + 1), end
    raise ProtocolError()


def _read_time(decimals: int) -> Read:
    def read(payload: bytes, pos: int) -> tuple[bytes, int]:
        negative, days, hours, minutes, seconds, micro, end = _span(payload, pos)
        sign = b"-" if negative else b""
        return sign + b"%02d:%02d:%02d" % (days * 24 + hours, minutes, seconds) + _fraction(micro, decimals), end

    return read


def _span(payload: bytes, pos: int) -> tuple[int, int, int, int, int, int, int]:
    """Negative, days to microsecond, and the position behind them."""
    length = payload[pos]
    end = pos + 1 + length
    match length:
        case 0:
            return 0, 0, 0, 0, 0, 0, end
        case 8:
            return *_SPAN.unpack_from(payload, pos + 1), 0, end
        case 12:
            return *_SPAN_MICRO.unpack_from(payload, pos + 1), end
    raise ProtocolError()


def _fraction(micro: int, decimals: int) -> bytes:
    if decimals > _MOST_DECIMALS:
        decimals = _MOST_DECIMALS if micro else 0
    return b".%s" % (b"%06d" % micro)[:decimals] if decimals else b""


def _writer(column: ColumnDefinition) -> Write:
    width = _WIDTHS.get(column.type)
    if width is not None:
        return _write_integer(width, not column.flags & FieldFlag.UNSIGNED)
    match column.type:
        case FieldType.FLOAT:
            return lambda text: _FLOAT.pack(_within(float(text)))
        case FieldType.DOUBLE:
            return lambda text: _DOUBLE.pack(float(text))
        case (
            FieldType.DATE
            | FieldType.NEWDATE
            | FieldType.DATETIME
            | FieldType.TIMESTAMP
            | FieldType.DATETIME2
            | FieldType.TIMESTAMP2
        ):
            return write_moment
        case FieldType.TIME | FieldType.TIME2:
            return write_time
    return encode_string


def _write_integer(width: int, signed: bool) -> Write:
    bound = 1 << 8 * width

    def write(text: bytes) -> bytes:
        value = int(text)
        if not signed or value < 0:
            return (value % bound).to_bytes(width, "little")
        return value.to_bytes(width, "little")

    return write


def write_moment(text: bytes) -> bytes:
    """``YYYY-MM-DD[ hh:mm:ss[.ffffff]]``; parts that are zero at the end are left out, as servers do."""
    date, _, clock = text.partition(b" ")
    year, month, day = map(int, date.split(b"-"))
    hour, minute, second, micro = _clock(clock) if clock else (0, 0, 0, 0)
    if micro:
        return b"\x0b" + _MOMENT_MICRO.pack(year, month, day, hour, minute, second, micro)
    if hour or minute or second:
        return b"\x07" + _MOMENT.pack(year, month, day, hour, minute, second)
    return b"\x04" + _DATE.pack(year, month, day) if year or month or day else b"\0"


def write_time(text: bytes) -> bytes:
    """``[-]hhh:mm:ss[.ffffff]``."""
    hours, minutes, seconds, micro = _clock(text.lstrip(b"-"))
    days, hour = divmod(hours, 24)
    negative = text.startswith(b"-")
    if micro:
        return b"\x0c" + _SPAN_MICRO.pack(negative, days, hour, minutes, seconds, micro)
    return b"\x08" + _SPAN.pack(negative, days, hour, minutes, seconds) if hours or minutes or seconds else b"\0"


def _clock(text: bytes) -> tuple[int, int, int, int]:
    hours, minutes, rest = text.split(b":")
    seconds, _, fraction = rest.partition(b".")
    return int(hours), int(minutes), int(seconds), int(fraction.ljust(6, b"0")) if fraction else 0
