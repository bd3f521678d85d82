"""The statements that record one write: snapshot, pinned write, after image. Text only; `transaction.record` runs them.

All generated text is ASCII and free of anything that a session's sql_mode, time zone or character set would change, so
it runs between the client's own clauses in the client's own session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from dbmesh.errors import NotSupported
from dbmesh.saga.images import Capture, Row, capture_of, key_index, unique_indexes
from dbmesh.saga.upserts import candidates
from dbmesh.saga.values import condition, kind_of, quoted
from dbmesh.schema import Index, Table

ALL_ROWS = 18446744073709551615  # an explicit LIMIT also switches the session's sql_select_limit off

Operation = Literal["I", "U", "D"]


class Write(Protocol):
    """One single-table INSERT, UPDATE or DELETE on one data node, in actual names (``plan.model.Write``)."""

    @property
    def op(self) -> str: ...
    @property
    def table(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def head(self) -> str: ...
    @property
    def where(self) -> str: ...
    @property
    def order_by(self) -> str: ...
    @property
    def limit(self) -> str: ...
    @property
    def set_columns(self) -> tuple[str, ...]: ...
    @property
    def set_values(self) -> tuple[str, ...]: ...
    @property
    def insert_columns(self) -> tuple[str, ...]: ...
    @property
    def insert_rows(self) -> tuple[tuple[str, ...], ...]: ...
    @property
    def ignore(self) -> bool: ...
    @property
    def replace(self) -> bool: ...
    @property
    def on_duplicate(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Recording:
    """How one write on one table is recorded. ``touched``: columns that the compensation checks and restores.

    ``keys_only``: without images; only which global locks it would meet is asked. ``candidates``: the condition of the
    rows that an INSERT may meet, '' when it fails where it meets any. ``moved``: key columns (in lower case) to which
    an UPDATE gives a new value, a constant. ``deltas``: columns (in lower case) that are undone by their difference.
    """

    write: Write
    table: Table
    key: Index
    touched: tuple[str, ...]
    locked: tuple[Index, ...]
    capture: Capture
    keys_only: bool = False
    candidates: str = ""
    moved: Mapping[str, str] = field(default_factory=dict)
    deltas: frozenset[str] = frozenset()

    @property
    def kind(self) -> str:
        """How it treats rows that it meets."""
        return "replace" if self.write.replace else "update" if self.write.on_duplicate else "ignore"

    @property
    def keeps_keys(self) -> bool:
        """Whether an UPDATE or DELETE leaves no row with other global locks than it had before."""
        return self.write.op == "D" or (len(self.locked) == 1 and not self.moved)

    @property
    def needs_after(self) -> bool:
        """Whether an UPDATE's rows must be read again: for their images, or for unique values that it has changed."""
        return not self.keys_only or len(self.locked) > 1

    def snapshot(self, most: int) -> str:
        """Lock and read the rows that the write would change, at most ``most`` + 1. sql_safe_updates comes last."""
        write = self.write
        limit = _clause("LIMIT", write.limit) or f" LIMIT {most + 1}"
        return (
            f"SELECT {self.capture.select_list}, @@sql_safe_updates FROM {write.source}{_clause('WHERE', write.where)}"
            f"{_clause('ORDER BY', write.order_by)}{limit} FOR UPDATE"
        )

    def pinned(self, rows: Sequence[Row]) -> str:
        """The client's write, on exactly these rows."""
        where = self.rows_condition(rows) if rows else "0"
        return f"{self.write.head}\nWHERE {where}{_clause('ORDER BY', self.write.order_by)}"

    @property
    def whole(self) -> str:
        """The client's write as it came."""
        write = self.write
        tail = _clause("WHERE", write.where) + _clause("ORDER BY", write.order_by) + _clause("LIMIT", write.limit)
        return f"{write.head}\n{tail}"

    def after(self, rows: Sequence[Row]) -> str:
        """Read the rows again, by the key that they have then."""
        where = self.rows_condition(rows, self.moved)
        # NOWAIT: the rows are locked already, unless the write before it was a deadlock's victim, which says so itself
        return (
            f"SELECT {self.capture.select_list} FROM {self.write.source} WHERE {where} LIMIT {ALL_ROWS}"
            " FOR UPDATE NOWAIT"
        )

    def rows_condition(self, rows: Sequence[Row], moved: Mapping[str, str] | None = None) -> str:
        """``moved``: key columns, in lower case, that have this value instead of the rows'."""
        if len(self.key.columns) == 1 and not moved:
            return self._one_column(rows)
        return " OR ".join(f"({self._row_condition(row, moved or {})})" for row in rows)

    def _one_column(self, rows: Sequence[Row]) -> str:
        equalities = [self._row_condition(row, {}) for row in rows]
        left = {text.partition(" = ")[0] for text in equalities}
        if len(left) != 1 or len(rows) == 1:
            return " OR ".join(equalities)
        return f"{left.pop()} IN ({', '.join(text.partition(' = ')[2] for text in equalities)})"

    def _row_condition(self, row: Row, moved: Mapping[str, str]) -> str:
        names = {name.lower(): name for name in row.values}
        return " AND ".join(
            f"{quoted(c)} = {moved[c.lower()]}"
            if c.lower() in moved
            else condition(quoted(names[c.lower()]), row.values[names[c.lower()]])
            for c in self.key.columns
        )

    def key_of(self, row: Row) -> tuple[str | None, ...]:
        """What the row's key weighs, but for what is moved: equal for the before and the after image of one row."""
        weights = {name.lower(): weight for name, weight in row.weights.items()}
        return tuple(weights[c.lower()] for c in self.key.columns if c.lower() not in self.moved)


