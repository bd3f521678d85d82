"""Sharding conditions: what a predicate says about a table's sharding key, and the data nodes that it leaves.

A condition never leaves out a node that could hold a matching row; what the mesh cannot tell leaves all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from dbmesh.route.keys import NOTHING, UNKNOWN, Verdict, key_bound, key_value
from dbmesh.rules.keys import Between, Equal, KeyCondition, KeyValue
from dbmesh.rules.model import ShardedTable
from dbmesh.schema import Column
from dbmesh.sql.constants import Constant, Value
from dbmesh.sql.predicate import Order

_MOST_COMBINATIONS = 16


@dataclass(frozen=True, slots=True)
class KeyOneOf:
    """``key`` (lower-cased) equals one of ``values``; ``column`` is None when no server could be asked."""

    key: str
    column: Column | None
    values: tuple[Constant, ...]
    null_safe: bool = False

    def bind(self, literals: Sequence[str]) -> KeyCondition | None:
        """None: no condition after all."""
        found: list[KeyValue] = []
        for value in self.values:
            if isinstance(value, Value) and value.word == "NULL":
                if self.null_safe:
                    found.append(None)
                continue
            token, negative = value.spelled(literals)
            said = UNKNOWN if _other_type(value, self.column) else key_value(token, negative, self.column)
            if said is UNKNOWN:
                return None
            if not isinstance(said, Verdict):
                found.append(said)
        return Equal(tuple(found))


@dataclass(frozen=True, slots=True)
class KeyOrdered:
    """``key`` < ``value`` and its likes."""

    key: str
    column: Column | None
    operator: Order
    value: Constant

    def bind(self, literals: Sequence[str]) -> KeyCondition | None:
        high = self.operator[0] == "<"
        if _other_type(self.value, self.column):
            return None
        bound = key_bound(*self.value.spelled(literals), self.column, high=high)
        if bound is UNKNOWN or bound is None:
            return None
        if bound is NOTHING:
            return Equal(())
        assert not isinstance(bound, Verdict)
        inclusive = self.operator.endswith("=")
        return Between(high=bound, high_inclusive=inclusive) if high else Between(low=bound, low_inclusive=inclusive)


def _other_type(value: Constant, column: Column | None) -> bool:
    """A date that is compared with something else becomes something else."""
    return value.dated and (column is None or column.type not in ("date", "datetime"))


@dataclass(frozen=True, slots=True)
class AllOf:
    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple[Condition, ...]


Condition = KeyOneOf | KeyOrdered | AllOf | AnyOf


def rejects_null(condition: Condition) -> bool:
    """Whether it is never true of a row of NULLs, which an outer join may have put there."""
    match condition:
        case KeyOneOf():
            return not condition.null_safe
        case KeyOrdered():
            return True
        case AllOf(parts):
            return any(map(rejects_null, parts))
        case AnyOf(parts):
            return all(map(rejects_null, parts))


def lists_keys(condition: Condition) -> bool:
    """Whether it names the keys of its rows, and not a range of them."""
    match condition:
        case KeyOneOf():
            return True
        case KeyOrdered():
            return False
        case AllOf(parts):
            return any(map(lists_keys, parts))
        case AnyOf(parts):
            return all(map(lists_keys, parts))


def carried(condition: Condition, to: Mapping[str, tuple[str, Column | None]]) -> Condition | None:
    """The same said of other columns, which equal these (``to``: key → its equal); None when nothing of it can be."""
    match condition:
        case KeyOneOf() | KeyOrdered():
            if condition.key not in to or (isinstance(condition, KeyOneOf) and condition.null_safe):
                return None
            key, column = to[condition.key]
            return replace(condition, key=key, column=column)
        case AllOf(parts):
            found = tuple(c for part in parts if (c := carried(part, to)) is not None)
            return AllOf(found) if found else None
        case AnyOf(parts):
            found = tuple(c for part in parts if (c := carried(part, to)) is not None)
            return AnyOf(found) if len(found) == len(parts) else None


def nodes(table: ShardedTable, condition: Condition | None, literals: Sequence[str]) -> frozenset[int]:
    """Indexes of the data nodes of ``table`` that can hold a row for which ``condition`` is true."""
    if condition is None:
        return frozenset(range(len(table.nodes)))
    match condition:
        case AnyOf(parts):
            return frozenset().union(*(nodes(table, part, literals) for part in parts))
        case AllOf(parts):
            return _nodes_of_all(table, parts, literals)
        case _:
            bound = condition.bind(literals)
            return _nodes_for(table, {} if bound is None else {condition.key: bound})


def _nodes_of_all(table: ShardedTable, parts: Iterable[Condition], literals: Sequence[str]) -> frozenset[int]:
    by_key: dict[str, list[KeyCondition]] = {}
    left = frozenset(range(len(table.nodes)))
    for part in parts:
        if isinstance(part, KeyOneOf | KeyOrdered):
            bound = part.bind(literals)
            if bound is not None:
                by_key.setdefault(part.key, []).append(bound)
        else:
            left &= nodes(table, part, literals)
    ranges_met = {key: _met(conditions) for key, conditions in by_key.items()}
    for combination in _combinations(ranges_met):
        left &= _nodes_for(table, combination)
    return left


def _met(conditions: list[KeyCondition]) -> list[KeyCondition]:
    """``k >= a AND k < b`` as one range, so that an algorithm sees both ends."""
    lows = [c for c in conditions if isinstance(c, Between) and c.high is None and c.low is not None]
    highs = [c for c in conditions if isinstance(c, Between) and c.low is None and c.high is not None]
    if len(lows) == 1 and len(highs) == 1 and type(lows[0].low) is type(highs[0].high):
        both = Between(lows[0].low, highs[0].high, lows[0].low_inclusive, highs[0].high_inclusive)
        return [both, *(c for c in conditions if c is not lows[0] and c is not highs[0])]
    return conditions


def _combinations(by_key: Mapping[str, list[KeyCondition]]) -> Iterable[dict[str, KeyCondition]]:
    """Mappings with one condition per column; a composite key needs its columns' conditions together."""
    count = 1
    for conditions in by_key.values():
        count *= len(conditions)
    if count > _MOST_COMBINATIONS:
        return [{key: conditions[0] for key, conditions in by_key.items()}]
    return [dict(zip(by_key, chosen, strict=True)) for chosen in product(*by_key.values())]


def _nodes_for(table: ShardedTable, conditions: Mapping[str, KeyCondition]) -> frozenset[int]:
    return frozenset(table.nodes_for(conditions))
