"""One query for each use of each type and collation, so that chance leaves none of them out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dbmesh.merge.collation import compares_by_weights
from tests.differential.queries import Query
from tests.differential.sources import SOURCES, Source, Value

_NUMBER = Value("", "int", "INT")


def every_kind() -> list[Query]:
    """Joins, groups and orders by each column of `kinds` and `words` that has an order."""
    return [
        query
        for _, source in SOURCES
        if source.text in ("kinds", "words")
        for column in source.columns[1:]
        if column.family and column.family != "bit"
        for query in _uses(source, column)
    ]


def _uses(source: Source, column: Value) -> Iterator[Query]:
    table, name = source.text, column.text
    join = f"SELECT a.id, b.id FROM {table} a JOIN {table} b ON a.{name} = b.{name} ORDER BY 1, 2"
    yield Query(join, (_NUMBER, _NUMBER), True, frozenset({"JOIN", f"join on {column.kind}"}))
    group = f"SELECT {name}, COUNT(*), SUM(id) FROM {table} GROUP BY {name}"
    yield Query(group, (column, _NUMBER, _NUMBER), False, frozenset({"GROUP BY", f"group by {column.kind}"}))
    sort, clauses = f"SELECT id, {name} FROM {table} ORDER BY {name}, id", frozenset({f"sort by {column.kind}"})
    if "_" in column.family and not compares_by_weights(column.family):
        yield Query(sort, (_NUMBER, replace(column, spelled=column.family)), False, clauses, by=1)
    else:
        yield Query(sort, (_NUMBER, replace(column, spelled="")), True, clauses)
