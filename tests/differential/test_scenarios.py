"""Statements that build on each other: writes, transactions, session state. Both sides end with the same rows."""

from __future__ import annotations

import re
from contextlib import closing

import pytest

from tests.differential.check import disagreement
from tests.differential.statements import Statement, read, scenarios
from tests.differential.tables import TABLES
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
    tables = touched(statements)
    mesh, plain = world.connect()
    wrong: list[str] = []
    try:
        with closing(mesh), closing(plain):
            for statement in statements:
                found = disagreement(statement, mesh, plain)
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
