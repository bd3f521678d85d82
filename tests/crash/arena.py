"""Three shards and a coordinator log, each behind a relay; meshes as processes; transfers that something happens to.

``ds_2`` and ``log`` have servers of their own, which may be killed. Every row of the failure matrix has accounts of its
own, one on each shard.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql

from dbmesh.sandbox import Server
from tests.crash.proving_ground import Proxy, Zygote, until_true
from tests.crash.relay import Relay

SHARDS = ("ds_0", "ds_1", "ds_2")
SCHEMA = "_arena"
ACCOUNTS = 300
OPEN = "SELECT gtrid, state, last_error FROM LOG.g_tx WHERE ended_at IS NULL"
MESH = """
listeners: ["127.0.0.1:0"]
users:
  app: {{password: secret, databases: [bank]}}
data_sources:
  log: {{{log}}}
transaction: {{log: log, schema: {schema}, lease: 1, sweep: 0.15, deadline: 15, lock_wait: 1, commit_timeout: 2}}
"""
BANK = """
database: bank
data_sources:
  ds_0: {{{ds_0}}}
  ds_1: {{{ds_1}}}
  ds_2: {{{ds_2}}}
tables:
  account: {{data_nodes: "ds_{{0..2}}.account", sharding: {{column: id, algorithm: mod}}, base: true}}
  ledger: {{data_nodes: "ds_{{0..2}}.ledger", sharding: {{column: id, algorithm: mod}}, base: true}}
"""
TABLES = (
    "CREATE TABLE account (id INT PRIMARY KEY, owner VARCHAR(20) UNIQUE, balance INT NOT NULL, body MEDIUMTEXT)",
    "CREATE TABLE ledger (id INT PRIMARY KEY, line VARCHAR(40))",
)
TRANSFER = (
    "UPDATE account SET balance = balance - 20 WHERE id = {a}",
    "UPDATE account SET balance = balance + 10 WHERE id = {b}",
    "UPDATE account SET balance = balance + 10 WHERE id = {c}",
    "INSERT INTO ledger (id, line) VALUES ({a}, 'x'), ({b}, 'x'), ({c}, 'x')",
)
UNDONE = [(100, None)] * 3
WHOLE = ((80, "x"), (110, "x"), (110, "x"))

Sources = Mapping[str, tuple[Server, str]]


@dataclass
class Client:
    """One connection that runs a transaction in a thread of its own. ``told``: 'OK', or the error's number."""

    proxy: Proxy
    told: str = "nothing"
    seconds: float = 0.0
    connection: Any = None
    _thread: threading.Thread = field(default_factory=threading.Thread)

    def play(self, mode: str, statements: Sequence[str], ending: str) -> None:
        """``mode``: what dbmesh_transaction and dbmesh_base_mode are set to, 'base deferred'."""
        kind, _, base_mode = mode.partition(" ")
        self.connection = self.proxy.connect()
        settings = f"SET dbmesh_transaction = '{kind}'" + (f", dbmesh_base_mode = '{base_mode}'" if base_mode else "")
        self._thread = threading.Thread(target=self._play, args=((settings, "BEGIN", *statements), ending), daemon=True)
        self._thread.start()

    def _play(self, statements: Sequence[str], ending: str) -> None:
        began = time.monotonic()
        try:
            with closing(self.connection) as connection, connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                began = time.monotonic()
                cursor.execute(ending)
                self.told = "OK"
        except pymysql.MySQLError as error:
            self.told = "lost" if error.args[0] in (0, 2006, 2013) else str(error.args[0])
            self.message = str(error.args[-1])
        except OSError:
            self.told = "lost"
        self.seconds = time.monotonic() - began

    def leave(self) -> None:
        """Close its socket without a word."""
        self.connection._sock.shutdown(2)

    def wait(self, seconds: float = 30.0) -> None:
        self._thread.join(seconds)
        assert not self._thread.is_alive(), f"the client waits longer than {seconds} s"


