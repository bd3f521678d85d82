"""From key values and conditions to data nodes: one step over all nodes, or data source first and table then.

NULL's home is the first node of each step. A key of several columns with a NULL among them counts as NULL.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from dbmesh.rules.keys import Between, Equal, KeyCondition, KeyType, KeyValue, UnsuitableKey

# Above this many combinations of a composite key's values, asking every node is cheaper.
MOST_COMBINATIONS = 4096

Conditions = Mapping[str, KeyCondition]


class Algorithm(Protocol):
    """Places key values on positions 0 .. count-1. Pure and stable: a value has the same home for ever."""

    @property
    def key_types(self) -> tuple[KeyType, ...]:
        """What each key column has to be, in the order of the columns."""

    def home(self, values: tuple[KeyValue, ...]) -> int | None:
        """The position of a key (no NULL among its values); None: it has no home. Raises UnsuitableKey."""

    def between(self, condition: Between) -> Collection[int] | None:
        """Every position that may hold a value of the range; None: all. Keys of one column only."""

    def describe(self) -> str:
        """The algorithm with its options in one line, without secrets."""


@dataclass(frozen=True, slots=True)
class Step:
    """One algorithm over one or several columns (lower-cased) and ``count`` positions."""

    algorithm: Algorithm
    columns: tuple[str, ...]
    count: int

    def home(self, values: tuple[KeyValue, ...]) -> int | None:
        if None in values:
            return 0
        return self.algorithm.home(values)

    def homes(self, conditions: Conditions) -> set[int] | None:
        """Every position that may hold a matching row; None: all of them."""
        condition = conditions.get(self.columns[0])
        try:
            if len(self.columns) == 1 and isinstance(condition, Between):
                places = self.algorithm.between(condition)
                return None if places is None else set(places)
            keys = combinations(self.columns, conditions)
            if keys is None:
                return None
            return {place for key in keys if (place := self.home(key)) is not None}
        except UnsuitableKey:
            return None

    def describe(self) -> str:
        return f"{self.algorithm.describe()} by {', '.join(self.columns)}"


class Sharding(Protocol):
    """How a table's rows are spread over its data nodes."""

    @property
    def columns(self) -> tuple[str, ...]: ...

    @property
    def key_types(self) -> tuple[KeyType, ...]: ...

    def home(self, values: tuple[KeyValue, ...]) -> int | None: ...

    def homes(self, conditions: Conditions) -> set[int] | None: ...

    def describe(self) -> str: ...


@dataclass(frozen=True, slots=True)
class OneStep:
    """One algorithm over all data nodes."""

    step: Step

    @property
    def columns(self) -> tuple[str, ...]:
        return self.step.columns

    @property
    def key_types(self) -> tuple[KeyType, ...]:
        return self.step.algorithm.key_types

    def home(self, values: tuple[KeyValue, ...]) -> int | None:
        return 0 if None in values else self.step.algorithm.home(values)

    def homes(self, conditions: Conditions) -> set[int] | None:
        return self.step.homes(conditions)

    def describe(self) -> str:
        return self.step.describe()


@dataclass(frozen=True, slots=True)
class TwoStep:
    """The data source first, then the table in it: node = data source * tables per data source + table."""

    data_source: Step
    table: Step

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.data_source.columns + self.table.columns))

    @property
    def key_types(self) -> tuple[KeyType, ...]:
        """Each column's type; where both steps use the column the narrower (they never contradict)."""
        types: dict[str, KeyType] = {}
        for step in (self.data_source, self.table):
            for column, wanted in zip(step.columns, step.algorithm.key_types, strict=True):
                types[column] = narrower(types.get(column, KeyType.ANY), wanted) or wanted
        return tuple(types.values())

    def home(self, values: tuple[KeyValue, ...]) -> int | None:
        columns = self.columns
        outer = self.data_source.home(tuple(values[columns.index(c)] for c in self.data_source.columns))
        inner = self.table.home(tuple(values[columns.index(c)] for c in self.table.columns))
        return None if outer is None or inner is None else outer * self.table.count + inner

    def homes(self, conditions: Conditions) -> set[int] | None:
        keys = combinations(self.columns, conditions)
        if keys is not None:
            try:
                return {place for key in keys if (place := self.home(key)) is not None}
            except UnsuitableKey:
                pass  # perhaps one of the steps can still say something
        outer, inner = self.data_source.homes(conditions), self.table.homes(conditions)
        if outer is None and inner is None:
            return None
        tables = range(self.table.count) if inner is None else inner
        sources = range(self.data_source.count) if outer is None else outer
        return {source * self.table.count + table for source in sources for table in tables}

    def describe(self) -> str:
        return f"data source {self.data_source.describe()}, table {self.table.describe()}"


def combinations(columns: tuple[str, ...], conditions: Conditions) -> Iterator[tuple[KeyValue, ...]] | None:
    """Every key that equal conditions on all columns allow; None: a column has none, or too many keys."""
    choices: list[tuple[KeyValue, ...]] = []
    for column in columns:
        condition = conditions.get(column)
        if not isinstance(condition, Equal):
            return None
        choices.append(condition.values)
    if len(choices) > 1 and math.prod(map(len, choices)) > MOST_COMBINATIONS:
        return None
    return itertools.product(*choices)


def narrower(one: KeyType, other: KeyType) -> KeyType | None:
    """The key type that satisfies both; None when none does."""
    if one is other or other is KeyType.ANY:
        return one
    if one is KeyType.ANY:
        return other
    return KeyType.INTEGER if {one, other} == {KeyType.INTEGER, KeyType.NUMBER} else None
