"""Statements that are planned: from text to plan, rights, transaction, engine, answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Connection
from dbmesh.engine import engine
from dbmesh.engine.caller import Caller, Outcome
from dbmesh.engine.collector import Collector
from dbmesh.errors import BackendError, MeshError
from dbmesh.frontend import rights
from dbmesh.frontend.call import SessionCall
from dbmesh.frontend.transactions import ClientTransaction
from dbmesh.plan.build import build
from dbmesh.plan.model import Bound, Plan, Scope
from dbmesh.rules.generators import ClockBehind
from dbmesh.sql.fingerprint import Fingerprint, fingerprint

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session

LONGEST_CLOCK_WAIT = 5.0  # seconds that an INSERT waits for a clock that stepped back


def allows(session: Session, plan: Plan) -> bool:
    """Whether the rights are plain to see; otherwise `rights.check` decides, and says why not. Hot."""
    user = session.user
    if plan.grants or (user.read_only and (plan.writes or plan.locks)):
        return False
    databases = session.mesh.generation.rules.databases
    return all(database in databases and user.may_use(database) for database, _ in plan.tables)


async def plan_of(session: Session, text: str) -> tuple[Plan, Fingerprint]:
    """The plan of a statement, from the cache or made now; the user may run it."""
    generation = session.generation
    shape = fingerprint(text)
    plan = generation.plans.get(session.database, shape)
    if plan is None:
        scope = Scope(session.logical_database, generation.rules, generation.catalog)
        plan = await build(text, shape, scope)
        generation.plans.put(session.database, shape, plan)
    rights.check(plan, session.user, session.account, generation.rules)
    if plan.judge is not None:
        await _judge(session, text, plan.judge)
    return plan, shape


async def _judge(session: Session, text: str, verdict: MeshError) -> None:
    """Our parser cannot read the text. If a server cannot either, its own words are the client's answer."""
    cluster = session.generation.cluster
    name = session.mesh.any_data_source(session.logical_database)
    [connection] = await cluster.acquire([name], session.capabilities, session.state)
    try:
        await connection.apply(session.state)
        await _prepare(connection, text, session.encoding)
    finally:
        cluster.release(connection)
    raise verdict


async def _prepare(connection: Connection, text: str, encoding: str) -> None:
    quoted = text.replace("\\", "\\\\").replace("'", "''")
    try:
        await connection.execute(f"PREPARE dbmesh_judge FROM '{quoted}'".encode(encoding, "surrogateescape"))
    except BackendError as error:
        if error.errno in (1064, 1149):
            raise
        return
    await connection.execute("DEALLOCATE PREPARE dbmesh_judge")


async def run(session: Session, text: str) -> None:
    """Run a client's statement and send the whole answer."""
    plan, shape = await plan_of(session, text)
    if plan.kind.is_ddl:
        await session.commit()
    bound = await bind(session, plan, shape)
    outcome = await _execute(session, plan, bound, session)
    if outcome.relayed:
        session.remember(outcome)
    elif outcome.rows is not None:
        session.end_of_rows(outcome)
    else:
        session.ok(outcome)


async def bind(session: Session, plan: Plan, shape: Fingerprint) -> Bound:
    """Bind the call's values; a key generator whose clock stepped back is waited for."""
    waited = 0.0
    while True:
        try:
            return plan.bind(shape.literals, SessionCall(session))
        except ClockBehind as behind:
            waited += behind.wait_ms / 1000
            if waited > LONGEST_CLOCK_WAIT:
                raise
            await asyncio.sleep(behind.wait_ms / 1000)


async def collect(session: Session, text: str, collector: Collector) -> None:
    """Run a SELECT on the session's behalf, its answer kept by the collector."""
    plan, shape = await plan_of(session, text)
    bound = await bind(session, plan, shape)
    await _execute(session, plan, bound, collector)


async def _execute(session: Session, plan: Plan, bound: Bound, caller: Caller) -> Outcome:
    settings = session.settings
    if plan.tables and not plan.kind.is_ddl and not settings.autocommit and session.transaction is None:
        await session.begin("BEGIN")
    transaction = session.transaction
    if transaction is not None:
        try:
            return await transaction.run(plan, bound, caller)
        finally:
            if transaction.ended:
                session.transaction = None
    if settings.transaction == "base" and plan.writes and len(bound.units) > 1 and not plan.kind.is_ddl:
        return await _alone(session, bound, caller)
    return await engine.run(bound, session.generation, caller, None)


async def _alone(session: Session, bound: Bound, caller: Caller) -> Outcome:
    """One autocommit statement that writes several shards: a saga of its own."""
    own = await ClientTransaction.begin(session, "BEGIN")
    try:
        outcome = await own.write(bound, caller)
    except BaseException:
        await asyncio.shield(own.abandon())
        raise
    await own.commit()
    return outcome
