"""Writes of tables that BASE transactions write: the global locks of their rows are looked at before COMMIT.

Whoever has done nothing else yet waits for a row without holding anything; whoever has is rolled back (1213), since the
row's holder may need what it holds, and no server would see that deadlock.
"""

from __future__ import annotations

from dataclasses import replace

from dbmesh.engine.caller import Caller, Outcome
from dbmesh.engine.generation import Generation
from dbmesh.engine.write import write
from dbmesh.errors import BackendError, Deadlock, MeshError
from dbmesh.plan.model import Bound
from dbmesh.transaction.failures import RowLocked
from dbmesh.transaction.local import LocalTransaction
from dbmesh.transaction.uninterrupted import uninterrupted
from dbmesh.transaction.waiting import Patience, wait_until_free
from dbmesh.transaction.watch import Based, Watch

_DEADLOCK = 1213


async def run_alone(bound: Bound, generation: Generation, caller: Caller, based: Based, watch: Watch) -> Outcome:
    """An autocommit statement: a local transaction of its own, on one shard or on several."""
    own = LocalTransaction(generation.lender, caller.capabilities)
    try:
        outcome = await run_watched(bound, caller, own, based, watch, "")
        await uninterrupted(own.commit())
    except MeshError:
        await own.rollback()
        raise
    finally:
        own.discard()
    return outcome


async def run_watched(
    bound: Bound, caller: Caller, transaction: LocalTransaction, based: Based, watch: Watch, original: str
) -> Outcome:
    """One statement in a transaction. ``original``: the client's text, kept for people.

    Raises LockWaitTimeout (1205) with only the statement undone, Deadlock (1213) with all of the transaction.
    """
    bound = replace(bound, units=tuple([unit.rewritten(caller.written) for unit in bound.units]))
    bound = replace(bound, units=tuple(unit.rewritten(caller.written) for unit in bound.units))
    patience = Patience(watch.proxy.rules.lock_wait)
    while True:
        fresh = not transaction.branches
        savepoints = list(transaction.savepoints)
        found_rows = caller.capabilities.found_rows
        statement = await watch.statement(bound.units, based, caller.encoding, original, found_rows, not fresh)
        guard = not fresh and (len(bound.units) > 1 or statement.images)
        try:
            outcome = await write(bound, transaction, caller, guard=guard, watched=statement)
        except RowLocked as locked:
            await uninterrupted(transaction.rollback())
            if not fresh:
                transaction.ended = True
                raise Deadlock(
                    "Deadlock found when trying to get lock; try restarting transaction (a row belongs to global"
                    f" transaction {locked.holder})"
                ) from None
            transaction.savepoints[:] = savepoints
            await wait_until_free(watch.proxy, locked, watch.gtrid, patience)
            continue
        except MeshError as error:
            await uninterrupted(_undo(error, transaction, fresh, guard, savepoints))
            raise
        watch.accept(statement)
        return outcome


async def _undo(
    error: MeshError, transaction: LocalTransaction, fresh: bool, guarded: bool, savepoints: list[str]
) -> None:
    """Undo what `engine.write` has not undone, since there was no savepoint."""
    if transaction.aborted is not None or transaction.ended or guarded:
        return
    if fresh:
        await transaction.rollback()
        transaction.savepoints[:] = savepoints
        transaction.ended = isinstance(error, BackendError) and error.errno == _DEADLOCK
    elif not isinstance(error, BackendError):
        await transaction.abort(error.message)
