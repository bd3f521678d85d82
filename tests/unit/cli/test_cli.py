"""The command line without servers: check and explain."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dbmesh.cli import main
from dbmesh.cli.live import differing
from dbmesh.schema import Column, Table

RULES = str(Path(__file__).parents[3] / "sharding-rules")
BROKEN = """\
database: shop
data_sorces: {}
data_sources:
  ds_0: {host: h, port: 33o6, schema: s, user: u}
tables:
  a: {data_nodes: "ds_0.a_{0..1}", sharding: {column: id, algorithm: modd}}
  b: {data_nodes: ds_9.b, sharding: {column: id, algorithm: mod}}
  c: {data_nodes: "ds_0.c_{0..2}", sharding: {column: id, algorithm: {type: range, boundaries: [5, 3]}}}
binding_groups: [[a, nobody]]
"""


def test_check_says_that_good_rules_are_right() -> None:
    done = CliRunner().invoke(main, ["check", RULES])
    assert done.exit_code == 0
    assert done.output.rstrip().endswith("the rules are right")


def test_check_shows_every_mistake_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text('listeners: ["127.0.0.1:0"]\nusers: {}\n')
    (tmp_path / "shop.yaml").write_text(BROKEN)
    done = CliRunner().invoke(main, ["check", str(tmp_path)])
    assert done.exit_code == 2
    lines = [line for line in done.stderr.splitlines() if "shop.yaml:" in line]
    places = {int(line.split(":")[1]) for line in lines}
    assert {2, 4, 6, 7, 8, 9} <= places
    assert "did you mean 'data_sources'?" in done.stderr


def test_check_prints_a_schema_for_editors() -> None:
    done = CliRunner().invoke(main, ["check", "--schema", "database"])
    assert done.exit_code == 0
    assert "data_sources" in json.loads(done.output)["properties"]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT * FROM t_order WHERE user_id = 5", "SELECT: SINGLE"),
        ("SELECT * FROM t_order ORDER BY user_id", "ordered by"),
        ("SELECT * FROM audit", "SELECT: SINGLE"),
    ],
)
def test_explain_needs_no_server(sql: str, expected: str) -> None:
    done = CliRunner().invoke(main, ["explain", "--rules", RULES, sql])
    assert done.exit_code == 0, done.stderr
    assert expected in done.output


def test_explain_ends_with_1_and_the_reason_when_the_mesh_refuses() -> None:
    done = CliRunner().invoke(main, ["explain", "--rules", RULES, "SELECT IS_USED_LOCK('a')"])
    assert done.exit_code == 1
    assert "ERROR 1235 (42000): DBMesh cannot run this statement: " in done.stderr


def test_explain_of_an_unknown_database_is_a_usage_error() -> None:
    assert CliRunner().invoke(main, ["explain", "--rules", RULES, "--database", "x", "SELECT 1"]).exit_code == 2


def test_shards_that_differ_are_told_column_by_column() -> None:
    one = Table("t", (Column("id", "int", "int(11)", nullable=False), Column("a", "int", "int(11)")), ("id",))
    other = Table("t", (Column("id", "bigint", "bigint(20)", nullable=False), Column("b", "int", "int(11)")), ())
    assert differing("ds_0.t", one, "ds_1.t", other) == [
        "column id is int(11) NOT NULL in ds_0.t and bigint(20) NOT NULL in ds_1.t",
        "column a of ds_0.t is missing in ds_1.t",
        "column b of ds_1.t is missing in ds_0.t",
        "the primary key is (id) in ds_0.t and missing in ds_1.t",
    ]
