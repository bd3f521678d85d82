"""Twenty clients that do anything, vanish and kill each other: nothing may be lost, left over or answered twice."""

from __future__ import annotations

import os
import random
import struct
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

import pymysql
from pymysql.connections import Connection

from tests.integration.conftest import Town
from tests.integration.test_session_pools import settled

SECONDS = float(os.environ.get("DBMESH_STRESS_SECONDS", "8"))
CLIENTS = 20
LOCAL, SAGA = range(1, 41), range(101, 141)  # rows of `local` transactions and of sagas
STAKE = 1000
IMPATIENT = "SET innodb_lock_wait_timeout = 1"
EXPECTED = {
    1205, 1213, 1317, 1040, 1046, 1054, 1064, 1062, 1235, 1146, 1193, 1305, 1792, 1049, 1094, 1105, 1568,
    2013, 2006, 0,
}  # fmt: skip


class Wrong(Exception):
    """An answer that belongs to another question."""


def transfer(connection: Connection[Any], rows: range, dice: random.Random) -> None:
    one, other = dice.sample(rows, 2)
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(f"UPDATE person SET age = age - 1 WHERE id = {one}")
        if dice.random() < 0.3:
            cursor.execute("SELECT id, name FROM person ORDER BY name, id")
        if dice.random() < 0.2:
            with suppress(pymysql.ProgrammingError, pymysql.NotSupportedError):
                cursor.execute("SELECT nosuch FROM person")
        cursor.execute(f"UPDATE person SET age = age + 1 WHERE id = {other}")
        cursor.execute(dice.choice(["COMMIT", "COMMIT", "COMMIT", "ROLLBACK"]))


def saga(connection: Connection[Any], dice: random.Random) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET dbmesh_transaction = 'base', dbmesh_base_mode = '{dice.choice(['eager', 'deferred'])}'")
        try:
            transfer(connection, SAGA, dice)
        finally:
            with suppress(pymysql.MySQLError):
                cursor.execute("ROLLBACK")
                cursor.execute("SET dbmesh_transaction = 'local'")


def savepoints(connection: Connection[Any], dice: random.Random) -> None:
    one, other = dice.sample(LOCAL, 2)
    with connection.cursor() as cursor:
        cursor.execute("START TRANSACTION")
        cursor.execute(f"UPDATE person SET age = age - 1 WHERE id = {one}")
        cursor.execute("SAVEPOINT a")
        cursor.execute(f"UPDATE person SET age = age + 5 WHERE id IN ({one}, {other})")
        cursor.execute("ROLLBACK TO a")
        cursor.execute(f"UPDATE person SET age = age + 1 WHERE id = {other}")
        cursor.execute("COMMIT")


def several_shards(connection: Connection[Any], dice: random.Random) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE person SET name = CONCAT('n', {dice.randrange(9)}) WHERE id < 40")


def wait(connection: Connection[Any], dice: random.Random) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            dice.choice(["SELECT SLEEP(0.3)", "SELECT SLEEP(0.3) FROM person WHERE id = 1", "DO SLEEP(0.2)"])
        )


STATEMENTS = [
    "SELECT * FROM person WHERE id = 7",
    "SELECT * FROM person ORDER BY name DESC, id LIMIT 3",
    "SELECT name, COUNT(*), AVG(id) FROM person GROUP BY name",
    "SELECT 1/0 FROM person WHERE id = 3",
    "SELECT id, 1/0 FROM person ORDER BY id",
    "SELECT nosuch FROM person WHERE id = 3",
    "SELECT nosuch FROM person",
    "SELEC 1",
    "SHOW TABLES",
    "SHOW WARNINGS",
    "SHOW FULL PROCESSLIST",
    "DESCRIBE person",
    "SET sql_mode = ''",
    "SET sql_mode = DEFAULT",
    "SET @a = 1, @b = CONCAT('x', 'y')",
    "SET max_sort_length = 1024, nosuch = 1",
    "SET NAMES latin1",
    "SET NAMES utf8mb4",
    "SET autocommit = 0",
    "SET autocommit = 1",
    "INSERT INTO note (body) VALUES ('a'), ('b'), ('c')",
    "INSERT INTO note (note_id, body) VALUES (1, 'again')",
    "DELETE FROM note WHERE body = 'a'",
    "EXPLAIN SELECT * FROM person WHERE id = 1",
    "EXPLAIN FORMAT=MESH SELECT * FROM person",
]


def anything(connection: Connection[Any], dice: random.Random) -> None:
    with connection.cursor() as cursor:
        cursor.execute(dice.choice(STATEMENTS))


def vanish(connection: Connection[Any], dice: random.Random) -> None:
    """Send several commands at once, and go without reading their answers."""
    texts = dice.choices(STATEMENTS, k=4)
    if dice.random() < 0.5:  # a transaction that nobody commits
        kept = [text for text in texts if not text.startswith("SET autocommit")]
        texts = ["BEGIN", "UPDATE person SET age = age - 7 WHERE id = 9", *kept]
    packets = [b"\x03" + text.encode() for text in texts]
    sock = connection._sock  # type: ignore[attr-defined]
    sock.sendall(b"".join(struct.pack("<I", len(p))[:3] + b"\0" + p for p in packets))
    time.sleep(dice.random() * 0.02)
    connection._force_close()


