"""Routes: no data node with a matching row is ever left out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbmesh.errors import MeshError
from dbmesh.plan.build import build
from dbmesh.plan.model import Scope
from dbmesh.plan.select import SelectPlan
from dbmesh.route.placement import place
from dbmesh.rules import loader
from dbmesh.rules.model import ShardedTable
from dbmesh.schema import Column, Table
from dbmesh.sql.fingerprint import fingerprint

RULES = loader.load(Path(__file__).parents[2] / "cases" / "rules", {})
SHOP = RULES.databases["shop"]
INTEGERS = tuple(Column(name, "bigint") for name in ("n", "a", "b", "c", "value", "user_id", "order_id", "item_id"))


class Integers:
    """``plan.model.Catalog`` of tables whose columns are all BIGINT."""

    async def table(self, data_source: str, actual_table: str) -> Table | None:
        return Table(actual_table, INTEGERS)

    async def describe(self, data_source: str, sql: str) -> tuple[Column, ...] | None:
        return None

    async def is_mysql(self, data_source: str) -> bool:
        return False

    async def check(self, data_source: str, sql: str) -> None:
        return None


def nodes(sql: str) -> set[str]:
    """The data sources and tables that the statement goes to; all of them where it is refused."""
    shape = fingerprint(sql)
    plan = asyncio.run(build(sql, shape, Scope(SHOP, RULES, Integers())))
    assert isinstance(plan, SelectPlan)
    placement = place(plan.route, shape.literals)
    return {f"{p.data_source}.{table}" for p in placement.places for table in p.tables}


@dataclass(frozen=True)
class Condition:
    """SQL, and what MySQL makes of it for a row (None: NULL)."""

    sql: str
    holds: Callable[[dict[str, int | None]], bool | None]


OPERATORS: dict[str, Callable[[int, int], bool]] = {
    "=": lambda x, y: x == y, "<": lambda x, y: x < y, "<=": lambda x, y: x <= y,
    ">": lambda x, y: x > y, ">=": lambda x, y: x >= y, "<>": lambda x, y: x != y,
}  # fmt: skip
VALUES = st.integers(-3, 420)


def compared(column: str, operator: str, value: int) -> Condition:
    def holds(row: dict[str, int | None]) -> bool | None:
        found = row[column]
        return None if found is None else OPERATORS[operator](found, value)

    return Condition(f"{column} {operator} {value}", holds)


def listed(column: str, values: list[int]) -> Condition:
    def holds(row: dict[str, int | None]) -> bool | None:
        return None if row[column] is None else row[column] in values

    return Condition(f"{column} IN ({', '.join(map(str, values))})", holds)


def between(column: str, low: int, high: int) -> Condition:
    def holds(row: dict[str, int | None]) -> bool | None:
        found = row[column]
        return None if found is None else low <= found <= high

    return Condition(f"{column} BETWEEN {low} AND {high}", holds)


def null(column: str) -> Condition:
    return Condition(f"{column} IS NULL", lambda row: row[column] is None)


def negated(one: Condition) -> Condition:
    def holds(row: dict[str, int | None]) -> bool | None:
        found = one.holds(row)
        return None if found is None else not found

    return Condition(f"NOT ({one.sql})", holds)


def both(one: Condition, other: Condition) -> Condition:
    def holds(row: dict[str, int | None]) -> bool | None:
        found = {one.holds(row), other.holds(row)}
        return False if False in found else None if None in found else True

    return Condition(f"({one.sql} AND {other.sql})", holds)


def either(one: Condition, other: Condition) -> Condition:
    def holds(row: dict[str, int | None]) -> bool | None:
        found = {one.holds(row), other.holds(row)}
        return True if True in found else None if None in found else False

    return Condition(f"({one.sql} OR {other.sql})", holds)


def conditions(*columns: str) -> st.SearchStrategy[Condition]:
    names = st.sampled_from(columns)
    leaves = (
        st.builds(compared, names, st.sampled_from(list(OPERATORS)), VALUES)
        | st.builds(listed, names, st.lists(VALUES, min_size=1, max_size=3))
        | st.builds(between, names, VALUES, VALUES)
        | st.builds(null, names)
    )
    return st.recursive(
        leaves,
        lambda inner: st.builds(negated, inner) | st.builds(both, inner, inner) | st.builds(either, inner, inner),
        max_leaves=6,
    )


@pytest.mark.parametrize(
    ("table", "columns"), [("reading", ("n", "value")), ("pair", ("a", "b", "c")), ("t_order", ("user_id", "order_id"))]
)
def test_every_matching_row_is_on_a_chosen_node(table: str, columns: tuple[str, ...]) -> None:
    rule = SHOP.tables[table]
    assert isinstance(rule, ShardedTable)

    @settings(max_examples=150, deadline=None)
    @given(conditions(*columns), st.lists(st.tuples(*[st.none() | VALUES for _ in columns]), min_size=1, max_size=8))
    def check(condition: Condition, rows: list[tuple[int | None, ...]]) -> None:
        chosen = nodes(f"SELECT * FROM {table} WHERE {condition.sql}")
        for values in rows:
            row = dict(zip(columns, values, strict=True))
            if condition.holds(row):
                home = rule.nodes[rule.node_for(tuple(row[key] for key in rule.key_columns))]
                assert str(home) in chosen

    check()


@pytest.mark.parametrize(
    ("sql", "count"),
    [
        ("SELECT * FROM reading WHERE n = 5", 1),
        ("SELECT * FROM reading WHERE n IN (5, 150)", 2),
        ("SELECT * FROM reading r WHERE r.n = 5 AND value = 7", 1),
        ("SELECT * FROM reading r WHERE value = 5", 4),
        ("SELECT * FROM pair WHERE a = 1 AND b = 1", 1),
        ("SELECT * FROM pair WHERE b = 1", 2),
        ("SELECT * FROM pair WHERE a = 1 OR b = 1", 3),
        ("SELECT * FROM t_order o JOIN t_item i ON o.user_id = i.user_id WHERE i.user_id = 5", 2),
        ("SELECT * FROM t_order o JOIN t_item i ON o.user_id = i.user_id AND o.user_id = 5", 2),
        ("SELECT * FROM t_order o LEFT JOIN t_item i ON o.user_id = i.user_id WHERE o.user_id = 5", 2),
        ("SELECT * FROM t_order o LEFT JOIN t_item i ON o.user_id = i.user_id AND i.user_id = 5", 8),
        ("SELECT * FROM t_order o LEFT JOIN t_item i ON o.user_id = i.user_id WHERE i.user_id IS NULL", 8),
        ("SELECT * FROM t_order o RIGHT JOIN t_item i ON o.user_id = i.user_id WHERE i.user_id = 5", 2),
        ("SELECT * FROM t_order o RIGHT JOIN t_item i ON o.user_id = i.user_id WHERE o.user_id = 5", 8),
        ("SELECT * FROM t_order o JOIN t_item i USING (user_id) WHERE user_id = 5", 2),
        (
            "SELECT * FROM t_order o LEFT JOIN t_item i USING (order_id) WHERE o.user_id = i.user_id AND i.user_id = 5",
            2,
        ),
        ("SELECT * FROM t_order o LEFT JOIN t_item i USING (order_id) WHERE o.user_id = 5 AND i.user_id = 5", 2),
        ("SELECT * FROM t_order o RIGHT JOIN t_item i USING (order_id) WHERE o.user_id = 5 AND i.user_id = 5", 2),
        ("SELECT * FROM t_order o JOIN reading r ON r.n = o.user_id WHERE o.user_id = 5", 2),
        ("SELECT * FROM t_order o, reading r, pair p WHERE r.n = o.user_id AND r.n = p.a AND 0 = p.a AND p.b = 0", 3),
        ("SELECT * FROM t_order o NATURAL JOIN region WHERE user_id = 5", 2),
        (
            "SELECT * FROM t_order o WHERE user_id = 5 AND EXISTS (SELECT 1 FROM t_item i WHERE i.user_id = o.user_id)",
            2,
        ),
        ("SELECT * FROM t_order o WHERE EXISTS (SELECT 1 FROM region WHERE user_id = 5)", 6),
    ],
)
def test_conditions_restrict_the_reference_they_speak_of(sql: str, count: int) -> None:
    assert len(nodes(sql)) == count


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM region r JOIN t_order o USING (user_id) JOIN t_item i USING (order_id) WHERE user_id = 5",
        "SELECT * FROM t_order o JOIN t_item i ON o.order_id = i.order_id WHERE o.user_id = 5",
        "SELECT * FROM t_order o JOIN t_item i ON o.user_id = i.order_id",
        "SELECT * FROM (SELECT * FROM t_order) o WHERE o.user_id = 5",
        "SELECT * FROM t_order o WHERE user_id = 5 AND order_id IN (SELECT order_id FROM t_item)",
        "SELECT * FROM t_order o WHERE user_id = 5 UNION SELECT * FROM t_order o WHERE user_id = 6",
        "SELECT * FROM region r LEFT JOIN t_order o ON o.user_id = r.n WHERE r.n = 5",
        "SELECT * FROM t_order o JOIN (t_item i JOIN region r ON i.order_id = r.n) ON i.user_id = o.user_id",
    ],
)
def test_what_cannot_be_proved_to_be_on_one_node_is_refused(sql: str) -> None:
    with pytest.raises(MeshError, match="several data nodes"):
        nodes(sql)
