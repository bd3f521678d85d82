"""Sharding algorithms on numbers and texts: mod, hash_mod, range, volume_range, list.

Each says what its key columns have to be (``key_types``) and answers equal values exactly. Ranges: range and
volume_range exactly, list for numbers, mod when the range is short; everything else asks every data node.
"""

from __future__ import annotations

import bisect
import datetime
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeGuard
from zlib import crc32

from dbmesh.rules.keys import Between, KeyType, KeyValue, UnsuitableKey, integer, kind


@dataclass(frozen=True, slots=True)
class Mod:
    """The key modulo the number of nodes, never negative: -1 lives on the last node."""

    count: int

    @property
    def key_types(self) -> tuple[KeyType, ...]:
        return (KeyType.INTEGER,)

    def home(self, values: tuple[KeyValue, ...]) -> int:
        value = values[0]
        if type(value) is int:  # the hot path of a query by key
            return value % self.count
        return integer(value) % self.count

    def between(self, condition: Between) -> Collection[int] | None:
        span = integer_range(condition)
        if span is None or len_at_least(span, self.count):
            return None
        return {value % self.count for value in span}

    def describe(self) -> str:
        return f"mod({self.count})"


@dataclass(frozen=True, slots=True)
class HashMod:
    """CRC-32 of the key's canonical text modulo the number of nodes; several columns are joined by a zero byte.

    For one column of ASCII or utf8mb4 text, or of integers, ``SELECT CRC32(key) % nodes`` finds the same node.
    """

    count: int
    width: int = 1

    @property
    def key_types(self) -> tuple[KeyType, ...]:
        return (KeyType.ANY,) * self.width

    def home(self, values: tuple[KeyValue, ...]) -> int:
        return crc32(b"\0".join(map(canonical, values))) % self.count

    def between(self, condition: Between) -> Collection[int] | None:
        return None

    def describe(self) -> str:
        return f"hash_mod({self.count})"


Comparable = int | Decimal | str | datetime.datetime


@dataclass(frozen=True, slots=True)
class Range:
    """Ascending boundaries, all of one type (``comparable``): node n holds boundary n-1 <= key < boundary n.

    ``low_open``/``high_open``: whether keys below the first and from the last boundary on have a home; then there
    is a node more at that end. ``name`` is the algorithm's in YAML: volume_range is a range with equal steps.
    """

    boundaries: tuple[Comparable, ...]
    key_type: KeyType
    low_open: bool = True
    high_open: bool = True
    name: str = "range"

    @property
    def key_types(self) -> tuple[KeyType, ...]:
        return (self.key_type,)

    @property
    def count(self) -> int:
        return len(self.boundaries) - 1 + self.low_open + self.high_open

    def home(self, values: tuple[KeyValue, ...]) -> int | None:
        place = self._place(comparable(values[0], self.key_type))
        return place if 0 <= place < self.count else None

    def between(self, condition: Between) -> Collection[int] | None:
        low, high = widened(condition) if self.key_type is KeyType.STRING else (condition.low, condition.high)
        first = 0 if low is None else max(0, self._place(comparable(low, self.key_type)))
        last = self.count - 1
        if high is not None:
            bound = comparable(high, self.key_type)
            inclusive = condition.high_inclusive or self.key_type is KeyType.STRING
            last = min(last, self._place(bound, inclusive))
        return range(first, last + 1)

    def describe(self) -> str:
        ends = ("..., " if self.low_open else "", ", ..." if self.high_open else "")
        return f"{self.name}({ends[0]}{', '.join(map(str, self.boundaries))}{ends[1]})"

    def _place(self, value: Comparable, inclusive: bool = True) -> int:
        """The node of a value, or of the values just below it; beside the nodes when it has no home."""
        find = bisect.bisect_right if inclusive else bisect.bisect_left
        return find(self.boundaries, value) - (not self.low_open)


