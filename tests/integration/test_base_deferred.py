"""BASE transactions in deferred mode as a client sees them, through the running mesh."""

from __future__ import annotations

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
LOG = "SELECT state, mode FROM _dbmesh.g_tx WHERE mode = 'deferred' ORDER BY created_at DESC LIMIT 1"


@pytest.fixture
def base(execute: Execute, town: Town) -> Execute:
    """Runs statements in a session with BASE transactions, over four persons on all four data nodes."""
    execute("INSERT INTO person (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')")
    execute("SET dbmesh_transaction = 'base'")
    return execute


@pytest.fixture
def other(town: Town) -> Iterator[pymysql.cursors.Cursor]:
    with closing(town.connect()) as connection, connection.cursor() as cursor:
        yield cursor


def transactions(town: Town) -> int:
    rows = town.servers[0].rows("SELECT COUNT(*) FROM _dbmesh.g_tx WHERE mode = 'deferred'")
    return int(rows[0][0])


def test_nobody_sees_anything_before_commit(base: Execute, town: Town) -> None:
    before = transactions(town)
    base("BEGIN")
    base("UPDATE person SET name = CONCAT(name, '!')")
    base("DELETE FROM person WHERE id IN (1, 2)")
    base("INSERT INTO person (id, name) VALUES (5, 'e'), (6, 'f')")
    assert base("SELECT name FROM person ORDER BY id") == [("c!",), ("d!",), ("e",), ("f",)]
    assert town.persons() == FOUR
    base("ROLLBACK")
    assert town.persons() == FOUR
    assert transactions(town) == before


def test_a_commit_on_several_shards_keeps_everything_and_frees_all_locks(base: Execute, town: Town) -> None:
    before = transactions(town)
    base("START TRANSACTION")
    base("UPDATE person SET name = 'z' WHERE id <= 3")
    base("UPDATE person SET name = 'y' WHERE id = 1")
    base("COMMIT")
    assert town.persons() == {1: "y", 2: "z", 3: "z", 4: "d"}
    wait_until(lambda: town.servers[0].rows(LOG) == [("COMMITTED", "deferred")], 5, lambda: "not concluded")
    assert transactions(town) == before + 1
    wait_until(lambda: town.shards("SELECT * FROM _dbmesh.row_lock") == [[], []], 5, lambda: "locks are left")
    branches = "SELECT COUNT(*) FROM _dbmesh.branch JOIN _dbmesh.undo_record USING (gtrid, ds) WHERE mode = 'deferred'"
    assert all(rows[0][0] > 0 for rows in town.shards(branches))


def test_a_commit_on_one_shard_is_the_servers_own(base: Execute, town: Town) -> None:
    before = transactions(town)
    base("BEGIN")
    base("UPDATE person SET name = 'z' WHERE id = 1")
    base("INSERT INTO person (id, name) VALUES (5, 'e')")
    base("SELECT * FROM person")
    base("COMMIT")
    assert town.persons() == FOUR | {1: "z", 5: "e"}
    assert transactions(town) == before


def test_new_rows_whose_keys_only_the_server_knows_are_written_on_one_data_source(base: Execute, town: Town) -> None:
    base("SET dbmesh_transaction = 'local'")
    base("INSERT INTO street (id, name) VALUES (1, 'High Street')")
    base("SET dbmesh_transaction = 'base'")
    base("BEGIN")
    base("INSERT INTO person (id, name) SELECT 6, name FROM street WHERE id = 1")
    if MYSQL:  # without INSERT … RETURNING there is no telling how to undo them
        with pytest.raises(pymysql.Error) as error:
            base("UPDATE person SET name = 'other' WHERE id = 1")
        assert error.value.args[0] == 1235
    base("COMMIT")
    assert town.persons() == FOUR | {6: "High Street"}


def test_autocommit_of_several_shards_is_a_transaction_of_its_own(base: Execute, town: Town) -> None:
    before = transactions(town)
    with pytest.raises(pymysql.Error) as error:
        base("INSERT INTO person (id, name) VALUES (5, 'e'), (6, 'f'), (7, 'g'), (4, 'twice')")
    assert error.value.args[0] == 1062
    assert town.persons() == FOUR
    base("UPDATE person SET name = 'all'")
    assert set(town.persons().values()) == {"all"}
    assert transactions(town) == before + 1


