"""Deadlocks that no server sees: two sessions, each with a row on one shard and waiting for one on the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pymysql
import pytest

from dbmesh.cli.live import live_mistakes
from dbmesh.sandbox import Server
from dbmesh.transaction.deadlocks import Deadlocks
from dbmesh.transaction.link import Links
from tests.conftest import MakeSchema
from tests.integration.conftest import Town
from tests.integration.saga_world import rules_of

FAST = 3.0  # seconds; the servers' own timeout is 50


class Client:
    """A session whose statements may be waited for. ``error``: what its last one got, None for success."""

    def __init__(self, town: Town) -> None:
        self.connection = town.connect()
        self.error: int | None = None
        self._thread = threading.Thread()
        self._thread.start()

    def run(self, *statements: str) -> None:
        with self.connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def begin(self, *statements: str) -> None:
        """Run these in the background; `ended` waits for them."""
        self._thread = threading.Thread(target=self._try, args=statements)
        self._thread.start()

    def _try(self, *statements: str) -> None:
        self.error = None
        try:
            self.run(*statements)
        except pymysql.MySQLError as error:
            self.error = error.args[0]

    def ended(self, seconds: float = FAST) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()


@pytest.fixture
def clients(town: Town) -> Iterator[tuple[Client, Client]]:
    found = Client(town), Client(town)
    found[0].run("INSERT INTO note VALUES (10, 'a'), (11, 'b'), (20, 'c'), (21, 'd')",
                 "INSERT INTO person (id, age) VALUES (0, 1), (1, 1), (2, 1), (3, 1)")  # fmt: skip
    yield found
    for client in found:
        with closing(client.connection):
            client.ended(60)


def note(number: int, text: str = "x") -> str:
    return f"UPDATE note SET body = CONCAT(body, '{text}') WHERE note_id = {number}"


def notes(town: Town) -> dict[Any, Any]:
    return {row[0]: row[1] for rows in town.shards("SELECT note_id, body FROM note") for row in rows}


def test_the_one_that_did_less_is_rolled_back_everywhere(town: Town, clients: tuple[Client, Client]) -> None:
    busy, idle = clients
    busy.run("BEGIN", note(10), note(20), note(20))
    idle.run("BEGIN", note(11), "INSERT INTO note VALUES (30, 'mine')")
    begun = time.monotonic()
    busy.begin(note(11, "y"))
    time.sleep(0.05)
    idle.begin(note(10, "z"))
    assert busy.ended()
    assert idle.ended(1)
    assert time.monotonic() - begun < FAST
    assert (busy.error, idle.error) == (None, 1213)
    with idle.connection.cursor() as cursor:  # it is out of its transaction
        cursor.execute("SELECT body FROM note WHERE note_id = 30")
        assert cursor.fetchall() == ()
        cursor.execute(note(21))
    busy.run("COMMIT")
    assert notes(town) == {10: "ax", 11: "by", 20: "cxx", 21: "dx"}


WAITING = (
    "UPDATE person SET age = age + 1 WHERE id = {}",
    "SELECT age FROM person WHERE id = {} FOR UPDATE",
    "SELECT age FROM person WHERE id IN ({}, 100, 101, 102, 103) FOR UPDATE",
    "UPDATE person SET age = age + 1 WHERE id IN ({}, 100, 101, 102, 103)",
)


@pytest.mark.parametrize("mode", ["local", "base", "xa"])
@pytest.mark.parametrize("waiting", WAITING)
def test_whatever_waits_is_told(town: Town, clients: tuple[Client, Client], waiting: str, mode: str) -> None:
    for number, client in zip((2, 0), clients, strict=True):
        client.run(f"SET dbmesh_transaction = '{mode}'", "BEGIN", f"UPDATE person SET age = 7 WHERE id = {number}")
    clients[0].begin(waiting.format(0))
    clients[1].begin(waiting.format(2))
    assert clients[0].ended()
    assert clients[1].ended()
    assert sorted((clients[0].error or 0, clients[1].error or 0)) == [0, 1213]
    winner = clients[0] if clients[0].error is None else clients[1]
    winner.run("ROLLBACK")
    for client in clients:
        client.run("UPDATE person SET age = age + 1")
    ages = [row for rows in town.shards("SELECT age FROM person_0 UNION ALL SELECT age FROM person_1") for row in rows]
    assert ages == [(3,)] * 4


def test_a_prepared_statement_is_told(clients: tuple[Client, Client]) -> None:
    for number, client in enumerate(clients):
        client.run("SET @n = 1", "PREPARE p FROM 'UPDATE note SET body = ? WHERE note_id = ?'",
                   "BEGIN", note(10 + number))  # fmt: skip
    clients[0].begin("SET @n = 11", "EXECUTE p USING @n, @n")
    clients[1].begin("SET @n = 10", "EXECUTE p USING @n, @n")
    assert clients[0].ended()
    assert clients[1].ended()
    assert sorted((clients[0].error or 0, clients[1].error or 0)) == [0, 1213]


def test_one_statement_over_both_shards_and_a_transaction(town: Town, clients: tuple[Client, Client]) -> None:
    """An autocommit write holds the first shard's rows while it waits for the second's."""
    transaction, alone = clients
    transaction.run("BEGIN", note(11), note(21))
    alone.begin("UPDATE note SET body = 'all'")
    time.sleep(0.1)
    transaction.begin(note(10))
    assert alone.ended()
    assert transaction.ended(1)
    assert (transaction.error, alone.error) in ((None, 1213), (1213, None))
    transaction.run("COMMIT")
    expected = {10: "ax", 11: "bx", 20: "c", 21: "dx"} if alone.error else dict.fromkeys((10, 11, 20, 21), "all")
    assert notes(town) == expected


def test_a_long_wait_without_a_cycle_is_left_alone(town: Town, clients: tuple[Client, Client]) -> None:
    holder, waiter = clients
    holder.run("BEGIN", note(10), note(11))
    waiter.run("BEGIN", note(20), note(21))
    waiter.begin(note(11))
    assert not waiter.ended(1.5)
    holder.run("COMMIT")
    assert waiter.ended()
    assert waiter.error is None
    waiter.run("COMMIT")
    assert notes(town) == {10: "ax", 11: "bxx", 20: "cx", 21: "dx"}


async def test_an_account_that_may_not_see_lock_waits(
    servers: tuple[Server, Server], make_schema: MakeSchema, caplog: pytest.LogCaptureFixture
) -> None:
    schemas = {
        f"blind_{number}": (server, make_schema(server, f"blind_{number}")) for number, server in enumerate(servers)
    }
    for name, (server, _) in schemas.items():
        server.script(["DROP USER IF EXISTS blind", f"CREATE USER blind IDENTIFIED BY '{server.account.password}'",
                       f"GRANT ALL ON {name}.* TO blind"])  # fmt: skip
    rules = rules_of(schemas)
    rules = replace(rules, data_sources={n: replace(ds, user="blind") for n, ds in rules.data_sources.items()})
    found = await live_mistakes(rules)
    assert [line.partition(",")[0] for line in found] == [
        f"data source blind_{number}: deadlocks over several servers are not seen" for number in range(2)
    ]
    assert all("privilege PROCESS" in line and "deadlock_timeout: 0" in line for line in found)
    links = Links(rules.data_sources)
    deadlocks = Deadlocks(links, "x", 0.05)
    for _ in range(2):
        assert await deadlocks._ask({source.address for source in rules.data_sources.values()}) == []
    assert sorted(record.message.partition(",")[0] for record in caplog.records) == [
        f"deadlocks with data source blind_{number} are not seen" for number in range(2)
    ]
    await links.close()
    for server in servers:
        server.script(["DROP USER blind"])
