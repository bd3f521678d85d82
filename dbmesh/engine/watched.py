"""Writes of tables that BASE transactions write: the global locks of their rows are looked at before COMMIT.

Whoever has done nothing else yet waits for a row without holding anything; whoever has is rolled back (1213), since the
row's holder may need what it holds, and no server would see that deadlock.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from dbmesh.engine.caller import Caller, Outcome
from dbmesh.engine.generation import Generation
from dbmesh.engine.staged import Staged, stage
from dbmesh.engine.write import Displaced, in_own_transaction, write
from dbmesh.errors import BackendError, BackendLost, Deadlock, MeshError
from dbmesh.plan.model import Bound
from dbmesh.transaction.failures import RowLocked
from dbmesh.transaction.local import LocalTransaction
from dbmesh.transaction.locking_read import look_up
from dbmesh.transaction.uninterrupted import uninterrupted
from dbmesh.transaction.waiting import Patience, wait_until_free
from dbmesh.transaction.watch import Based, Watch

_DEADLOCK = 1213
T = TypeVar("T")


async def run_alone(bound: Bound, generation: Generation, caller: Caller, based: Based, watch: Watch) -> Outcome:
    """An autocommit statement: a local transaction of its own, on one shard or on several."""
    return await in_own_transaction(
        generation, caller, lambda own: run_watched(bound, generation, caller, own, based, watch, "")
    )


async def run_watched(
    bound: Bound,
    generation: Generation,
    caller: Caller,
    transaction: LocalTransaction,
    based: Based,
    watch: Watch,
    original: str,
) -> Outcome:
    """One statement in a transaction. ``original``: the client's text, kept for people.

    Raises LockWaitTimeout (1205) with only the statement undone, Deadlock (1213) with all of the transaction.
    """
    bound = replace(bound, units=tuple([unit.rewritten(caller.written) for unit in bound.units]))

    async def attempt(fresh: bool) -> Outcome:
        savepoints = list(transaction.savepoints)
        try:
            staged = await _staged(bound, generation, caller, transaction, watch)
            now, who = (bound, caller) if staged is None else (staged.bound, staged.caller)
            found_rows = caller.capabilities.found_rows
            writing = [unit for unit in now.units if unit.sentry is None]
            statement = await watch.statement(writing, based, who.encoding, original, found_rows, not fresh)
        except MeshError as error:
            if fresh:  # what it has locked is given up; otherwise nothing has been done
                await uninterrupted(_undo(error, transaction, fresh, False, savepoints))
            raise
        sentries = any(unit.sentry is not None for unit in now.units)
        guard = not fresh and (len(now.units) > 1 or sentries or statement.images)
        try:
            outcome = await write(now, transaction, who, guard=guard, watched=statement)
        except MeshError as error:
            await uninterrupted(_undo(error, transaction, fresh, guard, savepoints))
            raise (error if staged is None else staged.failed(error)) from error
        finally:
            statement.close()
        watch.accept(statement)
        return outcome if staged is None else staged.told(outcome)

    try:
        return await _insist(transaction, watch, attempt)
    except Displaced as found:
        if bound.otherwise is None:
            raise found.refusal from None
    return await run_watched(bound.otherwise(), generation, caller, transaction, based, watch, original)


async def _staged(
    bound: Bound, generation: Generation, caller: Caller, transaction: LocalTransaction, watch: Watch
) -> Staged | None:
    if bound.staging is None:
        return None
    return await stage(bound, generation, caller, transaction, atomic=transaction.atomic or watch.records)


async def lock_rows(
    bound: Bound, caller: Caller, transaction: LocalTransaction, based: Based, watch: Watch, hidden: bool = False
) -> None:
    """Before a SELECT with a locking clause runs: lock its rows, and see that no other global transaction has them.

    ``hidden``: nor has any such transaction removed rows that would be among them.
    """

    async def attempt(fresh: bool) -> None:
        await transaction.enlist([unit.data_source for unit in bound.units], caller.state)
        for unit in bound.units:
            name = unit.data_source
            whole = replace(unit, sql=caller.written(unit.sql))
            try:
                tables, connection = based.get(name, ()), transaction.branches[name]
                await look_up(watch, whole, tables, connection, caller.encoding, not fresh, hidden)
            except BackendError:
                await uninterrupted(transaction.settle([name]))
                raise
            except BackendLost as error:
                await transaction.abort(error.message)
                raise

    if based:
        await _insist(transaction, watch, attempt)


async def _insist(transaction: LocalTransaction, watch: Watch, attempt: Callable[[bool], Awaitable[T]]) -> T:
    """Try again when rows become free, as long as the transaction has nothing else to lose."""
    patience = Patience(watch.proxy.rules.lock_wait)
    while True:
        fresh = not transaction.branches
        savepoints = list(transaction.savepoints)
        try:
            return await attempt(fresh)
        except RowLocked as locked:
            await uninterrupted(transaction.rollback())
            if not fresh:
                transaction.ended = True
                raise Deadlock(f"a row belongs to global transaction {locked.holder}") from None
            transaction.savepoints[:] = savepoints
            await wait_until_free(watch.proxy, locked, watch.gtrid, patience)


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
