"""Making a connection: asyncmy dials, negotiates TLS and logs in; then its transport gets our protocol object."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

from asyncmy import errors as asyncmy_errors

from dbmesh.backend.connection import Connection
from dbmesh.backend.failures import Unreachable
from dbmesh.backend.pool import Capabilities
from dbmesh.backend.session_state import DEFAULT_CHARSET, DEFAULT_STATE
from dbmesh.backend.tls import TlsLogin
from dbmesh.protocol.constants import Capability
from dbmesh.rules.model import DataSource

# What a relayed client must not be able to use past the router. A local file is given by `Connection.load` only.
_NEVER = Capability.MULTI_STATEMENTS

# Seconds that a server waits for us to take more of a result: as long as a slow client, or the streams that are
# merged before this one, may take. The servers' own default of 60 would break such results off.
PATIENCE = 28800

# Seconds without a sign of life from a server's machine, until its connections are given up. A server that is merely
# slow, or stopped, answers on this level and is waited for.
GONE_SECONDS = 30


class _Login(TlsLogin):
    """asyncmy's connection with the capabilities of the pool's key instead of all that the server offers."""

    _transport: Any
    _client_flag: int

    def __init__(self, *, wanted: Capabilities, **options: Any) -> None:
        super().__init__(**options)
        self.wanted = wanted

    async def _get_server_information(self) -> None:
        await super()._get_server_information()
        if self.wanted.deprecate_eof and not self.server_capabilities & Capability.DEPRECATE_EOF:
            raise OSError("the server is too old: it does not know DEPRECATE_EOF")
        if not self.wanted.deprecate_eof:
            self.server_capabilities &= ~Capability.DEPRECATE_EOF
        self._client_flag = self._client_flag & ~_NEVER | Capability.LOCAL_FILES | Capability.PS_MULTI_RESULTS
        self._mariadb_ext_caps = 0  # otherwise asyncmy asks for MariaDB's own extensions

    def take_transport(self) -> asyncio.Transport:
        """The transport, which is no longer asyncmy's. Raises OSError when more was read than the login's answer."""
        transport: asyncio.Transport = self._transport
        protocol = self._proto
        if protocol.length != protocol.pos:
            transport.abort()
            raise OSError("the server spoke unasked")
        self._transport = None
        self._connected = False
        return transport


async def dial(source: DataSource, capabilities: Capabilities) -> Connection:
    """A new connection in `DEFAULT_STATE`. Raises Unreachable within ``connect_timeout`` seconds."""
    try:
        async with asyncio.timeout(source.pool.connect_timeout):
            return await _dial(source, capabilities)
    except TimeoutError as error:
        raise Unreachable(source.name, f"no answer within {source.pool.connect_timeout} s") from error
    except asyncmy_errors.MySQLError as error:
        raise Unreachable(source.name, _reason(error)) from error
    except (OSError, ValueError, EOFError, RuntimeError) as error:  # RuntimeError: it ended while being set up
        raise Unreachable(source.name, str(error) or type(error).__name__) from error


async def _dial(source: DataSource, capabilities: Capabilities) -> Connection:
    login = _Login(
        wanted=capabilities,
        host=source.host or None,
        port=source.port,
        unix_socket=source.socket,
        user=source.user,
        password=source.password,
        database=source.schema,
        charset=DEFAULT_CHARSET,
        client_flag=Capability.FOUND_ROWS if capabilities.found_rows else 0,
        connect_timeout=source.pool.connect_timeout,
        autocommit=None,
        tls=source.tls,
    )
    await login.connect()
    transport = login.take_transport()
    notice_death(transport.get_extra_info("socket"))
    connection = Connection(source.name, capabilities, transport, login.thread_id(), _version(login))
    transport.set_protocol(cast(asyncio.Protocol, connection))
    try:
        # The login's collation is only a wish to servers that skip the client's handshake.
        await connection.execute(DEFAULT_STATE.charset_statement())
        await connection.execute(f"SET net_write_timeout = {PATIENCE}")
    except BaseException:
        connection.close()
        raise
    return connection


def notice_death(sock: socket.socket | None) -> None:
    """Let the kernel end a connection whose machine is gone: nothing waits for it longer than `GONE_SECONDS`."""
    if sock is None or sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, GONE_SECONDS // 2)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, GONE_SECONDS // 6)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, GONE_SECONDS * 1000)


def _version(login: _Login) -> str:
    """MariaDB puts '5.5.5-' before its version, for old replicas."""
    version: str = login.server_version
    return version.removeprefix("5.5.5-")


def _reason(error: Exception) -> str:
    """asyncmy's errors are (errno, text); below its 2003 is the operating system's own."""
    if isinstance(error.__cause__, OSError):
        return error.__cause__.strerror or str(error.__cause__)
    return f"{error.args[1]} ({error.args[0]})" if len(error.args) > 1 else str(error)
