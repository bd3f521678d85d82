"""One data source on MySQL and one on MariaDB: told, by the command and in the log."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from dbmesh.cli.live import live_mistakes
from dbmesh.rules.loader import load
from dbmesh.sandbox import Sandbox, Server, find_server
from dbmesh.sandbox.endpoint import Account
from dbmesh.sandbox.mesh import Mesh
from tests.flavour import MYSQL
from tests.integration.conftest import write_rules

RULES = """
database: mixed
data_sources:
  ds_0: {SERVER_0, schema: mysql}
  ds_1: {SERVER_1, schema: mysql}
default_data_source: ds_0
"""
MESH = """
listeners: ["127.0.0.1:0"]
users:
  app: {password: secret, databases: [mixed]}
"""
pytestmark = pytest.mark.skipif(not MYSQL, reason="for 'make test-mysql', which has servers of both kinds")


@pytest.fixture
def mariadb() -> Iterator[Server]:
    binaries = find_server()
    if binaries is None or binaries.is_mysql:
        pytest.skip("no MariaDB server on this machine")
    with Sandbox(binaries=binaries) as sandbox:
        yield sandbox.start("mariadb")


def test_a_mixture_of_servers_is_told(sandbox: Sandbox, servers: tuple[Server, Server], mariadb: Server) -> None:
    rules = write_rules(sandbox.folder / "mixed", (servers[0], mariadb), mesh=MESH, mixed=RULES)
    [mistake] = asyncio.run(live_mistakes(load(rules, {})))
    assert mistake.startswith("data sources on MySQL (ds_0) and on MariaDB (ds_1)")
    mesh = Mesh(sandbox.folder / "mixed_mesh", rules, Account("app", "secret"))
    mesh.start()
    try:
        assert mistake in mesh.process.tail()
    finally:
        mesh.close()


def test_servers_of_one_kind_are_no_mistake(sandbox: Sandbox, servers: tuple[Server, Server]) -> None:
    rules = write_rules(sandbox.folder / "alike", servers, mesh=MESH, mixed=RULES)
    assert asyncio.run(live_mistakes(load(rules, {}))) == []
