"""What WHERE and ON say about columns, as far as routing can use it. What it cannot use is ANYTHING.

The tree only ever says less than the SQL: whatever rows satisfy the SQL satisfy it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from sqlglot import exp

from dbmesh.sql.constants import UNITS, Computed, Constant, Value
from dbmesh.sql.statement import Statement, span_of


class ColumnName(NamedTuple):
    """A column as it is written; ``table`` is '' when it is not qualified."""

    table: str
    name: str


@dataclass(frozen=True, slots=True)
class Anything:
    """No condition that routing can use."""


ANYTHING = Anything()


@dataclass(frozen=True, slots=True)
class OneOf:
    """``column`` = one of ``values``. ``null_safe``: NULL among them is IS NULL, otherwise it matches nothing."""

    column: ColumnName
    values: tuple[Constant, ...]
    null_safe: bool = False


Order = Literal["<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class Ordered:
    """``column`` < ``value`` and its likes."""

    column: ColumnName
    operator: Order
    value: Constant


@dataclass(frozen=True, slots=True)
class SameValue:
    """``left`` = ``right``: two columns."""

    left: ColumnName
    right: ColumnName


@dataclass(frozen=True, slots=True)
class Every:
    parts: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class Some:
    parts: tuple[Predicate, ...]


Predicate = Anything | OneOf | Ordered | SameValue | Every | Some

_MIRRORED: dict[Order, Order] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_ORDERS: dict[type[exp.Expr], Order] = {exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="}


def predicate(statement: Statement, node: exp.Expr | None) -> Predicate:
    """What the condition ``node`` says. ANYTHING for a statement with traps that could part it otherwise."""
    if node is None or statement.traps:
        return ANYTHING
    return _Reader(statement).read(node)


def every(parts: Iterable[Predicate]) -> Predicate:
    """The conjunction, flat."""
    flat: list[Predicate] = []
    for part in parts:
        if isinstance(part, Every):
            flat += part.parts
        elif part is not ANYTHING:
            flat.append(part)
    if not flat:
        return ANYTHING
    return flat[0] if len(flat) == 1 else Every(tuple(flat))


class _Reader:
    def __init__(self, statement: Statement) -> None:
        self.statement = statement

    def read(self, node: exp.Expr) -> Predicate:
        match node:
            case exp.Paren():
                return self.read(node.this)
            case exp.And():
                return every(self.read(part) for part in node.flatten())
            case exp.Or():
                return self._some(self.read(part) for part in node.flatten())
            case exp.EQ() | exp.NullSafeEQ():
                return self._equal(node.this, node.expression, isinstance(node, exp.NullSafeEQ))
            case exp.Is() if isinstance(node.expression, exp.Null):
                column = column_name(node.this)
                return OneOf(column, (Value(None, word="NULL"),), null_safe=True) if column else ANYTHING
            case exp.In():
                return self._in(node)
            case exp.Between():
                return self._between(node)
            case exp.LT() | exp.LTE() | exp.GT() | exp.GTE():
                return self._ordered_either_way(node)
        return ANYTHING

    def _some(self, parts: Iterable[Predicate]) -> Predicate:
        found = tuple(parts)
        return ANYTHING if ANYTHING in found else Some(found)

    def _equal(self, left: exp.Expr, right: exp.Expr, null_safe: bool) -> Predicate:
        left, right = left.unnest(), right.unnest()
        if isinstance(left, exp.Tuple) and isinstance(right, exp.Tuple):
            return self._rows_equal(left, right, null_safe)
        for one, other in ((left, right), (right, left)):
            column = column_name(one)
            value = self.value(other)
            if column and value:
                return OneOf(column, (value,), null_safe)
        first, second = column_name(left), column_name(right)
        return SameValue(first, second) if first and second and not null_safe else ANYTHING

    def _rows_equal(self, left: exp.Tuple, right: exp.Tuple, null_safe: bool) -> Predicate:
        if len(left.expressions) != len(right.expressions):
            return ANYTHING
        pairs = zip(left.expressions, right.expressions, strict=True)
        return every(self._equal(one, other, null_safe) for one, other in pairs)

    def _in(self, node: exp.In) -> Predicate:
        if any(node.args.get(other) for other in ("query", "unnest", "field", "is_global")):
            return ANYTHING
        if isinstance(node.this.unnest(), exp.Tuple):
            return self._some(self._equal(node.this, row, False) for row in node.expressions)
        column = column_name(node.this)
        values = [self.value(item) for item in node.expressions]
        if column is None or not values or None in values:
            return ANYTHING
        return OneOf(column, tuple(value for value in values if value)) if _alike(node.expressions) else ANYTHING

    def _between(self, node: exp.Between) -> Predicate:
        low, high = node.args["low"], node.args["high"]
        if node.args.get("symmetric") or not self.value(low) or not self.value(high) or not _alike([low, high]):
            return ANYTHING
        return every((self._ordered(node.this, ">=", low), self._ordered(node.this, "<=", high)))

    def _ordered(self, left: exp.Expr, operator: Order, right: exp.Expr) -> Predicate:
        column, value = column_name(left), self.value(right)
        return Ordered(column, operator, value) if column and value else ANYTHING

    def _ordered_either_way(self, node: exp.Expr) -> Predicate:
        operator = _ORDERS[type(node)]
        straight = self._ordered(node.this, operator, node.expression)
        return straight if straight is not ANYTHING else self._ordered(node.expression, _MIRRORED[operator], node.this)

    def value(self, node: exp.Expr) -> Constant | None:
        """The constant that ``node`` is, None when it is none that can be known beforehand."""
        node = node.unnest()
        if isinstance(node, exp.Neg):
            return self._negative(node.this.unnest())
        if isinstance(node, exp.Literal | exp.HexString | exp.BitString | exp.National):
            literal = self.statement.literal_of(node)
            return None if literal is None else Value(literal)
        if isinstance(node, exp.Null):
            return Value(None, word="NULL")
        if isinstance(node, exp.Boolean):
            return Value(None, word="TRUE" if node.this else "FALSE")
        if isinstance(node, exp.Cast):
            return self._cast(node)
        if isinstance(node, exp.Add | exp.Sub) and isinstance(node.expression, exp.Interval):
            return self._shift(node)
        if type(node) in _ARITHMETIC:
            parts = self.value(node.this), self.value(node.expression)
            return Computed(_ARITHMETIC[type(node)], (parts[0], parts[1])) if parts[0] and parts[1] else None
        return None

    def _negative(self, inner: exp.Expr) -> Constant | None:
        value = self.value(inner)
        if isinstance(value, Value) and isinstance(inner, exp.Literal) and not inner.is_string:
            return value._replace(negative=True)
        known = isinstance(value, Computed) or (isinstance(value, Value) and value.negative)
        return Computed("negative", (value,)) if value is not None and known else None

    def _cast(self, node: exp.Cast) -> Constant | None:
        """CAST and CONVERT of literals, ``DATE '…'``."""
        value = self.value(node.this)
        if value is None or set(node.args) - {"this", "to", "_type"} - {name for name, v in node.args.items() if not v}:
            return None
        if node.to.this is exp.DType.DATE and not node.to.expressions:
            return Computed("date", (value,))
        if node.to.this is exp.DType.TIMESTAMPTZ and isinstance(value, Value) and not node.to.expressions:
            return Computed("moment", (value,))
        return Computed("integer", (value,)) if node.to.this is exp.DType.BIGINT else None

    def _shift(self, node: exp.Expr) -> Constant | None:
        """``'2021-01-01' + INTERVAL 1 YEAR``: the parser keeps no place of the 1, which is the next literal."""
        day, unit = self.value(node.this), str(node.expression.args.get("unit") or "").upper()
        base = next(iter(node.this.find_all(exp.Literal)), None)
        at = None if base is None else self.statement.literal_of(base)
        place = None if base is None else span_of(base)
        if day is None or at is None or place is None or unit not in UNITS or at + 1 >= len(self.statement.literals):
            return None
        start, end = self.statement.literals[at + 1]
        if not _INTERVAL.fullmatch(self.statement.text[place[1] : start]):
            return None
        if not self.statement.text[end:].lstrip().upper().startswith(unit):
            return None
        return Computed("shift", (day, Value(at + 1, isinstance(node, exp.Sub))), unit)


_ARITHMETIC: dict[type[exp.Expr], Literal["+", "-", "*"]] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*"}
_INTERVAL = re.compile(r"[\s)]*[+-]\s*INTERVAL\s*", re.IGNORECASE)


def _alike(items: Sequence[exp.Expr]) -> bool:
    """Whether all constants are strings, or none is: BETWEEN and IN choose how to compare from all their arguments."""
    kinds = {isinstance(item.unnest(), exp.Literal) and item.unnest().is_string for item in items if not _is_null(item)}
    return len(kinds) <= 1


def _is_null(item: exp.Expr) -> bool:
    return isinstance(item.unnest(), exp.Null)


def column_name(node: exp.Expr) -> ColumnName | None:
    """The column that ``node`` is; a database before the table is left out: table names are told apart by alias."""
    node = node.unnest()
    if not isinstance(node, exp.Column) or not isinstance(node.this, exp.Identifier) or node.args.get("join_mark"):
        return None
    return ColumnName(node.table, node.name)
