"""Packets are found again however the stream was cut."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.protocol import PacketsOutOfOrder, PacketTooLarge
from dbmesh.protocol.constants import MAX_PAYLOAD
from dbmesh.protocol.framing import Framer, frame, frames

payloads = st.lists(st.binary(max_size=40), max_size=8)


def everything(framer: Framer) -> list[bytes]:
    found = []
    while (payload := framer.next()) is not None:
        found.append(payload)
    return found


@given(payloads, st.lists(st.integers(1, 30), min_size=1))
def test_payloads_come_out_as_they_went_in_for_any_cuts(sent: list[bytes], cuts: list[int]) -> None:
    data, _ = frames(sent, 0)
    framer = Framer()
    found: list[bytes] = []
    turn = 0
    while data:
        size = cuts[turn % len(cuts)]
        turn += 1
        framer.feed(data[:size])
        data = data[size:]
        if turn % 3:  # an owner that is busy does not look each time
            found += everything(framer)
    assert found + everything(framer) == sent
    assert framer.buffered == 0


@given(payloads, st.lists(st.integers(1, 60), min_size=1))
def test_the_short_cut_for_lone_packets_finds_the_same(sent: list[bytes], cuts: list[int]) -> None:
    data, _ = frames(sent, 0)
    framer = Framer()
    found: list[bytes] = []
    turn = 0
    while data:
        size = (
            cuts[turn % len(cuts)] if turn % 2 else 4 + data[0]
        )  # every other time a whole packet, if nothing is held
        turn += 1
        chunk, data = data[:size], data[size:]
        held = framer.holding
        payload = framer.lone(chunk)
        if payload is not None:
            assert not held
            found.append(payload)
        else:
            framer.feed(chunk)
            found += everything(framer)
    assert found == sent
    assert not framer.holding


@pytest.mark.parametrize(
    "packet",
    [frame(b"x", 1), frame(b"x", 0)[:-1], frame(b"x", 0) + b"\0", frame(bytes(11), 0), b"\0\0\0", b""],
    ids=["another's turn", "cut short", "more behind it", "too long", "half a header", "nothing"],
)
def test_what_is_no_lone_packet_is_left_alone(packet: bytes) -> None:
    framer = Framer(max_size=10)
    assert framer.lone(packet) is None
    assert (framer.expected, framer.buffered) == (0, 0)


@pytest.mark.parametrize("size", [MAX_PAYLOAD - 1, MAX_PAYLOAD, MAX_PAYLOAD + 1, 2 * MAX_PAYLOAD])
def test_payloads_around_sixteen_mebibytes(size: int) -> None:
    data = frame(b"a" * size, 0)
    assert len(data) == size + 4 * (size // MAX_PAYLOAD + 1)
    framer = Framer()
    found: list[bytes] = []
    for start in range(0, len(data), 1 << 16):
        framer.feed(data[start : start + (1 << 16)])
        found += everything(framer)
    assert found == [b"a" * size]


def test_a_large_packet_in_small_chunks_takes_linear_time() -> None:
    data = frame(b"a" * (8 << 20), 0)
    framer = Framer()
    began = time.process_time()
    for start in range(0, len(data), 4096):
        framer.feed(data[start : start + 4096])
        framer.next()
    assert time.process_time() - began < 1


def test_a_payload_over_the_limit_is_refused_from_its_header() -> None:
    framer = Framer(max_size=100)
    framer.feed(frame(b"a" * 101, 0)[:4])
    with pytest.raises(PacketTooLarge):
        framer.next()


def test_a_payload_over_the_limit_in_its_second_packet_is_refused() -> None:
    framer = Framer(max_size=MAX_PAYLOAD + 10)
    framer.feed(frame(b"a" * (MAX_PAYLOAD + 11), 0))
    with pytest.raises(PacketTooLarge):
        framer.next()


def test_a_wrong_sequence_id_is_refused() -> None:
    framer = Framer()
    framer.feed(frame(b"\x03SELECT 1", 1))
    with pytest.raises(PacketsOutOfOrder):
        framer.next()


def test_sequence_ids_wrap() -> None:
    data, after = frames([b"x"] * 300, 250)
    framer = Framer(expected=250)
    framer.feed(data)
    assert everything(framer) == [b"x"] * 300
    assert after == (250 + 300) % 256


@pytest.mark.parametrize("size", [1000, 1 << 16, 1 << 25])
@pytest.mark.parametrize("length", [101, MAX_PAYLOAD, MAX_PAYLOAD + 5])
def test_the_rest_of_a_payload_over_the_limit_is_passed_over_to_its_last_byte(length: int, size: int) -> None:
    framer = Framer(max_size=100)
    data, after = frames([bytes(length)], 0)
    framer.feed(data[:size])
    with pytest.raises(PacketTooLarge):
        framer.next()
    skipper = framer.skipper()
    assert framer.buffered == 0
    done = skipper.feed(b"")
    for start in range(size, len(data), size):
        assert not done
        done = skipper.feed(data[start : start + size])
    assert done
    assert skipper.sequence == after
