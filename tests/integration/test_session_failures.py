"""Servers, connections and statements that fail in the middle of a transaction: whole, undone, or named."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pymysql
import pytest
from pymysql.connections import Connection

from dbmesh.sandbox import Sandbox, Server
from dbmesh.sandbox.endpoint import Account
from dbmesh.sandbox.mesh import Mesh
from tests.integration.conftest import EMPTY_RULES, MESH_RULES, TOWN_RULES, Town, write_rules
from tests.integration.cutting_proxy import CuttingProxy
from tests.integration.test_session_pools import settled

IMPATIENT = MESH_RULES.replace("lock_wait: 0.4", "lock_wait: 0.4, commit_timeout: 0.5")
BOTH = "INSERT INTO person (id, name) VALUES (1, 'one'), (2, 'two')"  # 1 is on the first server, 2 on the second


@pytest.fixture(scope="module")
def proxy(servers: tuple[Server, Server]) -> Iterator[CuttingProxy]:
    with CuttingProxy(servers[1].host, servers[1].port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def cut_mesh(town_mesh: Town, proxy: CuttingProxy, sandbox: Sandbox) -> Iterator[Mesh]:
    """A mesh of its own over the town's schemas, its way to the second server through ``proxy``."""
    second = town_mesh.servers[1]
    address = f"host: {second.host}, port: {second.port},"
    rules = write_rules(sandbox.folder / "cut", town_mesh.servers, mesh=IMPATIENT, town=TOWN_RULES, empty=EMPTY_RULES)
    text = (rules / "town.yaml").read_text()
    (rules / "town.yaml").write_text(text.replace(address, f"host: 127.0.0.1, port: {proxy.port},"))
    mesh = Mesh(sandbox.folder / "cut_mesh", rules, Account("app", "secret"))
    mesh.start()
    yield mesh
    mesh.close()


@pytest.fixture
def cut(town: Town, cut_mesh: Mesh, proxy: CuttingProxy) -> Iterator[Connection]:
    """A client of that mesh; its first transaction has both branches' connections dialled."""
    proxy.cut, proxy.deliver, proxy.hold = None, False, False
    with closing(cut_mesh.connection("town", user="app", password="secret", autocommit=True)) as connection:
        yield connection
    proxy.cut = None


@pytest.mark.parametrize("deliver", [False, True], ids=["lost on its way", "done but not heard of"])
def test_a_commit_that_held_on_one_shard_only_names_both(
    cut: Connection, proxy: CuttingProxy, town: Town, deliver: bool
) -> None:
    with cut.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(BOTH)
        proxy.cut, proxy.deliver = b"COMMIT", deliver
        with pytest.raises(pymysql.MySQLError) as raised:
            cursor.execute("COMMIT")
        proxy.cut = None
        assert raised.value.args[0] == 1180
        assert re.search(r"committed on ds_\d; unknown on ds_\d", raised.value.args[1])
        assert len(town.persons()) == (2 if deliver else 1)
        cursor.execute("DO 0")  # the session goes on, out of the transaction
        assert not cut.server_status & 1


@pytest.mark.parametrize(
    ("mode", "request_", "told"),
    [
        ("local", b"\x03COMMIT", r"1180.*unknown on ds_\d .*no answer within"),
        ("base", b"\x03COMMIT", "1213.*was undone"),
        ("base", b"`branch`", "1180.*no answer within.*every shard was rolled back"),
    ],
)
def test_a_commit_without_an_answer_is_given_up_and_its_outcome_told(
    cut: Connection, proxy: CuttingProxy, town: Town, mode: str, request_: bytes, told: str
) -> None:
    with cut.cursor() as cursor:
        cursor.execute(f"SET dbmesh_transaction = '{mode}'")
        cursor.execute("BEGIN")
        cursor.execute(BOTH)
        proxy.cut, proxy.hold = request_, True
        with pytest.raises(pymysql.MySQLError) as raised:
            cursor.execute("COMMIT")
        proxy.cut = None
        assert re.search(told, str(raised.value.args))
        assert town.persons() == ({1: "one"} if mode == "local" else {})
        cursor.execute("ROLLBACK")


def test_a_rollback_without_an_answer_is_given_up_and_done_all_the_same(
    cut: Connection, proxy: CuttingProxy, town: Town
) -> None:
    with cut.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(BOTH)
        proxy.cut, proxy.hold = b"ROLLBACK", True
        cursor.execute("ROLLBACK")
        proxy.cut = None
        cursor.execute(BOTH)
    assert len(town.persons()) == 2


def test_an_autocommit_statement_that_committed_on_one_shard_only_says_so(
    cut: Connection, proxy: CuttingProxy, town: Town
) -> None:
    with cut.cursor() as cursor:
        proxy.cut = b"COMMIT"
        with pytest.raises(pymysql.MySQLError) as raised:
            cursor.execute(BOTH)
        assert raised.value.args[0] == 1180
        assert len(town.persons()) == 1


