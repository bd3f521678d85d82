"""Federated SELECTs where the session matters: transactions, budgets, kills, and what is left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pymysql
import pytest

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


def test_a_killed_query_ends_and_its_connection_serves_on(town: Town) -> None:
    with town.connect() as client, town.connect() as other, client.cursor() as cursor:
        number = client.thread_id()

        def kill() -> None:
            time.sleep(0.5)
            with other.cursor() as second:
                second.execute(f"KILL QUERY {number}")

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(pymysql.err.OperationalError) as caught:
            cursor.execute("SELECT SUM(SLEEP(a.id + b.id)) FROM person a JOIN person b ON a.age = b.age")
        killer.join()
        assert caught.value.args[0] == 1317
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
