"""Row images: which columns a statement's rows are captured by, and how the server's answer becomes an image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dbmesh.saga.values import Value, capture, decode, kind_of, quoted, without_padding
from dbmesh.schema import Column, Index, Table

Image = Mapping[str, Value]  # column name → value


@dataclass(frozen=True, slots=True)
class Row:
    """One captured row: its columns' values, and what its key columns weigh (see ``lock_keys``)."""

    values: Image
    weights: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Capture:
    """What to select of a table to get its rows' images."""

    columns: tuple[Column, ...]
    weighed: tuple[Column, ...]

    @property
    def select_list(self) -> str:
        """Comma-separated expressions; they give the same answer in any session."""
        expressions = [e for c in self.columns for e in capture(kind_of(c), quoted(c.name))]
        expressions += [weight(c) for c in self.weighed]
        return ", ".join(expressions)

    def read(self, raw: Sequence[bytes | None]) -> Row:
        """A row of the server's answer, in the order of ``select_list``."""
        values: dict[str, Value] = {}
        at = 0
        for column in self.columns:
            kind = kind_of(column)
            width = len(capture(kind, ""))
            value = decode(kind, raw[at : at + width])
            values[column.name] = without_padding(kind, value) if column.type == "char" else value
            at += width
        return Row(values, {c.name: _weight(c, raw[at + n]) for n, c in enumerate(self.weighed)})


def weight(column: Column) -> str:
    """The expression that says what a key column compares as: equal weights are equal keys."""
    name = quoted(column.name)
    kind = kind_of(column)
    if kind.startswith("text:"):
        return f"HEX(WEIGHT_STRING({name}))"
    return capture(kind, name)[0]


def _weight(column: Column, raw: bytes | None) -> str | None:
    if raw is None:
        return None
    text = raw.decode("ascii")
    pad = column.pad.hex().upper() if column.pad else ""
    while pad and text.endswith(pad) and len(text) % len(pad) == 0:
        text = text[: -len(pad)]
    return text


def capture_of(table: Table, columns: Iterable[str], indexes: Iterable[Index]) -> Capture:
    """A capture of the named columns, with the weights of the indexes' columns."""
    wanted = {name.lower() for name in columns}
    weighed = {name.lower() for index in indexes for name in index.columns}
    return Capture(
        tuple(c for c in table.columns if c.name.lower() in wanted),
        tuple(c for c in table.columns if c.name.lower() in weighed),
    )


def key_index(table: Table) -> Index:
    """The index that names a row: the primary key, or the smallest unique one that holds no NULL.

    An empty tuple of columns: there is none.
    """
    if table.primary_key:
        return Index("PRIMARY", table.primary_key)
    candidates = [index for index in table.unique if _never_null(table, index)]
    return min(candidates, key=lambda index: len(index.columns), default=Index("", ()))


def _never_null(table: Table, index: Index) -> bool:
    columns = [table.column(name) for name in index.columns]
    return bool(columns) and all(c is not None and not c.nullable for c in columns)


def unique_indexes(table: Table) -> tuple[Index, ...]:
    """The primary key and every other unique index, each once."""
    primary = (Index("PRIMARY", table.primary_key),) if table.primary_key else ()
    return primary + tuple(index for index in table.unique if index.name.upper() != "PRIMARY")
