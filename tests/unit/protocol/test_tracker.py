"""The end of a response is found in bytes that arrive whole, byte by byte, and with trailing data."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.protocol import (
    ColumnDefinition,
    FieldType,
    ProtocolError,
    Status,
    encode_text_row,
    end_of_rows,
    eof_packet,
    err_packet,
    ok_packet,
)
from dbmesh.protocol.constants import MAX_PAYLOAD
from dbmesh.protocol.framing import frames
from dbmesh.protocol.lenenc import encode_int
from dbmesh.protocol.result_reader import ResultReader
from dbmesh.protocol.tracker import ResponseTracker

COLUMN = ColumnDefinition(b"name_of_a_column", FieldType.VAR_STRING, 45, 80, table=b"t").encode()
MORE = Status.AUTOCOMMIT | Status.MORE_RESULTS
Row = list[bytes | None]


def result_set(rows: list[Row], deprecate: bool, status: int = Status.AUTOCOMMIT, columns: int = 2) -> list[bytes]:
    head = [encode_int(columns)] + [COLUMN] * columns + ([] if deprecate else [eof_packet(status)])
    return head + [encode_text_row(row) for row in rows] + [end_of_rows(status, 3, deprecate)]


def wire(payloads: list[bytes]) -> bytes:
    return frames(payloads, 1)[0]


def track(data: bytes, deprecate: bool, size: int) -> tuple[ResponseTracker, int]:
    """The tracker after the data in chunks of that size, and where the response ended (-1: it did not)."""
    tracker = ResponseTracker(deprecate)
    for start in range(0, len(data), size):
        end = tracker.feed(data[start : start + size])
        if end >= 0:
            return tracker, start + end
    return tracker, -1


fields = st.none() | st.binary(max_size=300) | st.just(b"\xfe" * 255)
responses = st.booleans().flatmap(
    lambda deprecate: st.tuples(
        st.just(deprecate),
        st.one_of(
            st.just([ok_packet(3, 70000, MORE & ~Status.MORE_RESULTS, 1, b"Rows matched: 3")]),
            st.just([err_packet(1064, "42000", "You have an error in your SQL syntax " * 9)]),
            st.lists(st.lists(fields, min_size=1, max_size=4), max_size=6).map(lambda r: result_set(r, deprecate)),
            st.lists(st.lists(fields, min_size=1, max_size=4), max_size=3).map(
                lambda r: [*result_set(r, deprecate, MORE), ok_packet(status=MORE), *result_set(r, deprecate)]
            ),
        ),
    )
)


@given(responses, st.integers(1, 400), st.binary(max_size=20))
def test_the_end_is_found_for_any_cut_and_trailing_data(
    case: tuple[bool, list[bytes]], size: int, trailing: bytes
) -> None:
    deprecate, payloads = case
    data = wire(payloads)
    for chunk in (1, size, len(data) + len(trailing)):
        tracker, end = track(data + trailing, deprecate, chunk)
        assert end == len(data)
        assert tracker.is_error == (payloads[-1][0] == 0xFF)


@given(responses, st.integers(1, 400))
def test_the_reader_of_rows_agrees_with_the_tracker(case: tuple[bool, list[bytes]], size: int) -> None:
    deprecate, payloads = case
    data = wire(payloads) + b"trailing"
    reader = ResultReader(deprecate)
    fed = 0
    while not reader.ended:
        reader.feed(data[fed : fed + size])
        fed += size
        while reader.set_ended and not reader.ended:
            reader.next_set()
    tracker, end = track(data, deprecate, size)
    assert min(fed, len(data)) - reader.surplus == end
    assert (reader.err is not None) == tracker.is_error
    if reader.ok:
        assert (reader.ok.status, reader.ok.warnings) == (tracker.status, tracker.warnings)
        assert (len(reader.rows) if reader.columns else -1) == tracker.rows


@pytest.mark.parametrize("deprecate", [False, True])
@pytest.mark.parametrize("extra", [-20, -1, 0, 1, 5, MAX_PAYLOAD])
def test_rows_of_sixteen_mebibytes_and_more(deprecate: bool, extra: int) -> None:
    rows: list[Row] = [[b"a" * (MAX_PAYLOAD - 4 + extra)], [b"b"]]
    data = wire(result_set(rows, deprecate, columns=1))
    tracker, end = track(data, deprecate, 1 << 18)
    assert end == len(data)
    assert tracker.rows == 2
    reader = ResultReader(deprecate)
    for start in range(0, len(data), 1 << 18):
        reader.feed(data[start : start + (1 << 18)])
    assert [len(row) for row in reader.rows] == [len(encode_text_row(row)) for row in rows]


def test_numbers_of_an_ok_packet() -> None:
    data = wire([ok_packet(2**40, 2**63, 0x22, 9, b"info")])
    tracker, _ = track(data, False, 3)
    assert (tracker.affected, tracker.last_insert_id, tracker.status, tracker.warnings) == (2**40, 2**63, 0x22, 9)


def test_an_error_instead_of_the_next_row() -> None:
    data = wire([*result_set([[b"a"]], False)[:-1], err_packet(1317, "70100", "Query execution was interrupted")])
    tracker, end = track(data, False, 7)
    assert (end, tracker.is_error, tracker.errno) == (len(data), True, 1317)


def test_a_request_for_a_local_file() -> None:
    tracker, end = track(wire([b"\xfb/etc/passwd"]), False, 100)
    assert tracker.wants_file
    assert end == 16


def test_the_same_tracker_again_after_a_reset() -> None:
    tracker = ResponseTracker(False)
    data = wire(result_set([[b"a"]], False))
    for _ in range(2):
        tracker.reset()
        assert tracker.feed(data[:-1]) == -1
        assert tracker.feed(data[-1:]) == 1
        assert tracker.rows == 1


@given(st.binary(max_size=80), st.booleans())
def test_hostile_bytes_end_waiting_or_in_a_protocol_error(data: bytes, deprecate: bool) -> None:
    with contextlib.suppress(ProtocolError):
        track(data, deprecate, 5)
    reader = ResultReader(deprecate)
    with contextlib.suppress(ProtocolError):
        reader.feed(data)
