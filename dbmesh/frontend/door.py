"""What a login and a connection ask of those above them: the mesh at the door, the session behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dbmesh.errors import BackendLost, MeshError
from dbmesh.frontend.tls import TlsEndpoint
from dbmesh.protocol.auth import Password
from dbmesh.protocol.commands import Request

if TYPE_CHECKING:
    from dbmesh.backend.connection import Connection
    from dbmesh.frontend.connection import ClientConnection


class LoginDenied(MeshError):
    """ER_ACCESS_DENIED_ERROR."""

    errno = 1045
    sqlstate = "28000"

    def __init__(self, user: str, host: str, used_password: bool) -> None:
        super().__init__(
            f"Access denied for user '{user}'@'{host}' (using password: {'YES' if used_password else 'NO'})"
        )


class TooManyConnections(MeshError):
    """ER_CON_COUNT_ERROR."""

    errno = 1040
    sqlstate = "08004"

    def __init__(self) -> None:
        super().__init__("Too many connections")


class UserLimitReached(MeshError):
    """ER_USER_LIMIT_REACHED: the user's own max_connections."""

    errno = 1226
    sqlstate = "42000"

    def __init__(self, user: str, limit: int) -> None:
        super().__init__(f"User '{user}' has exceeded the 'max_user_connections' resource (current value: {limit})")


class InsecureTransport(MeshError):
    """ER_SECURE_TRANSPORT_REQUIRED: the listener is for TLS only."""

    errno = 3159

    def __init__(self) -> None:
        super().__init__("Connections using insecure transport are prohibited: this listener of DBMesh requires TLS")


class ShuttingDown(MeshError):
    """ER_SERVER_SHUTDOWN."""

    errno = 1053
    sqlstate = "08S01"

    def __init__(self) -> None:
        super().__init__("Server shutdown in progress")


@dataclass(frozen=True, slots=True)
class ClientTls:
    """``cipher`` and ``version`` as OpenSSL names them; ``certified``: the client has shown a valid certificate."""

    cipher: str
    version: str
    certified: bool


@dataclass(frozen=True, slots=True)
class ClientLogin:
    """What a login agreed on. ``flags``: the capabilities that both sides have; ``collation``: an id."""

    id: int
    user: str
    host: str
    database: str | None
    flags: int
    collation: int
    attributes: dict[str, str]
    tls: ClientTls | None = None
    used_password: bool = True


class Door(Protocol):
    """What a login asks of the mesh. ``server_version`` and ``plugin`` go into the greeting."""

    @property
    def server_version(self) -> str: ...

    @property
    def plugin(self) -> str: ...

    @property
    def tls(self) -> TlsEndpoint | None:
        """What listeners with TLS use; a reload may replace it."""
        ...

    def password_of(self, user: str) -> Password | None:
        """None for a user who does not exist."""
        ...

    def learn(self, user: str, sha2: bytes) -> None:
        """The SHA256(SHA256(p)) of a user, so that the next login need not send the password."""
        ...

    def is_admin(self, user: str) -> bool:
        """Whether one more connection than all is for that user, to see what takes them."""
        ...

    def open_session(self, connection: ClientConnection) -> Session:
        """The session of a client whose password was right. Raises MeshError: 1044, 1045, 1049, 1115, 1226 …"""
        ...


class Session(Protocol):
    """Who answers a client's commands. All calls come from the event loop's callbacks and must not block.

    Each ``on_query``, ``on_execute`` and ``on_command`` is answered by exactly one ``connection.ready()``, at once or
    later.
    ``began``: something that is another with each command.
    """

    began: float

    def on_query(self, payload: bytes) -> None:
        """A COM_QUERY packet's payload: one byte of command, then the text in character_set_client."""
        ...

    def on_command(self, request: Request) -> None:
        """Any other command but COM_QUIT and COM_CHANGE_USER."""
        ...

    def on_relay_end(self, connection: Connection) -> None:
        """The whole response of a relayed command has been passed on; ``ready`` is still to be called."""
        ...

    def on_relay_lost(self, connection: Connection, error: BackendLost, started: bool) -> None:
        """A relay's connection ended, or was abandoned since the client had gone; it is still to be released.

        ``started``: bytes of the response were passed on, so no ERR can follow.
        """
        ...

    def on_execute(self, payload: bytes) -> None:
        """A COM_STMT_EXECUTE packet's payload, its command byte included."""
        ...

    def on_relay_stale(self, connection: Connection) -> None:
        """A relay's server has lost the statement; nothing has been passed on, the connection is to be released."""
        ...

    def on_lost(self) -> None:
        """The client has gone. Nothing is called afterwards."""
        ...

    async def end(self) -> None:
        """The client is to have another session: roll back, and give everything back. Nothing is called afterwards."""
        ...
