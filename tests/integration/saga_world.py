"""Two shards and a coordinator log on real servers, and proxies' saga machinery on them, without the wire around."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from dbmesh.backend.catalog import ServerCatalog
from dbmesh.backend.cluster import Cluster
from dbmesh.backend.connection import Connection
from dbmesh.backend.dial import dial
from dbmesh.backend.pool import Capabilities
from dbmesh.backend.session_state import DEFAULT_STATE, SessionState
from dbmesh.plan.model import RouteUnit, Write
from dbmesh.rules.model import DataSource, MeshRules, TransactionRules
from dbmesh.sandbox import Server
from dbmesh.transaction.base import Saga, Sagas
from dbmesh.transaction.ports import WriteResult
from dbmesh.transaction.recovery import Proxy


def rules_of(sources: dict[str, tuple[Server, str]], **times: float) -> MeshRules:
    """Rules with these data sources, the first of which holds the log."""
    found = {
        name: DataSource(
            name, schema, server.account.user, server.account.password.encode(), host=server.host, port=server.port
        )
        for name, (server, schema) in sources.items()
    }
    options: dict[str, Any] = {"lease": 1.5, "sweep": 0.1, "lock_wait": 1.0} | times
    transaction = TransactionRules(log=next(iter(found)), schema="_sagas", **options)
    return MeshRules((), {}, {}, found, transaction=transaction)


@dataclass
class Client:
    """A client's pooled connections: one per data source, in its session's state."""

    rules: MeshRules
    state: SessionState = DEFAULT_STATE
    found_rows: bool = False
    kept: dict[str, Connection] = field(default_factory=dict)
    lent: int = 0

    async def acquire(self, data_sources: Sequence[str]) -> list[Connection]:
        found = []
        for name in data_sources:
            connection = self.kept.pop(name, None)
            if connection is None or connection.closed:
                connection = await dial(self.rules.data_sources[name], Capabilities(self.found_rows, False))
            await connection.apply(self.state)
            found.append(connection)
            self.lent += 1
        return found

    def release(self, connection: Connection, reusable: bool) -> None:
        self.lent -= 1
        if reusable and connection.data_source not in self.kept:
            self.kept[connection.data_source] = connection
        else:
            connection.close()

    def close(self) -> None:
        for connection in self.kept.values():
            connection.close()


def insert(data_source: str, table: str, columns: Sequence[str], *rows: Sequence[str]) -> RouteUnit:
    listed = ", ".join(f"({', '.join(row)})" for row in rows)
    named = f" ({', '.join(columns)})" if columns else ""
    sql = f"INSERT INTO `{table}`{named} VALUES {listed}"
    write = Write("I", table, f"`{table}`", sql, insert_columns=tuple(columns), insert_rows=tuple(map(tuple, rows)))
    return RouteUnit(data_source, table, sql, write)


def upsert(data_source: str, table: str, columns: Sequence[str], rows: Sequence[Sequence[str]], kind: str) -> RouteUnit:
    """``kind``: 'IGNORE', 'REPLACE', or what ON DUPLICATE KEY UPDATE assigns."""
    listed = ", ".join(f"({', '.join(row)})" for row in rows)
    verb = {"IGNORE": "INSERT IGNORE", "REPLACE": "REPLACE"}.get(kind, "INSERT")
    tail = "" if kind in ("IGNORE", "REPLACE") else f" ON DUPLICATE KEY UPDATE {kind}"
    sql = f"{verb} INTO `{table}` ({', '.join(columns)}) VALUES {listed}{tail}"
    write = Write(
        "I",
        table,
        f"`{table}`",
        sql,
        insert_columns=tuple(columns),
        insert_rows=tuple(map(tuple, rows)),
        ignore=kind == "IGNORE",
        replace=kind == "REPLACE",
        on_duplicate=bool(tail),
    )
    return RouteUnit(data_source, table, sql, write)


def insert_select(data_source: str, table: str, columns: Sequence[str], query: str) -> RouteUnit:
    sql = f"INSERT INTO `{table}` ({', '.join(columns)}) {query}"
    return RouteUnit(data_source, table, sql, Write("I", table, f"`{table}`", sql, insert_columns=tuple(columns)))


def update(
    data_source: str, table: str, assignments: str, where: str = "", ignore: bool = False, **more: str
) -> RouteUnit:
    head = f"UPDATE {'IGNORE ' if ignore else ''}`{table}` SET {assignments}"
    names = tuple(re.findall(r"(?:^|,)\s*`?(\w+)`?\s*=", assignments))
    values = re.findall(r"(?:^|,)\s*`?\w+`?\s*=\s*((?:[^,(]|\([^)]*\))*)", assignments)
    write = Write(
        "U",
        table,
        f"`{table}`",
        head,
        where=where,
        set_columns=names,
        set_values=tuple(values) if len(values) == len(names) else (),
        ignore=ignore,
        **more,
    )
    return RouteUnit(data_source, table, head + (f" WHERE {where}" if where else ""), write)


def delete(data_source: str, table: str, where: str = "", ignore: bool = False, **more: str) -> RouteUnit:
    head = f"DELETE {'IGNORE ' if ignore else ''}FROM `{table}`"
    write = Write("D", table, f"`{table}`", head, where=where, ignore=ignore, **more)
    return RouteUnit(data_source, table, head + (f" WHERE {where}" if where else ""), write)


def dump(server: Server, schema: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every table's rows, each column as the bytes that are stored."""
    with closing(server.connection(schema)) as connection, connection.cursor() as cursor:
        cursor.execute("SET time_zone='+00:00'")
        cursor.execute("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA=%s ORDER BY 1", (schema,))
        found = {}
        for (table,) in cursor.fetchall():
            cursor.execute(
                "SELECT COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA=%s AND TABLE_NAME=%s"
                " ORDER BY ORDINAL_POSITION",
                (schema, table),
            )
            parts = [_exact(f"`{name}`", kind) for name, kind in cursor.fetchall()]
            order = ", ".join(str(number + 1) for number in range(len(parts)))
            cursor.execute(f"SELECT {', '.join(parts)} FROM `{table}` ORDER BY {order}")
            found[table] = list(cursor.fetchall())
        return found


