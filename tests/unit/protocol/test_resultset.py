"""Rows and column definitions survive the way through their bytes, and cut ones are refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.protocol import ColumnDefinition, FieldType, ProtocolError, decode_text_row, encode_text_row

rows = st.lists(st.none() | st.binary(max_size=300), max_size=12)


@given(rows)
def test_a_row_reads_back_as_it_was_written(row: list[bytes | None]) -> None:
    assert decode_text_row(encode_text_row(row)) == row


@pytest.mark.parametrize("size", [0, 250, 251, 252, 0xFFFF, 0x10000, 0xFFFFFF, 0x1000000])
def test_every_width_of_a_length(size: int) -> None:
    row = [b"x" * size, None, b""]
    assert decode_text_row(encode_text_row(row)) == row


@given(rows.filter(bool), st.data())
def test_a_row_cut_inside_a_field_is_refused_or_shorter(row: list[bytes | None], data: st.DataObject) -> None:
    whole = encode_text_row(row)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    try:
        fields = decode_text_row(cut)
    except ProtocolError:
        return
    assert fields == row[: len(fields)]


def test_a_column_definition_reads_back_as_it_was_written() -> None:
    column = ColumnDefinition(b"n\xc3\xa4me", FieldType.VAR_STRING, 45, 80, 1, 31, b"shop", b"o", b"t_order_1", b"name")
    again = ColumnDefinition.parse(column.encode())
    assert again == column
    assert (again.org_table, again.length, again.decimals) == (b"t_order_1", 80, 31)


@given(st.binary(max_size=60))
def test_hostile_bytes_are_a_column_definition_or_a_protocol_error(payload: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        ColumnDefinition.parse(payload)
