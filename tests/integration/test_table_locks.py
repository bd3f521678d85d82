"""LOCK TABLES over data sources, statement by statement what one server says."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest

from dbmesh.sandbox import Server
from tests.flavour import MYSQL
from tests.integration.conftest import TABLES, Town
from tests.integration.test_session_pins import pinned, run

PERSONS = ", ".join(f"({id}, 'n{id}', {id % 3}, NULL)" for id in range(8))
STATEMENTS = [
    f"INSERT INTO person VALUES {PERSONS}",
    "LOCK TABLES person WRITE, street READ LOCAL",
    "INSERT INTO person VALUES (10, 'a', 1, NULL), (11, 'b', 1, NULL), (12, 'c', 1, NULL)",
    "INSERT INTO person VALUES (20, 'a', 1, NULL), (21, 'b', 1, NULL), (10, 'again', 1, NULL)",
    "SELECT id, name FROM person ORDER BY id",
    "SELECT COUNT(*), SUM(age) FROM person",
    "SELECT age, COUNT(*) FROM person GROUP BY age ORDER BY age",
    "UPDATE person SET age = age + 1 WHERE id > 5",
    "SELECT name FROM person WHERE id = 11",
    "SELECT COUNT(*) FROM street",
    "SELECT COUNT(*) FROM note",
    "SELECT COUNT(*) FROM note WHERE note_id = 4",
    "INSERT INTO note VALUES (1, 'x'), (2, 'y')",
    "INSERT INTO street VALUES (1, 'x')",
    "SELECT 1",
    "SHOW TABLES LIKE 'pers%'",
    "ALTER TABLE person DISABLE KEYS",
    "DELETE FROM person WHERE age = 2",
    "SELECT COUNT(*) FROM person",
    "SELECT id FROM person p WHERE id = 3",
    "SET autocommit = 0",
    "INSERT INTO person VALUES (30, 'a', 1, NULL), (31, 'b', 1, NULL), (32, 'b', 1, NULL)",
    "SELECT COUNT(*) FROM person",
    "ROLLBACK",
    "SELECT COUNT(*) FROM person",
    "INSERT INTO person VALUES (40, 'a', 1, NULL), (41, 'b', 1, NULL)",
    "COMMIT",
    "SELECT COUNT(*) FROM note",
    "SET autocommit = 1",
    "SELECT COUNT(*) FROM person",
    "LOCK TABLES person AS p READ, note READ",
    "SELECT COUNT(*), MAX(p.id) FROM person AS p",
    "INSERT INTO note VALUES (3, 'z')",
    "SELECT COUNT(*) FROM note",
    "UNLOCK TABLES",
    "SELECT COUNT(*) FROM street",
    "LOCK TABLES nothing READ, person READ",
    "SELECT COUNT(*) FROM street",
    "LOCK TABLES person",
    "LOCK TABLE person SHARE",
    f"LOCK TABLES person WRITE, note {'' if MYSQL else 'LOW_PRIORITY'} WRITE",
    "TRUNCATE TABLE note",
    "BEGIN",
    "INSERT INTO street VALUES (5, 'x')",
    "COMMIT",
    "SELECT COUNT(*) FROM street",
]


def test_locked_tables_are_what_they_are_on_one_server(town: Town, plain_server: Server) -> None:
    plain_server.script(["DROP DATABASE IF EXISTS town", "CREATE DATABASE town"])
    tables = {name.removesuffix("_0"): columns for name, columns in TABLES.items() if name != "person_1"}
    plain_server.script([f"CREATE TABLE {name} {columns}" for name, columns in tables.items()], "town")
    with closing(town.connect()) as mesh, closing(plain_server.connection("town")) as plain:
        for connection in (mesh, plain):
            run(connection, "SET autocommit = 1")
        for sql in STATEMENTS:
            assert run(mesh, sql) == run(plain, sql), sql
        assert pinned(town) == []


def test_all_parts_are_locked_until_they_are_let_go(town: Town) -> None:
    with closing(town.connect(autocommit=True)) as one, closing(town.connect(autocommit=True)) as other:
        run(one, "LOCK TABLES person WRITE")
        assert pinned(town) == ["LOCK TABLES"]
        run(other, "SET lock_wait_timeout = 1")
        for id in range(4):
            assert run(other, f"SELECT name FROM person WHERE id = {id}") == 1205
        assert run(other, "SELECT COUNT(*) FROM note") == ((0,),)
        assert run(one, "INSERT INTO person (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')") == ()
        run(one, "UNLOCK TABLES")
        assert run(other, "SELECT COUNT(*) FROM person") == ((4,),)
    with closing(town.connect()) as gone:
        run(gone, "LOCK TABLES person WRITE")
    with closing(town.connect(autocommit=True)) as other:
        assert run(other, "SELECT COUNT(*) FROM person") == ((4,),)


def test_who_waits_for_the_second_data_source_lets_the_first_one_go(town: Town) -> None:
    """A transaction with a part on the second data source wants one on the first: no server could see the circle."""
    with closing(town.connect(autocommit=True)) as locker, closing(town.connect()) as other:
        run(other, "BEGIN")
        run(other, "INSERT INTO note VALUES (1, 'on the second')")
        waiting = threading.Thread(target=run, args=(locker, "LOCK TABLES note WRITE"))
        waiting.start()
        assert run(other, "INSERT INTO note VALUES (2, 'on the first')") == ()
        run(other, "COMMIT")
        waiting.join(60)
        assert not waiting.is_alive()
        assert run(locker, "SELECT COUNT(*) FROM note") == ((2,),)


@pytest.mark.parametrize(
    ("user", "sql", "errno"),
    [
        ("reader", "LOCK TABLES person READ", 1044),
        ("app", "LOCK TABLES empty.t READ", 1044),
        ("app", "LOCK TABLES nowhere.t READ", 1049),
        ("app", "LOCK TABLES person_0 READ", 1146),
        ("app", "LOCK INSTANCE FOR BACKUP", 1235),
    ],
)
def test_what_may_not_be_locked(town: Town, user: str, sql: str, errno: int) -> None:
    with closing(town.connect(user)) as connection:
        assert run(connection, sql) == errno
