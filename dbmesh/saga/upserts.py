"""INSERT IGNORE, INSERT … ON DUPLICATE KEY UPDATE and REPLACE: which rows they may meet, and what they have done.

The rows that a new row can meet have one of its unique tuples. They are read before and after; the difference is what
the statement has done, and the server's count of affected rows says whether that is all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dbmesh.errors import NotSupported
from dbmesh.saga.images import Row, unique_indexes
from dbmesh.saga.values import CONSTANT, quoted
from dbmesh.schema import Column, Table

_NUMBERED = frozenset(("NULL", "DEFAULT", "0"))


class _CannotMeet(Exception):
    """No row has such a tuple: it holds a NULL, or a number that the server chooses."""


def candidates(table: Table, names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The condition of the rows that new ones may meet or become. ``names``: the columns of ``rows``, as SQL text.

    Raises NotSupported when it cannot be told.
    """
    names = [name.lower() for name in names] or [c.name.lower() for c in table.columns if not c.invisible]
    found: dict[str, None] = {}
    for row in rows:
        given = dict(zip(names, row, strict=False))
        conditions = [text for text in (_tuple(table, index.columns, given) for index in unique_indexes(table)) if text]
        if not conditions:
            raise NotSupported(
                f"a new row of {table.name} has no unique value by which it could be found again",
                "use a plain INSERT for it",
            )
        found |= dict.fromkeys(conditions)
    return " OR ".join(f"({text})" for text in found)


def _tuple(table: Table, columns: Sequence[str], given: dict[str, str]) -> str:
    try:
        return " AND ".join(_equals(table.column(name), name, given) for name in columns)
    except _CannotMeet:
        return ""


def _equals(column: Column | None, name: str, given: dict[str, str]) -> str:
    if column is None or column.generated:
        raise NotSupported(f"unique column {name} is generated, its new value is not known", "use a plain INSERT")
    value = given.get(name.lower(), "DEFAULT").strip()
    word = value.upper()
    if column.auto_increment and word in _NUMBERED:
        raise _CannotMeet
    if word == "DEFAULT":
        word = _default(column)
        value = word if word == "NULL" else f"DEFAULT({quoted(column.name)})"
    elif word != "NULL" and not CONSTANT.fullmatch(value):
        raise NotSupported(f"the new value of unique column {column.name} is an expression", "give a constant")
    if word == "NULL":
        if not column.nullable:
            raise NotSupported(f"NULL for column {column.name}, which becomes something else", "give the value")
        raise _CannotMeet
    return f"{quoted(column.name)} = {value}"


def _default(column: Column) -> str:
    """NULL, or DEFAULT for a constant."""
    text = column.default
    if text is None or text.upper() == "NULL":
        return "NULL"
    if not CONSTANT.fullmatch(text) and not text.replace("_", "").isalnum():
        raise NotSupported(f"the default of unique column {column.name} is an expression", "give a constant")
    if text.upper().startswith("CURRENT_"):
        raise NotSupported(f"the default of unique column {column.name} is the time", "give a constant")
    return "DEFAULT"


@dataclass(frozen=True, slots=True)
class Effect:
    """What the statement has done to the rows: pairs of before and after, in the order to record them."""

    deleted: list[Row]
    updated: list[tuple[Row, Row]]
    inserted: list[Row]
    unchanged: int

    @property
    def pairs(self) -> list[tuple[Row | None, Row | None]]:
        """Deleted rows first: what is undone goes backwards, and new rows may have taken their values."""
        return [*((row, None) for row in self.deleted), *self.updated, *((None, row) for row in self.inserted)]

    @property
    def changed(self) -> int:
        """Rows that ON DUPLICATE KEY UPDATE has changed, also those that it gave another key."""
        return len(self.updated) + len(self.deleted)

    @property
    def new(self) -> int:
        return len(self.inserted) - len(self.deleted)


def effect(before: Sequence[tuple[object, Row]], after: Sequence[tuple[object, Row]]) -> Effect:
    """``before``, ``after``: (key, row)."""
    old, new = dict(before), dict(after)
    both = [(old[key], new[key]) for key in old if key in new]
    updated = [(one, other) for one, other in both if one.values != other.values]
    return Effect(
        [row for key, row in old.items() if key not in new],
        updated,
        [row for key, row in new.items() if key not in old],
        len(both) - len(updated),
    )


def explains(found: Effect, kind: str, rows: int, affected: int, found_rows: bool) -> bool:
    """Whether the rows that were seen are all that the server has changed. ``kind``: ignore, update or replace."""
    if kind == "ignore":
        return affected == len(found.inserted) and not found.changed
    if kind == "update":
        if found.deleted and found_rows:
            return False  # a row got another key, and one left as it was counts, too: which of them came back is open
        same = rows - found.new - found.changed
        return same >= 0 and affected == found.new + 2 * found.changed + (same if found_rows else 0)
    # a row that is replaced by the very same may count as deleted and inserted, or as nothing done to it
    least = rows + found.changed
    return least <= affected <= least + found.unchanged
