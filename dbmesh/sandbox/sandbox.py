"""A temporary folder with servers in it, and the promise that nothing of it is left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from dbmesh.sandbox.apt import Say
from dbmesh.sandbox.binaries import Binaries
from dbmesh.sandbox.endpoint import Account
from dbmesh.sandbox.install import ensure_server
from dbmesh.sandbox.process import ServerError
from dbmesh.sandbox.server import Server, server_options

DEFAULT_ACCOUNT = Account("dbmesh", "sandbox-secret")
_LONGEST_SOCKET_FOLDER = 60  # sockaddr_un holds 107 bytes; a folder below ours and a name must fit

# Ends the servers and removes the folder when its stdin closes, that is when the process that holds the sandbox
# ends, whichever way: it alone can do so after a kill -9.
_REAPER = """
trap '' INT TERM HUP
read -r line
for file in "$1"/*/pid; do [ -f "$file" ] && kill -s KILL -- "-$(cat "$file")"; done
rm -rf "$1" || { sleep 1; rm -rf "$1"; }
"""


class Sandbox:
    """Servers that live as long as this object is open; ``close`` ends them and removes the folder."""

    def __init__(self, say: Say = print, account: Account = DEFAULT_ACCOUNT, binaries: Binaries | None = None) -> None:
        """``binaries``: the servers' programs; those that `ensure_server` finds when not given."""
        self.binaries = binaries or ensure_server(say)
        self.account = account
        self.folder = _new_folder()
        self.servers: dict[str, Server] = {}
        self._template: Path | None = None
        self._reaper = subprocess.Popen(
            ["/bin/sh", "-c", _REAPER, "reaper", str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self, name: str, options: Sequence[str] = ()) -> Server:
        """A new server with an empty data directory, started; ``options`` are added to its command line."""
        folder = self.folder / name
        folder.mkdir()
        shutil.copytree(self._template_data(), folder / "data")
        (folder / "accounts.sql").write_text(_account_sql(self.account))
        server = Server(name, self.binaries, folder, self.account, options)
        self.servers[name] = server
        server.start()
        return server

    def discard(self, name: str) -> None:
        """End one server and remove its data."""
        self.servers.pop(name).close()

    def close(self) -> None:
        """End every server, kill what else was started in the folder, remove it; a second call does nothing."""
        for server in self.servers.values():
            server.close()
        self.servers.clear()
        if self._reaper.stdin and not self._reaper.stdin.closed:
            self._reaper.stdin.close()
            self._reaper.wait()

    def _template_data(self) -> Path:
        """A data directory made once; copying it takes a fraction of the time."""
        if self._template is None:
            template = self.folder / "template"
            _initialise(self.binaries, template)
            self._template = template
        return self._template


def _new_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="dbmesh-"))
    if len(os.fsencode(folder)) > _LONGEST_SOCKET_FOLDER:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="dbmesh-", dir="/tmp"))
    return folder


def _initialise(binaries: Binaries, data: Path) -> None:
    as_root = ["--user=root"] if os.geteuid() == 0 else []
    if binaries.install_db is not None:
        script = [
            str(binaries.install_db),
            "--no-defaults",
            "--skip-test-db",
            "--auth-root-authentication-method=normal",
        ]
    else:
        script = [*binaries.start, "--no-defaults", "--initialize-insecure"]
    options = [option for option in server_options(binaries) if not option.startswith("--innodb-buffer-pool-")]
    command = [*script, *as_root, f"--basedir={binaries.basedir}", f"--datadir={data}", *options]
    done = subprocess.run(
        command,
        env=os.environ | binaries.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        cwd=data.parent,
    )
    if done.returncode != 0:
        raise ServerError(f"making a data directory failed: {done.stdout[-2000:]}")


def _account_sql(account: Account) -> str:
    """Each statement on one line, as --init-file wants it."""
    user = f"'{account.user}'@'%'"
    return (
        f"CREATE USER IF NOT EXISTS {user} IDENTIFIED BY '{account.password}';\n"
        f"GRANT ALL ON *.* TO {user} WITH GRANT OPTION;\n"
    )
