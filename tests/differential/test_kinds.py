"""Every column type and many collations as sort key, group, distinct value and argument of an aggregate.

What a server cannot be asked outside of itself is refused; nothing comes out in another order, group or number.
"""

from __future__ import annotations

from typing import Any

import pytest
from pymysql.connections import Connection

from tests.differential.kinds import COLLATIONS, TYPES
from tests.differential.outcome import Likeness, Outcome, difference, run
from tests.flavour import DEFAULT_COLLATION, MYSQL

_SORTED = (
    "SELECT id, {c} FROM {t} ORDER BY {c}, id",
    "SELECT id FROM {t} ORDER BY {c} DESC, id LIMIT 20",
    "SELECT id, COALESCE({c}, {c}) AS x FROM {t} ORDER BY x, id",
    "SELECT id % 3 AS m, COUNT({c}), COUNT(DISTINCT {c}) FROM {t} GROUP BY m ORDER BY m",
)
# Equal strings may be shown in any spelling.
_SPELLED = (
    "SELECT DISTINCT {c} FROM {t}",
    "SELECT {c}, COUNT(*), SUM(id) FROM {t} GROUP BY {c}",
    "SELECT MIN({c}), MAX({c}), COUNT({c}) FROM {t}",
    "SELECT id % 3, MIN({c}), MAX({c}) FROM {t} GROUP BY id % 3",
    "SELECT id % 3 AS m, MAX({c}) AS x FROM {t} GROUP BY m HAVING x IS NOT NULL",
    "SELECT MAX({c}) = MIN({c}), MAX({c}) > MIN({c}) FROM {t}",
    "SELECT CONCAT(MAX({c}), '') FROM {t}",
)
_NUMBERS = (
    "SELECT SUM({c}), AVG({c}) FROM {t}",
    "SELECT SUM({c}) + 0 FROM {t}",
    "SELECT IFNULL(MAX({c}), MIN({c})) FROM {t}",
)

_NAMES = [
    *((name, "kinds", f"c{n}") for n, name in enumerate(TYPES)),
    *((name, "words", f"c{n}") for n, name in enumerate(COLLATIONS)),
]
_OUT_OF_SORT_MEMORY = 1038
_STRINGS = frozenset((15, 249, 250, 251, 252, 253, 254))

_EXPRESSIONS = ("HAVING", "MAX({c}) =", "CONCAT", "IFNULL")
_BIT = (*_EXPRESSIONS, "MIN({c})", "ORDER BY x", "SELECT DISTINCT")  # sent as bytes or as a number, as it happens
_COMPARED = ("ORDER BY {c}", "ORDER BY x", "DISTINCT", "GROUP BY {c}", "MIN({c})", "MAX({c})")
# Parts of the statements that are refused with error 1235.
REFUSED: dict[str, tuple[str, ...]] = {}
# Only the type of the column is another: a literal cannot have the type of the aggregate.
OTHER_TYPE = frozenset(
    ("TINYINT", "BOOL", "SMALLINT UNSIGNED", "MEDIUMINT", "DECIMAL(6,2) UNSIGNED", "TIMESTAMP(6) NULL", "TINYBLOB")
) | (frozenset({"TEXT", "LONGTEXT"}) if MYSQL else frozenset())
# MySQL cannot sort weight strings this long in its sort buffer: error 1038.
TOO_LONG: dict[str, tuple[str, ...]] = {"LONGTEXT": ("DISTINCT",)} if MYSQL else {}


def _listed(name: str, form: str) -> bool:
    return any(part in form for part in REFUSED.get(name, ()))


def _is_text(name: str) -> bool:
    return name in COLLATIONS or "CHAR" in name or "TEXT" in name


def _spelling(outcome: Outcome, plain: Connection[Any], collation: str) -> Outcome:
    """The texts of an outcome by the weights of their collation."""
    rows = []
    for row in outcome.rows:
        values: list[bytes | None] = []
        for value, column in zip(row, outcome.columns, strict=True):
            if value is None or column[1] not in _STRINGS:
                values.append(value)
                continue
            charset = collation.split("_")[0]
            text = f"CONVERT(_utf8mb4 x'{value.hex()}' USING {charset}) COLLATE {collation}"
            padded = f"{text} AS CHAR(80)"
            if MYSQL:  # which fills up with as many spaces as the text has fewer characters, whatever their weights
                padded = text if "_0900_" in collation else f"RTRIM({text})"
            values.append(run(plain, f"SELECT HEX(WEIGHT_STRING({padded}))").rows[0][0])
        rows.append(tuple(values))
    return Outcome(outcome.columns, tuple(rows), outcome.affected)


@pytest.mark.parametrize(("name", "table", "column"), _NAMES, ids=[name for name, _, _ in _NAMES])
def test_by_a_column_of_each_type_and_collation(
    reading: tuple[Connection[Any], Connection[Any]], name: str, table: str, column: str
) -> None:
    mesh, plain = reading
    forms = (*_SORTED, *_SPELLED, *(_NUMBERS if table == "kinds" else ()))
    wrong = [found for form in forms if (found := _wrong(mesh, plain, name, form, form.format(t=table, c=column)))]
    assert not wrong, "\n".join(wrong)


def _wrong(mesh: Connection[Any], plain: Connection[Any], name: str, form: str, sql: str) -> str | None:
    mine = run(mesh, sql)
    if mine.errno == _OUT_OF_SORT_MEMORY and any(part in form for part in TOO_LONG.get(name, ())):
        return None
    if mine.refused:
        return None if _listed(name, form) else f"{sql}: {mine.message}"
    theirs = run(plain, sql)
    found = difference(mine, theirs, Likeness(form in _SORTED))
    if found and form in _SPELLED and _is_text(name) and mine.columns == theirs.columns:
        collation = name if name in COLLATIONS else DEFAULT_COLLATION
        found = difference(_spelling(mine, plain, collation), _spelling(theirs, plain, collation), Likeness())
    if found and name in OTHER_TYPE and "IFNULL" in form and mine.rows == theirs.rows:
        return None
    if found is None and _listed(name, form):
        return f"{sql}: no longer refused"
    return f"{sql}\n    {found}" if found else None
