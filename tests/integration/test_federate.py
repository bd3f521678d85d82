"""Federated SELECTs where the session matters: transactions, budgets, kills, and what is left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from tests.flavour import MYSQL
from tests.integration.conftest import Town

SELF_JOIN = "SELECT COUNT(*) FROM person a JOIN person b ON a.age = b.age"
IN_TRANSACTION = 1


@pytest.fixture(autouse=True)
def persons(town: Town) -> Iterator[None]:
    with town.connect() as client, client.cursor() as cursor:
        cursor.execute("DELETE FROM person")
        cursor.execute("INSERT INTO person VALUES (1, 'a', 30, 'a@x'), (2, 'b', 30, 'b@x'), (3, 'c', 31, NULL)")
        client.commit()
        yield
        client.rollback()
        cursor.execute("DELETE FROM person")
        client.commit()


def test_a_transaction_sees_its_own_changes_and_goes_on(town: Town) -> None:
    with town.connect() as client, client.cursor() as cursor:
        client.begin()
        cursor.execute("UPDATE person SET age = 30 WHERE id = 3")
        cursor.execute(SELF_JOIN)
        assert cursor.fetchall() == ((9,),)
        assert client.server_status & IN_TRANSACTION
        client.rollback()
        cursor.execute(SELF_JOIN)
        assert cursor.fetchall() == ((5,),)
        assert not client.server_status & IN_TRANSACTION


def test_the_same_connection_can_federate_again_and_again(town: Town) -> None:
    with town.connect() as client, client.cursor() as cursor:
        for _ in range(12):
            cursor.execute("SELECT a.id FROM person a JOIN person b ON a.age = b.age AND a.id < b.id")
            assert cursor.fetchall() == ((1,),)


def test_more_rows_than_the_rules_allow_are_refused_and_the_transaction_lives(town: Town) -> None:
    with town.connect() as client, client.cursor() as cursor:
        client.begin()
        rows = ", ".join(f"({number}, 'x', 1, NULL)" for number in range(100, 2200))
        cursor.execute(f"INSERT INTO person VALUES {rows}")
        with pytest.raises(pymysql.err.NotSupportedError, match="gather more than 2000 rows"):
            cursor.execute(SELF_JOIN)
        cursor.execute("SELECT COUNT(*) FROM person")
        assert cursor.fetchall() == ((2103,),)
        cursor.execute(SELF_JOIN + " WHERE a.id < 4 AND b.id < 4")
        assert cursor.fetchall() == ((5,),)
        cursor.execute(SELF_JOIN + " WHERE a.id < 4")  # of b only the rows with the ages of a
        assert cursor.fetchall() == ((5,),)
        cursor.execute("SELECT COUNT(*) FROM person WHERE age IN (SELECT age FROM person WHERE id = 3)")
        assert cursor.fetchall() == ((1,),)


@contextmanager
def expect_kill(town: Town, client: Connection[Any]) -> Iterator[None]:
    """What runs on ``client`` is killed after half a second, and says so."""
    number = client.thread_id()

    def kill() -> None:
        time.sleep(0.5)
        with town.connect() as other, other.cursor() as cursor:
            cursor.execute(f"KILL QUERY {number}")

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(pymysql.err.OperationalError) as caught:
        yield
    killer.join()
    assert caught.value.args[0] == 1317


def test_a_killed_query_ends_and_its_connection_serves_on(town: Town) -> None:
    with town.connect() as client, client.cursor() as cursor:
        with expect_kill(town, client):
            cursor.execute("SELECT SUM(SLEEP(a.id + b.id)) FROM person a JOIN person b ON a.age = b.age")
        cursor.execute(SELF_JOIN)
        assert cursor.fetchall() == ((5,),)


def test_variables_of_the_session_are_those_of_the_query(town: Town) -> None:
    with town.connect() as client, client.cursor() as cursor:
        cursor.execute("SET @least = 31, time_zone = '+03:00'")
        cursor.execute(
            "SELECT a.id, @@time_zone, DATABASE() FROM person a JOIN person b ON a.age = b.age AND a.age >= @least"
        )
        assert cursor.fetchall() == ((3, "+03:00", "town"),)


def test_a_read_in_a_base_transaction_is_federated_too(town: Town) -> None:
    with town.connect() as client, client.cursor() as cursor:
        cursor.execute("SET dbmesh_transaction = 'base'")
        client.begin()
        cursor.execute("UPDATE person SET age = 30 WHERE id = 3")
        cursor.execute(SELF_JOIN)
        assert cursor.fetchall() == ((9,),)
        client.rollback()
        cursor.execute(SELF_JOIN)
        assert cursor.fetchall() == ((5,),)


TWICE = (
    "WITH old AS (SELECT id, age, name, mail FROM person WHERE age >= {}),"
    " pairs AS (SELECT a.id AS a, b.id AS b FROM old a JOIN old b ON a.age = b.age)"
    " SELECT p.a, q.b FROM pairs p JOIN pairs q ON p.a = q.a AND p.b = q.b AND p.a < {} ORDER BY 1, 2"
)


def test_a_with_is_named_twice(town: Town) -> None:
    with town.connect() as client, client.cursor() as cursor:
        for most, found in ((2, ((1, 1), (1, 2))), (9, ((1, 1), (1, 2), (2, 1), (2, 2), (3, 3)))):
            cursor.execute(TWICE.format(30, most))
            assert cursor.fetchall() == found
        client.begin()
        cursor.execute("UPDATE person SET age = 29 WHERE id = 1")
        cursor.execute(TWICE.format(30, 9))
        assert cursor.fetchall() == ((2, 2), (3, 3))
        client.rollback()
    assert leftovers(town) == 0


def test_a_killed_with_that_is_named_twice_leaves_no_tables(town: Town) -> None:
    with town.connect() as client, client.cursor() as cursor:
        with expect_kill(town, client):
            cursor.execute(
                "WITH q AS (SELECT id, age FROM person) SELECT SUM(SLEEP(a.id + b.id)) FROM q a JOIN q b USING (age)"
            )
        cursor.execute(TWICE.format(30, 2))
        assert cursor.fetchall() == ((1, 1), (1, 2))
    assert leftovers(town) == 0


@pytest.mark.skipif(not MYSQL, reason="MariaDB reads a temporary table as often as one likes")
def test_tables_that_a_lost_connection_has_left_are_dropped_by_the_next_one_who_needs_some(town: Town) -> None:
    schema = town.servers[0]
    lost = f"scratch_{'0' * 15}1"
    alive = f"scratch_{'0' * 15}2"
    schema.script([f"CREATE TABLE _dbmesh.{name}_0 (id INT)" for name in (lost, alive)])
    try:
        with schema.connection() as owner, town.connect() as client:
            with owner.cursor() as cursor:
                cursor.execute(f"SELECT GET_LOCK('{alive}', 0)")
            with client.cursor() as cursor:
                cursor.execute(TWICE.format(30, 2))
                assert len(cursor.fetchall()) == 2
            assert leftovers(town) == 1
    finally:
        schema.script([f"DROP TABLE _dbmesh.{alive}_0"])


def leftovers(town: Town) -> int:
    """Scratch tables that have outlived their statement."""
    [(found,)] = town.servers[0].rows(
        "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '_dbmesh' AND TABLE_NAME LIKE 'scratch%'"
    )
    return int(found)


def test_a_hint_chooses_the_shard_and_the_budget(town: Town) -> None:
    with town.connect() as client, client.cursor() as cursor:
        for shard, count in (("ds_0", 1), ("ds_1", 2)):
            cursor.execute(f"SELECT /*+ dbmesh(shard={shard}) */ COUNT(*) FROM person")
            assert cursor.fetchall() == ((count,),)
        cursor.execute("/* dbmesh: shard=ds_1 */ SELECT a.id, b.id FROM person a JOIN person b ON a.age < b.age")
        assert cursor.fetchall() == ((2, 3),)
        with pytest.raises(pymysql.err.NotSupportedError, match="gather more than"):
            cursor.execute(SELF_JOIN.replace("SELECT", "SELECT /*+ dbmesh(budget=10) */"))
        cursor.execute(SELF_JOIN.replace("SELECT", "SELECT /*+ dbmesh(budget=1MiB) */"))
        assert cursor.fetchall() == ((5,),)
