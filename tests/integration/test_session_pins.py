"""What lives on one server connection: temporary tables and named locks stay with the session that made them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from dbmesh.sandbox import Server
from tests.integration.conftest import Town

Execute = Callable[[str], list[tuple[Any, ...]]]


def run(connection: Connection[Any], sql: str) -> tuple[tuple[Any, ...], ...] | int:
    """The rows, or the error's number."""
    with connection.cursor() as cursor:
        try:
            cursor.execute(sql)
        except pymysql.MySQLError as error:
            return int(error.args[0])
        return tuple(cursor.fetchall())


def pinned(town: Town) -> list[str]:
    with closing(town.connect("admin")) as admin:
        rows = run(admin, "SHOW MESH SESSIONS")
        assert not isinstance(rows, int)
        return [row[7] for row in rows if row[7]]


TEMPORARY = [
    "CREATE TEMPORARY TABLE basket (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(20), amount INT DEFAULT 1)",
    "INSERT INTO basket (what) VALUES ('apple'), ('pear')",
    "SELECT LAST_INSERT_ID()",
    "INSERT INTO basket VALUES (NULL, 'fig', 3)",
    "SELECT * FROM basket ORDER BY id",
    "UPDATE basket SET amount = amount + 1 WHERE id = 2",
    "SELECT what, SUM(amount) FROM basket GROUP BY what ORDER BY what",
    "ALTER TABLE basket ADD COLUMN extra INT DEFAULT 7",
    "SELECT * FROM basket WHERE id = 1",
    "DELETE FROM basket WHERE id = 1",
    "BEGIN",
    "INSERT INTO basket (what) VALUES ('plum')",
    "CREATE TEMPORARY TABLE other AS SELECT what, amount FROM basket",
    "SELECT * FROM other ORDER BY what",
    "ROLLBACK",
    "SELECT COUNT(*) FROM basket",
    "DESCRIBE basket",
    "CREATE TEMPORARY TABLE basket (id INT)",
    "CREATE TEMPORARY TABLE IF NOT EXISTS basket (id INT)",
    "TRUNCATE TABLE other",
    "SELECT COUNT(*) FROM other",
    "DROP TEMPORARY TABLE other",
    "SELECT * FROM other",
    "SELECT COUNT(*) FROM basket",
    "DROP TEMPORARY TABLE basket",
    "SELECT * FROM basket",
    "DROP TEMPORARY TABLE IF EXISTS basket",
    "CREATE TEMPORARY TABLE broken (id NONSENSE)",
    "CREATE TEMPORARY TABLE shadow (id INT)",
    "SELECT * FROM shadow",
]


def test_a_temporary_table_behaves_as_on_a_plain_server(town: Town, plain_server: Server) -> None:
    plain_server.script(["DROP DATABASE IF EXISTS town", "CREATE DATABASE town"])
    with closing(town.connect()) as mesh, closing(plain_server.connection("town")) as plain:
        for sql in TEMPORARY:
            assert run(mesh, sql) == run(plain, sql), sql
    assert pinned(town) == []


def test_a_temporary_table_is_seen_by_its_session_alone(town: Town) -> None:
    with closing(town.connect()) as one, closing(town.connect()) as other:
        run(one, "CREATE TEMPORARY TABLE mine (id INT)")
        run(other, "CREATE TEMPORARY TABLE mine (name VARCHAR(9))")
        for _ in range(3):
            assert run(one, "INSERT INTO mine (id) VALUES (1)") == ()
            assert run(other, "INSERT INTO mine (name) VALUES ('x')") == ()
            assert run(one, "SELECT id FROM person WHERE id = 4") == ()
        assert run(one, "SELECT SUM(id) FROM mine") == ((3,),)
        assert run(other, "SELECT name FROM mine LIMIT 1") == (("x",),)
        assert pinned(town) == ["temporary table mine"] * 2
        with closing(town.connect()) as third:
            assert run(third, "SELECT * FROM mine") == 1146
    with closing(town.connect()) as fourth:
        assert run(fourth, "SELECT * FROM mine") == 1146


