"""The compressed protocol without IO: round trips in any pieces, and bytes that lie."""

from __future__ import annotations

import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.protocol.compression import PIECE, Algorithm, Compression, UncompressError, Zlib, Zstd
from dbmesh.protocol.failures import PacketsOutOfOrder

ALGORITHMS = pytest.mark.parametrize("algorithm", [Zlib(), Zstd(1), Zstd(22)])


def received(stream: Compression, data: bytes, size: int) -> bytes:
    plain = b""
    for start in range(0, len(data), size):
        stream.feed(data[start : start + size])
        while (more := stream.next()) is not None:
            plain += more
    return plain


@ALGORITHMS
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_what_one_side_sends_the_other_gets(algorithm: Algorithm, size: int) -> None:
    for plain in (b"", b"x", b"x" * 49, b"x" * 50, b"abc" * 1000, bytes(range(256)) * 10):
        packets = Compression(algorithm).compress(plain)
        assert received(Compression(algorithm), packets, size) == plain


@ALGORITHMS
def test_more_than_sixteen_mebibytes(algorithm: Algorithm) -> None:
    plain = b"0123456789abcdef" * (17 << 16)
    packets = Compression(algorithm).compress(plain)
    assert len(packets) < len(plain) / 50
    assert received(Compression(algorithm), packets, 1 << 16) == plain


@given(st.lists(st.binary(max_size=200), max_size=8), st.integers(1, 30))
def test_any_writes_in_any_pieces(writes: list[bytes], size: int) -> None:
    sender, receiver = Compression(Zlib()), Compression(Zlib())
    assert received(receiver, b"".join(map(sender.compress, writes)), size) == b"".join(writes)


def test_what_does_not_become_smaller_is_sent_as_it_is() -> None:
    data = zlib.compress(bytes(range(256)) * 3)
    assert Compression(Zlib()).compress(b"short") == b"\x05\x00\x00\x00\x00\x00\x00short"
    assert Compression(Zlib()).compress(data)[7:] == data


def test_an_answer_goes_on_from_the_command_s_sequence_id() -> None:
    server = Compression(Zlib())
    server.feed(b"\x01\x00\x00\x00\x00\x00\x00a" + b"\x01\x00\x00\x01\x00\x00\x00b")
    assert (server.next(), server.next()) == (b"a", b"b")
    assert server.compress(b"x")[3] == 2
    assert server.compress(b"y" * (PIECE + 1))[3] == 3
    assert server.compress(b"z")[3] == 5
    server.feed(b"\x01\x00\x00\x00\x00\x00\x00c")
    assert server.next() == b"c"
    assert server.compress(b"x")[3] == 1


def packet(data: bytes, size: int, sequence: int = 0) -> bytes:
    return len(data).to_bytes(3, "little") + bytes((sequence,)) + size.to_bytes(3, "little") + data


@pytest.mark.parametrize(
    ("algorithm", "data", "size"),
    [
        (Zlib(), b"rubbish", 10),
        (Zlib(), zlib.compress(b"x" * 100), 99),
        (Zlib(), zlib.compress(b"x" * 100), 101),
        (Zlib(), zlib.compress(b"x" * 100)[:-3], 100),
        (Zlib(), zlib.compress(b"\0" * (1 << 24)), 1000),
        (Zlib(), b"", 1),
        (Zstd(3), b"rubbish", 10),
        (Zstd(3), b"", 1),
        (Zstd(3), zstandard.compress(b"x" * 100), 99),
        (Zstd(3), zstandard.compress(b"x" * 100), 101),
        (Zstd(3), zstandard.compress(b"\0" * (1 << 24)), 1000),
        (Zstd(3), zstandard.ZstdCompressor(write_content_size=False).compress(b"\0" * (1 << 24)), 1000),
        (Zstd(3), zstandard.compress(b"x" * 1000)[:-2], 1000),
    ],
)
def test_bytes_that_do_not_become_what_they_say_are_an_error(algorithm: Algorithm, data: bytes, size: int) -> None:
    stream = Compression(algorithm)
    stream.feed(packet(data, size))
    with pytest.raises(UncompressError):
        stream.next()


def test_a_sequence_id_that_is_neither_the_next_nor_a_command_s_first_is_an_error() -> None:
    stream = Compression(Zlib())
    stream.feed(packet(b"a", 0, 5))
    with pytest.raises(PacketsOutOfOrder):
        stream.next()
