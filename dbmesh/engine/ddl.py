"""DDL on every data node of a table, one after the other: no server can take it back, so a failure names who has it."""

from __future__ import annotations

import asyncio
import logging

from dbmesh.engine.caller import Caller, Outcome
from dbmesh.engine.generation import Generation
from dbmesh.engine.write import add_info
from dbmesh.errors import BackendError, MeshError
from dbmesh.plan.model import Bound

_log = logging.getLogger(__name__)


async def run_ddl(bound: Bound, generation: Generation, caller: Caller) -> Outcome:
    """Run every unit, on one connection per data source. The client's transaction has been committed before."""
    outcome = Outcome()
    names = list(dict.fromkeys(unit.data_source for unit in bound.units))
    acquired = await generation.lender.acquire(names, caller.capabilities, caller.state)
    connections = dict(zip(names, acquired, strict=True))
    done: list[str] = []
    try:
        for unit in bound.units:
            connection = connections[unit.data_source]
            await connection.apply(caller.state)
            try:
                result = await connection.execute(caller.written(unit.sql).encode(caller.encoding, "surrogateescape"))
            except MeshError as error:
                raise _failure(error, bound, done) from error
            except asyncio.CancelledError:
                raise _interrupted(bound, done) from None
            done.append(f"{unit.data_source}.{unit.table}")
            outcome.warnings += result.warnings
            outcome.info = add_info(outcome.info, result.info)
            if result.warnings:
                outcome.warning_rows.extend(await connection.warnings())
    finally:
        for connection in acquired:
            generation.lender.release(connection)
        generation.forget(bound.units)
    return outcome


def _interrupted(bound: Bound, done: list[str]) -> MeshError:
    """The client, or KILL, has ended it: the unit under way may be done or not."""
    names = [f"{unit.data_source}.{unit.table}" for unit in bound.units]
    after = names[len(done) + 1 :]
    text = f"done on {', '.join(done) or 'none'}, perhaps on {names[len(done)]}, not on {', '.join(after) or 'none'}"
    _log.warning("DDL was interrupted: %s: %s", text, bound.units[0].sql)
    return BackendError(
        1317, "70100", f"Query execution was interrupted ({text}: run it there by hand, or undo it where it was done)"
    )


def _failure(error: MeshError, bound: Bound, done: list[str]) -> MeshError:
    if not done:
        return error
    missing = [f"{unit.data_source}.{unit.table}" for unit in bound.units[len(done) :]]
    return BackendError(
        error.errno,
        error.sqlstate,
        f"{error.message} (on {missing[0]}; done on {', '.join(done)}, not on {', '.join(missing)}: "
        "remove the cause and run it there by hand, or undo it where it was done)",
    )