def reset(connection: Connection[Any], dice: random.Random) -> None:
    connection._execute_command(0x1F, b"")
    connection._read_packet()


ACTIONS: list[tuple[int, Callable[[Connection[Any], random.Random], None]]] = [
    (6, lambda connection, dice: transfer(connection, LOCAL, dice)),
    (2, saga),
    (3, savepoints),
    (3, several_shards),
    (2, wait),
    (12, anything),
    (2, vanish),
    (1, reset),
]


def client(town: Town, seed: int, end: float, wrong: list[str]) -> None:
    dice = random.Random(seed)
    weights, actions = zip(*ACTIONS, strict=True)
    connection: Connection[Any] | None = None
    while time.monotonic() < end:
        try:
            if connection is None or not connection.open or dice.random() < 0.02:
                if connection is not None:
                    with suppress(pymysql.MySQLError):
                        connection.close()
                # two transactions that wait for each other on two servers are ended by that time alone
                connection = town.connect(autocommit=True, read_timeout=20, init_command=IMPATIENT)
            dice.choices(actions, weights)[0](connection, dice)
        except pymysql.MySQLError as error:
            note(error, wrong)
        except OSError:
            connection = None
        if connection is not None and connection.open:
            check(connection, dice, wrong)
    if connection is not None and connection.open:
        connection._force_close() if dice.random() < 0.5 else connection.close()


def note(error: Exception, wrong: list[str]) -> None:
    if isinstance(error, pymysql.MySQLError) and error.args:
        number, *text = error.args
        if number not in EXPECTED or "Internal error" in str(text):
            wrong.append(str(error.args))


def check(connection: Connection[Any], dice: random.Random, wrong: list[str]) -> None:
    """The next answer is the next question's."""
    token = dice.randrange(1 << 30)
    try:
        with connection.cursor() as cursor:
            cursor.execute("ROLLBACK")
            cursor.execute(f"SELECT {token}")
            if cursor.fetchall() != ((token,),):
                wrong.append(f"asked for {token}, got {cursor._rows}")
    except pymysql.InternalError as error:
        wrong.append(f"after an action: {error.args}")
    except (pymysql.MySQLError, OSError) as error:
        note(error, wrong)


def killer(town: Town, seed: int, end: float) -> None:
    dice = random.Random(seed)
    with closing(town.connect("admin", autocommit=True)) as connection, connection.cursor() as cursor:
        while time.monotonic() < end:
            time.sleep(dice.random() * 0.02)
            cursor.execute("SHOW PROCESSLIST")
            ids = [row[0] for row in cursor.fetchall() if row[1] != "admin"]
            if ids:
                with suppress(pymysql.MySQLError):
                    cursor.execute(f"KILL {dice.choice(['QUERY', 'QUERY', 'QUERY', 'CONNECTION'])} {dice.choice(ids)}")


def total(town: Town, rows: range) -> int:
    sql = "SELECT SUM(age) FROM (SELECT id, age FROM person_0 UNION ALL SELECT id, age FROM person_1) p WHERE id IN "
    return sum(int(found[0][0] or 0) for found in town.shards(sql + str(tuple(rows))))


def unfinished(town: Town) -> list[str]:
    with closing(town.connect("admin")) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW MESH TRANSACTIONS")
        return [row[2] for row in cursor.fetchall() if row[2] not in ("COMMITTED", "ROLLED_BACK")]


def test_nothing_is_lost_left_over_or_answered_twice(town: Town) -> None:
    seed = int(os.environ.get("DBMESH_STRESS_SEED", "0")) or random.randrange(1 << 30)
    print(f"DBMESH_STRESS_SEED={seed}")
    with closing(town.connect(autocommit=True)) as connection, connection.cursor() as cursor:
        for rows in (LOCAL, SAGA):
            cursor.execute(f"INSERT INTO person (id, age) VALUES {', '.join(f'({id}, {STAKE})' for id in rows)}")
    wrong: list[str] = []
    end = time.monotonic() + SECONDS
    threads = [threading.Thread(target=client, args=(town, seed + n, end, wrong)) for n in range(CLIENTS)]
    threads.append(threading.Thread(target=killer, args=(town, seed, end)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS + 30)
    assert [thread for thread in threads if thread.is_alive()] == []
    assert wrong == []
    assert settled(town, 15) == {}
    with closing(town.connect("admin")) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW PROCESSLIST")
        assert len(cursor.fetchall()) == 1
    assert total(town, LOCAL) == STAKE * len(LOCAL)
    end = time.monotonic() + 30
    while (left := unfinished(town)) and time.monotonic() < end:
        time.sleep(0.2)
    assert left == []
    assert total(town, SAGA) == STAKE * len(SAGA)