def test_a_client_that_vanishes_leaves_nothing(base: Execute, town: Town) -> None:
    lost = town.connect()
    with lost.cursor() as cursor:
        cursor.execute("SET dbmesh_transaction = 'base'")
        cursor.execute("BEGIN")
        cursor.execute("UPDATE person SET name = 'gone'")
    lost._force_close()
    base("UPDATE person SET name = 'here' WHERE id = 1")  # waits for the row lock at most until that is noticed
    assert town.persons() == FOUR | {1: "here"}


def test_a_statement_that_fails_is_undone_everywhere_and_the_transaction_goes_on(base: Execute, town: Town) -> None:
    base("BEGIN")
    base("UPDATE person SET name = 'first' WHERE id = 1")
    for failing in (
        "INSERT INTO person (id, name) VALUES (5, 'e'), (6, 'f'), (4, 'twice')",
        "INSERT INTO person (id, name) VALUES (1, 'twice')",
        "UPDATE person SET name = nowhere",
    ):
        with pytest.raises(pymysql.Error):
            base(failing)
    base("UPDATE person SET name = 'second' WHERE id = 2")
    base("COMMIT")
    assert town.persons() == FOUR | {1: "first", 2: "second"}


def test_savepoints_take_undo_records_back_too(base: Execute, town: Town) -> None:
    before = transactions(town)
    base("BEGIN")
    base("SAVEPOINT start")
    base("UPDATE person SET name = 'kept' WHERE id = 1")
    base("SAVEPOINT here")
    base("UPDATE person SET name = 'undone'")
    base("SAVEPOINT there")
    base("ROLLBACK TO here")
    with pytest.raises(pymysql.Error) as error:
        base("ROLLBACK TO there")
    assert error.value.args[0] == 1305
    base("COMMIT")  # only one shard is written any more
    assert town.persons() == FOUR | {1: "kept"}
    assert transactions(town) == before


def test_autocommit_switched_off_begins_one(base: Execute, town: Town) -> None:
    base("SET autocommit = 0")
    base("UPDATE person SET name = 'x'")
    assert town.persons() == FOUR
    base("COMMIT")
    assert set(town.persons().values()) == {"x"}
    base("UPDATE person SET name = 'y'")
    base("SET autocommit = 1")  # commits
    assert set(town.persons().values()) == {"y"}


def test_ddl_commits_what_is_open(base: Execute, town: Town) -> None:
    base("BEGIN")
    base("UPDATE person SET name = 'x'")
    base("ALTER TABLE note COMMENT 'c'")
    assert set(town.persons().values()) == {"x"}
    base("ROLLBACK")
    assert set(town.persons().values()) == {"x"}


def test_the_isolation_level_of_the_next_transaction_holds(base: Execute, other: pymysql.cursors.Cursor) -> None:
    for level, second in (("REPEATABLE READ", "a"), ("READ COMMITTED", "changed")):
        base(f"SET TRANSACTION ISOLATION LEVEL {level}")
        base("BEGIN")
        assert base("SELECT name FROM person WHERE id = 1") == [("a",)]
        other.execute("UPDATE person SET name = 'changed' WHERE id = 1")
        assert base("SELECT name FROM person WHERE id = 1") == [(second,)]
        base("COMMIT")
        other.execute("UPDATE person SET name = 'a' WHERE id = 1")
    base("SET TRANSACTION READ ONLY")
    base("BEGIN")
    with pytest.raises(pymysql.Error) as error:
        base("UPDATE person SET name = 'x' WHERE id = 1")
    assert error.value.args[0] == 1792


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO note (body) VALUES ('x')",
        "INSERT INTO diary (line) VALUES ('x')",
        "UPDATE person p, person q SET p.name = 'two' WHERE p.id = 3 AND q.id = 3",
    ],
)
def test_what_cannot_be_undone_is_welcome_on_one_data_source_and_refused_on_two(
    base: Execute, town: Town, statement: str
) -> None:
    base("BEGIN")
    base("UPDATE person SET name = 'before' WHERE id IN (1, 2)")
    with pytest.raises(pymysql.Error) as error:
        base(statement)
    assert error.value.args[0] == 1235
    base("COMMIT")
    assert town.persons() == FOUR | {1: "before", 2: "before"}
    base("BEGIN")
    base(statement)
    with pytest.raises(pymysql.Error) as error:
        base("UPDATE person SET name = 'after' WHERE id IN (1, 2)")
    assert error.value.args[0] == 1235
    base("COMMIT")
    assert set(town.persons().values()) <= {"before", "two", "c", "d"}