def test_a_reset_drops_temporary_tables_and_frees_the_connection(town: Town) -> None:
    with closing(town.connect()) as connection:
        run(connection, "CREATE TEMPORARY TABLE mine (id INT)")
        connection._execute_command(0x1F, b"")
        assert connection._read_ok_packet() is not None
        assert run(connection, "SELECT * FROM mine") == 1146
        assert pinned(town) == []


def test_a_temporary_table_that_exists_before_a_transaction_is_in_it(town: Town) -> None:
    with closing(town.connect()) as connection:
        run(connection, "BEGIN")
        run(connection, "INSERT INTO person (id, name) VALUES (1, 'a'), (2, 'b')")
        run(connection, "CREATE TEMPORARY TABLE mine (id INT) ENGINE=InnoDB")
        run(connection, "INSERT INTO mine VALUES (1), (2)")
        assert run(connection, "SELECT COUNT(*) FROM person") == ((2,),)
        run(connection, "ROLLBACK")
        assert run(connection, "SELECT COUNT(*) FROM mine") == ((0,),)
        assert run(connection, "SELECT COUNT(*) FROM person") == ((0,),)


def test_a_temporary_table_is_joined_with_what_is_beside_it_and_with_nothing_else(town: Town) -> None:
    town.servers[0].script(["CREATE TABLE hidden (id INT)", "INSERT INTO hidden VALUES (1), (2)"], database="town_0")
    try:
        with closing(town.connect()) as connection:
            run(connection, "INSERT INTO person (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')")
            run(connection, "INSERT INTO street (id, name) VALUES (2, 'High Street')")
            run(connection, "CREATE TEMPORARY TABLE hidden (id INT)")
            run(connection, "INSERT INTO hidden VALUES (2)")
            assert run(connection, "SELECT s.name FROM hidden h JOIN street s ON s.id = h.id") == (("High Street",),)
            for sql in (
                "SELECT p.name FROM hidden h JOIN person p ON p.id = h.id",
                "SELECT name FROM person WHERE id IN (SELECT id FROM hidden)",
                "SELECT id FROM hidden UNION SELECT id FROM person",
            ):
                assert run(connection, sql) == 1235, sql
            assert run(connection, "INSERT INTO hidden SELECT id FROM person") == 1235
            run(connection, "DROP TABLE hidden")
            assert run(connection, "SELECT COUNT(*) FROM hidden") == ((2,),)
    finally:
        town.servers[0].script(["DROP TABLE hidden"], database="town_0")


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TEMPORARY TABLE person (id INT)",
        "CREATE TEMPORARY TABLE street (id INT)",
        "CREATE TEMPORARY TABLE person_0 (id INT)",
        "CREATE TEMPORARY TABLE mine SELECT * FROM person",
        "DROP TEMPORARY TABLE person",
        "SELECT GET_LOCK('x', 1) FROM person",
        "SELECT IS_USED_LOCK('x')",
    ],
)
def test_what_shards_make_wrong_is_refused(execute: Execute, sql: str) -> None:
    with pytest.raises(pymysql.Error) as error:
        execute(sql)
    assert error.value.args[0] == 1235
    assert execute("SELECT 1") == [(1,)]


def test_named_locks_exclude_each_other_across_databases_and_clients(town: Town) -> None:
    with closing(town.connect()) as one, closing(town.connect("admin", "empty")) as other:
        assert run(one, "SELECT GET_LOCK('job', 0), GET_LOCK('second', 0)") == ((1, 1),)
        assert run(other, "SELECT GET_LOCK('job', 0)") == ((0,),)
        assert run(other, "SELECT IS_FREE_LOCK('job'), IS_FREE_LOCK('third')") == ((0, 1),)
        for _ in range(3):  # other connections of the pool are used meanwhile
            run(one, "SELECT COUNT(*) FROM person")
        assert run(one, "SELECT RELEASE_LOCK('second'), RELEASE_LOCK('nothing')") == ((1, None),)
        assert pinned(town) == ["lock 'job'"]
        assert run(one, "DO RELEASE_LOCK('job')") == ()
        assert pinned(town) == []
        assert run(other, "SET @got = GET_LOCK('job', 0)") == ()
        assert run(other, "SELECT @got") == ((1,),)
        assert run(one, "SELECT GET_LOCK('job', 0)") == ((0,),)
    with closing(town.connect()) as third:
        assert run(third, "SELECT GET_LOCK('job', 5)") == ((1,),)
        assert run(third, "SELECT GET_LOCK(CONCAT('a', 'b'), 0)") == ((1,),)
        assert len(pinned(town)) == 1
        assert run(third, "SELECT RELEASE_ALL_LOCKS()") == ((2,),)
        assert pinned(town) == []


