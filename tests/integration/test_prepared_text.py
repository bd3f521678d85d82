"""PREPARE, EXECUTE and DEALLOCATE PREPARE in SQL, over shards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pymysql
import pytest

from tests.integration.conftest import Town

Execute = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def persons(execute: Execute) -> Execute:
    values = ", ".join(f"({id}, 'n{id}', {id % 5}, NULL)" for id in range(20))
    execute(f"INSERT INTO person (id, name, age, mail) VALUES {values}")
    return execute


def test_user_variables_decide_the_shard(persons: Execute) -> None:
    persons("PREPARE one FROM 'SELECT id, name FROM person WHERE id = ?'")
    for id in (3, 4, 5, 6):
        persons(f"SET @id = {id}")
        assert persons("EXECUTE one USING @id") == [(id, f"n{id}")]
    persons("SET @id = NULL")
    assert persons("execute ONE using @id") == []
    persons("SET @id = '7'")
    assert persons("EXECUTE one USING @id") == [(7, "n7")]
    assert persons("EXECUTE one USING @unset") == []


def test_rows_of_several_shards_and_the_names_of_their_columns(town: Town, persons: Execute) -> None:
    with town.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET @text = 'SELECT id + ?, ? FROM person WHERE id < ? ORDER BY id DESC LIMIT ?'")
        cursor.execute("SET @a = -5, @b = 'it''s', @c = 10, @d = 3")
        cursor.execute("PREPARE many FROM @text")
        cursor.execute("EXECUTE many USING @a, @b, @c, @d")
        assert list(cursor.fetchall()) == [(4, "it's"), (3, "it's"), (2, "it's")]
        assert [column[0] for column in cursor.description] == ["id + ?", "?"]


def test_writes_and_session_statements(town: Town, execute: Execute) -> None:
    execute("PREPARE put FROM 'INSERT INTO person (id, name) VALUES (?, ?), (?, ?)'")
    execute("SET @one = 1, @two = 2, @n = 'x'")
    execute("EXECUTE put USING @one, @n, @two, @n")
    assert town.persons() == {1: "x", 2: "x"}
    execute("PREPARE shown FROM \"SHOW TABLES LIKE 'per%'\"")
    assert execute("EXECUTE shown") == [("person",)]
    execute("EXECUTE IMMEDIATE 'DELETE FROM person WHERE id > ?' USING 1")
    assert town.persons() == {1: "x"}


@pytest.mark.parametrize(
    ("sql", "errno", "message"),
    [
        ("EXECUTE nobody", 1243, "Unknown prepared statement handler (nobody) given to EXECUTE"),
        ("DEALLOCATE PREPARE nobody", 1243, "Unknown prepared statement handler (nobody) given to DEALLOCATE PREPARE"),
        ("DROP PREPARE nobody", 1243, "Unknown prepared statement handler (nobody) given to DEALLOCATE PREPARE"),
        ("PREPARE x FROM 'SELEC 1'", 1064, "SELEC 1"),
        ("PREPARE x FROM 'SELECT nope FROM person'", 1054, "nope"),
        ("PREPARE x FROM 'PREPARE y FROM z'", 1295, "not supported in the prepared statement protocol"),
        ("PREPARE x FROM", 1064, "near ''"),
        ("EXECUTE known", 1210, "Incorrect arguments to EXECUTE"),
        ("EXECUTE known USING @a, @b", 1210, "Incorrect arguments to EXECUTE"),
        ("EXECUTE known USING", 1064, "near ''"),
    ],
)
def test_mistakes_have_the_servers_words(execute: Execute, sql: str, errno: int, message: str) -> None:
    execute("PREPARE known FROM 'SELECT ?'")
    with pytest.raises(pymysql.MySQLError) as raised:
        execute(sql)
    assert raised.value.args[0] == errno
    assert message in raised.value.args[1]


def test_a_name_is_another_statement_after_another_prepare_and_none_after_deallocate(execute: Execute) -> None:
    execute("PREPARE a FROM 'SELECT 1'")
    execute("PREPARE A FROM 'SELECT 2'")
    assert execute("EXECUTE a") == [(2,)]
    with pytest.raises(pymysql.MySQLError):
        execute("PREPARE a FROM 'SELEC'")
    with pytest.raises(pymysql.MySQLError, match="1243"):
        execute("EXECUTE a")
    execute("PREPARE a FROM 'SELECT 3'")
    execute("DEALLOCATE PREPARE a")
    with pytest.raises(pymysql.MySQLError, match="1243"):
        execute("EXECUTE a")
