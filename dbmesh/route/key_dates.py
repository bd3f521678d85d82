"""Literals against DATE and DATETIME columns: the usual spellings, nothing that the servers disagree on."""

from __future__ import annotations

import datetime
import re

from dbmesh.errors import NotSupported
from dbmesh.route.literals import Kind, Literal
from dbmesh.route.verdict import UNKNOWN, Verdict
from dbmesh.rules.keys import KeyValue
from dbmesh.schema import Column

_DASHED = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[ T](\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,6}))?)?)?", re.ASCII
)
_DIGITS = re.compile(r"(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d))?", re.ASCII)


def _moment(literal: Literal) -> datetime.datetime | None:
    """The moment of '2026-01-05', '2026-1-5 10:00', '20260105', 20260105100000 …; None for other forms."""
    if literal.kind not in (Kind.TEXT, Kind.INTEGER):
        return None
    text = str(literal.value)
    found = _DIGITS.fullmatch(text)
    if found is None and literal.kind is Kind.TEXT:
        found = _DASHED.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    fraction = (found[7] or "") if found.re is _DASHED else ""
    try:
        return datetime.datetime(year, month, day, hour, minute, second, int(fraction.ljust(6, "0")))
    except ValueError:
        return None


def compare_date(literal: Literal, column: Column) -> KeyValue | Verdict:
    """A DATE is midnight when it is compared with a time."""
    moment = _moment(literal)
    return moment.date() if moment is not None and moment.time() == datetime.time() else UNKNOWN


def bound_date(literal: Literal, column: Column, high: bool) -> KeyValue | Verdict:
    """The day the moment lies in, or the next one where it bounds from above."""
    moment = _moment(literal)
    if moment is None:
        return UNKNOWN
    day = moment.date()
    if high and moment.time() != datetime.time():
        return UNKNOWN if day == datetime.date.max else day + datetime.timedelta(days=1)
    return day


def store_date(literal: Literal, column: Column, strict: bool) -> KeyValue:
    """The time of day is cut off; with a fraction of a second MySQL rounds and MariaDB cuts."""
    moment = _moment(literal)
    if moment is not None and not moment.microsecond:
        return moment.date()
    return _unclear(literal, column, strict)


def compare_datetime(literal: Literal, column: Column) -> KeyValue | Verdict:
    """Exact to the column's fractional digits."""
    moment = _moment(literal)
    return moment if moment is not None and _fits(moment, column) else UNKNOWN


def bound_datetime(literal: Literal, column: Column, high: bool) -> KeyValue | Verdict:
    """Rounded outwards to the column's fractional digits."""
    moment = _moment(literal)
    if moment is None:
        return UNKNOWN
    step = 10 ** (6 - (column.scale or 0))
    low = moment.replace(microsecond=moment.microsecond // step * step)
    if not high or low == moment:
        return low
    try:
        return low + datetime.timedelta(microseconds=step)
    except OverflowError:
        return UNKNOWN


def store_datetime(literal: Literal, column: Column, strict: bool) -> KeyValue:
    """More fractional digits than the column has are rounded by MySQL and cut by MariaDB."""
    moment = _moment(literal)
    if moment is not None and _fits(moment, column):
        return moment
    return _unclear(literal, column, strict)


def _fits(moment: datetime.datetime, column: Column) -> bool:
    step: int = 10 ** (6 - (column.scale or 0))
    return moment.microsecond % step == 0


def _unclear(literal: Literal, column: Column, strict: bool) -> KeyValue:
    """Text without any digit is refused by every server in strict mode: any node can say so."""
    text = literal.value if isinstance(literal.value, str) else ""
    if strict and text and not any(map(str.isdigit, text)):
        return None
    raise NotSupported(
        f"the value of the sharding key column '{column.name}' ({column.type})",
        "write 'YYYY-MM-DD' or 'YYYY-MM-DD hh:mm:ss' with no more fractional digits than the column has",
    )
