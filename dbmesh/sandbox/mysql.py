"""MySQL from Debian's unstable suite, the only one that has it, on a machine with another suite or none of its own.

The packages are unpacked into a folder with everything they need, the C library included, and started by the dynamic
loader that came with it: nothing is installed, and the machine's own libraries are not used.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from dbmesh.sandbox.apt import InstallError, Say, apt, checked, private_lists, unpack
from dbmesh.sandbox.binaries import CHOICE, Binaries, cache_folder

SUITE = "unstable"
PACKAGES = ("mysql-server-core", "mysql-client-core")
_INSTEAD = f"say {CHOICE}=/path/to/mysqld to use a MySQL of your own"
_KEYS = ("/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp")


def ensure_mysql(say: Say = print) -> Binaries:
    """MySQL in the cache folder, unpacked there when it is asked for the first time."""
    target = cache_folder() / "mysql"
    found = find_mysql(target)
    if found is None:
        _fetch(target, say)
        found = find_mysql(target)
    if found is None:
        raise InstallError(f"{target} holds Debian's MySQL packages but no server: remove the folder and try again")
    return found


def find_mysql(root: Path) -> Binaries | None:
    """MySQL and its dynamic loader below ``root``."""
    server = root / "usr" / "sbin" / "mysqld"
    loaders = sorted(root.glob("usr/lib/*/ld-linux*.so.*"))
    if not loaders or not os.access(server, os.X_OK):
        return None
    loader = (str(loaders[0]), "--library-path", str(loaders[0].parent))
    return Binaries(server, root / "usr", loader=loader)


def _fetch(target: Path, say: Say) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise InstallError(f"no apt-get on this machine to fetch MySQL with: {_INSTEAD}")
    say(f"Fetching MySQL from Debian's suite {SUITE} (about 90 MB) and unpacking it into {target} (410 MB) ...")
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside its place, so that whoever looks finds all of it or nothing.
    with tempfile.TemporaryDirectory(prefix="mysql-", dir=target.parent) as scratch:
        folder = Path(scratch)
        options = _fresh_system(folder)
        _update(folder, options)
        say("Downloading the packages ...")
        checked(["apt-get", "install", "-y", "-q", "-d", "--no-install-recommends", *options, *PACKAGES])
        unpack(folder / "cache" / "archives", folder / "root")
        shutil.rmtree(target, ignore_errors=True)
        (folder / "root").rename(target)


def _fresh_system(folder: Path) -> list[str]:
    """Options with which apt-get sees a system of ours: nothing installed, no preferences, one source."""
    (folder / "status").touch()
    settings = {
        "Dir::State::status": folder / "status",
        "Dir::Etc::sourcelist": folder / "suite.sources",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "APT::Sandbox::User": "root",
        "Debug::NoLocking": "1",
    }
    written = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    return [*private_lists(folder), *written]


def _update(folder: Path, options: list[str]) -> None:
    """Lists of the suite, from the first of this machine's mirrors that has MySQL in it."""
    keys = [f"Signed-By: {key}" for key in _KEYS if Path(key).exists()][:1]
    for mirror in _mirrors():
        source = ["Types: deb", f"URIs: {mirror}", f"Suites: {SUITE}", "Components: main", *keys]
        (folder / "suite.sources").write_text("\n".join(source) + "\n")
        apt(["apt-get", "update", "-q", *options])
        if apt(["apt-cache", "show", *options, PACKAGES[0]]).returncode == 0:
            return
    raise InstallError(
        f"no mirror that apt knows on this machine has {PACKAGES[0]} in Debian's suite {SUITE}: {_INSTEAD}"
    )


def _mirrors() -> list[str]:
    """The addresses that apt fetches from, those that look like Debian's archive first."""
    with tempfile.TemporaryDirectory(prefix="dbmesh-apt-") as empty:
        printed = apt(["apt-get", "update", "--print-uris", *private_lists(Path(empty))]).stdout
    addresses = [line.split("'")[1] for line in printed.splitlines() if line.startswith("'")]
    mirrors = dict.fromkeys(address.partition("/dists/")[0] for address in addresses if "/dists/" in address)
    return sorted(mirrors, key=lambda mirror: not mirror.rstrip("/").endswith("/debian"))
