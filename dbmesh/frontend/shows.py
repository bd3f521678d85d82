"""SHOW and DESCRIBE: they speak of logical databases and tables, whatever the servers hold.

Lists are made of what information_schema says through the mesh; what a server says of one table is asked of one of its
data nodes. LIKE and WHERE are judged by a server.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Result
from dbmesh.errors import NotSupported
from dbmesh.frontend import show_lists
from dbmesh.frontend.asks import ask
from dbmesh.frontend.own_privileges import granted
from dbmesh.frontend.own_rows import table
from dbmesh.frontend.sessions import cut
from dbmesh.frontend.show_condition import LIKE, checked, checked_column
from dbmesh.frontend.show_created import create_database, create_program, create_table
from dbmesh.frontend.show_names import database_of, of_servers, place_of, unquoted
from dbmesh.frontend.show_rows import chosen, codec
from dbmesh.rewrite import quoted

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session


SHORT_INFO = 100  # characters of a statement that SHOW PROCESSLIST without FULL shows
_NAME = r"(?:`((?:[^`]|``)+)`|([\w$\x80-\U0010ffff]+))"
_TABLE = rf"{_NAME}(?:\s*\.\s*{_NAME})?"
_FROM = rf"(?:\s*\b(?:FROM|IN)\s+{_NAME})?"
_REST = r"\s*(.*?)\s*;?\s*\Z"
_ANYWHERE = re.compile(
    r"SHOW\s+((GLOBAL|SESSION|LOCAL)\s+)?(VARIABLES|STATUS|(STORAGE\s+)?ENGINES|CHARACTER\s+SET|CHARSET|COLLATION"
    r"|PLUGINS|PRIVILEGES|PROFILES)\b",
    re.IGNORECASE,
)
_OWN = re.compile(r"(?:FOR\s+(?:CURRENT_USER(?:\s*\(\s*\))?|(['`]?)([\w$]+)\1(?:@(['`]?)%\3)?))?", re.IGNORECASE)


async def show(session: Session, text: str) -> Result:
    """The result of a SHOW or DESCRIBE. Raises NotSupported for those that only one server could answer."""
    text = text.strip()
    for pattern, answer in _FORMS:
        match = pattern.match(text)
        if match is not None:
            return await answer(session, match)
    anywhere = _ANYWHERE.match(text)
    if anywhere is not None:
        checked(text[anywhere.end() :].rstrip("; \t\r\n").lstrip())
        return _with_own_tls(session, await ask(session, text))
    words = " ".join(text.split()[:3]).upper().rstrip(";")
    raise NotSupported(f"{words} speaks of one server", "ask the server itself, or use SHOW MESH …")


def _with_own_tls(session: Session, result: Result) -> Result:
    """What SHOW STATUS and SHOW VARIABLES say of TLS is about the client's connection, not about the mesh's."""
    tls = session.client.login.tls
    own = {
        b"ssl_cipher": tls.cipher.encode() if tls else b"",
        b"ssl_version": tls.version.encode() if tls else b"",
        b"have_ssl": b"YES" if session.mesh.tls else b"DISABLED",
        b"have_openssl": b"YES",
    }
    for row in result.rows:
        if len(row) == 2 and row[0] is not None:
            row[1] = own.get(row[0].lower(), row[1])
    return result


async def _databases(session: Session, match: re.Match[str]) -> Result:
    result = await show_lists.databases(session)
    return await chosen(session, _labelled(result, match[1]), match[1])


def _labelled(result: Result, rest: str) -> Result:
    """The first column's name tells of LIKE."""
    like = LIKE.match(rest)
    if like is not None:
        result.columns[0].name += f" ({like[1][1:-1]})".encode()
    return result


def _listed(words: str, make: Make, labelled: bool = False, like: int = 0) -> Answer:
    """A list of one database. The groups of its pattern: whether it is FULL, the database's name, the rest."""

    async def answer(session: Session, match: re.Match[str]) -> Result:
        full, *name, rest = match.groups()
        database = unquoted(name) or session.database
        if of_servers(session, database):
            return await ask(session, f"SHOW {full or ''} {words} FROM {quoted(str(database))} {checked(rest)}")
        result = await make(session, database_of(session, database).name, bool(full))
        return await chosen(session, _labelled(result, rest) if labelled else result, rest, like)

    return answer


async def _programs(session: Session, match: re.Match[str]) -> Result:
    result = await show_lists.programs(session, " ".join(match[1].upper().split()))
    return await chosen(session, result, match[2], like=1)


async def _columns(session: Session, match: re.Match[str]) -> Result:
    full, *names, rest = match.groups()
    place = place_of(session, names)
    return await place.ask(session, f"SHOW {full or ''} COLUMNS FROM {place.actual} {checked(rest)}")


