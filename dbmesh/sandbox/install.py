"""Fetch what the sandbox needs from Debian's packages, and say so: installed as root, unpacked as anyone else.

Only the ``-core`` packages are taken: they hold the programs and start no service.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from dbmesh.sandbox.binaries import Binaries, cache_folder, find_server

SERVER_PACKAGES = ("mariadb-server-core", "mariadb-client-core")
Say = Callable[[str], None]


class InstallError(Exception):
    """A program is missing and could not be installed; the message says what to do by hand."""


def ensure_server(say: Say = print) -> Binaries:
    """The server program of this machine, installed first where there is none."""
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
    if _apt([*command, *packages]).returncode != 0:
        # No package lists yet, or lists so old that their files are gone. A source that fails to update does
        # not matter as long as the packages can be had.
        _apt(["apt-get", "update", "-q"])
        _checked([*command, *packages])


def _unpack(packages: Sequence[str], target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="dbmesh-apt-") as folder:
        options = _private_lists(Path(folder))
        missing = _missing(packages, ())
        fetched = missing and _apt(["apt-get", "download", *missing], cwd=folder).returncode == 0
        if not fetched:
            _apt(["apt-get", "update", "-q", *options])
            missing = _missing(packages, options)
            _checked(["apt-get", "download", *options, *(missing or packages)], cwd=folder)
        for archive in sorted(Path(folder).glob("*.deb")):
            _checked(["dpkg-deb", "-x", str(archive), str(target)])


def _missing(packages: Sequence[str], options: Sequence[str]) -> list[str]:
    """The packages and their dependencies that this machine does not have; empty when apt cannot say."""
    simulated = _apt(["apt-get", "install", "-s", "-q", "--no-install-recommends", *options, *packages])
    if simulated.returncode != 0:
        return []
    lines = simulated.stdout.splitlines()
    return [line.split()[1] for line in lines if line.startswith("Inst ")]


def _private_lists(folder: Path) -> list[str]:
    """Options with which apt-get keeps its lists in a folder of ours, as only root may write the system's."""
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    return ["-o", f"Dir::State::lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache"]


def _apt(command: Sequence[str], cwd: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def _checked(command: Sequence[str], cwd: str | None = None) -> None:
    done = _apt(command, cwd)
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
        raise InstallError(f"'{' '.join(command)}' failed with code {done.returncode}: {' '.join(last)}")
