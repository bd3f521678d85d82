"""Many random queries on both sides: what differs, what is refused, which tiers answered, and the smallest culprit."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from pymysql.connections import Connection

from dbmesh.merge.collation import compares_by_weights
from tests.differential.choices import Choices, shrunk
from tests.differential.outcome import Likeness, Outcome, difference, run
from tests.differential.queries import Queries, Query
from tests.differential.world import World

# Where one plain server contradicts itself as its plan changes, so that there is no one right answer to compare with.
SELF_CONTRADICTIONS: dict[str, str] = {}
# What the mesh may refuse of the random queries; another reason is a failure.
KNOWN_REFUSALS: tuple[str, ...] = ()


def query_of(seed: str) -> tuple[Query, list[int]]:
    """The query of a seed, and the choices that it is made of."""
    choices = Choices(random.Random(seed))
    return Queries(choices).query(), choices.made


@dataclass
class Campaign:
    """``wrong``: a report for each wrong answer or needless refusal; ``clauses``, ``tiers``: how often each was met."""

    world: World
    wrong: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    clauses: Counter[str] = field(default_factory=Counter)
    tiers: Counter[str] = field(default_factory=Counter)
    excused: Counter[str] = field(default_factory=Counter)
    shrinking: bool = True

    def run(self, seeds: Sequence[str], most: int = 20) -> None:
        """All of the seeds' queries, until ``most`` of them are wrong."""
        mesh, plain = self.world.connect()
        with closing(mesh), closing(plain):
            for seed in seeds:
                query, made = query_of(seed)
                self._one(f"seed {seed}", query, made, mesh, plain)
                if len(self.wrong) >= most:
                    return

    def run_all(self, queries: Sequence[Query]) -> None:
        """These queries, too."""
        mesh, plain = self.world.connect()
        with closing(mesh), closing(plain):
            for query in queries:
                self._one("one of every kind", query, (), mesh, plain)

    def _one(self, name: str, query: Query, made: Sequence[int], mesh: Connection[Any], plain: Connection[Any]) -> None:
        self.clauses.update(query.clauses)
        self.tiers[tier(query.sql, mesh)] += 1
        found = verdict(query, mesh, plain)
        if found is None:
            return
        if found.startswith("refused"):
            self.refused[found] += 1
            if "one shard" not in query.clauses and any(reason in found for reason in KNOWN_REFUSALS):
                return
        if any(sign in query.sql for sign in SELF_CONTRADICTIONS):
            self.excused.update(sign for sign in SELF_CONTRADICTIONS if sign in query.sql)
            return
        if self.shrinking and made:
            query, found = self._smallest(made, found, mesh, plain)
        self.wrong.append(f"{name}: {query.sql}\n    {found}")

    def summary(self) -> str:
        """What was covered."""
        used = {
            name: count for name, count in sorted(self.clauses.items()) if " by " not in name and " on " not in name
        }
        uses = len(self.clauses) - len(used)
        lines = [f"{self.tiers.total()} queries, by tier {dict(self.tiers)}", f"clauses {used}"]
        lines.append(f"{uses} types and collations as keys of joins, groups and orders")
        lines.append(f"refused {self.refused.total()} {dict(self.refused)}, excused {dict(self.excused)}")
        return "\n".join(lines)

    def _smallest(
        self, made: Sequence[int], found: str, mesh: Connection[Any], plain: Connection[Any]
    ) -> tuple[Query, str]:
        """The smallest query that fails in the same way."""

        def fails(choices: Sequence[int]) -> bool:
            try:
                again = verdict(Queries(Choices(None, choices)).query(), mesh, plain)
            except (AssertionError, IndexError, ValueError):  # no query can be made of these choices
                return False
            return again is not None and again.split(":")[0] == found.split(":")[0]

        query = Queries(Choices(None, shrunk(made, fails))).query()
        return query, verdict(query, mesh, plain) or "not to be seen any more"


def tier(sql: str, mesh: Connection[Any]) -> str:
    """Who answers: one data node, a merge or a federation; "refused" where it is an error, a server's own or 1235."""
    rows = run(mesh, f"EXPLAIN FORMAT=MESH {sql}").rows
    text = "\n".join((row[0] or b"").decode() for row in rows)
    for name, sign in (("federate", "federate on"), ("merge", "merge:"), ("one node", "1 route unit")):
        if sign in text:
            return name
    return "refused"


def verdict(query: Query, mesh: Connection[Any], plain: Connection[Any]) -> str | None:
    """What is wrong with the mesh's answer, or None. What is on one shard must be asked of that one alone."""
    found = _difference(query, mesh, plain)
    if found is None and "one shard" in query.clauses and (asked := tier(query.sql, mesh)) in ("merge", "federate"):
        return f"more than one shard: {asked}"
    return found


def _difference(query: Query, mesh: Connection[Any], plain: Connection[Any]) -> str | None:
    mine, theirs = run(mesh, query.sql), run(plain, query.sql)
    if mine.refused and not theirs.refused:
        return f"refused: {mine.message}"
    by = () if query.by is None else (query.by,)
    like = Likeness(query.ordered, by=by, wording=False, near=query.near)
    found = difference(mine, theirs, like)
    if found and query.spelled and mine.columns == theirs.columns and mine.rows:
        mine, theirs = weighed((mine, theirs), plain, query)
        found = difference(mine, theirs, like)
    return found


def weighed(outcomes: tuple[Outcome, Outcome], plain: Connection[Any], query: Query) -> list[Outcome]:
    """Strings replaced by what is the same for equal ones, as they may be shown in any spelling."""
    rows = [[list(row) for row in outcome.rows] for outcome in outcomes]
    for at, collation in query.spelled.items():
        values = sorted({value for side in rows for row in side if (value := row[at]) is not None})
        by_weight = compares_by_weights(collation) or at == query.by
        same = (_weights if by_weight else _equals)(values, collation, plain)
        for row in (row for side in rows for row in side):
            value = row[at]
            row[at] = None if value is None else same[value]
    return [replace(outcome, rows=tuple(map(tuple, side))) for outcome, side in zip(outcomes, rows, strict=True)]


def _weights(values: Sequence[bytes], collation: str, plain: Connection[Any]) -> dict[bytes, bytes | None]:
    found: dict[bytes, bytes | None] = {}
    for start in range(0, len(values), 100):
        some = values[start : start + 100]
        texts = ", ".join(f"HEX(WEIGHT_STRING({_text(v, collation)} AS CHAR(80)))" for v in some)
        asked = run(plain, f"SELECT {texts}")
        found |= dict(zip(some, asked.rows[0] if asked.rows else some, strict=True))
    return found


def _equals(values: Sequence[bytes], collation: str, plain: Connection[Any]) -> dict[bytes, bytes | None]:
    """For each string the number of the first one that the server calls equal: its weights may tell more."""
    listed = " UNION ALL ".join(f"SELECT {n} AS n, {_text(v, collation)} AS v" for n, v in enumerate(values))
    sql = f"SELECT x.n, MIN(y.n) FROM ({listed}) x JOIN ({listed}) y ON x.v = y.v GROUP BY x.n ORDER BY x.n"
    return dict(zip(values, [row[1] for row in run(plain, sql).rows], strict=True)) if values else {}


def _text(value: bytes, collation: str) -> str:
    return f"CONVERT(_utf8mb4 x'{value.hex()}' USING {collation.split('_')[0]}) COLLATE {collation}"
