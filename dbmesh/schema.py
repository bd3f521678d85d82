"""What a server says a table looks like: columns, types, collations, keys. Values; ``backend.catalog`` loads them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table, or one item of a described SELECT.

    ``type``: lower-case data type as information_schema.COLUMNS.DATA_TYPE has it ("bigint", "varchar", "enum" …).
    ``column_type``: the full type ("bigint(20) unsigned"). ``pad``: for a PAD SPACE collation the weight of one space
    in that collation; None for NO PAD collations and for anything that is not a character string.
    """

    name: str
    type: str
    column_type: str = ""
    unsigned: bool = False
    nullable: bool = True
    length: int | None = None  # characters for strings, bytes for binaries
    precision: int | None = None
    scale: int | None = None  # digits after the point; fractional second digits for temporal types
    charset: str | None = None
    collation: str | None = None
    pad: bytes | None = None
    auto_increment: bool = False
    generated: bool = False
    on_update: bool = False
    invisible: bool = False
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Index:
    """A unique index (the primary key included), its columns in index order."""

    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table as one server has it. ``primary_key`` is empty when there is none."""

    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    unique: tuple[Index, ...] = ()
    engine: str = "InnoDB"
    triggers: tuple[str, ...] = ()
    cascades: tuple[str, ...] = ()  # names of foreign keys of other tables whose rows a change here would change

    def column(self, name: str) -> Column | None:
        """The column of that name; MySQL compares column names without regard to case."""
        folded = name.lower()
        return next((c for c in self.columns if c.name.lower() == folded), None)
