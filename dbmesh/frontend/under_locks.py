"""Statements under LOCK TABLES: on the connections that hold the locks, committed as one where they write several."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from dbmesh.engine import engine
from dbmesh.engine.caller import Caller, Outcome
from dbmesh.errors import NotSupported
from dbmesh.frontend.transactions import ClientTransaction
from dbmesh.plan.model import Bound, Plan, RouteUnit
from dbmesh.transaction.locked import LockedTables, TableNotLocked, named_as_locked

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session


async def run_locked(session: Session, plan: Plan, bound: Bound, caller: Caller, locked: LockedTables) -> Outcome:
    """A statement on tables, whose connections are those of LOCK TABLES."""
    for unit in bound.units:
        if unit.data_source not in locked.branches:
            raise TableNotLocked(plan.tables[0].name)
    if bound.staging is not None:
        raise NotSupported("under LOCK TABLES, a write that has to gather rows of several data nodes", "UNLOCK TABLES")
    bound = _unaliased(bound, locked)
    writes = plan.writes and not plan.locks
    if session.transaction_mode != "local" and writes and len(locked.branches) > 1:
        raise NotSupported(
            f"LOCK TABLES on several data sources gives {session.transaction_mode} transactions no hold on them",
            "UNLOCK TABLES, or SET dbmesh_transaction='local'",
        )
    if session.transaction is None and not session.settings.autocommit:
        session.transaction = ClientTransaction.under_locks(session, locked)
    if session.transaction is not None:
        try:
            return await session.transaction.run(plan, bound, caller)
        finally:
            if locked.ended:  # by a global lock, which is what a deadlock does
                session.transaction, locked.ended = None, False
    if not writes or (len(bound.units) == 1 and not plan.based):
        alone = len(bound.units) == 1 and bound.merge is None and bound.federation is None
        return await engine.run(bound, session.generation, caller, None if alone else locked)
    return await _together(session, plan, bound, caller, locked)


def _unaliased(bound: Bound, locked: LockedTables) -> Bound:
    """With the parts of locked tables named as they are locked."""
    if not locked.unaliased:
        return bound

    def as_locked(unit: RouteUnit) -> RouteUnit:
        named = partial(named_as_locked, data_source=unit.data_source, unaliased=locked.unaliased)
        unit = unit.rewritten(named)
        return unit if unit.write is None else replace(unit, write=replace(unit.write, source=named(unit.write.source)))

    federation = bound.federation
    if federation is not None:
        shipments = [
            replace(s, units=tuple(map(as_locked, s.units)), partners=(), reduced=None) for s in federation.shipments
        ]
        federation = replace(federation, shipments=tuple(shipments))
    otherwise = bound.otherwise
    return replace(
        bound,
        units=tuple(map(as_locked, bound.units)),
        federation=federation,
        otherwise=None if otherwise is None else lambda: _unaliased(otherwise(), locked),
    )


async def _together(session: Session, plan: Plan, bound: Bound, caller: Caller, locked: LockedTables) -> Outcome:
    """One autocommit statement that writes several parts of locked tables, or what BASE transactions write too."""
    locked.together = True
    try:
        own = ClientTransaction.under_locks(session, locked)
        outcome = await own.write(plan, bound, caller)
        await own.commit()
        return outcome
    except BaseException:
        await asyncio.shield(locked.rollback())
        raise
    finally:
        locked.together = locked.ended = False
