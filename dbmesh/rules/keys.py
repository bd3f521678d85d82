"""Sharding key values and the conditions on them that a statement carries.

Values arrive already normalised as their column compares (``route.keys``): a CHAR without its padding, an
INT as int, a DECIMAL as Decimal, a DATE as date. Python's own equality and order are then the column's.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from dbmesh import errors

KeyValue = int | Decimal | str | bytes | datetime.date | datetime.datetime | None


class KeyType(StrEnum):
    """What an algorithm needs a sharding key's column to be. NULL is accepted by all of them."""

    INTEGER = "integer"  # int, or a Decimal without a fraction
    NUMBER = "number"  # int or Decimal
    STRING = "string"  # str or bytes, whose spelling counts: the column should have a binary collation
    TEMPORAL = "temporal"  # date or datetime; not TIMESTAMP, whose value depends on the session's time zone
    ANY = "any"


class UnsuitableKey(errors.NoDataNode):
    """A value that the algorithm cannot place: an INSERT fails with it, a SELECT asks every data node."""


@dataclass(frozen=True, slots=True)
class Equal:
    """The column equals one of ``values`` (=, <=>, IN).

    None stands for IS NULL and ``<=> NULL``, never for ``= NULL``, which no row satisfies.
    """

    values: tuple[KeyValue, ...]


@dataclass(frozen=True, slots=True)
class Between:
    """The column lies between two values; a bound of None is open. NULL never does.

    Strings: only for columns with a binary collation, where the order is that of the characters' codes.
    """

    low: KeyValue = None
    high: KeyValue = None
    low_inclusive: bool = True
    high_inclusive: bool = True


KeyCondition = Equal | Between


def integer(value: KeyValue) -> int:
    """The value as an int; UnsuitableKey when it is none."""
    if isinstance(value, int):
        return int(value)
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return int(value)
    raise UnsuitableKey(f"sharding key must be an integer, not {kind(value)}")


def kind(value: KeyValue) -> str:
    """A value's type in a DBA's words, for messages."""
    names = {int: "an integer", Decimal: "a decimal number", str: "a string", bytes: "a binary string"}
    names |= {datetime.date: "a date", datetime.datetime: "a date and time"}
    return names.get(type(value), "NULL")
