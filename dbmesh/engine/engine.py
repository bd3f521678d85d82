"""One statement from plan to answer; with `plan.build` and `Plan.bind` before it, the table of contents of the product.

* one route unit without a merge is *relayed*: its rows pass undecoded;
* several that read become one stream by `merge`, or fill scratch tables of one server that answers (`federate`);
* several that write are one local transaction, or a saga's statement (`transaction.base`), never less; what none of
  them could do for itself is found out on one server before (`staged`).
"""

from __future__ import annotations

from collections.abc import Sequence

from dbmesh.backend.connection import Connection, Request
from dbmesh.engine import lanes as row_lanes
from dbmesh.engine import read
from dbmesh.engine.caller import Caller, Outcome
from dbmesh.engine.federate import run_federated
from dbmesh.engine.generation import Generation
from dbmesh.engine.lanes import MOST_WARNINGS, Lane
from dbmesh.engine.leavings import read_back
from dbmesh.engine.staged import run_staged
from dbmesh.engine.write import Displaced, in_own_transaction, write
from dbmesh.errors import BackendError, BackendLost, MeshError
from dbmesh.merge.spec import MergeSpec
from dbmesh.plan.model import Bound
from dbmesh.transaction.local import INTERRUPTED, LocalTransaction
from dbmesh.transaction.uninterrupted import uninterrupted

CONNECTIONS_PER_QUERY = 8  # of one data source; further units share, see `lanes`


async def run(bound: Bound, generation: Generation, caller: Caller, transaction: LocalTransaction | None) -> Outcome:
    """Execute a bound plan. ``transaction``: None for autocommit."""
    if bound.federation is not None:
        return await run_federated(bound.federation, generation, caller, transaction)
    if bound.merge is not None:
        try:
            return await _read(bound, bound.merge, generation, caller, transaction)
        except read.Unmerged as refused:
            if bound.otherwise is None:
                raise refused.refusal from None
            return await run(bound.otherwise(), generation, caller, transaction)
    if (
        bound.staging is None
        and len(bound.units) == 1
        and bound.units[0].sentry is None
        and bound.units[0].file is None
    ):
        return await _single(bound, generation, caller, transaction)
    try:
        if transaction is not None:
            return await _written(bound, generation, caller, transaction, guard=True)
        return await in_own_transaction(
            generation, caller, lambda own: _written(bound, generation, caller, own, guard=False)
        )
    except Displaced as found:
        if bound.otherwise is None:
            raise found.refusal from None
    return await run(bound.otherwise(), generation, caller, transaction)


async def _written(
    bound: Bound, generation: Generation, caller: Caller, transaction: LocalTransaction, *, guard: bool
) -> Outcome:
    if bound.staging is not None:
        return await run_staged(bound, generation, caller, transaction, guard=guard)
    return await write(bound, transaction, caller, guard=guard)


async def _single(
    bound: Bound, generation: Generation, caller: Caller, transaction: LocalTransaction | None
) -> Outcome:
    [unit] = bound.units
    request = caller.request(unit.sql)
    if transaction is None:
        [connection] = await generation.lender.acquire([unit.data_source], caller.capabilities, caller.state)
        try:
            await connection.apply(caller.state)
            return await _relayed(connection, request, bound, caller)
        finally:
            generation.lender.release(connection)
    await transaction.enlist([unit.data_source], caller.state)
    try:
        outcome = await _relayed(transaction.branches[unit.data_source], request, bound, caller)
    except BackendError:
        await uninterrupted(transaction.settle([unit.data_source]))
        raise
    except MeshError as error:
        if isinstance(error, BackendLost):
            await transaction.abort(error.message)
        raise
    except BaseException:
        await transaction.abort(INTERRUPTED)
        raise
    if outcome.errno:
        await uninterrupted(transaction.settle([unit.data_source]))
    return outcome


async def _relayed(connection: Connection, request: Request, bound: Bound, caller: Caller) -> Outcome:
    try:
        outcome = await caller.relay(connection, request, bound.last_insert_id)
    except BaseException:
        if bound.leaves:
            connection.poisoned = True  # it may have set some of the variables
        raise
    if bound.leaves:
        await read_back(connection, bound.leaves, outcome)
    if bound.unsure_ids and outcome.last_insert_id:
        [[made]] = (await connection.execute("SELECT LAST_INSERT_ID()")).rows
        outcome.given_ids = int(made or 0) != outcome.last_insert_id
    return outcome


async def _read(
    bound: Bound, spec: MergeSpec, generation: Generation, caller: Caller, transaction: LocalTransaction | None
) -> Outcome:
    names = [unit.data_source for unit in bound.units]
    layout = read.spread(bound.units, dict.fromkeys(names, 1) if transaction else _most(names, generation))
    wanted = [name for name, _ in layout]
    evaluators = names[:1] if spec.finish is not None else []
    if transaction is None:
        held = await generation.cluster.acquire(wanted + evaluators, caller.capabilities, caller.state)
        connections = held[: len(wanted)]
    else:
        await transaction.enlist(wanted, caller.state)
        connections = [transaction.branches[name] for name in wanted]
        held = await generation.cluster.acquire(evaluators, caller.capabilities, caller.state) if evaluators else []
    lanes, streams = read.assign(bound.units, layout, connections, caller)
    unclean = set(connections)
    try:
        for connection in held:
            await connection.apply(caller.state)
        try:
            await row_lanes.start(lanes, whole=transaction is not None)
            sent = await read.run_merge(spec, streams, held[-1] if evaluators else None, caller)
        except BackendLost:
            raise
        except MeshError:
            unclean = await read.close(lanes, whole=transaction is not None)
            if transaction is not None and not unclean:
                await uninterrupted(transaction.settle(wanted))
            raise
        unclean = await read.close(lanes, whole=transaction is not None)
    finally:
        _let_go(lanes, held, unclean, generation)
        if transaction is not None and unclean:
            await transaction.abort("a query of it ended before its rows were read")
    rows = [row for lane in lanes for row in lane.warning_rows]
    return Outcome(rows=sent, warnings=sum(lane.warnings for lane in lanes), warning_rows=rows[:MOST_WARNINGS])


def _most(names: Sequence[str], generation: Generation) -> dict[str, int]:
    """How many connections a query may take of each data source: never all of a pool, one is for evaluation."""
    sources = generation.rules.data_sources
    return {name: min(CONNECTIONS_PER_QUERY, max(1, sources[name].pool.size - 1)) for name in names}


def _let_go(
    lanes: Sequence[Lane], held: Sequence[Connection], unclean: set[Connection], generation: Generation
) -> None:
    for lane in lanes:
        if lane.connection in unclean:
            lane.abandon()
    for connection in held:
        generation.cluster.release(connection, reusable=connection not in unclean)
