"""Writes that are done on scratch tables first, where more than the rows matters: locks, transactions of every mode."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from tests.integration.conftest import Town

_ROWS = ", ".join(f"({number}, 'n{number % 3}', {number}, NULL)" for number in range(1, 41))
_TRY_AGAIN = (1205, 1213)


@pytest.fixture
def client(town: Town) -> Iterator[Connection[Any]]:
    with closing(town.connect(autocommit=True)) as connection:
        run(connection, f"INSERT INTO person VALUES {_ROWS}")
        yield connection


def run(connection: Connection[Any], sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def refused(connection: Connection[Any], sql: str) -> str:
    with pytest.raises(pymysql.err.NotSupportedError) as error:
        run(connection, sql)
    return str(error.value.args[1])


def ids(town: Town) -> set[int]:
    return set(town.persons())


def test_workers_take_the_rows_of_a_queue_once_each(town: Town, client: Connection[Any]) -> None:
    def work(worker: int) -> None:
        with closing(town.connect(autocommit=True)) as own, own.cursor() as cursor:
            taken = 1
            while taken:
                try:
                    taken = cursor.execute(
                        f"UPDATE person SET name = 'w{worker}', age = age + 1000 WHERE age < 1000 ORDER BY age LIMIT 3"
                    )
                except pymysql.err.OperationalError as error:
                    if error.args[0] not in _TRY_AGAIN:
                        raise

    workers = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert run(client, "SELECT COUNT(*), MIN(age), MAX(age) FROM person") == [(40, 1001, 1040)]


def test_what_was_chosen_stays_locked_until_the_transaction_ends(town: Town, client: Connection[Any]) -> None:
    run(client, "BEGIN")
    run(client, "DELETE FROM person ORDER BY age DESC LIMIT 2")
    with closing(town.connect(autocommit=True)) as other:
        run(other, "SET innodb_lock_wait_timeout = 1")
        with pytest.raises(pymysql.err.OperationalError) as error:
            run(other, "UPDATE person SET age = 0 WHERE id = 40")
        assert error.value.args[0] == 1205
    run(client, "ROLLBACK")
    assert len(ids(town)) == 40


def test_a_failure_on_one_shard_undoes_the_statement_and_nothing_else(town: Town, client: Connection[Any]) -> None:
    run(client, "BEGIN")
    run(client, "UPDATE person SET name = 'before' WHERE id = 1")
    with pytest.raises(pymysql.err.IntegrityError) as error:
        run(client, "INSERT INTO person (id, name) SELECT id + 38, name FROM person WHERE id < 10")
    assert error.value.args[0] == 1062
    run(client, "COMMIT")
    assert ids(town) == set(range(1, 41))
    assert town.persons()[1] == "before"


def test_rows_move_in_an_xa_transaction_and_come_back_with_it(town: Town, client: Connection[Any]) -> None:
    run(client, "SET dbmesh_transaction = 'xa'")
    run(client, "BEGIN")
    run(client, "UPDATE person SET id = id + 101 WHERE age <= 4")
    assert run(client, "SELECT COUNT(*) FROM person WHERE id > 100") == [(4,)]
    run(client, "ROLLBACK")
    assert ids(town) == set(range(1, 41))
    run(client, "UPDATE person SET id = id + 101 WHERE age <= 4")
    assert ids(town) == {*range(5, 41), *range(102, 106)}


def test_a_statement_alone_moves_rows_under_local_and_within_a_transaction_it_is_refused(
    town: Town, client: Connection[Any]
) -> None:
    run(client, "BEGIN")
    run(client, "UPDATE person SET name = 'kept' WHERE id = 7")
    assert "a crash between two COMMITs" in refused(client, "UPDATE person SET id = id + 101 WHERE age <= 4")
    run(client, "COMMIT")
    assert town.persons()[7] == "kept"
    run(client, "UPDATE person SET id = id + 101 WHERE age <= 4")
    assert ids(town) == {*range(5, 41), *range(102, 106)}


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_deferred_base_transaction_records_what_is_staged(town: Town, client: Connection[Any], end: str) -> None:
    run(client, "SET dbmesh_transaction = 'base', dbmesh_base_mode = 'deferred'")
    run(client, "BEGIN")
    run(client, "UPDATE person SET id = id + 101 WHERE age <= 4")
    run(client, "UPDATE person SET name = (SELECT COUNT(*) FROM note) WHERE age BETWEEN 5 AND 8")
    run(client, "DELETE FROM person ORDER BY age DESC LIMIT 3")
    run(client, "INSERT INTO person (id, name, age) SELECT id + 500, name, 1 FROM person WHERE age IN (9, 10)")
    run(client, end)
    moved = {*range(5, 38), *range(102, 106), 509, 510}
    assert ids(town) == (moved if end == "COMMIT" else set(range(1, 41)))
    assert town.persons()[5] == ("0" if end == "COMMIT" else "n2")


def test_a_statement_alone_is_a_base_transaction_of_its_own(town: Town, client: Connection[Any]) -> None:
    run(client, "SET dbmesh_transaction = 'base', dbmesh_base_mode = 'deferred'")
    run(client, "UPDATE person SET id = id + 101 WHERE age <= 4")
    assert ids(town) == {*range(5, 41), *range(102, 106)}


def test_an_eager_base_transaction_cannot_hold_the_rows(town: Town, client: Connection[Any]) -> None:
    run(client, "SET dbmesh_transaction = 'base', dbmesh_base_mode = 'eager'")
    run(client, "BEGIN")
    assert "rows would not stay locked" in refused(client, "DELETE FROM person ORDER BY age LIMIT 2")
    run(client, "ROLLBACK")
    assert len(ids(town)) == 40


def test_a_single_transaction_writes_one_data_source(town: Town, client: Connection[Any]) -> None:
    run(client, "SET dbmesh_transaction = 'single'")
    run(client, "BEGIN")
    assert "one data source only" in refused(client, "UPDATE person SET age = 0 ORDER BY id LIMIT 9")
    run(client, "ROLLBACK")


def test_more_rows_than_may_be_gathered_are_refused_before_anything_is_changed(
    town: Town, client: Connection[Any]
) -> None:
    rows = ", ".join(f"({number}, 'x', 1, NULL)" for number in range(100, 2200))
    run(client, f"INSERT INTO person VALUES {rows}")
    assert "gather more than 2000 rows" in refused(client, "DELETE FROM person WHERE age > (SELECT COUNT(*) FROM note)")
    assert len(ids(town)) == 2140


def test_generated_keys_are_given_to_what_is_selected(town: Town, client: Connection[Any]) -> None:
    run(client, "INSERT INTO note (body) SELECT name FROM person WHERE age <= 12 ORDER BY age")
    made = sorted(row[0] for rows in town.shards("SELECT note_id FROM note") for row in rows)
    assert len(set(made)) == 12
    assert run(client, "SELECT LAST_INSERT_ID(), ROW_COUNT()") == [(made[0], 12)]


def test_a_statement_has_one_instant(town: Town, client: Connection[Any]) -> None:
    run(client, "UPDATE person SET name = NOW(6) ORDER BY age LIMIT 20")
    run(client, "INSERT INTO person (id, name) SELECT id + 100, SYSDATE(6) > '2000-01-01' FROM person")
    names = town.persons()
    assert len({names[number] for number in range(1, 21)}) == 1
    assert {names[number] for number in range(101, 141)} == {"1"}


def test_a_prepared_statement_is_staged_with_its_values(town: Town, client: Connection[Any]) -> None:
    run(client, "PREPARE take FROM 'UPDATE person SET name = ? WHERE age > ? ORDER BY age LIMIT ?'")
    for name, limit in (("one", 2), ("two", 3)):
        run(client, f"SET @name = '{name}', @age = 10, @most = {limit}")
        run(client, "EXECUTE take USING @name, @age, @most")
    names = town.persons()
    assert [names[number] for number in range(10, 15)] == ["n1", "two", "two", "two", "n2"]


def test_safe_updates_are_judged_by_indexes_that_scratch_tables_have_not(town: Town, client: Connection[Any]) -> None:
    run(client, "SET sql_safe_updates = 1")
    assert "sql_safe_updates" in refused(client, "DELETE FROM person ORDER BY age LIMIT 2")


def test_nothing_of_it_is_left_on_a_connection(town: Town, client: Connection[Any]) -> None:
    for number in range(12):
        run(client, f"UPDATE person SET name = 'again {number}' ORDER BY age LIMIT 2")
        run(client, "INSERT IGNORE INTO person SELECT * FROM person WHERE age < 5")
    assert town.persons()[1] == "again 11"
