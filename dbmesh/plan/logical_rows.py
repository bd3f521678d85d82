"""SQL that makes the servers' rows about actual tables into rows about logical ones.

The servers translate the names, so that types, collations and whatever else a row says stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dbmesh.plan.system_tables import INFORMATION_SCHEMA, LOGICAL, Names
from dbmesh.protocol import ColumnDefinition
from dbmesh.protocol.constants import FieldFlag, FieldType
from dbmesh.rewrite import quoted

_INTEGERS = frozenset({FieldType.TINY, FieldType.SHORT, FieldType.INT24, FieldType.LONG, FieldType.LONGLONG})
_TEMPORAL = frozenset({FieldType.DATETIME, FieldType.TIMESTAMP})
_NUMBERS = frozenset({FieldType.DECIMAL, FieldType.NEWDECIMAL, FieldType.DOUBLE, FieldType.FLOAT})
DERIVED = ("_ibfk_", "_chk_")  # between the table's name and a number: constraints that nobody named


@dataclass(frozen=True, slots=True)
class Share:
    """What one data source has to tell of one logical database.

    ``tables``: actual → logical, those whose rows come from here; ``nodes``: the same for every data node here.
    ``rest``: tables that no rule names are here too. ``home``: here is what belongs to the database as a whole.
    """

    data_source: str
    schema: str
    database: str
    tables: Mapping[str, str]
    nodes: Mapping[str, str]
    rest: bool
    home: bool


def rows_about(share: Share, name: str, columns: Sequence[str], there: Iterable[str], table: str | None) -> str | None:
    """A SELECT of the logical rows of information_schema's table ``name`` that a share has; None when there are none.

    ``there``: the columns that the server's table has, others are NULL. ``table``: the one logical table that is asked
    for, None for all of them.
    """
    names, known = LOGICAL[name], frozenset(there)
    condition = _condition(share, names, known, table)
    if condition is None:
        return None
    items = ", ".join(_item(share, names, column, column in known) for column in columns)
    return f"SELECT {items} FROM {INFORMATION_SCHEMA}.{name} WHERE {condition}"


def own_rows(name: str, columns: Sequence[str]) -> str:
    """A SELECT of what information_schema says of itself."""
    schema = LOGICAL[name].schema
    return f"{_plain(name, columns)} WHERE {schema} = '{INFORMATION_SCHEMA}'"


def no_rows(name: str, columns: Sequence[str]) -> str:
    """A SELECT that has the table's columns and nothing in them."""
    return f"{_plain(name, columns)} WHERE 1 = 0"


def shipped(columns: Sequence[ColumnDefinition], rows: Sequence[Sequence[bytes | None]], maria: bool) -> str:
    """Rows of another server, in utf8mb4, as VALUES of the types of ``columns``."""
    row = "(" if maria else "ROW("
    return "VALUES " + ", ".join(row + ", ".join(map(literal, columns, values)) + ")" for values in rows)


def text(value: str) -> str:
    """A string literal that means the same whatever the session's sql_mode and character sets are."""
    if value.isascii() and value.isprintable() and "'" not in value and "\\" not in value:
        return f"_utf8mb4'{value}'"
    return f"_utf8mb4 x'{value.encode('utf-8', 'surrogateescape').hex()}'"


def _plain(name: str, columns: Sequence[str]) -> str:
    return f"SELECT {', '.join(map(quoted, columns))} FROM {INFORMATION_SCHEMA}.{name}"


def _condition(share: Share, names: Names, known: frozenset[str], table: str | None) -> str | None:
    schema = f"{names.schema} = {text(share.schema)}"
    if not names.table:
        return schema if share.home else None
    if names.table in known:
        of_tables = _of_tables(share, names.table, table)
        return None if of_tables is None else f"{schema} AND {of_tables}"
    of_tables = _of_tables(share, "TABLE_NAME", table)  # MySQL's CHECK_CONSTRAINTS do not say of which table
    return (
        None
        if of_tables is None
        else f"{schema} AND CONSTRAINT_NAME IN (SELECT CONSTRAINT_NAME FROM {INFORMATION_SCHEMA}.TABLE_CONSTRAINTS"
        f" WHERE CONSTRAINT_SCHEMA = {text(share.schema)} AND {of_tables})"
    )


def _of_tables(share: Share, column: str, table: str | None) -> str | None:
    """``table`` alone is looked up by ``=``, which spares the servers opening all the others."""
    wanted = [actual for actual, logical in share.tables.items() if table in (None, logical)]
    choices = []
    if wanted:
        choices.append(_within(column, wanted))
    if share.rest:
        others = f"NOT {_within(column, share.nodes)}" if share.nodes else "1"
        choices.append(others if table is None else f"({column} = {text(table)} AND {others})")
    if not choices:
        return None
    if len(choices) == 1 and table is not None and len(wanted) == 1:
        return f"{column} = {text(wanted[0])} AND {choices[0]}"
    return f"({' OR '.join(choices)})"


def _within(column: str, names: Iterable[str]) -> str:
    return f"{_exact(column)} IN ({', '.join(map(text, names))})"


def _exact(column: str) -> str:
    """Names of actual tables are compared as the file system does."""
    return f"CONVERT({column} USING utf8mb4) COLLATE utf8mb4_bin"


def _item(share: Share, names: Names, column: str, known: bool) -> str:
    label = quoted(column)
    if not known:
        return f"NULL AS {label}"
    if column == names.schema or column in names.schemas:
        return f"CASE {column} WHEN {text(share.schema)} THEN {text(share.database)} ELSE {column} END AS {label}"
    if column == names.table or column in names.tables:
        return f"{_translated(share, column)} AS {label}"
    if column in names.constraints:
        return f"{_constraint(share, column)} AS {label}"
    if column in names.definitions:
        actual, logical = f"{quoted(share.schema)}.", f"{quoted(share.database)}."
        return f"REPLACE({column}, {text(actual)}, {text(logical)}) AS {label}"
    return label


def _renamed(share: Share) -> list[tuple[str, str]]:
    return [(actual, logical) for actual, logical in share.nodes.items() if actual != logical]


def _translated(share: Share, column: str) -> str:
    cases = " ".join(f"WHEN {text(actual)} THEN {text(logical)}" for actual, logical in _renamed(share))
    # to the servers what was converted may be NULL; IFNULL keeps the column's NOT NULL
    return f"IFNULL(CASE {_exact(column)} {cases} ELSE {column} END, {column})" if cases else column


def _constraint(share: Share, column: str) -> str:
    cases = []
    for actual, logical in _renamed(share):
        for middle in DERIVED:
            begins = f"LEFT({column}, {len(actual + middle)}) = {text(actual + middle)}"
            cases.append(f"WHEN {begins} THEN LEFT(CONCAT({text(logical)}, SUBSTR({column}, {len(actual) + 1})), 64)")
    return f"IFNULL(CASE {' '.join(cases)} ELSE {column} END, {column})" if cases else column


def literal(column: ColumnDefinition, value: bytes | None) -> str:
    """``value``, in utf8mb4, as SQL of the column's type."""
    plain = None if value is None else value.decode("utf-8", "surrogateescape")
    if column.type in _INTEGERS:
        return f"CAST({plain or 'NULL'} AS {'UNSIGNED' if column.flags & FieldFlag.UNSIGNED else 'SIGNED'})"
    if column.type in _TEMPORAL:
        return "CAST(NULL AS DATETIME)" if plain is None else f"CAST('{plain}' AS DATETIME)"
    if plain is None:
        return "NULL"
    return plain if column.type in _NUMBERS else text(plain)