def test_waiting_for_a_lock_ends_with_its_release(town: Town) -> None:
    with closing(town.connect()) as holder, closing(town.connect()) as waiter:
        run(holder, "SELECT GET_LOCK('w', 0)")
        got: list[Any] = []
        thread = threading.Thread(target=lambda: got.append(run(waiter, "SELECT GET_LOCK('w', 20)")))
        thread.start()
        run(holder, "SELECT RELEASE_LOCK('w')")
        thread.join(15)
        assert got == [((1,),)]


def select_until_it_fails(cursor: Any) -> None:
    for _ in range(1000):  # a server needs a moment to close what it has killed
        cursor.execute("SELECT * FROM mine")


def test_a_lost_connection_is_told_with_what_was_on_it(town: Town) -> None:
    with closing(town.connect()) as connection:
        run(connection, "CREATE TEMPORARY TABLE mine (id INT)")
        run(connection, "INSERT INTO mine VALUES (1)")
        idle = "SELECT id FROM information_schema.PROCESSLIST WHERE db = 'town_0' AND command = 'Sleep'"
        town.servers[0].script([f"KILL {thread}" for [thread] in town.servers[0].rows(idle)])
        with connection.cursor() as cursor, pytest.raises(pymysql.Error, match="temporary table mine") as error:
            select_until_it_fails(cursor)
        assert error.value.args[0] == 1053
        assert run(connection, "SELECT 1") == ((1,),)
        assert run(connection, "SELECT * FROM mine") == 1146
        assert run(connection, "CREATE TEMPORARY TABLE mine (id INT)") == ()


def test_table_locks_where_one_data_source_has_the_whole_database(town: Town, plain_server: Server) -> None:
    creates = ["CREATE TABLE locked (id INT)", "CREATE TABLE free (id INT)"]
    plain_server.script(["DROP DATABASE IF EXISTS town", "CREATE DATABASE town"])
    plain_server.script(creates, "town")
    town.servers[0].script(creates, "town_empty")
    try:
        with closing(town.connect("admin", "empty")) as mesh, closing(plain_server.connection("town")) as plain:
            for sql in (
                "LOCK TABLES locked WRITE",
                "INSERT INTO locked VALUES (1)",
                "SELECT * FROM locked",
                "SELECT * FROM free",
                "SELECT 1",
                "LOCK TABLES locked READ",
                "INSERT INTO locked VALUES (2)",
                "SELECT COUNT(*) FROM locked",
                "UNLOCK TABLES",
                "SELECT COUNT(*) FROM free",
                "LOCK TABLES nothing READ",
                "SELECT COUNT(*) FROM free",
                "LOCK TABLES locked READ",
                "BEGIN",
                "INSERT INTO free SELECT id FROM locked",
                "COMMIT",
                "SELECT COUNT(*) FROM free",
            ):
                assert run(mesh, sql) == run(plain, sql), sql
            assert pinned(town) == []
            run(mesh, "LOCK TABLES locked WRITE")
            assert pinned(town) == ["LOCK TABLES"]
            with closing(town.connect("admin", "empty")) as other:
                run(other, "SET lock_wait_timeout = 1")
                assert run(other, "SELECT * FROM locked") == 1205
        assert pinned(town) == []
    finally:
        town.servers[0].script(["DROP TABLE locked, free"], "town_empty")
