"""One throw-away MySQL or MariaDB server: its start, its stop, its crash."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from dbmesh.sandbox.binaries import Binaries
from dbmesh.sandbox.endpoint import Account, Endpoint

START_SECONDS = 60.0
STOP_SECONDS = 20.0

# Small and quick to start; durable, because crash tests rely on what COMMIT promises.
SERVER_OPTIONS = (
    "--skip-name-resolve",
    "--innodb-buffer-pool-size=64M",
    "--innodb-flush-log-at-trx-commit=1",
    "--innodb-buffer-pool-dump-at-shutdown=OFF",
    "--innodb-buffer-pool-load-at-startup=OFF",
    "--character-set-server=utf8mb4",
    "--default-time-zone=+00:00",
    "--max-connections=400",
)
MARIADB_OPTIONS = ("--performance-schema=OFF", "--collation-server=utf8mb4_general_ci")
# MySQL keeps its own default collation, which it also takes for SET NAMES, and its performance_schema, which alone
# knows who waits for whose lock.
MYSQL_OPTIONS = (
    "--skip-log-bin",
    "--mysqlx=OFF",
    "--local-infile=ON",
    "--secure-file-priv=",
    "--innodb-redo-log-capacity=256M",  # a tenth of it is the longest row
)


def server_options(binaries: Binaries) -> tuple[str, ...]:
    """What every server of the sandbox is started with."""
    return SERVER_OPTIONS + (MYSQL_OPTIONS if binaries.is_mysql else MARIADB_OPTIONS)


class Server(Endpoint):
    """A server on a free port and a Unix socket, with its data in ``folder``; the account has all rights.

    ``start`` may be called again after ``stop`` or ``kill9``: data, port and socket path stay the same.
    """

    def __init__(
        self, name: str, binaries: Binaries, folder: Path, account: Account, options: Sequence[str] = ()
    ) -> None:
        super().__init__(name, folder, account)
        self.options = tuple(options)
        self._binaries = binaries

    def start(self, seconds: float = START_SECONDS) -> None:
        """Start the server and return when it answers a query of its account."""
        if self.pid is None:
            self.process.start(self._command(), self._binaries.environment, self.answers, seconds)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """End the server: SIGTERM, and SIGKILL when it has not ended in time."""
        self.process.stop(seconds)

    def close(self) -> None:
        """Stop the server and remove all it made. It cannot be started again."""
        self.stop()
        self.release()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _command(self) -> list[str]:
        as_root = ["--user=root"] if os.geteuid() == 0 else []
        return [
            *self._binaries.start,
            "--no-defaults",
            *as_root,
            f"--basedir={self._binaries.basedir}",
            f"--datadir={self.folder / 'data'}",
            f"--tmpdir={self.folder}",
            f"--socket={self.socket}",
            f"--port={self.port}",
            f"--bind-address={self.host}",
            f"--pid-file={self.folder / 'server.pid'}",
            f"--init-file={self.folder / 'accounts.sql'}",
            *server_options(self._binaries),
            *self.options,
        ]
