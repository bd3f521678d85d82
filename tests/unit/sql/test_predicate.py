"""Predicates: never more than the SQL says."""

from __future__ import annotations

import pytest

from dbmesh.sql.predicate import ANYTHING, ColumnName, Every, OneOf, Ordered, SameValue, Some, Value, predicate
from dbmesh.sql.statement import parse

K = ColumnName("", "k")
ONE = (Value(0),)


def said(condition: str) -> object:
    statement = parse(f"SELECT * FROM t WHERE {condition}")
    return predicate(statement, statement.tree.args["where"].this)


@pytest.mark.parametrize(
    "condition",
    [
        "NOT k=5", "k<>5", "k IS NOT NULL", "k IN (SELECT 1)", "k NOT IN (1)", "k='a' 'b'", "k=_utf8'x'", "k=5 IN (1)",
        "k=5 IS TRUE", "k=-'5'", "k=5 COLLATE utf8_bin", "k=5=1", "BINARY k=5", "k=-'5' + 1", "k IN (1) = 0",
        "k=ANY (SELECT 1)", "k LIKE 'a'", "k=5 DIV 2", "k=5 | 2", "k=TIME'10:00:00'", "k=DATE(x)", "k=5 % 2",
        "k=5 OR x", "k=5 XOR x=1",
        "k=5 || x=1", "k=5 AND !x", "k IN (1, 'a')",
        "k BETWEEN 1 AND 'a'", "k BETWEEN 1 AND x", "k BETWEEN x AND 1", "k=@x", "k=?", "k=.5",
        "CASE WHEN k=5 THEN 1 END", "k NOT BETWEEN 1 AND 2", "IF(k=5, 1, 0)", "k=NOW()",
    ],
)  # fmt: skip
def test_what_does_not_restrict_says_nothing(condition: str) -> None:
    assert said(condition) is ANYTHING


def test_equalities_are_read_from_both_sides() -> None:
    assert said("k=5") == said("5=k") == said("(k)=(5)") == OneOf(K, ONE)
    assert said("k=-5") == OneOf(K, (Value(0, True),))
    assert said("t.k=5") == OneOf(ColumnName("t", "k"), ONE)
    assert said("k=TRUE") == OneOf(K, (Value(None, word="TRUE"),))


def test_null_matches_null_only_by_null_safe_operators() -> None:
    null = (Value(None, word="NULL"),)
    assert said("k=NULL") == OneOf(K, null)
    assert said("k<=>NULL") == said("k IS NULL") == OneOf(K, null, null_safe=True)


def test_lists_and_rows() -> None:
    assert said("k IN (1, NULL, 2)") == OneOf(K, (Value(0), Value(None, word="NULL"), Value(1)))
    pair = Every((OneOf(K, ONE), OneOf(ColumnName("", "m"), (Value(1),))))
    assert said("(k, m) = (1, 2)") == pair
    assert said("(k, m) IN ((1, 2))") == Some((pair,))


def test_ranges_are_mirrored() -> None:
    assert said("k<5") == said("5>k") == Ordered(K, "<", Value(0))
    assert said("k BETWEEN 1 AND 2") == Every((Ordered(K, ">=", Value(0)), Ordered(K, "<=", Value(1))))


def test_conjunctions_keep_what_can_be_used() -> None:
    assert said("k=1 AND f(x) AND (m=2 OR m=3)") == Every(
        (OneOf(K, ONE), Some((OneOf(ColumnName("", "m"), (Value(1),)), OneOf(ColumnName("", "m"), (Value(2),)))))
    )
    assert said("k=x.k AND k=1") == Every((SameValue(K, ColumnName("x", "k")), OneOf(K, ONE)))
