"""What the servers say of their tables and of a SELECT's items: asked when first needed, then remembered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import NamedTuple

from dbmesh.backend.cluster import Lender
from dbmesh.backend.connection import Connection
from dbmesh.backend.described import AMBIGUOUS_COLLATIONS, Collation, described_column
from dbmesh.backend.pool import Capabilities
from dbmesh.backend.session_state import DEFAULT_STATE, SessionState
from dbmesh.errors import BackendError, UnknownTable
from dbmesh.protocol import ColumnDefinition
from dbmesh.rules.logical_names import LogicalNames
from dbmesh.rules.model import DataNode, MeshRules
from dbmesh.schema import Column, Index, Table

Row = Sequence[bytes | None]

_UNKNOWN_COLUMN = 1054

_COLUMNS = (
    "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, "
    "NUMERIC_SCALE, DATETIME_PRECISION, CHARACTER_SET_NAME, COLLATION_NAME, EXTRA, COLUMN_DEFAULT, "
    "GENERATION_EXPRESSION FROM information_schema.COLUMNS "
    "WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = {table} ORDER BY ORDINAL_POSITION"
)
_ENGINE = "SELECT ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = {table}"
_UNIQUE = (
    "SELECT INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() "
    "AND TABLE_NAME = {table} AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX"
)
_TRIGGERS = (
    "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS "
    "WHERE EVENT_OBJECT_SCHEMA = DATABASE() AND EVENT_OBJECT_TABLE = {table} ORDER BY TRIGGER_NAME"
)
_CASCADES = (
    "SELECT CONSTRAINT_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS "
    "WHERE UNIQUE_CONSTRAINT_SCHEMA = DATABASE() AND REFERENCED_TABLE_NAME = {table} "
    "AND (UPDATE_RULE NOT IN ('RESTRICT', 'NO ACTION') OR DELETE_RULE NOT IN ('RESTRICT', 'NO ACTION')) "
    "ORDER BY CONSTRAINT_NAME"
)
# MariaDB since 10.10 names a collation per character set only here; MySQL has no such column.
_COLLATIONS_MARIADB = (
    "SELECT ID, FULL_COLLATION_NAME, a.CHARACTER_SET_NAME, MAXLEN "
    "FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY a "
    "JOIN information_schema.CHARACTER_SETS c ON c.CHARACTER_SET_NAME = a.CHARACTER_SET_NAME"
)
_COLLATIONS = (
    "SELECT ID, COLLATION_NAME, a.CHARACTER_SET_NAME, MAXLEN FROM information_schema.COLLATIONS a "
    "JOIN information_schema.CHARACTER_SETS c ON c.CHARACTER_SET_NAME = a.CHARACTER_SET_NAME"
)


class SystemTable(NamedTuple):
    """The columns of one of a server's own tables. ``maria``: the server is a MariaDB."""

    columns: tuple[ColumnDefinition, ...]
    maria: bool


