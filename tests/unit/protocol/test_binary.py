"""Binary rows: to text and back, by column definition."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.protocol import Collation, ColumnDefinition, FieldFlag, FieldType, ProtocolError
from dbmesh.protocol.binary import RowCodec


def column(type: int, flags: int = 0, decimals: int = 0, length: int = 20) -> ColumnDefinition:
    return ColumnDefinition(b"c", type, Collation.BINARY, length, flags, decimals)


_INTEGERS = {
    FieldType.TINY: 8,
    FieldType.SHORT: 16,
    FieldType.INT24: 24,
    FieldType.LONG: 32,
    FieldType.LONGLONG: 64,
}
_DATES = st.tuples(st.integers(0, 9999), st.integers(0, 12), st.integers(0, 31))
_CLOCKS = st.tuples(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))


def _with_fraction(clock: str, micro: int, decimals: int) -> bytes:
    fraction = f"{micro:06d}"[:decimals]
    return (f"{clock}.{fraction}" if decimals else clock).encode()


@st.composite
def fields(draw: st.DrawFn) -> tuple[ColumnDefinition, bytes]:
    """A column and the text of a value that it may hold, as a server writes it."""
    kind = draw(st.sampled_from(["int", "float", "double", "date", "datetime", "time", "year", "text"]))
    decimals = draw(st.integers(0, 6))
    micro = draw(st.integers(0, 999_999))
    match kind:
        case "int":
            type, bits = draw(st.sampled_from(sorted(_INTEGERS.items())))
            if draw(st.booleans()):
                text = str(draw(st.integers(0, 2**bits - 1)))
                if draw(st.booleans()):
                    return column(type, FieldFlag.UNSIGNED | FieldFlag.ZEROFILL, length=22), text.rjust(
                        22, "0"
                    ).encode()
                return column(type, FieldFlag.UNSIGNED), text.encode()
            return column(type), str(draw(st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))).encode()
        case "float":
            value = draw(st.floats(width=32, allow_nan=False, allow_infinity=False))
            codec = RowCodec([column(FieldType.FLOAT)])
            [text_] = codec.decode(b"\0\0" + struct.pack("<f", value))
            assert text_ is not None
            return column(FieldType.FLOAT, decimals=31), text_
        case "double":
            value = draw(st.floats(allow_nan=False, allow_infinity=False))
            return column(FieldType.DOUBLE, decimals=31), repr(value).replace("e+", "e").removesuffix(".0").encode()
        case "date":
            return column(FieldType.DATE), b"%04d-%02d-%02d" % draw(_DATES)
        case "datetime":
            clock = (b"%04d-%02d-%02d %02d:%02d:%02d" % (*draw(_DATES), *draw(_CLOCKS))).decode()
            type = draw(st.sampled_from([FieldType.DATETIME, FieldType.TIMESTAMP]))
            return column(type, decimals=decimals), _with_fraction(clock, micro, decimals)
        case "time":
            hours, minutes, seconds = draw(st.tuples(st.integers(0, 838), st.integers(0, 59), st.integers(0, 59)))
            negative = draw(st.booleans()) and hours + minutes + seconds > 0
            clock = f"{'-' if negative else ''}{hours:02d}:{minutes:02d}:{seconds:02d}"
            return column(FieldType.TIME, decimals=decimals), _with_fraction(clock, micro, decimals)
        case "year":
            return column(FieldType.YEAR, FieldFlag.UNSIGNED | FieldFlag.ZEROFILL, length=4), b"%04d" % draw(
                st.sampled_from([0, 1901, 2026, 2155])
            )
    type = draw(
        st.sampled_from([FieldType.VAR_STRING, FieldType.STRING, FieldType.BLOB, FieldType.JSON, FieldType.BIT,
                         FieldType.NEWDECIMAL, FieldType.GEOMETRY, FieldType.ENUM, FieldType.SET])
    )  # fmt: skip
    return column(type), draw(st.binary(max_size=300))


@given(st.lists(st.tuples(fields(), st.booleans()), min_size=1, max_size=20))
def test_a_row_turned_into_binary_and_back_is_the_row_it_was(
    row: list[tuple[tuple[ColumnDefinition, bytes], bool]],
) -> None:
    codec = RowCodec([definition for (definition, _), _ in row])
    values = [None if null else text for (_, text), null in row]
    binary = codec.encode(values)
    assert codec.decode(binary) == values
    assert codec.to_binary(codec.to_text(binary)) == binary


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float_keeps_its_four_bytes(value: float) -> None:
    codec = RowCodec([column(FieldType.FLOAT, decimals=31)])
    binary = b"\0\0" + struct.pack("<f", value)
    assert codec.encode(codec.decode(binary)) == binary


@pytest.mark.parametrize(
    ("definition", "text", "binary"),
    [
        (column(FieldType.TINY), b"-1", b"\xff"),
        (column(FieldType.TINY, FieldFlag.UNSIGNED), b"255", b"\xff"),
        (column(FieldType.INT24), b"-8388608", b"\x00\x00\x80\xff"),
        (column(FieldType.LONG, FieldFlag.UNSIGNED | FieldFlag.ZEROFILL, length=5), b"00042", b"\x2a\0\0\0"),
        (column(FieldType.YEAR, FieldFlag.UNSIGNED), b"0000", b"\0\0"),
        (column(FieldType.DATE), b"0000-00-00", b"\0"),
        (column(FieldType.DATE), b"2026-11-22", b"\x04\xea\x07\x0b\x16"),
        (column(FieldType.DATETIME), b"2026-11-22 00:00:00", b"\x04\xea\x07\x0b\x16"),
        (column(FieldType.DATETIME, decimals=3), b"2026-11-22 01:02:03.500",
         b"\x0b\xea\x07\x0b\x16\x01\x02\x03\x20\xa1\x07\0"),
        (column(FieldType.DATETIME, decimals=31), b"2026-11-22 01:02:03", b"\x07\xea\x07\x0b\x16\x01\x02\x03"),
        (column(FieldType.TIME), b"-838:59:59", b"\x08\x01\x22\0\0\0\x16\x3b\x3b"),
        (column(FieldType.TIME, decimals=6), b"00:00:00.000000", b"\0"),
        (column(FieldType.BIT), b"\x05", b"\x01\x05"),
        (column(FieldType.NEWDECIMAL), b"-1.50", b"\x05-1.50"),
        (column(FieldType.FLOAT), b"16777216", b"\0\0\x80K"),
        (column(FieldType.FLOAT), b"0.1", b"\xcd\xcc\xcc="),
        (column(FieldType.DOUBLE), b"1e20", struct.pack("<d", 1e20)),
    ],
)  # fmt: skip
def test_values_stand_in_rows_as_servers_write_them(definition: ColumnDefinition, text: bytes, binary: bytes) -> None:
    codec = RowCodec([definition])
    assert codec.encode([text]) == b"\0\0" + binary
    assert codec.decode(b"\0\0" + binary) == [text]


def test_the_null_bitmap_begins_at_its_third_bit() -> None:
    codec = RowCodec([column(FieldType.TINY)] * 7)
    assert codec.encode([None, b"1", None, b"2", b"3", b"4", None]) == b"\0\x14\x01\x01\x02\x03\x04"


@given(st.binary(max_size=60))
def test_what_is_no_row_is_a_protocol_error(payload: bytes) -> None:
    types = [FieldType.LONG, FieldType.DATETIME, FieldType.TIME, FieldType.DOUBLE, FieldType.FLOAT, FieldType.BLOB]
    codec = RowCodec([column(type) for type in types])
    try:
        row = codec.decode(payload)
    except ProtocolError:
        return
    assert len(row) == len(types)
