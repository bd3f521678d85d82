"""Servers' messages in the words of the client: logical databases and tables in the place of actual ones."""

from __future__ import annotations

import re
from typing import NamedTuple

from dbmesh.rules.model import DataNode, MeshRules

# Messages that show a value first, which may look like a name (MySQL 8.4 error reference, part 2).
_WITH_VALUE = frozenset({
    1062, 1586,  # duplicate entry for a key
    1292, 1366, 1411, 1525,  # incorrect value, for a column or for nothing more
})  # fmt: skip
_BEHIND_VALUE = "' for "
_IDENTIFIER = r"(?:[^`\"]|``|\"\")+"


class _Source(NamedTuple):
    """A data source's schema, its logical database, and its actual tables' logical names."""

    schema: str
    database: str
    tables: dict[str, str]
    names: re.Pattern[str]
    aliased: re.Pattern[str]


class LogicalNames:
    """For one set of rules. Only quoted names are taken for names: MySQL and MariaDB quote all but routines."""

    def __init__(self, rules: MeshRules) -> None:
        self._sources = {
            name: _source(source.schema, database.name, _logical_tables(name, rules))
            for database in rules.databases.values()
            for name, source in database.data_sources.items()
        }

    def message(self, data_source: str, errno: int, text: str) -> str:
        """The message of an error or a warning that a server of that data source has sent."""
        source = self._sources.get(data_source)
        if source is None:
            return text
        start = 0
        if errno in _WITH_VALUE:
            start = text.rfind(_BEHIND_VALUE)
            if start < 0:
                return text
        tail = source.aliased.sub(lambda found: found["logical"], text[start:])
        return text[:start] + source.names.sub(lambda found: _logical(source, found), tail)

    def table(self, node: DataNode, schema: str) -> tuple[str, str]:
        """Logical database and table of an actual table; ``schema``: where no logical database is known."""
        source = self._sources.get(node.data_source)
        return (schema, node.table) if source is None else (source.database, source.tables.get(node.table, node.table))


def _logical_tables(data_source: str, rules: MeshRules) -> dict[str, str]:
    return {
        node.table: rule.name
        for database in rules.databases.values()
        for rule in database.tables.values()
        for node in rule.nodes
        if node.data_source == data_source
    }


def _source(schema: str, database: str, tables: dict[str, str]) -> _Source:
    # 'schema.table', `schema`.`table`, 'table.key', `table`, `schema`; longer names first, that none is cut short
    actual = "|".join(re.escape(name) for name in sorted(tables, key=len, reverse=True)) or r"(?!)"
    home = re.escape(schema)
    names = re.compile(
        rf"(?<=['`\"])(?:(?P<schema>{home})(?P<point>[`\"]?\.[`\"]?))?(?P<table>{actual})(?=['`\".])"
        rf"|(?<=['`\"]){home}(?=['`\"]|[`\"]?\.)"
        rf"|(?:(?<=FUNCTION )|(?<=PROCEDURE )){home}(?=\.)"
    )
    aliased = re.compile(rf"`(?:{actual})` AS `(?P<logical>{_IDENTIFIER})`")
    return _Source(schema, database, tables, names, aliased)


def _logical(source: _Source, found: re.Match[str]) -> str:
    if found["table"] is None:
        return source.database
    table = source.tables[found["table"]]
    return table if found["schema"] is None else f"{source.database}{found['point']}{table}"
