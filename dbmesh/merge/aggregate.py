"""Partial results of one aggregate function into one. Each class adds the rows of one group and prints their result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from operator import and_, or_, xor
from typing import Protocol, TypeAlias

from dbmesh.errors import NotSupported
from dbmesh.merge.arithmetic import EXACT, NOT_FIXED, decimal_text, double_text, quotient, quotient_of_quotients
from dbmesh.merge.key import Convert, Key, byte_order, converter
from dbmesh.merge.spec import Aggregate, AggregateKind, SortKey
from dbmesh.protocol import ColumnDefinition, FieldType

Row: TypeAlias = Sequence[bytes | None]


class Accumulator(Protocol):
    """The state of one aggregate function within one group."""

    def add(self, row: Row) -> None: ...

    def result(self) -> bytes | None:
        """The text for the client, None for NULL; also right when no row was added."""


class _Count:
    __slots__ = ("_column", "_total")

    def __init__(self, column: int) -> None:
        self._column = column
        self._total = 0

    def add(self, row: Row) -> None:
        self._total += int(row[self._column] or b"0")

    def result(self) -> bytes | None:
        return b"%d" % self._total


class _ExactSum:
    """SUM of integers and DECIMALs: MySQL makes both a DECIMAL."""

    __slots__ = ("_column", "_scale", "total")

    def __init__(self, column: int, scale: int) -> None:
        self._column = column
        self._scale = scale
        self.total: Decimal | None = None

    def add(self, row: Row) -> None:
        text = row[self._column]
        if text is not None:
            value = Decimal(text.decode("ascii"))
            self.total = value if self.total is None else EXACT.add(self.total, value)

    def result(self) -> bytes | None:
        return None if self.total is None else decimal_text(self.total, self._scale)


class _DoubleSum:
    __slots__ = ("_column", "_decimals", "total")

    def __init__(self, column: int, decimals: int) -> None:
        self._column = column
        self._decimals = decimals
        self.total: float | None = None

    def add(self, row: Row) -> None:
        text = row[self._column]
        if text is not None:
            self.total = float(text) + (self.total or 0.0)

    def result(self) -> bytes | None:
        return None if self.total is None else double_text(self.total, self._decimals)


class _ExactAverage:
    """AVG of integers and DECIMALs. ``scale``: of the average's column. ``quotients``: that is what is summed."""

    __slots__ = ("_count", "_quotients", "_scale", "_sum")

    def __init__(self, sum_column: int, count_column: int, scale: int, quotients: bool) -> None:
        self._quotients = quotients
        self._sum = _ExactSum(sum_column, 0)
        self._count = _Count(count_column)
        self._scale = scale

    def add(self, row: Row) -> None:
        self._sum.add(row)
        self._count.add(row)

    def result(self) -> bytes | None:
        if self._sum.total is None:
            return None
        count = int(self._count.result() or 0)
        if self._quotients:
            return decimal_text(quotient_of_quotients(self._sum.total, count, self._scale), self._scale)
        _, _, exponent = self._sum.total.normalize(EXACT).as_tuple()
        assert isinstance(exponent, int)  # a DECIMAL is a finite number
        return decimal_text(quotient(self._sum.total, count, max(0, -exponent), self._scale), self._scale)


class _DoubleAverage:
    __slots__ = ("_count", "_decimals", "_sum")

    def __init__(self, sum_column: int, count_column: int, decimals: int) -> None:
        self._sum = _DoubleSum(sum_column, NOT_FIXED)
        self._count = _Count(count_column)
        self._decimals = decimals

    def add(self, row: Row) -> None:
        self._sum.add(row)
        self._count.add(row)

    def result(self) -> bytes | None:
        if self._sum.total is None:
            return None
        return double_text(self._sum.total / int(self._count.result() or 0), self._decimals)


class _Extreme:
    """MIN; MAX with keys that are turned round. ``key_column``: what is compared instead of the value."""

    __slots__ = ("_best", "_column", "_convert", "_key_column", "_value")

    def __init__(self, column: int, key_column: int, convert: Convert) -> None:
        self._column = column
        self._key_column = key_column
        self._convert = convert
        self._value: bytes | None = None
        self._best: Key = None

    def add(self, row: Row) -> None:
        value = row[self._column]
        if value is None:
            return
        key = self._convert(row[self._key_column])
        if self._value is None or key < self._best:
            self._value = value
            self._best = key

    def result(self) -> bytes | None:
        return self._value


