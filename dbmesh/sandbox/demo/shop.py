"""The demo's online shop: its tables, its rows, and the shards as one sees them without the mesh."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import closing
from decimal import Decimal
from typing import Any

import pymysql

from dbmesh.rules.model import DataNode, LogicalDatabase

DATABASE = "shop"
USERS = 1_000
ORDERS = 10_000
ACCOUNTS = 1_000
OPENING_BALANCE = Decimal("1000.00")
STATUSES = ("new", "paid", "sent", "returned")
_BATCH = 500

TABLES = (
    """CREATE TABLE t_order (
  order_id BIGINT NOT NULL PRIMARY KEY,
  user_id BIGINT NOT NULL,
  status VARCHAR(16) NOT NULL,
  amount DECIMAL(10,2) NOT NULL,
  KEY (user_id))""",
    """CREATE TABLE t_order_item (
  item_id BIGINT NOT NULL PRIMARY KEY,
  order_id BIGINT NOT NULL,
  user_id BIGINT NOT NULL,
  product VARCHAR(64) NOT NULL,
  quantity INT NOT NULL,
  KEY (user_id, order_id))""",
    """CREATE TABLE customer (
  email VARCHAR(120) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
  name VARCHAR(80) NOT NULL,
  region_id INT NOT NULL)""",
    """CREATE TABLE account (
  id BIGINT NOT NULL PRIMARY KEY,
  owner VARCHAR(80) NOT NULL,
  balance DECIMAL(12,2) NOT NULL,
  CHECK (balance >= 0))""",
    "CREATE TABLE region (region_id INT NOT NULL PRIMARY KEY, name VARCHAR(40) NOT NULL)",
    "CREATE TABLE audit (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, what VARCHAR(200) NOT NULL)",
)
REGIONS = ((1, "North"), (2, "East"), (3, "South"), (4, "West"))


def inserts() -> Iterator[tuple[str, list[tuple[object, ...]]]]:
    """Multi-row INSERTs that fill the shop: statement up to VALUES, and the rows. The same ones in every run."""
    dice = random.Random(2026)
    yield "INSERT INTO region (region_id, name) VALUES", list(REGIONS)
    customers = [(f"user{i}@example.org", f"User {i}", i % 4 + 1) for i in range(1, USERS + 1)]
    yield from _batches("INSERT INTO customer (email, name, region_id) VALUES", customers)
    accounts = [(i, f"User {i}", OPENING_BALANCE) for i in range(1, ACCOUNTS + 1)]
    yield from _batches("INSERT INTO account (id, owner, balance) VALUES", accounts)
    orders = [
        (dice.randint(1, USERS), dice.choice(STATUSES), Decimal(dice.randint(100, 99_999)) / 100) for _ in range(ORDERS)
    ]
    yield from _batches("INSERT INTO t_order (user_id, status, amount) VALUES", orders)


def _batches(statement: str, rows: Sequence[tuple[object, ...]]) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
    for start in range(0, len(rows), _BATCH):
        yield statement, list(rows[start : start + _BATCH])


class Shards:
    """The data nodes, each read over a direct connection to its server: what the mesh says is checked here."""

    def __init__(self, database: LogicalDatabase) -> None:
        self._database = database

    def nodes(self, table: str) -> tuple[DataNode, ...]:
        """Where the rules put the table."""
        rule = self._database.table(table)
        assert rule is not None
        return rule.nodes

    def home(self, table: str, key: int) -> DataNode:
        """The node of a key sharded by ``mod`` over all nodes: worked out here, without the mesh's router."""
        nodes = self.nodes(table)
        return nodes[key % len(nodes)]

    def by_node(self, table: str, select: str) -> dict[DataNode, list[tuple[Any, ...]]]:
        """What ``select``, with ``{table}`` for the actual table, gives on each data node."""
        return {node: self.rows(node.data_source, select.format(table=node.table)) for node in self.nodes(table)}

    def union(self, table: str, select: str) -> list[tuple[Any, ...]]:
        """The rows of all data nodes together."""
        return [row for rows in self.by_node(table, select).values() for row in rows]

    def rows(self, data_source: str, sql: str) -> list[tuple[Any, ...]]:
        """One statement straight on a data source."""
        source = self._database.data_sources[data_source]
        with (
            closing(
                pymysql.connect(
                    host=source.host,
                    port=source.port,
                    user=source.user,
                    password=source.password.decode(),
                    database=source.schema,
                    charset="utf8mb4",
                )
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(sql)
            return list(cursor.fetchall())
