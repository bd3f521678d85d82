"""Meshes to be killed, clients that are in the middle of a BASE transaction, and what must be true afterwards.

Every lane is one client with rows of its own on both shards, served by a `dbmesh serve` process of its own; several
lanes run side by side so that many kills share one wait for the recovery.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql

from dbmesh.errors import Deadlock
from dbmesh.sandbox import Server
from tests.integration.conftest import write_rules
from tests.integration.saga_world import dump

SCHEMA = "_crash"
LANES = 6
STRIDE = 1000  # ids of one lane
SECONDS = 20.0
MESH = """
listeners: ["127.0.0.1:0"]
users:
  app: {password: secret, databases: [bank]}
transaction: {log: ds_0, schema: _crash, lease: 1, sweep: 0.15, deadline: 15, lock_wait: 1}
"""
BANK = """
database: bank
data_sources:
  ds_0: {SERVER_0, schema: bank_0}
  ds_1: {SERVER_1, schema: bank_1}
tables:
  account: {data_nodes: "ds_{0..1}.account", sharding: {column: id, algorithm: mod}, base: true}
  ledger: {data_nodes: "ds_{0..1}.ledger", sharding: {column: id, algorithm: mod}, base: true}
"""
TABLES = (
    "CREATE TABLE account (id INT PRIMARY KEY, owner VARCHAR(200) CHARACTER SET latin1, balance DECIMAL(12,2) NOT NULL,"
    " ratio FLOAT, picture BLOB, kind ENUM('private','firm'), changed TIMESTAMP(3) NOT NULL"
    " DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3), twice DECIMAL(13,2) AS (balance * 2) STORED,"
    " UNIQUE KEY (owner))",
    "CREATE TABLE ledger (id INT PRIMARY KEY, line VARCHAR(40))",
)
MODES = {
    "eager": "dbmesh_transaction = 'base', dbmesh_base_mode = 'eager'",
    "deferred": "dbmesh_transaction = 'base', dbmesh_base_mode = 'deferred'",
    "xa": "dbmesh_transaction = 'xa'",
}
# The client's statements, before COMMIT or ROLLBACK; {b0} … are ids of the lane, {n0} and {n1} new ones.
STATEMENTS = (
    "SET {mode}",
    "BEGIN",
    "INSERT INTO ledger (id, line) VALUES ({n0}, 'one'), ({n1}, 'two')",
    "UPDATE account SET balance = balance - 10.5 WHERE id = {b0}",
    "UPDATE account SET balance = balance + 10.5, picture = x'00ff27' WHERE id = {b1}",
    "SAVEPOINT s",
    "DELETE FROM account WHERE id IN ({b2}, {b3})",
    "ROLLBACK TO s",
    "UPDATE account SET ratio = ratio * 1.1, owner = CONCAT(owner, '!') WHERE id IN ({b2}, {b3})",
    "DELETE FROM account WHERE id = {b4}",
)

Rows = dict[str, Any]


class Zygote:
    """Forks mesh processes."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("zygote.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.getcwd()},
        )
        self._lock = threading.Lock()

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10)


@dataclass
class Proxy:
    """A running `dbmesh serve`."""

    zygote: Zygote
    socket: str
    log: Path
    pid: int
    status: int | None = None

    def connect(self) -> Any:
        """A client's connection, as soon as the mesh listens."""
        until = time.monotonic() + SECONDS
        while not Path(self.socket).exists() and time.monotonic() < until:
            time.sleep(0.01)
        while True:
            try:
                return pymysql.connect(
                    unix_socket=self.socket, user="app", password="secret", database="bank", autocommit=True
                )
            except pymysql.err.OperationalError:
                if time.monotonic() > until or self.ended() is not None:
                    raise AssertionError(self.log.read_text()[-3000:]) from None
                time.sleep(0.02)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def ended(self) -> int | None:
        if self.status is None:
            self.status = self.zygote.ask(wait=self.pid)["status"]
        return self.status

    def killed(self) -> bool:
        """Wait until it has ended; whether that was by SIGKILL."""
        until = time.monotonic() + SECONDS / 4
        while self.ended() is None and time.monotonic() < until:
            time.sleep(0.02)
        return self.status == -signal.SIGKILL


