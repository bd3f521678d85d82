"""Which data nodes a statement concerns: decided once per shape (cold), bound with each call's literals (hot).

The proof: every sharded table reference has a set of *needed* data nodes. Its key conditions bound it, and so does
an equality of sharding keys with another reference (a *flow*: the needed rows of one are where the other's are). A
statement may run on one data source when each reference needs one node at most and those nodes are all there. It may
run on several nodes, each for itself, when all sharded references hang together by flows from the rows that make up the
result.

An equality in WHERE, and a condition there that no NULL satisfies, bounds an outer join's inner side, too: the join can
only put NULLs in the place of the rows that it leaves out, and WHERE drops those. What is said of one sharding key is
*carried* to another of its type that equals it, whether their tables are bound or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dbmesh.errors import NotSupported
from dbmesh.route.conditions import (
    AllOf,
    AnyOf,
    Condition,
    KeyOneOf,
    KeyOrdered,
    carried,
    lists_keys,
    nodes,
    rejects_null,
)
from dbmesh.route.keys import UNKNOWN, key_value
from dbmesh.route.lists import Kept, KeyList, long_lists, values_at
from dbmesh.rules.model import LogicalDatabase, ShardedTable, TableRule
from dbmesh.schema import Column
from dbmesh.sql.blocks import Block, Blocks, JoinCondition, Place, TableReference
from dbmesh.sql.constants import Value
from dbmesh.sql.predicate import Every, OneOf, Ordered, Predicate, SameValue, Some

Columns = Mapping[str, Column | None]
_Allowed = Callable[[int, int], bool]  # may needs flow from one reference to another


@dataclass(frozen=True, slots=True)
class Target:
    """A table reference with its rule. ``columns``: lower-cased key column → what the servers say it is, or None."""

    reference: TableReference
    database: LogicalDatabase
    rule: TableRule
    columns: Columns


@dataclass(frozen=True, slots=True)
class RouteTemplate:
    """``conditions``: by index of sharded references. ``flows``: (from, to) pairs of references.

    ``base``: references whose rows make up the result; ``apart``: why the statement cannot be run on several nodes,
    '' when it can. ``lists``: lists of keys in conditions. ``only``: the one data source whose rows the statement
    speaks of, '' for all of them.
    """

    targets: tuple[Target, ...]
    conditions: Mapping[int, Condition | None]
    flows: tuple[tuple[int, int], ...]
    base: tuple[int, ...]
    apart: str
    lists: tuple[KeyList, ...] = ()
    only: str = ""

    def needed(self, literals: Sequence[str]) -> dict[int, frozenset[int]]:
        """Sharded reference → indexes of the data nodes whose rows it needs.

        Raises NotSupported where that would be all nodes of a table whose rules refuse it.
        """
        found = {
            index: nodes(rule, condition, literals)
            for index, condition in self.conditions.items()
            if isinstance(rule := self.targets[index].rule, ShardedTable)
        }
        if self.only:
            found = {index: at & self._there(index) for index, at in found.items()}
        self._flow(found)
        for index, at in found.items():
            rule = self.targets[index].rule
            if isinstance(rule, ShardedTable) and rule.refuses_scatter and len(at) == len(rule.nodes) > 1:
                self._check_keyed(index, rule)
        return found

    def kept(self, literals: Sequence[str], at: Mapping[int, int]) -> Kept:
        """What the lists of keys need where the references are ``at`` these data nodes."""
        found: dict[int, Sequence[int]] = {}
        for number, keys in enumerate(self.lists):
            rule = self.targets[keys.reference].rule
            if keys.reference in at and isinstance(rule, ShardedTable):
                found |= values_at(number, keys, rule, literals, at[keys.reference])
        return found

    def _there(self, index: int) -> frozenset[int]:
        nodes_of = self.targets[index].rule.nodes
        return frozenset(at for at, node in enumerate(nodes_of) if node.data_source == self.only)

    def _check_keyed(self, index: int, rule: ShardedTable) -> None:
        """Listed keys may be on all of the nodes; that is no scatter."""
        keyed = {at for at, condition in self.conditions.items() if condition is not None and lists_keys(condition)}
        for _ in self.flows:
            keyed |= {target for source, target in self.flows if source in keyed}
        if index not in keyed:
            raise NotSupported(
                f"it would ask all {len(rule.nodes)} data nodes of '{rule.name}', whose rules say scatter: refuse",
                f"add a condition on {', '.join(rule.key_columns)} with = or IN",
            )

    def _flow(self, found: dict[int, frozenset[int]]) -> None:
        changed = bool(self.flows)
        while changed:
            changed = False
            for source, target in self.flows:
                left = found[target] & found[source]
                if left != found[target]:
                    found[target] = left
                    changed = True


def route_template(blocks: Blocks, targets: Sequence[Target]) -> RouteTemplate:
    """The route of a statement whose references have been resolved to ``targets`` (same order)."""
    return _Router(blocks, targets).template()


class _Router:
    def __init__(self, blocks: Blocks, targets: Sequence[Target]) -> None:
        self.blocks = blocks
        self.targets = targets
        self.keys = {
            target.reference.index: target.rule.key_columns
            for target in targets
            if isinstance(target.rule, ShardedTable)
        }
        self.conditions: dict[int, list[Condition]] = {index: [] for index in self.keys}
        self.flows: dict[tuple[int, int], None] = {}
        self.equal: dict[tuple[int, int], set[tuple[str, str]]] = {}

    def template(self) -> RouteTemplate:
        for block in self.blocks.blocks:
            own = {r.index for r in self.blocks.references if r.block == block.index}
            kept = {index for index in own if not self.blocks.references[index].null_supplied}
            self._restrict(block, block.where, kept)
            self._restrict(block, block.where, own - kept, rejecting=True)
            self._flow(block, [block.where], lambda source, target: True)
            for join in block.joins:
                self._join(block, join, own, kept)
        self._carry()
        base = self._base()
        conditions = {index: _all_of(parts) for index, parts in self.conditions.items()}
        flows, lists = tuple(self.flows), tuple(self._lists())
        return RouteTemplate(tuple(self.targets), conditions, flows, base, self._apart(base), lists)

    def _lists(self) -> Iterator[KeyList]:
        for block in self.blocks.blocks:
            for predicate in (block.where, *(join.condition for join in block.joins)):
                for said in long_lists(predicate):
                    owner, key = self._owner(block, said.column), said.column.name.lower()
                    if owner is not None and key in self.keys.get(owner, ()):
                        literals = tuple(
                            v.literal for v in said.values if isinstance(v, Value) and v.literal is not None
                        )
                        yield KeyList(owner, key, self.targets[owner].columns[key], literals)

    def _join(self, block: Block, join: JoinCondition, own: set[int], kept: set[int]) -> None:
        if join.side == "":
            self._restrict(block, join.condition, kept)
            self._flow(block, [join.condition], lambda source, target: target in kept)
        elif join.side == "LEFT" and join.right is not None:
            right = join.right
            self._restrict(block, join.condition, {right})
            self._flow(block, [join.condition], lambda source, target: target == right)
        elif join.side == "RIGHT":
            earlier = set(join.earlier) & own
            self._restrict(block, join.condition, earlier)
            self._flow(block, [join.condition], lambda source, target: target in earlier and source not in earlier)

    def _restrict(self, block: Block, predicate: Predicate, restricted: Iterable[int], rejecting: bool = False) -> None:
        for index in restricted:
            if index in self.keys:
                condition = self._condition(block, predicate, index)
                if condition is not None and (not rejecting or rejects_null(condition)):
                    self.conditions[index].append(condition)

    def _carry(self) -> None:
        """Say of every key what is said of its equals, until nothing new is said."""
        for _ in self.keys:
            for (source, target), names in self.equal.items():
                columns = self.targets[target].columns
                to = {one: (other, columns[other]) for one, other in names}
                found = (carried(condition, to) for condition in self.conditions[source])
                new = [c for c in found if c is not None and c not in self.conditions[target]]
                self.conditions[target] += new

    def _condition(self, block: Block, predicate: Predicate, index: int) -> Condition | None:
        """What ``predicate`` says about the sharding key of reference ``index``."""
        match predicate:
            case OneOf(column, values, null_safe) if self._owner(block, column) == index:
                key = column.name.lower()
                if key in self.keys[index]:
                    return KeyOneOf(key, self.targets[index].columns[key], values, null_safe)
            case Ordered(column, operator, value) if self._owner(block, column) == index:
                key = column.name.lower()
                if key in self.keys[index]:
                    return KeyOrdered(key, self.targets[index].columns[key], operator, value)
            case Every(parts):
                return _all_of([c for part in parts if (c := self._condition(block, part, index))])
            case Some(parts):
                found = [self._condition(block, part, index) for part in parts]
                known = tuple(c for c in found if c is not None)
                return _any_of(known) if len(known) == len(found) else None
        return None

    def _owner(self, block: Block, column: object) -> int | None:
        return self.blocks.owner(block, column, self.keys)  # type: ignore[arg-type]

    def _flow(self, block: Block, predicates: Iterable[Predicate], allowed: _Allowed) -> None:
        """Flows between references whose whole sharding keys are equal in the conjunction."""
        pairs: dict[tuple[int, int], set[tuple[str, str]]] = {}
        for same in equalities(predicates):
            left, right = self._owner(block, same.left), self._owner(block, same.right)
            if left is None or right is None or left == right:
                continue
            names = same.left.name.lower(), same.right.name.lower()
            pairs.setdefault((left, right), set()).add(names)
            pairs.setdefault((right, left), set()).add((names[1], names[0]))
        for (source, target), equal in pairs.items():
            if not allowed(source, target) or not self._in_block(target, block):
                continue
            if self._together(source, target, equal):
                self.flows[source, target] = None
            elif alike := {pair for pair in equal if self._alike(source, target, *pair)}:
                self.equal.setdefault((source, target), set()).update(alike)

    def _alike(self, one: int, other: int, left: str, right: str) -> bool:
        first, second = self.targets[one].columns, self.targets[other].columns
        return left in first and right in second and _compare_alike(first[left], second[right])

    def _in_block(self, index: int, block: Block) -> bool:
        return self.blocks.references[index].block == block.index

    def _together(self, one: int, other: int, equal: set[tuple[str, str]]) -> bool:
        """Whether rows of both with these columns equal live at the same node index."""
        first, second = self.targets[one], self.targets[other]
        if one not in self.keys or other not in self.keys or first.database is not second.database:
            return False
        if first.rule.name != second.rule.name and not first.database.bound(first.rule.name, second.rule.name):
            return False
        pairs = list(zip(self.keys[one], self.keys[other], strict=True))
        return all(pair in equal for pair in pairs) and all(
            _compare_alike(first.columns[left], second.columns[right]) for left, right in pairs
        )

    def _base(self) -> tuple[int, ...]:
        top = [block.index for block in self.blocks.blocks if block.place is Place.TOP]
        return tuple(
            r.index for r in self.blocks.references if r.block in top and not r.null_supplied and r.index in self.keys
        )

    def _apart(self, base: tuple[int, ...]) -> str:
        if not self.keys:
            return ""
        for block in self.blocks.blocks:
            sharded = [r for r in self.blocks.references if r.block == block.index and r.index in self.keys]
            if block.place in (Place.DERIVED, Place.CTE, Place.SET_OPERATION) and sharded:
                return f"the sharded table '{sharded[0].name}' is read in a {block.place.value}"
            if block.odd and sharded:
                return f"the sharded table '{sharded[0].name}' is used with {block.odd}"
        if not base:
            return "no sharded table makes up the rows of the result (an outer join keeps those of another table)"
        reached = self._reached(base[0])
        for index in self.keys:
            if index not in reached:
                one, other = self.targets[base[0]].reference.alias, self.targets[index].reference.alias
                return f"'{one}' and '{other}' are not joined on their sharding keys as binding tables"
        return self._kept_copies()

    def _reached(self, start: int) -> set[int]:
        reached, added = {start}, True
        while added:
            more = {target for source, target in self.flows if source in reached} - reached
            reached |= more
            added = bool(more)
        return reached

    def _kept_copies(self) -> str:
        """Outer joins that keep rows of a table that every node has whole: each node would keep them."""
        for block in self.blocks.blocks:
            for join in block.joins:
                sharded_right = join.right in self.keys
                copies = [i for i in join.earlier if i not in self.keys]
                if join.side == "LEFT" and sharded_right and len(copies) == len(join.earlier):
                    return "a LEFT JOIN keeps the rows of a table that is not sharded"
                if join.side == "RIGHT" and not sharded_right and any(i in self.keys for i in join.earlier):
                    return "a RIGHT JOIN keeps the rows of a table that is not sharded"
        return ""


def equalities(predicates: Iterable[Predicate]) -> Iterable[SameValue]:
    """Those that are true wherever all of the predicates are."""
    for predicate in predicates:
        if isinstance(predicate, SameValue):
            yield predicate
        elif isinstance(predicate, Every):
            yield from equalities(predicate.parts)


def _all_of(parts: Sequence[Condition]) -> Condition | None:
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else AllOf(tuple(parts))


def _any_of(parts: Sequence[Condition]) -> Condition:
    """An alternative; equalities of one column are one condition, so that ``k=1 OR k=2`` is ``k IN (1, 2)``."""
    first = parts[0]
    if all(isinstance(p, KeyOneOf) and isinstance(first, KeyOneOf) and p.key == first.key for p in parts):
        same = [p for p in parts if isinstance(p, KeyOneOf)]
        if len({p.null_safe for p in same}) == 1:
            return KeyOneOf(same[0].key, same[0].column, tuple(v for p in same for v in p.values), same[0].null_safe)
    return AnyOf(tuple(parts))


_INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"})


def _compare_alike(one: Column | None, other: Column | None) -> bool:
    """Whether values of both columns are equal exactly when their normalised keys are."""
    if one is None or other is None:
        return one is other
    if one.type in _INTEGERS and other.type in _INTEGERS:
        return True
    alike = all(getattr(one, what) == getattr(other, what) for what in ("type", "charset", "collation", "scale"))
    probe = "'2000-01-01'" if one.type in ("date", "datetime") else "1" if one.type in ("decimal", "year") else "'a'"
    return alike and key_value(probe, False, one) is not UNKNOWN
