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
from dbmesh.frontend.login import Limits
from dbmesh.frontend.tls import TlsEndpoint
from dbmesh.rules.model import DataSource, Listener, MeshRules, PoolRules, ServerTls
from dbmesh.sandbox import Server
from tests.certificates import Authority
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


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def endpoint(authority: Authority) -> TlsEndpoint:
    """A certificate for localhost; clients may have one of the same authority."""
    pair = authority.issue("mesh", "localhost", "127.0.0.1")
    return TlsEndpoint.load(ServerTls(pair.certificate, pair.key, authority.file), Path("/nonexistent"))


@pytest.fixture(params=["uvloop"])
def live(backend: DataSource, tmp_path: Path, endpoint: TlsEndpoint, request: pytest.FixtureRequest) -> Iterator[Live]:
    """``live.port`` takes TLS and plain clients, ``live.tls_port`` TLS only; a Unix socket is plain."""
    loop = uvloop.new_event_loop() if request.param == "uvloop" else asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    tcp = open_socket(Listener("127.0.0.1", 0))
    tls = open_socket(Listener("127.0.0.1", 0))
    unix = Listener(socket=str(tmp_path / "s"))

    async def start() -> Live:
        cluster = Cluster(MeshRules((), {}, {}, {"ds_0": backend}))
        door = RelayDoor(cluster)
        door.tls = endpoint
        frontend = Frontend(door, max_connections=20, limits=Limits(5.0, 32 << 20))
        await frontend.serve(tcp, "preferred")
        await frontend.serve(tls, "required")
        await frontend.serve(open_socket(unix))
        return Live(loop, frontend, door, cluster, tcp.getsockname()[1], tls.getsockname()[1], unix.socket or "")

    live = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    yield live
    live.run(live.frontend.close())
    live.run(live.cluster.close())
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
