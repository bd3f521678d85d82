"""A live front end for blocking clients."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop

from dbmesh.backend.cluster import Cluster
from dbmesh.frontend.listener import Frontend, open_socket
from dbmesh.rules.model import DataSource, Listener, MeshRules, PoolRules
from dbmesh.sandbox import Server
from tests.wire.live import Live, RelayDoor


@pytest.fixture(scope="session")
def backend(servers: tuple[Server, Server]) -> DataSource:
    server = servers[0]
    server.script(["CREATE DATABASE IF NOT EXISTS wire_tests", "SET GLOBAL max_allowed_packet = 64*1024*1024"])
    account = server.account
    return DataSource(
        "ds_0", "wire_tests", account.user, account.password.encode(), server.host, server.port, pool=PoolRules(8)
    )


@pytest.fixture
def server(servers: tuple[Server, Server]) -> Server:
    return servers[0]


@pytest.fixture
def live(backend: DataSource, tmp_path: Path) -> Iterator[Live]:
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    tcp = open_socket(Listener("127.0.0.1", 0))
    unix = Listener(socket=str(tmp_path / "s"))

    async def start() -> Live:
        cluster = Cluster(MeshRules((), {}, {}, {"ds_0": backend}))
        door = RelayDoor(cluster)
        frontend = Frontend(door, max_connections=20, login_time_limit=5.0, max_packet=32 << 20)
        await frontend.serve(tcp)
        await frontend.serve(open_socket(unix))
        return Live(loop, frontend, door, cluster, tcp.getsockname()[1], unix.socket or "")

    live = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    yield live
    live.run(live.frontend.close())
    live.run(live.cluster.close())
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
