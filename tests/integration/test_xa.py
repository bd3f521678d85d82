"""XA transactions as a client sees them, through the running mesh."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pymysql
import pytest

from dbmesh.sandbox.process import wait_until
from tests.flavour import MYSQL
from tests.integration.conftest import Town

Execute = Callable[[str], list[tuple[Any, ...]]]
FOUR = {1: "a", 2: "b", 3: "c", 4: "d"}
LAST = "SELECT state, ended_at IS NOT NULL FROM _dbmesh.g_tx WHERE mode = 'xa' ORDER BY created_at DESC LIMIT 1"


@pytest.fixture
def xa(execute: Execute, town: Town) -> Execute:
    """Runs statements in a session with XA transactions, over four persons on all four data nodes."""
    execute("INSERT INTO person (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')")
    execute("SET dbmesh_transaction = 'xa'")
    return execute


@pytest.fixture
def other(town: Town) -> Iterator[pymysql.cursors.Cursor]:
    with closing(town.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET dbmesh_transaction = 'xa'")
        yield cursor


def transactions(town: Town) -> int:
    return int(town.servers[0].rows("SELECT COUNT(*) FROM _dbmesh.g_tx WHERE mode = 'xa'")[0][0])


def prepared(town: Town) -> list[tuple[Any, ...]]:
    return [row for server in town.servers for row in server.rows("XA RECOVER")]


def test_nobody_sees_anything_before_commit(xa: Execute, town: Town) -> None:
    before = transactions(town)
    xa("BEGIN")
    xa("UPDATE person SET name = CONCAT(name, '!')")
    xa("DELETE FROM person WHERE id IN (1, 2)")
    xa("INSERT INTO person (id, name) VALUES (5, 'e'), (6, 'f')")
    assert xa("SELECT name FROM person ORDER BY id") == [("c!",), ("d!",), ("e",), ("f",)]
    assert town.persons() == FOUR
    xa("ROLLBACK")
    assert town.persons() == FOUR
    assert transactions(town) == before


def test_a_commit_on_several_shards_is_decided_in_the_log(xa: Execute, town: Town) -> None:
    before = transactions(town)
    xa("START TRANSACTION")
    xa("UPDATE person SET name = 'z' WHERE id <= 3")
    xa("UPDATE person SET name = 'y' WHERE id = 1")
    xa("COMMIT")
    assert town.persons() == {1: "y", 2: "z", 3: "z", 4: "d"}
    wait_until(lambda: town.servers[0].rows(LAST) == [("COMMITTED", 1)], 5, lambda: "not concluded")
    assert transactions(town) == before + 1
    assert prepared(town) == []
    assert all(rows for rows in town.shards("SELECT * FROM _dbmesh.branch WHERE mode = 'xa' AND state = 'COMMITTED'"))


def test_a_commit_on_one_shard_is_the_servers_own(xa: Execute, town: Town) -> None:
    before = transactions(town)
    xa("BEGIN")
    xa("UPDATE person SET name = 'z' WHERE id = 1")
    xa("SELECT * FROM person")
    xa("COMMIT")
    assert town.persons() == FOUR | {1: "z"}
    assert transactions(town) == before


def test_autocommit_of_several_shards_is_a_transaction_of_its_own(xa: Execute, town: Town) -> None:
    before = transactions(town)
    with pytest.raises(pymysql.Error) as error:
        xa("INSERT INTO person (id, name) VALUES (5, 'e'), (6, 'f'), (7, 'g'), (4, 'twice')")
    assert error.value.args[0] == 1062
    assert town.persons() == FOUR
    xa("UPDATE person SET name = 'all'")
    assert set(town.persons().values()) == {"all"}
    assert transactions(town) == before + 1


def test_a_client_that_vanishes_leaves_nothing(xa: Execute, town: Town) -> None:
    lost = town.connect()
    with lost.cursor() as cursor:
        cursor.execute("SET dbmesh_transaction = 'xa'")
        cursor.execute("BEGIN")
        cursor.execute("UPDATE person SET name = 'gone'")
    lost._force_close()
    xa("UPDATE person SET name = 'here' WHERE id = 1")  # waits for the row lock at most until that is noticed
    assert town.persons() == FOUR | {1: "here"}


def test_a_statement_that_fails_is_undone_everywhere_and_the_transaction_goes_on(xa: Execute, town: Town) -> None:
    xa("BEGIN")
    xa("UPDATE person SET name = 'first' WHERE id = 1")
    for failing in (
        "INSERT INTO person (id, name) VALUES (5, 'e'), (6, 'f'), (4, 'twice')",
        "INSERT INTO person (id, name) VALUES (1, 'twice')",
        "UPDATE person SET name = nowhere",
    ):
        with pytest.raises(pymysql.Error):
            xa(failing)
    xa("UPDATE person SET name = 'second' WHERE id = 2")
    xa("COMMIT")
    assert town.persons() == FOUR | {1: "first", 2: "second"}


def test_savepoints_go_back_on_every_branch(xa: Execute, town: Town) -> None:
    xa("BEGIN")
    xa("SAVEPOINT start")
    xa("UPDATE person SET name = 'kept' WHERE id = 1")
    xa("SAVEPOINT here")
    xa("UPDATE person SET name = 'undone'")
    xa("ROLLBACK TO here")
    xa("UPDATE person SET name = 'too' WHERE id = 2")
    xa("RELEASE SAVEPOINT start")
    xa("COMMIT")
    assert town.persons() == FOUR | {1: "kept", 2: "too"}


def test_a_deadlock_rolls_back_every_branch_and_the_session_goes_on(
    xa: Execute, other: pymysql.cursors.Cursor, town: Town
) -> None:
    xa("BEGIN")
    xa("UPDATE person SET name = 'mine' WHERE id IN (2, 4)")  # 1 and 4 are on the first server, 2 on the second
    other.execute("BEGIN")
    other.execute("UPDATE person SET name = 'theirs' WHERE id IN (1, 3)")
    told: list[int] = []
    first = threading.Thread(target=lambda: _told(told, lambda: other.execute("DELETE FROM person WHERE id = 4")))
    first.start()
    waiting = "SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'"
    wait_until(lambda: town.servers[0].rows(waiting) == [(1,)], 5, lambda: "nobody waits")
    _told(told, lambda: xa("DELETE FROM person WHERE id = 1"))
    first.join(10)
    assert told == [1213]
    xa("COMMIT")  # of nothing, where the deadlock has ended the transaction
    other.execute("COMMIT")
    assert town.persons() in ({2: "mine", 3: "c", 4: "mine"}, {1: "theirs", 2: "b", 3: "theirs"})


def _told(told: list[int], run: Callable[[], object]) -> None:
    try:
        run()
    except pymysql.Error as error:
        told.append(error.args[0])


@pytest.mark.parametrize("level", ["READ COMMITTED", "SERIALIZABLE"])
def test_the_isolation_level_of_the_next_transaction_holds(
    xa: Execute, other: pymysql.cursors.Cursor, level: str
) -> None:
    xa(f"SET TRANSACTION ISOLATION LEVEL {level}")
    xa("BEGIN")
    assert xa("SELECT name FROM person WHERE id = 1") == [("a",)]
    if level == "SERIALIZABLE":
        other.execute("SET innodb_lock_wait_timeout = 1")
        with pytest.raises(pymysql.Error) as error:
            other.execute("UPDATE person SET name = 'z' WHERE id = 1")
        assert error.value.args[0] == 1205
    else:
        other.execute("UPDATE person SET name = 'z' WHERE id = 1")
        assert xa("SELECT name FROM person WHERE id = 1") == [("z",)]
    xa("COMMIT")


def test_autocommit_0_begins_one_transaction_after_the_other(xa: Execute, town: Town) -> None:
    xa("SET autocommit = 0")
    xa("UPDATE person SET name = 'z'")
    xa("ROLLBACK")
    xa("UPDATE person SET name = 'y'")
    assert town.persons() == FOUR
    xa("SET autocommit = 1")
    assert set(town.persons().values()) == {"y"}


def test_ddl_commits_it_first(xa: Execute, town: Town) -> None:
    xa("BEGIN")
    xa("UPDATE person SET name = 'z'")
    xa("CREATE TABLE IF NOT EXISTS town_hall (id INT PRIMARY KEY)")
    xa("DROP TABLE town_hall")
    xa("ROLLBACK")
    assert set(town.persons().values()) == {"z"}


def test_a_read_only_transaction_is_the_servers_own(xa: Execute, town: Town) -> None:
    before = transactions(town)
    xa("START TRANSACTION READ ONLY")
    assert len(xa("SELECT * FROM person")) == 4
    with pytest.raises(pymysql.Error) as error:
        xa("UPDATE person SET name = 'z'")
    assert error.value.args[0] == 1792
    xa("COMMIT")
    assert transactions(town) == before


def test_what_xa_cannot_do_is_refused(xa: Execute) -> None:
    with pytest.raises(pymysql.Error, match=r"XA transactions have no snapshot") as error:
        xa("START TRANSACTION WITH CONSISTENT SNAPSHOT")
    assert error.value.args[0] == 1235
    with pytest.raises(pymysql.Error) as error:
        xa("XA START 'mine'")
    assert error.value.args[0] == 1235


@pytest.mark.skipif(not MYSQL, reason="MySQL only: MariaDB has temporary tables inside XA transactions")
def test_mysql_has_no_temporary_tables_in_xa(xa: Execute) -> None:
    xa("BEGIN")
    with pytest.raises(pymysql.Error, match="no temporary tables") as error:
        xa("CREATE TEMPORARY TABLE mine (id INT)")
    assert error.value.args[0] == 1235
    xa("ROLLBACK")


def test_single_refuses_a_second_shard(execute: Execute, town: Town) -> None:
    execute("INSERT INTO person (id, name) VALUES (1, 'a'), (2, 'b')")
    execute("SET dbmesh_transaction = 'single'")
    with pytest.raises(pymysql.Error, match="writes one data source only, not ds_0, ds_1") as error:
        execute("UPDATE person SET name = 'z'")
    assert error.value.args[0] == 1235
    execute("BEGIN")
    execute("UPDATE person SET name = 'z' WHERE id = 1")
    assert len(execute("SELECT * FROM person")) == 2
    with pytest.raises(pymysql.Error, match="writes one data source only, not ds_0, ds_1"):
        execute("UPDATE person SET name = 'z' WHERE id = 2")
    execute("COMMIT")
    assert town.persons() == {1: "z", 2: "b"}


def test_every_kind_of_statement_runs_in_it(xa: Execute, town: Town) -> None:
    xa("BEGIN")
    xa("INSERT INTO note (body) VALUES ('one'), ('two'), ('three')")
    xa("INSERT INTO street (id, name) VALUES (1, 'High')")
    assert xa("SELECT name FROM person WHERE id = 1 FOR UPDATE") == [("a",)]
    # federated: its scratch tables are on a connection that is no branch
    assert xa("SELECT COUNT(*) FROM person p JOIN note n ON p.name <> n.body JOIN street s ON s.id = 1") == [(12,)]
    xa("PREPARE s FROM 'UPDATE person SET age = ? WHERE id IN (?, ?)'")
    xa("SET @a = 7, @b = 1, @c = 2")
    xa("EXECUTE s USING @a, @b, @c")
    xa("DEALLOCATE PREPARE s")
    xa("UPDATE person SET id = 8 WHERE id = 3")  # its row moves to another data source
    xa("COMMIT")
    assert town.persons() == {1: "a", 2: "b", 4: "d", 8: "c"}
    assert town.shards("SELECT name FROM street") == [[("High",)], [("High",)]]
    assert sum(len(rows) for rows in town.shards("SELECT * FROM note")) == 3
    assert xa("SELECT id FROM person WHERE age = 7 ORDER BY id") == [(1,), (2,)]
    assert prepared(town) == []


def test_a_deadlock_over_two_servers_is_found(xa: Execute, other: pymysql.cursors.Cursor, town: Town) -> None:
    xa("BEGIN")
    xa("UPDATE person SET name = 'mine' WHERE id = 1")  # on the first server
    other.execute("BEGIN")
    other.execute("UPDATE person SET name = 'theirs' WHERE id = 2")  # on the second
    told: list[int] = []
    first = threading.Thread(target=lambda: _told(told, lambda: other.execute("DELETE FROM person WHERE id = 1")))
    first.start()
    _told(told, lambda: xa("DELETE FROM person WHERE id = 2"))
    first.join(20)
    assert told == [1213]
    xa("COMMIT")
    other.execute("COMMIT")
    assert town.persons() in ({1: "mine", 3: "c", 4: "d"}, {2: "theirs", 3: "c", 4: "d"})
    assert prepared(town) == []


def test_a_procedure_may_not_run_in_it(town: Town) -> None:
    server = town.servers[0]
    server.script(["CREATE PROCEDURE ends() COMMIT"], database="town_empty")
    try:
        with closing(town.connect("admin", "empty")) as connection, connection.cursor() as cursor:
            cursor.execute("SET dbmesh_transaction = 'xa'")
            cursor.execute("BEGIN")
            with pytest.raises(pymysql.Error, match="CALL in an XA transaction") as error:
                cursor.execute("CALL ends()")
            assert error.value.args[0] == 1235
            cursor.execute("ROLLBACK")
            cursor.execute("CALL ends()")
    finally:
        server.script(["DROP PROCEDURE ends"], database="town_empty")
