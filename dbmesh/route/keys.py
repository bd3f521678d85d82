"""A sharding key's literal as its column compares and stores it.

Rows live where the value that was *stored* points; statements look where the value that is *compared* points.
Both come from here, so that equal is equal: ``'Ab'`` and ``'aB  '`` are one key under a case-insensitive PAD SPACE
collation; ``5``, ``'05'`` and ``5.0`` are one in an INT column. What cannot be told is UNKNOWN (look everywhere) or
refused (do not store).

Facts: "Type Conversion in Expression Evaluation" (MySQL 8.4 Reference Manual, 14.3), "Out-of-Range and Overflow
Handling" (13.1.7) and the servers themselves: ``tests/integration/test_keys_server.py`` asks one.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

from dbmesh.errors import NotSupported
from dbmesh.route import key_dates, key_numbers, key_texts
from dbmesh.route.key_numbers import INTEGER_TYPES
from dbmesh.route.literals import Kind, Literal, read
from dbmesh.route.verdict import NOTHING, UNKNOWN, Verdict
from dbmesh.rules.keys import KeyValue
from dbmesh.schema import Column

__all__ = ["NOTHING", "UNKNOWN", "Verdict", "check_key_column", "key_bound", "key_value", "stored_value"]


class _Family(NamedTuple):
    """How the column types that behave alike compare, bound and store a literal."""

    compare: Callable[[Literal, Column], KeyValue | Verdict]
    bound: Callable[[Literal, Column, bool], KeyValue | Verdict]
    store: Callable[[Literal, Column, bool], KeyValue]


_INTEGERS = _Family(key_numbers.compare_integer, key_numbers.bound_integer, key_numbers.store_integer)
_DECIMALS = _Family(key_numbers.compare_decimal, key_numbers.bound_decimal, key_numbers.store_decimal)
_YEARS = _Family(key_numbers.compare_year, key_numbers.bound_year, key_numbers.store_year)
_TEXTS = _Family(key_texts.compare_text, key_texts.bound_text, key_texts.store_text)
_BINARIES = _Family(key_texts.compare_binary, key_texts.bound_binary, key_texts.store_binary)
_DATES = _Family(key_dates.compare_date, key_dates.bound_date, key_dates.store_date)
_DATETIMES = _Family(key_dates.compare_datetime, key_dates.bound_datetime, key_dates.store_datetime)

_FAMILIES = dict.fromkeys(INTEGER_TYPES, _INTEGERS) | {
    "decimal": _DECIMALS,
    "year": _YEARS,
    "char": _TEXTS,
    "varchar": _TEXTS,
    "binary": _BINARIES,
    "varbinary": _BINARIES,
    "date": _DATES,
    "datetime": _DATETIMES,
}

# Digits of an integer that a column of the type holds, signed or not: the hot path of INSERT.
_SURELY_FIT = {"tinyint": 2, "smallint": 4, "mediumint": 6, "int": 9, "bigint": 18}

_LEAST, _MOST = -(2**63), 2**64 - 1
_MOST_DIGITS = 20  # digits of 2**64 - 1


def key_value(token: str, negative: bool, column: Column | None) -> KeyValue | Verdict:
    """The one value that rows equal to this literal have in ``column``; hot for plain integers.

    ``token``: raw source text of the literal (the sign is ``negative``); ``column``: None when no server can be
    asked, then the literal's own class decides. UNKNOWN: several stored values may be equal, look at every node.
    NOTHING: no row can be equal, NULL included.
    """
    if token.isdigit() and len(token) <= _MOST_DIGITS and (column is None or column.type in INTEGER_TYPES):
        value = -int(token) if negative else int(token)
        return value if _LEAST <= value <= _MOST else NOTHING
    literal = read(token, negative)
    if literal.kind is Kind.NULL:
        return NOTHING
    if column is None:
        return _as_written(literal)
    family = _FAMILIES.get(column.type)
    return UNKNOWN if family is None else family.compare(literal, column)


def key_bound(token: str, negative: bool, column: Column | None, *, high: bool) -> KeyValue | Verdict:
    """A value that bounds what ``column < literal`` (``high``) or ``column > literal`` can match.

    It is rounded outwards, so it may admit a node too many and never one too few; keep the operator's own
    inclusiveness. UNKNOWN: no bound; NOTHING: the literal is NULL.
    """
    literal = read(token, negative)
    if literal.kind is Kind.NULL:
        return NOTHING
    if column is None:
        return _as_written(literal)
    family = _FAMILIES.get(column.type)
    return UNKNOWN if family is None else family.bound(literal, column, high)


def stored_value(token: str, negative: bool, column: Column | None, strict: bool) -> KeyValue:
    """What ``column`` holds after this literal was written to it, as ``key_value`` would say it.

    A value the server refuses in ``strict`` mode gets the value it would store otherwise: any node can refuse it.
    An INSERT IGNORE is never strict. Raises NotSupported when the stored value cannot be known.
    """
    if not negative and token.isdigit() and len(token) <= _surely_fits(column):
        return int(token)
    literal = read(token, negative)
    if column is None:
        return _as_stored(literal, token)
    check_key_column(column)
    if literal.kind is Kind.NULL:
        return _stored_null(column, strict)
    return _FAMILIES[column.type].store(literal, column, strict)


def _surely_fits(column: Column | None) -> int:
    if column is None:
        return _SURELY_FIT["bigint"]
    return 0 if column.generated else _SURELY_FIT.get(column.type, 0)


def check_key_column(column: Column) -> None:
    """Refuse a column that cannot be a sharding key, saying which can."""
    if column.generated:
        raise NotSupported(f"sharding key column '{column.name}' is a generated column", "shard by a stored column")
    if column.type not in _FAMILIES:
        raise NotSupported(
            f"sharding key column '{column.name}' has type {column.type}",
            "use an integer, DECIMAL, YEAR, CHAR, VARCHAR, BINARY, VARBINARY, DATE or DATETIME column",
        )
    key_texts.check_collation(column)


def _as_written(literal: Literal) -> KeyValue | Verdict:
    if isinstance(literal.value, int | str | Decimal):
        return literal.value
    return UNKNOWN


def _as_stored(literal: Literal, token: str) -> KeyValue:
    if literal.kind is Kind.NULL:
        return None
    value = _as_written(literal)
    if isinstance(value, Verdict):
        raise NotSupported(f"the value {token} of a sharding key", "write it as an integer or a string")
    return value


def _stored_null(column: Column, strict: bool) -> KeyValue:
    """NULL; a NOT NULL column refuses it, or takes its type's implicit default without strict mode."""
    if column.nullable or strict:
        return None
    family = _FAMILIES[column.type]
    if family in (_DATES, _DATETIMES, _YEARS):
        raise NotSupported(f"NULL in the NOT NULL sharding key column '{column.name}' without strict mode")
    implicit = "" if family in (_TEXTS, _BINARIES) else "0"
    return family.store(Literal(Kind.TEXT, implicit), column, strict)
