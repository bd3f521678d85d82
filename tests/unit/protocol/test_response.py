"""OK, ERR and EOF packets against bytes taken from the protocol pages."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from dbmesh.protocol import ProtocolError, end_of_rows, eof_packet, err_packet, ok_packet
from dbmesh.protocol.response import Err, Ok, parse_end_of_rows, parse_err, parse_ok


def test_ok_of_the_protocol_page() -> None:
    assert ok_packet() == bytes.fromhex("00 00 00 02 00 00 00")


def test_ok_with_everything_reads_back() -> None:
    assert parse_ok(ok_packet(300, 2**63, 3, 7, b"Rows matched: 1")) == Ok(300, 2**63, 3, 7, b"Rows matched: 1")


def test_eof_of_the_protocol_page() -> None:
    assert eof_packet(status=0x0002, warnings=0) == bytes.fromhex("fe 00 00 02 00")


def test_both_styles_of_the_end_of_rows_say_the_same() -> None:
    for deprecate in (False, True):
        assert parse_end_of_rows(end_of_rows(0x22, 5, deprecate)) == Ok(0, 0, 0x22, 5)


def test_err_of_the_protocol_page() -> None:
    payload = err_packet(1096, "HY000", "No tables used")
    assert payload == bytes.fromhex("ff 48 04 23 48 59 30 30 30") + b"No tables used"
    assert parse_err(payload) == Err(1096, "HY000", "No tables used")


def test_err_before_the_login_has_no_sqlstate() -> None:
    assert parse_err(b"\xff\x10\x04Too many connections") == Err(1040, "HY000", "Too many connections")


def test_more_warnings_than_the_field_holds() -> None:
    assert parse_ok(ok_packet(warnings=70000)).warnings == 0xFFFF


@given(st.binary(max_size=30))
def test_hostile_bytes_are_an_answer_or_a_protocol_error(payload: bytes) -> None:
    for parse in (parse_ok, parse_end_of_rows, parse_err):
        with contextlib.suppress(ProtocolError):
            parse(payload)
