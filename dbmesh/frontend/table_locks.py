"""LOCK TABLES over data sources: every part of the tables, on one connection of each data source.

Data sources are locked in one order by all meshes. A statement that has a lock here and waits for another there is seen
by no server, so whoever waits for the second data source waits a moment only, lets go and begins anew.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from dbmesh.errors import AccessDenied, BackendError, NotSupported, ParseError
from dbmesh.plan.model import Scope, TableName
from dbmesh.rewrite import quoted
from dbmesh.rules.model import DataSource, TableRule
from dbmesh.sql.tokens import Token, TokenKind, tokens
from dbmesh.transaction.locked import Part

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session

_MODES = {
    ("READ",): "READ",
    ("READ", "LOCAL"): "READ LOCAL",
    ("WRITE",): "WRITE",
    ("LOW_PRIORITY", "WRITE"): "WRITE",
    ("WRITE", "CONCURRENT"): "WRITE",
}
_MODE_WORDS = frozenset(word for words in _MODES for word in words)
_LOCK_WAIT_TIMEOUT = 1205
MOMENT = 2  # seconds that the second and later data sources are waited for before all locks are let go
PATIENCE = 60  # seconds until that is given up, where the client has not set lock_wait_timeout


class Lock(NamedTuple):
    """One table of the statement. ``alias``: None where it has none."""

    table: TableName
    rule: TableRule
    alias: str | None
    mode: str


async def lock_tables(session: Session, text: str) -> None:
    """Run LOCK TABLES: all locks or none; those that the session had are gone, and its transaction is committed."""
    generation = session.generation
    scope = Scope(
        session.logical_database, generation.rules, generation.catalog.under(session.state), session.system_database
    )
    locks = list(_locks(text, scope))
    for lock in locks:
        if session.user.read_only or not session.user.may_use(lock.table.database):
            raise AccessDenied(f"Access denied for user {session.account} to database '{lock.table.database}'")
    if session.transaction is not None and session.transaction.saga is not None:
        raise NotSupported("LOCK TABLES in a BASE transaction", "end it before")
    await session.commit()
    await session.pins.unlock_tables()
    statements, unaliased = _statements(locks, generation.rules.data_sources)
    loop = asyncio.get_running_loop()
    chosen = dict(session.state.variables).get("lock_wait_timeout", "")
    deadline = loop.time() + (int(chosen) if chosen.isdigit() else PATIENCE)
    while True:
        try:
            await session.pins.lock_tables(statements, unaliased, MOMENT)
        except BackendError as error:
            if error.errno != _LOCK_WAIT_TIMEOUT or len(statements) == 1 or loop.time() >= deadline:
                raise
        else:
            return


def _locks(text: str, scope: Scope) -> Iterator[Lock]:
    found = [token for token in tokens(text) if token.kind is not TokenKind.COMMENT]
    while found and found[-1].text == ";":
        found.pop()
    if len(found) < 4 or found[1].upper not in ("TABLE", "TABLES"):
        raise ParseError.near(text[found[-1].start :] if found else text)
    item: list[Token] = []
    for token in found[2:]:
        if token.text == ",":
            yield _lock(text, item, scope)
            item = []
        else:
            item.append(token)
    yield _lock(text, item, scope)


def _lock(text: str, item: Sequence[Token], scope: Scope) -> Lock:
    at = len(item)
    while at > 1 and item[at - 1].upper in _MODE_WORDS:
        at -= 1
    mode = _MODES.get(tuple(token.upper for token in item[at:]))
    name, alias = item[:at], None
    if len(name) > 1 and name[-2].text != ".":
        alias = name[-1].name
        name = name[: -2 if name[-2].upper == "AS" else -1]
    if mode is None or len(name) not in (1, 3) or not all(token.is_name for token in name[::2]):
        raise ParseError.near(text[(item[0].start if item else len(text)) :])
    home, rule = scope.resolve(name[0].name if len(name) == 3 else "", name[-1].name)
    return Lock(TableName(home.name, name[-1].name), rule, alias, mode)


def _statements(locks: Sequence[Lock], sources: Mapping[str, DataSource]) -> tuple[dict[str, str], dict[Part, str]]:
    """Data source → its LOCK TABLES, in the order in which every mesh locks them; and the parts that lose an alias.

    Statements name a part by the table's alias or logical name as an alias, or bare. No two tables of one schema may be
    locked under one alias, so parts that are neighbours are locked, and named, bare.
    """
    wanted: dict[str, dict[str, str]] = {}
    unaliased: dict[Part, str] = {}
    for lock in locks:
        alias = lock.alias or lock.table.name
        neighbours = Counter(node.data_source for node in lock.rule.nodes)
        for node in lock.rule.nodes:
            part = node.data_source, node.table
            items = wanted.setdefault(node.data_source, {})
            bare = quoted(node.table)
            if part in unaliased or (neighbours[node.data_source] > 1 and bare in items):
                raise NotSupported(
                    f"'{lock.table.name}' locked under two names: several parts of it are on one data source",
                    "lock it once",
                )
            if neighbours[node.data_source] > 1:
                unaliased[part] = alias
                items[bare] = lock.mode
            else:
                if lock.alias is None:
                    items[bare] = lock.mode
                if alias != node.table:
                    items[f"{bare} AS {quoted(alias)}"] = lock.mode

    def place(name: str) -> tuple[str, str, str]:
        source = sources[name]
        return source.address, source.schema, name

    statements = {
        name: "LOCK TABLES " + ", ".join(f"{item} {mode}" for item, mode in wanted[name].items())
        for name in sorted(wanted, key=place)
    }
    return statements, unaliased
