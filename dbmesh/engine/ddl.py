"""DDL on every data node of a table, one after the other. No server can take it back: a failure tells who has it.

Where the rules name a coordinator log, DDL of several data nodes is written down there, see
`transaction.ddl_journal`: the same statement, or ``dbmesh ddl resume``, goes on where it stopped.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from dbmesh.backend.cluster import Cluster
from dbmesh.backend.connection import Connection
from dbmesh.backend.pool import Capabilities
from dbmesh.backend.session_state import SessionState, interned
from dbmesh.engine.caller import Caller, Outcome
from dbmesh.engine.generation import Generation
from dbmesh.engine.write import add_info
from dbmesh.errors import BackendError, BackendLost, MeshError
from dbmesh.plan.model import Bound
from dbmesh.transaction.ddl_journal import Asked, DdlJournal, Job, Run, Step

_log = logging.getLogger(__name__)


async def run_ddl(
    bound: Bound, generation: Generation, caller: Caller, journal: DdlJournal | None, asked: Asked
) -> Outcome:
    """Run every unit, on one connection per data source. The client's transaction has been committed before.

    ``journal``: None where the rules name no log. Raises its errors when several data nodes are concerned.
    """
    names = list(dict.fromkeys(unit.data_source for unit in bound.units))
    steps = [
        Step(number, unit.data_source, unit.table, caller.written(unit.sql).encode(caller.encoding, "surrogateescape"))
        for number, unit in enumerate(bound.units)
    ]
    acquired = await generation.lender.acquire(names, caller.capabilities, caller.state)
    connections = dict(zip(names, acquired, strict=True))
    try:
        if journal is None or len(steps) == 1:
            return await _each(steps, connections, caller.state, None)
        asked = replace(asked, settings=_written(caller.state))
        async with journal.run(asked, steps) as run:
            return await _each(run.job.steps, connections, caller.state, run)
    finally:
        for connection in acquired:
            generation.lender.release(connection)
        generation.forget(bound.units)


async def resume_ddl(job: Job, cluster: Cluster, journal: DdlJournal) -> Outcome:
    """Go on with a job, in a session like the client's. Raises ddl_journal.Busy, and errors as `run_ddl`."""
    names = list(dict.fromkeys(step.data_source for step in job.steps))
    state = _read(job.asked.settings)
    acquired = await cluster.acquire(names, Capabilities(), state)
    try:
        async with journal.resume(job.id) as run:
            return await _each(run.job.steps, dict(zip(names, acquired, strict=True)), state, run)
    finally:
        for connection in acquired:
            cluster.release(connection)


def _written(state: SessionState) -> str:
    own = state.without_user_variables()
    return json.dumps([own.client, own.collation, own.results, own.variables])


def _read(settings: str) -> SessionState:
    client, collation, results, variables = json.loads(settings)
    return interned(SessionState(client, collation, results, tuple((name, value) for name, value in variables)))


async def _each(
    steps: Sequence[Step], connections: Mapping[str, Connection], state: SessionState, run: Run | None
) -> Outcome:
    outcome = Outcome()
    for at, step in enumerate(steps):
        if run is not None and await run.is_done(step):
            continue
        connection = connections[step.data_source]
        await connection.apply(state)
        if run is not None:
            await run.start(step, connection.thread_id)
        try:
            result = await connection.execute(step.sql)
        except MeshError as error:
            raise await _failed(error, steps, at, run) from error
        except asyncio.CancelledError:
            raise _interrupted(steps, at, run) from None
        if run is not None:
            await run.done(step)
        outcome.warnings += result.warnings
        outcome.info = add_info(outcome.info, result.info)
        if result.warnings:
            outcome.warning_rows.extend(await connection.warnings())
    if run is not None:
        await run.end()
    return outcome


async def _failed(error: MeshError, steps: Sequence[Step], at: int, run: Run | None) -> MeshError:
    lost = isinstance(error, BackendLost)
    if run is not None:
        await (run.in_doubt if lost else run.failed)(steps[at], error.message)
        if at == 0 and not lost:
            await run.remove()
    if (at == 0 and not lost) or len(steps) == 1:
        return error
    text = f"{error.message} ({_where(steps, at, lost)}: remove the cause and {_remedy(run)})"
    return BackendError(error.errno, error.sqlstate, text)


def _interrupted(steps: Sequence[Step], at: int, run: Run | None) -> MeshError:
    """The client, or KILL, has ended it: the step under way may be done or not."""
    where = _where(steps, at, in_doubt=True)
    _log.warning("DDL was interrupted: %s: %s", where, steps[0].sql.decode(errors="replace"))
    return BackendError(1317, "70100", f"Query execution was interrupted ({where}: {_remedy(run)})")


def _where(steps: Sequence[Step], at: int, in_doubt: bool) -> str:
    done, after = steps[:at], steps[at + 1 :]
    here = f"perhaps on {steps[at].node}, " if in_doubt else ""
    missing = after if in_doubt else steps[at:]
    return f"done on {_nodes(done)}, {here}not on {_nodes(missing)}"


def _nodes(steps: Sequence[Step]) -> str:
    return ", ".join(step.node for step in steps) or "none"


def _remedy(run: Run | None) -> str:
    if run is None:
        return "run it there by hand, or undo it where it was done"
    return f"give the statement again, or run 'dbmesh ddl resume {run.job.id}': it goes on where it stopped"
