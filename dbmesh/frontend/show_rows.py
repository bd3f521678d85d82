"""LIKE and WHERE of a SHOW whose rows the mesh has made: a server says which of them are meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbmesh.backend.connection import Result
from dbmesh.frontend.asks import ask
from dbmesh.frontend.show_condition import LIKE, checked
from dbmesh.plan.logical_rows import literal, shipped
from dbmesh.protocol import ColumnDefinition
from dbmesh.protocol.charset import python_codec
from dbmesh.protocol.constants import FieldType
from dbmesh.rewrite import quoted

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session

_NUMBER = ColumnDefinition(b"dbmesh row", FieldType.LONGLONG, 63, 20)


async def chosen(session: Session, result: Result, rest: str, like: int = 0) -> Result:
    """``result`` with those of its rows that ``rest`` lets through: nothing, LIKE or WHERE.

    ``like``: the column that LIKE compares. Raises NotSupported for a ``rest`` of another form.
    """
    condition = checked(rest)
    if not condition:
        return result
    match = LIKE.match(condition)
    if match is not None:
        condition = f"WHERE {quoted(_name(result.columns[like]))} LIKE {match[1]}"
    source = session.mesh.any_data_source(session.logical_database)
    maria = (await session.generation.catalog.system_table(source, "SCHEMATA")).maria
    number = quoted(_name(_NUMBER))
    sql = f"SELECT {number} FROM ({_known(session, result, maria)}) AS shown {condition}"
    numbers = [int(row[0] or 0) for row in (await ask(session, sql, source)).rows]
    result.rows = [result.rows[number] for number in sorted(numbers)]
    return result


def codec(session: Session) -> str:
    """The Python codec of what the servers send this session."""
    return python_codec(session.state.results or "utf8mb4")


def _known(session: Session, result: Result, maria: bool) -> str:
    """The rows with their numbers as one table; a first row that is left out gives the columns their names."""
    columns = [*result.columns, _NUMBER]
    header = ", ".join(f"{_typed(column)} AS {quoted(_name(column))}" for column in columns)
    head = f"SELECT {header} FROM DUAL WHERE 1 = 0"
    if not result.rows:
        return head
    sent = codec(session)
    rows = [
        [*(None if v is None else v.decode(sent, "surrogateescape").encode("utf-8", "replace") for v in row), b"%d" % n]
        for n, row in enumerate(result.rows)
    ]
    return f"{head} UNION ALL {shipped(columns, rows, maria)}"


def _typed(column: ColumnDefinition) -> str:
    """A value of the column's type; a text's collation wins over that of the client's own words."""
    value = literal(column, None)
    return "_utf8mb4'' COLLATE utf8mb4_general_ci" if value == "NULL" else value


def _name(column: ColumnDefinition) -> str:
    return column.name.decode("utf-8", "replace")