@dataclass
class Lane:
    """One client's transaction and what it was told."""

    number: int
    transaction: int
    commits: bool
    mode: str = "eager"
    told: str = "nothing"
    connection: Any = None

    @property
    def first(self) -> int:
        return self.number * STRIDE

    def ids(self) -> dict[str, int | str]:
        line = self.first + (self.transaction + 5) * 2
        return {f"b{n}": self.first + n for n in range(5)} | {"n0": line, "n1": line + 1, "mode": MODES[self.mode]}

    def play(self, proxy: Proxy) -> None:
        """Run the transaction; the mesh dies somewhere in it."""
        try:
            with closing(self.connection or proxy.connect()) as connection, connection.cursor() as cursor:
                while not self._prepared(cursor):
                    pass
                self.told = "asked"
                cursor.execute("COMMIT" if self.commits else "ROLLBACK")
                self.told = "OK"
        except (pymysql.err.Error, OSError) as error:
            self.told = f"{self.told}: {error.args}"

    def _prepared(self, cursor: Any) -> bool:
        """All but the end; False when MySQL's gap locks have made a deadlock of two lanes."""
        try:
            for statement in STATEMENTS:
                cursor.execute(statement.format(**self.ids()))
        except pymysql.err.OperationalError as error:
            if error.args != (Deadlock.errno, Deadlock.words):
                raise
            return False
        return True


@dataclass
class Ground:
    """Two shards with accounts, the log on the first, and as many meshes as are wanted."""

    servers: tuple[Server, Server]
    rules: Path
    folder: Path
    zygote: Zygote
    transactions: int = 0
    kills: int = 0
    proxies: list[Proxy] = field(default_factory=list)

    def serve(self, failpoints: str = "") -> Proxy:
        """Start a mesh."""
        number = len(self.proxies)
        socket, log = str(self.folder / f"{number}.s"), self.folder / f"{number}.log"
        environment = {"DBMESH_FAILPOINTS": failpoints}
        argv = ["serve", "--rules", str(self.rules), "--socket", socket]
        pid = self.zygote.ask(start=argv, environment=environment, log=str(log))["pid"]
        self.proxies.append(Proxy(self.zygote, socket, log, pid))
        return self.proxies[-1]

    def end_meshes(self) -> None:
        for proxy in self.proxies:
            if proxy.status is None and proxy.ended() is None:
                proxy.kill()
                proxy.killed()

    def close(self) -> None:
        self.end_meshes()
        self.zygote.close()

    def rows(self) -> dict[str, dict[str, list[tuple[Any, ...]]]]:
        """Every column of every row as stored, by data source and table."""
        return {f"ds_{n}": dump(server, f"bank_{n}") for n, server in enumerate(self.servers)}

    def log_rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.servers[0].rows(sql.replace("LOG", f"`{SCHEMA}`"))

    def lanes(self, commits: Sequence[bool], mode: str = "eager") -> list[Lane]:
        made = [Lane(number, self.transactions, commit, mode) for number, commit in enumerate(commits)]
        self.transactions += 1
        return made

    def settle(self) -> None:
        """Wait until every global transaction has ended."""
        busy = "SELECT gtrid, state, last_error FROM LOG.g_tx WHERE ended_at IS NULL"
        until_true(lambda: not self.log_rows(busy), lambda: str(self.log_rows(busy)))


def until_true(happened: Callable[[], bool], failure: str | Callable[[], str]) -> None:
    until = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < until, failure if isinstance(failure, str) else failure()
        time.sleep(0.02)


def prepare(servers: tuple[Server, Server], folder: Path) -> Ground:
    """Fresh accounts for every lane."""
    for number, server in enumerate(servers):
        schema = f"bank_{number}"
        server.script([f"DROP DATABASE IF EXISTS {name}" for name in (SCHEMA, schema)])
        server.script([f"CREATE DATABASE {schema} CHARACTER SET utf8mb4"])
        rows = [
            f"({id_}, 'owner {id_}', {id_ * 10}, 0.1, x'00', 'firm', '2020-01-01 00:00:00.5')"
            for lane in range(LANES)
            for id_ in range(lane * STRIDE, lane * STRIDE + 10)
            if id_ % 2 == number
        ]
        fill = f"INSERT INTO account (id, owner, balance, ratio, picture, kind, changed) VALUES {', '.join(rows)}"
        server.script([*TABLES, fill], schema)
    return Ground(servers, write_rules(folder / "rules", servers, mesh=MESH, bank=BANK), folder, Zygote())
