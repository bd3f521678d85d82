"""SHOW and DESCRIBE: they speak of logical databases and tables, whatever the servers hold.

What needs MySQL's own LIKE, WHERE and collations is asked of a server as a SELECT over the names the mesh knows.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Result
from dbmesh.errors import AccessDenied, NoDatabase, NotSupported, UnknownDatabase, UnknownTable
from dbmesh.frontend.asks import ask
from dbmesh.frontend.own_rows import table
from dbmesh.frontend.show_condition import LIKE, checked, checked_column
from dbmesh.rules.model import DataNode, LogicalDatabase

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session


SHORT_INFO = 100  # characters of a statement that SHOW PROCESSLIST without FULL shows
_NAME = r"(?:`((?:[^`]|``)+)`|([\w$\x80-\U0010ffff]+))"
_TABLE = rf"{_NAME}(?:\s*\.\s*{_NAME})?"
_FROM = rf"(?:\s+(?:FROM|IN)\s+{_NAME})?"
_REST = r"\s*(.*?)\s*;?\s*\Z"
_ANYWHERE = re.compile(
    r"SHOW\s+((GLOBAL|SESSION|LOCAL)\s+)?(VARIABLES|STATUS|(STORAGE\s+)?ENGINES|CHARACTER\s+SET|CHARSET|COLLATION"
    r"|PLUGINS|PRIVILEGES|PROFILES)\b",
    re.IGNORECASE,
)
_OWN = re.compile(r"(?:FOR\s+CURRENT_USER(?:\s*\(\s*\))?)?", re.IGNORECASE)


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
        return await ask(session, text)
    words = " ".join(text.split()[:3]).upper().rstrip(";")
    raise NotSupported(f"{words} speaks of one server", "ask the server itself, or use SHOW MESH …")


async def _databases(session: Session, match: re.Match[str]) -> Result:
    names: list[str] = sorted(name for name in session.rules.databases if session.user.may_use(name))
    rows: list[list[str | None]] = [[name] for name in ["information_schema", *names]]
    return await _select(session, "Database", rows, [], match[1])


async def _tables(session: Session, match: re.Match[str]) -> Result:
    full, *name, rest = match.groups()
    database = _database(session, _unquoted(name))
    rows: list[list[str | None]] = [
        [table, kind] for table, kind in sorted((await _existing(session, database)).items())
    ]
    column = f"Tables_in_{database.name}"
    return await _select(session, column, rows, ["Table_type"] if full else [], rest)


async def _existing(session: Session, database: LogicalDatabase) -> dict[str, str]:
    """Logical table → table type, for tables that the servers really have."""
    first = {name: rule.nodes[0] for name, rule in database.tables.items()}
    sources = {node.data_source for node in first.values()}
    if database.default_data_source is not None:
        sources.add(database.default_data_source)
    there: dict[DataNode, str] = {}
    for source in sorted(sources):
        for row in (await ask(session, "SHOW FULL TABLES", source)).rows:
            there[DataNode(source, _text(row[0]))] = _text(row[1])
    found = {name: there[node] for name, node in first.items() if node in there}
    taken = {node for rule in database.tables.values() for node in rule.nodes}
    for node, kind in there.items():
        if node.data_source == database.default_data_source and node not in taken:
            found.setdefault(node.table, kind)
    return found


async def _columns(session: Session, match: re.Match[str]) -> Result:
    full, *names, rest = match.groups()
    _, node = _table(session, names)
    return await ask(session, f"SHOW {full or ''} COLUMNS FROM {_quoted(node.table)} {checked(rest)}", node.data_source)


async def _describe(session: Session, match: re.Match[str]) -> Result:
    *names, rest = match.groups()
    _, node = _table(session, [*names, None, None])
    return await ask(session, f"DESCRIBE {_quoted(node.table)} {checked_column(rest)}", node.data_source)


async def _create_table(session: Session, match: re.Match[str]) -> Result:
    name, node = _table(session, [*match.groups()[:4], None, None])
    result = await ask(session, f"SHOW CREATE TABLE {_quoted(node.table)}", node.data_source)
    for row in result.rows:
        actual, logical = _quoted(node.table), _quoted(name)
        row[0] = name.encode()
        if row[1] is not None:
            row[1] = row[1].replace(actual.encode(), logical.encode(), 1)
    return result


async def _create_database(session: Session, match: re.Match[str]) -> Result:
    name = _database(session, _unquoted(list(match.groups()[:2]))).name
    text = f"CREATE DATABASE {_quoted(name)}".replace("'", "''")
    return await ask(session, f"SELECT '{name}' AS `Database`, '{text}' AS `Create Database`")


async def _index(session: Session, match: re.Match[str]) -> Result:
    *names, rest = match.groups()
    name, node = _table(session, names)
    result = await ask(session, f"SHOW INDEX FROM {_quoted(node.table)} {checked(rest)}", node.data_source)
    for row in result.rows:
        row[0] = name.encode()
    return result


async def _processlist(session: Session, match: re.Match[str]) -> Result:
    length = None if match[1] else SHORT_INFO
    rows = [other.process(length) for other in session.mesh.sessions.visible_to(session)]
    headings = ["Id", "User", "Host", "db", "Command", "Time", "State", "Info"]
    return table(headings, rows, integers=("Id", "Time"))


async def _grants(session: Session, match: re.Match[str]) -> Result:
    if not _OWN.fullmatch(match[1]):
        raise NotSupported("SHOW GRANTS of another user", "see the users in mesh.yaml")
    user = session.user
    privileges = "SELECT" if user.read_only else "SELECT, INSERT, UPDATE, DELETE"
    if "ddl" in user.grants and not user.read_only:
        privileges += ", CREATE, ALTER, DROP, INDEX"
    scopes = ["*.*"] if user.databases is None else [f"`{name}`.*" for name in sorted(user.databases)]
    rows: list[list[str | None]] = [[f"GRANT {privileges} ON {scope} TO `{user.name}`@`%`"] for scope in scopes]
    return await _select(session, f"Grants for {user.name}@%", rows, [], "")


async def _select(session: Session, first: str, rows: list[list[str | None]], others: list[str], rest: str) -> Result:
    """Rows the mesh knows, through a server's LIKE and WHERE. ``rows`` may have more columns than are shown."""
    like = LIKE.match(rest)
    label = f"{first} ({like[1][1:-1]})" if like else first
    names = [first, *others]
    width = max([len(names), *(len(row) for row in rows)])
    inner = [*names, *(f"hidden {n}" for n in range(width - len(names)))]
    selects = [_row(inner, [None] * width) + " LIMIT 0", *(_row(inner, row) for row in rows)]
    shown = ", ".join(f"{_quoted(name)} AS {_quoted(label if name == first else name)}" for name in names)
    condition = f"WHERE {_quoted(first)} LIKE {like[1]}" if like else checked(rest)
    union = " UNION ALL ".join(f"({select})" for select in selects)
    return await ask(session, f"SELECT {shown} FROM ({union}) AS known {condition}")


