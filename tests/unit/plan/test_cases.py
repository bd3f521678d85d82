"""Golden cases: SQL and what EXPLAIN FORMAT=MESH prints for it. ``tests/cases/README.md`` says how to change them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from dbmesh.errors import MeshError, UnknownTable
from dbmesh.plan.build import build
from dbmesh.plan.explain import explain
from dbmesh.plan.model import Scope
from dbmesh.rules import loader
from dbmesh.schema import Column, Table
from dbmesh.sql.fingerprint import fingerprint
from dbmesh.sql.layout import select_layouts
from dbmesh.sql.tokens import tokens

CASES = Path(__file__).parents[2] / "cases"
RULES = loader.load(CASES / "rules", {})

GENERAL_CI = {"charset": "utf8mb4", "collation": "utf8mb4_general_ci", "pad": b"\x00 "}
BINARY = {"charset": "utf8mb4", "collation": "utf8mb4_bin", "pad": b"\x00\x00 "}
ORDER_COLUMNS = (
    Column("order_id", "bigint", nullable=False),
    Column("user_id", "bigint", nullable=False),
    Column("status", "varchar", length=20, **GENERAL_CI),
    Column("amount", "decimal", precision=10, scale=2),
    Column("weight", "float"),
    Column("size", "enum", **GENERAL_CI),
    Column("made", "datetime", scale=0),
    Column("region_id", "int"),
    Column("extra", "json"),
    Column("hidden", "int", invisible=True),
)
TABLES = {
    "t_order": ORDER_COLUMNS,
    "t_item": (
        Column("item_id", "bigint", nullable=False),
        Column("user_id", "bigint", nullable=False),
        Column("order_id", "bigint"),
        Column("price", "decimal", precision=10, scale=2),
    ),
    "customer": (Column("email", "varchar", length=60, **GENERAL_CI), Column("name", "varchar", length=40, **BINARY)),
    "reading": (Column("n", "int"), Column("value", "double")),
    "visit": (Column("day", "date", nullable=False), Column("who", "int")),
    "guarded": (Column("user_id", "bigint", nullable=False), Column("value", "int")),
    "pair": (Column("a", "int", nullable=False), Column("b", "int", nullable=False), Column("c", "int")),
    "region": (Column("id", "int", nullable=False), Column("name", "varchar", length=20, **BINARY)),
    "audit": (Column("id", "bigint"), Column("user_id", "bigint"), Column("text", "varchar", length=20, **BINARY)),
    "setting": (Column("k", "varchar", length=20, **BINARY), Column("v", "int")),
    "old": (Column("id", "int"),),
}
PRIMARY_KEYS = {"pair": ("a", "b")}
TEXT_FUNCTIONS = ("CONCAT", "UPPER", "LOWER")


class Servers:
    """``plan.model.Catalog``: columns are those of ``TABLES``, text functions utf8mb4_general_ci, the rest BIGINT."""

    async def table(self, data_source: str, actual_table: str) -> Table | None:
        name = actual_table.rstrip("_0123456789")
        if name not in TABLES:
            raise UnknownTable("?", actual_table)
        columns = tuple(replace(c, column_type=c.type) for c in TABLES[name])
        return Table(actual_table, columns, PRIMARY_KEYS.get(name, ()))

    async def describe(self, data_source: str, sql: str) -> tuple[Column, ...] | None:
        found = tokens(sql)
        items = next(layout for layout in select_layouts(found) if layout.depth == 0).items
        return tuple(self._column([token.name for token in found[item.first : item.last]]) for item in items)

    async def is_mysql(self, data_source: str) -> bool:
        return False

    async def check(self, data_source: str, sql: str) -> None:
        return None

    def _column(self, words: list[str]) -> Column:
        if words[0].upper() in TEXT_FUNCTIONS:
            return Column("text", "varchar", length=20, **GENERAL_CI)
        if words[0].upper() in ("MIN", "MAX") and len(words) == 4:
            words = words[2:3]
        known = {column.name: column for columns in TABLES.values() for column in columns}
        return known[words[-1]] if words[-1] in known and len(words) in (1, 3) else Column("number", "bigint")


class OneCall:
    """``plan.model.Call``: keys count from 101, the time stands still."""

    strict = True
    zero_asks = True

    def __init__(self) -> None:
        self._last = 100

    def session_value(self, name: str) -> str:
        if name.startswith("RELATION "):
            return "(logical rows)"
        return {"TIMESTAMP": "1767225600.123456", "DATABASE": "'shop'", "USER": "'app@localhost'"}.get(name, "42")

    def next_key(self, table: str) -> int | str:
        self._last += 1
        return self._last


def answer(case: dict[str, Any]) -> str:
    """What the mesh says to the statement of a case: its plan, or the error."""
    sql = case["sql"]
    shape = fingerprint(sql)
    database = RULES.databases[case.get("database", "shop")]
    try:
        plan = asyncio.run(build(sql, shape, Scope(database, RULES, Servers())))
        bound = plan.bind(shape.literals, OneCall())
    except MeshError as error:
        return f"ERROR {error.errno}: {error}"
    relayed = plan.relay(shape.literals)
    assert relayed is None or [relayed] == [(unit.data_source, unit.sql) for unit in bound.units]
    return explain(bound, plan)


FILES = sorted(path for path in CASES.glob("*.yaml") if not path.name.endswith(".corrected.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_case_of_the_file_prints_as_written(path: Path) -> None:
    cases = yaml.safe_load(path.read_text(encoding="utf-8"))
    corrected = [case | {"plan": answer(case)} for case in cases]
    beside = path.with_suffix(".corrected.yaml")
    if corrected == [case | {"plan": case.get("plan", "").rstrip("\n")} for case in cases]:
        beside.unlink(missing_ok=True)
        return
    beside.write_text("\n".join(map(written, corrected)), encoding="utf-8")
    wrong = [
        case["sql"]
        for case, right in zip(cases, corrected, strict=True)
        if case.get("plan", "").rstrip("\n") != right["plan"]
    ]
    pytest.fail(f"{len(wrong)} plans differ, first: {wrong[0]}\ncompare {path} with {beside}")


def written(case: dict[str, Any]) -> str:
    """One case as the files have it."""
    lines = [f"- sql: {quoted(case['sql'])}"]
    lines += [f"  {key}: {quoted(case[key])}" for key in case if key not in ("sql", "plan")]
    plan = case["plan"].replace("\n", "\n    ")
    return "\n".join([*lines, "  plan: |-", f"    {plan}", ""])


def quoted(value: object) -> str:
    return "null" if value is None else "'" + str(value).replace("'", "''") + "'"
