"""A route bound with one call's literals: which data source gets which actual tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from dbmesh.errors import NotSupported
from dbmesh.route.lists import Kept
from dbmesh.route.router import RouteTemplate, Target
from dbmesh.rules.model import BroadcastTable, DataNode, ShardedTable


class RouteKind(Enum):
    """SINGLE: one data node. MULTI: some, SCATTER: all of a sharded table's. BROADCAST: every copy (writes).

    UNICAST: any one data source will do. NONE: no data node has to be asked.
    """

    SINGLE = "SINGLE"
    MULTI = "MULTI"
    SCATTER = "SCATTER"
    BROADCAST = "BROADCAST"
    UNICAST = "UNICAST"
    NONE = "NONE"


class Place(NamedTuple):
    """One data source with the actual table of every table reference, in their order.

    ``lists``: what it needs of the lists of keys, see `route.lists`.
    """

    data_source: str
    tables: tuple[str, ...]
    lists: Kept = {}  # noqa: RUF012  # never changed


class Placement(NamedTuple):
    kind: RouteKind
    places: tuple[Place, ...]


def place(route: RouteTemplate, literals: Sequence[str]) -> Placement:
    """Where the statement runs with these literals. Raises NotSupported when no way is known to be right."""
    needed = route.needed(literals)
    if not needed:
        return _without_shards(route)
    if all(len(nodes) <= 1 for nodes in needed.values()):
        single = _on_one(route, needed)
        if single is not None:
            return Placement(RouteKind.SINGLE, (single,))
    if route.apart:
        raise NotSupported(
            f"its rows are on several data nodes, and {route.apart}",
            "restrict each sharded table to one sharding key by = or join them on it",
        )
    return _on_each(route, needed, literals)


def _without_shards(route: RouteTemplate) -> Placement:
    single = any(not isinstance(target.rule, BroadcastTable) for target in route.targets)
    sources = [route.only] if route.only else [node.data_source for node in route.targets[0].rule.nodes]
    for data_source in sources:
        found = _place(route, data_source, {})
        if found is not None:
            return Placement(RouteKind.SINGLE if single else RouteKind.UNICAST, (found,))
    raise NotSupported(
        "its tables are on different data sources", "put single tables that are joined on one data source"
    )


def _on_one(route: RouteTemplate, needed: Mapping[int, frozenset[int]]) -> Place | None:
    """The one data source that has all the rows; None when there is none."""
    chosen = {index: next(iter(nodes)) for index, nodes in needed.items() if nodes}
    sources = {_nodes(route, index)[node].data_source for index, node in chosen.items()}
    candidates = sorted(sources) or (
        [route.only]
        if route.only
        else list(dict.fromkeys(node.data_source for i in needed for node in _nodes(route, i)))
    )
    if len(sources) > 1:
        return None
    for data_source in candidates:
        all_chosen = dict(chosen)
        for index in needed:  # a reference that matches no row may be looked for anywhere
            if index not in chosen:
                at = [i for i, node in enumerate(_nodes(route, index)) if node.data_source == data_source]
                if not at:
                    break
                all_chosen[index] = at[0]
        else:
            found = _place(route, data_source, all_chosen)
            if found is not None:
                return found
    return None


def _on_each(route: RouteTemplate, needed: Mapping[int, frozenset[int]], literals: Sequence[str]) -> Placement:
    first = route.base[0]
    nodes = _nodes(route, first)
    chosen = sorted(frozenset(range(len(nodes))).intersection(*(needed[index] for index in route.base)))
    chosen = chosen or [next(at for at, node in enumerate(nodes) if route.only in ("", node.data_source))]
    places = []
    for node in chosen:
        at = dict.fromkeys(needed, node)
        found = _place(route, nodes[node].data_source, at)
        if found is None:
            raise NotSupported(f"not all of its tables are on data source '{nodes[node].data_source}'")
        places.append(found._replace(lists=route.kept(literals, at)) if route.lists else found)
    if len(chosen) == 1:
        return Placement(RouteKind.SINGLE, tuple(places))
    return Placement(RouteKind.SCATTER if len(chosen) == len(nodes) else RouteKind.MULTI, tuple(places))


def _nodes(route: RouteTemplate, index: int) -> tuple[DataNode, ...]:
    return route.targets[index].rule.nodes


def _place(route: RouteTemplate, data_source: str, chosen: Mapping[int, int]) -> Place | None:
    tables = []
    for target in route.targets:
        table = _table_at(target, data_source, chosen.get(target.reference.index))
        if table is None:
            return None
        tables.append(table)
    return Place(data_source, tuple(tables))


def _table_at(target: Target, data_source: str, node: int | None) -> str | None:
    nodes = target.rule.nodes
    if isinstance(target.rule, ShardedTable):
        if node is None or node >= len(nodes) or nodes[node].data_source != data_source:
            return None
        return nodes[node].table
    return next((copy.table for copy in nodes if copy.data_source == data_source), None)


def place_anywhere(route: RouteTemplate) -> Place | None:
    """Some place where all of the tables are, whichever rows they have there."""
    sharded = [target.rule for target in route.targets if isinstance(target.rule, ShardedTable)]
    if not sharded:
        return _without_shards(route).places[0]
    found = (place_on(route, node) for node in range(len(sharded[0].nodes)))
    return next((place for place in found if place is not None), None)


def place_on(route: RouteTemplate, node: int) -> Place | None:
    """Data node number ``node`` of every sharded table, with the copies of the others there; None without."""
    sharded = {i: target for i, target in enumerate(route.targets) if isinstance(target.rule, ShardedTable)}
    if not sharded:
        return None
    data_source = next(iter(sharded.values())).rule.nodes[node].data_source
    return _place(route, data_source, dict.fromkeys(sharded, node))


def everywhere(route: RouteTemplate) -> bool:
    """Whether each data node of the sharded tables has all the tables, so that `place` never lacks one."""
    if not route.base:
        return False
    return all(place_on(route, node) is not None for node in range(len(_nodes(route, route.base[0]))))
