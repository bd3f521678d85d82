"""IN lists of sharding keys: a data node is asked for its own values only.

The proof: a row of the data node has none of the other values, since equal keys are at home in one place
(`route.keys`). So ``key IN (…)`` is as true for it with them as without, wherever it stands among AND and OR.
One value stays, as a list cannot be empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dbmesh.route.keys import UNKNOWN, Verdict, key_value
from dbmesh.rules.keys import Equal
from dbmesh.rules.model import ShardedTable
from dbmesh.schema import Column
from dbmesh.sql.constants import Constant, Value
from dbmesh.sql.predicate import Every, OneOf, Predicate, Some

Kept = Mapping[int, Sequence[int]]  # number of the list → the literals of it that a data node is asked for


@dataclass(frozen=True, slots=True)
class KeyList:
    """The literals of one list. ``key``: lower-cased, of the sharded ``reference``; ``column``: None offline."""

    reference: int
    key: str
    column: Column | None
    literals: tuple[int, ...]


def long_lists(predicate: Predicate) -> Iterator[OneOf]:
    """The lists of several plain literals that a condition is made of by AND and OR."""
    match predicate:
        case OneOf(_, values, null_safe):
            if not null_safe and len(values) > 1 and all(map(_is_plain, values)):
                yield predicate
        case Every(parts) | Some(parts):
            for part in parts:
                yield from long_lists(part)


def _is_plain(value: Constant) -> bool:
    return isinstance(value, Value) and value.literal is not None and not value.negative


def values_at(number: int, found: KeyList, rule: ShardedTable, literals: Sequence[str], node: int) -> Kept:
    """What is left of a list for the data node with this index."""
    here = [literal for literal in found.literals if _may_be_at(found, rule, literals[literal], node)]
    return {number: here or found.literals[:1]}


def _may_be_at(found: KeyList, rule: ShardedTable, token: str, node: int) -> bool:
    value = key_value(token, False, found.column)
    if isinstance(value, Verdict):
        return value is UNKNOWN
    return node in rule.nodes_for({found.key: Equal((value,))})
