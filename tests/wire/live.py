"""A front end in a thread, whose sessions relay every statement to one MariaDB server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from dbmesh.backend.cluster import Cluster
from dbmesh.backend.connection import Connection
from dbmesh.backend.session_state import DEFAULT_STATE
from dbmesh.errors import AccessDenied, BackendLost, MeshError, UnknownCommand, UnknownDatabase
from dbmesh.frontend.connection import ClientConnection
from dbmesh.frontend.door import Session
from dbmesh.frontend.listener import Frontend
from dbmesh.frontend.tls import TlsEndpoint
from dbmesh.protocol.auth import NATIVE, Password
from dbmesh.protocol.commands import InitDb, Ping, Request, Statistics
from dbmesh.protocol.framing import frame
from dbmesh.protocol.response import error_packet, ok_packet
from dbmesh.rules.passwords import StoredPassword, plain, sha256_crypt

T = TypeVar("T")
SALT = b"saltstringsaltstring"
USERS = {
    "app": plain("sécret"),
    "empty": plain(""),
    "native": replace(plain("sécret"), sha2=None),
    "crypt": StoredPassword(crypt=b"$A$005$" + SALT + sha256_crypt("sécret".encode(), SALT, 5000)),
}


class RelaySession:
    """Relays statements; knows two databases, of which one is forbidden."""

    def __init__(self, client: ClientConnection, cluster: Cluster) -> None:
        self.client = client
        self.began = 0.0
        self.cluster = cluster
        self.task: asyncio.Task[None] | None = None
        if client.login.database is not None:
            self.use(client.login.database)

    def use(self, name: str) -> None:
        if name == "forbidden":
            raise AccessDenied(f"Access denied for user 'app'@'{self.client.host}' to database 'forbidden'")
        if name != "shop":
            raise UnknownDatabase(name)

    def on_query(self, payload: bytes) -> None:
        self.began += 1
        if payload == b"\x03bug":
            raise ZeroDivisionError
        connection = self.cluster.acquire_nowait("ds_0", self.client.capabilities, DEFAULT_STATE)
        if connection is not None:
            connection.relay(frame(payload, 0), self.client)
        else:
            self.task = asyncio.get_running_loop().create_task(self.relay_later(payload))

    async def relay_later(self, payload: bytes) -> None:
        try:
            [connection] = await self.cluster.acquire(["ds_0"], self.client.capabilities, DEFAULT_STATE)
        except MeshError as error:
            self.client.send(error_packet(error))
            self.client.ready()
            return
        if self.client.closed:
            self.cluster.release(connection)
        else:
            connection.relay(frame(payload, 0), self.client)

    def on_command(self, request: Request) -> None:
        self.began += 1
        match request:
            case Ping():
                self.client.send(ok_packet())
            case Statistics():
                self.client.send(b"Uptime: 1")
            case InitDb(name=name):
                self.use(name.decode())
                self.client.send(ok_packet())
            case _:
                self.client.send(error_packet(UnknownCommand()))
        self.client.ready()

    def on_execute(self, payload: bytes) -> None:
        self.client.send(error_packet(UnknownCommand()))
        self.client.ready()

    def on_relay_stale(self, connection: Connection) -> None:
        raise AssertionError("no statement is prepared")

    def on_relay_end(self, connection: Connection) -> None:
        self.cluster.release(connection)
        self.client.ready()

    def on_relay_lost(self, connection: Connection, error: BackendLost, started: bool) -> None:
        self.cluster.release(connection, reusable=False)
        self.client.send(error_packet(error))
        self.client.ready()

    def on_lost(self) -> None:
        pass

    async def end(self) -> None:
        pass


class RelayDoor:
    server_version = "8.4.0-wire-test"

    def __init__(self, cluster: Cluster) -> None:
        self.plugin = NATIVE
        self.tls: TlsEndpoint | None = None
        self.cluster = cluster
        self.learned: dict[str, bytes] = {}

    def password_of(self, user: str) -> Password | None:
        known = USERS.get(user)
        return known and replace(known, sha2=self.learned.get(user, known.sha2))

    def learn(self, user: str, sha2: bytes) -> None:
        self.learned[user] = sha2

    def is_admin(self, user: str) -> bool:
        return user == "native"

    def open_session(self, connection: ClientConnection) -> Session:
        return RelaySession(connection, self.cluster)


@dataclass
class Live:
    """A front end in a thread of its own, so that blocking clients can talk to it."""

    loop: asyncio.AbstractEventLoop
    frontend: Frontend
    door: RelayDoor
    cluster: Cluster
    port: int
    tls_port: int
    socket: str

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def ask(self, question: Callable[[], T]) -> T:
        """The answer of a function that runs in the loop's thread."""

        async def answer() -> T:
            return question()

        return self.run(answer())

    def address(self, kind: str = "tcp") -> dict[str, Any]:
        if kind == "socket":
            return {"unix_socket": self.socket}
        return {"host": "127.0.0.1", "port": self.tls_port if kind == "required" else self.port}
