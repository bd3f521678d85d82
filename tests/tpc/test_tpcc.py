"""The five transactions of TPC-C: through the mesh and on one server they read the same and leave equal tables."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import pytest
from pymysql.connections import Connection

from dbmesh.sandbox import Sandbox, Server
from tests.differential.outcome import Likeness, Outcome, difference, run
from tests.tpc import tpcc
from tests.tpc.world import SHARDS, World, build

TRANSACTIONS = 120
KEYS = {
    "warehouse": "w_id", "district": "d_w_id", "customer": "c_w_id", "history": "h_w_id", "new_order": "no_w_id",
    "orders": "o_w_id", "order_line": "ol_w_id", "stock": "s_w_id",
}  # fmt: skip
RULES = (
    "tables:\n"
    + "".join(
        f"  {table}: {{data_nodes: 'ds_{{0..3}}.{table}', sharding: {{column: {key}, algorithm: mod}}}}\n"
        for table, key in KEYS.items()
    )
    + f"broadcast_tables: {{item: {{}}}}\ndefault_data_source: ds_0\nbinding_groups: [[{', '.join(KEYS)}]]\n"
)


@pytest.fixture(scope="module")
def world(sandbox: Sandbox, servers: tuple[Server, Server], plain_server: Server) -> Iterator[World]:
    with build(sandbox.folder, "tpcc", RULES, servers, plain_server) as world:
        world.create(tpcc.TABLES)
        world.load(sandbox.folder, tpcc.rows(SHARDS))
        yield world


class _Side:
    """Everything that was asked of one side, and what it answered."""

    def __init__(self, connection: Connection[Any]) -> None:
        self.connection = connection
        self.seen: list[tuple[str, Outcome]] = []

    def ask(self, sql: str) -> Sequence[Sequence[Any]]:
        outcome = run(self.connection, sql)
        assert not outcome.errno, f"{sql}: {outcome.errno} {outcome.message}"
        self.seen.append((sql, outcome))
        return [[value.decode() if value is not None else None for value in row] for row in outcome.rows]


def test_both_sides_read_the_same_and_end_with_equal_tables(world: World) -> None:
    mesh, plain = world.connect()
    with closing(mesh), closing(plain):
        sides = [_Side(mesh), _Side(plain)]
        terminals = [tpcc.Terminal(side.ask, random.Random(9), SHARDS) for side in sides]
        for _ in range(TRANSACTIONS):
            for terminal in terminals:
                terminal.transaction()
        for (sql, mine), (same, theirs) in zip(sides[0].seen, sides[1].seen, strict=True):
            assert sql == same
            assert difference(mine, theirs, Likeness("ORDER BY" in sql)) is None, sql
    for table in tpcc.TABLES:
        shards, server = world.dump(table)
        assert shards == server, table
    asked = " ".join(sql for sql, _ in sides[0].seen)
    assert all(word in asked for word in ("ROLLBACK", "INSERT INTO history", "DELETE FROM new_order", "COUNT(DISTINCT"))
