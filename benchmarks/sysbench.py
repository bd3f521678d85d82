"""The load: sysbench's oltp tests, in the text protocol or by prepared statements."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from dbmesh.sandbox import Server

TABLE_ROWS = 100_000
POINT_SELECT = "oltp_point_select"
READS = (POINT_SELECT, "oltp_read_only")
TESTS = (*READS, "oltp_read_write", "oltp_write_only", "oltp_update_index")
_QUERIES = re.compile(r"^\s*total:\s+(\d+)$", re.MULTILINE)
_RATE = re.compile(r"^\s*queries:\s+\d+\s+\(([\d.]+) per sec\.\)", re.MULTILINE)
_IGNORED = re.compile(r"^\s*ignored errors:\s+(\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a client connects: over TCP when ``port`` is given, else over the Unix socket."""

    user: str
    password: str
    database: str
    port: int | None = None
    socket: str | None = None

    def options(self) -> list[str]:
        """As options of sysbench."""
        where = [f"--mysql-port={self.port}"] if self.port else [f"--mysql-socket={self.socket}"]
        host = "127.0.0.1" if self.port else "localhost"
        account = [f"--mysql-user={self.user}", f"--mysql-password={self.password}", f"--mysql-db={self.database}"]
        return [f"--mysql-host={host}", *where, *account]


@dataclass(frozen=True, slots=True)
class Load:
    """What one run did: queries in all, queries per second."""

    queries: int
    rate: float


def prepare(server: Server, database: str) -> None:
    """Create and fill ``sbtest1`` straight on a server."""
    server.script([f"DROP DATABASE IF EXISTS `{database}`", f"CREATE DATABASE `{database}`"])
    account = server.account
    _run(Endpoint(account.user, account.password, database, socket=server.socket), ["prepare"])


def run(endpoint: Endpoint, threads: int, seconds: int, prepared: bool = False, test: str = POINT_SELECT) -> Load:
    """One of sysbench's tests with uniformly chosen keys, for so many seconds. Raises RuntimeError."""
    mode = f"--db-ps-mode={'auto' if prepared else 'disable'}"
    output = _run(endpoint, [mode, f"--threads={threads}", f"--time={seconds}", "run"], test)
    queries, rate, ignored = _QUERIES.search(output), _RATE.search(output), _IGNORED.search(output)
    if not (queries and rate and ignored) or (int(ignored[1]) and test in READS):  # writers may be deadlocked
        raise RuntimeError(f"sysbench's report cannot be read or counts errors:\n{output}")
    return Load(int(queries[1]), float(rate[1]))


def _run(endpoint: Endpoint, arguments: Sequence[str], test: str = POINT_SELECT) -> str:
    command = [
        "sysbench",
        test,
        "--db-driver=mysql",
        "--rand-type=uniform",
        "--tables=1",
        f"--table-size={TABLE_ROWS}",
        *endpoint.options(),
        *arguments,
    ]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"sysbench failed with code {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
