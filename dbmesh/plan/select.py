"""SELECT: relayed when one data node answers, merged when several do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from dbmesh.errors import NotSupported
from dbmesh.merge.spec import MergeSpec
from dbmesh.plan.federate import Federated
from dbmesh.plan.model import Bound, Call, Plan, RouteUnit
from dbmesh.plan.shortcut import Shortcut
from dbmesh.rewrite import Template
from dbmesh.route.conditions import AllOf, KeyOneOf
from dbmesh.route.placement import Place, RouteKind, place, place_anywhere
from dbmesh.route.router import RouteTemplate
from dbmesh.rules.model import ShardedTable
from dbmesh.sql.constants import Value


class Several(Protocol):
    """The statement on several data nodes."""

    def sql(self, literals: Sequence[str], call: Call, place: Place) -> str:
        """The text for one of them."""

    def merge(self, literals: Sequence[str], call: Call) -> MergeSpec:
        """How their results become one."""


@dataclass(kw_only=True)
class SelectPlan(Plan):
    """``several``: None when the statement is no merge of several data nodes' results; ``refusal`` says why.

    ``federated``: how it is answered where neither one data node nor a merge can.
    """

    route: RouteTemplate
    single: Template
    several: Several | None = None
    federated: Federated | None = None
    refusal: NotSupported | None = None
    shortcut: Shortcut | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.shortcut = None if self.leaves else _shortcut(self.route, self.single)

    @property
    def may_scatter(self) -> bool:
        """Whether some literals may need several data nodes, and the route allows them."""
        return bool(self.route.conditions) and not self.route.apart

    def relay(self, literals: tuple[str, ...]) -> tuple[str, str] | None:
        return None if self.shortcut is None else self.shortcut.relay(literals)

    def sample(self, literals: Sequence[str], call: Call) -> tuple[str, str] | None:
        return sample_of(self.route, self.single, literals, call)

    def bind(self, literals: Sequence[str], call: Call) -> Bound:
        try:
            placement = place(self.route, literals)
        except NotSupported as apart:
            if self.federated is None:
                raise self.refusal or apart from None
            return self.federated.bind(literals, call)
        if len(placement.places) == 1:
            only = placement.places[0]
            sql = self.single.render(literals, only.tables, call.session_value)
            return Bound(
                self.kind, placement.kind, (RouteUnit(only.data_source, _table(only), sql),), leaves=self.leaves
            )
        if self.several is None:
            if self.federated is not None:
                return self.federated.bind(literals, call)
            raise self.refusal or NotSupported("it concerns several data nodes")
        units = tuple(
            RouteUnit(p.data_source, _table(p), self.several.sql(literals, call, p)) for p in placement.places
        )
        otherwise = partial(self.federated.bind, literals, call) if self.federated is not None else None
        return Bound(self.kind, placement.kind, units, self.several.merge(literals, call), otherwise=otherwise)


@dataclass(kw_only=True)
class UnicastPlan(Plan):
    """A statement without logical tables: any data source answers it."""

    data_source: str
    template: Template

    def sample(self, literals: Sequence[str], call: Call) -> tuple[str, str] | None:
        return self.data_source, self.template.render(literals, (), call.session_value)

    def bind(self, literals: Sequence[str], call: Call) -> Bound:
        sql = self.template.render(literals, (), call.session_value)
        return Bound(self.kind, RouteKind.UNICAST, (RouteUnit(self.data_source, "", sql),), leaves=self.leaves)


@dataclass(kw_only=True)
class UnreadPlan(Plan):
    """What our parser cannot read; see ``Plan.judge``."""

    def bind(self, literals: Sequence[str], call: Call) -> Bound:
        assert self.judge is not None
        raise self.judge


def sample_of(route: RouteTemplate, template: Template, literals: Sequence[str], call: Call) -> tuple[str, str] | None:
    """``Plan.sample`` of a text with the route's tables in it."""
    where = place_anywhere(route)
    return None if where is None else (where.data_source, template.render(literals, where.tables, call.session_value))


def _table(where: Place) -> str:
    return where.tables[0] if len(where.tables) == 1 else ""


def _shortcut(route: RouteTemplate, single: Template) -> Shortcut | None:
    if route.only or len(route.targets) != 1 or not isinstance(table := route.targets[0].rule, ShardedTable):
        return None
    condition = route.conditions[0]
    if isinstance(condition, AllOf) and len(condition.parts) == 1:
        condition = condition.parts[0]
    if not isinstance(condition, KeyOneOf) or len(condition.values) != 1 or len(table.key_columns) != 1:
        return None
    value = condition.values[0]
    texts = [(node.data_source, single.format_for([node.table])) for node in table.nodes]
    complete = tuple((data_source, text) for data_source, text in texts if text is not None)
    if not isinstance(value, Value) or value.literal is None or len(complete) < len(texts):
        return None
    return Shortcut(table, condition.column, value.literal, value.negative, complete)
