"""UPDATE and DELETE bound: the statement of each data node, and what a saga needs to know of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

from dbmesh.errors import NoDataNode, NotSupported
from dbmesh.plan.model import Bound, Call, Plan, RouteKind, RouteUnit, Write
from dbmesh.plan.select import SelectPlan, sample_of
from dbmesh.plan.staged import StagedWrite
from dbmesh.rewrite import Template
from dbmesh.route.conditions import AllOf, KeyOneOf
from dbmesh.route.keys import UNKNOWN, Verdict, stored_value
from dbmesh.route.placement import Place, place
from dbmesh.route.router import RouteTemplate, Target
from dbmesh.rules.keys import Equal, KeyValue
from dbmesh.rules.model import DataNode, ShardedTable
from dbmesh.schema import Column
from dbmesh.sql.constants import Value


class Move(NamedTuple):
    """An assignment to a sharding key column of a reference; ``value`` None for anything but a literal."""

    reference: int
    key: str
    column: Column | None
    value: Value | None


@dataclass(frozen=True, slots=True)
class WriteParts:
    """The templates of ``plan.model.Write``."""

    op: Literal["U", "D"]
    source: Template
    head: Template
    where: Template
    order_by: Template
    limit: Template
    set_columns: tuple[str, ...]
    set_values: tuple[Template, ...]
    ignore: bool

    def sentry(self, at: Place, literals: Sequence[str], call: Call) -> str:
        """Finds, and locks, a row that the statement would change."""
        source, where = (t.render(literals, at.tables, call.session_value) for t in (self.source, self.where))
        condition = f" WHERE {where}" if where else ""
        return f"SELECT 1 FROM {source.strip()}{condition} LIMIT 1 FOR UPDATE"

    def write(self, at: Place, literals: Sequence[str], call: Call) -> Write:
        def text(template: Template) -> str:
            return template.render(literals, at.tables, call.session_value).strip()

        return Write(
            self.op,
            at.tables[0],
            text(self.source),
            text(self.head),
            where=text(self.where),
            order_by=text(self.order_by),
            limit=text(self.limit),
            set_columns=self.set_columns,
            set_values=tuple(text(value) for value in self.set_values),
            ignore=self.ignore,
        )


@dataclass(kw_only=True)
class ShardWrite(SelectPlan):
    """``whole`` and ``several_parts``: with one instant for all servers; ``single`` leaves the clock to its server.

    ``refusal``: why it may run on one data node only. ``staged``: how it is done then, see `plan.staged`;
    ``unstaged``: why not.
    """

    parts: WriteParts | None
    several_parts: WriteParts | None
    whole: Template
    moves: tuple[Move, ...]
    staged: StagedWrite | None = None
    unstaged: NotSupported | None = None

    def __post_init__(self) -> None:
        SelectPlan.__post_init__(self)
        if self.moves:
            self.shortcut = None

    def bind(self, literals: Sequence[str], call: Call) -> Bound:
        try:
            return self._by_each(literals, call)
        except NotSupported as refusal:
            if self.staged is None:
                raise self.unstaged or refusal from None
            return self.staged.bind(literals, call)

    def _by_each(self, literals: Sequence[str], call: Call) -> Bound:
        """Each data node does its part for itself. Raises NotSupported where it cannot."""
        placement = place(self.route, literals)
        moved = next((move for move in self.moves if not self._stays(move, literals)), None)
        if moved is not None:
            return self._kept_at_home(moved, placement.places, literals, call)
        if len(placement.places) == 1:
            units = (_unit(placement.places[0], self.single, self.parts, literals, call),)
            return Bound(self.kind, RouteKind.SINGLE, units)
        if self.refusal is not None:
            raise self.refusal
        several = tuple(_unit(at, self.whole, self.several_parts, literals, call) for at in placement.places)
        return Bound(self.kind, placement.kind, several)

    def _stays(self, move: Move, literals: Sequence[str]) -> bool:
        """Whether the rows are assigned the key that the statement finds them by."""
        condition = self.route.conditions.get(move.reference)
        parts = condition.parts if isinstance(condition, AllOf) else (condition,)
        found = [part.bind(literals) for part in parts if isinstance(part, KeyOneOf) and part.key == move.key]
        stored = _stored(move, literals)
        return not isinstance(stored, Verdict) and Equal((stored,)) in found

    def _kept_at_home(self, moved: Move, places: Sequence[Place], literals: Sequence[str], call: Call) -> Bound:
        """The rows are assigned one key, as by an ORM that writes every column: those at its home stay there.

        A sentry on each other data node makes sure that no row of it would have to move.
        """
        refusal = NotSupported(
            f"an UPDATE of the sharding key column '{moved.key}': its rows may belong to another data node",
            "delete the row and insert it anew",
        )
        home = self._home(moved, literals)
        parts = self.several_parts
        if home is None or parts is None or self.refusal is not None:
            raise refusal
        units = []
        for at in places:
            if home == DataNode(at.data_source, at.tables[moved.reference]):
                units.append(_unit(at, self.whole, parts, literals, call))
            else:
                units.append(
                    RouteUnit(
                        at.data_source, at.tables[moved.reference], parts.sentry(at, literals, call), sentry=refusal
                    )
                )
        otherwise = partial(self.staged.bind, literals, call) if self.staged is not None else None
        return Bound(self.kind, RouteKind.MULTI, tuple(units), otherwise=otherwise)

    def _home(self, moved: Move, literals: Sequence[str]) -> DataNode | None:
        """The data node of the key that all the rows are assigned; None when it cannot be told."""
        rule = self.route.targets[moved.reference].rule
        assert isinstance(rule, ShardedTable)
        assigned = {move.key: _stored(move, literals) for move in self.moves if move.reference == moved.reference}
        values = tuple(assigned.get(key, UNKNOWN) for key in rule.key_columns)
        known = tuple(value for value in values if not isinstance(value, Verdict))
        try:
            return rule.nodes[rule.node_for(known)] if len(known) == len(values) else None
        except NoDataNode:
            return None


def _stored(move: Move, literals: Sequence[str]) -> KeyValue | Verdict:
    if move.value is None:
        return UNKNOWN
    return stored_value(move.value.token(list(literals)), move.value.negative, move.column, strict=False)


@dataclass(kw_only=True)
class CopiesWrite(Plan):
    """The same statement for every copy of a broadcast table."""

    places: tuple[Place, ...]
    template: Template
    parts: WriteParts | None

    def sample(self, literals: Sequence[str], call: Call) -> tuple[str, str] | None:
        first = self.places[0]
        return first.data_source, self.template.render(literals, first.tables, call.session_value)

    def bind(self, literals: Sequence[str], call: Call) -> Bound:
        units = tuple(_unit(at, self.template, self.parts, literals, call) for at in self.places)
        return Bound(self.kind, RouteKind.BROADCAST, units, affected="first")


@dataclass(kw_only=True)
class StagedPlan(Plan):
    """A write that is never the data nodes' own."""

    route: RouteTemplate
    staged: StagedWrite

    def sample(self, literals: Sequence[str], call: Call) -> tuple[str, str] | None:
        return sample_of(self.route, self.staged.gathered.whole, literals, call)

    def bind(self, literals: Sequence[str], call: Call) -> Bound:
        return self.staged.bind(literals, call)


def copies_of(targets: Sequence[Target], written: Target) -> tuple[Place, ...]:
    """Each data source of the written table with its copies of all tables. Raises NotSupported when one is missing."""
    places = []
    for node in written.rule.nodes:
        tables = []
        for target in targets:
            actual = next((n.table for n in target.rule.nodes if n.data_source == node.data_source), None)
            if actual is None:
                raise NotSupported(f"table '{target.rule.name}' is not on data source '{node.data_source}'")
            tables.append(actual)
        places.append(Place(node.data_source, tuple(tables)))
    return tuple(places)


def _unit(at: Place, template: Template, parts: WriteParts | None, literals: Sequence[str], call: Call) -> RouteUnit:
    sql = template.render(literals, at.tables, call.session_value)
    table = at.tables[0] if len(at.tables) == 1 else ""
    return RouteUnit(at.data_source, table, sql, None if parts is None else parts.write(at, literals, call))