def _clause(keyword: str, text: str) -> str:
    """A clause from the client's text, on a line of its own: the text may end in a comment."""
    if not text.strip():
        return ""
    return f" {keyword} ({text}\n)" if keyword == "WHERE" else f" {keyword} {text}\n"


def recording(write: Write, table: Table, deltas: frozenset[str] = frozenset()) -> Recording:
    """How to record the write; ``gates.check`` has let it pass. Raises NotSupported when its rows cannot be told.

    ``deltas``: columns, in lower case, that are undone by their difference; those of exact numbers are.
    """
    exact = {c.name.lower() for c in table.columns if c.name.lower() in deltas and kind_of(c) == "num"}
    deltas = frozenset(exact) - {name.lower() for index in unique_indexes(table) for name in index.columns}
    key = key_index(table)
    indexes = _locked(write, table, key)
    stored = [c.name for c in table.columns if not c.generated]
    if write.op != "U":
        capture = capture_of(table, [*stored, *key.columns], indexes)
        candidates_ = _candidates(write, table)
        return Recording(write, table, key, tuple(stored), indexes, capture, candidates=candidates_, deltas=deltas)
    changed = {name.lower() for name in write.set_columns}
    touched = [c.name for c in table.columns if c.name.lower() in changed or (c.on_update and not c.generated)]
    capture = capture_of(table, [*touched, *key.columns], indexes)
    moved = moved_keys(write, table)
    return Recording(write, table, key, tuple(touched), indexes, capture, moved=moved, deltas=deltas)


def moved_keys(write: Write, table: Table) -> dict[str, str]:
    """The key columns, in lower case, that an UPDATE assigns, and the text of the value."""
    keys = {name.lower() for name in key_index(table).columns}
    assigned = zip(write.set_columns, write.set_values, strict=False) if write.op == "U" else ()
    return {name.lower(): value for name, value in assigned if name.lower() in keys}


def tracing(write: Write, table: Table) -> Recording:
    """How to learn only which global locks the write would meet; ``gates.check_keys`` has let it pass.

    Raises NotSupported when its rows cannot be told.
    """
    key = key_index(table)
    indexes = _locked(write, table, key)
    numbered = [c.name for c in table.columns if c.auto_increment and write.op == "I"]
    capture = capture_of(table, [*key.columns, *numbered], indexes)
    return Recording(write, table, key, (), indexes, capture, True, _candidates(write, table))


def _candidates(write: Write, table: Table) -> str:
    if write.op != "I" or not (write.ignore or write.replace or write.on_duplicate):
        return ""
    if not write.insert_rows:
        raise NotSupported("INSERT … SELECT that may meet other rows", "read the rows and insert them")
    return candidates(table, write.insert_columns, write.insert_rows)


def _locked(write: Write, table: Table, key: Index) -> tuple[Index, ...]:
    """The indexes whose tuples the write takes or gives up."""
    indexes = unique_indexes(table)
    if write.op == "U":
        changed = {name.lower() for name in write.set_columns}
        indexes = tuple(index for index in indexes if _moved(table, index, changed))
    return _with_key(indexes, key)


def _with_key(indexes: tuple[Index, ...], key: Index) -> tuple[Index, ...]:
    return indexes if any(index.name == key.name for index in indexes) else (key, *indexes)


def _moved(table: Table, index: Index, changed: set[str]) -> bool:
    """Whether an UPDATE of these columns can change the index's tuple; a generated column may depend on any."""
    columns = [table.column(name) for name in index.columns]
    return any(c is None or c.generated or c.on_update or c.name.lower() in changed for c in columns)
