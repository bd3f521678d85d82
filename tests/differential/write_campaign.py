"""Many random writes on both sides, the written tables compared row by row after each."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any

from pymysql.connections import Connection

from dbmesh.engine.lanes import MOST_WARNINGS
from tests.differential.choices import Choices, shrunk
from tests.differential.outcome import run
from tests.differential.tables import DATABASE, SOURCES, TABLES
from tests.differential.world import RAW, World
from tests.differential.writes import Writes, Written

_NO_ROWS = "Rows matched: 0  Changed: 0  Warnings: 0"
# One server meets duplicates on its way; the mesh after all values have been worked out.
_SEVERAL_MISTAKES = frozenset({"key", "INSERT … SELECT", "REPLACE … SELECT"})
FRESH = 30  # statements until the tables are put back as they were
# What the mesh may refuse of the random writes; another reason is a failure.
KNOWN_REFUSALS = (
    "beyond printable ASCII",  # in a text key of a case-insensitive collation
    "IGNORE of what only a data node finds",
    "its conditions warn",
    "the value of the sharding key column",  # a zero date, which IGNORE puts where there is no date
)


def write_of(seed: str) -> tuple[Written, list[int]]:
    """The statement of a seed, and the choices that it is made of."""
    choices = Choices(random.Random(seed))
    return Writes(choices).write(), choices.made


class Sides:
    """Clients of the mesh and of the plain server, and whoever looks at the servers' tables."""

    def __init__(self, world: World, stack: ExitStack) -> None:
        self.world = world
        self.mesh, self.plain = world.connect()
        stack.callback(self.mesh.close)
        stack.callback(self.plain.close)
        self._plain = self._looking(world.plain, DATABASE, stack)
        self._shards = [self._looking(world.servers[n // 2], f"{DATABASE}_{n}", stack) for n in range(SOURCES)]

    def _looking(self, server: Any, schema: str, stack: ExitStack) -> Connection[Any]:
        return stack.enter_context(closing(server.connection(schema, conv=RAW, autocommit=True)))

    def rows(self, table: str) -> tuple[list[Any], list[Any]]:
        """The table's rows on the shards and on the plain server, sorted by their bytes."""
        found: list[Any] = []
        copies: list[list[Any]] = []
        for number, shard in enumerate(self._shards):
            actual = [name for name in self.world.placed[number] if _is_part(name, table)]
            copies += [sorted(_all(shard, name), key=repr) for name in actual]
        if table == "region":
            assert copies == copies[:1] * SOURCES, "the copies of a broadcast table differ"
            copies = copies[:1]
        for copy in copies:
            found += copy
        return sorted(found, key=repr), sorted(_all(self._plain, table), key=repr)


def _is_part(actual: str, table: str) -> bool:
    return actual == table or bool(TABLES[table].key and re.fullmatch(rf"{table}_\d", actual))


def _all(connection: Connection[Any], table: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM `{table}`")
        return list(cursor.fetchall())


@dataclass
class WriteCampaign:
    """``wrong``: a report for each difference or needless refusal; ``clauses``, ``ways``: how often each was met."""

    world: World
    wrong: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    clauses: Counter[str] = field(default_factory=Counter)
    ways: Counter[str] = field(default_factory=Counter)
    errors: Counter[int] = field(default_factory=Counter)
    touched: set[str] = field(default_factory=set)

    def run(self, seeds: Sequence[str], most: int = 10) -> None:
        """All of the seeds' statements, until ``most`` of them are wrong."""
        with ExitStack() as stack:
            sides = Sides(self.world, stack)
            try:
                for number, seed in enumerate(seeds):
                    if number % FRESH == 0:
                        self._put_back()
                    self._one(seed, sides)
                    if len(self.wrong) >= most:
                        return
            finally:
                self._put_back()

    def _put_back(self) -> None:
        self.world.restore(self.touched)
        self.touched.clear()

    def _one(self, seed: str, sides: Sides) -> None:
        written, made = write_of(seed)
        self.clauses.update(written.clauses)
        self.touched.update(written.tables)
        self.ways[_way(written.sql, sides.mesh)] += 1
        found = verdict(written, sides, random.Random(seed))
        if "diary" in written.tables:  # numbers that nobody got differ between INSERT … SELECT and VALUES
            self.world.restore(["diary"])
        if found is None:
            return
        if found.startswith("error "):
            self.errors[int(found.split()[1])] += 1
            return
        if found.startswith("refused"):
            self.refused[found] += 1
            if any(reason in found for reason in KNOWN_REFUSALS):
                return
        self._put_back()
        again, found = self._smallest(seed, made, found, sides)
        self.wrong.append(f"seed {seed}: {again.sql}\n    {found}")
        self.touched.update(again.tables, written.tables)
        self._put_back()

    def _smallest(self, seed: str, made: Sequence[int], found: str, sides: Sides) -> tuple[Written, str]:
        """The smallest statement that fails in the same way on the tables as they were at first."""

        def again(choices: Sequence[int]) -> tuple[Written, str | None]:
            written = Writes(Choices(None, choices)).write()
            self.world.restore(written.tables)
            return written, verdict(written, sides, random.Random(seed))

        def fails(choices: Sequence[int]) -> bool:
            try:
                other = again(choices)[1]
            except (AssertionError, IndexError, ValueError):  # no statement can be made of these choices
                return False
            return other is not None and other.split(":")[0] == found.split(":")[0]

        written, last = again(made)
        if last is None or last.split(":")[0] != found.split(":")[0]:
            return written, f"{found} (not to be seen on the tables as they were at first)"
        written, last = again(shrunk(made, fails, 60))
        return written, last or "not to be seen any more"

    def summary(self) -> str:
        """What was covered."""
        return (
            f"{self.ways.total()} writes, by way {dict(self.ways)}\nclauses {dict(sorted(self.clauses.items()))}\n"
            f"errors {dict(self.errors)}, refused {self.refused.total()} {dict(self.refused)}"
        )


def _way(sql: str, mesh: Connection[Any]) -> str:
    text = "\n".join((row[0] or b"").decode() for row in run(mesh, f"EXPLAIN FORMAT=MESH {sql}").rows)
    for name, sign in (("staged", "first done on"), ("one node", "1 route unit"), ("each node", "route units")):
        if sign in text:
            return name
    return "refused"


def verdict(written: Written, sides: Sides, chance: random.Random) -> str | None:
    """What is wrong with the mesh's outcome; 'error …' when both have failed alike, None."""
    mode = chance.choice(("", "", "", "", "COMMIT", "ROLLBACK"))
    if mode:
        run(sides.mesh, "SET dbmesh_transaction = 'xa'")
        run(sides.mesh, "BEGIN")
        run(sides.plain, "BEGIN")
    mine, theirs = _told(written.sql, sides.mesh), _told(written.sql, sides.plain)
    if mode:
        ended, _ = run(sides.mesh, mode), run(sides.plain, mode)
        run(sides.mesh, "SET dbmesh_transaction = 'local'")
        if ended.errno:
            return f"{mode}: {ended.errno} {ended.message}"
    if mine[0] == 1235 and theirs[0] != 1235:
        if mode != "ROLLBACK":
            sides.world.restore(written.tables)
        return f"refused: {mine[1]}"
    rows = _rows_difference(written, sides)
    if rows:
        return rows
    if mine[0] and theirs[0] and written.clauses & _SEVERAL_MISTAKES:
        return f"error {mine[0]}"
    if mine[0] != theirs[0] or (not mine[0] and mine != theirs):
        return f"told: mesh {mine}; plain {theirs}"
    return f"error {mine[0]}" if mine[0] else None


def _rows_difference(written: Written, sides: Sides) -> str | None:
    for table in written.tables:
        one, other = sides.rows(table)
        if one != other:
            left, right = Counter(map(repr, one)), Counter(map(repr, other))
            return f"rows of {table}: only mesh {list(left - right)[:3]}; only plain {list(right - left)[:3]}"
    return None


def _told(sql: str, connection: Connection[Any]) -> tuple[Any, ...]:
    """Error and message; else affected rows, LAST_INSERT_ID, info string, and the warnings' codes."""
    outcome = run(connection, sql)
    if outcome.errno:
        return outcome.errno, outcome.message
    info = (connection._result.message or b"").decode() if connection._result is not None else ""  # type: ignore[attr-defined]
    warned = run(connection, "SHOW WARNINGS").rows
    codes: Mapping[Any, int] = Counter(row[1] for row in warned) if len(warned) < MOST_WARNINGS else {}
    if "VALUES(" in sql:  # MySQL says that it is deprecated; nobody does where no row is to be inserted
        info, codes = info.partition("  Warnings")[0], {}
    # Where a server sees at once that there is no such row it says nothing; which of several rows is the last one with
    # a number, INSERT … SELECT and VALUES tell otherwise when some are left out.
    number = 0 if " IGNORE " in sql else outcome.last_insert_id
    return 0, outcome.affected, number, "" if _NO_ROWS in info else info, sorted(codes.items())
