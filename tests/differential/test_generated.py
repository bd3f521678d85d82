"""Random statements, the same ones in every run: no answer of the mesh differs from one server's."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import closing
from typing import Any

import pytest
from pymysql.connections import Connection

from tests.differential.generator import Generated, Generator
from tests.differential.outcome import Likeness, difference, run
from tests.differential.tables import TABLES
from tests.differential.world import World

# DBMESH_SEED and DBMESH_STATEMENTS choose others, and more of them.
SEED = int(os.environ.get("DBMESH_SEED", "1"))
STATEMENTS = int(os.environ.get("DBMESH_STATEMENTS", "250"))
BLOCKS = 4

# What the mesh may refuse of the generated statements; a reason that is not here fails.
KNOWN_REFUSALS = (
    "of a value of type YEAR",
    "of a value of type ENUM",
    "of a value of type SET",
    "BY the number of a column next to '*'",
    "cannot be compared outside of its server",  # ROUND(AVG(x), 2) of a DOUBLE as a sort key
)


def wrong(statement: Generated, mesh: Connection[Any], plain: Connection[Any], refusals: Counter[str]) -> str | None:
    """What is wrong with the mesh's answer, or None."""
    mine = run(mesh, statement.sql)
    if mine.refused:
        refusals[mine.message] += 1
        known = any(reason in mine.message for reason in KNOWN_REFUSALS)
        return None if known else f"{statement.sql}\n    refused: {mine.message}"
    theirs = run(plain, statement.sql)
    whole = run(plain, statement.whole).rows if statement.whole else None
    found = difference(mine, theirs, Likeness(statement.total, statement.by, statement.fold, whole))
    return None if found is None else f"{statement.sql}\n    {found}"


@pytest.mark.parametrize("block", range(BLOCKS))
def test_generated_selects(reading: tuple[Connection[Any], Connection[Any]], block: int) -> None:
    generator = Generator(SEED * 1000 + block)
    refusals: Counter[str] = Counter()
    found = [wrong(generator.select(), *reading, refusals) for _ in range(STATEMENTS)]
    assert not any(found), "\n".join(filter(None, found))
    assert refusals.total() <= STATEMENTS // 50, refusals


def test_generated_writes(world: World) -> None:
    generator = Generator(SEED)
    refusals: Counter[str] = Counter()
    mesh, plain = world.connect()
    try:
        with closing(mesh), closing(plain):
            found = [wrong(generator.write(1000 + n), mesh, plain, refusals) for n in range(STATEMENTS)]
        assert not any(found), "\n".join(filter(None, found))
        for table in TABLES:
            mine, theirs = world.dump(table)
            assert mine == theirs, table
    finally:
        world.restore(TABLES)


def test_generated_statements_use_every_clause() -> None:
    generator = Generator(SEED)
    counts: Counter[str] = Counter()
    for _ in range(STATEMENTS * BLOCKS):
        counts.update(generator.select().clauses)
    wanted = ("rows", "ORDER BY", "LIMIT", "WHERE", "DISTINCT", "aggregates", "GROUP BY", "HAVING", "JOIN")
    assert all(counts[clause] >= STATEMENTS * BLOCKS // 20 for clause in wanted), counts
