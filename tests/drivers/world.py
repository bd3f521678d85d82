"""The servers, the mesh and the tables that every driver is tried on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql

from dbmesh.sandbox import Server
from dbmesh.sandbox.endpoint import Account, Endpoint
from dbmesh.sandbox.mesh import Mesh
from tests.drivers import kinds
from tests.flavour import numbers

DATABASE = "lab"
ACCOUNT = Account("app", "secret")
MANY = 100_000

MESH_RULES = """
listeners: ["127.0.0.1:0"]
users:
  app: {password: secret, databases: [lab, copy, test1, test2, books], grants: [ddl]}
pools: {size: 12, wait_timeout: 10}
transaction: {log: ds_0}
"""
LAB_RULES = """
database: lab
data_sources:
  ds_0: {SERVER_0, schema: lab_0}
  ds_1: {SERVER_1, schema: lab_1}
tables:
"""
_SHARDED = """  {name}:
    data_nodes: ds_{{0..1}}.{name}_{{0..1}}
    sharding: {{column: id, algorithm: mod}}
"""
# tables that ORMs make and change themselves: authors by id, their books on the same data node
BOOKS_RULES = """
database: books
data_sources:
  books_0: {SERVER_0, schema: books_0}
  books_1: {SERVER_1, schema: books_1}
tables:
"""
_BOOKS = """  {prefix}author:
    data_nodes: books_{{0..1}}.{prefix}author_{{0..1}}
    sharding: {{column: id, algorithm: mod}}
    key_generator: {{column: id, type: snowflake}}
  {prefix}book:
    data_nodes: books_{{0..1}}.{prefix}book_{{0..1}}
    sharding: {{column: author_id, algorithm: mod}}
    key_generator: {{column: id, type: snowflake}}
"""
BOOKS_PREFIXES = ("", "library_")
_ELSEWHERE = """
database: {name}
data_sources:
  ds_{name}: {{SERVER_{server}, schema: {name}}}
