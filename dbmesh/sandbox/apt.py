"""apt-get and dpkg-deb as processes, with their answers and errors."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

Say = Callable[[str], None]


class InstallError(Exception):
    """A program is missing and could not be installed; the message says what to do by hand."""


def private_lists(folder: Path) -> list[str]:
    """Options with which apt-get keeps its lists in a folder of ours, as only root may write the system's."""
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    return ["-o", f"Dir::State::lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache"]


def unpack(archives: Path, target: Path) -> None:
    """The files of all packages in a folder, below ``target``; their scripts are not run."""
    for archive in sorted(archives.glob("*.deb")):
        checked(["dpkg-deb", "-x", str(archive), str(target)])


def apt(command: Sequence[str], cwd: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command that asks nothing."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def checked(command: Sequence[str], cwd: str | None = None) -> None:
    """Run a command; InstallError with its last words when it fails."""
    done = apt(command, cwd)
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
        raise InstallError(f"'{' '.join(command)}' failed with code {done.returncode}: {' '.join(last)}")