class _Bits:
    __slots__ = ("_column", "_operation", "_total")

    def __init__(self, column: int, operation: Callable[[int, int], int], start: int) -> None:
        self._column = column
        self._operation = operation
        self._total = start

    def add(self, row: Row) -> None:
        text = row[self._column]
        if text is not None:
            self._total = self._operation(self._total, int(text))

    def result(self) -> bytes | None:
        return b"%d" % self._total


class _Any:
    """The value of the first row that stands for table rows."""

    __slots__ = ("_column", "_count", "_found", "_value")

    def __init__(self, column: int, count_column: int) -> None:
        self._column = column
        self._count = count_column
        self._found = False
        self._value: bytes | None = None

    def add(self, row: Row) -> None:
        if not self._found and int(row[self._count] or b"0"):
            self._found = True
            self._value = row[self._column]

    def result(self) -> bytes | None:
        return self._value


_EXACT = frozenset((FieldType.DECIMAL, FieldType.NEWDECIMAL))
_ALL_BITS = (1 << 64) - 1
_BITS = {
    AggregateKind.BIT_AND: (and_, _ALL_BITS),
    AggregateKind.BIT_OR: (or_, 0),
    AggregateKind.BIT_XOR: (xor, 0),
}


def accumulator(aggregate: Aggregate, columns: Sequence[ColumnDefinition]) -> Callable[[], Accumulator]:
    """A maker of accumulators for that aggregate; rows are those that ``columns`` describe.

    Raises NotSupported where the partial results do not hold enough to calculate with.
    """
    column = aggregate.column % len(columns)
    kind = aggregate.kind
    if kind is AggregateKind.COUNT:
        return partial(_Count, column)
    if kind is AggregateKind.ANY:
        return partial(_Any, column, _number(aggregate.count, columns))
    if kind is AggregateKind.SUM:
        return _sum(aggregate, column, columns)
    if kind is AggregateKind.AVG:
        return _average(aggregate, column, columns)
    if kind in (AggregateKind.MIN, AggregateKind.MAX):
        return _extreme(aggregate, column, columns)
    _require(columns[column].type == FieldType.LONGLONG, f"{kind.value.upper()} of binary strings")
    return partial(_Bits, column, *_BITS[kind])


def _number(column: int | None, columns: Sequence[ColumnDefinition]) -> int:
    if column is None:
        raise ValueError("the aggregate needs a derived column that its MergeSpec does not name")
    return column % len(columns)


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise NotSupported(f"{what} over several data nodes cannot be calculated exactly")


def _sum(aggregate: Aggregate, column: int, columns: Sequence[ColumnDefinition]) -> Callable[[], Accumulator]:
    shown = columns[column]
    source = column if aggregate.sum is None else _number(aggregate.sum, columns)
    if shown.type in _EXACT:
        return partial(_ExactSum, source, shown.decimals)
    _require_doubles(columns[source])
    return partial(_DoubleSum, source, shown.decimals)


def _average(aggregate: Aggregate, column: int, columns: Sequence[ColumnDefinition]) -> Callable[[], Accumulator]:
    total = _number(aggregate.sum, columns)
    count = _number(aggregate.count, columns)
    scale = columns[column].decimals
    if columns[total].type in _EXACT:
        hidden = columns[total].decimals > scale  # no other sum is sent with more digits than its average has
        return partial(_ExactAverage, total, count, scale, hidden)
    _require_doubles(columns[total])
    return partial(_DoubleAverage, total, count, scale)


def _require_doubles(column: ColumnDefinition) -> None:
    _require(
        column.type == FieldType.DOUBLE and column.decimals >= NOT_FIXED,
        "SUM or AVG of a DOUBLE with a fixed number of decimals",
    )


def _extreme(aggregate: Aggregate, column: int, columns: Sequence[ColumnDefinition]) -> Callable[[], Accumulator]:
    named = aggregate.key or SortKey(column)
    key = SortKey(named.column % len(columns), aggregate.kind is AggregateKind.MAX, named.pad)
    definition = columns[key.column]
    _require(definition.type != FieldType.BIT, "MIN or MAX of a BIT, which servers send in two ways,")
    if aggregate.key is None and definition.type in (FieldType.FLOAT, FieldType.DOUBLE):
        return partial(_Extreme, column, column, _by_shown_number(key.descending))
    if aggregate.key is None and definition.type == FieldType.TIMESTAMP:
        return partial(_Extreme, column, column, byte_order(key.descending))
    return partial(_Extreme, column, key.column, converter(key, definition))


def _by_shown_number(descending: bool) -> Convert:
    """A rounded text is enough here: of two values with the same text either one is the answer."""
    return lambda text: (-1 if descending else 1) * float(text or 0)
