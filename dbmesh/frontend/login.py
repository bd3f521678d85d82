"""The bytes of a login.

No byte beyond the current packet is read, so that whatever follows it (a TLS ClientHello, a first command) is still in
the socket for the one it is meant for.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Protocol

from dbmesh.errors import MeshError
from dbmesh.frontend.connection import ClientConnection, ClientLogin, Session
from dbmesh.protocol.auth import Password, RsaKey, new_salt
from dbmesh.protocol.constants import Capability, Collation
from dbmesh.protocol.failures import BadHandshake, PacketsOutOfOrder
from dbmesh.protocol.framing import frame, frames
from dbmesh.protocol.handshake import Greeting
from dbmesh.protocol.login import ServerLogin, Verdict
from dbmesh.protocol.response import error_packet, ok_packet

LONGEST_LOGIN = 1 << 16  # bytes of one packet: a name, a scramble and 64 KiB of attributes at most

# Announced because they are true; what a client sets beyond them has no effect. LONG_PASSWORD is MariaDB's "I am a
# MySQL server", which keeps its clients from asking for extensions.
OFFERED = (
    Capability.LONG_PASSWORD
    | Capability.FOUND_ROWS
    | Capability.LONG_FLAG
    | Capability.CONNECT_WITH_DB
    | Capability.PROTOCOL_41
    | Capability.TRANSACTIONS
    | Capability.SECURE_CONNECTION
    | Capability.MULTI_STATEMENTS
    | Capability.MULTI_RESULTS
    | Capability.PLUGIN_AUTH
    | Capability.CONNECT_ATTRS
    | Capability.PLUGIN_AUTH_LENENC
    | Capability.DEPRECATE_EOF
)

_log = logging.getLogger(__name__)


class LoginDenied(MeshError):
    """ER_ACCESS_DENIED_ERROR."""

    errno = 1045
    sqlstate = "28000"

    def __init__(self, user: str, host: str, used_password: bool) -> None:
        super().__init__(
            f"Access denied for user '{user}'@'{host}' (using password: {'YES' if used_password else 'NO'})"
        )


class TooManyConnections(MeshError):
    """ER_CON_COUNT_ERROR, before the greeting."""

    errno = 1040
    sqlstate = "08004"

    def __init__(self) -> None:
        super().__init__("Too many connections")


class Door(Protocol):
    """What a login asks of the mesh. ``server_version`` and ``plugin`` go into the greeting."""

    @property
    def server_version(self) -> str: ...

    @property
    def plugin(self) -> str: ...

    def password_of(self, user: str) -> Password | None:
        """None for a user who does not exist."""
        ...

    def learn(self, user: str, sha2: bytes) -> None:
        """The SHA256(SHA256(p)) of a user, so that the next login need not send the password."""
        ...

    def open_session(self, connection: ClientConnection) -> Session:
        """The session of a client whose password was right. Raises MeshError: 1044, 1049, 1115 …"""
        ...


class Login(asyncio.BufferedProtocol):
    """Greets, checks, and hands the transport over to a `ClientConnection`.

    ``on_ended`` is called once: with the connection, which calls its own ``on_closed`` later, or with None.
    """

    def __init__(
        self,
        door: Door,
        connection_id: int,
        rsa_key: RsaKey,
        time_limit: float,
        max_packet: int,
        on_ended: Callable[[ClientConnection | None], None],
        on_closed: Callable[[ClientConnection], None],
    ) -> None:
        self._door = door
        self._connection_id = connection_id
        self._rsa_key = rsa_key
        self._time_limit = time_limit
        self._max_packet = max_packet
        self._on_ended: Callable[[ClientConnection | None], None] | None = on_ended
        self._on_closed = on_closed
        self._buffer = bytearray(4)
        self._filled = 0
        self._in_header = True
        self._sequence = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "set_write_buffer_limits")
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._host = _host(transport)
        _keep_alive(transport)
        self._timer = asyncio.get_running_loop().call_later(self._time_limit, self._transport.abort)
        greeting = Greeting(
            self._door.server_version,
            self._connection_id,
            new_salt(),
            OFFERED,
            Collation.UTF8MB4_GENERAL_CI,
            self._door.plugin,
        )
        secure = self._host == "localhost"
        self._login = ServerLogin(greeting, self._door.password_of, self._rsa_key, secure)
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
        if verdict is Verdict.UNDECIDED:
            self._send(*replies)
            return
        response = self._login.response
        assert response is not None
        if verdict is Verdict.DENIED:
            raise LoginDenied(response.user, self._host, self._login.used_password)
        if self._login.learned is not None:
            self._door.learn(response.user, self._login.learned)
        login = ClientLogin(
            self._connection_id,
            response.user,
            self._host,
            response.database,
            response.capabilities & OFFERED,
            response.collation,
            response.attributes,
        )
        self._hand_over(login, replies)

    def _hand_over(self, login: ClientLogin, replies: list[bytes]) -> None:
        connection = ClientConnection(login, self._transport, self._max_packet, self._on_closed)
        session = self._door.open_session(connection)
        self._send(*replies, ok_packet())
        self._timer.cancel()
        self._transport.set_protocol(connection)
        self._end(connection)
        connection.begin(session)

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
