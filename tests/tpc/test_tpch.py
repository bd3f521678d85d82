"""The queries of TPC-H at scale factor 0.01: the mesh over four shards answers them as one server does."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pymysql.connections import Connection

from dbmesh.sandbox import Sandbox, Server
from tests.differential.outcome import Likeness, difference, run
from tests.tpc import tpch
from tests.tpc.world import World, build

# 0.01 by `make test-tpch`
FULL = 0.01
SCALE = float(os.environ.get("DBMESH_TPCH_SCALE", "0.002"))
RULES = """
tables:
  lineitem: {data_nodes: 'ds_{0..3}.lineitem', sharding: {column: l_orderkey, algorithm: mod}}
  orders: {data_nodes: 'ds_{0..3}.orders', sharding: {column: o_orderkey, algorithm: mod}}
  customer: {data_nodes: 'ds_{0..3}.customer', sharding: {column: c_custkey, algorithm: mod}}
  part: {data_nodes: 'ds_{0..3}.part', sharding: {column: p_partkey, algorithm: mod}}
  partsupp: {data_nodes: 'ds_{0..3}.partsupp', sharding: {column: ps_partkey, algorithm: mod}}
  supplier: {data_nodes: 'ds_{0..3}.supplier', sharding: {column: s_suppkey, algorithm: mod}}
broadcast_tables: {nation: {}, region: {}}
default_data_source: ds_0
binding_groups: [[orders, lineitem], [part, partsupp]]
"""
QUERIES = {
    number: text.strip()
    for number, text in re.findall(r"-- (q\d+)\n(.*?);\n", (Path(__file__).parent / "tpch.sql").read_text(), re.DOTALL)
}


@pytest.fixture(scope="module")
def world(sandbox: Sandbox, servers: tuple[Server, Server], plain_server: Server) -> Iterator[World]:
    with build(sandbox.folder, "tpch", RULES, servers, plain_server) as world:
        world.create(tpch.TABLES)
        world.load(sandbox.folder, tpch.Rows(SCALE).tables())
        yield world


@pytest.fixture(scope="module")
def sides(world: World) -> Iterator[tuple[Connection[Any], Connection[Any]]]:
    mesh, plain = world.connect()
    with closing(mesh), closing(plain):
        yield mesh, plain


def test_there_are_22_queries() -> None:
    assert len(QUERIES) == 22


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_of_tpch(sides: tuple[Connection[Any], Connection[Any]], query: str) -> None:
    mine, theirs = (run(side, QUERIES[query]) for side in sides)
    assert difference(mine, theirs, Likeness(ordered=True)) is None
    assert theirs.rows or SCALE < FULL, "a query without an answer shows nothing"
