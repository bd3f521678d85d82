"""Command packets; what is not known does not end the connection."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.protocol import ProtocolError
from dbmesh.protocol.commands import (
    Debug,
    FieldList,
    InitDb,
    Ping,
    ProcessKill,
    Quit,
    SetOption,
    Unknown,
    decode_command,
)


def test_commands_of_the_protocol_pages() -> None:
    assert isinstance(decode_command(b"\x01"), Quit)
    assert isinstance(decode_command(b"\x0e"), Ping)
    init = decode_command(b"\x02test")
    assert isinstance(init, InitDb)
    assert init.name == b"test"
    for option, on in ((0, True), (1, False)):
        decoded = decode_command(bytes((0x1B, option, 0)))
        assert isinstance(decoded, SetOption)
        assert decoded.multi_statements is on
    kill = decode_command(b"\x0c\x39\x30\0\0")
    assert isinstance(kill, ProcessKill)
    assert kill.id == 12345
    assert isinstance(decode_command(b"\x0d"), Debug)


def test_an_unknown_command_keeps_its_code() -> None:
    decoded = decode_command(b"\x99rest")
    assert isinstance(decoded, Unknown)
    assert decoded.code == 0x99


@pytest.mark.parametrize("payload", [b"", b"\x1b", b"\x1b\x07\x00", b"\x0c\x01"])
def test_arguments_that_are_none_are_refused(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_command(payload)


@given(st.binary(max_size=20))
def test_hostile_bytes_are_a_command_or_a_protocol_error(payload: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        decode_command(payload)


def test_a_field_list_names_a_table_and_a_pattern() -> None:
    request = decode_command(b"\x04book\0t%")
    assert isinstance(request, FieldList)
    assert (request.table, request.pattern) == (b"book", b"t%")
    for payload in (b"\x04", b"\x04book", b"\x04\0%"):
        with pytest.raises(ProtocolError):
            decode_command(payload)
