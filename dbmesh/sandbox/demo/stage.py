"""The demo's stage: two servers, four data sources, a mesh in front, and the way to each of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymysql.connections import Connection

from dbmesh.rules import loader
from dbmesh.sandbox.demo.narrator import Narrator
from dbmesh.sandbox.demo.shop import DATABASE, TABLES, Shards, inserts
from dbmesh.sandbox.endpoint import Account
from dbmesh.sandbox.mesh import Mesh
from dbmesh.sandbox.process import ServerError
from dbmesh.sandbox.sandbox import Sandbox
from dbmesh.sandbox.server import Server

APPLICATION = Account("shop", "shop")  # a user of sharding-rules/mesh.yaml, with the password it has by default


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything a step needs."""

    narrator: Narrator
    client: str  # shell command of the mysql client
    servers: tuple[Server, Server]
    mesh: Mesh
    shards: Shards

    def application(self, **options: Any) -> Connection[Any]:
        """A connection to the mesh as any application opens one, with PyMySQL."""
        return self.mesh.connection(DATABASE, **options)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Show a query, run it through the mesh, show its rows."""
        self.narrator.sql(sql)
        with closing(self.application()) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            rows = list(cursor.fetchall())
            self.narrator.table([column[0] for column in cursor.description or ()], rows)
        return rows

    def explain(self, sql: str) -> None:
        """Show what the mesh makes of a statement."""
        plan = self.mesh.rows(f"EXPLAIN FORMAT=MESH {sql}", database=DATABASE)
        self.narrator.sql("EXPLAIN FORMAT=MESH …")
        self.narrator.quote("\n".join(_first_of_many([str(row[0]) for row in plan])))

    def dbmesh(self, *arguments: str, quiet: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a command of the command line with the stage's rules and show its output; the caller judges its code."""
        if not quiet:
            self.narrator.sql(f"dbmesh {' '.join(arguments)}", "$ ")
        done = subprocess.run(
            [sys.executable, "-m", "dbmesh", *arguments, "--rules", str(self.mesh.rules)],
            env=os.environ | self.mesh.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if not quiet:
            self.narrator.quote(done.stdout + done.stderr)
        return done


@contextmanager
def stage(narrator: Narrator, rules: Path) -> Iterator[Stage]:
    """Servers, shop and mesh, ready to play; all gone when the block ends."""
    with Sandbox(narrator.say) as sandbox:
        with narrator.working("Starting two MariaDB servers"):
            servers = (sandbox.start("server_a"), sandbox.start("server_b"))
        environment = _environment(servers)
        database = loader.load(rules, environment).databases[DATABASE]
        for server in servers:
            schemas = sorted({s.schema for s in database.data_sources.values() if s.port == server.port})
            server.script([f"CREATE DATABASE `{schema}`" for schema in schemas])
            narrator.say(f"{server.name}: {server.host}:{server.port}, schemas {', '.join(schemas)}")
        mesh = Mesh(sandbox.folder / "mesh", rules, APPLICATION, environment)
        try:
            mesh.start()
            narrator.say(f"dbmesh serve --rules {rules}: listens on {mesh.host}:{mesh.port} and {mesh.socket}")
            with narrator.working("Creating the shop through the mesh"):
                _fill(mesh)
            yield Stage(narrator, sandbox.binaries.client, servers, mesh, Shards(database))
        except ServerError:
            narrator.quote(mesh.process.tail())
            raise
        finally:
            mesh.close()


def _first_of_many(lines: Sequence[str]) -> list[str]:
    """A plan with the first of its route units only: the others differ in the names of their tables."""
    units = [line for line in lines if re.match(r"  ds_\d+\.", line)]
    rest = [f"  … and {len(units) - 1} more"] if len(units) > 1 else []
    begin = lines.index(units[0]) + 1 if units else len(lines)
    return [*lines[:begin], *rest, *(line for line in lines[begin:] if line not in units)]


def _environment(servers: Sequence[Server]) -> dict[str, str]:
    """What sharding-rules/shop.yaml takes from the environment."""
    values = {}
    for letter, server in zip("AB", servers, strict=True):
        prefix = f"DBMESH_SERVER_{letter}"
        values[f"{prefix}_HOST"] = server.host
        values[f"{prefix}_PORT"] = str(server.port)
        values[f"{prefix}_USER"] = server.account.user
        values[f"{prefix}_PASSWORD"] = server.account.password
    return values


def _fill(mesh: Mesh) -> None:
    with closing(mesh.connection(DATABASE)) as connection, connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(table)
        for statement, rows in inserts():
            values = ", ".join(["(" + ", ".join(["%s"] * len(rows[0])) + ")"] * len(rows))
            cursor.execute(f"{statement} {values}", [value for row in rows for value in row])
