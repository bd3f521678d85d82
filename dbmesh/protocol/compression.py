"""The compressed protocol: packets of their own around the stream of ordinary packets.

Protocol pages "Compressed Packet" and "Compression": three bytes of compressed length, one of sequence, three of length
before compression (0: not compressed). Its sequence ids are not those of the packets inside.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Final, Protocol

import zstandard

from dbmesh.protocol.failures import PacketsOutOfOrder, ProtocolError

SHORTEST: Final = 50  # bytes: less is not worth it (MIN_COMPRESS_LENGTH)
PIECE: Final = 1 << 18  # bytes before compression of one packet that we send
STRONGEST_ZSTD: Final = 9  # of ours: the levels above take time that other clients would have to wait for

_HEADER: Final = 7


class UncompressError(ProtocolError):
    """ER_NET_UNCOMPRESS_ERROR."""

    errno = 1157
    sqlstate = "08S01"

    def __init__(self) -> None:
        super().__init__("Couldn't uncompress communication packet")


class Algorithm(Protocol):
    def compress(self, data: bytes) -> bytes: ...

    def decompress(self, data: bytes, size: int) -> bytes:
        """The ``size`` bytes that ``data`` is made of, never more. Raises UncompressError."""
        ...


class Zlib:
    """CLIENT_COMPRESS; level 6, as MySQL's."""

    def compress(self, data: bytes) -> bytes:
        return zlib.compress(data, 6)

    def decompress(self, data: bytes, size: int) -> bytes:
        stream = zlib.decompressobj()
        try:
            plain = stream.decompress(data, size + 1)
        except zlib.error:
            raise UncompressError from None
        if len(plain) != size or not stream.eof:
            raise UncompressError
        return plain


class Zstd:
    """CLIENT_ZSTD_COMPRESSION_ALGORITHM. ``level``: 1 to 22, what the client wishes."""

    def __init__(self, level: int) -> None:
        self._compressor = _compressor(min(level, STRONGEST_ZSTD))

    def compress(self, data: bytes) -> bytes:
        return self._compressor.compress(data)

    def decompress(self, data: bytes, size: int) -> bytes:
        try:
            if zstandard.frame_content_size(data) > size:
                raise UncompressError
            plain = _decompressor().decompress(data, max_output_size=size)
        except zstandard.ZstdError:
            raise UncompressError from None
        if len(plain) != size:
            raise UncompressError
        return plain


@lru_cache(maxsize=STRONGEST_ZSTD)
def _compressor(level: int) -> zstandard.ZstdCompressor:
    """Each call of ``compress`` stands alone, so that all connections can share it and its memory."""
    return zstandard.ZstdCompressor(level)


@lru_cache(maxsize=1)
def _decompressor() -> zstandard.ZstdDecompressor:
    return zstandard.ZstdDecompressor()


class Compression:
    """Both directions of one connection, after its login.

    The sequence id of what we send goes on from the last packet received, which is right for a client that waits for
    its answer before it sends the next command; that is how clients that compress behave.
    """

    def __init__(self, algorithm: Algorithm) -> None:
        self._algorithm = algorithm
        self._sequence = 0
        self._received = bytearray()

    def compress(self, data: bytes) -> bytes:
        """The packets that carry those bytes of the ordinary stream."""
        parts: list[bytes] = []
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE]
            size = 0
            if len(piece) >= SHORTEST:
                packed = self._algorithm.compress(piece)
                if len(packed) < len(piece):
                    size, piece = len(piece), packed
            parts.append(len(piece).to_bytes(3, "little") + self._sequence.to_bytes(1, "little"))
            parts.append(size.to_bytes(3, "little") + piece)
            self._sequence = (self._sequence + 1) & 0xFF
        return b"".join(parts)

    def feed(self, chunk: bytes) -> None:
        """Take what has come. At most one packet's worth waits besides what the caller has not asked for."""
        self._received += chunk

    def next(self) -> bytes | None:
        """The bytes of the ordinary stream that the next whole packet carries; None until it is there.

        Raises PacketsOutOfOrder and UncompressError; then the stream is lost.
        """
        received = self._received
        if len(received) < _HEADER:
            return None
        length = int.from_bytes(received[:3], "little")
        if received[3] not in (0, self._sequence):  # 0: a new command
            raise PacketsOutOfOrder
        if len(received) < _HEADER + length:
            return None
        size = int.from_bytes(received[4:7], "little")
        data = bytes(received[_HEADER : _HEADER + length])
        self._sequence = (received[3] + 1) & 0xFF
        del received[: _HEADER + length]
        return self._algorithm.decompress(data, size) if size else data