def test_a_server_lost_in_a_statement_undoes_all_of_the_transaction(
    cut: Connection, proxy: CuttingProxy, town: Town
) -> None:
    with cut.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(BOTH)
        proxy.cut = b"SET age"
        with pytest.raises(pymysql.MySQLError, match="Lost connection to data source"):
            cursor.execute("UPDATE person SET age = 1")
        proxy.cut = None
        for sql in ("SELECT * FROM person WHERE id = 1", "INSERT INTO person (id) VALUES (3)", "COMMIT"):
            with pytest.raises(pymysql.MySQLError, match="transaction was rolled back"):
                cursor.execute(sql)
        cursor.execute("INSERT INTO person (id, name) VALUES (3, 'three')")
    assert town.persons() == {3: "three"}


def kill_connections(server: Server, schema: str) -> None:
    for (id,) in server.rows(f"SELECT id FROM information_schema.processlist WHERE db = '{schema}'"):
        server.script([f"KILL {id}"])


@pytest.mark.parametrize("end", ["COMMIT", "SELECT id FROM person WHERE id = 1", "SAVEPOINT s", "ROLLBACK TO a"])
def test_a_branch_lost_while_idle_takes_the_others_with_it(town: Town, end: str) -> None:
    with closing(town.connect(autocommit=True)) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SAVEPOINT a")
        cursor.execute(BOTH)
        kill_connections(town.servers[0], "town_0")
        time.sleep(0.05)
        with pytest.raises(pymysql.MySQLError, match="rolled back"):
            cursor.execute(end)
        cursor.execute("ROLLBACK")
        assert town.persons() == {}
        cursor.execute(BOTH)
    assert len(town.persons()) == 2
    assert settled(town) == {}


def test_a_deadlock_ends_the_transaction_on_every_shard(town: Town) -> None:
    with closing(town.connect(autocommit=True)) as one, closing(town.connect(autocommit=True)) as other:
        a, b = one.cursor(), other.cursor()
        a.execute("INSERT INTO person (id, name) VALUES (1, 'a'), (2, 'b'), (5, 'c')")
        for cursor, id in ((a, 1), (b, 5)):
            cursor.execute("BEGIN")
            cursor.execute(f"INSERT INTO person (id) VALUES ({id + 1000}), ({id + 1001})")
            cursor.execute(f"UPDATE person SET age = 1 WHERE id = {id}")
        failures: list[pymysql.MySQLError] = []

        def wait_for_other() -> None:
            try:
                a.execute("UPDATE person SET age = 2 WHERE id = 5")
            except pymysql.MySQLError as error:
                failures.append(error)

        thread = threading.Thread(target=wait_for_other)
        thread.start()
        time.sleep(0.2)
        try:
            b.execute("UPDATE person SET age = 2 WHERE id = 1")
        except pymysql.MySQLError as error:
            failures.append(error)
            loser, winner, base = b, a, 1
        else:
            loser, winner, base = a, b, 5
        thread.join()
        assert [failure.args[0] for failure in failures] == [1213]
        winner.execute("COMMIT")
        loser.execute("INSERT INTO person (id, name) VALUES (77, 'after')")  # in autocommit again
        loser.execute("ROLLBACK")
    assert sorted(town.persons()) == sorted([1, 2, 5, 77, base + 1000, base + 1001])


def test_a_lock_wait_timeout_undoes_the_statement_everywhere_and_nothing_else(town: Town) -> None:
    with closing(town.connect(autocommit=True)) as one, closing(town.connect(autocommit=True)) as other:
        a, b = one.cursor(), other.cursor()
        a.execute("INSERT INTO person (id, age) VALUES (1, 0), (2, 0), (3, 0), (4, 0)")
        a.execute("BEGIN")
        a.execute("UPDATE person SET age = 1 WHERE id = 1")
        b.execute("SET innodb_lock_wait_timeout = 1")
        b.execute("BEGIN")
        b.execute("UPDATE person SET age = 3 WHERE id = 2")
        with pytest.raises(pymysql.MySQLError) as raised:
            b.execute("UPDATE person SET age = 2 WHERE id < 4")
        assert raised.value.args[0] == 1205
        a.execute("COMMIT")
        b.execute("COMMIT")
        b.execute("SELECT id, age FROM person ORDER BY id")
        assert b.fetchall() == ((1, 1), (2, 3), (3, 0), (4, 0))


@pytest.mark.parametrize(
    "sql", ["SELECT nosuch FROM person", "SELECT 1 FROM person WHERE nosuch() = 1", "UPDATE person SET nosuch = 1"]
)
def test_an_error_of_a_scattered_statement_keeps_the_transaction(town: Town, sql: str) -> None:
    with closing(town.connect(autocommit=True)) as connection, connection.cursor() as cursor:
        for _ in range(5):
            cursor.execute("DELETE FROM person")
            cursor.execute("BEGIN")
            cursor.execute(BOTH)
            with pytest.raises(pymysql.MySQLError):
                cursor.execute(sql)
            cursor.execute("SELECT COUNT(*) FROM person")
            assert cursor.fetchall() == ((2,),)
            cursor.execute("COMMIT")
            assert len(town.persons()) == 2
