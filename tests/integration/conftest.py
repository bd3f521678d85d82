"""A running mesh over two servers, shared by the tests of this folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pymysql.connections import Connection

from dbmesh.sandbox import Sandbox, Server
from dbmesh.sandbox.endpoint import Account
from dbmesh.sandbox.mesh import Mesh
from tests.integration import schema_world
from tests.integration.schema_world import SchemaWorld

MESH_RULES = """
listeners: ["127.0.0.1:0"]
users:
  app: {password: secret, databases: [town], grants: [ddl]}
  reader: {password: secret, databases: [town], access: read-only}
  plain: {password: secret, databases: [town]}
  stranger: {password: secret, databases: [empty]}
  admin: {password: secret, databases: ['*'], grants: [ddl, admin, file]}
pools: {size: 6, wait_timeout: 2}
gather_rows: 2000
transaction: {log: ds_0, lease: 3, sweep: 0.3, lock_wait: 0.4}
"""
EMPTY_RULES = """
database: empty
data_sources:
  ds_empty: {SERVER_0, schema: town_empty}
default_data_source: ds_empty
"""
TOWN_RULES = """
database: town
data_sources:
  ds_0: {SERVER_0, schema: town_0}
  ds_1: {SERVER_1, schema: town_1}
tables:
  person:
    data_nodes: ds_{0..1}.person_{0..1}
    sharding: {column: id, algorithm: mod}
    base: true
  note:
    data_nodes: ds_{0..1}.note
    sharding: {column: note_id, algorithm: mod}
    key_generator: {column: note_id, type: snowflake}
broadcast_tables:
  street: {base: true}
single_tables:
  diary: {data_source: ds_1}
default_data_source: ds_0
"""
PERSON = "(id BIGINT PRIMARY KEY, name VARCHAR(40), age INT, mail VARCHAR(40) UNIQUE)"
TABLES = {
    "person_0": PERSON,
    "person_1": PERSON,
    "note": "(note_id BIGINT PRIMARY KEY, body TEXT)",
    "street": "(id INT PRIMARY KEY, name VARCHAR(40))",
}


@dataclass(frozen=True, slots=True)
class Town:
    """The mesh and its servers; ``connect`` is a client of the mesh, ``shards`` looks past it."""

    mesh: Mesh
    servers: tuple[Server, Server]

    def connect(self, user: str = "app", database: str | None = "town", **options: Any) -> Connection[Any]:
        return self.mesh.connection(database, **{"user": user, "password": "secret"} | options)

    def shards(self, sql: str) -> list[list[tuple[Any, ...]]]:
        """The rows of one statement on each of the two data sources."""
        return [server.rows(sql, database=f"town_{n}") for n, server in enumerate(self.servers)]

    def persons(self) -> dict[int, str]:
        """id → name, read from the shards."""
        found: dict[int, str] = {}
        for rows in self.shards("SELECT id, name FROM person_0 UNION ALL SELECT id, name FROM person_1"):
            found |= dict(rows)
        return found


def write_rules(folder: Path, servers: tuple[Server, Server], **files: str) -> Path:
    """A rules directory; SERVER_n in the texts becomes that server's address and account."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(re.sub(r"SERVER_(\d)", lambda m: _address(servers[int(m[1])]), text))
    return folder


def _address(server: Server) -> str:
    account = server.account
    return f"host: {server.host}, port: {server.port}, user: {account.user}, password: {account.password}"


@pytest.fixture(scope="session")
def town_mesh(sandbox: Sandbox, servers: tuple[Server, Server]) -> Iterator[Town]:
    for number, server in enumerate(servers):
        server.script([f"CREATE DATABASE town_{number}"])
        server.script([f"CREATE TABLE {name} {columns}" for name, columns in TABLES.items()], f"town_{number}")
    servers[0].script(["CREATE DATABASE town_empty"])
    servers[1].script(["CREATE TABLE diary (id INT AUTO_INCREMENT PRIMARY KEY, line VARCHAR(40))"], database="town_1")
    rules = write_rules(sandbox.folder / "town", servers, mesh=MESH_RULES, town=TOWN_RULES, empty=EMPTY_RULES)
    mesh = Mesh(sandbox.folder / "town_mesh", rules, Account("app", "secret"))
    mesh.start()
    yield Town(mesh, servers)
    mesh.close()


@pytest.fixture(scope="session")
def lending(sandbox: Sandbox, servers: tuple[Server, Server], plain_server: Server) -> Iterator[SchemaWorld]:
    """A logical schema with everything that information_schema and SHOW speak of, and the same on a plain server."""
    rules = write_rules(sandbox.folder / "lending", servers, **schema_world.RULES)
    world = schema_world.build(sandbox.folder, rules, servers, plain_server)
    yield world
    world.mesh.close()


@pytest.fixture
def town(town_mesh: Town) -> Town:
    """Empty tables and no global transactions under way."""
    for number, server in enumerate(town_mesh.servers):
        names = [*TABLES, "diary"] if number else list(TABLES)
        server.script([f"TRUNCATE TABLE {name}" for name in names], database=f"town_{number}")
    return town_mesh


@pytest.fixture
def execute(town: Town) -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
    """Runs statements on one connection to the mesh and gives their rows."""
    with closing(town.connect()) as connection, connection.cursor() as cursor:

        def run(sql: str) -> list[tuple[Any, ...]]:
            cursor.execute(sql)
            return list(cursor.fetchall())

        yield run