def test_answers_are_those_of_a_plain_server(base: Execute, town: Town) -> None:
    with closing(town.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET dbmesh_transaction = 'base'")
        cursor.execute("BEGIN")
        assert cursor.execute("UPDATE person SET name = 'a' WHERE id IN (1, 2)") == 1
        assert cursor.execute("INSERT INTO street VALUES (1, 'x'), (2, 'y')") == 2
        assert cursor.execute("UPDATE street SET name = 'z' WHERE id = 1") == 1
        assert cursor.execute("DELETE FROM person WHERE id > 2") == 2
        assert connection.server_status & 1
        cursor.execute("COMMIT")
        assert not connection.server_status & 1
    assert town.shards("SELECT id, name FROM street ORDER BY id") == [[(1, "z"), (2, "y")]] * 2
    assert town.persons() == {1: "a", 2: "a"}


def test_an_eager_holder_makes_a_deferred_one_wait_or_give_up(
    base: Execute, town: Town, other: pymysql.cursors.Cursor
) -> None:
    other.execute("SET dbmesh_transaction = 'base', dbmesh_base_mode = 'eager'")
    other.execute("BEGIN")
    other.execute("UPDATE person SET name = 'theirs' WHERE id = 1")
    base("BEGIN")
    with pytest.raises(pymysql.Error) as error:
        base("UPDATE person SET name = 'mine' WHERE id = 1")
    assert error.value.args[0] == 1205  # nothing was done yet: it has waited
    base("UPDATE person SET name = 'mine' WHERE id = 2")
    with pytest.raises(pymysql.Error) as error:
        base("UPDATE person SET name = 'mine' WHERE id = 1")
    assert error.value.args[0] == 1213  # the holder could need row 2
    other.execute("UPDATE person SET name = 'theirs' WHERE id = 2")
    other.execute("ROLLBACK")
    assert town.persons() == FOUR


def test_the_mode_is_chosen_like_any_other_variable(base: Execute) -> None:
    base("SET dbmesh_base_mode = 'eager'")
    base("SET dbmesh_base_mode = DEFAULT")
    with pytest.raises(pymysql.Error) as error:
        base("SET dbmesh_base_mode = 'lazy'")
    assert error.value.args[0] == 1231
    base("BEGIN")
    with pytest.raises(pymysql.Error) as error:
        base("SET dbmesh_base_mode = 'eager'")
    assert error.value.args[0] == 1568


@pytest.mark.parametrize(
    ("statement", "waits"),
    [
        ("SELECT name FROM person WHERE id = 1 FOR UPDATE", True),
        ("SELECT id, name FROM person WHERE name LIKE '%' ORDER BY id LIMIT 1 FOR UPDATE", True),
        ("SELECT COUNT(*) FROM person FOR UPDATE", True),
        ("SELECT p.name FROM person p WHERE p.id = 1 LOCK IN SHARE MODE", True),
        ("SELECT p.name FROM person p JOIN person q USING (id) WHERE p.id = 5 FOR UPDATE", True),  # of the whole table
        ("SELECT name FROM person WHERE id = 5 FOR UPDATE", False),
        ("SELECT name AS n FROM person WHERE id = 5 ORDER BY n FOR UPDATE", True),
        ("SELECT name FROM person WHERE id = 1", False),
    ],
)
def test_locking_reads_see_only_what_is_committed_everywhere(
    base: Execute, town: Town, other: pymysql.cursors.Cursor, statement: str, waits: bool
) -> None:
    base("INSERT INTO person (id, name) VALUES (5, 'e')")
    other.execute("SET dbmesh_transaction = 'base', dbmesh_base_mode = 'eager'")
    other.execute("BEGIN")
    other.execute("UPDATE person SET name = 'theirs' WHERE id = 1")
    base("BEGIN")
    if not waits:
        assert base(statement)
    else:
        with pytest.raises(pymysql.Error) as error:
            base(statement)
        assert error.value.args[0] == 1205
    other.execute("COMMIT")
    assert base(statement)
    base("COMMIT")
