"""DBMesh's own statements: SHOW MESH …, EXPLAIN FORMAT=MESH …, RELOAD MESH RULES."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Result
from dbmesh.errors import BackendError, MeshError, NotSupported, ParseError
from dbmesh.frontend import planned, rights
from dbmesh.frontend.asks import ask
from dbmesh.frontend.own_rows import table
from dbmesh.frontend.sessions import cut
from dbmesh.frontend.shows import SHORT_INFO
from dbmesh.plan import explain as plan_text
from dbmesh.plan.model import RouteUnit
from dbmesh.rules.model import Grant
from dbmesh.rules.summary import HEADINGS, table_rows
from dbmesh.saga.preview import preview
from dbmesh.sql.classify import explained
from dbmesh.transaction.ddl_journal import standing
from dbmesh.transaction.details import details
from dbmesh.transaction.meters import gauges

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session

_SHOW = re.compile(r"\s*SHOW\s+MESH\s+(.*?)\s*;?\s*\Z", re.IGNORECASE | re.DOTALL)
_TRANSACTION = re.compile(r"TRANSACTION\s+['\"]([^'\"]+)['\"]", re.IGNORECASE)
_EXPLAIN = re.compile(
    r"\s*((?:(?:EXPLAIN|DESCRIBE|DESC)(?:\s+(?:EXTENDED|PARTITIONS|ANALYZE|FORMAT\s*=\s*\w+))*)|ANALYZE(?:\s+FORMAT\s*=\s*\w+)?)"
    r"\s*\b(.*)\Z",
    re.IGNORECASE | re.DOTALL,
)


async def show_mesh(session: Session, text: str) -> None:
    """SHOW MESH DATA SOURCES | RULES | POOLS | SESSIONS | TRANSACTIONS | TRANSACTION 'gtrid' | DDL | STATUS."""
    match = _SHOW.match(text)
    asked = match[1] if match else ""
    what = " ".join(asked.upper().split())
    answer = _SHOWS.get(what)
    if one := _TRANSACTION.fullmatch(asked):
        answer = partial(_transaction, gtrid=one[1])
    if answer is None:
        raise ParseError(f"There is no SHOW MESH {what}; there are {', '.join(_SHOWS)}, TRANSACTION 'gtrid'")
    rights.need(session.user, Grant.ADMIN)
    session.answers.result(await answer(session))


async def _data_sources(session: Session) -> Result:
    reached = {report.data_source: report for report in session.generation.cluster.report()}
    rows = []
    for name, source in sorted(session.rules.data_sources.items()):
        used = [database.name for database in session.rules.databases.values() if name in database.data_sources]
        counters = reached[name].counters
        try:
            version = (await ask(session, "SELECT VERSION()", name)).rows[0][0]
            state = "up, " + (version or b"").decode()
        except MeshError as error:
            state = f"down: {error.message}"
        rows.append([name, ", ".join(used), source.address, source.schema, state, counters.failed])
    return table(["data source", "database", "address", "schema", "state", "failed dials"], rows)


async def _rules(session: Session) -> Result:
    return table(HEADINGS, table_rows(session.rules))


async def _pools(session: Session) -> Result:
    rows = [
        [
            report.data_source,
            report.size,
            report.in_use,
            report.idle,
            report.waiting,
            report.counters.dialled,
            report.counters.failed,
            report.counters.discarded,
            report.counters.timeouts,
            f"{report.counters.wait_time:.3f}",
        ]
        for report in session.generation.cluster.report()
    ]
    headings = ["size", "in use", "idle", "waiting", "dialled", "failed", "discarded", "timeouts", "waited (s)"]
    return table(["data source", *headings], rows)


async def _transactions(session: Session) -> Result:
    found = await session.mesh.proxy.log.all()
    rows = [
        [tx.gtrid, tx.mode, tx.state, ", ".join(tx.participants), tx.owner, tx.client, tx.created_at, tx.last_error]
        for tx in found
    ]
    return table(["gtrid", "mode", "state", "data sources", "owner", "client", "created", "last error"], rows)


async def _status(session: Session) -> Result:
    """Figures of global transactions: those of the log, of all processes; then what this process counts."""
    proxy = session.mesh.proxy
    rows = [(f"tx_{name}", value) for name, value in proxy.counters.named()]
    if proxy.rules.log is not None:
        rows = [(f"tx_{name}", value) for name, value in (await gauges(proxy.log)).named()] + rows
    return table(["name", "value"], [[name, f"{value:.6g}" if value % 1 else int(value)] for name, value in rows])


async def _transaction(session: Session, gtrid: str) -> Result:
    """Every row that the transaction has changed on several data sources, and how it is now."""
    proxy = session.mesh.proxy
    found = await proxy.log.read(gtrid)
    if found is None:
        raise BackendError(1105, "HY000", f"there is no global transaction {gtrid}")
    rows: list[list[object]] = []
    for name, shard in (await details(proxy, found))["shards"].items():
        states = {branch["branch"]: branch["state"] for branch in shard.get("branches", ())}
        for undo in reversed(shard.get("undo", ())):
            row = f"{undo['table']} {undo['row']}"
            told = (undo["change"], undo.get("now"), undo["reverse_sql"], undo["original"])
            rows.append([name, undo["branch"], states.get(undo["branch"]), undo["seq"], undo["op"], row, *told])
        if "error" in shard:
            rows.append([name, None, None, None, None, None, None, shard["error"], None, None])
    headings = ["branch", "branch state", "seq", "op", "row", "change", "now", "reverse sql", "statement"]
    return table(["data source", *headings], rows, integers=("branch", "seq"))


async def _ddl(session: Session) -> Result:
    rows = [
        [
            job.id,
            standing(job),
            job.asked.database,
            job.asked.statement,
            step.node,
            step.state,
            step.error,
            job.asked.account,
            job.created_at,
        ]
        for job in await session.mesh.proxy.ddl.all()
        for step in job.steps
    ]
    headings = ["id", "state", "database", "statement", "data node", "step", "last error", "account", "created"]
    return table(headings, rows, integers=("id",))


async def _sessions(session: Session) -> Result:
    rows = []
    for other in await session.all_shown():
        id, user, host, database, command, seconds, _, info = cut(other.process, SHORT_INFO)
        rows.append([id, user, host, database, command, seconds, other.standing, other.pinned, info, other.attributes])
    headings = ["id", "user", "host", "database", "command", "time", "state", "pinned by", "info", "attributes"]
    return table(headings, rows, integers=("id", "time"))


async def explain_mesh(session: Session, text: str) -> None:
    """EXPLAIN FORMAT=MESH: the route, the SQL of each data node, the merge, and what would undo a write."""
    inner = explained(text)
    plan, shape = await planned.plan_of(session, inner)
    bound = await planned.bind(session, plan, shape)

    undo: dict[RouteUnit, str] = {}
    if session.transaction_mode == "base" and plan.writes and not plan.kind.is_ddl:
        for unit in bound.units:
            table_there = await session.generation.catalog.table(unit.data_source, unit.table) if unit.table else None
            undo[unit] = preview(unit.write, table_there) if table_there is not None else ""
    lines = plan_text.explain(bound, plan, lambda unit: undo.get(unit, "")).splitlines()
    session.answers.result(table(["EXPLAIN"], [[line] for line in lines]))


async def explain(session: Session, text: str) -> None:
    """A server's EXPLAIN, where one data node runs the whole statement: its plan is then the answer."""
    match = _EXPLAIN.match(text)
    if match is None:
        raise NotSupported(
            "this form of EXPLAIN", "write EXPLAIN [FORMAT=…] statement, or EXPLAIN FORMAT=MESH statement"
        )
    plan, shape = await planned.plan_of(session, match[2])
    if "ANALYZE" in match[1].upper() and (plan.writes or plan.locks):
        raise NotSupported(
            "ANALYZE would run the write beside the session's transaction", "use EXPLAIN, which does not run it"
        )
    bound = await planned.bind(session, plan, shape)
    if len(bound.units) != 1 or bound.merge is not None or bound.federation is not None:
        raise NotSupported(
            f"{len(bound.units)} data nodes run parts of the statement, each with a plan of its own",
            "see EXPLAIN FORMAT=MESH for the parts",
        )
    [unit] = bound.units
    session.answers.result(await ask(session, f"{match[1]} {unit.sql}", unit.data_source))


async def reload_mesh(session: Session, text: str) -> None:
    """RELOAD MESH RULES: the differences, or error 1105 with the mistakes and the old rules kept."""
    rights.need(session.user, Grant.ADMIN)
    lines = await session.mesh.reload()
    session.mesh.announce()
    session.answers.result(table(["change"], [[line] for line in lines or ["no change"]]))


Show = Callable[["Session"], Awaitable[Result]]
_SHOWS: dict[str, Show] = {
    "DATA SOURCES": _data_sources,
    "RULES": _rules,
    "POOLS": _pools,
    "SESSIONS": _sessions,
    "TRANSACTIONS": _transactions,
    "DDL": _ddl,
    "STATUS": _status,
}
