"""INSERT into a broadcast table: what would make its copies differ is written out or refused."""

from __future__ import annotations

from collections.abc import Sequence

from dbmesh.errors import NotSupported
from dbmesh.plan.clock import clock_edits
from dbmesh.plan.insert_rows import Extra
from dbmesh.plan.insert_text import InsertText
from dbmesh.plan.write_text import check_repeatable
from dbmesh.rewrite import Piece
from dbmesh.route.literals import Kind, read
from dbmesh.schema import Column, Table
from dbmesh.sql.layout import Span
from dbmesh.sql.tokens import tokens


def check_copies(insert: InsertText) -> None:
    """Refuse RETURNING and values that every server would compute for itself."""
    if insert.returning:
        raise NotSupported("RETURNING from a broadcast table", "read the rows with a SELECT")
    spans = [row.span for row in insert.rows] + [assignment.value for assignment in insert.on_duplicate]
    check_repeatable(insert.tokens, spans)


def broadcast_extras(insert: InsertText, table: Table | None, names: Sequence[str]) -> tuple[Extra, ...]:
    """Columns that are left out and whose default reads the clock: all copies get this statement's instant."""
    if table is None:
        return ()
    extras = []
    for column in table.columns:
        place = names.index(column.name.lower()) if column.name.lower() in names else None
        if column.generated or not _computed(column):
            continue
        if place is not None:
            _check_given(insert, column, place)
            continue
        instant = _instant(column.default or "")
        if instant is None:
            raise NotSupported(
                f"column '{column.name}' of a broadcast table has a default that each copy would compute for itself",
                f"give '{column.name}' a value",
            )
        extras.append(Extra(column.name, instant))
    return tuple(extras)


def _instant(default: str) -> tuple[Piece, ...] | None:
    """This statement's time for a default that is a call of the clock, None for others."""
    edits = clock_edits(tokens(default))
    return edits[0].pieces if len(edits) == 1 and (edits[0].start, edits[0].end) == (0, len(default)) else None


def _computed(column: Column) -> bool:
    return column.default is not None and read(column.default.removeprefix("-")).kind is Kind.OTHER


def _check_given(insert: InsertText, column: Column, place: int) -> None:
    """NULL in a NOT NULL TIMESTAMP column and DEFAULT both read each server's clock."""
    for row in insert.rows:
        words = {token.upper for token in insert.tokens[slice(*_span(row.values, place))]}
        if "DEFAULT" in words or ("NULL" in words and not column.nullable):
            raise NotSupported(
                f"the default of column '{column.name}' of a broadcast table: each copy would compute it for itself",
                f"leave '{column.name}' out or give it a value",
            )


def _span(values: Sequence[Span], place: int) -> Span:
    return values[place] if place < len(values) else Span(0, 0)
