"""Packets in a byte stream: three bytes of length, one of sequence, the payload (protocol page "MySQL Packets").

A payload of 16 MiB and more travels in several packets; the last one is shorter than 0xFFFFFF, and may be empty.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from dbmesh.protocol.constants import MAX_PAYLOAD, Command
from dbmesh.protocol.failures import PacketsOutOfOrder, PacketTooLarge

_HEADER = struct.Struct("<I")
_pack_header = _HEADER.pack
_pack_query = struct.Struct("<IB").pack


def frame(payload: bytes, sequence: int) -> bytes:
    """The packet, or packets, of one payload; ``sequence`` is the first one's id."""
    length = len(payload)
    if length < MAX_PAYLOAD:
        return _pack_header(length | sequence << 24) + payload
    return frames((payload,), sequence)[0]


def query_packet(text: bytes) -> bytes:
    """A COM_QUERY. Hot."""
    length = len(text) + 1
    if length < MAX_PAYLOAD:
        return _pack_query(length, Command.QUERY) + text
    return frame(bytes((Command.QUERY,)) + text, 0)


def frames(payloads: Iterable[bytes], sequence: int) -> tuple[bytes, int]:
    """The packets of several payloads, and the sequence id that comes next."""
    parts: list[bytes] = []
    for payload in payloads:
        length = len(payload)
        pos = 0
        while length - pos >= MAX_PAYLOAD:
            parts.append(_pack_header(MAX_PAYLOAD | sequence << 24))
            parts.append(payload[pos : pos + MAX_PAYLOAD])
            sequence = (sequence + 1) & 0xFF
            pos += MAX_PAYLOAD
        parts.append(_pack_header((length - pos) | sequence << 24))
        parts.append(payload[pos:] if pos else payload)
        sequence = (sequence + 1) & 0xFF
    return b"".join(parts), sequence


class Framer:
    """Takes chunks as they arrive, gives payloads.

    ``expected`` is the sequence id the next packet must have and afterwards that of the packet behind it; the owner
    sets it to 0 where a new command begins. A payload is at most ``max_size`` bytes long.
    """

    __slots__ = ("_chunks", "_data", "_kept", "_needed", "_partial", "_pos", "expected", "max_size")

    def __init__(self, max_size: int = 64 << 20, expected: int = 0) -> None:
        self.max_size = max_size
        self.expected = expected
        self._data: bytes = b""
        self._pos = 0
        self._chunks: list[bytes] = []  # joined only when enough bytes are there: linear time for any splitting
        self._kept = 0
        self._needed = 0
        self._partial: list[bytes] = []

    @property
    def buffered(self) -> int:
        """Bytes that are held and were not given out."""
        return len(self._data) - self._pos + self._kept + sum(map(len, self._partial))

    @property
    def holding(self) -> bool:
        """Whether bytes are held that were not given out."""
        return self._pos < len(self._data) or self._kept > 0 or bool(self._partial)

    def lone(self, chunk: bytes) -> bytes | None:
        """The payload of a chunk that is one whole packet, the expected one, where nothing is held; else None.

        A short cut past `feed` and `next`: None has taken nothing. Hot.
        """
        length = len(chunk) - 4
        if (
            length < 0
            or chunk[0] | chunk[1] << 8 | chunk[2] << 16 != length
            or chunk[3] != self.expected
            or length > self.max_size
            or length == MAX_PAYLOAD
            or self._pos < len(self._data)
            or self._kept
            or self._partial
        ):
            return None
        self.expected = (self.expected + 1) & 0xFF
        return chunk[4:]

    def feed(self, chunk: bytes) -> None:
        if self._pos < len(self._data):
            self._keep()
        if not self._kept:
            self._data = chunk
            self._pos = 0
            return
        self._chunks.append(chunk)
        self._kept += len(chunk)
        if self._kept >= self._needed:
            self._data = b"".join(self._chunks)
            self._pos = 0
            self._chunks.clear()
            self._kept = 0

    def next(self) -> bytes | None:
        """The next whole payload, or None. Raises PacketTooLarge, and PacketsOutOfOrder; then the stream is lost."""
        while True:
            data = self._data
            pos = self._pos
            have = len(data) - pos
            if have < 4:
                if not self._kept:
                    self._keep(4)
                return None
            length = data[pos] | data[pos + 1] << 8 | data[pos + 2] << 16
            if data[pos + 3] != self.expected:
                raise PacketsOutOfOrder()
            if length > self.max_size or (self._partial and self._partial_size() + length > self.max_size):
                raise PacketTooLarge()
            end = pos + 4 + length
            if have < 4 + length:
                self._keep(4 + length)
                return None
            self._pos = end
            self.expected = (self.expected + 1) & 0xFF
            payload = data[pos + 4 : end]
            if length == MAX_PAYLOAD:
                self._partial.append(payload)
            elif self._partial:
                self._partial.append(payload)
                payload = b"".join(self._partial)
                self._partial.clear()
                return payload
            else:
                return payload

    def skipper(self) -> Skipper:
        """After PacketTooLarge: what passes over the rest of that payload. Nothing is held here any more."""
        skipper = Skipper()
        skipper.feed(self._data[self._pos :] + b"".join(self._chunks))
        self.__init__(self.max_size)  # type: ignore[misc]
        return skipper

    def _partial_size(self) -> int:
        return MAX_PAYLOAD * len(self._partial)

    def _keep(self, needed: int = 0) -> None:
        rest = self._data[self._pos :]
        self._data = b""
        self._pos = 0
        if rest:
            self._chunks.insert(0, rest)
            self._kept += len(rest)
        self._needed = needed


class Skipper:
    """Passes over one payload, from a packet's header on. ``sequence``: the id behind the last packet's."""

    __slots__ = ("_head", "_last", "_left", "sequence")

    def __init__(self) -> None:
        self.sequence = 1
        self._head = b""
        self._left = 0
        self._last = False

    def feed(self, chunk: bytes) -> bool:
        """Whether the payload's last byte has passed."""
        pos = 0
        while not (self._last and not self._left):
            step = min(self._left, len(chunk) - pos)
            self._left -= step
            pos += step
            if self._left or self._last:
                break
            wanted = 4 - len(self._head)
            self._head += chunk[pos : pos + wanted]
            pos += wanted
            if len(self._head) < 4:
                break
            self._left = int.from_bytes(self._head[:3], "little")
            self._last = self._left < MAX_PAYLOAD
            self.sequence = (self._head[3] + 1) & 0xFF
            self._head = b""
        return self._last and not self._left
