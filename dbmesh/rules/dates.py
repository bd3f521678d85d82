"""The ``date`` algorithm: a node per year, month, day or hour, or per several of them, from a first moment on."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from dbmesh.rules.algorithms import moment
from dbmesh.rules.keys import Between, KeyType, KeyValue

Unit = Literal["year", "month", "day", "hour"]


@dataclass(frozen=True, slots=True)
class DateInterval:
    """Node n holds ``start`` + n * ``step`` units up to the next. Years and months count by the calendar.

    Without ``cycle`` keys before ``start`` and behind the last node have no home; with it the nodes start over.
    """

    unit: Unit
    step: int
    start: datetime.datetime
    count: int
    cycle: bool = False

    @property
    def key_types(self) -> tuple[KeyType, ...]:
        return (KeyType.TEMPORAL,)

    def home(self, values: tuple[KeyValue, ...]) -> int | None:
        period = self._period(moment(values[0]))
        if self.cycle:
            return period % self.count
        return period if 0 <= period < self.count else None

    def between(self, condition: Between) -> Collection[int] | None:
        low = None if condition.low is None else self._period(moment(condition.low))
        high = None if condition.high is None else self._last(moment(condition.high), condition.high_inclusive)
        if not self.cycle:
            first = 0 if low is None else max(low, 0)
            last = self.count - 1 if high is None else min(high, self.count - 1)
            return range(first, last + 1)
        if low is None or high is None or high - low >= self.count:
            return None
        return {period % self.count for period in range(low, high + 1)}

    def describe(self) -> str:
        size = self.unit if self.step == 1 else f"{self.step} {self.unit}s"
        return f"date({size} from {self.start.isoformat(' ')}{', cycle' if self.cycle else ''})"

    def _last(self, high: datetime.datetime, inclusive: bool) -> int:
        if not inclusive and high > datetime.datetime.min:
            high -= datetime.timedelta(microseconds=1)
        return self._period(high)

    def _period(self, when: datetime.datetime) -> int:
        """How many whole intervals lie between ``start`` and a moment; negative before it."""
        start = self.start
        if self.unit in ("year", "month"):
            months = (when.year - start.year) * 12 + when.month - start.month
            return months // (self.step * (12 if self.unit == "year" else 1))
        length = datetime.timedelta(days=1) if self.unit == "day" else datetime.timedelta(hours=1)
        return (when - start) // (length * self.step)
