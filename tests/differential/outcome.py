"""What a client sees of one statement, and whether two servers let it see the same."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pymysql
from pymysql.connections import Connection

from tests.flavour import MYSQL

NOT_SUPPORTED = 1235
_APPROXIMATE = frozenset((4, 5))  # FLOAT, DOUBLE
SCALED = frozenset((0, 4, 5, 7, 11, 12, 246))  # what decimals of a string say depends on the execution
_UNSIGNED = 32
_VAR_STRING, _STRING, _BLOB = 253, 254, 252
_BLOBS = frozenset((249, 250, 251))
_LONG, _LONGLONG = 3, 8

Row = tuple[bytes | None, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Rows with their columns (name, type, unsigned, decimals), or counts, or an error."""

    columns: tuple[tuple[str, int, bool, int], ...] = ()
    rows: tuple[Row, ...] = ()
    affected: int = 0
    last_insert_id: int = 0
    errno: int = 0
    message: str = ""

    @property
    def refused(self) -> bool:
        return self.errno == NOT_SUPPORTED


def run(connection: Connection[Any], sql: str) -> Outcome:
    """Execute one statement and read all of its result."""
    with connection.cursor() as cursor:
        try:
            cursor.execute(sql)
        except pymysql.MySQLError as error:
            number = int(error.args[0]) if error.args else -1
            return Outcome(errno=number or -1, message=str(error.args[1:]))
        result: Any = cursor._result
        if cursor.description is None:
            return Outcome(affected=cursor.rowcount, last_insert_id=cursor.lastrowid or 0)
        columns = tuple(
            (f.name, kind(f.type_code), bool(f.flags & _UNSIGNED), f.scale if f.type_code in SCALED else 0)
            for f in result.fields
        )
        rows = tuple(tuple(v.encode() if isinstance(v, str) else v for v in row) for row in cursor.fetchall())
        return Outcome(columns, rows, cursor.rowcount)


def kind(type_code: int) -> int:
    """One number for what a server sends either way, as it took a temporary table or not.

    VARCHAR and ENUM, all BLOBs and TEXTs: MariaDB for MIN of them. INT and BIGINT: MySQL for an expression to group by.
    """
    if MYSQL and type_code == _LONG:
        return _LONGLONG
    return _VAR_STRING if type_code == _STRING else _BLOB if type_code in _BLOBS else type_code


@dataclass(frozen=True, slots=True)
class Likeness:
    """How far two answers may differ where MySQL leaves it open.

    ``ordered``: the rows must come in the same order. ``by``: only these columns must come in the same order, as
    others tie. ``fold``: columns whose values are equal by a case-insensitive PAD SPACE collation, so that any spelling
    of them may represent a group. ``whole``: all the rows a LIMIT may choose from among ties.
    ``wording``: whether errors have the same text. ``near``: how far the values of these columns may differ, all others
    not at all; None lets every approximate value differ a little.
    """

    ordered: bool = False
    by: tuple[int, ...] = ()
    fold: tuple[int, ...] = ()
    whole: tuple[Row, ...] | None = None
    wording: bool = True
    near: Mapping[int, float] | None = None


def difference(mesh: Outcome, plain: Outcome, like: Likeness) -> str | None:
    """What differs, or None."""
    if (mesh.errno, plain.errno) != (0, 0):
        if mesh.errno == plain.errno and (mesh.message == plain.message or not like.wording):
            return None
        return f"mesh: error {mesh.errno} {mesh.message}; plain: error {plain.errno} {plain.message}"
    if mesh.columns != plain.columns:
        return f"columns: mesh {mesh.columns}; plain {plain.columns}"
    if not mesh.columns:
        counts = (mesh.affected, mesh.last_insert_id), (plain.affected, plain.last_insert_id)
        return None if counts[0] == counts[1] else f"(affected, last insert id): mesh {counts[0]}; plain {counts[1]}"
    return _rows_difference(mesh, plain, like)


def _rows_difference(mesh: Outcome, plain: Outcome, like: Likeness) -> str | None:
    kinds = [column[1] for column in plain.columns]
    mine = [_normal(row, kinds, like) for row in mesh.rows]
    theirs = [_normal(row, kinds, like) for row in plain.rows]
    if len(mine) != len(theirs):
        return f"rows: mesh {len(mine)}; plain {len(theirs)}: {_few(mine, theirs)}"
    if like.by:
        order = [[row[column] for column in like.by] for row in mine]
        if not _alike(order, [[row[column] for column in like.by] for row in theirs]):
            return f"order: {_few(mine, theirs)}"
    elif like.ordered:
        return None if _alike(mine, theirs) else f"order or rows: {_few(mine, theirs)}"
    if like.whole is not None:
        choice = [_normal(row, kinds, like) for row in like.whole]
        return None if _contained(mine, choice) else f"rows that are not among the plain ones: {_few(mine, choice)}"
    if not _alike(sorted(mine, key=_sortable), sorted(theirs, key=_sortable)):
        return f"rows: {_few(mine, theirs)}"
    return None


class _Near(float):
    """A value that may differ by ``most``, relatively."""

    most = 1e-12


def _normal(row: Row, kinds: Sequence[int], like: Likeness) -> tuple[Any, ...]:
    values: list[Any] = []
    for at, (value, kind) in enumerate(zip(row, kinds, strict=True)):
        if value is None:
            values.append(None)
        elif kind in _APPROXIMATE and (like.near is None or at in like.near):
            number = _Near(value)
            number.most = 1e-12 if like.near is None else like.near[at]
            values.append(number)
        elif at in like.fold:
            values.append(value.decode().lower().rstrip(" ").translate(_ACCENTS))
        else:
            values.append(value)
    return tuple(values)


_ACCENTS = str.maketrans({"ë": "e", "ß": "ss" if MYSQL else "s"})


def _sortable(row: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple("" if v is None else f"{v:+.7e}" if isinstance(v, float) else repr(v) for v in row)


def _alike(mine: Sequence[Sequence[Any]], theirs: Sequence[Sequence[Any]]) -> bool:
    return all(
        all(_same(a, b) for a, b in zip(left, right, strict=True)) for left, right in zip(mine, theirs, strict=True)
    )


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, _Near) and isinstance(b, _Near):
        return math.isclose(a, b, rel_tol=a.most, abs_tol=1e-11)
    return bool(a == b)


def _contained(rows: Sequence[tuple[Any, ...]], choice: Sequence[tuple[Any, ...]]) -> bool:
    return not Counter(map(_sortable, rows)) - Counter(map(_sortable, choice))


def _few(mine: Sequence[tuple[Any, ...]], theirs: Sequence[tuple[Any, ...]]) -> str:
    left, right = Counter(map(_sortable, mine)), Counter(map(_sortable, theirs))
    only = f"only mesh {list(left - right)[:4]}; only plain {list(right - left)[:4]}"
    first = next((n for n, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), None)
    return only if first is None else f"{only}; first other row {first}: mesh {mine[first]}, plain {theirs[first]}"
