"""Statements that build on each other: writes, transactions, session state. Both sides end with the same rows."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing

import pytest

from tests.differential.binary import connect
from tests.differential.check import disagreement, likeness
from tests.differential.statements import Statement, read, scenarios
from tests.differential.tables import DATABASE, TABLES
from tests.differential.world import World

_FILES = ("writes", "session")
_SCENARIOS = [
    pytest.param(statements, id=f"{name}: {title}") for name in _FILES for title, statements in scenarios(name)
]


def touched(statements: list[Statement]) -> list[str]:
    """The logical tables that they name."""
    words = set(re.findall(r"\w+", " ".join(statement.sql for statement in statements)))
    return [table for table in TABLES if table in words]


@pytest.mark.parametrize("statements", _SCENARIOS)
def test_a_scenario_goes_as_on_one_server(world: World, statements: list[Statement]) -> None:
    mesh, plain = world.connect()
    with closing(mesh), closing(plain):
        _play(world, statements, lambda statement: disagreement(statement, mesh, plain))


@pytest.mark.parametrize("statements", [scenario for scenario in _SCENARIOS if scenario.id.startswith("writes")])
def test_a_scenario_goes_so_with_prepared_statements(world: World, statements: list[Statement]) -> None:
    mesh, plain = world.connect()
    mesh.close()
    with closing(plain), connect(world.mesh, world.plain, DATABASE) as pair:
        _play(world, statements, lambda each: pair.disagreement(each, likeness(each, plain)))


def _play(world: World, statements: list[Statement], judge: Callable[[Statement], str | None]) -> None:
    tables = touched(statements)
    wrong: list[str] = []
    try:
        for statement in statements:
            found = judge(statement)
            wrong += [f"{statement}: {statement.sql}\n    {found}"] if found else []
        for table in tables:
            mine, theirs = world.dump(table)
            if mine != theirs:
                wrong.append(f"rows of {table}: only mesh {_only(mine, theirs)}; only plain {_only(theirs, mine)}")
    finally:
        world.restore(tables)
    assert not wrong, "\n".join(wrong)


def _only(mine: list[tuple[object, ...]], theirs: list[tuple[object, ...]]) -> list[str]:
    others = set(map(repr, theirs))
    return [row for row in map(repr, mine) if row not in others][:5]


def test_the_table_of_writes_is_large_enough() -> None:
    writes = [s for s in read("writes") if s.refusal is None and re.match("INSERT|REPLACE|UPDATE|DELETE", s.sql)]
    assert len(writes) > 120
