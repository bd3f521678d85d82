"""Literals against integer, DECIMAL and YEAR columns."""

from __future__ import annotations

import math
import re
from decimal import ROUND_HALF_UP, Context, Decimal

from dbmesh.errors import NotSupported
from dbmesh.route.literals import Kind, Literal
from dbmesh.route.verdict import NOTHING, UNKNOWN, Verdict
from dbmesh.rules.keys import KeyValue
from dbmesh.schema import Column

_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "integer": 32, "bigint": 64}
INTEGER_TYPES = frozenset(_BITS)

# Up to here a double holds every integer; beyond, one double equals several of them.
_EXACT = 2**53
# Doubles next to 2**64 are this far apart: how far a comparison as double can blur a bound.
_BLUR = 2**12

_PREFIX = re.compile(r"[ \t\n\v\f\r]*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)", re.ASCII)
_WHOLE = re.compile(r"[ \t\n\v\f\r]*[+-]?\d+[ ]*", re.ASCII)
_PLAIN_DECIMAL = re.compile(r" *[+-]?(?:\d+(?:\.\d*)?|\.\d+) *", re.ASCII)
_LONGEST = 60
_ARITHMETIC = Context(prec=150)


def compare_integer(literal: Literal, column: Column) -> KeyValue | Verdict:
    """Numbers compare exactly, strings as doubles by their leading number ('5abc' is 5, 'abc' is 0)."""
    exact = _number(literal)
    if exact is None:
        return UNKNOWN
    if exact != exact.to_integral_value():
        # A server may round it to the column's type before it looks into an index: '1e-64' finds 0, 4.5 finds 5.
        return UNKNOWN
    value = int(exact)
    return value if -(2**63) <= value < 2**64 else NOTHING


def bound_integer(literal: Literal, column: Column, high: bool) -> KeyValue | Verdict:
    """The next integer outwards; wider beyond 2**53, where the other bound may make it compare as doubles."""
    exact = _number(literal)
    if exact is None:
        return UNKNOWN
    value = math.ceil(exact) if high else math.floor(exact)
    if abs(value) >= _EXACT:
        value += _BLUR if high else -_BLUR
    return value if -(2**63) <= value < 2**64 else UNKNOWN


def _number(literal: Literal) -> Decimal | None:
    """The number a numeric column compares with; None where several integers compare equal to it."""
    value = literal.value
    if literal.kind in (Kind.INTEGER, Kind.DECIMAL):
        return Decimal(value)  # type: ignore[arg-type]
    if isinstance(value, float):
        return Decimal(value) if abs(value) < _EXACT else None
    if literal.kind is Kind.NUMBER_OR_BYTES and isinstance(value, bytes) and 0 < len(value) <= 8:
        return Decimal(int.from_bytes(value, "big"))
    if not isinstance(value, str) or not value.isascii() or len(value) > _LONGEST:
        return None
    if _WHOLE.fullmatch(value):
        return Decimal(int(value))
    prefix = _PREFIX.match(value)
    number = float(prefix[1]) if prefix else 0.0
    return Decimal(number) if abs(number) < _EXACT else None


def store_integer(literal: Literal, column: Column, strict: bool) -> KeyValue:
    """Decimals and strings round half away from zero, doubles half to even; then cut to the range."""
    number = _stored_number(literal, column)
    least, most = _integer_range(column)
    if isinstance(number, float):
        if abs(number) >= _EXACT and column.type == "bigint":
            raise _unclear(column, "a floating-point number this large")
        if math.isinf(number):
            return most if number > 0 else least
        return max(least, min(round(number), most))
    if column.unsigned and (-1 < number < 0 or number <= -(2**64)):
        raise _unclear(column, "a negative fraction, or a number that underflows BIGINT,")
    if number.adjusted() > 30:
        return most if number > 0 else least
    whole = int(number.quantize(Decimal(1), rounding=ROUND_HALF_UP, context=_ARITHMETIC))
    return max(least, min(whole, most))


