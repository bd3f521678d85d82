"""Servers whose default sql_mode is unusual: sessions that set none follow it, as on the servers themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from dbmesh.sandbox import Sandbox, Server
from dbmesh.sandbox.endpoint import Account
from dbmesh.sandbox.mesh import Mesh
from tests.integration.conftest import EMPTY_RULES, MESH_RULES, PERSON, TOWN_RULES, Town, write_rules
from tests.integration.test_session_pins import run

StartMesh = Callable[[str], Mesh]


@pytest.fixture
def under(town: Town, plain_server: Server, sandbox: Sandbox) -> Iterator[StartMesh]:
    """Starts a mesh over servers that have a default sql_mode."""
    servers = (*town.servers, plain_server)
    [(before,)] = plain_server.rows("SELECT @@GLOBAL.sql_mode")
    with ExitStack() as meshes:

        def start(mode: str) -> Mesh:
            for server in servers:
                server.script([f"SET GLOBAL sql_mode = '{mode}'"])
            rules = write_rules(sandbox.folder / "mode", town.servers, mesh=MESH_RULES, town=TOWN_RULES,
                                empty=EMPTY_RULES)  # fmt: skip
            mesh = Mesh(sandbox.folder / "mode_mesh", rules, Account("app", "secret"))
            mesh.start()
            meshes.callback(mesh.close)
            return mesh

        yield start
    for server in servers:
        server.script([f"SET GLOBAL sql_mode = '{before}'"])


STATEMENTS = [
    "SELECT @@sql_mode",
    r"SELECT 'a\', 'b'",
    "SET sql_mode = 'STRICT_ALL_TABLES'",
    r"SELECT 'a\', 'b'",
    "SET sql_mode = DEFAULT",
    r"INSERT INTO person (id, name) VALUES (1, 'x\'), (2, REPEAT('long', 20)), ('3x', 'y')",
    'SELECT "id", LENGTH("name") FROM "person" ORDER BY "id"',
    "SELECT COUNT(*) FROM person WHERE id = 3",
]


def test_the_default_mode_decides(under: StartMesh, plain_server: Server) -> None:
    plain_server.script(["DROP DATABASE IF EXISTS town", "CREATE DATABASE town"])
    plain_server.script([f"CREATE TABLE person {PERSON}"], "town")
    mesh = under("NO_BACKSLASH_ESCAPES,ANSI_QUOTES")
    ours, theirs = mesh.connection("town", user="app", password="secret"), plain_server.connection("town")
    with closing(ours), closing(theirs):
        for sql in STATEMENTS:
            assert run(ours, sql) == run(theirs, sql), sql


def test_a_variable_set_to_its_default_has_to_be_there(town: Town) -> None:
    with closing(town.connect()) as connection:
        assert run(connection, "SET SESSION nosuch = DEFAULT") == 1193
        assert run(connection, "SET SESSION sort_buffer_size = DEFAULT, div_precision_increment = 9") == ()
        assert run(connection, "SET SESSION max_connections = DEFAULT") == 1229
        assert run(connection, "SET SESSION `sort_buffer_size = 5, GLOBAL max_connections` = 5") == 1193
