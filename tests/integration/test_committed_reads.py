"""SET dbmesh_read_isolation = 'committed': what an open BASE transaction has done is not seen by anybody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pymysql
import pytest

from tests.integration.conftest import Town

Execute = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def holder(execute: Execute, town: Town) -> Execute:
    """A session in an eager BASE transaction that has renamed row 1, deleted row 2 and inserted row 5."""
    execute("INSERT INTO person (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')")
    execute("SET dbmesh_transaction = 'base', dbmesh_base_mode = 'eager'")
    execute("BEGIN")
    execute("UPDATE person SET name = 'mine' WHERE id = 1")
    execute("DELETE FROM person WHERE id = 2")
    execute("INSERT INTO person (id, name) VALUES (5, 'e')")
    return execute


@pytest.fixture
def reader(town: Town) -> Iterator[pymysql.cursors.Cursor]:
    with closing(town.connect(autocommit=True)) as connection, connection.cursor() as cursor:
        cursor.execute("SET dbmesh_read_isolation = 'committed'")
        yield cursor


@pytest.mark.parametrize(
    "query",
    [
        "SELECT name FROM person WHERE id = 1",
        "SELECT name FROM person WHERE id = 2",  # it is not there now, and may come back
        "SELECT name FROM person WHERE id = 5",
        "SELECT id FROM person WHERE name = 'a'",
        "SELECT COUNT(*) FROM person",
        "SELECT id FROM person WHERE id = 1 ORDER BY name LIMIT 2",
    ],
)
def test_a_read_waits_for_rows_of_an_open_transaction(
    holder: Execute, reader: pymysql.cursors.Cursor, query: str
) -> None:
    with pytest.raises(pymysql.Error) as error:
        reader.execute(query)
    assert error.value.args[0] == 1205
    holder("ROLLBACK")
    reader.execute(query)
    expected = {"LIMIT": ((1,),), "= 1": (("a",),), "= 2": (("b",),), "= 5": (), "= 'a'": ((1,),), "COUNT": ((4,),)}
    assert reader.fetchall() == next(rows for words, rows in expected.items() if words in query)
    assert not reader.connection.server_status & 1  # out of any transaction


def test_rows_of_others_are_read_at_once(holder: Execute, reader: pymysql.cursors.Cursor, town: Town) -> None:
    assert reader.execute("SELECT name FROM person WHERE id IN (3)") == 1
    with closing(town.connect()) as plain, plain.cursor() as cursor:
        cursor.execute("SELECT name FROM person WHERE id = 1")
        assert cursor.fetchall() == (("mine",),)
    holder("ROLLBACK")


def test_a_read_goes_on_when_the_transaction_has_committed(holder: Execute, reader: pymysql.cursors.Cursor) -> None:
    ended = threading.Timer(0.1, lambda: holder("COMMIT"))
    ended.start()
    reader.execute("SELECT id, name FROM person")
    ended.join()
    assert sorted(reader.fetchall()) == [(1, "mine"), (3, "c"), (4, "d"), (5, "e")]


def test_a_transaction_reads_its_own_changes(holder: Execute) -> None:
    holder("SET dbmesh_read_isolation = 'committed'")
    assert holder("SELECT name FROM person WHERE id = 1") == [("mine",)]
    holder("ROLLBACK")
    assert holder("SELECT name FROM person WHERE id = 1") == [("a",)]


@pytest.mark.parametrize("mode", ["local", "base"])
def test_who_holds_something_else_is_rolled_back_instead(
    holder: Execute, reader: pymysql.cursors.Cursor, mode: str
) -> None:
    reader.execute(f"SET dbmesh_transaction = '{mode}'")
    reader.execute("BEGIN")
    reader.execute("SELECT name FROM person WHERE id = 3")
    with pytest.raises(pymysql.Error) as error:
        reader.execute("SELECT name FROM person WHERE id = 1")
    assert error.value.args[0] == 1213
    holder("ROLLBACK")


@pytest.mark.parametrize(
    ("settings", "query", "why"),
    [
        ("DO 0", "SELECT p.name FROM person p JOIN person q USING (id)", "of one table"),
        ("DO 0", "SELECT name, COUNT(*) FROM person GROUP BY name", "of one table"),
        ("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "SELECT name FROM person", "gap locks"),
    ],
)
def test_what_cannot_be_kept_is_refused(reader: pymysql.cursors.Cursor, settings: str, query: str, why: str) -> None:
    reader.execute(settings)
    with pytest.raises(pymysql.Error) as error:
        reader.execute(query)
    assert (error.value.args[0], why in error.value.args[1]) == (1235, True)
    reader.execute("SET dbmesh_read_isolation = 'default'")
    reader.execute(query)
    with pytest.raises(pymysql.Error) as error:
        reader.execute("SET dbmesh_read_isolation = 'odd'")
    assert error.value.args[0] == 1231