class ServerCatalog:
    """What the servers say, whoever asks; ``under`` makes it a ``plan.model.Catalog``. One per generation of rules."""

    def __init__(self, lender: Lender, rules: MeshRules) -> None:
        self._lender = lender
        self._sources = rules.data_sources
        self._names = LogicalNames(rules)
        self._tables: dict[tuple[str, str], asyncio.Future[Table]] = {}
        self._collations: dict[str, dict[int, Collation]] = {}
        self._pads: dict[tuple[str, str], bytes] = {}
        self._mysql: dict[str, bool] = {}
        self._system: dict[tuple[str, str], SystemTable] = {}

    async def table(self, data_source: str, actual_table: str) -> Table | None:
        """Never None. Raises UnknownTable with the logical names, and the cluster's errors."""
        key = (data_source, actual_table)
        known = self._tables.get(key)
        if known is None:
            known = self._tables[key] = asyncio.ensure_future(self._load(data_source, actual_table))
            known.add_done_callback(lambda done: self._forget_failure(key, done))
        # Several may wait for one answer: who is cancelled must not cancel it for the others.
        return await asyncio.shield(known)

    def _forget_failure(self, key: tuple[str, str], done: asyncio.Future[Table]) -> None:
        if (done.cancelled() or done.exception() is not None) and self._tables.get(key) is done:
            del self._tables[key]

    def invalidate(self, data_source: str, actual_table: str) -> None:
        """Forget a table, after DDL."""
        self._tables.pop((data_source, actual_table), None)

    def under(self, state: SessionState) -> SessionCatalog:
        """What the servers say to a session in that state."""
        return SessionCatalog(self, state.for_types())

    async def describe(self, data_source: str, sql: str, state: SessionState) -> tuple[Column, ...]:
        """The types and collations of a SELECT's items. ``sql`` is run as it is: let it end in LIMIT 0."""
        async with self._borrowed(data_source, state) as connection:
            columns = (await connection.execute(sql)).columns
            known = await self._known_collations(connection)
            collations = [known.get(column.charset) for column in columns]
            if any(column.charset in AMBIGUOUS_COLLATIONS for column in columns):
                collations = await _asked_collations(connection, sql, collations, {c.name: c for c in known.values()})
            described = map(described_column, columns, collations)
            return tuple([await self._padded(connection, column) for column in described])

    async def is_mysql(self, data_source: str) -> bool:
        """Whether its server is MySQL's own, not MariaDB."""
        if data_source not in self._mysql:
            async with self._borrowed(data_source, DEFAULT_STATE) as connection:
                self._mysql[data_source] = "MariaDB" not in connection.server_version
        return self._mysql[data_source]

    async def check(self, data_source: str, sql: str, state: SessionState) -> None:
        """The server prepares it: reads it, finds its names, and runs nothing."""
        async with self._borrowed(data_source, state) as connection:
            await connection.check(sql)

    @asynccontextmanager
    async def _borrowed(self, data_source: str, state: SessionState) -> AsyncIterator[Connection]:
        [connection] = await self._lender.acquire([data_source], Capabilities(), state)
        try:
            await connection.apply(state)
            yield connection
        finally:
            self._lender.release(connection)

    async def system_table(self, data_source: str, name: str) -> SystemTable:
        """A table of information_schema. Raises 1109 where the server has none of that name."""
        key = (data_source, name)
        if key not in self._system:
            [connection] = await self._lender.acquire([data_source], Capabilities(), DEFAULT_STATE)
            try:
                await connection.apply(DEFAULT_STATE)
                result = await connection.execute(f"SELECT * FROM information_schema.{name} LIMIT 0")
            finally:
                self._lender.release(connection)
            self._system[key] = SystemTable(tuple(result.columns), "MariaDB" in connection.server_version)
        return self._system[key]

    async def _load(self, data_source: str, name: str) -> Table:
        async with self._borrowed(data_source, DEFAULT_STATE) as connection:
            return await self._ask(connection, name)

    async def _ask(self, connection: Connection, name: str) -> Table:
        engine = await _rows(connection, _ENGINE, name)
        if not engine:
            node = DataNode(connection.data_source, name)
            raise UnknownTable(*self._names.table(node, self._sources[node.data_source].schema))
        maria = "MariaDB" in connection.server_version
        columns = [_column(row, maria) for row in await _rows(connection, _COLUMNS, name)]
        unique: dict[str, list[str]] = {}
        for index, column in await _rows(connection, _UNIQUE, name):
            unique.setdefault(_text(index), []).append(_text(column))
        return Table(
            name,
            tuple([await self._padded(connection, column) for column in columns]),
            tuple(unique.get("PRIMARY", ())),
            tuple(Index(index, tuple(parts)) for index, parts in unique.items()),
            _text(engine[0][0]),
            tuple(_text(row[0]) for row in await _rows(connection, _TRIGGERS, name)),
            tuple(_text(row[0]) for row in await _rows(connection, _CASCADES, name)),
        )

    async def _padded(self, connection: Connection, column: Column) -> Column:
        """The column with the weight of the spaces that its collation adds when it compares."""
        if column.collation is None or column.charset is None or _is_no_pad(column.collation):
            return column
        key = (connection.data_source, column.collation)
        if key not in self._pads:
            space = f"WEIGHT_STRING(_{column.charset}' ' COLLATE {column.collation})"
            [[weight]] = (await connection.execute(f"SELECT HEX({space})")).rows
            self._pads[key] = bytes.fromhex(_text(weight))
        return replace(column, pad=self._pads[key])

    async def _known_collations(self, connection: Connection) -> dict[int, Collation]:
        known = self._collations.get(connection.data_source)
        if known is None:
            try:
                rows = (await connection.execute(_COLLATIONS_MARIADB)).rows
            except BackendError as error:
                if error.errno != _UNKNOWN_COLUMN:
                    raise
                rows = (await connection.execute(_COLLATIONS)).rows
            known = {int(_text(row[0])): Collation(_text(row[1]), _text(row[2]), int(_text(row[3]))) for row in rows}
            self._collations[connection.data_source] = known
        return known


