"""What each kind of statement does: a row and a function. Whatever is not here is planned and run by the engine."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from dbmesh.errors import BackendError, NotSupported, ParseError, QueryInterrupted
from dbmesh.frontend import shows, variables
from dbmesh.frontend.asks import ask, prepared
from dbmesh.frontend.client_xa import xa_statement
from dbmesh.frontend.load_data import load_data
from dbmesh.frontend.mesh_statements import explain, explain_mesh, reload_mesh, show_mesh
from dbmesh.frontend.prepared_text import deallocate, execute_statement, prepare_statement
from dbmesh.frontend.set_statement import is_for_one_statement, set_for_statement
from dbmesh.frontend.table_locks import lock_tables
from dbmesh.sql.classify import StatementKind
from dbmesh.sql.tokens import TokenKind, tokens

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session

Run = Callable[["Session", str], Awaitable[None]]

_USE = re.compile(r"\s*USE\s+(?:`((?:[^`]|``)+)`|(\S+?))\s*;?\s*\Z", re.IGNORECASE)
_KILL = re.compile(r"\s*KILL\s+(?:(?:HARD|SOFT)\s+)?(CONNECTION\s+|QUERY\s+)?(\d+)\s*;?\s*\Z", re.IGNORECASE)
_SAVEPOINT = re.compile(r"(?:SAVEPOINT|TO)\s+(?:SAVEPOINT\s+)?(`(?:[^`]|``)+`|[\w$]+)\s*;?\s*\Z", re.IGNORECASE)
_WARNINGS = re.compile(
    r"\s*SHOW\s+(?:(COUNT)\s*\(\s*\*\s*\)\s+)?(WARNINGS|ERRORS)(?:\s+LIMIT\s+(\d+)(?:\s*(,|OFFSET)\s*(\d+))?)?\s*;?\s*\Z",
    re.IGNORECASE,
)
_END = re.compile(
    r"\s*(?:COMMIT|ROLLBACK)(?:\s+WORK)?(?:\s+AND\s+(NO\s+)?(CHAIN))?(?:\s+(NO\s+)?(RELEASE))?\s*;?\s*\Z", re.IGNORECASE
)


async def _use(session: Session, text: str) -> None:
    match = _USE.match(text)
    if match is None:
        raise NotSupported("this form of USE", "write USE database")
    session.use(match[1].replace("``", "`") if match[1] else match[2])
    session.track.schema(session.database or "")
    session.answers.ok()


async def _begin(session: Session, text: str) -> None:
    await session.begin(text)
    session.answers.ok()


async def _commit(session: Session, text: str) -> None:
    await _end(session, text, session.commit)


async def _rollback(session: Session, text: str) -> None:
    if session.transaction is not None:
        await session.transaction.may_end("ROLLBACK")
    await _end(session, text, session.rollback)


async def _end(session: Session, text: str, end: Callable[[], Awaitable[None]]) -> None:
    """COMMIT or ROLLBACK. The transaction that AND CHAIN begins has the level and access mode of the one before."""
    match = _END.match(text)
    if match is None:
        await prepared(session, text)  # a server says what is wrong with it
        raise NotSupported("this form of COMMIT or ROLLBACK", "write COMMIT [AND [NO] CHAIN] [[NO] RELEASE]")
    chain, release = match[2] and not match[1], match[4] and not match[3]
    if chain and release:
        raise ParseError.near(match[4])
    access = session.transaction.access if session.transaction is not None else ()
    await end()
    if chain:
        session.settings = replace(session.settings, next_transaction=access)
        await session.begin("BEGIN")
    session.answers.ok()
    if release:
        session.client.close()


def _savepoint_name(text: str) -> str:
    match = _SAVEPOINT.search(text)
    if match is None:
        raise NotSupported("this form of SAVEPOINT", "write SAVEPOINT name")
    name = match[1]
    return name if name[0] == "`" else f"`{name}`"


async def _savepoint(session: Session, text: str) -> None:
    await session.savepoint(_savepoint_name(text))
    session.answers.ok()


async def _rollback_to(session: Session, text: str) -> None:
    await session.rollback_to(_savepoint_name(text))
    session.answers.ok()


async def _release(session: Session, text: str) -> None:
    await session.release_savepoint(_savepoint_name(text))
    session.answers.ok()


async def _show(session: Session, text: str) -> None:
    match = _WARNINGS.match(text)
    if match is not None:
        await _show_warnings(session, match)
        return
    session.answers.result(await shows.show(session, text))


async def _show_warnings(session: Session, match: re.Match[str]) -> None:
    only_errors = match[2].upper() == "ERRORS"
    warnings = session.diagnostics.warnings
    known = warnings.errors if only_errors else warnings.rows
    if match[1]:
        name = "error_count" if only_errors else "warning_count"
        session.answers.result(
            await ask(session, f"SELECT {len(known) if only_errors else warnings.total} | 0 AS `@@session.{name}`"),
            keep_warnings=True,
        )
        return
    first = int(match[3]) if match[3] else len(known)
    offset = 0
    if match[5]:
        offset, first = (first, int(match[5])) if match[4] == "," else (int(match[5]), first)
    result = await ask(session, "SHOW WARNINGS LIMIT 0")
    result.rows[:] = known[offset : offset + first]
    session.answers.result(result, keep_warnings=True)


async def _describe(session: Session, text: str) -> None:
    session.answers.result(await shows.show(session, text))


async def _kill(session: Session, text: str) -> None:
    match = _KILL.match(text)
    if match is None:
        raise NotSupported("this form of KILL", "write KILL [CONNECTION|QUERY] id")
    victim, query_only = int(match[2]), (match[1] or "").strip().upper() == "QUERY"
    if query_only and victim == session.id:
        raise QueryInterrupted()
    if query_only:
        await session.kill_other(victim, query_only)
    else:
        await session.end_session(victim)
    session.answers.ok()


async def _lock(session: Session, text: str) -> None:
    await lock_tables(session, text)
    session.answers.ok()


async def _unlock(session: Session, text: str) -> None:
    if session.pins.locked is not None:
        await session.commit()
    await session.pins.unlock_tables()
    session.answers.ok()


async def _set(session: Session, text: str) -> None:
    await (set_for_statement if is_for_one_statement(text) else variables.set_statement)(session, text)


async def _empty(session: Session, text: str) -> None:
    if text.strip("; \t\r\n"):
        session.answers.ok()  # a comment alone
    else:
        raise BackendError(1065, "42000", "Query was empty")


def _uncommented(run: Run) -> Run:
    """For statements that are read by their whole text: drivers and tools write their names before it, as a comment."""

    async def bare(session: Session, text: str) -> None:
        comments = [token for token in tokens(text) if token.kind is TokenKind.COMMENT]
        for comment in reversed(comments):
            text = f"{text[: comment.start]} {text[comment.end :]}"
        await run(session, text)

    return bare


def _refuse(why: str, instead: str) -> Run:
    async def refuse(session: Session, text: str) -> None:
        raise NotSupported(why, instead)

    return refuse


K = StatementKind
STATEMENTS: dict[StatementKind, Run] = {
    K.EMPTY: _empty,
    K.USE: _uncommented(_use),
    K.SET: _set,
    K.BEGIN: _uncommented(_begin),
    K.COMMIT: _uncommented(_commit),
    K.ROLLBACK: _uncommented(_rollback),
    K.SAVEPOINT: _uncommented(_savepoint),
    K.ROLLBACK_TO: _uncommented(_rollback_to),
    K.RELEASE: _uncommented(_release),
    K.SHOW: _uncommented(_show),
    K.DESCRIBE: _uncommented(_describe),
    K.EXPLAIN: explain,
    K.KILL: _uncommented(_kill),
    K.UNLOCK: _unlock,
    K.SHOW_MESH: _uncommented(show_mesh),
    K.EXPLAIN_MESH: explain_mesh,
    K.RELOAD_MESH: reload_mesh,
    K.XA: _uncommented(xa_statement),
    K.LOCK: _uncommented(_lock),
    K.LOCK_INSTANCE: _refuse("LOCK INSTANCE belongs to one server", "run it on the servers themselves"),
    K.PREPARE: prepare_statement,
    K.EXECUTE: execute_statement,
    K.DEALLOCATE: deallocate,
    K.HANDLER: _refuse("HANDLER keeps a table open on one connection", "use SELECT"),
    K.FLUSH: _refuse("FLUSH belongs to one server", "run it on the servers themselves"),
    K.ADMIN: _refuse("server administration belongs to one server", "run it on the servers themselves"),
    K.ACCOUNT: _refuse("users live in the rules", "edit the users in mesh.yaml and run RELOAD MESH RULES"),
    K.GRANT: _refuse("rights live in the rules", "edit the users in mesh.yaml and run RELOAD MESH RULES"),
    K.REVOKE: _refuse("rights live in the rules", "edit the users in mesh.yaml and run RELOAD MESH RULES"),
    K.LOAD: load_data,
    K.TABLE_MAINTENANCE: _refuse("table maintenance belongs to one server", "run it on the servers themselves"),
    K.HELP: _refuse("HELP belongs to one server", "ask a server itself"),
    K.COMPOUND: _refuse("compound statements belong into stored programs", "send the statements one by one"),
    K.DDL_DATABASE: _refuse("logical databases live in the rules", "add a rule file and run RELOAD MESH RULES"),
}
