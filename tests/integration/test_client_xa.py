"""A client's own XA statements: where one data source has the whole logical database, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pymysql
import pytest

from dbmesh.sandbox.process import wait_until
from tests.integration.conftest import Town

Execute = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def one(town: Town) -> Iterator[Execute]:
    """A session in a logical database of one data source, which has the table thing with the row 1."""
    server = town.servers[0]
    server.script(
        ["CREATE TABLE thing (id INT PRIMARY KEY, v INT)", "INSERT INTO thing VALUES (1, 1)"], database="town_empty"
    )
    with closing(town.connect("stranger", "empty")) as connection, connection.cursor() as cursor:

        def run(sql: str) -> list[tuple[Any, ...]]:
            cursor.execute(sql)
            return list(cursor.fetchall())

        yield run
    for format_id, length, _, data in server.rows("XA RECOVER"):
        data = data if isinstance(data, str) else data.decode()
        server.script([f"XA ROLLBACK '{data[:length]}','{data[length:]}',{format_id}"])
    server.script(["DROP TABLE thing"], database="town_empty")


def stored(town: Town) -> list[tuple[Any, ...]]:
    return town.servers[0].rows("SELECT * FROM thing", database="town_empty")


def error_of(run: Execute, sql: str) -> int:
    with pytest.raises(pymysql.Error) as error:
        run(sql)
    return int(error.value.args[0])


def insist(end: Callable[[], object]) -> None:
    """MariaDB says 1397 until it has noticed that the connection which prepared has ended."""

    def ended() -> bool:
        try:
            end()
        except pymysql.Error as error:
            if error.args[0] != 1397:
                raise
            return False
        return True

    wait_until(ended, 5, lambda: "the branch stays unknown")


def test_it_is_prepared_and_committed(one: Execute, town: Town) -> None:
    one("XA START 'mine','b',7")
    one("UPDATE thing SET v = 2")
    one("INSERT INTO thing VALUES (2, 2), (3, 3)")
    assert one("SELECT SUM(v) FROM thing") == [(7,)]
    assert stored(town) == [(1, 1)]
    one("XA END 'mine','b',7")
    one("XA PREPARE 'mine','b',7")
    assert [row[0] for row in one("XA RECOVER")] == [7]
    one("XA COMMIT 'mine','b',7")
    assert stored(town) == [(1, 2), (2, 2), (3, 3)]
    assert one("XA RECOVER") == []
    one("UPDATE thing SET v = 0 WHERE id = 1")
    assert stored(town)[0] == (1, 0)


def test_one_phase_and_rollback(one: Execute, town: Town) -> None:
    one("XA BEGIN 'a'")
    one("UPDATE thing SET v = 2")
    one("XA END 'a'")
    one("XA COMMIT 'a' ONE PHASE")
    assert stored(town) == [(1, 2)]
    one("XA START 'b'")
    one("UPDATE thing SET v = 3")
    one("XA END 'b'")
    one("XA ROLLBACK 'b'")
    assert stored(town) == [(1, 2)]
    one("BEGIN")
    one("UPDATE thing SET v = 4")
    one("COMMIT")
    assert stored(town) == [(1, 4)]


def test_what_does_not_belong_into_xa_is_refused_as_the_server_does(one: Execute, town: Town) -> None:
    one("XA START 'c'")
    one("UPDATE thing SET v = 2")
    for sql in ("COMMIT", "ROLLBACK", "BEGIN", "XA START 'd'", "XA PREPARE 'c'"):
        assert error_of(one, sql) == 1399
    assert error_of(one, "XA END 'other'") == 1397
    one("SAVEPOINT s")
    one("UPDATE thing SET v = 3")
    one("ROLLBACK TO s")
    one("XA END 'c'")
    assert error_of(one, "UPDATE thing SET v = 9") == 1399
    one("XA COMMIT 'c' ONE PHASE")
    assert stored(town) == [(1, 2)]
    one("BEGIN")
    assert error_of(one, "XA START 'e'") == 1400
    one("ROLLBACK")
    assert error_of(one, "XA COMMIT 'nobody'") == 1397


def test_a_client_that_leaves_prepared_can_be_followed_by_another(one: Execute, town: Town) -> None:
    with closing(town.connect("stranger", "empty")) as connection, connection.cursor() as cursor:
        for sql in ("XA START 'f'", "UPDATE thing SET v = 2", "XA END 'f'", "XA PREPARE 'f'"):
            cursor.execute(sql)
    insist(lambda: one("XA COMMIT 'f'"))
    assert stored(town) == [(1, 2)]


def test_a_client_that_leaves_in_the_middle_leaves_nothing(one: Execute, town: Town) -> None:
    with closing(town.connect("stranger", "empty")) as connection, connection.cursor() as cursor:
        cursor.execute("XA START 'g'")
        cursor.execute("UPDATE thing SET v = 2")
    one("UPDATE thing SET v = v + 10")  # waits for the row lock at most until that is noticed
    assert stored(town) == [(1, 11)]


def test_the_meshs_own_are_out_of_reach(one: Execute, town: Town) -> None:
    for number in ("1145195853", "0x44424D4D", "0x0044424d4d", "X'44424d4d'"):
        assert error_of(one, f"XA ROLLBACK 'dm-1','m.ds_0',{number}") == 1235
    xid = "'dm-1','m.ds_0',1145195853"
    write = "INSERT INTO town_empty.thing VALUES (9, 9)"
    town.servers[0].script([f"XA START {xid}", write, f"XA END {xid}", f"XA PREPARE {xid}"])
    try:
        assert one("XA RECOVER") == []
    finally:
        insist(lambda: town.servers[0].script([f"XA ROLLBACK {xid}"]))


def test_over_several_data_sources_it_is_refused(town: Town) -> None:
    with closing(town.connect()) as connection, connection.cursor() as cursor:
        with pytest.raises(pymysql.Error, match="one data source has the whole logical database") as error:
            cursor.execute("XA START 'mine'")
        assert error.value.args[0] == 1235


def test_another_database_is_out_of_reach_inside_of_it(town: Town) -> None:
    town.servers[0].script(["CREATE TABLE thing (id INT PRIMARY KEY)"], database="town_empty")
    try:
        with closing(town.connect("admin", "empty")) as connection, connection.cursor() as cursor:
            cursor.execute("XA START 'h'")
            cursor.execute("INSERT INTO thing VALUES (1)")
            with pytest.raises(pymysql.Error) as error:
                cursor.execute("INSERT INTO town.person (id) VALUES (1), (2)")
            assert error.value.args[0] == 1235
            cursor.execute("XA END 'h'")
            cursor.execute("XA COMMIT 'h' ONE PHASE")
        assert town.persons() == {}
        assert stored(town) == [(1,)]
    finally:
        town.servers[0].script(["DROP TABLE thing"], database="town_empty")
