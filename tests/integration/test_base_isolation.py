"""Writes of all kinds, through the mesh, meet the rows of an open eager BASE transaction."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pymysql
import pytest

from tests.flavour import MYSQL
from tests.integration.conftest import Town

Execute = Callable[[str], list[tuple[Any, ...]]]
FOUR = {1: "a", 2: "b", 3: "c", 4: "d"}


@pytest.fixture
def holder(execute: Execute, town: Town) -> Execute:
    """A session in an eager BASE transaction that has changed row 1 and taken the mail 'x@y' from row 2."""
    execute(
        "INSERT INTO person (id, name, mail) VALUES (1, 'a', NULL), (2, 'b', 'x@y'), (3, 'c', NULL), (4, 'd', NULL)"
    )
    execute("SET dbmesh_transaction = 'base', dbmesh_base_mode = 'eager'")
    execute("BEGIN")
    execute("UPDATE person SET name = 'mine' WHERE id = 1")
    execute("UPDATE person SET mail = NULL WHERE id = 2")
    return execute


@pytest.fixture
def other(town: Town) -> Iterator[pymysql.cursors.Cursor]:
    with closing(town.connect()) as connection, connection.cursor() as cursor:
        yield cursor


WRITES = [
    "UPDATE person SET name = 'theirs' WHERE id = 1",
    "UPDATE person SET age = 1 WHERE name = 'mine'",
    "UPDATE person SET name = 'theirs'",
    "UPDATE person SET mail = 'X@Y' WHERE id = 2",
    "UPDATE IGNORE person SET name = 'theirs' WHERE id = 1",
    "DELETE FROM person WHERE id = 1",
    "INSERT INTO person (id, mail) VALUES (6, 'x@y')",
    "INSERT INTO person (id, name) VALUES (1, 'theirs') ON DUPLICATE KEY UPDATE name = 'theirs'",
    "INSERT IGNORE INTO person (id, mail) VALUES (6, 'x@y')",
    "REPLACE INTO person (id, name) VALUES (1, 'theirs')",
    "UPDATE person SET id = 1, name = 'theirs' WHERE id = 1",
    "UPDATE person p, person q SET p.name = 'theirs' WHERE p.id = 1 AND q.id = 1",
]
if not MYSQL:
    WRITES.append("DELETE FROM person WHERE id = 1 RETURNING name")


@pytest.mark.parametrize("statement", WRITES)
@pytest.mark.parametrize("mode", ["local", "base"])
def test_autocommit_waits_and_then_tells(
    holder: Execute, town: Town, other: pymysql.cursors.Cursor, statement: str, mode: str
) -> None:
    other.execute(f"SET dbmesh_transaction = '{mode}'")
    with pytest.raises(pymysql.Error) as error:
        other.execute(statement)
    assert error.value.args[0] == 1205
    holder("ROLLBACK")
    assert town.persons() == FOUR
    assert other.execute("UPDATE person SET name = 'free' WHERE id = 1") == 1


@pytest.mark.parametrize("statement", WRITES[:3])
def test_autocommit_goes_on_as_soon_as_the_rows_are_free(
    holder: Execute, town: Town, other: pymysql.cursors.Cursor, statement: str
) -> None:
    ended = threading.Timer(0.2, lambda: holder("COMMIT"))
    ended.start()
    assert other.execute(statement) >= 1
    ended.join()
    assert town.persons()[1] == ("theirs" if "theirs" in statement else "mine")


def test_a_local_transaction_with_work_of_its_own_is_rolled_back_soon(
    holder: Execute, town: Town, other: pymysql.cursors.Cursor
) -> None:
    other.execute("BEGIN")
    other.execute("UPDATE person SET name = 'work' WHERE id IN (3, 4)")
    begun = time.monotonic()
    with pytest.raises(pymysql.Error) as error:
        other.execute("UPDATE person SET name = 'theirs' WHERE id = 1")
    assert error.value.args[0] == 1213
    assert time.monotonic() - begun < 1.5
    holder("UPDATE person SET name = 'again' WHERE id = 1")  # nothing blocks the holder
    holder("COMMIT")
    assert town.persons() == FOUR | {1: "again"}


def test_a_local_transaction_that_only_begins_waits(holder: Execute, town: Town, other: pymysql.cursors.Cursor) -> None:
    other.execute("BEGIN")
    other.execute("SAVEPOINT s")
    ended = threading.Timer(0.2, lambda: holder("COMMIT"))
    ended.start()
    other.execute("UPDATE person SET name = CONCAT(name, '!') WHERE id = 1")
    ended.join()
    other.execute("ROLLBACK TO s")
    other.execute("UPDATE person SET name = CONCAT(name, '?') WHERE id = 1")
    other.execute("COMMIT")
    assert town.persons()[1] == "mine?"


def test_an_old_snapshot_does_not_hide_a_lock(execute: Execute, town: Town, other: pymysql.cursors.Cursor) -> None:
    execute("INSERT INTO person (id, name) VALUES (1, 'a'), (2, 'b')")
    other.execute("BEGIN")
    other.execute("SELECT * FROM person WHERE id = 1")
    execute("SET dbmesh_transaction = 'base', dbmesh_base_mode = 'eager'")
    execute("BEGIN")
    execute("UPDATE person SET name = 'mine' WHERE id = 1")
    with pytest.raises(pymysql.Error) as error:
        other.execute("UPDATE person SET name = 'theirs' WHERE id = 1")
    assert error.value.args[0] == 1213
    execute("ROLLBACK")
    assert town.persons() == {1: "a", 2: "b"}


def test_answers_are_those_of_a_plain_server(execute: Execute, town: Town) -> None:
    with closing(town.connect()) as connection, connection.cursor() as cursor:
        assert cursor.execute("INSERT INTO person (id, name) VALUES (1, 'a'), (5, 'e'), (2, 'b')") == 3
        assert cursor.execute("INSERT INTO person (id, name) VALUES (4, 'd')") == 1
        assert cursor.execute("UPDATE person SET name = 'a' WHERE id = 1") == 0
        assert cursor.execute("UPDATE person SET name = 'z' WHERE id = 4") == 1
        assert cursor.execute("UPDATE person SET mail = CONCAT(name, '@') WHERE id IN (1, 5)") == 2
        assert cursor.execute(f"DELETE FROM person WHERE id = 4{'' if MYSQL else ' RETURNING name, id'}") == 1
        assert list(cursor.fetchall()) == ([] if MYSQL else [("z", 4)])
        assert cursor.execute("DELETE FROM person WHERE id > 100") == 0
        with pytest.raises(pymysql.Error) as error:
            cursor.execute("INSERT INTO person (id, name) VALUES (1, 'twice')")
        assert error.value.args == (1062, f"Duplicate entry '1' for key '{'person.' if MYSQL else ''}PRIMARY'")
    assert town.persons() == {1: "a", 2: "b", 5: "e"}


def test_other_tables_are_not_looked_at(holder: Execute, town: Town, other: pymysql.cursors.Cursor) -> None:
    assert other.execute("INSERT INTO note (note_id, body) VALUES (1, 'x')") == 1
    assert other.execute("UPDATE person SET name = 'theirs' WHERE id = 3") == 1