def _integer_range(column: Column) -> tuple[int, int]:
    bits = _BITS[column.type]
    return (0, 2**bits - 1) if column.unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _stored_number(literal: Literal, column: Column) -> Decimal | float:
    value = literal.value
    if isinstance(value, float):
        return value
    if literal.kind in (Kind.INTEGER, Kind.DECIMAL):
        return Decimal(value)  # type: ignore[arg-type]
    if literal.kind is Kind.NUMBER_OR_BYTES and isinstance(value, bytes) and 0 < len(value) <= 8:
        return Decimal(int.from_bytes(value, "big"))
    if isinstance(value, str) and value.isascii() and len(value) <= _LONGEST:
        prefix = _PREFIX.match(value)
        return Decimal(prefix[1]) if prefix else Decimal(0)
    raise _unclear(column, "this kind of literal")


def compare_decimal(literal: Literal, column: Column) -> KeyValue | Verdict:
    """Exact for integers and decimals; strings and doubles compare as doubles, equal to several decimals."""
    if literal.kind not in (Kind.INTEGER, Kind.DECIMAL) or column.scale is None:
        return UNKNOWN
    value = Decimal(literal.value)  # type: ignore[arg-type]
    at_scale = _at_scale(value, column.scale)
    return at_scale if at_scale == value else UNKNOWN  # rounded before it is looked for in an index


def bound_decimal(literal: Literal, column: Column, high: bool) -> KeyValue | Verdict:
    """The number itself while a double could hold it, too."""
    if literal.kind not in (Kind.INTEGER, Kind.DECIMAL):
        return UNKNOWN
    value = Decimal(literal.value)  # type: ignore[arg-type]
    return value if len(value.as_tuple().digits) <= 15 else UNKNOWN


def store_decimal(literal: Literal, column: Column, strict: bool) -> KeyValue:
    """Rounded half away from zero to the column's scale, cut to its range."""
    if column.precision is None or column.scale is None:
        raise _unclear(column, "a DECIMAL column of unknown scale")
    number = at_scale = _at_scale(_exact_decimal(literal, column), column.scale)
    most = Decimal(10**column.precision - 1).scaleb(-column.scale, context=_ARITHMETIC)
    least = _at_scale(Decimal(0), column.scale) if column.unsigned else -most
    if abs(number) > most or number < least:
        at_scale = most if number > 0 else least
    return at_scale


def _exact_decimal(literal: Literal, column: Column) -> Decimal:
    value = literal.value
    if literal.kind in (Kind.INTEGER, Kind.DECIMAL):
        return Decimal(value)  # type: ignore[arg-type]
    if isinstance(value, str) and len(value) <= _LONGEST and _PLAIN_DECIMAL.fullmatch(value):
        return Decimal(value.strip(" "))
    raise _unclear(column, "this kind of literal")


def _at_scale(value: Decimal, scale: int) -> Decimal:
    rounded = value.quantize(Decimal(1).scaleb(-scale), rounding=ROUND_HALF_UP, context=_ARITHMETIC)
    return rounded if rounded else abs(rounded)  # there is no -0.00


def compare_year(literal: Literal, column: Column) -> KeyValue | Verdict:
    """Years of four digits; two digits and zero have rules of their own for numbers and for strings."""
    value = literal.value
    if isinstance(value, str) and len(value) == 4 and value.isascii() and value.isdigit():
        value = int(value)
    return value if isinstance(value, int) and 1901 <= value <= 2155 else UNKNOWN


def bound_year(literal: Literal, column: Column, high: bool) -> KeyValue | Verdict:
    """As compared: such a year is exact in both directions."""
    return compare_year(literal, column)


def store_year(literal: Literal, column: Column, strict: bool) -> KeyValue:
    """Only what ``compare_year`` can find again."""
    value = compare_year(literal, column)
    if isinstance(value, Verdict):
        raise _unclear(column, "a year that is not four digits from 1901 to 2155")
    return value


def _unclear(column: Column, what: str) -> NotSupported:
    return NotSupported(
        f"{what} as the value of the sharding key column '{column.name}' ({column.type})",
        "write an integer or exact decimal literal",
    )
