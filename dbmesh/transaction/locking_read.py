"""SELECT … FOR UPDATE in a deferred BASE transaction: the rows must not belong to another global transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dbmesh.backend.connection import Connection
from dbmesh.errors import BackendError, NotSupported
from dbmesh.saga.images import capture_of, key_index
from dbmesh.saga.lock_keys import lock_keys
from dbmesh.saga.values import kind_of, string_literal
from dbmesh.schema import Table
from dbmesh.sql.layout import Span, select_layouts
from dbmesh.sql.tokens import Token, TokenKind, tokens
from dbmesh.transaction.imaging import MOST_ROWS
from dbmesh.transaction.journal import listed
from dbmesh.transaction.ports import Unit
from dbmesh.transaction.tables import Place
from dbmesh.transaction.watch import Watch, of_tables

_NOT_ROW_BY_ROW = frozenset({"GROUP", "HAVING", "WINDOW", "INTO", "PROCEDURE"})
_CONDITIONS = frozenset(("where", "and", "or", "not", "in", "between", "is", "null", "true", "false"))
_LONGEST_FROM = 4  # FROM, name, AS, alias


async def look_up(
    watch: Watch,
    unit: Unit,
    based: Collection[str],
    connection: Connection,
    encoding: str,
    holds: bool,
    hidden: bool = False,
) -> None:
    """Lock the rows that the SELECT will lock and look at their global locks. Raises RowLocked, server errors.

    ``hidden``: look at the locks of rows, too, that it may not see because another global transaction has changed them.
    """
    schema = watch.proxy.links.schema(unit.data_source)
    which = of_tables(schema, based)
    source = rows_of(unit.sql) if unit.table in based else None
    if source is not None:
        table = await watch.proxy.definitions.table(watch.catalog, unit.data_source, unit.table)
        if table is not None and _has_keys(table):
            which = await _keys(schema, table, source, connection, encoding)
            if hidden:
                place = watch.proxy.shards.place(unit.data_source)
                which = _or_hidden(which, unit.sql, schema, table, place)
    if which:
        await watch.require_free(unit.data_source, which, holds, await watch.holder(unit.data_source, which))


async def _keys(schema: str, table: Table, source: str, connection: Connection, encoding: str) -> str:
    """A condition on the rows' global locks; '' when there are no rows."""
    key = key_index(table)
    capture = capture_of(table, key.columns, (key,))
    try:
        found = await connection.execute(f"SELECT {capture.select_list} {source}".encode(encoding, "surrogateescape"))
    except BackendError as error:
        if error.errno not in (1054, 1247):
            raise
        return of_tables(schema, [table.name])  # it sorts by a select item's name
    if len(found.rows) > MOST_ROWS:
        return of_tables(schema, [table.name])
    keys = lock_keys(schema, table.name, (key,), [capture.read(row) for row in found.rows])
    return listed(keys) if keys else ""


def _or_hidden(which: str, sql: str, schema: str, table: Table, place: Place) -> str:
    """Also the locks of transactions that may have made rows disappear from the SELECT.

    Where it looks at nothing but the rows' key, only those do that have deleted a row or given it another key.
    """
    whole = of_tables(schema, [table.name])
    if not _is_by_key(sql, table):
        return whole
    lock, undo = place.name("row_lock"), place.name("undo_record")
    names = [string_literal(f'%"{name}"%') for name in key_index(table).columns]
    moved = " OR ".join(f"u.touched LIKE {name}" for name in names)
    gone = (
        f"{whole} AND EXISTS (SELECT 1 FROM {undo} u WHERE u.gtrid = {lock}.gtrid AND u.ds = {lock}.ds"
        f" AND u.db = {string_literal(schema)} AND u.tbl = {string_literal(table.name)}"
        f" AND (u.op = 'D' OR u.op = 'U' AND ({moved})))"
    )
    return f"({which} OR {gone})" if which else gone


def _is_by_key(sql: str, table: Table) -> bool:
    """Whether a change of any column but the key's leaves the row among the SELECT's."""
    words = tokens(sql)
    [layout] = select_layouts(words)
    if "LIMIT" in layout.clauses:
        return False
    source = [word.text.strip("`") for word in _part(words, layout.clauses.get("FROM"))]
    known = {name.lower() for name in (*key_index(table).columns, *source)} | _CONDITIONS
    return all(
        word.text.strip("`").lower() in known
        for word in _part(words, layout.clauses.get("WHERE"))
        if word.kind in (TokenKind.WORD, TokenKind.NAME)
    )


def _has_keys(table: Table) -> bool:
    columns = [table.column(name) for name in key_index(table).columns]
    try:
        return bool(columns) and all(column is not None and kind_of(column) for column in columns)
    except NotSupported:
        return False


def rows_of(sql: str) -> str | None:
    """The text of a one-table SELECT from FROM on; None when its rows are not the table's."""
    words = tokens(sql)
    layouts = select_layouts(words)
    if len(layouts) != 1 or layouts[0].depth or layouts[0].first or layouts[0].distinct:
        return None
    clauses = layouts[0].clauses
    if "LIMIT" in clauses and any(item.last - item.first > 1 for item in layouts[0].items):
        return None  # an aggregate has fewer rows than its table, and ORDER BY may mean an item
    if "LIMIT" in clauses and any(word.text.isdigit() for word in _part(words, clauses.get("ORDER"))):
        return None
    source = clauses.get("FROM")
    if source is None or not _NOT_ROW_BY_ROW.isdisjoint(clauses) or source.last - source.first > _LONGEST_FROM:
        return None
    if any(word.text in (",", "(") for word in _part(words, source)):
        return None
    return sql[words[source.first].start :]


def _part(words: Sequence[Token], span: Span | None) -> Sequence[Token]:
    return words[span.first : span.last] if span is not None else ()
