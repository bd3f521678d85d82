"""Programs of other languages' drivers, built below the cache folder from the languages' own package registries."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from dbmesh.sandbox.binaries import cache_folder

SOURCES = Path(__file__).parent / "other"


def missing(*programs: str) -> str | None:
    """Why a language cannot be tried here; None when it can."""
    absent = [name for name in programs if shutil.which(name) is None]
    return f"no {' and no '.join(absent)} in PATH" if absent else None


def prepared(language: str, version: str) -> Path:
    """A folder for what is fetched and built, with the language's sources in it."""
    folder = cache_folder() / "drivers" / f"{language}-{version}"
    shutil.copytree(SOURCES / language, folder, dirs_exist_ok=True)
    return folder


def run(command: Sequence[str], folder: Path) -> None:
    """A step of a build; its output is the message when it fails."""
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout[-1000:]}{done.stderr[-2000:]}")