async def _describe(session: Session, match: re.Match[str]) -> Result:
    *names, rest = match.groups()
    place = place_of(session, [*names, None, None])
    return await place.ask(session, f"DESCRIBE {place.actual} {checked_column(rest)}")


async def _index(session: Session, match: re.Match[str]) -> Result:
    *names, rest = match.groups()
    place = place_of(session, names)
    result = await place.ask(session, f"SHOW INDEX FROM {place.actual}")
    for row in result.rows:
        row[0] = place.table.encode(codec(session), "replace")
    return await chosen(session, result, rest)


async def _create_table(session: Session, match: re.Match[str]) -> Result:
    what, *names = match.groups()[:5]
    return await create_table(session, place_of(session, [*names, None, None]), what)


async def _create_database(session: Session, match: re.Match[str]) -> Result:
    return await create_database(session, database_of(session, unquoted([match[2], match[3]])), match[1] or "")


async def _create_program(session: Session, match: re.Match[str]) -> Result:
    what, *names, _ = match.groups()
    one, other = unquoted(names[0:2]), unquoted(names[2:4])
    database = database_of(session, one if other else None)
    return await create_program(session, database, what, other or one or "")


async def _processlist(session: Session, match: re.Match[str]) -> Result:
    length = None if match[1] else SHORT_INFO
    rows = [cut(other.process, length) for other in await session.all_shown()]
    headings = ["Id", "User", "Host", "db", "Command", "Time", "State", "Info"]
    return table(headings, rows, integers=("Id", "Time"))


async def _grants(session: Session, match: re.Match[str]) -> Result:
    own = _OWN.fullmatch(match[1])
    user = session.user
    if own is None or own[2] not in (None, user.name):
        raise NotSupported("SHOW GRANTS of another user", "see the users in mesh.yaml")
    scopes = ["*.*"] if user.databases is None else [f"`{name}`.*" for name in sorted(user.databases)]
    privileges = ", ".join(granted(user))
    rows = [[f"GRANT {privileges} ON {scope} TO `{user.name}`@`%`"] for scope in scopes]
    return table([f"Grants for {user.name}@%"], rows)


Answer = Callable[["Session", re.Match[str]], Awaitable[Result]]
Make = Callable[["Session", str, bool], Awaitable[Result]]


def _form(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern + _REST, re.IGNORECASE | re.DOTALL)


_FORMS: tuple[tuple[re.Pattern[str], Answer], ...] = (
    (_form(r"SHOW\s+(?:DATABASES|SCHEMAS)\b"), _databases),
    (_form(rf"SHOW\s+(?:EXTENDED\s+)?(FULL\s+)?TABLES\b{_FROM}"), _listed("TABLES", show_lists.tables, labelled=True)),
    (_form(rf"SHOW\s+()TABLE\s+STATUS\b{_FROM}"), _listed("TABLE STATUS", show_lists.table_status)),
    (_form(rf"SHOW\s+(FULL\s+)?TRIGGERS\b{_FROM}"), _listed("TRIGGERS", show_lists.triggers, like=2)),
    (_form(rf"SHOW\s+()EVENTS\b{_FROM}"), _listed("EVENTS", show_lists.events, like=1)),
    (_form(rf"SHOW\s+()OPEN\s+TABLES\b{_FROM}"), _listed("OPEN TABLES", show_lists.open_tables, like=1)),
    (_form(r"SHOW\s+(FUNCTION|PROCEDURE|PACKAGE\s+BODY|PACKAGE)\s+STATUS\b"), _programs),
    (
        _form(rf"SHOW\s+(?:EXTENDED\s+)?(FULL\s+)?(?:COLUMNS|FIELDS)\s+(?:FROM|IN)\s+{_TABLE}{_FROM}"),
        _columns,
    ),
    (_form(rf"SHOW\s+(?:EXTENDED\s+)?(?:INDEX|INDEXES|KEYS)\s+(?:FROM|IN)\s+{_TABLE}{_FROM}"), _index),
    (_form(rf"SHOW\s+CREATE\s+(TABLE|VIEW)\s+{_TABLE}"), _create_table),
    (_form(rf"SHOW\s+CREATE\s+(?:DATABASE|SCHEMA)\s+(IF\s+NOT\s+EXISTS\s+)?{_NAME}"), _create_database),
    (_form(rf"SHOW\s+CREATE\s+(FUNCTION|PROCEDURE|TRIGGER|EVENT)\s+{_TABLE}"), _create_program),
    (_form(r"SHOW\s+(FULL\s+)?PROCESSLIST\b"), _processlist),
    (_form(r"SHOW\s+GRANTS\b"), _grants),
    (_form(rf"(?:DESCRIBE|DESC|EXPLAIN)\s+{_TABLE}"), _describe),
)
