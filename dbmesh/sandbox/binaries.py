"""Where the MySQL or MariaDB server program is on this machine."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

CHOICE = "DBMESH_SERVER"  # environment variable: "mariadb", "mysql", or the path of a server program
_NAMES = ("mariadbd", "mysqld")
_SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/usr/local/mysql/bin", "/opt/mysql/bin")


@dataclass(frozen=True, slots=True)
class Binaries:
    """One installation: the server program, its basedir, and what its processes need in their environment.

    ``loader``: the dynamic loader with its options, where programs were unpacked with a C library of their own.
    """

    server: Path
    basedir: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    loader: tuple[str, ...] = ()

    @property
    def install_db(self) -> Path | None:
        """MariaDB's script that makes a data directory; MySQL has none (mysqld --initialize-insecure)."""
        script = self.basedir / "bin" / "mariadb-install-db"
        return script if script.exists() else None

    @property
    def is_mysql(self) -> bool:
        """Whether it is MySQL itself, not MariaDB."""
        return self.install_db is None

    @property
    def start(self) -> list[str]:
        """The command line's beginning that starts the server."""
        return [*self.loader, str(self.server)]

    @property
    def client(self) -> str:
        """The command line's beginning, for a shell, that starts the client program ``mariadb`` or ``mysql``."""
        if self.loader:
            return shlex.join([*self.loader, str(self.basedir / "bin" / "mysql")])
        for name in ("mariadb", "mysql"):
            if shutil.which(name):
                return name
            if (program := self.basedir / "bin" / name).exists():
                libraries = self.environment.get("LD_LIBRARY_PATH", "")
                return f"LD_LIBRARY_PATH={shlex.quote(libraries)} {shlex.quote(str(program))}"
        return "mariadb"


def cache_folder() -> Path:
    """Where programs unpacked for this user are kept between runs."""
    if chosen := os.environ.get("DBMESH_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dbmesh"


def find_server() -> Binaries | None:
    """The first server program in PATH, in the usual system folders, or unpacked in the cache folder."""
    folders = [*os.get_exec_path(), *_SYSTEM_FOLDERS]
    for name in _NAMES:
        if found := shutil.which(name, path=os.pathsep.join(folders)):
            return at_path(Path(found))
    return find_unpacked(cache_folder() / "debian")


def at_path(server: Path) -> Binaries:
    """The installation that a server program belongs to."""
    server = server.resolve()
    return Binaries(server, _basedir(server))


def find_unpacked(root: Path) -> Binaries | None:
    """The server of Debian packages that were unpacked below ``root`` without being installed."""
    server = root / "usr" / "sbin" / "mariadbd"
    if not os.access(server, os.X_OK):
        return None
    return Binaries(server, root / "usr", unpacked_environment(root))


def unpacked_environment(root: Path) -> dict[str, str]:
    """Environment in which programs unpacked below ``root`` find each other and their libraries."""
    libraries = sorted({str(so.parent) for top in ("lib", "usr/lib") for so in (root / top).rglob("lib*.so*")})
    programs = [str(root / "usr" / "sbin"), str(root / "usr" / "bin")]
    return {
        "LD_LIBRARY_PATH": _joined([*libraries, os.environ.get("LD_LIBRARY_PATH", "")]),
        "PATH": _joined([*programs, os.environ.get("PATH", os.defpath)]),
    }


def _joined(folders: Iterable[str]) -> str:
    return os.pathsep.join(folder for folder in folders if folder)


def _basedir(server: Path) -> Path:
    """/usr for /usr/sbin/mariadbd: the folder that holds bin/, sbin/ and share/."""
    return server.parent.parent
