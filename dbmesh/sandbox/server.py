"""One throw-away server: its start, its stop, its crash."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
from pymysql.connections import Connection

from dbmesh.sandbox.binaries import Binaries

START_SECONDS = 60.0
STOP_SECONDS = 20.0
_POLL_SECONDS = 0.02


class ServerError(Exception):
    """A server did not start or did not answer; the message ends with the last lines of its log."""


@dataclass(frozen=True, slots=True)
class Account:
    """A database user with all rights, from any host."""

    user: str
    password: str


class Server:
    """A MySQL or MariaDB server on a free port and a Unix socket, with its data in ``folder``.

    ``start`` may be called again after ``stop`` or ``kill9``: data, port and socket path stay the same.
    """

    host = "127.0.0.1"

    def __init__(
        self, name: str, binaries: Binaries, folder: Path, account: Account, options: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.account = account
        self.folder = folder
        self.data = folder / "data"
        self.socket = str(folder / "s")
        self.log = folder / "error.log"
        self.options = tuple(options)
        self._binaries = binaries
        self._process: subprocess.Popen[bytes] | None = None
        self._reservation = _reserve_port()
        self.port: int = self._reservation.getsockname()[1]

    @property
    def pid(self) -> int | None:
        """Process id of the running server, None when it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self, seconds: float = START_SECONDS) -> None:
        """Start the server and return when it answers a query of its account."""
        if self.pid is not None:
            return
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | self._binaries.environment,
                cwd=self.folder,
                start_new_session=True,  # the Ctrl-C that ends the sandbox must not reach its servers first
            )
        (self.folder / "pid").write_text(str(self._process.pid))
        wait_until(self._answers, seconds, lambda: f"{self.name} did not answer in {seconds} s: {self._tail()}")

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """End the server: SIGTERM, and SIGKILL when it has not ended in time."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._reap()

    def kill9(self) -> None:
        """Crash the server: no shutdown, no flush."""
        if self._process is not None:
            self._process.kill()
            self._reap()

    def close(self) -> None:
        """Stop the server and remove all it made. It cannot be started again."""
        self.stop()
        self._reservation.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def connection(self, database: str | None = None, **options: Any) -> Connection[Any]:
        """A new PyMySQL connection of the account, in autocommit mode unless told otherwise; close it yourself."""
        options = {"charset": "utf8mb4", "autocommit": True, "connect_timeout": 10} | options
        return pymysql.connect(**self.address() | {"database": database} | options)

    def address(self) -> dict[str, Any]:
        """What a MySQL driver needs to connect over TCP: host, port, user, password."""
        return {
            "host": self.host,
            "port": self.port,
            "user": self.account.user,
            "password": self.account.password,
        }

    def rows(self, sql: str, parameters: Sequence[object] = (), database: str | None = None) -> list[tuple[Any, ...]]:
        """The rows of one statement, run on a connection of its own."""
        with closing(self.connection(database)) as connection, connection.cursor() as cursor:
            cursor.execute(sql, tuple(parameters) or None)
            return list(cursor.fetchall())

    def script(self, statements: Sequence[str], database: str | None = None) -> None:
        """Run statements one after the other on one connection."""
        with closing(self.connection(database)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def _command(self) -> list[str]:
        as_root = ["--user=root"] if os.geteuid() == 0 else []
        return [
            str(self._binaries.server),
            "--no-defaults",
            *as_root,
            f"--basedir={self._binaries.basedir}",
            f"--datadir={self.data}",
            f"--tmpdir={self.folder}",
            f"--socket={self.socket}",
            f"--port={self.port}",
            f"--bind-address={self.host}",
            f"--pid-file={self.folder / 'server.pid'}",
            f"--init-file={self.folder / 'accounts.sql'}",
            *SERVER_OPTIONS,
            *self.options,
        ]

    def _answers(self) -> bool:
        assert self._process is not None
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_POLL_SECONDS)
            raise ServerError(f"{self.name} ended with code {self._process.returncode}: {self._tail()}")
        try:
            self.rows("SELECT 1")
        except pymysql.err.OperationalError:
            return False
        return True

    def _reap(self) -> None:
        assert self._process is not None
        self._process.wait()
        self._process = None
        (self.folder / "pid").unlink(missing_ok=True)

    def _tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])


# Small and quick to start; durable, because crash tests rely on what COMMIT promises.
SERVER_OPTIONS = (
    "--skip-name-resolve",
    "--innodb-buffer-pool-size=64M",
    "--innodb-flush-log-at-trx-commit=1",
    "--innodb-buffer-pool-dump-at-shutdown=OFF",
    "--innodb-buffer-pool-load-at-startup=OFF",
    "--performance-schema=OFF",
    "--character-set-server=utf8mb4",
    "--collation-server=utf8mb4_general_ci",
    "--default-time-zone=+00:00",
    "--max-connections=400",
)


def wait_until(
    happened: Callable[[], bool], seconds: float, failure: Callable[[], str], pause: float = _POLL_SECONDS
) -> None:
    """Return as soon as ``happened`` says so; ServerError with ``failure()`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise ServerError(failure())
        time.sleep(pause)


def _reserve_port() -> socket.socket:
    """A TCP port that is ours until the socket is closed.

    Bound but not listening, with SO_REUSEADDR: the server, which sets that option too, can listen there, while
    nobody else is given the port as a free one, not even between a crash and the next start.
    """
    reservation = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reservation.bind((Server.host, 0))
    return reservation
