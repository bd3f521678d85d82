"""Fetch what the sandbox needs from Debian's packages, and say so: installed as root, unpacked as anyone else.

Only the ``-core`` packages are taken: they hold the programs and start no service.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dbmesh.sandbox.apt import InstallError, Say, apt, checked, private_lists, unpack
from dbmesh.sandbox.binaries import CHOICE, Binaries, at_path, cache_folder, find_server
from dbmesh.sandbox.mysql import ensure_mysql

SERVER_PACKAGES = ("mariadb-server-core", "mariadb-client-core")


def ensure_server(say: Say = print) -> Binaries:
    """The server program that DBMESH_SERVER names, or this machine's MariaDB; fetched first where there is none."""
    choice = os.environ.get(CHOICE) or "mariadb"
    if choice == "mysql":
        return ensure_mysql(say)
    if choice != "mariadb":
        if not os.access(choice, os.X_OK):
            raise InstallError(f"{CHOICE} is '{choice}': say mariadb, mysql, or the path of a server program")
        return at_path(Path(choice))
    return _ensure_mariadb(say)


def _ensure_mariadb(say: Say) -> Binaries:
    if found := find_server():
        return found
    ensure_packages("MariaDB server", SERVER_PACKAGES, say)
    if found := find_server():
        return found
    raise InstallError("Debian's MariaDB packages were installed but mariadbd is still not to be found")


def ensure_packages(what: str, packages: Sequence[str], say: Say = print) -> None:
    """Install Debian packages with apt-get, or unpack them below the cache folder when not root."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise InstallError(
            f"no {what} on this machine, and no apt-get to fetch one with: "
            f"install {' and '.join(packages)} (or your system's counterpart) so that it is in PATH"
        )
    if os.geteuid() == 0:
        say(f"No {what} found: installing Debian's {' and '.join(packages)} with apt-get (starts no service)")
        _install(packages)
    else:
        target = cache_folder() / "debian"
        say(f"No {what} found: unpacking Debian's {' and '.join(packages)} into {target} (no root needed)")
        _unpack(packages, target)


def _install(packages: Sequence[str]) -> None:
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120"]
    if apt([*command, *packages]).returncode != 0:
        # No package lists yet, or lists so old that their files are gone. A source that fails to update does
        # not matter as long as the packages can be had.
        apt(["apt-get", "update", "-q"])
        checked([*command, *packages])


def _unpack(packages: Sequence[str], target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="dbmesh-apt-") as folder:
        options = private_lists(Path(folder))
        missing = _missing(packages, ())
        fetched = missing and apt(["apt-get", "download", *missing], cwd=folder).returncode == 0
        if not fetched:
            apt(["apt-get", "update", "-q", *options])
            missing = _missing(packages, options)
            checked(["apt-get", "download", *options, *(missing or packages)], cwd=folder)
        unpack(Path(folder), target)


def _missing(packages: Sequence[str], options: Sequence[str]) -> list[str]:
    """The packages and their dependencies that this machine does not have; empty when apt cannot say."""
    simulated = apt(["apt-get", "install", "-s", "-q", "--no-install-recommends", *options, *packages])
    if simulated.returncode != 0:
        return []
    lines = simulated.stdout.splitlines()
    return [line.split()[1] for line in lines if line.startswith("Inst ")]
