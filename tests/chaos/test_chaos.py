"""``make test-chaos``: transactions over three shards and two meshes while a nemesis is at work; then the invariants.

DBMESH_SEED chooses the first seed, DBMESH_SEEDS how many, DBMESH_CHAOS_SECONDS how long each run is. A seed decides
what is tried and in which order; what meets what is the machine's.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pymysql
import pytest

from dbmesh.sandbox import Sandbox, Server
from tests.chaos.nemesis import Nemesis
from tests.chaos.workload import ACCOUNTS, PEOPLE, START, Attempt, Workload, of_shard, tables
from tests.crash.arena import OPEN, SHARDS, Arena, arena
from tests.crash.proving_ground import Proxy

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # PyMySQL: a login cut off
]
SECONDS = float(os.environ.get("DBMESH_CHAOS_SECONDS", "60"))
FIRST = int(os.environ.get("DBMESH_SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)
SEEDS = range(FIRST, FIRST + int(os.environ.get("DBMESH_SEEDS", "1")))
CLIENTS = 8
HEALING = 90.0  # seconds until everything must have ended
MODES = {
    "local": "SET dbmesh_transaction = 'local'",
    "base deferred": "SET dbmesh_transaction = 'base', dbmesh_base_mode = 'deferred'",
    "base eager": "SET dbmesh_transaction = 'base', dbmesh_base_mode = 'eager'",
    "xa": "SET dbmesh_transaction = 'xa'",
}
MORE_TABLES = "".join(
    f'  {name}: {{data_nodes: "ds_{{0..2}}.{name}", sharding: {{column: id, algorithm: mod}}, base: true}}\n'
    for name in ("person", "list", "counter")
)


@pytest.fixture
def stage(sandbox: Sandbox, servers: tuple[Server, Server]) -> Iterator[Arena]:
    shard, log = sandbox.start("chaos_2"), sandbox.start("chaos_log")
    sources = {"ds_0": (servers[0], "chaos_0"), "ds_1": (servers[1], "chaos_1"), "ds_2": (shard, "chaos_2"),
               "log": (log, "chaos_log")}  # fmt: skip
    folder = sandbox.folder / f"chaos_{time.monotonic_ns()}"
    with arena(sources, folder, MORE_TABLES) as made:
        for number, name in enumerate(SHARDS):
            server, schema = sources[name]
            server.script(tables(number), schema)
        yield made
    sandbox.discard("chaos_2")
    sandbox.discard("chaos_log")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_invariant_holds(stage: Arena, mode: str, seed: int) -> None:
    print(f"\nseed {seed}, {mode}, {SECONDS:g} s")
    nemesis = Nemesis(stage, seed, lethal=mode != "local")
    nemesis.start()
    chance = random.Random(f"connect {seed}")
    workload = Workload(lambda: connect(chance.choice(nemesis.meshes)), MODES[mode], seed)
    workload.start(CLIENTS)
    time.sleep(SECONDS)
    nemesis.stop()
    print("; ".join(nemesis.acts))
    workload.stop(HEALING)
    told = Counter(attempt.told for attempt in workload.attempts)
    print(dict(told))
    print(Counter(re.sub(r"dm-\S+|\d{3,}", "…", attempt.why)[:100] for attempt in workload.attempts).most_common(12))
    for proxy in stage.proxies:
        log = proxy.log.read_text()
        assert "Traceback" not in log, log[log.index("Traceback") - 300 :][:4000]
    settle(stage)
    assert told["OK"] > SECONDS / 2
    verify(stage, workload.attempts)


def connect(mesh: Proxy) -> Any:
    return pymysql.connect(
        unix_socket=mesh.socket, user="app", password="secret", database="bank", autocommit=True, read_timeout=60
    )


def settle(stage: Arena) -> None:
    """I8: with all servers up every transaction ends by itself, and nothing needs a human."""
    until = time.monotonic() + HEALING
    while stage.ask("log", OPEN):
        assert time.monotonic() < until, stage.ask("log", OPEN)
        time.sleep(0.2)
    assert stage.ask("log", "SELECT gtrid, last_error FROM LOG.g_tx WHERE state = 'PARKED'") == []
    for name in SHARDS:
        while stage.ask(name, "XA RECOVER"):
            assert time.monotonic() < until, stage.ask(name, "XA RECOVER")
            time.sleep(0.2)
    time.sleep(1.0)  # what clients have left open is rolled back as soon as that is noticed


def verify(stage: Arena, attempts: list[Attempt]) -> None:
    """I1 to I7 of the shards as they are now, told for each transaction."""
    lines = [{line for (line,) in stage.ask(name, "SELECT line FROM ledger")} for name in SHARDS]
    committed: list[Attempt] = []
    for attempt in attempts:
        there = [attempt.token in lines[shard] for shard in attempt.shards]
        assert all(there) or not any(there), f"half of it is there: {attempt} {there}"  # I5
        if attempt.told != "unknown":
            assert all(there) is (attempt.told == "OK"), f"not as told: {attempt} {there}"  # I6
        committed += [attempt] if all(there) else []
    verify_rows(stage, committed)
    verify_records(stage)


def verify_rows(stage: Arena, committed: list[Attempt]) -> None:
    balances = [int(row[0]) for name in SHARDS for row in stage.ask(name, "SELECT balance FROM account")]
    assert sum(balances) == START * len(balances)  # I1
    assert min(balances) >= 0  # I2
    assert len(balances) >= ACCOUNTS
    for shard, name in enumerate(SHARDS):
        people = {row[0] for row in stage.ask(name, "SELECT name FROM person")}
        assert people == {f"name {of_shard(shard, number)}" for number in range(PEOPLE)}  # I9
        [(count,)] = stage.ask(name, "SELECT n FROM counter")
        assert count == sum(shard in a.shards for a in committed if a.kind == "count")  # I3
    sets = [re.findall(r"t\d+\.", str(stage.ask(name, "SELECT items FROM list")[0][0])) for name in SHARDS]
    for shard, items in enumerate(sets):
        assert Counter(items) == Counter(a.token for a in committed if a.kind == "append" and shard in a.shards)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        place = {token: number for number, token in enumerate(sets[other])}
        order = [place[token] for token in sets[one] if token in place]
        assert all(before < after for before, after in pairwise(order)), "two transactions are before each other"


def verify_records(stage: Arena) -> None:
    """I4: no branch contradicts its transaction's end; I7: no lock is left."""
    states = {gtrid: state for gtrid, state, _ in stage.transactions()}
    for name in SHARDS:
        with suppress(pymysql.err.ProgrammingError):  # no BASE transaction has ever been here
            assert stage.ask(name, f"SELECT * FROM LOG.row_lock WHERE ds = '{name}'") == []
            for gtrid, state in stage.ask(name, f"SELECT gtrid, state FROM LOG.branch WHERE ds = '{name}'"):
                wrong = {"COMMITTED": ("COMPENSATED", "ABORTED"), "ROLLED_BACK": ("COMMITTED", "DONE")}
                assert state not in wrong[states[gtrid.decode()]], (gtrid, state, states[gtrid.decode()])
