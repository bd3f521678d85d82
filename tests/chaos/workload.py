"""Clients that move money, swap unique names, append to sets and count, over three shards; and what they were told."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pymysql

SHARDS = 3
PEOPLE = 6  # of one shard
ACCOUNTS = 30
START = 100
_UNDONE = (1213, 1105)  # a COMMIT that fails so is undone; after any other error nobody knows yet


@dataclass
class Attempt:
    """One transaction. ``token``: what it leaves behind on its ``shards``. ``told``: OK, undone or unknown."""

    number: int
    kind: str
    shards: tuple[int, ...]
    told: str = "undone"
    why: str = ""

    @property
    def token(self) -> str:
        return f"t{self.number}."


class Abandoned(Exception):
    """The client does not want to commit any more."""


@dataclass
class Workload:
    """``connect``: a new connection to some living mesh. Everything random comes from the seed."""

    connect: Callable[[], Any]
    settings: str
    seed: int
    attempts: list[Attempt] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    failures: list[BaseException] = field(default_factory=list)
    _numbers: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self, clients: int) -> None:
        for number in range(clients):
            chance = random.Random(f"{self.seed} {number}")
            self._threads.append(threading.Thread(target=self._client, args=(chance,)))
            self._threads[-1].start()

    def stop(self, seconds: float) -> None:
        self.stopping.set()
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.1, until - time.monotonic()))
            assert not thread.is_alive(), "a client hangs"
        for failure in self.failures:
            raise failure

    def _client(self, chance: random.Random) -> None:
        connection: Any = None
        try:
            while not self.stopping.is_set():
                if connection is None:
                    connection = self._connected(chance)
                    continue
                if not self._transaction(connection, chance):
                    connection._force_close()
                    connection = None
        except BaseException as error:
            self.failures.append(error)
        finally:
            if connection is not None:
                connection._force_close()

    def _connected(self, chance: random.Random) -> Any:
        connection: Any = None
        try:
            connection = self.connect()
            with connection.cursor() as cursor:
                cursor.execute(self.settings)
        except (pymysql.MySQLError, OSError):
            if connection is not None:
                connection._force_close()
            time.sleep(chance.uniform(0.05, 0.2))
            return None
        return connection

    def _transaction(self, connection: Any, chance: random.Random) -> bool:
        """Whether the connection can be used for another."""
        shards = tuple(sorted(chance.sample(range(SHARDS), chance.choice((2, 2, 3)))))
        kind = chance.choice(("bank", "swap", "append", "count"))
        with self._lock:
            self._numbers += 1
            attempt = Attempt(self._numbers, kind, shards)
            self.attempts.append(attempt)
        asked = False
        try:
            with connection.cursor() as cursor:
                cursor.execute("BEGIN")
                WORK[kind](cursor, attempt, chance)
                _note(cursor, attempt)
                if chance.random() < 0.1:
                    raise Abandoned
                asked = True
                cursor.execute("COMMIT")
                attempt.told = "OK"
                return True
        except Abandoned:
            return chance.random() < 0.5 and self._rolled_back(connection)  # else the client just goes
        except pymysql.MySQLError as error:
            attempt.why = str(error.args)
            if asked and error.args[0] not in _UNDONE:
                attempt.told = "unknown"
            return error.args[0] not in (0, 2003, 2006, 2013) and self._rolled_back(connection)
        except OSError as error:
            attempt.why = str(error)
            if asked:
                attempt.told = "unknown"
            return False

    def _rolled_back(self, connection: Any) -> bool:
        with suppress(pymysql.MySQLError, OSError):
            with connection.cursor() as cursor:
                cursor.execute("ROLLBACK")
            return True
        return False


def of_shard(shard: int, number: int) -> int:
    """The key of that number on a shard."""
    return number * SHARDS + shard


def _note(cursor: Any, attempt: Attempt) -> None:
    """I5: every transaction leaves a line on each of its shards."""
    rows = ", ".join(f"({of_shard(shard, attempt.number)}, '{attempt.token}')" for shard in attempt.shards)
    cursor.execute(f"INSERT INTO ledger (id, line) VALUES {rows}")


def _bank(cursor: Any, attempt: Attempt, chance: random.Random) -> None:
    """Money from the first account to the others, if it has that much."""
    giver, *takers = [of_shard(shard, chance.randrange(ACCOUNTS)) for shard in chance.sample(attempt.shards, 2)]
    amount = chance.randint(1, 60)
    moved = cursor.execute(
        f"UPDATE account SET balance = balance - {amount} WHERE id = {giver} AND balance >= {amount}"
    )
    if not moved:
        raise Abandoned
    for taker in takers:
        cursor.execute(f"UPDATE account SET balance = balance + {amount} WHERE id = {taker}")


def _swap(cursor: Any, attempt: Attempt, chance: random.Random) -> None:
    """Two people of each shard swap their unique names; or one of them is removed and comes back.

    They are written before they are read: eager mode shows what others may still undo, but not of rows that are ours.
    """
    for shard in attempt.shards:
        one, other = sorted(of_shard(shard, number) for number in chance.sample(range(PEOPLE), 2))
        if cursor.execute(f"UPDATE person SET turn = turn + 1 WHERE id IN ({one}, {other})") < 2:
            raise Abandoned  # one of them has just been removed
        cursor.execute(f"SELECT id, name FROM person WHERE id IN ({one}, {other}) ORDER BY id")
        names = dict(cursor.fetchall())
        if chance.random() < 0.3:
            cursor.execute(f"DELETE FROM person WHERE id = {one}")
            cursor.execute(f"INSERT INTO person (id, name) VALUES ({one}, '{names[one]}')")
            continue
        for id_, name in ((one, f"tmp {attempt.token}"), (other, names[one]), (one, names[other])):
            cursor.execute(f"UPDATE person SET name = '{name}' WHERE id = {id_}")


def _append(cursor: Any, attempt: Attempt, chance: random.Random) -> None:
    """The token goes to the end of one set on each shard."""
    for shard in attempt.shards:
        cursor.execute(f"UPDATE list SET items = CONCAT(items, '{attempt.token}') WHERE id = {shard}")


def _count(cursor: Any, attempt: Attempt, chance: random.Random) -> None:
    for shard in attempt.shards:
        cursor.execute(f"UPDATE counter SET n = n + 1 WHERE id = {shard}")


WORK: dict[str, Callable[[Any, Attempt, random.Random], None]] = {
    "bank": _bank, "swap": _swap, "append": _append, "count": _count,
}  # fmt: skip


def tables(shard: int) -> Sequence[str]:
    """What a shard has before anybody begins."""
    people = ", ".join(f"({of_shard(shard, n)}, 'name {of_shard(shard, n)}')" for n in range(PEOPLE))
    return (
        "CREATE TABLE person (id INT PRIMARY KEY, name VARCHAR(40) NOT NULL UNIQUE, turn INT NOT NULL DEFAULT 0)",
        f"INSERT INTO person (id, name) VALUES {people}",
        "CREATE TABLE list (id INT PRIMARY KEY, items MEDIUMTEXT NOT NULL)",
        f"INSERT INTO list VALUES ({shard}, '')",
        "CREATE TABLE counter (id INT PRIMARY KEY, n INT NOT NULL)",
        f"INSERT INTO counter VALUES ({shard}, 0)",
    )
