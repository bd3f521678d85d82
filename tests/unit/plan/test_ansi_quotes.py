"""Double quotes around names, as both modes read them."""

from __future__ import annotations

import pytest

from dbmesh.errors import NotSupported
from dbmesh.plan.ansi_quotes import without_ansi_quotes


@pytest.mark.parametrize(
    ("ansi", "plain"),
    [
        ("SELECT 1", "SELECT 1"),
        ('SELECT "a", "t"."b" FROM "t"', "SELECT `a`, `t`.`b` FROM `t`"),
        ("""SELECT '"a"' AS "x" -- "c\n/* "d" */""", """SELECT '"a"' AS `x` -- "c\n/* "d" */"""),
        ('SELECT "a" + 1 FROM t', 'SELECT `a` + 1 AS `"a" + 1` FROM t'),
        ('SELECT UPPER("a"), SQL_NO FROM t', 'SELECT UPPER(`a`) AS `UPPER("a")`, SQL_NO FROM t'),
        ('SELECT SQL_NO_CACHE "a" FROM t', "SELECT SQL_NO_CACHE `a` FROM t"),
        ('UPDATE "t" SET "a" = \'"\' WHERE "größe" = 1', "UPDATE `t` SET `a` = '\"' WHERE `größe` = 1"),
        ('SET @"v" = 1', 'SET @"v" = 1'),
    ],
)
def test_names_are_put_in_back_ticks(ansi: str, plain: str) -> None:
    assert without_ansi_quotes(ansi) == plain


@pytest.mark.parametrize("text", ['SELECT "a""b"', 'SELECT "a`b"', 'SELECT "a\\"', 'SELECT "open'])
def test_names_that_the_modes_may_read_otherwise_are_refused(text: str) -> None:
    with pytest.raises(NotSupported):
        without_ansi_quotes(text)