class SessionCatalog:
    """``plan.model.Catalog`` for one session. ``described``: whether what it gave depends on the session's state."""

    def __init__(self, catalog: ServerCatalog, state: SessionState) -> None:
        self._catalog = catalog
        self._state = state
        self.described = False

    async def table(self, data_source: str, actual_table: str) -> Table | None:
        """As `ServerCatalog.table`."""
        return await self._catalog.table(data_source, actual_table)

    async def describe(self, data_source: str, sql: str) -> tuple[Column, ...] | None:
        """As `ServerCatalog.describe`, in the session's state."""
        self.described = True
        return await self._catalog.describe(data_source, sql, self._state)

    async def is_mysql(self, data_source: str) -> bool:
        """As `ServerCatalog.is_mysql`."""
        return await self._catalog.is_mysql(data_source)

    async def check(self, data_source: str, sql: str) -> None:
        """As `ServerCatalog.check`, in the session's state."""
        await self._catalog.check(data_source, sql, self._state)


async def _asked_collations(
    connection: Connection, sql: str, found: Sequence[Collation | None], known: Mapping[str, Collation]
) -> list[Collation | None]:
    """The collations that a SELECT's items have by COLLATION(), where the ones ``found`` on the wire may be others."""
    names = [f"c{number}" for number in range(len(found))]
    asked = ", ".join(f"COLLATION({name})" for name in names)
    query = f"WITH d ({', '.join(names)}) AS ({sql}) SELECT {asked} FROM (SELECT 1) one LEFT JOIN d ON FALSE"
    [row] = (await connection.execute(query)).rows
    return [wire and known.get(_text(name), wire) for wire, name in zip(found, row, strict=True)]


async def _rows(connection: Connection, sql: str, table: str) -> list[list[bytes | None]]:
    # In hex, since what a backslash means depends on the server's sql_mode.
    literal = f"CONVERT(X'{table.encode().hex()}' USING utf8mb4)"
    return (await connection.execute(sql.format(table=literal))).rows


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", "replace")


def _number(value: bytes | None) -> int | None:
    return None if value is None else int(value)


def _is_no_pad(collation: str) -> bool:
    return collation == "binary" or "nopad" in collation or "_0900_" in collation


def _column(row: Row, maria: bool) -> Column:
    name, data_type, column_type, nullable, length, precision, scale, fraction = row[:8]
    charset, collation, extra, default, generation = row[8:]
    notes = _text(extra).lower()
    return Column(
        name=_text(name),
        type=_text(data_type).lower(),
        column_type=_text(column_type),
        unsigned="unsigned" in _text(column_type).lower(),
        nullable=nullable == b"YES",
        length=_number(length),
        precision=_number(precision),
        scale=_number(scale if fraction is None else fraction),
        charset=None if charset is None else _text(charset),
        collation=None if collation is None else _text(collation),
        auto_increment="auto_increment" in notes,
        generated=bool(generation),
        on_update="on update" in notes,
        invisible="invisible" in notes,
        default=_default(default, "default_generated" in notes, maria),
    )


def _default(value: bytes | None, expression: bool, maria: bool) -> str | None:
    """SQL text. MariaDB has it so; MySQL has a literal's bare value there, or an expression."""
    if value is None or (maria and value == b"NULL"):
        return None
    text = _text(value)
    return text if maria or expression else "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
