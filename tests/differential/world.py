"""The same rows twice: sharded behind a mesh, and in one plain server."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql.connections
from pymysql.connections import Connection

from dbmesh.protocol.constants import FieldType
from dbmesh.route.keys import stored_value
from dbmesh.rules.loader import load
from dbmesh.rules.model import BroadcastTable, LogicalDatabase, ShardedTable, SingleTable
from dbmesh.sandbox import Server
from dbmesh.sandbox.endpoint import Account, Endpoint
from dbmesh.sandbox.mesh import Mesh
from tests.differential.table import Table
from tests.differential.tables import DATABASE, RULES, SOURCES, TABLES

MESH_RULES = """
listeners: ["127.0.0.1:0"]
users:
  app: {password: secret, databases: [diff], grants: [ddl]}
pools: {size: 6, wait_timeout: 5}
transaction: {log: ds_0}
"""
ACCOUNT = Account("app", "secret")
pymysql.connections.TEXT_TYPES.add(FieldType.VECTOR)  # which PyMySQL takes for ASCII
RAW: dict[Any, Any] = {str: lambda value, _=None: f"'{value}'", int: lambda value, _=None: str(value)}


@dataclass(frozen=True, slots=True)
class World:
    """``placed``: for each data source the rows of its actual tables, as text of INSERT's VALUES."""

    mesh: Mesh
    plain: Server
    servers: tuple[Server, Server]
    placed: dict[int, dict[str, list[str]]]

    def connect(self) -> tuple[Connection[Any], Connection[Any]]:
        """A client of the mesh and one of the plain server."""
        return raw_connection(self.mesh), raw_connection(self.plain)

    def restore(self, tables: Iterable[str]) -> None:
        """Put the rows of these logical tables back as they were."""
        names = set(tables)
        for source in range(SOURCES):
            actual = {
                name: self.placed[source][name]
                for name in self.placed[source]
                if name in names or name.removesuffix("_0").removesuffix("_1") in names
            }
            _fill(self.servers[source // 2], f"{DATABASE}_{source}", actual)
        _fill(self.plain, DATABASE, {name: _values(TABLES[name]) for name in names})
        if "diary" in names:
            following = len(TABLES["diary"].rows) + 1
            for server, schema in ((self.servers[0], f"{DATABASE}_1"), (self.plain, DATABASE)):
                server.script([f"ALTER TABLE diary AUTO_INCREMENT = {following}"], database=schema)

    def dump(self, table: str) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """All rows of a logical table: on the shards, which the mesh is not asked for, and on the plain server."""
        found: list[tuple[Any, ...]] = []
        for source in range(SOURCES):
            for name in self.placed[source]:
                if name == table or (name.removesuffix("_0").removesuffix("_1") == table and TABLES[table].key):
                    rows = self.servers[source // 2].rows(f"SELECT * FROM `{name}`", (), f"{DATABASE}_{source}")
                    found += rows
        if table == "region":
            copies = len(found) // SOURCES
            assert found == found[:copies] * SOURCES, "the copies of a broadcast table differ"
            found = found[:copies]
        return sorted(found, key=repr), sorted(self.plain.rows(f"SELECT * FROM `{table}`", (), DATABASE), key=repr)


def raw_connection(endpoint: Endpoint, charset: str = "utf8mb4") -> Connection[Any]:
    """A client of a server or of the mesh; values come as the text that was sent."""
    return endpoint.connection(DATABASE, conv=RAW, read_timeout=60, charset=charset)


def build(folder: Path, servers: tuple[Server, Server], plain: Server) -> World:
    """Create the schemas, write the rules, place the rows, start the mesh."""
    rules = folder / "differential"
    rules.mkdir()
    text = RULES
    for number, server in enumerate(servers):
        account = server.account
        address = f"host: {server.host}, port: {server.port}, user: {account.user}, password: {account.password}"
        text = text.replace(f"SERVER_{number}", address)
    (rules / "mesh.yaml").write_text(MESH_RULES)
    (rules / f"{DATABASE}.yaml").write_text(text)
    placed = _place(load(rules, {}).databases[DATABASE])
    for source in range(SOURCES):
        _create(servers[source // 2], f"{DATABASE}_{source}", placed[source])
    _create(plain, DATABASE, {name: _values(table) for name, table in TABLES.items()})
    mesh = Mesh(folder / "differential_mesh", rules, ACCOUNT)
    mesh.start()
    return World(mesh, plain, servers, placed)


def _values(table: Table) -> list[str]:
    return [f"({', '.join(row)})" for row in table.rows]


def _place(database: LogicalDatabase) -> dict[int, dict[str, list[str]]]:
    placed: dict[int, dict[str, list[str]]] = defaultdict(dict)
    for name, table in TABLES.items():
        rule = database.table(name)
        nodes = rule.nodes if isinstance(rule, ShardedTable | BroadcastTable) else ()
        if isinstance(rule, SingleTable):
            nodes = (rule.node,)
        for node in nodes:
            placed[int(node.data_source[-1])][node.table] = []
        for row in table.rows:
            homes = nodes
            if isinstance(rule, ShardedTable):
                homes = (nodes[rule.node_for(tuple(map(_key_value, table.key_of(row), table.key)))],)
            for node in homes:
                placed[int(node.data_source[-1])][node.table].append(f"({', '.join(row)})")
    return placed


def _key_value(literal: str, column: Any) -> Any:
    negative = literal.startswith("-")
    return stored_value(literal.removeprefix("-"), negative, column, True)


def _create(server: Server, schema: str, tables: dict[str, list[str]]) -> None:
    server.script([f"CREATE DATABASE {schema}"])
    creates = []
    for name in tables:
        logical = name if name in TABLES else name[:-2]
        creates.append(f"CREATE TABLE `{name}` ({TABLES[logical].columns})")
    server.script(creates, database=schema)
    _fill(server, schema, tables)


def _fill(server: Server, schema: str, tables: dict[str, list[str]]) -> None:
    with closing(server.connection(schema, autocommit=False)) as connection, connection.cursor() as cursor:
        for name, rows in tables.items():
            cursor.execute(f"DELETE FROM `{name}`")
            if rows:
                cursor.execute(f"INSERT INTO `{name}` VALUES {', '.join(rows)}")
        connection.commit()
