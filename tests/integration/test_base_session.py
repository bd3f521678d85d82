"""BASE transactions as a client sees them, through the running mesh."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pymysql
import pytest

from dbmesh.sandbox.process import wait_until
from tests.flavour import MYSQL
from tests.integration.conftest import Town

Execute = Callable[[str], list[tuple[Any, ...]]]
FOUR = {1: "a", 2: "b", 3: "c", 4: "d"}


@pytest.fixture
def base(execute: Execute, town: Town) -> Execute:
    """Runs statements in a session with BASE transactions, over four persons on all four data nodes."""
    execute("INSERT INTO person (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')")
    execute("SET dbmesh_transaction = 'base', dbmesh_base_mode = 'eager'")
    return execute


def test_each_statement_is_committed_and_a_rollback_undoes_them_all(base: Execute, town: Town) -> None:
    base("BEGIN")
    base("UPDATE person SET name = CONCAT(name, '!')")
    base("DELETE FROM person WHERE id IN (1, 2)")
    base("INSERT INTO person (id, name) VALUES (5, 'e'), (6, 'f')")
    assert town.persons() == {3: "c!", 4: "d!", 5: "e", 6: "f"}
    base("ROLLBACK")
    assert town.persons() == FOUR


def test_a_commit_keeps_everything(base: Execute, town: Town) -> None:
    base("START TRANSACTION")
    base("UPDATE person SET name = 'z' WHERE id <= 3")
    base("COMMIT")
    assert town.persons() == {1: "z", 2: "z", 3: "z", 4: "d"}
    with pytest.raises(pymysql.Error) as error:
        base("ROLLBACK TO SAVEPOINT nothing")
    assert error.value.args[0] == 1305


def test_a_client_that_vanishes_is_compensated(base: Execute, town: Town) -> None:
    lost = town.connect()
    with lost.cursor() as cursor:
        cursor.execute("SET dbmesh_transaction = 'base', dbmesh_base_mode = 'eager'")
        cursor.execute("BEGIN")
        cursor.execute("UPDATE person SET name = 'gone'")
    assert set(town.persons().values()) == {"gone"}
    lost._force_close()
    wait_until(lambda: town.persons() == FOUR, 10, lambda: f"not compensated: {town.persons()}")


def test_a_statement_that_fails_on_one_shard_is_undone_on_the_others(base: Execute, town: Town) -> None:
    base("BEGIN")
    base("UPDATE person SET name = 'first' WHERE id = 1")
    with pytest.raises(pymysql.Error) as error:
        base("INSERT INTO person (id, name) VALUES (5, 'e'), (6, 'f'), (4, 'twice')")
    assert error.value.args[0] == 1062
    base("UPDATE person SET name = 'second' WHERE id = 2")
    base("COMMIT")
    assert town.persons() == FOUR | {1: "first", 2: "second"}


def test_savepoints_undo_what_came_after_them(base: Execute, town: Town) -> None:
    base("BEGIN")
    base("UPDATE person SET name = 'kept' WHERE id = 1")
    base("SAVEPOINT here")
    base("UPDATE person SET name = 'undone'")
    base("ROLLBACK TO here")
    assert town.persons() == FOUR | {1: "kept"}
    base("COMMIT")
    assert town.persons() == FOUR | {1: "kept"}


def test_one_autocommit_statement_on_several_shards_is_a_saga_of_its_own(base: Execute, town: Town) -> None:
    with pytest.raises(pymysql.Error):
        base("INSERT INTO person (id, name) VALUES (5, 'e'), (6, 'f'), (7, 'g'), (4, 'twice')")
    assert town.persons() == FOUR
    base("UPDATE person SET name = 'all'")
    assert set(town.persons().values()) == {"all"}


def test_a_second_saga_waits_for_the_rows_of_the_first(base: Execute, town: Town) -> None:
    base("BEGIN")
    base("UPDATE person SET name = 'mine' WHERE id = 1")
    with closing(town.connect()) as other, other.cursor() as cursor:
        cursor.execute("SET dbmesh_transaction = 'base', dbmesh_base_mode = 'eager'")
        cursor.execute("BEGIN")
        with pytest.raises(pymysql.Error) as error:
            cursor.execute("UPDATE person SET name = 'theirs' WHERE id = 1")
        assert error.value.args[0] == 1205
        base("COMMIT")
        cursor.execute("UPDATE person SET name = 'theirs' WHERE id = 1")
        cursor.execute("COMMIT")
    assert town.persons()[1] == "theirs"


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO note (body) VALUES ('x')",
        "INSERT INTO diary (line) VALUES ('x')",
        "SELECT * FROM person WHERE id = 1 FOR UPDATE",
        "REPLACE INTO person (id, name) VALUES (1, 'x'), (1, 'y')",
        "INSERT IGNORE INTO person (id, mail) VALUES (7, CONCAT('a', 'b'))",
        "UPDATE person p, person q SET p.name = 'x' WHERE p.id = 1 AND q.id = 1",
        "UPDATE person SET id = id + 100 WHERE id = 1",
    ],
)
def test_what_cannot_be_compensated_is_refused_and_changes_nothing(base: Execute, town: Town, statement: str) -> None:
    base("BEGIN")
    base("UPDATE person SET name = 'before' WHERE id = 2")
    with pytest.raises(pymysql.Error) as error:
        base(statement)
    assert error.value.args[0] == 1235
    base("COMMIT")
    assert town.persons() == FOUR | {2: "before"}
    assert town.shards("SELECT * FROM note") == [[], []]


def test_a_broadcast_row_counts_once_and_is_undone_everywhere(base: Execute, town: Town) -> None:
    with closing(town.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET dbmesh_transaction = 'base', dbmesh_base_mode = 'eager'")
        assert cursor.execute("INSERT INTO street VALUES (1, 'x'), (2, 'y')") == 2
        cursor.execute("BEGIN")
        assert cursor.execute("UPDATE street SET name = 'z' WHERE id = 1") == 1
        cursor.execute("ROLLBACK")
    assert town.shards("SELECT id, name FROM street ORDER BY id") == [[(1, "x"), (2, "y")]] * 2


def test_reads_of_the_transaction_say_that_it_is_open(base: Execute, town: Town) -> None:
    in_transaction = 1
    with closing(town.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET dbmesh_transaction = 'base', dbmesh_base_mode = 'eager'")
        cursor.execute("BEGIN")
        cursor.execute("SELECT name FROM person WHERE id = 1")
        assert connection.server_status & in_transaction
        cursor.execute("COMMIT")
        assert not connection.server_status & in_transaction


def test_explain_says_what_would_undo_a_write(base: Execute) -> None:
    lines = [row[0] for row in base("EXPLAIN FORMAT=MESH UPDATE person SET name = 'x' WHERE id = 1")]
    assert any("undo: for each changed row: UPDATE `person_1` SET `name`=<before image>" in line for line in lines)
    assert any("snapshot: SELECT `id`, `name` FROM" in line and line.endswith("FOR UPDATE") for line in lines)
    assert any("locks: PRIMARY(id) of each row" in line for line in lines)
    odku = "INSERT INTO person (id, mail) VALUES (1, 'm') ON DUPLICATE KEY UPDATE name = 'x'"
    lines = [row[0] for row in base(f"EXPLAIN FORMAT=MESH {odku}")]
    assert any("WHERE (`id` = 1) OR (`mail` = 'm') FOR UPDATE" in line for line in lines)
    assert any("locks: PRIMARY(id), mail(mail)" in line for line in lines)


def test_the_mode_cannot_change_within_a_transaction(base: Execute) -> None:
    base("BEGIN")
    with pytest.raises(pymysql.Error) as error:
        base("SET dbmesh_transaction = 'local'")
    assert error.value.args[0] == 1568


@pytest.mark.parametrize("mode", ["eager", "deferred"])
def test_writes_that_may_meet_rows_are_undone(base: Execute, town: Town, mode: str) -> None:
    everything = "SELECT * FROM person_0 UNION ALL SELECT * FROM person_1 ORDER BY id"
    before = town.shards(everything)
    with closing(town.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(f"SET dbmesh_transaction = 'base', dbmesh_base_mode = '{mode}'")
        cursor.execute("BEGIN")
        assert cursor.execute("INSERT IGNORE INTO person (id, name) VALUES (4, 'x'), (5, 'e'), (6, 'f')") == 2
        assert cursor.execute("REPLACE INTO person (id, name) VALUES (3, 'r'), (7, 'g')") == 3
        odku = "INSERT INTO person (id, age) VALUES (1, 1), (8, 1) ON DUPLICATE KEY UPDATE age = 9, mail = 'm'"
        assert cursor.execute(odku) == 3
        assert cursor.execute("UPDATE IGNORE person SET mail = 'n' WHERE id IN (1, 5)") == 1
        assert cursor.execute("DELETE IGNORE FROM person WHERE id IN (2, 3)") == 2
        insert_select = "INSERT INTO person (id, name) SELECT 2, name FROM person WHERE id = 6"
        if MYSQL:  # without RETURNING it does not tell which rows are new
            with pytest.raises(pymysql.err.NotSupportedError, match="INSERT … SELECT cannot be compensated"):
                cursor.execute(insert_select)
        else:
            assert cursor.execute(insert_select) == 1
        cursor.execute("ROLLBACK")
        assert town.shards(everything) == before
        cursor.execute("BEGIN")
        cursor.execute(odku)
        cursor.execute("REPLACE INTO person (id, name) VALUES (2, 'z')")
        cursor.execute("COMMIT")
    assert town.persons() == {1: "a", 2: "z", 3: "c", 4: "d", 8: None}


def test_an_administrator_sees_transactions_and_each_row_of_one_in_sql(base: Execute, town: Town) -> None:
    base("BEGIN")
    base("UPDATE person SET age = 7 WHERE id IN (1, 2)")
    with closing(town.connect("admin")) as admin, admin.cursor() as cursor:
        cursor.execute("SHOW MESH TRANSACTIONS")
        gtrid, mode, state = cursor.fetchall()[0][:3]
        assert (mode, state) == ("eager", "ACTIVE")
        cursor.execute(f"SHOW MESH TRANSACTION '{gtrid}'")
        assert [column[0] for column in cursor.description or ()][:5] == [
            "data source", "branch", "branch state", "seq", "op",
        ]  # fmt: skip
        rows = cursor.fetchall()
        assert [(*row[:5], *row[6:8]) for row in rows] == [
            ("ds_0", 1, "COMMITTED", 1, "U", "age NULL → 7", "as the transaction left it"),
            ("ds_1", 1, "COMMITTED", 2, "U", "age NULL → 7", "as the transaction left it"),
        ]
        cursor.execute("SHOW MESH STATUS")
        status = {name: float(value) for name, value in cursor.fetchall()}
        assert (status["tx_active"], status["tx_parked"]) == (1, 0)
        assert 0 < status["tx_oldest"] < 60
        with pytest.raises(pymysql.Error, match="there is no global transaction nothing"):
            cursor.execute("SHOW MESH TRANSACTION 'nothing'")
    base("ROLLBACK")
    with closing(town.connect("admin")) as admin, admin.cursor() as cursor:
        cursor.execute("SHOW MESH STATUS")
        after = {name: float(value) for name, value in cursor.fetchall()}
    assert after["tx_compensations"] == status["tx_compensations"] + 2
    assert after["tx_rollbacks"] == status["tx_rollbacks"] + 1
    with pytest.raises(pymysql.Error) as error:
        base("SHOW MESH TRANSACTION 'nothing'")
    assert error.value.args[0] == 1227
