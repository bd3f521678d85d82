"""Constants of conditions whose value routing can know: literals, and what MySQL makes of them before it reads a row.

The arithmetic is that of BIGINT and DATE alone. Whatever would be anything else (overflow, text in numbers, times of
day) has no value here, and restricts nothing.
"""

from __future__ import annotations

import datetime
import re
from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

_LARGEST = 2**63 - 1
_INTEGER = re.compile(r"(['\"]?)(\d{1,19})\1", re.ASCII)
_DATE = re.compile(r"(['\"])(\d{4})-(\d{1,2})-(\d{1,2})\1", re.ASCII)
_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
_DAYS = {"DAY": 1, "WEEK": 7}
UNITS = _MONTHS.keys() | _DAYS.keys()


class Value(NamedTuple):
    """A constant: the ``literal``-th literal with its sign; ``literal`` None: ``word``, NULL, TRUE or FALSE."""

    literal: int | None
    negative: bool = False
    word: str = ""

    def token(self, literals: Sequence[str]) -> str:
        return self.word if self.literal is None else literals[self.literal]

    def spelled(self, literals: Sequence[str]) -> tuple[str, bool]:
        """The source text of a literal, and whether a minus sign stands before it."""
        return self.token(literals), self.negative

    @property
    def dated(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Computed:
    """An integer made of integers, or a date made of one.

    ``operator``: what the ``parts`` are joined by; 'integer' and 'date' are CAST, 'moment' is ``TIMESTAMP '…'``.
    ``unit``: of 'shift', a date and how many of it to add.
    """

    operator: Literal["+", "-", "*", "negative", "integer", "date", "moment", "shift"]
    parts: tuple[Constant, ...]
    unit: str = ""

    @property
    def dated(self) -> bool:
        """Whether it is a date: as one it is compared with dates only."""
        return self.operator in ("date", "moment", "shift")

    def spelled(self, literals: Sequence[str]) -> tuple[str, bool]:
        """As `Value.spelled`; ('', False) for what has no value."""
        if self.operator == "moment":
            return self.parts[0].spelled(literals)
        if self.dated:
            day = self._day(literals)
            return ("", False) if day is None else (f"'{day.isoformat()}'", False)
        number = self._number(literals)
        return ("", False) if number is None else (str(abs(number)), number < 0)

    def _number(self, literals: Sequence[str]) -> int | None:
        numbers = [_integer(part, literals, cast=self.operator == "integer") for part in self.parts]
        first, *rest = numbers
        if first is None or None in rest:
            return None
        made = first
        for other in rest:
            assert other is not None
            made = made + other if self.operator == "+" else made - other if self.operator == "-" else made * other
        if self.operator == "negative":
            made = -made
        return made if abs(made) <= _LARGEST else None

    def _day(self, literals: Sequence[str]) -> datetime.date | None:
        first = self.parts[0]
        if isinstance(first, Computed):
            day = first._day(literals) if first.operator in ("date", "shift") else None
        else:
            day = _date(first.token(literals))
        if day is None or self.operator == "date":
            return day
        count = _integer(self.parts[1], literals, cast=True)
        return None if count is None else _shifted(day, count, self.unit)


Constant = Value | Computed


def _integer(part: Constant, literals: Sequence[str], cast: bool) -> int | None:
    if isinstance(part, Computed) and part.dated:
        return None
    token, negative = part.spelled(literals)
    found = _INTEGER.fullmatch(token)
    if found is None or (found[1] and not cast):
        return None
    return -int(found[2]) if negative else int(found[2])


def _date(token: str) -> datetime.date | None:
    found = _DATE.fullmatch(token)
    try:
        return datetime.date(int(found[2]), int(found[3]), int(found[4])) if found else None
    except ValueError:
        return None


def _shifted(day: datetime.date, count: int, unit: str) -> datetime.date | None:
    """The last day of a month stands for those that it does not have."""
    try:
        if unit in _DAYS:
            return day + datetime.timedelta(days=count * _DAYS[unit])
        months = day.year * 12 + day.month - 1 + count * _MONTHS[unit]
        year, month = divmod(months, 12)
        return datetime.date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
    except (ValueError, OverflowError):
        return None
