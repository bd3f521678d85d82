"""What EXPLAIN FORMAT=MESH, ``dbmesh explain`` and the golden cases print."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dbmesh.merge.spec import Aggregate, Finish, MergeSpec, Pass, SortKey
from dbmesh.plan.model import Bound, Federation, Plan, RouteUnit, Staging


def explain(bound: Bound, plan: Plan, compensation: Callable[[RouteUnit], str] | None = None) -> str:
    """Readable and stable text: kind, route, SQL per data node, merge stages, notes.

    ``compensation``: lines on how a unit that writes is recorded and undone in a BASE transaction; '' for none.
    """
    lines = [f"{bound.kind.value}: {_route(bound)}"]
    for unit in bound.units:
        where = f"{unit.data_source}.{unit.table}" if unit.table else unit.data_source
        lines.append(f"  {where}: {unit.sql}" + ("  -- must find no row" if unit.sentry is not None else ""))
        if compensation is not None:
            lines += [f"    {line}" for line in compensation(unit).splitlines()]
    if bound.federation is not None:
        lines += _federation(bound.federation)
    if bound.staging is not None:
        lines += _staging(bound.staging)
    if bound.merge is not None:
        lines.append("merge:")
        lines += [f"  {stage}" for stage in _stages(bound.merge)]
    if bound.last_insert_id is not None:
        lines.append(f"last insert id: {bound.last_insert_id}")
    lines += [f"note: {note}" for note in plan.notes]
    return "\n".join(lines)


def _route(bound: Bound) -> str:
    sources = len({unit.data_source for unit in bound.units})
    nodes = "1 route unit" if len(bound.units) == 1 else f"{len(bound.units)} route units"
    return f"{bound.route_kind.value}, {nodes}" + (f" on {sources} data sources" if sources > 1 else "")


def _federation(federation: Federation) -> Iterable[str]:
    yield f"federate on {federation.data_source}:"
    yield from _shipments(federation)
    yield f"  {federation.sql}"


def _shipments(federation: Federation) -> Iterable[str]:
    for shipment in federation.shipments:
        yield f"  {shipment.create}"
        partners = ", ".join(f"{table}.{column}" for table, column in shipment.partners)
        among = f", rows with a partner in {partners}" if partners else ""
        yield f"    filled by {len(shipment.units)} of the route units{among}"


def _staging(staging: Staging) -> Iterable[str]:
    yield f"first done on {staging.federation.data_source}:"
    yield from _shipments(staging.federation)
    for effect in staging.effects:
        yield from (f"  {statement}" for statement in effect.before)
    yield f"  {staging.federation.sql}"
    for effect in staging.effects:
        yield f"then by key, on the data nodes of '{effect.name}': {effect.what}"


def _stages(spec: MergeSpec) -> Iterable[str]:
    if spec.order:
        yield f"ordered by {_keys(spec.order)}"
    else:
        yield "one data node after the other"
    if spec.group is not None:
        keys = f"by the first {spec.group.keys} of these" if spec.group.keys else "all rows into one"
        yield f"group {keys}: {', '.join(map(_aggregate, spec.group.aggregates)) or 'no aggregates'}"
    if spec.finish is not None:
        yield from _finish(spec.finish)
    if spec.distinct:
        yield f"distinct by {_keys(spec.distinct)}"
    if spec.sort:
        yield f"sort by {_keys(spec.sort)}"
    if spec.offset or spec.limit is not None:
        yield f"limit {spec.limit} offset {spec.offset}"
    if spec.derived:
        yield f"derived columns cut: {spec.derived}"


def _keys(keys: Iterable[SortKey]) -> str:
    return ", ".join(
        f"column {key.column}" + (" desc" if key.descending else "") + (" padded" if key.pad is not None else "")
        for key in keys
    )


def _aggregate(aggregate: Aggregate) -> str:
    text = f"{aggregate.kind.value.upper()} in column {aggregate.column}"
    if aggregate.distinct:
        text += " of distinct values"
    if aggregate.key is not None:
        text += f" compared by {_keys([aggregate.key])}"
    if aggregate.sum is not None:
        text += f" from sum {aggregate.sum} and count {aggregate.count}"
    elif aggregate.count is not None:
        text += f" with count {aggregate.count}"
    return text


def _finish(finish: Finish) -> Iterable[str]:
    inputs = ", ".join(f"a{at} = column {given.column}" for at, given in enumerate(finish.inputs))
    yield f"evaluate on a backend with {inputs}:" if inputs else "evaluate on a backend:"
    for item in finish.output:
        yield f"  column {item.column}" if isinstance(item, Pass) else f"  {item.sql}"
    if finish.having is not None:
        yield f"  having {finish.having}"
