"""What a transaction costs in each mode: a transfer between two servers, and one on a single server, turn by turn.

Beside them the same statements sent to the servers straight, without the mesh and without any promise over both. The
servers flush their log at every COMMIT (innodb_flush_log_at_trx_commit=1). Every client has rows of its own.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dbmesh.sandbox import Account, Mesh, Sandbox, Server

USER = Account("bench", "bench-secret")
DATABASE = "bench"
SERVERS = 2
MOST_CLIENTS = 64
WARM_UP = 0.3  # seconds of each turn that do not count
DECLARED, PLAIN = "declared", "plain"  # tables with ``base: true`` and without


@dataclass(frozen=True, slots=True)
class Way:
    """How a transaction is run. ``mode``: of its session, '' for the servers straight. ``shards``: that it writes."""

    name: str
    mode: str
    table: str
    shards: int


LOCAL, DEFERRED, EAGER, XA = "local", "base deferred", "base eager", "xa"
WAYS = (
    Way("straight", "", PLAIN, 2),
    Way("local", LOCAL, PLAIN, 2),
    Way("local on a BASE table", LOCAL, DECLARED, 2),
    Way("xa", XA, PLAIN, 2),
    Way("base deferred", DEFERRED, DECLARED, 2),
    Way("base eager", EAGER, DECLARED, 2),
    Way("one shard, straight", "", PLAIN, 1),
    Way("one shard, local", LOCAL, PLAIN, 1),
    Way("one shard, local on a BASE table", LOCAL, DECLARED, 1),
    Way("one shard, base deferred", DEFERRED, DECLARED, 1),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One turn. ``p50``: milliseconds of a transaction; ``rate``: per second; ``asked``: statements that the servers
    were sent for each, all of them together."""

    p50: float
    rate: float
    asked: float


@dataclass(frozen=True, slots=True)
class Stage:
    """The mesh and its servers."""

    mesh: Mesh
    servers: Sequence[Server]

    def clients(self, way: Way, number: int) -> list[Callable[[], None]]:
        """Each runs one transaction when called."""
        return [self._through_the_mesh(way, n) if way.mode else self._straight(way, n) for n in range(number)]

    def _through_the_mesh(self, way: Way, number: int) -> Callable[[], None]:
        connection = self.mesh.connection(DATABASE, user=USER.user, password=USER.password)
        mode, _, base_mode = way.mode.partition(" ")
        changes = [_change(way.table, number, shard) for shard in range(way.shards)]

        def run() -> None:
            for statement in ("BEGIN", *changes, "COMMIT"):
                connection.query(statement)

        connection.query(f"SET dbmesh_transaction = '{mode}'")
        if base_mode:
            connection.query(f"SET dbmesh_base_mode = '{base_mode}'")
        return run

    def _straight(self, way: Way, number: int) -> Callable[[], None]:
        connections: list[Any] = [
            self.servers[shard].connection(f"bench_{shard}", autocommit=True) for shard in range(way.shards)
        ]

        def run() -> None:
            for shard, connection in enumerate(connections):
                connection.query("BEGIN")
                connection.query(_change(way.table, number, shard))
            for connection in connections:
                connection.query("COMMIT")

        return run

    def asked(self) -> int:
        """Statements that the servers have been sent since their start."""
        return sum(int(server.rows("SHOW GLOBAL STATUS LIKE 'Questions'")[0][1]) for server in self.servers)


def _change(table: str, client: int, shard: int) -> str:
    return f"UPDATE {table} SET balance = balance + {1 - 2 * shard} WHERE id = {client * SERVERS + shard}"


def measure(clients: int, rounds: int, seconds: float) -> dict[Way, list[Sample]]:
    """All ways, turn by turn."""
    found: dict[Way, list[Sample]] = {way: [] for way in WAYS}
    with stage() as made:
        running = {way: made.clients(way, clients) for way in WAYS}
        for _ in range(rounds):
            for way in WAYS:
                found[way].append(_turn(made, running[way], seconds))
    return found


def _turn(made: Stage, clients: Sequence[Callable[[], None]], seconds: float) -> Sample:
    taken: list[float] = []
    failures: list[BaseException] = []
    begun = time.perf_counter()
    counts, ends = begun + WARM_UP, begun + WARM_UP + seconds
    before = made.asked()
    ran = [0] * len(clients)

    def play(number: int, run: Callable[[], None]) -> None:
        try:
            while (start := time.perf_counter()) < ends:
                run()
                ran[number] += 1
                if start >= counts:
                    taken.append(time.perf_counter() - start)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=play, args=item) for item in enumerate(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    time.sleep(0.3)  # what a transaction does behind its client's OK belongs to it
    return Sample(statistics.median(taken) * 1000, len(taken) / seconds, (made.asked() - before) / sum(ran))


@contextmanager
def stage() -> Iterator[Stage]:
    """Two servers, the coordinator log on the first, and a mesh with one worker."""
    with Sandbox() as sandbox, ExitStack() as stack:
        servers = [sandbox.start(f"bank_{number}") for number in range(SERVERS)]
        for number, server in enumerate(servers):
            rows = ", ".join(f"({client * SERVERS + number}, 0)" for client in range(MOST_CLIENTS))
            server.script([f"CREATE DATABASE bench_{number}"])
            for table in (DECLARED, PLAIN):
                columns = "(id INT PRIMARY KEY, balance INT NOT NULL)"
                server.script(
                    [f"CREATE TABLE {table} {columns}", f"INSERT INTO {table} VALUES {rows}"], f"bench_{number}"
                )
        mesh = Mesh(sandbox.folder / "mesh", write_rules(sandbox.folder / "rules", servers), USER)
        mesh.start()
        stack.callback(mesh.close)
        yield Stage(mesh, servers)


def write_rules(folder: Path, servers: Sequence[Server]) -> Path:
    """Both tables over both servers."""
    folder.mkdir()
    mesh = {
        "users": {USER.user: {"password": USER.password, "databases": "*"}},
        "pools": {"size": 64},
        "transaction": {"log": "ds_0"},
    }
    sources = {
        f"ds_{n}": {"host": server.host, "port": server.port, "schema": f"bench_{n}", "user": server.account.user,
                    "password": server.account.password}
        for n, server in enumerate(servers)
    }  # fmt: skip
    sharding = {"algorithm": "mod", "column": "id"}
    tables = {
        table: {"data_nodes": f"ds_{{0..{SERVERS - 1}}}.{table}", "sharding": sharding, "base": table == DECLARED}
        for table in (DECLARED, PLAIN)
    }
    (folder / "mesh.yaml").write_text(yaml.safe_dump(mesh))
    (folder / f"{DATABASE}.yaml").write_text(
        yaml.safe_dump({"database": DATABASE, "data_sources": sources, "tables": tables})
    )
    return folder
