"""A client that is nothing but a socket: what goes out and what comes in, byte by byte."""

from __future__ import annotations

import socket
import ssl

from dbmesh.protocol.auth import NATIVE, native_scramble
from dbmesh.protocol.constants import Capability
from dbmesh.protocol.framing import frame
from dbmesh.protocol.handshake import HandshakeResponse
from dbmesh.protocol.response import Err, parse_err

CAPABILITIES = Capability.PROTOCOL_41 | Capability.SECURE_CONNECTION | Capability.PLUGIN_AUTH


class RawClient:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._received = b""

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes, size: int = 1 << 20) -> None:
        """In pieces of ``size`` bytes, each a segment of its own."""
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(data), size):
            self.socket.sendall(data[start : start + size])

    def packet(self) -> tuple[int, bytes]:
        """The next packet: sequence id and payload. Raises EOFError when there is none."""
        header = self._read(4)
        return header[3], self._read(int.from_bytes(header[:3], "little"))

    def _read(self, size: int) -> bytes:
        while len(self._received) < size:
            try:
                more = self.socket.recv(1 << 16)
            except ConnectionResetError:
                more = b""
            if not more:
                raise EOFError
            self._received += more
        data, self._received = self._received[:size], self._received[size:]
        return data

    def start_tls(self, size: int = 1 << 20, flags: int = CAPABILITIES, sequence: int = 1) -> None:
        """The SSLRequest, and the ClientHello right behind it, in pieces of ``size`` bytes; then the handshake."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing)
        request = frame((flags | Capability.SSL).to_bytes(4, "little") + bytes(28), sequence)
        ahead = request
        while True:
            try:
                tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                done = False
            self.send(ahead + outgoing.read(), size)
            ahead = b""
            if done:
                break
            incoming.write(self.socket.recv(1 << 16))
        self._tls, self._incoming, self._outgoing = tls, incoming, outgoing

    def send_encrypted(self, data: bytes, size: int = 1 << 20) -> None:
        """One TLS record for all of it; the record in pieces of ``size`` bytes."""
        self._tls.write(data)
        self.send(self._outgoing.read(), size)

    def decrypted(self) -> tuple[int, bytes]:
        """The next packet inside TLS."""
        header = self._decrypt(4)
        return header[3], self._decrypt(int.from_bytes(header[:3], "little"))

    def _decrypt(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            try:
                data += self._tls.read(size - len(data))
            except ssl.SSLWantReadError:
                more = self.socket.recv(1 << 16)
                if not more:
                    raise EOFError from None
                self._incoming.write(more)
        return data

    def error(self) -> Err:
        _, payload = self.packet()
        assert payload[0] == 0xFF, payload
        return parse_err(payload)

    def at_end(self) -> bool:
        """Whether the other side has closed."""
        try:
            self.packet()
        except EOFError:
            return True
        return False

    def login_packet(self, user: str = "app", password: str = "sécret", flags: int = CAPABILITIES) -> bytes:
        """The answer to the greeting, which is read for its salt."""
        return self.answer(self.packet()[1], 1, user, password, flags)

    def answer(self, greeting: bytes, sequence: int, user: str, password: str, flags: int) -> bytes:
        rest = greeting.index(b"\0", 1) + 5
        salt = greeting[rest : rest + 8] + greeting[rest + 27 : rest + 39]
        auth = native_scramble(password.encode(), salt)
        return frame(HandshakeResponse(flags, 1 << 24, 45, user, auth, None, NATIVE).encode(), sequence)

    def login(self) -> None:
        self.send(self.login_packet())
        assert self.packet()[1][0] == 0
