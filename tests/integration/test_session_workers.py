"""Several worker processes are one mesh to its clients: they reload together, and drain together."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from dbmesh.frontend.sessions import WORKER_IDS
from dbmesh.sandbox import Sandbox
from dbmesh.sandbox.endpoint import Account
from dbmesh.sandbox.mesh import Mesh
from tests.integration.conftest import EMPTY_RULES, MESH_RULES, TOWN_RULES, Town, write_rules


@pytest.fixture
def pair(town: Town, sandbox: Sandbox) -> Iterator[Mesh]:
    """A mesh of two workers over the town's schemas."""
    rules = write_rules(sandbox.folder / "pair", town.servers, mesh=MESH_RULES, town=TOWN_RULES, empty=EMPTY_RULES)
    mesh = Mesh(sandbox.folder / "pair_mesh", rules, Account("app", "secret"), options=["--workers", "2"])
    mesh.start()
    yield mesh
    mesh.close()


def databases(mesh: Mesh) -> set[str]:
    with closing(mesh.connection(user="admin", password="secret")) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW DATABASES")
        return {row[0] for row in cursor.fetchall()}


def ask_until_refused(cursor: Any) -> None:
    for _ in range(100):
        cursor.execute("SELECT 1")
        time.sleep(0.05)


def test_a_reload_by_sql_reaches_every_worker(pair: Mesh) -> None:
    text = (pair.rules / "empty.yaml").read_text()
    (pair.rules / "more.yaml").write_text(text.replace("database: empty", "database: more").replace("ds_empty", "ds_x"))
    with closing(pair.connection(user="admin", password="secret")) as connection, connection.cursor() as cursor:
        cursor.execute("RELOAD MESH RULES")
    end = time.monotonic() + 10
    seen: list[bool] = []
    while time.monotonic() < end and not (len(seen) >= 20 and all(seen[-20:])):
        seen.append("more" in databases(pair))
    assert all(seen[-20:])


def closed(connection: Connection[Any], seconds: float = 5.0) -> bool:
    """Whether the mesh closes the connection within that time."""
    end = time.monotonic() + seconds
    try:
        with connection.cursor() as cursor:
            while time.monotonic() < end:
                cursor.execute("SELECT 1")
                time.sleep(0.02)
    except (pymysql.MySQLError, OSError):
        return True
    return False


def test_a_transaction_keeps_its_rules_and_connections_over_a_reload(pair: Mesh, town: Town) -> None:
    with closing(pair.connection("town", user="app", password="secret", autocommit=True)) as connection:
        cursor = connection.cursor()
        cursor.execute("BEGIN")
        cursor.execute("INSERT INTO person (id, name) VALUES (1, 'one')")
        rules = pair.rules / "mesh.yaml"
        rules.write_text(rules.read_text().replace("size: 6", "size: 5"))  # every pool is made anew
        assert pair.pid is not None
        os.kill(pair.pid, signal.SIGHUP)
        wait_for_pool_size(pair, 5)
        cursor.execute("INSERT INTO person (id, name) VALUES (2, 'two')")  # on a server that it has not met yet
        cursor.execute("SELECT COUNT(*) FROM person")
        assert cursor.fetchall() == ((2,),)
        cursor.execute("COMMIT")
        cursor.execute("SELECT COUNT(*) FROM person")
    assert town.persons() == {1: "one", 2: "two"}


