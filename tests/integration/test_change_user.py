"""COM_CHANGE_USER on a whole mesh: the session is another one, whatever the last one has left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import mysql.connector
import pytest

from tests.integration.conftest import Town


@pytest.fixture(params=[True, False], ids=["pure", "C"])
def connection(town: Town, request: pytest.FixtureRequest) -> Iterator[Any]:
    options = town.mesh.address() | {"user": "app", "password": "secret", "database": "town"}
    options |= {"collation": "utf8mb4_general_ci"}
    with closing(mysql.connector.connect(use_pure=request.param, autocommit=True, **options)) as connection:
        yield connection


def ask(connection: Any, sql: str) -> list[tuple[Any, ...]]:
    with closing(connection.cursor()) as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall()) if cursor.with_rows else []


def test_everything_of_the_session_is_gone(town: Town, connection: Any) -> None:
    [[before]] = ask(connection, "SELECT CONNECTION_ID()")
    ask(connection, "SET @a = 5, time_zone = '+05:00'")
    ask(connection, "BEGIN")
    ask(connection, "INSERT INTO person (id, name) VALUES (1, 'x'), (2, 'y')")
    connection.cmd_change_user("reader", "secret", "town")
    assert town.persons() == {}
    [row] = ask(connection, "SELECT @a, @@time_zone = '+05:00', DATABASE(), CONNECTION_ID(), USER() LIKE 'reader@%'")
    assert row == (None, 0, "town", before, 1)
    with pytest.raises(mysql.connector.Error) as refused:
        ask(connection, "INSERT INTO person (id, name) VALUES (1, 'x')")
    assert refused.value.errno == 1142
    connection.cmd_change_user("app", "secret", "town")
    ask(connection, "INSERT INTO person (id, name) VALUES (1, 'x')")
    connection.commit()
    assert town.persons() == {1: "x"}


def test_the_locks_of_the_last_session_are_free_when_the_next_one_begins(town: Town, connection: Any) -> None:
    ask(connection, "INSERT INTO person (id, name, age) VALUES (1, 'x', 1)")
    ask(connection, "BEGIN")
    ask(connection, "UPDATE person SET age = 2 WHERE id = 1")
    connection.cmd_change_user("admin", "secret", "town")
    ask(connection, "SET innodb_lock_wait_timeout = 1")
    ask(connection, "UPDATE person SET age = age + 10 WHERE id = 1")
    assert ask(connection, "SELECT age FROM person WHERE id = 1") == [(11,)]


@pytest.mark.parametrize(
    ("user", "password", "database", "errno"),
    [("app", "wrong", "town", 1045), ("nobody", "", "town", 1045), ("app", "secret", "empty", 1044)],
)
def test_who_may_not_log_in_may_not_change_either(
    connection: Any, user: str, password: str, database: str, errno: int
) -> None:
    with pytest.raises(mysql.connector.Error) as refused:
        connection.cmd_change_user(user, password, database)
    assert refused.value.errno == errno
    with pytest.raises(mysql.connector.Error):
        ask(connection, "SELECT 1")


def test_the_process_list_has_the_connection_once(town: Town, connection: Any) -> None:
    connection.cmd_change_user("admin", "secret", "town")
    [[id]] = ask(connection, "SELECT CONNECTION_ID()")
    rows = [row for row in ask(connection, "SHOW PROCESSLIST") if row[0] in (id, str(id))]
    assert [row[1] for row in rows] == ["admin"]
