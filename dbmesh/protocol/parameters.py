"""The parameters of COM_STMT_EXECUTE: read from a client's packet, written into a server's.

Protocol page "COM_STMT_EXECUTE"; values are coded as "Binary Protocol Value" says.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from dbmesh.errors import MeshError
from dbmesh.protocol.constants import Command, FieldType
from dbmesh.protocol.failures import ProtocolError
from dbmesh.protocol.framing import frame
from dbmesh.protocol.lenenc import encode_int, read_string

HEAD = 10  # bytes before the NULL bitmap: command, statement id, flags, iteration count
LONG_DATA = 1 << 20  # a longer value is sent in pieces, ahead of the others
_UNSIGNED = 0x80
_DECIMAL = re.compile(rb"([+-]?)((?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)")


class WrongArguments(MeshError):
    """ER_WRONG_ARGUMENTS: what servers say of a packet whose parameters they cannot read."""

    errno = 1210
    sqlstate = "HY000"

    def __init__(self) -> None:
        super().__init__("Incorrect arguments to mysqld_stmt_execute")


class Parameter(NamedTuple):
    """One value. ``form``: a letter, its class; ``text``: what SQL says of it without sign, keyword and quotes.

    i integer, d number with fraction or exponent (I, D: below zero), s string, b bytes, t DATE, u TIMESTAMP, v TIME,
    n NULL. ``raw``: a string's bytes in the client's character set, or those of b. ``wire``: as it came.
    """

    form: str
    text: str
    raw: bytes
    wire: bytes


NULL = Parameter("n", "NULL", b"", b"")


def split_execute(payload: bytes, count: int) -> tuple[int, bytes, int]:
    """The NULL bitmap, the types ('' when the client says they are those of the last time), where the values begin.

    ``count``: of the statement's parameters. Raises WrongArguments for a packet that is too short.
    """
    if not count:
        return 0, b"", len(payload)
    end = HEAD + (count + 7) // 8
    if len(payload) <= end:
        raise WrongArguments()
    nulls = int.from_bytes(payload[HEAD:end], "little")
    if not payload[end]:
        return nulls, b"", end + 1
    types = payload[end + 1 : end + 1 + 2 * count]
    if len(types) != 2 * count:
        raise WrongArguments()
    return nulls, types, end + 1 + 2 * count


def read_parameters(
    payload: bytes, pos: int, nulls: int, types: bytes, long_data: Mapping[int, bytes]
) -> list[Parameter]:
    """The values behind the types. ``long_data``: those that have come ahead. Raises WrongArguments."""
    found = []
    try:
        for index in range(len(types) // 2):
            code = types[2 * index]
            if index in long_data:
                found.append(_of_bytes(code, long_data[index]))
            elif nulls >> index & 1 or code == FieldType.NULL:
                found.append(NULL)
            else:
                value, pos = _READERS[code](payload, pos, types[2 * index + 1] >= _UNSIGNED)
                found.append(value)
    except (KeyError, IndexError, struct.error, ProtocolError):
        raise WrongArguments() from None
    if pos != len(payload):
        raise WrongArguments()
    return found


def execute_packets(statement: int, types: bytes, values: Sequence[Parameter]) -> bytes:
    """The packets that run a server's statement with these values; ``types``: two bytes for each."""
    packets = []
    nulls = 0
    wires = []
    for index, value in enumerate(values):
        if value.form == "n":
            nulls |= 1 << index
        elif len(value.wire) > LONG_DATA:
            packets.append(_long_data(statement, index, value.raw))
        else:
            wires.append(value.wire)
    head = struct.pack("<BIBI", Command.STMT_EXECUTE, statement, 0, 1)
    if values:
        head += nulls.to_bytes((len(values) + 7) // 8, "little") + b"\x01" + types
    packets.append(frame(head + b"".join(wires), 0))
    return b"".join(packets)


def _long_data(statement: int, index: int, value: bytes) -> bytes:
    head = struct.pack("<BIH", Command.STMT_SEND_LONG_DATA, statement, index)
    return b"".join(frame(head + value[at : at + LONG_DATA], 0) for at in range(0, len(value), LONG_DATA))


Reader = Callable[[bytes, int, bool], tuple[Parameter, int]]


def _integer(width: int) -> Reader:
    def read(payload: bytes, pos: int, unsigned: bool) -> tuple[Parameter, int]:
        end = pos + width
        wire = payload[pos:end]
        if len(wire) != width:
            raise WrongArguments()
        value = int.from_bytes(wire, "little", signed=not unsigned)
        return (Parameter("i", str(value), b"", wire) if value >= 0 else Parameter("I", str(-value), b"", wire)), end

    return read


def _real(width: int, form: str) -> Reader:
    unpack = struct.Struct(form).unpack_from

    def read(payload: bytes, pos: int, unsigned: bool) -> tuple[Parameter, int]:
        [value] = unpack(payload, pos)
        if not math.isfinite(value):
            raise WrongArguments()
        text = repr(abs(value))
        sign = "D" if math.copysign(1, value) < 0 else "d"
        return Parameter(sign, text if "e" in text else f"{text}e0", b"", payload[pos : pos + width]), pos + width

    return read


def _decimal(payload: bytes, pos: int, unsigned: bool) -> tuple[Parameter, int]:
    value, end = read_string(payload, pos)
    match = _DECIMAL.fullmatch(value)
    wire = payload[pos:end]
    if match is None:
        return Parameter("s", "", value, wire), end
    text = match[2].decode("ascii").lower()
    return Parameter(
        "D" if match[1] == b"-" else "d", text if "." in text or "e" in text else f"{text}.", b"", wire
    ), end


def _string(form: str) -> Reader:
    def read(payload: bytes, pos: int, unsigned: bool) -> tuple[Parameter, int]:
        value, end = read_string(payload, pos)
        return Parameter(form, "", value, payload[pos:end]), end

    return read


def _moment(payload: bytes, pos: int, unsigned: bool) -> tuple[Parameter, int]:
    length = payload[pos]
    end = pos + 1 + length
    wire = payload[pos:end]
    if length not in (0, 4, 7, 11) or len(wire) != length + 1:
        raise WrongArguments()
    year = month = day = hour = minute = second = micro = 0
    if length:
        year, month, day = struct.unpack_from("<HBB", wire, 1)
    if length > 4:
        hour, minute, second = wire[5:8]
    if length > 7:
        [micro] = struct.unpack_from("<I", wire, 8)
    if micro > 999_999:
        raise WrongArguments()
    text = f"{year:04d}-{month:02d}-{day:02d} {hour:02d}:{minute:02d}:{second:02d}" + _fraction(micro)
    # such a date is no SQL literal under every sql_mode
    return (Parameter("u", text, b"", wire) if month and day else Parameter("s", "", text.encode(), wire)), end


def _date(payload: bytes, pos: int, unsigned: bool) -> tuple[Parameter, int]:
    moment, end = _moment(payload, pos, unsigned)
    if moment.form == "u":
        return moment._replace(form="t", text=moment.text[:10]), end
    return moment._replace(raw=moment.raw[:10]), end


def _time(payload: bytes, pos: int, unsigned: bool) -> tuple[Parameter, int]:
    length = payload[pos]
    end = pos + 1 + length
    wire = payload[pos:end]
    if length not in (0, 8, 12) or len(wire) != length + 1:
        raise WrongArguments()
    negative = days = hours = minutes = seconds = micro = 0
    if length:
        negative, days, hours, minutes, seconds = struct.unpack_from("<BIBBB", wire, 1)
    if length > 8:
        [micro] = struct.unpack_from("<I", wire, 9)
    if micro > 999_999:
        raise WrongArguments()
    sign = "-" if negative else ""
    text = f"{sign}{days * 24 + hours:02d}:{minutes:02d}:{seconds:02d}" + _fraction(micro)
    return Parameter("v", text, b"", wire), end


def _fraction(micro: int) -> str:
    return f".{micro:06d}" if micro else ""


def _of_bytes(code: int, value: bytes) -> Parameter:
    form = "b" if code in _BYTES else "s"
    return Parameter(form, "", value, encode_int(len(value)) + value)


_BYTES = frozenset(
    {FieldType.TINY_BLOB, FieldType.MEDIUM_BLOB, FieldType.LONG_BLOB, FieldType.BLOB, FieldType.GEOMETRY}
)
_STRINGS = (FieldType.VARCHAR, FieldType.VAR_STRING, FieldType.STRING, FieldType.ENUM, FieldType.SET, FieldType.JSON,
            FieldType.BIT)  # fmt: skip
_READERS: dict[int, Reader] = {
    FieldType.TINY: _integer(1),
    FieldType.SHORT: _integer(2),
    FieldType.YEAR: _integer(2),
    FieldType.INT24: _integer(4),
    FieldType.LONG: _integer(4),
    FieldType.LONGLONG: _integer(8),
    FieldType.FLOAT: _real(4, "<f"),
    FieldType.DOUBLE: _real(8, "<d"),
    FieldType.DECIMAL: _decimal,
    FieldType.NEWDECIMAL: _decimal,
    FieldType.DATE: _date,
    FieldType.NEWDATE: _date,
    FieldType.DATETIME: _moment,
    FieldType.TIMESTAMP: _moment,
    FieldType.TIME: _time,
    **dict.fromkeys(_STRINGS, _string("s")),
    **dict.fromkeys(_BYTES, _string("b")),
}
