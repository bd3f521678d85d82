"""What is said of one logical table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dbmesh.schema import Column


@dataclass(frozen=True, slots=True)
class Table:
    """``columns``: the body of CREATE TABLE. ``key``: the sharding key's columns. ``rows``: SQL literals of each row.

    ``actual``: actual tables per data source, "" for the name itself.
    """

    columns: str
    rows: tuple[tuple[str, ...], ...]
    key: tuple[Column, ...] = ()
    names: tuple[str, ...] = ()
    actual: tuple[str, ...] = ("",)

    def key_of(self, row: Sequence[str]) -> tuple[str, ...]:
        return tuple(row[self.names.index(column.name)] for column in self.key)