def wait_for_pool_size(mesh: Mesh, size: int, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    seen: list[int] = []
    while seen[-10:] != [size] * 10 and time.monotonic() < end:
        with closing(mesh.connection(user="admin", password="secret")) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW MESH POOLS")
            seen.append(int(cursor.fetchall()[0][1]))
    assert seen[-1] == size


def spread(mesh: Mesh, **account: str) -> dict[int, Connection[Any]]:
    """A client of each of two workers, by its number."""
    found: dict[int, Connection[Any]] = {}
    for _ in range(200):
        connection = mesh.connection("town", **account)
        worker = connection.thread_id() // WORKER_IDS
        if worker in found:
            connection.close()
        else:
            found[worker] = connection
        if len(found) == 2:
            break
    assert sorted(found) == [0, 1]
    return found


def ids(connection: Connection[Any], sql: str) -> set[int]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return {int(row[0]) for row in cursor.fetchall()}


@pytest.mark.parametrize(
    "sql", ["SHOW PROCESSLIST", "SELECT id FROM information_schema.PROCESSLIST", "SHOW MESH SESSIONS"]
)
def test_the_process_list_has_the_sessions_of_all_workers(pair: Mesh, sql: str) -> None:
    admins = spread(pair, user="admin", password="secret")
    strangers = spread(pair, user="app", password="secret")
    everybody = {connection.thread_id() for connection in (*admins.values(), *strangers.values())}
    own = {connection.thread_id() for connection in strangers.values()}
    for number in (0, 1):
        assert ids(admins[number], sql) == everybody
        if "MESH" not in sql:
            assert ids(strangers[number], sql) == own
    for connection in (*admins.values(), *strangers.values()):
        connection.close()


def test_kill_reaches_the_sessions_of_all_workers(pair: Mesh) -> None:
    clients, others = spread(pair, user="app", password="secret"), spread(pair, user="plain", password="secret")
    killer, victim, stranger = clients[0], clients[1], others[1]
    with killer.cursor() as cursor, ThreadPoolExecutor(1) as pool:
        sleeping = pool.submit(victim.query, "SELECT SLEEP(30)")
        wait_for_sleep(killer, victim.thread_id())
        cursor.execute(f"KILL QUERY {victim.thread_id()}")
        with suppress(pymysql.MySQLError):  # SLEEP() may also answer that it was interrupted
            sleeping.result(10)
        assert ids(victim, "SELECT 7") == {7}
        for number, errno in ((stranger.thread_id(), 1095), (WORKER_IDS + 10**6, 1094), (7 * WORKER_IDS + 1, 1094)):
            with pytest.raises(pymysql.MySQLError) as error:
                cursor.execute(f"KILL {number}")
            assert error.value.args[0] == errno
        cursor.execute(f"KILL {victim.thread_id()}")
        assert closed(victim)
        assert ids(stranger, "SELECT 8") == {8}
    for connection in (killer, *others.values()):
        connection.close()


def wait_for_sleep(connection: Connection[Any], id: int) -> None:
    with connection.cursor() as cursor:
        for _ in range(500):
            cursor.execute("SHOW PROCESSLIST")
            if any(row[0] == id and row[4] == "Query" for row in cursor.fetchall()):
                return
            time.sleep(0.02)
    pytest.fail("it does not run")


def workers_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_worker_that_dies_is_replaced_and_the_socket_stays(pair: Mesh) -> None:
    assert pair.pid is not None
    before = workers_of(pair.pid)
    assert len(before) == 2
    os.kill(before[0], signal.SIGKILL)
    end = time.monotonic() + 10
    while len(set(workers_of(pair.pid)) - set(before)) < 1 and time.monotonic() < end:
        time.sleep(0.05)
    assert len(workers_of(pair.pid)) == 2
    for _ in range(10):
        with closing(pymysql.connect(unix_socket=str(pair.socket), user="app", password="secret")) as connection:
            connection.ping(reconnect=False)


def test_sigterm_lets_an_open_transaction_end(pair: Mesh, town: Town) -> None:
    assert pair.pid is not None
    with closing(pair.connection("town", user="app", password="secret", autocommit=True)) as connection:
        cursor = connection.cursor()
        cursor.execute("BEGIN")
        cursor.execute("INSERT INTO person (id, name) VALUES (1, 'one'), (2, 'two')")
        os.kill(pair.pid, signal.SIGTERM)
        time.sleep(0.3)
        cursor.execute("UPDATE person SET age = 1")
        cursor.execute("COMMIT")
        assert town.persons() == {1: "one", 2: "two"}
        assert closed(connection)
    status = Path(f"/proc/{pair.pid}/stat")
    end = time.monotonic() + 10
    while status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z" and time.monotonic() < end:
        time.sleep(0.02)
    assert pair.stop() == 0