def _row(names: list[str], values: list[str | None]) -> str:
    items = zip(values, names, strict=True)
    return "SELECT " + ", ".join(f"{_literal(value)} AS {_quoted(name)}" for value, name in items)


def _table(session: Session, groups: list[str | None]) -> tuple[str, DataNode]:
    """Logical name and first data node of ``[db.]t [FROM db]``: three pairs of name groups."""
    one, other, origin = _unquoted(groups[0:2]), _unquoted(groups[2:4]), _unquoted(groups[4:6])
    name = other or one or ""
    database = _database(session, origin or (one if other else None))
    rule = database.table(name)
    if rule is None:
        raise UnknownTable(database.name, name)
    return name, rule.nodes[0]


def _database(session: Session, name: str | None) -> LogicalDatabase:
    chosen = name or session.database
    if chosen is None:
        raise NoDatabase()
    if not session.user.may_use(chosen):
        raise AccessDenied(f"Access denied for user {session.account} to database '{chosen}'")
    database = session.rules.databases.get(chosen)
    if database is None:
        raise UnknownDatabase(chosen)
    return database


def _unquoted(groups: list[str | None]) -> str | None:
    quoted, plain = groups
    return quoted.replace("``", "`") if quoted else plain


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"


def _literal(value: str | None) -> str:
    if value is None:
        return "NULL"
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "surrogateescape")


Answer = Callable[["Session", re.Match[str]], Awaitable[Result]]


def _form(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern + _REST, re.IGNORECASE | re.DOTALL)


_FORMS: tuple[tuple[re.Pattern[str], Answer], ...] = (
    (_form(r"SHOW\s+(?:DATABASES|SCHEMAS)\b"), _databases),
    (_form(rf"SHOW\s+(?:EXTENDED\s+)?(FULL\s+)?TABLES\b{_FROM}"), _tables),
    (
        _form(rf"SHOW\s+(?:EXTENDED\s+)?(FULL\s+)?(?:COLUMNS|FIELDS)\s+(?:FROM|IN)\s+{_TABLE}{_FROM}"),
        _columns,
    ),
    (_form(rf"SHOW\s+(?:INDEX|INDEXES|KEYS)\s+(?:FROM|IN)\s+{_TABLE}{_FROM}"), _index),
    (_form(rf"SHOW\s+CREATE\s+TABLE\s+{_TABLE}"), _create_table),
    (_form(rf"SHOW\s+CREATE\s+(?:DATABASE|SCHEMA)\s+(?:IF\s+NOT\s+EXISTS\s+)?{_NAME}"), _create_database),
    (_form(r"SHOW\s+(FULL\s+)?PROCESSLIST\b"), _processlist),
    (_form(r"SHOW\s+GRANTS\b"), _grants),
    (_form(rf"(?:DESCRIBE|DESC|EXPLAIN)\s+{_TABLE}"), _describe),
)
