"""A benchmark's tables twice: sharded over four data sources behind a mesh, and in one plain server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymysql.connections import Connection

from dbmesh.sandbox import Server
from dbmesh.sandbox.endpoint import Account, Endpoint
from dbmesh.sandbox.mesh import Mesh

SHARDS = 4
MESH_RULES = """
listeners: ["127.0.0.1:0"]
users:
  app: {password: secret, databases: '*', grants: [ddl]}
pools: {size: 6, wait_timeout: 5}
transaction: {log: ds_0}
"""
_RAW: dict[Any, Any] = {str: lambda value, _=None: f"'{value}'", int: lambda value, _=None: str(value)}


@dataclass(frozen=True, slots=True)
class World:
    """``database``: its name on both sides."""

    mesh: Mesh
    plain: Server
    database: str

    def connect(self) -> tuple[Connection[Any], Connection[Any]]:
        """A client of the mesh and one of the plain server; values come as the text that was sent."""
        options: dict[str, Any] = {"conv": _RAW, "read_timeout": 100, "local_infile": True}
        return self.mesh.connection(self.database, **options), self.plain.connection(self.database, **options)

    def create(self, tables: Mapping[str, str]) -> None:
        """``tables``: name → body of CREATE TABLE."""
        for side in (self.mesh, self.plain):
            side.script([f"CREATE TABLE {name} ({body})" for name, body in tables.items()], self.database)

    def load(self, folder: Path, tables: Mapping[str, Sequence[Sequence[object]]]) -> None:
        """The rows of each table, as a file that both sides read."""
        for name, rows in tables.items():
            file = folder / f"{name}.tsv"
            file.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
            for connection in self.connect():
                with closing(connection), connection.cursor() as cursor:
                    cursor.execute(f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE {name} CHARACTER SET utf8mb4")
                    assert cursor.rowcount == len(rows)

    def dump(self, table: str) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """All rows of a table on both sides, sorted."""
        sides: tuple[Endpoint, Endpoint] = (self.mesh, self.plain)
        mine, theirs = (sorted(e.rows(f"SELECT * FROM {table}", (), self.database), key=repr) for e in sides)
        return mine, theirs


@contextmanager
def build(folder: Path, database: str, tables: str, servers: tuple[Server, Server], plain: Server) -> Iterator[World]:
    """Schemas, rules and a running mesh. ``tables``: the part of the rules behind the data sources."""
    rules = folder / database
    rules.mkdir()
    sources = []
    for shard in range(SHARDS):
        server = servers[shard * 2 // SHARDS]
        schema = f"{database}_{shard}"
        address = f"host: {server.host}, port: {server.port}, user: {server.account.user}"
        sources.append(f"  ds_{shard}: {{{address}, password: {server.account.password}, schema: {schema}}}\n")
        server.script([f"CREATE DATABASE {schema}"])
    plain.script([f"CREATE DATABASE {database}"])
    (rules / "mesh.yaml").write_text(MESH_RULES)
    (rules / f"{database}.yaml").write_text(f"database: {database}\ndata_sources:\n{''.join(sources)}{tables}")
    mesh = Mesh(folder / f"{database}_mesh", rules, Account("app", "secret"))
    for server in (*servers, plain):
        server.script(["SET GLOBAL local_infile = ON"])  # which MySQL has not by itself
    try:
        mesh.start()
        yield World(mesh, plain, database)
    finally:
        mesh.close()