default_data_source: ds_{name}
"""

TABLES = {
    "kinds": kinds.COLUMNS,
    "account": "id BIGINT PRIMARY KEY, owner VARCHAR(40) NOT NULL, balance INT NOT NULL",
    "paper": "id BIGINT PRIMARY KEY, body LONGBLOB",
    "many": "id BIGINT PRIMARY KEY, label VARCHAR(40), amount DECIMAL(12,2)",
}
SINGLE = "_alone"


@dataclass(frozen=True, slots=True)
class World:
    """``mesh`` shards each of ``TABLES`` and has it a second time unsharded, as ``<table>_alone``.

    ``plain`` is one server with the same tables.
    """

    mesh: Mesh
    plain: Server
    servers: tuple[Server, Server]

    def clear(self, table: str) -> None:
        """Empty a logical table, its single twin and the plain server's, past the mesh."""
        for number, server in enumerate(self.servers):
            names = [f"{table}_0", f"{table}_1", *([table + SINGLE] if number else [])]
            server.script([f"DELETE FROM {name}" for name in names], f"lab_{number}")
        self.plain.script([f"DELETE FROM {table}", f"DELETE FROM {table}{SINGLE}"], DATABASE)

    def nodes(self, table: str) -> Mapping[tuple[int, str], int | None]:
        """The actual tables (server, name) of a logical table, each with the remainder of its ids; None: all ids."""
        if table.endswith(SINGLE):
            return {(1, table): None}
        return {(number // 2, f"{table}_{number % 2}"): number for number in range(4)}

    def stored(self, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
        """All rows by id, the first column, read from the actual tables; each must be where its id belongs."""
        found = []
        for (server, name), remainder in self.nodes(table).items():
            rows = self.servers[server].rows(f"SELECT {columns} FROM {name}", (), f"lab_{server}")
            assert all(remainder in (None, row[0] % 4) for row in rows), f"{name} has rows of other data nodes"
            found += rows
        return sorted(found, key=lambda row: int(row[0]))

    def expected(self, table: str) -> list[tuple[Any, ...]]:
        """All rows by id on the plain server."""
        return self.plain.rows(f"SELECT * FROM {table} ORDER BY id", (), DATABASE)

    def shares(self, table: str) -> list[int]:
        """How many rows each actual table has."""
        return [
            int(self.servers[server].rows(f"SELECT COUNT(*) FROM {name}", (), f"lab_{server}")[0][0])
            for server, name in self.nodes(table)
        ]


def address(server: Endpoint) -> str:
    """A data source's address and account, for a rule file."""
    account = server.account
    return f"host: {server.host}, port: {server.port}, user: {account.user}, password: {account.password}"


def build(folder: Path, servers: tuple[Server, Server], plain: Server) -> World:
    """Create schemas and tables, write the rules, start the mesh."""
    lab = LAB_RULES + "".join(_SHARDED.format(name=name) for name in TABLES)
    lab += _SHARDED.format(name="sbtest1")  # sysbench makes it itself
    lab += "single_tables:\n" + "".join(f"  {name}{SINGLE}: {{data_source: ds_1}}\n" for name in TABLES)
    books = BOOKS_RULES + "".join(_BOOKS.format(prefix=prefix) for prefix in BOOKS_PREFIXES)
    books += f"binding_groups: {[[f'{prefix}author', f'{prefix}book'] for prefix in BOOKS_PREFIXES]}\n"
    texts = {
        "mesh": MESH_RULES,
        "lab": lab + "default_data_source: ds_0\n",
        "books": books + "default_data_source: books_0\n",
    }
    for number, name in enumerate(("copy", "test1", "test2")):
        texts[name] = _ELSEWHERE.format(name=name, server=number % 2)
        servers[number % 2].script([f"CREATE DATABASE {name}"])
    rules = folder / "drivers"
    rules.mkdir()
    for name, text in texts.items():
        for number, server in enumerate(servers):
            text = text.replace(f"SERVER_{number}", address(server))
        (rules / f"{name}.yaml").write_text(text)
    for number, server in enumerate(servers):
        server.script([f"CREATE DATABASE books_{number}"])
        names = [f"{name}_{part}" for name in TABLES for part in range(2)]
        _create(server, f"lab_{number}", [*names, *([name + SINGLE for name in TABLES] if number else [])])
    _create(plain, DATABASE, [*TABLES, *(name + SINGLE for name in TABLES)])
    plain.script(["CREATE DATABASE books"])
    plain.script(["CREATE USER app@'%' IDENTIFIED BY 'secret'", "GRANT ALL ON lab.* TO app@'%'"])
    # MySQL lets a client in without TLS and RSA after another one has proved the password to it
    pymysql.connect(host=plain.host, port=plain.port, user=ACCOUNT.user, password=ACCOUNT.password).close()
    _fill(servers, plain)
    mesh = Mesh(folder / "drivers_mesh", rules, ACCOUNT)
    try:
        mesh.start()
    except BaseException:
        mesh.close()
        raise
    return World(mesh, plain, servers)


def _create(server: Server, schema: str, names: list[str]) -> None:
    server.script([f"CREATE DATABASE {schema}", "SET GLOBAL max_allowed_packet = 64 << 20"])
    server.script([f"CREATE TABLE {name} ({TABLES[name.split('_')[0]]})" for name in names], schema)


def _fill(servers: tuple[Server, Server], plain: Server) -> None:
    """The rows that are only read: a hundred thousand in ``many``, one of each kind in ``kinds_source``."""
    select = f"SELECT seq, CONCAT('label ', seq), seq / 8 FROM {numbers(MANY)}"
    for number in range(4):
        values = f"INSERT INTO many_{number % 2} {select} WHERE seq MOD 4 = {number}"
        servers[number // 2].script([values], f"lab_{number // 2}")
    servers[1].script([f"INSERT INTO many{SINGLE} {select}"], "lab_1")
    plain.script([f"INSERT INTO many {select}", f"INSERT INTO many{SINGLE} {select}"], DATABASE)
    plain.script([f"CREATE TABLE kinds_source ({kinds.COLUMNS})"], DATABASE)
    plain.script([f"INSERT INTO kinds_source VALUES {', '.join(kinds.rows())}"], DATABASE)
