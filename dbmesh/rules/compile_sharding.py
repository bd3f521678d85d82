"""One ``sharding:`` mapping → a ``Step``: the algorithm over its columns and the names of its positions."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dbmesh.rules import custom, document
from dbmesh.rules.algorithms import Comparable, HashMod, ListOfValues, Mod, Range, comparable
from dbmesh.rules.dates import DateInterval
from dbmesh.rules.inline import BadExpression, Inline
from dbmesh.rules.keys import KeyType, UnsuitableKey
from dbmesh.rules.mistakes import Path, Source
from dbmesh.rules.sharding import Algorithm, Step

# Keys that an inline expression is tried with: each must name a node, or, where years, months or days are written
# as integers, any of the second kind.
SAMPLE = range(1000)
SAMPLE_DATES = [form for year in range(1970, 2100) for form in (year, year * 100 + 1, year * 10000 + 101)]
MOST_VOLUMES = 10_000


@dataclass(frozen=True, slots=True)
class Report:
    """Notes mistakes of the mapping at ``path``, by paths below it."""

    source: Source
    path: Path

    def __call__(self, *below: str | int, message: str, word: str = "", choices: Iterable[str] = ()) -> None:
        self.source.mistake((*self.path, *below), message, word=word, choices=choices)

    def either(self, one: str, other: str) -> None:
        """The mapping has both or none of two keys, unless one is there and only mistaken."""
        if not self.source.is_meant(self.path, one, other):
            self.source.mistake(self.path, f"needs either '{one}' or '{other}'", at_key=True)


@dataclass(frozen=True, slots=True)
class Positions:
    """What one step chooses among: ``names`` maps accepted names to positions; ``what`` they are, in messages."""

    names: Mapping[str, int]
    count: int
    what: str


def compile_step(part: document.Keyed, positions: Positions, report: Report) -> Step | None:
    """The step, or None after reporting what is wrong with it."""
    columns = _columns(part, report)
    if columns is None:
        return None
    build: Callable[..., Algorithm | None] = _BUILDERS[type(part)]
    algorithm = build(part, columns, positions, report)
    return None if algorithm is None else Step(algorithm, columns, positions.count)


def _columns(part: document.Keyed, report: Report) -> tuple[str, ...] | None:
    composite = isinstance(part, document.HashModPart | document.InlinePart | document.CustomPart)
    if (part.column is None) == (part.columns is None):
        report.either("column", "columns")
        return None
    columns = tuple(name.lower() for name in part.columns or [part.column or ""])
    if len(set(columns)) < len(columns):
        report("columns", message="names a column twice")
        return None
    if len(columns) > 1 and not composite:
        algorithm = getattr(part, "algorithm", "")
        report("columns", message=f"{algorithm} takes one column; hash_mod, inline and custom take several")
        return None
    return columns


def _mod(part: document.ModPart, columns: tuple[str, ...], positions: Positions, report: Report) -> Algorithm:
    return Mod(positions.count)


def _hash_mod(part: document.HashModPart, columns: tuple[str, ...], positions: Positions, report: Report) -> Algorithm:
    return HashMod(positions.count, len(columns))


def _range(
    part: document.RangePart, columns: tuple[str, ...], positions: Positions, report: Report
) -> Algorithm | None:
    if (part.boundaries is None) == (part.ranges is None):
        report.either("boundaries", "ranges")
        return None
    if part.boundaries is not None:
        raw, low_open, high_open = list(part.boundaries), True, True
    else:
        joined = _joined(part.ranges or [], report)
        if joined is None:
            return None
        raw, low_open, high_open = joined, (part.ranges or [])[0].from_ is None, (part.ranges or [])[-1].to is None
    where = "boundaries" if part.boundaries is not None else "ranges"
    key_type = _key_type(raw, report, where)
    if key_type is None:
        return None
    boundaries = tuple(comparable(value, key_type) for value in raw)
    return _checked_range(Range(boundaries, key_type, low_open, high_open), positions, report, where)


def _joined(ranges: Sequence[document.BetweenPart], report: Report) -> list[document.Scalar] | None:
    """The boundaries of adjoining ranges; None after reporting a gap, an overlap or a missing end."""
    bounds: list[document.Scalar] = [] if ranges[0].from_ is None else [ranges[0].from_]
    good = True
    for at, part in enumerate(ranges):
        if (part.from_ is None and at > 0) or (part.to is None and at < len(ranges) - 1):
            report("ranges", at, message="only the first range may leave out 'from', only the last one 'to'")
            good = False
            continue
        if at > 0 and part.from_ != ranges[at - 1].to and ranges[at - 1].to is not None:
            before, start = ranges[at - 1].to, part.from_
            kind = "a gap" if _less(before, start) else "an overlap"
            report(
                "ranges", at, "from", message=f"{kind}: the range before ends at {before}, this one begins at {start}"
            )
            good = False
        if part.to is not None:
            bounds.append(part.to)
    if good and not bounds:
        report("ranges", message="needs at least one 'from' or 'to'")
    return bounds if good and bounds else None


def _less(one: Any, other: Any) -> bool:
    try:
        return bool(one < other)
    except TypeError:
        return False


def _key_type(values: Sequence[document.Scalar], report: Report, where: str) -> KeyType | None:
    """What all the values are; None after reporting that they differ."""
    types = {
        KeyType.STRING
        if isinstance(value, str)
        else KeyType.TEMPORAL
        if isinstance(value, datetime.date)
        else KeyType.NUMBER
        for value in values
    }
    if len(types) > 1:
        report(where, message="mixes numbers, texts and dates")
        return None
    # The order of other characters depends on the column's charset.
    for value in values:
        if isinstance(value, str) and not value.isascii():
            report(
                where, message=f"boundary '{value}' is not ASCII; the order of other characters depends on the charset"
            )
            return None
    return types.pop()


def _checked_range(algorithm: Range, positions: Positions, report: Report, where: str) -> Algorithm | None:
    for before, after in zip(algorithm.boundaries, algorithm.boundaries[1:], strict=False):
        if not _less(before, after):
            report(where, message=f"must rise, but {after} comes after {before}")
            return None
    if algorithm.count != positions.count:
        report(where, message=f"makes {algorithm.count} ranges, but there are {positions.count} {positions.what}")
        return None
    return algorithm


def _volume_range(
    part: document.VolumeRangePart, columns: tuple[str, ...], positions: Positions, report: Report
) -> Algorithm | None:
    if part.upper <= part.lower:
        report("upper", message=f"must be above lower ({part.lower})")
        return None
    if (part.upper - part.lower) // part.volume > MOST_VOLUMES:
        report("volume", message=f"makes more than {MOST_VOLUMES} ranges")
        return None
    boundaries: tuple[Comparable, ...] = (*range(part.lower, part.upper, part.volume), part.upper)
    return _checked_range(Range(boundaries, KeyType.INTEGER, name="volume_range"), positions, report, "volume")


def _list(part: document.ListPart, columns: tuple[str, ...], positions: Positions, report: Report) -> Algorithm | None:
    good = True
    if len(part.values) != positions.count:
        report("values", message=f"has {len(part.values)} lists, but there are {positions.count} {positions.what}")
        good = False
    if part.default is not None and part.default not in positions.names:
        report(
            "default",
            message=f"'{part.default}' is none of the {positions.what}",
            word=part.default,
            choices=positions.names,
        )
        good = False
    homes: dict[int | str, int] = {}
    for at, values in enumerate(part.values):
        for index, value in enumerate(values):
            if not isinstance(value, int | str):
                report("values", at, index, message="must be an integer or a text")
                good = False
            elif value in homes:
                report("values", at, index, message=f"'{value}' is listed twice, first in list {homes[value] + 1}")
                good = False
            else:
                homes[value] = at
    if len({type(value) for value in homes}) > 1:
        report("values", message="mixes integers and texts")
        good = False
    if not good:
        return None
    # Keys of a case-insensitive column arrive in lower case.
    twins: dict[str, set[int]] = {}
    for value, at in homes.items():
        if isinstance(value, str):
            twins.setdefault(value.lower(), set()).add(at)
    for twin, found in twins.items():
        if len(found) == 1:
            homes.setdefault(twin, found.pop())
    key_type = KeyType.STRING if any(isinstance(value, str) for value in homes) else KeyType.INTEGER
    default = None if part.default is None else positions.names[part.default]
    return ListOfValues(homes, key_type, positions.count, default)


def _date(part: document.DatePart, columns: tuple[str, ...], positions: Positions, report: Report) -> Algorithm | None:
    start = part.from_
    if start.tzinfo is not None:
        report("from", message="must have no time zone")
        return None
    midnight = start.time() == datetime.time()
    if part.unit in ("year", "month") and not (start.day == 1 and midnight):
        report("from", message=f"must be the first of a month, because the unit is {part.unit}")
        return None
    if part.unit == "day" and not midnight:
        report("from", message="must be a midnight, because the unit is day")
        return None
    return DateInterval(part.unit, part.step, start, positions.count, part.cycle)


def _inline(
    part: document.InlinePart, columns: tuple[str, ...], positions: Positions, report: Report
) -> Algorithm | None:
    try:
        algorithm = Inline(part.expression, columns, positions.names)
    except BadExpression as error:
        report("expression", message=str(error), word=error.name, choices=error.choices)
        return None
    homeless = _homeless(algorithm)
    if homeless is None:
        return algorithm
    value, name = homeless
    message = f"names '{name}' for {columns[0]}={value}, which is none of the {positions.what}"
    report("expression", message=message, word=name, choices=positions.names)
    return None


def _homeless(algorithm: Inline) -> tuple[int, str] | None:
    """An integer key, and its name that is no node's. None: there is none, or keys are no integers."""
    width = len(algorithm.columns)
    try:
        if any(algorithm.home((date,) * width) is not None for date in SAMPLE_DATES):
            hits = [value for value in SAMPLE if algorithm.home((value,) * width) is not None]
            if not hits:
                return None
        for value in SAMPLE:
            if algorithm.home((value,) * width) is None:
                return value, algorithm.name((value,) * width)
    except UnsuitableKey:
        pass  # texts or dates: nothing is known about them
    return None


def _custom(
    part: document.CustomPart, columns: tuple[str, ...], positions: Positions, report: Report
) -> Algorithm | None:
    try:
        return custom.Custom(part.function, positions.count, len(columns), custom.find(part.function))
    except ValueError as error:
        report("function", message=str(error))
        return None


_BUILDERS: Mapping[type[document.Keyed], Callable[..., Algorithm | None]] = {
    document.ModPart: _mod,
    document.HashModPart: _hash_mod,
    document.RangePart: _range,
    document.VolumeRangePart: _volume_range,
    document.ListPart: _list,
    document.DatePart: _date,
    document.InlinePart: _inline,
    document.CustomPart: _custom,
}
