"""The bytes of a login.

No byte beyond the current packet is read, so that whatever follows it (a TLS ClientHello, a first command) is still in
the socket for the one it is meant for.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from dbmesh.errors import MeshError
from dbmesh.frontend.change_user import ChangeUser
from dbmesh.frontend.compressed import CompressedTransport
from dbmesh.frontend.connection import ClientConnection
from dbmesh.frontend.door import ClientLogin, ClientTls, Door, InsecureTransport, LoginDenied
from dbmesh.frontend.tls import TlsEndpoint
from dbmesh.protocol.auth import RsaKey, new_salt
from dbmesh.protocol.compression import Zlib, Zstd
from dbmesh.protocol.constants import Capability, Collation
from dbmesh.protocol.failures import BadHandshake, PacketsOutOfOrder
from dbmesh.protocol.framing import frame, frames
from dbmesh.protocol.handshake import Greeting
from dbmesh.protocol.login import ServerLogin, Verdict
from dbmesh.protocol.response import error_packet, ok_packet
from dbmesh.rules.model import ListenerTls

LONGEST_LOGIN = 1 << 16  # bytes of one packet: a name, a scramble and 64 KiB of attributes at most
TLS_SHUTDOWN = 2.0  # seconds for a client to answer that it has heard of the end

# Announced because they are true; what a client sets beyond them has no effect. LONG_PASSWORD is MariaDB's "I am a
# MySQL server", which keeps its clients from asking for extensions. SSL is added where the listener has it.
OFFERED = (
    Capability.LONG_PASSWORD
    | Capability.FOUND_ROWS
    | Capability.LONG_FLAG
    | Capability.CONNECT_WITH_DB
    | Capability.COMPRESS
    | Capability.LOCAL_FILES
    | Capability.IGNORE_SPACE
    | Capability.PROTOCOL_41
    | Capability.TRANSACTIONS
    | Capability.SECURE_CONNECTION
    | Capability.MULTI_STATEMENTS
    | Capability.MULTI_RESULTS
    | Capability.PS_MULTI_RESULTS
    | Capability.PLUGIN_AUTH
    | Capability.CONNECT_ATTRS
    | Capability.PLUGIN_AUTH_LENENC
    | Capability.SESSION_TRACK
    | Capability.DEPRECATE_EOF
    | Capability.ZSTD
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """``login_time``: seconds; ``max_packet``: bytes of one command."""

    login_time: float = 10.0
    max_packet: int = 64 << 20


class Login(asyncio.BufferedProtocol):
    """Greets, starts TLS, checks, and hands the transport over to a `ClientConnection`.

    ``admit`` raises for a user for whom there is no place. ``on_ended`` is called once: with the connection, which
    calls its own ``on_closed`` later, or with None.
    """

    def __init__(
        self,
        door: Door,
        connection_id: int,
        rsa_key: RsaKey,
        limits: Limits,
        tls: ListenerTls,
        admit: Callable[[str], None],
        on_ended: Callable[[ClientConnection | None], None],
        on_closed: Callable[[ClientConnection], None],
    ) -> None:
        self._door = door
        self._connection_id = connection_id
        self._rsa_key = rsa_key
        self._limits = limits
        self._endpoint: TlsEndpoint | None = None if tls == "off" else door.tls
        self._tls_required = tls == "required"
        self._tls: ClientTls | None = None
        self._handshake: asyncio.Task[None] | None = None
        self._admit = admit
        self._on_ended: Callable[[ClientConnection | None], None] | None = on_ended
        self._on_closed = on_closed
        self._sequence = 0
        self._expect(4, header=True)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "set_write_buffer_limits")
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._host = _host(transport)
        _keep_alive(transport)
        self._timer = asyncio.get_running_loop().call_later(self._limits.login_time, self._transport.abort)
        greeting = Greeting(
            self._door.server_version,
            self._connection_id,
            new_salt(),
            OFFERED if self._endpoint is None else OFFERED | Capability.SSL,
            Collation.UTF8MB4_GENERAL_CI,
            self._door.plugin,
        )
        self._login = ServerLogin(greeting, self._door.password_of, self._rsa_key, secure=self._host == "localhost")
        self._send(greeting.encode())

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._buffer)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        if self._filled < len(self._buffer):
            return
        try:
            self._on_filled(bytes(self._buffer))
        except MeshError as error:
            self._refuse(error)
        except Exception:
            _log.exception("the login of connection %s failed", self._connection_id)
            self._refuse(MeshError("Internal error of DBMesh; its log has the details"))

    def _on_filled(self, data: bytes) -> None:
        if self._in_header:
            length = int.from_bytes(data[:3], "little")
            if length > LONGEST_LOGIN:
                raise BadHandshake()
            if data[3] != self._sequence:
                raise PacketsOutOfOrder()
            self._sequence += 1
            if length:
                self._expect(length, header=False)
                return
            data = b""
        self._expect(4, header=True)
        self._on_payload(data)

    def _expect(self, length: int, header: bool) -> None:
        self._buffer = bytearray(length)
        self._filled = 0
        self._in_header = header

    def _on_payload(self, payload: bytes) -> None:
        verdict, replies = self._login.receive(payload)
        if verdict is Verdict.START_TLS:
            self._transport.pause_reading()  # what is in the socket is for TLS
            self._handshake = asyncio.get_running_loop().create_task(self._start_tls())
            return
        response = self._login.response
        assert response is not None
        if self._tls_required and not self._login.secure:
            raise InsecureTransport()
        if verdict is Verdict.UNDECIDED:
            self._send(*replies)
            return
        if verdict is Verdict.DENIED:
            raise LoginDenied(response.user, self._host, self._login.used_password)
        if self._login.learned is not None:
            self._door.learn(response.user, self._login.learned)
        self._admit(response.user)
        login = ClientLogin(
            self._connection_id,
            response.user,
            self._host,
            response.database,
            response.capabilities & OFFERED,
            response.collation,
            response.attributes,
            self._tls,
            self._login.used_password,
        )
        self._hand_over(login, replies)

    async def _start_tls(self) -> None:
        """From here on ``_transport`` is the encrypted one. A handshake that fails ends the connection."""
        assert self._endpoint is not None
        try:
            transport = await asyncio.get_running_loop().start_tls(
                self._transport,
                self,
                self._endpoint.context,
                server_side=True,
                ssl_handshake_timeout=self._limits.login_time,
                ssl_shutdown_timeout=TLS_SHUTDOWN,
            )
            if transport is None or self._transport.is_closing():  # start_tls takes an aborted connection for a success
                raise ConnectionAbortedError("the connection has ended")
        except OSError as error:  # of the network, of TLS (ssl.SSLError), of time
            _log.info("connection %s from %s: no TLS: %s", self._connection_id, self._host, error)
            self._transport.abort()
            self.connection_lost(error)
            return
        self._transport = transport
        self._tls = _client_tls(transport.get_extra_info("ssl_object"))
        self._login.secure = True
        # What aborts a connection that takes too long must know the transport of now.
        when = self._timer.when()
        self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(when, transport.abort)

    def _hand_over(self, login: ClientLogin, replies: list[bytes]) -> None:
        transport, compressed = self._transport, self._compressed(login)
        connection = ClientConnection(login, compressed or transport, self._limits.max_packet, self._on_closed)
        session = self._door.open_session(connection)
        info = b"" if self._endpoint is None or self._tls is None else self._proof(self._endpoint)
        self._send(*replies, ok_packet(info=info))  # the last that is not compressed
        self._timer.cancel()
        connection.change_user = ChangeUser(self._door, connection, self._login).begin
        if compressed is not None:
            compressed.on_failure = partial(connection.dismiss, sequence=1)
            compressed.set_protocol(connection.as_protocol())
        transport.set_protocol(compressed or connection.as_protocol())
        self._end(connection)
        connection.begin(session)

    def _compressed(self, login: ClientLogin) -> CompressedTransport | None:
        """For a client that wants it; one that wants both gets zlib, as from a server."""
        if login.flags & Capability.COMPRESS:
            return CompressedTransport(self._transport, Zlib())
        if login.flags & Capability.ZSTD and self._login.response is not None:
            return CompressedTransport(self._transport, Zstd(self._login.response.zstd_level))
        return None

    def _proof(self, endpoint: TlsEndpoint) -> bytes:
        return self._login.certificate_proof(endpoint.fingerprint)

    def abort(self) -> None:
        self._transport.abort()

    def _send(self, *payloads: bytes) -> None:
        data, self._sequence = frames(payloads, self._sequence)
        self._transport.write(data)

    def _refuse(self, error: MeshError) -> None:
        self._transport.write(frame(error_packet(error), self._sequence & 0xFF))
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._end(None)

    def _end(self, connection: ClientConnection | None) -> None:
        on_ended, self._on_ended = self._on_ended, None
        if on_ended is not None:
            on_ended(connection)


def _client_tls(ssl_object: Any) -> ClientTls:
    cipher = ssl_object.cipher()
    return ClientTls(cipher[0] if cipher else "", ssl_object.version() or "", bool(ssl_object.getpeercert(True)))


def _keep_alive(transport: asyncio.BaseTransport) -> None:
    """A client whose machine has gone is noticed, if late."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _host(transport: asyncio.BaseTransport) -> str:
    """As MySQL has it in 'user'@'host': the client's address, or localhost for a Unix socket."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family == socket.AF_UNIX:
        return "localhost"
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if peer else "unknown"
