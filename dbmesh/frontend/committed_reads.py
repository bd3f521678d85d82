"""SET dbmesh_read_isolation = 'committed': a SELECT shows nothing that a BASE transaction has done and may still undo.

Its rows are locked in share mode, then their global locks are looked at, then they are read: nobody can change them in
between. The locks are held until the session's transaction ends, or its statement where there is none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dbmesh.engine import engine
from dbmesh.engine.caller import Caller, Outcome
from dbmesh.engine.watched import lock_rows
from dbmesh.engine.write import in_own_transaction
from dbmesh.errors import NotSupported
from dbmesh.plan.build import based_tables
from dbmesh.plan.model import Bound, Plan
from dbmesh.transaction.local import LocalTransaction
from dbmesh.transaction.locking_read import rows_of
from dbmesh.transaction.watch import Based, Watch

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session

_CLAUSE = "\nLOCK IN SHARE MODE"


def concerned(session: Session, plan: Plan) -> Based:
    """The tables whose global locks the statement has to look at; none for most."""
    if not session.settings.read_committed or plan.writes or plan.locks or session.mesh.proxy.rules.log is None:
        return {}
    return based_tables(plan, session.rules)


async def read_committed(session: Session, plan: Plan, bound: Bound, caller: Caller, based: Based) -> Outcome:
    """Run it. Raises NotSupported when its rows cannot be told; LockWaitTimeout and Deadlock as writes do."""
    locking = _locking(bound, caller, based)
    _check_isolation(session)
    transaction, generation = session.transaction, session.generation
    watch = Watch(session.mesh.proxy, generation.catalog)
    if transaction is not None and transaction.local is not None:
        local = transaction.local
        await lock_rows(locking, caller, local, based, transaction.watch or watch, hidden=True)
        return await engine.run(locking, generation, caller, local)
    if transaction is not None and transaction.saga is not None:
        watch.gtrid = transaction.saga.gtrid

    async def run(own: LocalTransaction) -> Outcome:
        await lock_rows(locking, caller, own, based, watch, hidden=True)
        return await engine.run(locking, generation, caller, own)

    return await in_own_transaction(generation, caller, run)


def _check_isolation(session: Session) -> None:
    """Without gap locks a row could be inserted between the look at the locks and the read."""
    levels = [value for name, value in session.state.variables if name in ("transaction_isolation", "tx_isolation")]
    if session.transaction is not None:
        levels += [value for name, value in session.transaction.access if name == "transaction_isolation"]
    if any("COMMITTED" in level.upper() for level in levels):
        raise NotSupported(
            "dbmesh_read_isolation = 'committed' needs the servers' gap locks, which READ COMMITTED and READ"
            " UNCOMMITTED have not",
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        )


def _locking(bound: Bound, caller: Caller, based: Based) -> Bound:
    """With a locking clause in each unit."""
    told = all(
        unit.table in based.get(unit.data_source, ()) and rows_of(caller.written(unit.sql)) is not None
        for unit in bound.units
    )
    if not told or bound.federation is not None or bound.staging is not None:
        raise NotSupported(
            "with dbmesh_read_isolation = 'committed' a SELECT of BASE tables is of one table, without GROUP BY,"
            " DISTINCT, windows and subqueries",
            "SET dbmesh_read_isolation = 'default' for it",
        )
    units = tuple([replace(unit, sql=unit.sql + _CLAUSE) for unit in bound.units])
    return replace(bound, units=units, otherwise=None)
