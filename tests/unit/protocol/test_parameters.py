"""The parameters of COM_STMT_EXECUTE."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.protocol import FieldType
from dbmesh.protocol.framing import Framer
from dbmesh.protocol.parameters import (
    LONG_DATA,
    Parameter,
    WrongArguments,
    execute_packets,
    read_parameters,
    split_execute,
)

U = 0x80 << 8


def packet(types: list[int], values: bytes, nulls: int = 0) -> bytes:
    count = len(types)
    head = struct.pack("<BIBI", 0x17, 1, 0, 1) + nulls.to_bytes((count + 7) // 8, "little") + b"\1"
    return head + b"".join(struct.pack("<H", type) for type in types) + values


def read(types: list[int], values: bytes, nulls: int = 0, ahead: dict[int, bytes] | None = None) -> list[Parameter]:
    payload = packet(types, values, nulls)
    found, told, at = split_execute(payload, len(types))
    return read_parameters(payload, at, found, told, ahead or {})


@pytest.mark.parametrize(
    ("type", "wire", "form", "text"),
    [
        (FieldType.TINY, b"\xff", "I", "1"),
        (FieldType.TINY | U, b"\xff", "i", "255"),
        (FieldType.SHORT, b"\x00\x80", "I", "32768"),
        (FieldType.LONG, b"\x05\0\0\0", "i", "5"),
        (FieldType.LONGLONG | U, b"\xff" * 8, "i", "18446744073709551615"),
        (FieldType.DOUBLE, struct.pack("<d", -2.5), "D", "2.5e0"),
        (FieldType.DOUBLE, struct.pack("<d", 1e22), "d", "1e+22"),
        (FieldType.FLOAT, struct.pack("<f", 0.5), "d", "0.5e0"),
        (FieldType.NEWDECIMAL, b"\x05-1.50", "D", "1.50"),
        (FieldType.NEWDECIMAL, b"\x027 ", "s", ""),
        (FieldType.NEWDECIMAL, b"\x0212", "d", "12."),
        (FieldType.NEWDECIMAL, b"\x041E-9", "d", "1e-9"),
        (FieldType.VAR_STRING, b"\x02hi", "s", ""),
        (FieldType.BLOB, b"\x01\x00", "b", ""),
        (FieldType.DATE, b"\x04\xea\x07\x0b\x16", "t", "2026-11-22"),
        (FieldType.DATETIME, b"\x04\xea\x07\x0b\x16", "u", "2026-11-22 00:00:00"),
        (FieldType.TIMESTAMP, b"\x0b\xea\x07\x0b\x16\x01\x02\x03\x07\0\0\0", "u", "2026-11-22 01:02:03.000007"),
        (FieldType.DATETIME, b"\0", "s", ""),
        (FieldType.TIME, b"\x08\1\2\0\0\0\3\4\5", "v", "-51:04:05"),
        (FieldType.TIME, b"\0", "v", "00:00:00"),
    ],
)
def test_a_value_of_each_type(type: int, wire: bytes, form: str, text: str) -> None:
    [value] = read([type], wire)
    assert (value.form, value.text, value.wire) == (form, text, wire)


def test_a_zero_date_is_a_string_since_not_every_sql_mode_has_such_a_literal() -> None:
    assert read([FieldType.DATE], b"\0")[0].raw == b"0000-00-00"


def test_nulls_have_no_bytes() -> None:
    values = read([FieldType.LONG, FieldType.NULL, FieldType.TINY], b"\x07", nulls=1)
    assert [value.form for value in values] == ["n", "n", "i"]


def test_values_that_came_ahead_have_no_bytes_either() -> None:
    values = read([FieldType.BLOB, FieldType.TINY, FieldType.VAR_STRING], b"\x07", ahead={0: b"blob", 2: b"text"})
    assert [(value.form, value.raw) for value in values] == [("b", b"blob"), ("i", b""), ("s", b"text")]


@pytest.mark.parametrize(
    ("types", "values"),
    [
        ([FieldType.LONG], b"\1\2\3"),
        ([FieldType.LONG], b"\1\2\3\4\5"),
        ([0x77], b"\1"),
        ([FieldType.VAR_STRING], b"\xfe\xff"),
        ([FieldType.VAR_STRING], b"\x05abc"),
        ([FieldType.DATETIME], b"\x05\xea\x07\x0b\x16\0"),
        ([FieldType.DATETIME], b"\x0b\xea\x07\x0b\x16\1\1\1\xff\xff\xff\xff"),
        ([FieldType.TIME], b"\x08\1"),
        ([FieldType.DOUBLE], struct.pack("<d", float("nan"))),
        ([FieldType.DOUBLE], struct.pack("<d", float("-inf"))),
    ],
)
def test_what_cannot_be_read_is_1210(types: list[int], values: bytes) -> None:
    with pytest.raises(WrongArguments):
        read(types, values)


@given(st.lists(st.sampled_from([1, 2, 3, 5, 7, 8, 11, 12, 15, 246, 252, 253]), max_size=5), st.binary(max_size=80))
def test_hostile_bytes_are_values_or_1210(types: list[int], values: bytes) -> None:
    try:
        found = read(types, values)
    except WrongArguments:
        return
    assert len(found) == len(types)


def test_a_server_gets_the_values_as_they_came() -> None:
    types = [FieldType.LONG, FieldType.VAR_STRING, FieldType.NULL]
    values = read(types, b"\5\0\0\0\2hi")
    told = b"".join(struct.pack("<H", type) for type in types)
    framer = Framer()
    framer.feed(execute_packets(9, told, values))
    payload = framer.next()
    assert payload is not None
    assert payload[1:5] == b"\x09\0\0\0"
    nulls, types_there, at = split_execute(payload, 3)
    assert read_parameters(payload, at, nulls, types_there, {}) == values


def test_a_long_value_goes_ahead_in_pieces() -> None:
    data = b"x" * (2 * LONG_DATA + 5)
    value = read([FieldType.BLOB], b"", ahead={0: data})
    framer = Framer()
    framer.feed(execute_packets(9, struct.pack("<H", FieldType.BLOB), value))
    pieces = b""
    while (payload := framer.next()) is not None and payload[0] == 0x18:
        assert payload[1:7] == b"\x09\0\0\0\0\0"
        pieces += payload[7:]
        framer.expected = 0
    assert pieces == data
    assert payload is not None
    assert payload[0] == 0x17
