"""Statements that are planned: from text to plan, rights, transaction, engine, answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Result
from dbmesh.backend.session_state import SessionState
from dbmesh.engine import engine
from dbmesh.engine.caller import Caller, Outcome
from dbmesh.engine.collector import Collector
from dbmesh.engine.ddl import run_ddl
from dbmesh.engine.staged import NotAtomic
from dbmesh.engine.watched import run_alone
from dbmesh.errors import BackendError, MeshError, NotSupported
from dbmesh.frontend import rights
from dbmesh.frontend.asks import prepared
from dbmesh.frontend.call import SessionCall
from dbmesh.frontend.committed_reads import concerned, read_committed
from dbmesh.frontend.routines import run_call
from dbmesh.frontend.system_rows import relations_of
from dbmesh.frontend.transactions import ClientTransaction
from dbmesh.frontend.under_locks import run_locked
from dbmesh.plan.build import build
from dbmesh.plan.model import Bound, Plan, Scope
from dbmesh.plan.routines import CallPlan
from dbmesh.plan.system import SystemPlan
from dbmesh.rules.generators import ClockBehind
from dbmesh.sql.classify import StatementKind
from dbmesh.sql.fingerprint import Fingerprint, fingerprint
from dbmesh.transaction.ddl_journal import Asked
from dbmesh.transaction.watch import Watch

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session

_DROPS = (StatementKind.DROP_TEMPORARY, StatementKind.DDL_DROP_TABLE)
_NOT_SQL = (1064, 1149, 1582, 1583)  # and functions with a wrong number of arguments
LONGEST_CLOCK_WAIT = 5.0  # seconds that an INSERT waits for a clock that stepped back


def allows(session: Session, plan: Plan) -> bool:
    """Whether it may be relayed at once: the rights are plain to see, and no global locks must be looked at. Hot."""
    user = session.user
    if plan.grants or plan.based or (user.read_only and (plan.writes or plan.locks)):
        return False
    databases = session.mesh.generation.rules.databases
    allowed = user.databases
    for database, _ in plan.tables:
        if database not in databases or not (allowed is None or database in allowed):
            return False
    return True


async def plan_of(session: Session, text: str, shape: Fingerprint | None = None) -> tuple[Plan, Fingerprint]:
    """The plan of a statement, from the cache or made now; the user may run it. ``shape``: None for the text's."""
    generation = session.generation
    shape = shape or fingerprint(text)
    setting = session.setting
    plan = generation.plans.get(setting, shape)
    if plan is None:
        catalog = generation.catalog.under(session.state)
        scope = Scope(session.logical_database, generation.rules, catalog, session.system_database)
        plan = await build(text, shape, scope)
        if not (plan.user_variables and catalog.described):  # their types may be others the next time
            generation.plans.put(setting, shape, plan)
    rights.check(plan, session.user, session.account, generation.rules)
    if plan.judge is not None:
        await _judge(session, text, plan.judge)
    return plan, shape


async def _judge(session: Session, text: str, verdict: MeshError) -> None:
    """Our parser cannot read the text. If a server cannot either, its own words are the client's answer."""
    try:
        await prepared(session, text)
    except BackendError as error:
        if error.errno in _NOT_SQL:
            raise
    raise verdict


async def run(session: Session, text: str, shape: Fingerprint | None = None) -> None:
    """Run a client's statement and send the whole answer. ``shape``: with which values; None for the text's own."""
    plan, shape = await plan_of(session, text, shape)
    if plan.kind.is_ddl:
        await session.commit()
    bound = await bind(session, plan, shape)
    await run_bound(session, plan, bound)


async def run_bound(session: Session, plan: Plan, bound: Bound) -> None:
    """Run what has been planned and bound, and send the whole answer."""
    before, warned = session.diagnostics.last_insert_id, session.diagnostics.warnings
    outcome = await _execute(session, plan, bound, session.answers)
    if plan.kind.is_ddl and session.pins.own is not None:
        session.mesh.generation.forget(bound.units)
    if outcome.relayed:
        session.diagnostics.remember(outcome)
    elif outcome.rows is not None:
        session.answers.end_of_rows(outcome)
    else:
        session.answers.ok(outcome)
    if _keeps_warnings(session, plan, outcome):
        session.diagnostics.warnings = warned
    if bound.given_ids or outcome.given_ids:  # the OK packet tells them, LAST_INSERT_ID() does not
        session.diagnostics.last_insert_id = before


def _keeps_warnings(session: Session, plan: Plan, outcome: Outcome) -> bool:
    """On MariaDB only what uses tables, or warns, starts the list anew; on MySQL every statement does."""
    if session.mesh.is_mysql or plan.tables or outcome.rows is None:
        return False
    return not outcome.errno and not outcome.warnings


async def call_of(session: Session, plan: Plan, shape: Fingerprint) -> SessionCall:
    """What the plan may ask of the session for one call."""
    relations = await relations_of(session, plan, shape.literals) if isinstance(plan, SystemPlan) else ()
    return SessionCall(session, plan.tables, relations)


async def bind(session: Session, plan: Plan, shape: Fingerprint) -> Bound:
    """Bind the call's values; a key generator whose clock stepped back is waited for."""
    call = await call_of(session, plan, shape)
    waited = 0.0
    while True:
        try:
            return plan.bind(shape.literals, call)
        except ClockBehind as behind:
            waited += behind.wait_ms / 1000
            if waited > LONGEST_CLOCK_WAIT:
                raise
            await asyncio.sleep(behind.wait_ms / 1000)


