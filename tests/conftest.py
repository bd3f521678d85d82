"""Fixtures that several folders of tests share: real servers, started once per run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from dbmesh.sandbox import Sandbox, Server

MakeSchema = Callable[[Server, str], str]


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """An empty sandbox for the whole run: start further servers in it with ``sandbox.start(name)``."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def servers(sandbox: Sandbox) -> tuple[Server, Server]:
    """Two MariaDB servers to shard over. Shared by all tests: keep to schemas of your own (``make_schema``)."""
    return sandbox.start("mysql_0"), sandbox.start("mysql_1")


@pytest.fixture(scope="session")
def plain_server(sandbox: Sandbox) -> Server:
    """One more MariaDB server, unsharded, to compare the mesh's answers with."""
    return sandbox.start("plain")


@pytest.fixture
def own_server(sandbox: Sandbox) -> Iterator[Server]:
    """A server of this test alone, to be killed and restarted."""
    name = f"own_{len(sandbox.servers)}"
    server = sandbox.start(name)
    yield server
    sandbox.discard(name)


@pytest.fixture
def make_schema() -> Iterator[MakeSchema]:
    """Creates an empty schema on a server, dropped when the test ends: ``make_schema(server, "shop_0")``."""
    made: list[tuple[Server, str]] = []

    def make(server: Server, name: str) -> str:
        server.script([f"DROP DATABASE IF EXISTS `{name}`", f"CREATE DATABASE `{name}`"])
        made.append((server, name))
        return name

    yield make
    for server, name in made:
        server.script([f"DROP DATABASE IF EXISTS `{name}`"])
