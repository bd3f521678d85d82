from __future__ import annotations

import pytest

from dbmesh.errors import NotSupported, ParseError
from dbmesh.sql.assignments import Assignment, Scope, parse_set


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SET autocommit=0", [Assignment(Scope.SESSION, "autocommit", "0")]),
        ("set @@session.sql_mode = 'A,B' ;", [Assignment(Scope.SESSION, "sql_mode", "'A,B'")]),
        ("SET SESSION a=1, b = 2", [Assignment(Scope.SESSION, "a", "1"), Assignment(Scope.SESSION, "b", "2")]),
        ("SET GLOBAL a=1, b=2", [Assignment(Scope.GLOBAL, "a", "1"), Assignment(Scope.GLOBAL, "b", "2")]),
        ("SET @x := CONCAT('a,b', (1)), @`Y`=2",
         [Assignment(Scope.USER, "x", "CONCAT('a,b', (1))"), Assignment(Scope.USER, "y", "2")]),
        ("SET NAMES utf8mb4", [Assignment(Scope.NAMES, "names", "utf8mb4")]),
        ("SET NAMES 'utf8mb4' COLLATE 'utf8mb4_bin'",
         [Assignment(Scope.NAMES, "names", "utf8mb4", "utf8mb4_bin")]),
        ("SET character set latin1", [Assignment(Scope.CHARACTER_SET, "character set", "latin1")]),
        ("SET @@a = @@global.a", [Assignment(Scope.SESSION, "a", "@@global.a")]),
        ("SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY",
         [Assignment(Scope.NEXT_TRANSACTION, "transaction_isolation", "'READ-COMMITTED'"),
          Assignment(Scope.NEXT_TRANSACTION, "transaction_read_only", "1")]),
        ("SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
         [Assignment(Scope.SESSION, "transaction_isolation", "'SERIALIZABLE'")]),
        ("SET /* c */ a = 1 -- end", [Assignment(Scope.SESSION, "a", "1")]),
    ],
)  # fmt: skip
def test_assignments_are_read_as_mysql_reads_them(text: str, expected: list[Assignment]) -> None:
    assert list(parse_set(text)) == expected


@pytest.mark.parametrize("text", ["SET", "SET a", "SET = 1", "SET a =", "SET NAMES", "SET TRANSACTION x", "SET a=1,"])
def test_a_broken_set_is_a_syntax_error(text: str) -> None:
    with pytest.raises(ParseError):
        parse_set(text)


def test_a_password_is_not_the_meshs_to_set() -> None:
    with pytest.raises(NotSupported):
        parse_set("SET PASSWORD = 'x'")