@dataclass(frozen=True, slots=True)
class ListOfValues:
    """Listed values have a node each; ``default`` takes all others, without it they have no home.

    The loader lists a text's lower-case twin too where that is nobody else's.
    """

    homes: Mapping[int | str, int]
    key_type: KeyType
    count: int
    default: int | None = None

    @property
    def key_types(self) -> tuple[KeyType, ...]:
        return (self.key_type,)

    def home(self, values: tuple[KeyValue, ...]) -> int | None:
        value = values[0]
        if self.key_type is KeyType.INTEGER:
            return self.homes.get(integer(value), self.default)
        return self.homes.get(text(value), self.default)

    def between(self, condition: Between) -> Collection[int] | None:
        span = integer_range(condition, open_ends=True) if self.key_type is KeyType.INTEGER else None
        if span is None:
            return None
        low, high = span.start, span.stop
        places = {place for value, place in self.homes.items() if isinstance(value, int) and low <= value < high}
        return places if self.default is None else places | {self.default}

    def describe(self) -> str:
        rest = "" if self.default is None else f", default {self.default}"
        return f"list({self.count}{rest})"


def canonical(value: KeyValue) -> bytes:
    """One text for equal values: 5, 5.0 and '5' alike, dates as MySQL prints them, seconds' digits only if not zero."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, int):
        return b"%d" % value
    if isinstance(value, bytes):
        return value
    if isinstance(value, Decimal):
        if not value:
            return b"0"
        plain = format(value, "f")
        return (plain.rstrip("0").rstrip(".") if "." in plain else plain).encode()
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ").rstrip("0").encode() if value.microsecond else value.isoformat(" ").encode()
    if isinstance(value, datetime.date):
        return value.isoformat().encode()
    raise UnsuitableKey("NULL has no text")


def text(value: KeyValue) -> str:
    """The value as a str; UnsuitableKey when it is none."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    raise UnsuitableKey(f"sharding key must be a string, not {kind(value)}")


def comparable(value: KeyValue, wanted: KeyType) -> Comparable:
    """The value in a form in which all keys of that type have one order; UnsuitableKey when it is of another."""
    if wanted is KeyType.STRING:
        return text(value)
    if wanted is KeyType.TEMPORAL:
        return moment(value)
    if isinstance(value, int | Decimal):
        return value
    raise UnsuitableKey(f"sharding key must be a number, not {kind(value)}")


def moment(value: KeyValue) -> datetime.datetime:
    """A date as its midnight, a datetime as it is; UnsuitableKey otherwise."""
    if isinstance(value, datetime.datetime) and value.tzinfo is None:
        return value
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return datetime.datetime.combine(value, datetime.time())
    raise UnsuitableKey(f"sharding key must be a date or a date and time, not {kind(value)}")


def integer_range(condition: Between, *, open_ends: bool = False) -> range | None:
    """The integers that a range allows. None: a bound is no number, or open (unless that is allowed: then very far)."""
    low, high = condition.low, condition.high
    if open_ends:
        low, high = (-(1 << 80) if low is None else low), (1 << 80 if high is None else high)
    if not (finite(low) and finite(high)):
        return None
    first = math.ceil(low) if condition.low_inclusive else math.floor(low) + 1
    last = math.floor(high) if condition.high_inclusive else math.ceil(high) - 1
    return range(first, last + 1)


def finite(value: KeyValue) -> TypeGuard[int | Decimal]:
    return isinstance(value, int) or (isinstance(value, Decimal) and value.is_finite())


def len_at_least(span: range, count: int) -> bool:
    """len() without its limit of 2^63."""
    return span.stop - span.start >= count


def widened(condition: Between) -> tuple[KeyValue, KeyValue]:
    """Inclusive bounds between which, in Python's order, lie all strings that a PAD SPACE collation puts in the range.

    Padded with spaces, 'a' comes after 'a\\t'; unpadded before it. So the low bound ends where characters below a
    space begin, and the high bound reaches to its continuations by spaces and such characters ('!' follows them).
    """
    low, high = condition.low, condition.high
    if isinstance(low, str | bytes):
        chars = text(low)
        low = chars[: next((at for at, char in enumerate(chars) if char < " "), len(chars))].rstrip(" ")
    if isinstance(high, str | bytes):
        high = text(high) + "!"
    return low, high