def _exact(column: str, kind: str) -> str:
    if kind in ("float", "double"):
        return f"CAST({column}+0e0 AS CHAR)"
    if kind in ("tinyint", "smallint", "int", "bigint", "decimal", "year"):
        return f"CAST({column} AS CHAR)"  # HEX of a number rounds it
    if kind in ("bit", "set", "enum"):
        return f"CONCAT({column}+0, ':', HEX({column}))"
    return f"HEX({column})"


@dataclass
class World:
    """Data sources ds_0 (with the log) and ds_1, and any number of proxies and clients."""

    sources: dict[str, tuple[Server, str]]
    rules: MeshRules
    proxies: list[Proxy] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)
    clusters: list[Cluster] = field(default_factory=list)

    async def proxy(self, sweeping: bool = False) -> Proxy:
        """A proxy with its tables and its lease; its loops run only when asked for."""
        proxy = Proxy(self.rules)
        if sweeping:
            await proxy.start()
        else:
            await proxy.reach()
        self.proxies.append(proxy)
        return proxy

    def client(self, state: SessionState = DEFAULT_STATE, found_rows: bool = False) -> Client:
        client = Client(self.rules, state, found_rows)
        self.clients.append(client)
        return client

    def saga(self, proxy: Proxy, **options: Any) -> Saga:
        if not self.clusters:
            self.clusters.append(Cluster(self.rules))
        return Sagas(proxy).begin(ServerCatalog(self.clusters[0], self.rules), "test", **options)

    def script(self, *statements: str, data_source: str = "ds_0") -> None:
        server, schema = self.sources[data_source]
        server.script(statements, schema)

    def everywhere(self, *statements: str) -> None:
        for name in self.sources:
            self.script(*statements, data_source=name)

    def rows(self, sql: str, data_source: str = "ds_0") -> list[tuple[Any, ...]]:
        server, schema = self.sources[data_source]
        return server.rows(sql, database=schema)

    def dump(self) -> dict[str, dict[str, list[tuple[Any, ...]]]]:
        return {name: dump(server, schema) for name, (server, schema) in self.sources.items()}

    def clean(self) -> None:
        """Nothing is left behind by ended transactions but their records."""
        for name in self.sources:
            assert self.rows("SELECT * FROM _sagas.row_lock", name) == []
        for client in self.clients:
            assert client.lent == 0

    async def close(self) -> None:
        for client in self.clients:
            client.close()
        for proxy in self.proxies:
            await proxy.stop()
        for cluster in self.clusters:
            await cluster.close()


async def run(saga: Saga, client: Client, *units: RouteUnit, **options: Any) -> WriteResult:
    return await saga.execute(units, client, original="; ".join(unit.sql for unit in units), **options)
