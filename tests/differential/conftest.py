"""One world for all differential tests, and one pair of connections for what only reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from pymysql.connections import Connection

from dbmesh.sandbox import Sandbox, Server
from tests.differential.binary import Pair, connect
from tests.differential.tables import DATABASE
from tests.differential.world import World, build


@pytest.fixture(scope="session")
def world(sandbox: Sandbox, servers: tuple[Server, Server], plain_server: Server) -> Iterator[World]:
    world = build(sandbox.folder, servers, plain_server)
    yield world
    world.mesh.close()


@pytest.fixture(scope="session")
def binary(world: World) -> Iterator[Pair]:
    """Clients of prepared statements."""
    with connect(world.mesh, world.plain, DATABASE) as pair:
        yield pair


@pytest.fixture(scope="session")
def reading(world: World) -> Iterator[tuple[Connection[Any], Connection[Any]]]:
    """Connections to the mesh and to the plain server."""
    mesh, plain = world.connect()
    with closing(mesh), closing(plain):
        yield mesh, plain