async def collect(session: Session, text: str, state: SessionState) -> Result:
    """The first rows of a SELECT of the client's, two at most; ``state``: what its backends must have."""
    return (await collected(session, text, state))[0]


async def collected(session: Session, text: str, state: SessionState) -> tuple[Result, Outcome]:
    """The same, and how it ended."""
    plan, shape = await plan_of(session, text)
    collector = Collector(state, session.capabilities)
    outcome = await _execute(session, plan, await bind(session, plan, shape), collector)
    if outcome.set_last_insert_id is not None:
        session.diagnostics.last_insert_id = outcome.set_last_insert_id
    return collector.answer, outcome


async def _execute(session: Session, plan: Plan, bound: Bound, caller: Caller) -> Outcome:
    if bound.merge is not None or bound.federation is not None or bound.staging is not None or len(bound.units) != 1:
        _check_several(session, plan, bound)
    outcome = await _pinned(session, plan, bound, caller)
    if session.transaction is not None:
        reads = bool(plan.tables) and (not plan.writes or plan.locks)
        session.track.done(reads=reads, writes=plan.writes and not plan.locks, sends=outcome.rows is not None)
    if outcome.variables:
        session.settings = session.settings.carry_all(outcome.variables)
    return outcome


def _check_several(session: Session, plan: Plan, bound: Bound) -> None:
    """Refuse over several data nodes what only one connection, or one server's reading, has right."""
    pipes = "||" in session.text or any("||" in unit.sql for unit in bound.units)
    if pipes and session.settings.pipes_as_concat and not plan.writes:
        raise NotSupported(
            "|| under PIPES_AS_CONCAT in a statement over several data nodes", "write CONCAT(), or OR for the operator"
        )
    own = session.pins.own
    named = {name for _, name in plan.tables}.intersection(own.tables.values() if own is not None else ())
    if named and not plan.kind.is_ddl:
        raise NotSupported(
            f"temporary table {min(named)} in a statement over several data nodes: it is on one connection",
            "ask for the other tables' rows first",
        )


async def _pinned(session: Session, plan: Plan, bound: Bound, caller: Caller) -> Outcome:
    if plan.named_locks:
        return await session.pins.run_locks(bound, caller, engine.run)
    if isinstance(plan, CallPlan):
        return await run_call(session, plan, bound, caller, _transacted)
    if not plan.keeps and plan.kind not in _DROPS:
        return await _transacted(session, plan, bound, caller)
    if plan.keeps:
        await session.pins.begin(bound)
    failed = True
    try:
        outcome = await _transacted(session, plan, bound, caller)
        failed = bool(outcome.errno)
        return outcome
    finally:
        session.pins.settle(plan, bound, failed)


async def _transacted(session: Session, plan: Plan, bound: Bound, caller: Caller) -> Outcome:
    if plan.kind.is_ddl:
        return await _define(session, bound, caller)
    locked = session.pins.locked
    if locked is not None and plan.tables and not isinstance(plan, SystemPlan):
        return await run_locked(session, plan, bound, caller, locked)
    settings = session.settings
    if plan.tables and session.transaction is None:
        if not settings.autocommit:
            await session.begin("BEGIN", explicit=False)
        elif settings.next_transaction:
            session.use_up_next_transaction(plan.writes and not plan.locks)
    transaction = session.transaction
    based = concerned(session, plan)
    if transaction is not None:
        try:
            if based:
                return await read_committed(session, plan, bound, caller, based)
            return await transaction.run(plan, bound, caller)
        finally:
            if transaction.ended:
                session.transaction = None
    if based:
        return await read_committed(session, plan, bound, caller, based)
    several = len(bound.units) > 1 or bound.staging is not None
    if session.transaction_mode != "local" and plan.writes and several:
        return await _alone(session, plan, bound, caller)
    try:
        return await _local(session, plan, bound, caller)
    except NotAtomic:
        if session.mesh.proxy.rules.log is None:
            raise
        return await _alone(session, plan, bound, caller, "xa")


async def _local(session: Session, plan: Plan, bound: Bound, caller: Caller) -> Outcome:
    if plan.based and plan.writes and session.mesh.proxy.rules.log is not None:
        watch = Watch(session.mesh.proxy, session.generation.catalog)
        return await run_alone(bound, session.generation, caller, plan.based, watch)
    return await engine.run(bound, session.generation, caller, None)


async def _define(session: Session, bound: Bound, caller: Caller) -> Outcome:
    """DDL, written down where there is a log to do it in."""
    proxy = session.mesh.proxy
    # under LOCK TABLES the journal could not look at the tables: others' connections wait for the session's own
    written_down = proxy.rules.log is not None and len(bound.units) > 1 and session.pins.locked is None
    journal = proxy.ddl if written_down else None
    asked = Asked(session.database or "", session.text.strip().rstrip(";").rstrip(), session.account)
    return await run_ddl(bound, session.generation, caller, journal, asked)


async def _alone(session: Session, plan: Plan, bound: Bound, caller: Caller, mode: str | None = None) -> Outcome:
    """One autocommit statement that writes several shards: a global transaction of its own, in the session's mode."""
    own = await ClientTransaction.begin(session, "BEGIN", mode)
    try:
        outcome = await own.run(plan, bound, caller)
    except BaseException:
        await asyncio.shield(own.abandon())
        raise
    await own.commit()
    return outcome
