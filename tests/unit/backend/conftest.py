"""One MariaDB server as a data source, over TCP and over its Unix socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from dbmesh.backend.cluster import Cluster
from dbmesh.rules.model import DataSource, MeshRules, PoolRules
from dbmesh.sandbox import Server

SCHEMA = "backend_tests"


@pytest.fixture(scope="session")
def server(servers: tuple[Server, Server]) -> Server:
    return servers[0]


@pytest.fixture(scope="session")
def schema(server: Server) -> Iterator[str]:
    server.script([f"CREATE DATABASE {SCHEMA}"])
    yield SCHEMA
    server.script([f"DROP DATABASE {SCHEMA}"])


@pytest.fixture(scope="session")
def source(server: Server, schema: str) -> DataSource:
    account = server.account
    return DataSource(
        "ds_0", schema, account.user, account.password.encode(), host=server.host, port=server.port, pool=PoolRules(4)
    )


@pytest.fixture(scope="session")
def socket_source(source: DataSource, server: Server) -> DataSource:
    return replace(source, host="", socket=server.socket)


@pytest.fixture
async def cluster(source: DataSource) -> AsyncIterator[Cluster]:
    """Two data sources of two connections each on the one server."""
    pool = PoolRules(size=2, wait_timeout=0.2)
    sources = {name: replace(source, name=name, pool=pool) for name in ("ds_0", "ds_1")}
    cluster = Cluster(MeshRules((), {}, {}, sources))
    yield cluster
    await cluster.close()
