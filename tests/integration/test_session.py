"""A client's session on the mesh: state that follows it, transactions, rights, KILL."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pymysql
import pytest

from tests.integration.conftest import Town

Execute = Callable[[str], list[tuple[Any, ...]]]


def refused(error: pytest.ExceptionInfo[pymysql.Error]) -> int:
    return int(error.value.args[0])


def test_session_functions_answer_for_the_client_not_for_a_backend(execute: Execute, town: Town) -> None:
    [row] = execute("SELECT DATABASE(), USER(), CURRENT_USER()")
    assert row == ("town", "app@127.0.0.1", "app@%")
    [[first]] = execute("SELECT CONNECTION_ID()")
    [[again]] = execute("SELECT CONNECTION_ID()")
    assert first == again


def test_variables_follow_the_client_from_backend_to_backend(town: Town) -> None:
    with closing(town.connect()) as one, closing(town.connect()) as other:
        for connection, zone in ((one, "+05:00"), (other, "-03:00")):
            with connection.cursor() as cursor:
                cursor.execute(f"SET time_zone = '{zone}', @mine = CONCAT('zone ', '{zone}')")
        for _ in range(4):
            for connection, zone in ((one, "+05:00"), (other, "-03:00")):
                with connection.cursor() as cursor:
                    cursor.execute("SELECT @@time_zone, @mine")
                    assert cursor.fetchall() == ((zone, f"zone {zone}"),)


def test_an_unknown_variable_gets_the_servers_own_error(execute: Execute) -> None:
    with pytest.raises(pymysql.Error) as error:
        execute("SET no_such_variable = 1")
    assert refused(error) == 1193
    assert execute("SELECT 1") == [(1,)]


def test_a_refused_assignment_leaves_the_others_of_its_statement_undone(execute: Execute) -> None:
    with pytest.raises(pymysql.Error):
        execute("SET @kept = 1, no_such_variable = 1")
    assert execute("SELECT @kept") == [(None,)]


@pytest.mark.parametrize(
    ("statement", "errno"),
    [
        ("SET GLOBAL max_connections = 5", 1235),
        ("SET sql_log_bin = 0", 1227),
        ("SET sql_mode = 'HIGH_NOT_PRECEDENCE'", 1235),
        ("SET sql_mode = ORACLE", 1235),
        ("XA START 'x'", 1235),
        ("SELECT GET_LOCK('x', 1) FROM person", 1235),
        ("SELECT SLEEP(0) INTO OUTFILE '/tmp/x'", 1235),
        ("GRANT SELECT ON *.* TO x", 1235),
        ("CREATE DATABASE other", 1235),
        ("SELECT * FROM mysql.user", 1227),
        ("SELECT * FROM no_such_table", 1146),
        ("USE nowhere", 1049),
        ("SELECT * FROM empty.t", 1044),
        ("SELEC 1", 1064),
        ("", 1065),
        ("ROLLBACK TO nowhere", 1305),
    ],
)
def test_what_is_refused_has_mysqls_number_and_the_connection_lives(
    execute: Execute, statement: str, errno: int
) -> None:
    with pytest.raises(pymysql.Error) as error:
        execute(statement)
    assert refused(error) == errno
    assert execute("SELECT 1") == [(1,)]


def test_rights_come_from_the_rules(town: Town) -> None:
    with closing(town.connect("reader")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM person")
        for write in ("DELETE FROM person WHERE id=1", "SELECT * FROM person WHERE id=1 FOR UPDATE"):
            with pytest.raises(pymysql.Error) as error:
                cursor.execute(write)
            assert refused(error) == 1142
    with closing(town.connect("plain")) as connection, connection.cursor() as cursor:
        with pytest.raises(pymysql.Error) as error:
            cursor.execute("TRUNCATE TABLE person")
        assert refused(error) == 1142
    with pytest.raises(pymysql.Error) as error:
        town.connect("stranger")
    assert refused(error) == 1044


def test_a_transaction_over_two_shards_commits_whole_and_rolls_back_whole(execute: Execute, town: Town) -> None:
    execute("BEGIN")
    execute("INSERT INTO person (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')")
    assert town.persons() == {}
    assert execute("SELECT COUNT(*) FROM person") == [(4,)]
    execute("ROLLBACK")
    assert town.persons() == {}
    execute("BEGIN")
    execute("INSERT INTO person (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')")
    execute("COMMIT")
    assert town.persons() == {1: "a", 2: "b", 3: "c", 4: "d"}


def test_one_statement_on_several_shards_fails_whole(execute: Execute, town: Town) -> None:
    execute("INSERT INTO person (id, name) VALUES (4, 'there')")
    with pytest.raises(pymysql.Error) as error:
        execute("INSERT INTO person (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')")
    assert refused(error) == 1062
    assert town.persons() == {4: "there"}


def test_a_failed_statement_leaves_its_transaction_usable(execute: Execute, town: Town) -> None:
    execute("INSERT INTO person (id, name) VALUES (4, 'there')")
    execute("BEGIN")
    execute("INSERT INTO person (id, name) VALUES (7, 'first')")
    with pytest.raises(pymysql.Error):
        execute("INSERT INTO person (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')")
    execute("INSERT INTO person (id, name) VALUES (8, 'second')")
    execute("COMMIT")
    assert town.persons() == {4: "there", 7: "first", 8: "second"}


def test_savepoints_reach_the_shards_that_join_later(execute: Execute, town: Town) -> None:
    execute("BEGIN")
    execute("INSERT INTO person (id, name) VALUES (1, 'a')")
    execute("SAVEPOINT here")
    execute("INSERT INTO person (id, name) VALUES (2, 'b'), (3, 'c'), (4, 'd')")
    execute("ROLLBACK TO SAVEPOINT here")
    execute("COMMIT")
    assert town.persons() == {1: "a"}


def test_autocommit_off_opens_a_transaction_and_on_commits_it(town: Town) -> None:
    with closing(town.connect(autocommit=False)) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO person (id, name) VALUES (1, 'a'), (2, 'b')")
        assert town.persons() == {}
        assert not connection.get_autocommit()
        cursor.execute("SET autocommit = 1")
        assert town.persons() == {1: "a", 2: "b"}
        assert connection.get_autocommit()


def test_ddl_commits_and_runs_on_every_data_node(execute: Execute, town: Town) -> None:
    execute("BEGIN")
    execute("INSERT INTO person (id, name) VALUES (1, 'a')")
    execute("ALTER TABLE person ADD COLUMN extra INT")
    try:
        execute("ROLLBACK")
        assert town.persons() == {1: "a"}
        for rows in town.shards("SHOW COLUMNS FROM person_0 LIKE 'extra'"):
            assert len(rows) == 1
        assert execute("SELECT extra FROM person WHERE id = 1") == [(None,)]
    finally:
        execute("ALTER TABLE person DROP COLUMN extra")


def test_a_client_that_vanishes_leaves_nothing_locked(town: Town) -> None:
    connection = town.connect()
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("INSERT INTO person (id, name) VALUES (1, 'a'), (2, 'b')")
    connection._force_close()
    with closing(town.connect()) as other, other.cursor() as cursor:
        cursor.execute("SET innodb_lock_wait_timeout = 5")
        cursor.execute("INSERT INTO person (id, name) VALUES (1, 'x'), (2, 'y')")
    assert town.persons() == {1: "x", 2: "y"}


def test_kill_query_ends_the_statement_and_not_the_connection(town: Town) -> None:
    with closing(town.connect()) as victim, closing(town.connect()) as killer:
        caught: list[int] = []

        def sleep() -> None:
            with victim.cursor() as cursor:
                try:
                    cursor.execute("SELECT SLEEP(30)")
                    caught.append(int(cursor.fetchall()[0][0]))
                except pymysql.Error as error:
                    caught.append(int(error.args[0]))

        thread = threading.Thread(target=sleep)
        thread.start()
        with killer.cursor() as cursor:
            sleeping: tuple[Any, ...] = ()
            while not sleeping:
                cursor.execute("SHOW PROCESSLIST")
                sleeping = tuple(row for row in cursor.fetchall() if row[7] == "SELECT SLEEP(30)")
            cursor.execute(f"KILL QUERY {sleeping[0][0]}")
        thread.join(10)
        assert caught in ([1317], [1])  # SLEEP itself returns 1 when it is interrupted alone
        with victim.cursor() as cursor:
            cursor.execute("SELECT 5")
            assert cursor.fetchall() == ((5,),)


def test_generated_keys_are_reported_as_last_insert_id(town: Town) -> None:
    with closing(town.connect()) as connection, connection.cursor() as cursor:
        assert cursor.execute("INSERT INTO note (body) VALUES ('a'), ('b'), ('c')") == 3
        first = cursor.lastrowid
        assert first > 0
        cursor.execute("SELECT LAST_INSERT_ID()")
        assert cursor.fetchall() == ((first,),)
        cursor.execute("SELECT body FROM note WHERE note_id = LAST_INSERT_ID()")
        assert cursor.fetchall() == (("a",),)
        cursor.execute("INSERT INTO diary (line) VALUES ('x')")
        cursor.execute("SELECT LAST_INSERT_ID()")
        assert cursor.fetchall() == ((1,),)


def test_a_single_table_is_relayed_with_all_of_its_sql(execute: Execute) -> None:
    execute("INSERT INTO diary (line) VALUES ('x'), ('y'), ('z')")
    assert execute(
        "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 3) "
        "SELECT line, ROW_NUMBER() OVER (ORDER BY line DESC) FROM diary JOIN n ON n.i = diary.id ORDER BY line"
    ) == [("x", 3), ("y", 2), ("z", 1)]


def test_show_warnings_tells_of_a_scattered_statement(execute: Execute) -> None:
    execute("SET sql_mode = ''")
    execute("INSERT INTO person (id, name, age) VALUES (1, REPEAT('x', 50), 1), (2, REPEAT('y', 50), 1)")
    rows = execute("SHOW WARNINGS")
    assert [row[1] for row in rows] == [1265, 1265]
    assert execute("SHOW COUNT(*) WARNINGS") == [(2,)]


def test_show_warnings_tells_of_an_error_that_a_server_sent(execute: Execute) -> None:
    with pytest.raises(pymysql.Error):
        execute("SELECT no_such_column FROM diary")
    assert [row[:2] for row in execute("SHOW ERRORS")] == [("Error", 1054)]


def test_the_administrator_sees_the_mesh(town: Town) -> None:
    with closing(town.connect("admin")) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW MESH POOLS")
        assert {row[0] for row in cursor.fetchall()} == {"ds_0", "ds_1", "ds_empty"}
        cursor.execute("SHOW MESH DATA SOURCES")
        assert all(row[4].startswith("up, ") for row in cursor.fetchall())
        cursor.execute("SHOW MESH RULES")
        assert ("town", "diary", "single") in {row[:3] for row in cursor.fetchall()}
        cursor.execute("SHOW MESH TRANSACTIONS")
        cursor.execute("RELOAD MESH RULES")
        assert cursor.fetchall() == (("no change",),)
