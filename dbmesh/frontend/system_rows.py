"""The logical rows of information_schema's tables for one statement: what the servers say, translated, as SQL.

What the server that runs the statement knows itself it reads in place; what others know is asked of them before and
written into the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from dbmesh.backend.catalog import SystemTable
from dbmesh.backend.session_state import DEFAULT_STATE
from dbmesh.errors import NotSupported
from dbmesh.frontend.asks import borrowed
from dbmesh.frontend.own_privileges import privileges
from dbmesh.plan.logical_rows import Share, no_rows, own_rows, rows_about, shipped
from dbmesh.plan.system import LogicalReference, SystemPlan, plain_value
from dbmesh.plan.system_tables import INFORMATION_SCHEMA, LOGICAL, PRIVILEGES
from dbmesh.plan.table_sums import TableSums
from dbmesh.protocol import ColumnDefinition
from dbmesh.rules.model import DataNode, LogicalDatabase, ShardedTable, TableRule

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session

Row = Sequence[bytes | None]

# MariaDB calls a column as the query writes it, where its table is not merged into the query. To MySQL the tables of
# information_schema are views, and a view's columns are called as the view calls them.
_WHOLE = " LIMIT 18446744073709551615"
_AS_VIEW = "SELECT * FROM ({}) AS logical"
LONGEST = 8 << 20  # characters of rows that are written into one statement


async def relations_of(session: Session, plan: SystemPlan, literals: Sequence[str]) -> tuple[str, ...]:
    """For each of the plan's references a table in parentheses, to be read on the plan's data source."""
    return tuple([await _Relation(session, plan.data_source, r, literals).sql() for r in plan.references])


class _Relation:
    """One reference under one call's values."""

    def __init__(self, session: Session, here: str, reference: LogicalReference, literals: Sequence[str]) -> None:
        self._session = session
        self._here = here
        self._reference = reference
        self._name = reference.name
        self._schema = self._value(reference.schema, literals)
        self._table = self._value(reference.table, literals)

    def _value(self, wanted: int | str | None, literals: Sequence[str]) -> str | None:
        if wanted == "DATABASE":
            return self._session.database
        return plain_value(literals[wanted]) if isinstance(wanted, int) else None

    async def sql(self) -> str:
        catalog = self._session.generation.catalog
        described = await catalog.system_table(self._here, self._name)
        asked = [c for c in described.columns if self._reference.asks_for(_name(c))] or [described.columns[0]]
        names = [_name(column) for column in asked]
        if self._name in PRIVILEGES:
            return self._joined(names, [], asked, await privileges(self._session, self._name, names), described)
        if self._name not in LOGICAL:
            return self._joined(names, [], asked, [], described)
        selects, rows = await self._logical(names, described)
        if LOGICAL[self._name].own and (self._schema is None or self._schema.lower() == INFORMATION_SCHEMA):
            selects.append(own_rows(self._name, names))
        return self._joined(names, selects, asked, rows, described)

    def _joined(
        self,
        names: Sequence[str],
        selects: list[str],
        columns: Sequence[ColumnDefinition],
        rows: Sequence[Row],
        described: SystemTable,
    ) -> str:
        parts = selects or [no_rows(self._name, names)]
        if rows:
            parts.append(shipped(columns, rows, described.maria))
        text = " UNION ALL ".join(parts)
        if not described.maria:
            text = _AS_VIEW.format(text)
        elif len(parts) == 1:
            text += _WHOLE
        if len(text) > LONGEST:
            raise NotSupported(
                f"information_schema.{self._name} has too many rows here", "ask for one TABLE_SCHEMA and TABLE_NAME"
            )
        return f"({text})"

    async def _logical(self, names: Sequence[str], described: SystemTable) -> tuple[list[str], list[Row]]:
        """What is read here, and the rows from elsewhere."""
        sums = TableSums(self._name, names)
        selects: list[str] = []
        rows: list[Row] = []
        for database in self._databases():
            summed = {name for name, rule in database.tables.items() if sums.needed and _is_parted(rule)}
            for share in shares(database, self._here, leave_out=summed):
                if share.data_source != self._here:
                    rows += await self._ask(share, names)
                elif found := rows_about(share, self._name, names, map(_name, described.columns), self._table):
                    selects.append(found)
            if summed:
                rows += await self._sum(database, summed, sums, names)
        return selects, rows

    async def _sum(
        self, database: LogicalDatabase, tables: set[str], sums: TableSums, names: Sequence[str]
    ) -> list[Row]:
        nodes = [(node, name) for name in tables for node in database.tables[name].nodes]
        found: list[Row] = []
        asked = sums.columns(names)
        for source, group in groupby(sorted(nodes, key=lambda item: item[0].data_source), lambda i: i[0].data_source):
            of_nodes = {node.table: name for node, name in group}
            schema = database.data_sources[source].schema
            found += await self._ask(Share(source, schema, database.name, of_nodes, of_nodes, False, False), asked)
        return sums.summed(found, names)

    async def _ask(self, share: Share, names: Sequence[str]) -> list[Row]:
        there = await self._session.generation.catalog.system_table(share.data_source, self._name)
        sql = rows_about(share, self._name, names, map(_name, there.columns), self._table)
        if sql is None:
            return []
        async with borrowed(self._session, DEFAULT_STATE, share.data_source) as connection:
            return list((await connection.execute(sql)).rows)

    def _databases(self) -> Iterator[LogicalDatabase]:
        for name, database in sorted(self._session.rules.databases.items()):
            if self._session.user.may_use(name) and self._schema in (None, name):
                yield database


def shares(database: LogicalDatabase, here: str, leave_out: set[str]) -> list[Share]:
    """Which data source tells of which tables: ``here`` of all that it can. ``leave_out``: logical tables."""
    tables: dict[str, dict[str, str]] = {name: {} for name in database.data_sources}
    nodes: dict[str, dict[str, str]] = {name: {} for name in database.data_sources}
    for name, rule in database.tables.items():
        for node in rule.nodes:
            nodes[node.data_source][node.table] = name
        if name not in leave_out:
            shown = representative(rule, here)
            tables[shown.data_source][shown.table] = name
    rest = database.default_data_source
    home = rest or (here if here in database.data_sources else next(iter(database.data_sources)))
    return [
        Share(name, source.schema, database.name, tables[name], nodes[name], name == rest, name == home)
        for name, source in database.data_sources.items()
    ]


def representative(rule: TableRule, here: str) -> DataNode:
    """The data node that says what the table looks like: one of ``here`` if there is one."""
    return next((node for node in rule.nodes if node.data_source == here), rule.nodes[0])


def _is_parted(rule: TableRule) -> bool:
    return isinstance(rule, ShardedTable) and len(rule.nodes) > 1


def _name(column: ColumnDefinition) -> str:
    return column.name.decode("utf-8", "replace").upper()
