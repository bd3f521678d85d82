"""A shop for the tests of planning: rules, what the servers would say of its tables, and a session."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dbmesh.errors import UnknownTable
from dbmesh.plan.build import build
from dbmesh.plan.model import Bound, Plan, Scope
from dbmesh.rules import loader
from dbmesh.rules.model import MeshRules
from dbmesh.schema import Column, Table
from dbmesh.sql.fingerprint import fingerprint

MESH = """\
listeners: [127.0.0.1:3307]
users:
  app: {password: secret, databases: [shop, other]}
transaction: {log: ds_0}
"""
SHOP = """\
database: shop
data_sources:
  ds_0: {host: a, schema: shop_0, user: u, password: p}
  ds_1: {host: a, schema: shop_1, user: u, password: p}
tables:
  t_order:
    data_nodes: ds_{0..1}.t_order_{0..1}
    sharding: {column: user_id, algorithm: mod}
    key_generator: {column: order_id, type: snowflake}
  t_item:
    data_nodes: ds_{0..1}.t_item_{0..1}
    sharding: {column: user_id, algorithm: mod}
  t_log:
    data_nodes: ds_{0..1}.t_log_{0..1}
    sharding: {column: id, algorithm: mod}
    key_generator: {column: id, type: snowflake}
  t_token:
    data_nodes: ds_{0..1}.t_token
    sharding: {column: token, algorithm: hash_mod}
    key_generator: {column: token, type: uuid}
  t_day:
    data_nodes: ds_{0..1}.t_day
    sharding: {column: day, algorithm: hash_mod}
  t_pair:
    data_nodes: ds_{0..1}.t_pair_{0..1}
    data_source_sharding: {column: a, algorithm: mod}
    table_sharding: {column: b, algorithm: mod}
broadcast_tables:
  country: {}
single_tables:
  setting: {data_source: ds_1}
binding_groups:
  - [t_order, t_item]
default_data_source: ds_0
"""
OTHER = """\
database: other
data_sources:
  ds_9: {host: b, schema: other, user: u, password: p}
default_data_source: ds_9
"""


def text(name: str, length: int, nullable: bool = True) -> Column:
    """A character column with a binary collation."""
    return Column(
        name, "varchar", length=length, nullable=nullable, charset="utf8mb4", collation="utf8mb4_bin", pad=b" "
    )


COLUMNS = {
    "t_order": (
        Column("order_id", "bigint", nullable=False, auto_increment=True),
        Column("user_id", "bigint"),
        text("note", 20),
        Column("made", "datetime", default="current_timestamp()", scale=0, on_update=True),
        Column("secret", "int", invisible=True),
    ),
    "t_item": (
        Column("id", "bigint", nullable=False, auto_increment=True),
        Column("user_id", "bigint", default="7"),
        Column("price", "decimal", precision=9, scale=2),
    ),
    "t_log": (Column("id", "bigint", nullable=False), text("text", 20)),
    "t_token": (text("token", 36, nullable=False), Column("n", "int")),
    "t_day": (Column("day", "date"), Column("n", "int", default="current_timestamp()")),
    "t_pair": (Column("a", "int"), Column("b", "int"), Column("c", "int")),
    "country": (
        Column("id", "int", nullable=False, auto_increment=True),
        text("code", 2),
        Column("changed", "timestamp", nullable=False, default="current_timestamp()", scale=0, on_update=True),
    ),
    "setting": (text("k", 20, nullable=False), Column("v", "int")),
    "plain": (Column("id", "int", nullable=False, auto_increment=True), Column("v", "int")),
}
PRIMARY_KEYS = {"t_order": ("order_id",), "t_item": ("id",), "country": ("id",), "setting": ("k",)}


def load_rules() -> MeshRules:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in {"mesh": MESH, "shop": SHOP, "other": OTHER}.items():
            (Path(folder) / f"{name}.yaml").write_text(text)
        return loader.load(Path(folder), {})


RULES = load_rules()


class KnownTables:
    """``plan.model.Catalog`` from ``COLUMNS``."""

    async def table(self, data_source: str, actual_table: str) -> Table | None:
        for name, columns in COLUMNS.items():
            if actual_table.rstrip("_0123456789") == name:
                typed = tuple(replace(column, column_type=column.type) for column in columns)
                return Table(actual_table, typed, PRIMARY_KEYS.get(name, ()))
        raise UnknownTable("shop", actual_table)

    async def describe(self, data_source: str, sql: str) -> tuple[Column, ...] | None:
        return None

    async def is_mysql(self, data_source: str) -> bool:
        return False

    async def check(self, data_source: str, sql: str) -> None:
        return None


class Offline:
    """``plan.model.Catalog`` without servers."""

    async def table(self, data_source: str, actual_table: str) -> Table | None:
        return None

    async def describe(self, data_source: str, sql: str) -> tuple[Column, ...] | None:
        return None

    async def is_mysql(self, data_source: str) -> bool:
        return False

    async def check(self, data_source: str, sql: str) -> None:
        return None


class OneCall:
    """``plan.model.Call``: keys count from 101, the time stands still."""

    def __init__(self, strict: bool = True, zero_asks: bool = True) -> None:
        self.strict = strict
        self.zero_asks = zero_asks
        self._last = 100

    def session_value(self, name: str) -> str:
        return {"TIMESTAMP": "1767225600.123456", "DATABASE": "'shop'", "LAST_INSERT_ID": "42"}.get(name, "'?'")

    def next_key(self, table: str) -> int | str:
        self._last += 1
        return f"key-{self._last}" if table == "t_token" else self._last


def plan(sql: str, database: str | None = "shop", offline: bool = False) -> Plan:
    catalog = Offline() if offline else KnownTables()
    scope = Scope(None if database is None else RULES.databases[database], RULES, catalog)
    return asyncio.run(build(sql, fingerprint(sql), scope))


def bind(sql: str, call: OneCall | None = None, database: str | None = "shop", offline: bool = False) -> Bound:
    """The statement planned and bound; a plan's short cut must say what its bind says."""
    made = plan(sql, database, offline)
    literals = fingerprint(sql).literals
    bound = made.bind(literals, call or OneCall())
    short = made.relay(literals)
    if short is not None:
        assert [short] == [(unit.data_source, unit.sql) for unit in bound.units]
    return bound


def sent(sql: str, call: OneCall | None = None, database: str | None = "shop", offline: bool = False) -> Sequence[str]:
    """``data source: SQL`` of every route unit."""
    return [f"{unit.data_source}: {unit.sql}" for unit in bind(sql, call, database, offline).units]
