"""The mesh's own share of a relayed query: client connection, session, plan and server connection, without sockets.

Both transports only take what is written, so that neither the kernel nor the event loop counts: what is left moves
little with the load of the machine.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

import uvloop

from benchmarks import shards, sysbench
from benchmarks.point_select import KEY, PLAIN, TABLE
from dbmesh.backend.connection import Connection
from dbmesh.backend.pool import Capabilities
from dbmesh.frontend.connection import ClientConnection
from dbmesh.frontend.door import ClientLogin
from dbmesh.frontend.mesh import Mesh
from dbmesh.protocol.constants import Capability
from dbmesh.protocol.framing import query_packet
from dbmesh.rules.loader import load
from dbmesh.rules.model import MeshRules
from dbmesh.sandbox import Sandbox

QUERIES = 20_000
ROUNDS = 7
_LOGIN_FLAGS = Capability.PROTOCOL_41 | Capability.SECURE_CONNECTION | Capability.PLUGIN_AUTH


def measure() -> float:
    """Microseconds of CPU per point select, the best of some rounds."""
    with Sandbox() as sandbox:
        server = sandbox.start("mysql")
        sysbench.prepare(server, PLAIN)
        shards.split(server, PLAIN, TABLE, KEY)
        rules = load(shards.write_rules(sandbox.folder / "rules_hot", server, TABLE, KEY, "unix"), {})
        return uvloop.run(_measure(rules))


async def _measure(rules: MeshRules) -> float:
    mesh = Mesh(rules, lambda: rules)
    await mesh.start()
    taken = _Taken()
    client = ClientConnection(_login(), cast(asyncio.Transport, taken), 1 << 24, lambda connection: None)
    client.begin(mesh.open_session(client))
    for key in range(1, 1 + 2 * shards.SHARDS):  # makes the plan, and a connection to each data source
        await _ask(client, taken, _query(key))
    answer = taken.last
    servers = await _all_alike(mesh)
    sockets = [connection._transport for connection in servers]
    for connection in servers:
        connection._transport = cast(asyncio.Transport, _Taken())
    queries = [_query(number * 7919 % sysbench.TABLE_ROWS + 1) for number in range(QUERIES)]
    best = min(_round(client, servers, queries, answer) for _ in range(ROUNDS))
    assert taken.last is answer
    for connection, socket in zip(servers, sockets, strict=True):
        connection._transport = socket
    await mesh.stop(1.0)
    return best / QUERIES * 1e6


def _round(client: ClientConnection, servers: list[Connection], queries: list[bytes], answer: bytes) -> float:
    began = time.process_time()
    for query in queries:
        client.data_received(query)
        for connection in servers:
            if connection.busy:
                connection.data_received(answer)
                break
    return time.process_time() - began


async def _ask(client: ClientConnection, taken: _Taken, query: bytes) -> None:
    taken.last = b""
    client.data_received(query)
    while not taken.last or client.busy:  # noqa: ASYNC110 - the hot path has nobody to tell
        await asyncio.sleep(0.001)


async def _all_alike(mesh: Mesh) -> list[Connection]:
    """A pooled connection to each data source, in the state of the one session."""
    cluster = mesh.generation.cluster
    [session] = mesh.sessions
    connections = await cluster.acquire(list(mesh.rules.data_sources), Capabilities(), session.state)
    for connection in connections:
        await connection.apply(session.state)
        cluster.release(connection)
    return connections


class _Taken:
    """A transport. ``last``: what was written last."""

    def __init__(self) -> None:
        self.last = b""

    def write(self, data: bytes) -> None:
        self.last = data

    def is_closing(self) -> bool:
        return False

    def set_write_buffer_limits(self, **limits: Any) -> None:
        """Nothing is kept."""


def _login() -> ClientLogin:
    user = shards.USER.user
    return ClientLogin(1, user, "localhost", shards.DATABASE, _LOGIN_FLAGS, collation=45, attributes={})


def _query(key: int) -> bytes:
    return query_packet(b"SELECT c FROM %s WHERE id=%d" % (TABLE.encode(), key))
