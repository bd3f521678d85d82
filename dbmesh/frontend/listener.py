"""Where clients connect: listening sockets, the count of connections, and their end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
import socket
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from dbmesh.frontend.connection import ClientConnection
from dbmesh.frontend.door import Door, ShuttingDown, TooManyConnections
from dbmesh.frontend.idle import IdleClients
from dbmesh.frontend.login import Limits, Login
from dbmesh.protocol.auth import RsaKey
from dbmesh.protocol.framing import frame
from dbmesh.rules.model import Listener, ListenerTls

BACKLOG = 1024


def open_socket(listener: Listener) -> socket.socket:
    """A listening socket, which worker processes may inherit. Raises OSError that names the address.

    A Unix socket's file that is left of a process that died is removed; one that somebody listens on is not.
    """
    try:
        return _open_unix(listener.socket) if listener.socket is not None else _open_tcp(listener.host, listener.port)
    except OSError as error:
        raise OSError(error.errno, f"cannot listen on {listener}: {error.strerror or error}") from error


def _open_tcp(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _open_unix(path: str) -> socket.socket:
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
        os.chmod(path, 0o777)  # as MySQL's: who may enter is decided by the password
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _remove_stale(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise OSError(errno.EEXIST, "there is a file of that name that is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink(missing_ok=True)
            return
    raise OSError(errno.EADDRINUSE, "another process listens there")


def remove_socket_file(listener: Listener) -> None:
    """For the process that opened a Unix socket, when it has stopped listening."""
    if listener.socket is not None:
        Path(listener.socket).unlink(missing_ok=True)


class Frontend:
    """All clients of this process. ``connection_ids``: must not meet those of other processes of the mesh.

    ``idle_timeout``: seconds. One connection more than ``max_connections`` is for a user who may see what takes them.
    """

    def __init__(
        self,
        door: Door,
        max_connections: int = 1000,
        limits: Limits = Limits(),  # noqa: B008 - a frozen value
        idle_timeout: float = 28800.0,
        connection_ids: Iterator[int] | None = None,
    ) -> None:
        self.connections: set[ClientConnection] = set()
        self.max_connections = max_connections
        self._door = door
        self.limits = limits
        self._ids = connection_ids or itertools.count(1)
        self._rsa_key = RsaKey()
        self._logins: set[Login] = set()
        self._servers: list[asyncio.Server] = []
        self._emptied: asyncio.Event = asyncio.Event()
        self._idle = IdleClients(self.connections, idle_timeout)

    async def serve(self, sock: socket.socket, tls: ListenerTls = "off") -> None:
        """Accept clients of a listening socket."""
        loop = asyncio.get_running_loop()
        accept = partial(self._accept, tls)
        if sock.family == socket.AF_UNIX:
            server = await loop.create_unix_server(accept, sock=sock, backlog=BACKLOG)
        else:
            server = await loop.create_server(accept, sock=sock, backlog=BACKLOG)
        self._servers.append(server)
        self._idle.watch()

    def _accept(self, tls: ListenerTls) -> asyncio.BaseProtocol:
        if len(self.connections) + len(self._logins) > self.max_connections:
            return _Refusal()
        login: Login

        def ended(connection: ClientConnection | None) -> None:
            self._logins.discard(login)
            if connection is not None:
                self.connections.add(connection)

        login = Login(
            self._door,
            next(self._ids),
            self._rsa_key,
            self.limits,
            tls,
            self._admit,
            ended,
            self._on_closed,
        )
        self._logins.add(login)
        return login

    def _admit(self, user: str) -> None:
        """Raises TooManyConnections for the last place of all, unless the user is one for whom it is kept."""
        if len(self.connections) + len(self._logins) > self.max_connections and not self._door.is_admin(user):
            raise TooManyConnections()

    def _on_closed(self, connection: ClientConnection) -> None:
        self.connections.discard(connection)
        if not self.connections:
            self._emptied.set()

    async def stop_listening(self) -> None:
        """Take no new clients; those who are here stay. The sockets are closed."""
        for server in self._servers:
            server.close()
        self._servers.clear()

    async def close(self, grace: float = 5.0) -> None:
        """End: no new clients, every connection closed, waited for until ``grace`` seconds have gone."""
        await self.stop_listening()
        self._idle.stop()
        for login in list(self._logins):
            login.abort()
        for connection in list(self.connections):
            connection.dismiss(ShuttingDown())
        if self.connections:
            self._emptied.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._emptied.wait()
        for connection in list(self.connections):
            connection.abort()


class _Refusal(asyncio.Protocol):
    """One client too many. The packet stands where the greeting would, so it has no SQLSTATE."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        error = TooManyConnections()
        payload = b"\xff" + error.errno.to_bytes(2, "little") + error.message.encode()
        assert hasattr(transport, "write")
        transport.write(frame(payload, 0))
        transport.close()
