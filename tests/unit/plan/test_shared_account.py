"""All users share the servers' account: what would reach past their own databases is refused."""

from __future__ import annotations

import pytest

from dbmesh.errors import NotSupported
from dbmesh.plan.ddl import _check_options
from dbmesh.plan.session_functions import check_functions
from dbmesh.sql.tokens import Token, TokenKind, tokens


def words(text: str) -> list[Token]:
    return [token for token in tokens(text) if token.kind is not TokenKind.COMMENT]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT other.f()",
        "SELECT 1, `other`.`f`(2)",
        "SELECT * FROM a JOIN b ON other.f(a.x)",
        "INSERT INTO t VALUES (other.f())",
        "UPDATE t SET a = other.f()",
    ],
)
def test_a_function_of_a_named_schema_is_refused(text: str) -> None:
    with pytest.raises(NotSupported, match="stored function of a named schema"):
        check_functions(words(text))


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO shop.t (a, b) VALUES (1, 2)",
        "REPLACE shop.t (a) VALUES (COUNT(1))",
        "CREATE TABLE IF NOT EXISTS shop.t (a INT)",
        "CREATE INDEX i ON shop.t (a)",
        "SELECT t.a, (1), COUNT(t.a) FROM shop.t",
        "SELECT * FROM shop.t WHERE t.a IN (1, 2)",
    ],
)
def test_tables_with_a_schema_are_no_functions(text: str) -> None:
    check_functions(words(text))


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE t (a INT) ENGINE=MERGE UNION=(secret.s)",
        "CREATE TABLE t (a INT) ENGINE 'connect'",
        "ALTER TABLE t ENGINE = federated",
        "CREATE TABLE t (a INT) DATA DIRECTORY='/tmp'",
    ],
)
def test_table_options_that_reach_elsewhere_are_refused(text: str) -> None:
    with pytest.raises(NotSupported):
        _check_options(words(text))


def test_a_column_may_be_called_engine() -> None:
    _check_options(words("CREATE TABLE t (engine VARCHAR(10), data INT) ENGINE=InnoDB"))
