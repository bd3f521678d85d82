"""What the data nodes of one table say of their sizes, made into what one table with all the rows would say."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dbmesh.plan.system_tables import LOGICAL

Row = Sequence[bytes | None]
Numbers = list[bytes]


def _sum(values: Numbers) -> bytes | None:
    return str(sum(map(int, values))).encode() if values else None


def _greatest(values: Numbers) -> bytes | None:
    return max(values, key=lambda value: (len(value), value), default=None)


def _least(values: Numbers) -> bytes | None:
    return min(values, key=lambda value: (len(value), value), default=None)


def _unknown(values: Numbers) -> bytes | None:
    """A checksum of parts is no checksum of the whole."""
    return None


_SUMS: dict[str, Callable[[Numbers], bytes | None]] = {
    "TABLE_ROWS": _sum,
    "DATA_LENGTH": _sum,
    "INDEX_LENGTH": _sum,
    "DATA_FREE": _sum,
    "AUTO_INCREMENT": _greatest,
    "CREATE_TIME": _least,
    "UPDATE_TIME": _greatest,
    "CHECK_TIME": _greatest,
    "CHECKSUM": _unknown,
}
_PARTS = ("PARTITION_NAME", "SUBPARTITION_NAME")
_FOR_AVERAGE = ("TABLE_ROWS", "DATA_LENGTH")


class TableSums:
    """For information_schema's table ``name``. ``needed``: one of the columns asked for has to be summed."""

    def __init__(self, name: str, asked: Sequence[str]) -> None:
        self._names = LOGICAL[name]
        self._of_partitions = name == "PARTITIONS"
        self.needed = not set(self._names.sums).isdisjoint(asked)

    def columns(self, asked: Sequence[str]) -> list[str]:
        """What the servers have to be asked for: the columns asked for, and those that the sums need besides."""
        more = [self._names.schema, self._names.table, *_FOR_AVERAGE, *(_PARTS if self._of_partitions else ())]
        return list(dict.fromkeys([*asked, *more]))

    def summed(self, rows: Sequence[Row], asked: Sequence[str]) -> list[Row]:
        """One row for each logical table (or partition), with the columns ``asked`` for. ``rows``: of `columns`."""
        columns = self.columns(asked)
        keys = [self._names.schema, self._names.table, *(_PARTS if self._of_partitions else ())]
        at = [columns.index(key) for key in keys]
        groups: dict[tuple[bytes | None, ...], list[Row]] = {}
        for row in rows:
            groups.setdefault(tuple(row[n] for n in at), []).append(row)
        return [[_cell(column, columns, group) for column in asked] for group in groups.values()]


def _cell(column: str, columns: Sequence[str], rows: Sequence[Row]) -> bytes | None:
    if column == "AVG_ROW_LENGTH":
        count, size = (_sum(_values(name, columns, rows)) for name in _FOR_AVERAGE)
        if count is None or size is None:
            return None
        return str(int(size) // int(count)).encode() if int(count) else b"0"
    combine = _SUMS.get(column)
    return rows[0][columns.index(column)] if combine is None else combine(_values(column, columns, rows))


def _values(column: str, columns: Sequence[str], rows: Sequence[Row]) -> Numbers:
    at = columns.index(column)
    return [value for row in rows if (value := row[at]) is not None]
