"""CALL: a procedure runs on one server, and may leave there whatever a session's own statements could.

What it leaves is found out afterwards and becomes the session's: user variables, LAST_INSERT_ID(), a transaction begun
or ended, autocommit. Where the server has counted a statement that may have left more (SET, CREATE TEMPORARY TABLE …),
the session keeps the connection.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Connection
from dbmesh.engine.caller import Caller, Outcome
from dbmesh.engine.leavings import read_back
from dbmesh.errors import MeshError, NotSupported, RoutineDenied
from dbmesh.frontend.pins import Pin
from dbmesh.frontend.transactions import ClientTransaction
from dbmesh.plan.model import Bound, Plan
from dbmesh.plan.routines import CallPlan
from dbmesh.protocol.constants import Capability, Status
from dbmesh.protocol.literals import literal_of
from dbmesh.sql.assignments import user_variable
from dbmesh.transaction.local import LocalTransaction, SingleTransaction
from dbmesh.transaction.xa import XaTransaction

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session

_log = logging.getLogger(__name__)
Runs = Callable[["Session", Plan, Bound, Caller], Awaitable[Outcome]]

# Statements after which more than user variables may be different on a connection.
_LASTING = ("set_option", "create_table", "create_temporary_table", "lock_tables", "prepare_sql", "execute_immediate")
_COUNTERS = "SHOW SESSION STATUS WHERE Variable_name IN ({})".format(", ".join(f"'Com_{name}'" for name in _LASTING))
_VARIABLES = "SELECT VARIABLE_NAME FROM information_schema.USER_VARIABLES"
_VARIABLES_ON_MYSQL = (
    "SELECT VARIABLE_NAME FROM performance_schema.user_variables_by_thread WHERE THREAD_ID = PS_CURRENT_THREAD_ID()"
)


async def run_call(session: Session, plan: CallPlan, bound: Bound, caller: Caller, run: Runs) -> Outcome:
    """Run a CALL on a connection that the session keeps for as long as it has to. Errors as `run` has them."""
    _check(session, plan)
    reason = f"CALL {plan.name}"
    pin = await session.pins.hold(plan.data_source, reason)
    keep = False
    outcome = Outcome()
    try:
        connection = pin.connection
        await connection.apply(session.state)
        await connection.execute(f"SET last_insert_id = {session.diagnostics.last_insert_id}")
        before = (await connection.execute(_COUNTERS)).rows
        try:
            outcome = await run(session, plan, bound, caller)
        finally:
            if not pin.lost and not connection.busy:
                keep = await _take_over(session, plan, pin, outcome, before)
    finally:
        if not keep or pin.lost:
            session.pins.let_go(reason)
    return outcome


def _check(session: Session, plan: CallPlan) -> None:
    if session.user.read_only:
        raise RoutineDenied(session.account, f"{plan.tables[0].database}.{plan.name}")
    if not session.client.login.flags & (Capability.MULTI_RESULTS | Capability.MULTI_STATEMENTS):
        raise NotSupported("CALL for a client that takes one result only", "connect with CLIENT_MULTI_RESULTS")
    if session.pins.locked is not None:
        raise NotSupported("CALL under LOCK TABLES: a procedure may let the locks go", "UNLOCK TABLES first")
    transaction = session.transaction
    if transaction is not None and transaction.based:
        raise NotSupported(
            "CALL in a BASE transaction: what a procedure writes cannot be undone", "use SET dbmesh_transaction='local'"
        )
    if transaction is not None and isinstance(transaction.local, XaTransaction):
        raise NotSupported(
            "CALL in an XA transaction: a procedure may end its transaction, and XA does not let it",
            "CALL it before BEGIN, or use SET dbmesh_transaction='local'",
        )
    elsewhere = transaction.sources - {plan.data_source} if transaction is not None else ()
    if elsewhere:
        raise NotSupported(
            f"CALL in a transaction on data source '{min(elsewhere)}' too: a procedure may end its own part of it",
            "end the transaction before",
        )


async def _take_over(session: Session, plan: CallPlan, pin: Pin, outcome: Outcome, before: object) -> bool:
    """Make the session's what the procedure has left; whether the connection has to be kept."""
    connection = pin.connection
    [[found, last_id]] = (await connection.execute("SELECT FOUND_ROWS(), LAST_INSERT_ID()")).rows
    session.diagnostics.found_rows = int(found or 0)
    session.diagnostics.last_insert_id = outcome.set_last_insert_id = int(last_id or 0)
    if outcome.relayed:
        outcome.last_insert_id = 0  # the client has it
    _follow_transaction(session, pin)
    counted = (await connection.execute(_COUNTERS)).rows != before
    if counted:
        await _take_settings(session, connection)
    return not await _take_variables(session, plan, connection, outcome) or counted


def _follow_transaction(session: Session, pin: Pin) -> None:
    """The server's transaction is the client's."""
    connection = pin.connection
    open_there = bool(connection.status & Status.IN_TRANS)
    transaction = session.transaction
    if transaction is not None and transaction.local is not None and not open_there:
        if pin.data_source in transaction.local.branches:
            transaction.local.give_back(pin.data_source, True)
            session.transaction = None
    elif transaction is None and open_there:
        kind = LocalTransaction if session.transaction_mode == "local" else SingleTransaction
        local = kind(
            pin,
            session.capabilities,
            session.generation.deadlocks,
            branches={pin.data_source: connection},
            patience=session.rules.transaction.commit_timeout,
        )
        local.will_write([pin.data_source])
        pin.lend_on()
        session.transaction = ClientTransaction.around(session, local)
    on = bool(connection.status & Status.AUTOCOMMIT)
    if on != session.settings.autocommit:
        draft = session.settings.carry("autocommit", None if on else "0")
        session.settings = replace(draft, autocommit=on)
        connection.state = connection.state.with_variables({"autocommit": None if on else "0"})


async def _take_settings(session: Session, connection: Connection) -> None:
    """System variables that the session carries may have other values now."""
    names = [name for name, _ in session.state.variables if not name.startswith("@") and name != "autocommit"]
    if names:
        result = await connection.execute("SELECT " + ", ".join(f"@@SESSION.{name}" for name in names))
        values = dict(zip(names, map(literal_of, result.rows[0], result.columns), strict=True))
        session.settings = session.settings.carry_all(values)
        connection.state = connection.state.with_variables(values)


async def _take_variables(session: Session, plan: CallPlan, connection: Connection, outcome: Outcome) -> bool:
    """Carry the user variables that are on the connection; False where not all of them can be known."""
    known = True
    names = set(map(user_variable, plan.user_variables))
    try:
        rows = (await connection.execute(_VARIABLES_ON_MYSQL if session.mesh.is_mysql else _VARIABLES)).rows
        names |= {user_variable((name or b"").decode("utf-8", "surrogateescape")) for [name] in rows}
    except MeshError as error:
        _log.debug("user variables after CALL: %s", error.message)
        known = False
    if names:
        await read_back(connection, sorted(names), outcome)
        try:
            session.settings.carry_all(outcome.variables)
        except NotSupported:
            outcome.variables = {}
            return False
    return known
