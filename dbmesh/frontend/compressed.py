"""A transport that compresses: between the real one (or TLS) and the connection's protocol object."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from dbmesh.errors import MeshError
from dbmesh.protocol.compression import Algorithm, Compression
from dbmesh.protocol.failures import ProtocolError


class CompressedTransport(asyncio.Transport, asyncio.Protocol):
    """The protocol object of ``transport``, and the transport of the protocol object that is set.

    ``on_failure``: told once, when what the client sends cannot be uncompressed. One packet is uncompressed at a time
    and only while its reader wants more, so that a few bytes cannot become many in memory.
    """

    def __init__(self, transport: asyncio.Transport, algorithm: Algorithm) -> None:
        super().__init__()
        self.on_failure: Callable[[MeshError], None] = lambda error: None
        self._transport = transport
        self._stream = Compression(algorithm)
        self._reader: asyncio.Protocol = asyncio.Protocol()
        self._paused = False
        self._delivering = False
        self._failed = False

    # -- the transport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._reader = cast(asyncio.Protocol, protocol)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._transport.write(self._stream.compress(bytes(data)))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._transport.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def pause_reading(self) -> None:
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """What has come already is given first, in a later turn of the loop."""
        if self._paused:
            self._paused = False
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._deliver()
        if not self._paused and not self._transport.is_closing():
            self._transport.resume_reading()

    # -- the protocol object

    def data_received(self, data: bytes) -> None:
        self._stream.feed(data)
        self._deliver()

    def _deliver(self) -> None:
        if self._delivering or self._failed:
            return
        self._delivering = True
        try:
            while not self._paused and not self._transport.is_closing():
                plain = self._stream.next()
                if plain is None:
                    break
                self._reader.data_received(plain)
        except ProtocolError as error:
            self._failed = True
            self.on_failure(error)
        finally:
            self._delivering = False

    def pause_writing(self) -> None:
        self._reader.pause_writing()

    def resume_writing(self) -> None:
        self._reader.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._reader.connection_lost(exc)
