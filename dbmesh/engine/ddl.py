"""DDL on every data node of a table, one after the other: no server can take it back, so a failure names who has it."""

from __future__ import annotations

from dbmesh.engine.caller import Caller, Outcome
from dbmesh.engine.generation import Generation
from dbmesh.engine.write import add_info
from dbmesh.errors import BackendError, MeshError
from dbmesh.plan.model import Bound


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