@dataclass
class Arena:
    """``relays`` by data source; ``mesh`` and ``helper`` are two processes that serve all the time."""

    sources: Sources
    relays: dict[str, Relay]
    folder: Path
    rules: Path
    zygote: Zygote = field(default_factory=Zygote)
    proxies: list[Proxy] = field(default_factory=list)
    rows: int = 0

    def serve(self, failpoints: str = "", **options: Any) -> Proxy:
        """Start a mesh."""
        number = len(self.proxies)
        socket, log = str(self.folder / f"{number}.s"), self.folder / f"{number}.log"
        argv = ["serve", "--rules", str(self.rules), "--socket", socket]
        environment = {"DBMESH_FAILPOINTS": failpoints}
        pid = self.zygote.ask(start=argv, environment=environment, log=str(log), **options)["pid"]
        self.proxies.append(Proxy(self.zygote, socket, log, pid))
        return self.proxies[-1]

    def server(self, name: str) -> Server:
        return self.sources[name][0]

    def ask(self, name: str, sql: str) -> list[tuple[Any, ...]]:
        """Past mesh and relay; LOG stands for the schema of the mesh's tables."""
        server, schema = self.sources[name]
        return server.rows(sql.replace("LOG", f"`{SCHEMA}`"), database=schema)

    def ids(self) -> dict[str, int]:
        """Accounts that nobody has used yet, one on each shard."""
        self.rows += 1
        return {letter: self.rows * 3 + number for number, letter in enumerate("abc")}

    def stored(self, ids: Mapping[str, int], shards: Sequence[str] = SHARDS) -> list[tuple[Any, ...]]:
        """(balance, ledger line) of the accounts, in their order."""
        select = "SELECT balance, line FROM account LEFT JOIN ledger USING (id) WHERE id = {}"
        return [self.ask(name, select.format(list(ids.values())[SHARDS.index(name)]))[0] for name in shards]

    def settle(self) -> None:
        """I8: every global transaction ends, now that nothing fails any more."""
        until_true(lambda: not self.ask("log", OPEN), lambda: str(self.ask("log", OPEN)))

    def transactions(self) -> list[tuple[str, str, int]]:
        """(gtrid, state, epoch) in the log."""
        rows = self.ask("log", "SELECT gtrid, state, epoch FROM LOG.g_tx ORDER BY created_at")
        return [(gtrid.decode(), state, epoch) for gtrid, state, epoch in rows]

    def branches(self, gtrid: str) -> list[str]:
        """The states of its branches, on all shards."""
        select = f"SELECT state FROM LOG.branch WHERE gtrid = '{gtrid}' AND ds = "
        return [state for name in SHARDS for (state,) in self.ask(name, f"{select}'{name}'")]

    def check(self, transactions: Sequence[tuple[str, str, int]]) -> None:
        """I7, I4: no global lock is left, and no branch contradicts its transaction."""
        for name in SHARDS:
            assert self.ask(name, f"SELECT gtrid, key_text FROM LOG.row_lock WHERE ds = '{name}'") == []
        for gtrid, state, _ in transactions:
            wrong = {"COMMITTED": {"COMPENSATED", "ABORTED"}, "ROLLED_BACK": {"COMMITTED", "DONE"}}[state]
            assert wrong.isdisjoint(self.branches(gtrid)), (gtrid, state, self.branches(gtrid))

    def heal(self) -> None:
        """All relays pass everything, all servers run."""
        for relay in self.relays.values():
            relay.heal()
        for name in ("ds_2", "log"):
            self.server(name).start()

    def close(self) -> None:
        for proxy in self.proxies:
            if proxy.ended() is None:
                proxy.kill()
                proxy.killed()
        self.zygote.close()
        for relay in self.relays.values():
            relay.close()


@contextmanager
def arena(sources: Sources, folder: Path, tables: str = "") -> Iterator[Arena]:
    """Fresh tables, relays and rules; no mesh yet. ``sources``: of ds_0, ds_1, ds_2 and log. ``tables``: more
    of them, as the rules have it.
    """
    for number, name in enumerate(SHARDS):
        server, schema = sources[name]
        rows = ", ".join(f"({i}, 'o{i}', 100, NULL)" for i in range(ACCOUNTS) if i % 3 == number)
        server.script([f"DROP DATABASE IF EXISTS {SCHEMA}", f"CREATE DATABASE {schema}"])
        server.script([*TABLES, f"INSERT INTO account VALUES {rows}"], schema)
    server, schema = sources["log"]
    server.script([f"CREATE DATABASE {schema}"])
    relays = {name: Relay(server.host, server.port) for name, (server, _) in sources.items()}
    addresses = {
        name: f"host: 127.0.0.1, port: {relays[name].port}, user: {server.account.user},"
        f" password: {server.account.password}, schema: {schema}"
        for name, (server, schema) in sources.items()
    }
    rules = folder / "rules"
    rules.mkdir(parents=True)
    (rules / "mesh.yaml").write_text(MESH.format(schema=SCHEMA, **addresses))
    (rules / "bank.yaml").write_text(BANK.format(**addresses) + tables)
    made = Arena(sources, relays, folder, rules)
    try:
        yield made
    finally:
        made.heal()
        made.close()
        for server, schema in sources.values():
            server.script([f"DROP DATABASE IF EXISTS {name}" for name in (schema, SCHEMA)])
