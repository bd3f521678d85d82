"""Programs and sources that the tests need and that pip cannot install: found, or fetched from Debian."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from dbmesh.sandbox.binaries import cache_folder, unpacked_environment
from dbmesh.sandbox.install import InstallError, ensure_packages

SUITE_VERSION = "1.1.1"
_SUITE_PACKAGE = f"python-pymysql={SUITE_VERSION}-2"
_SUITE_RELEASE = "trixie"
_SUITE_SHA256 = "a501d7580f3db3738272838d01d31701c14cd3f3db804f798f6f3324ef83821e"
_DEBIAN_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"


def program(name: str, package: str) -> list[str]:
    """The start of a command line that runs a program, which is installed or unpacked first where it is missing."""
    if found := shutil.which(name):
        return [found]
    unpacked = cache_folder() / "debian"
    if not (unpacked / "usr" / "bin" / name).exists():
        ensure_packages(name, [package])
        if found := shutil.which(name):
            return [found]
    environment = dict(unpacked_environment(unpacked))
    for plugins in unpacked.glob("usr/lib/*/libmariadb3/plugin"):
        environment["MARIADB_PLUGIN_DIR"] = str(plugins)
    return ["env", *(f"{key}={value}" for key, value in environment.items()), str(unpacked / "usr" / "bin" / name)]


def mariadb() -> list[str]:
    """The start of a ``mariadb`` command line."""
    return program("mariadb", "mariadb-client-core")


def sysbench(script: str) -> list[str]:
    """The start of a command line that runs one of sysbench's own scripts."""
    start = program("sysbench", "sysbench")
    scripts = cache_folder() / "debian" / "usr" / "share" / "sysbench"
    if start[0] != "env":
        return [*start, script]
    return ["env", f"LUA_PATH={scripts}/?.lua;;", *start[1:], str(scripts / f"{script}.lua")]


def pymysql_suite() -> Path:
    """The folder of PyMySQL's sources with its tests, which its releases on PyPI leave out: Debian's source package.

    Unpacked once below the cache folder.
    """
    target = cache_folder() / f"pymysql-{SUITE_VERSION}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            archive = _source_archive(Path(folder))
            if hashlib.sha256(archive.read_bytes()).hexdigest() != _SUITE_SHA256:
                raise InstallError(f"{archive.name} is not the file it was")
            with tarfile.open(archive) as tar:
                if hasattr(tarfile, "data_filter"):  # Python 3.11.4
                    tar.extractall(folder, filter="data")
                else:
                    tar.extractall(folder)
            [unpacked] = [path for path in Path(folder).iterdir() if (path / "pymysql" / "tests").is_dir()]
            unpacked.rename(target)
    return target


def _source_archive(folder: Path) -> Path:
    """Fetch the upstream archive of the source package with lists of our own, as only root may write the system's."""
    if shutil.which("apt-get") is None:
        raise InstallError("PyMySQL's tests are in Debian's source package only, and there is no apt-get to fetch it")
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    (folder / "sources.list").write_text(f"deb-src [signed-by={_DEBIAN_KEYS}] {_mirror()} {_SUITE_RELEASE} main\n")
    options = [f"Dir::State::lists={folder}/lists", f"Dir::Cache={folder}/cache", "APT::Sandbox::User=root"]
    options += [f"Dir::Etc::sourcelist={folder}/sources.list", "Dir::Etc::sourceparts=-"]
    flags = [word for option in options for word in ("-o", option)]
    for command in (["update", "-q"], ["source", "-q", "--download-only", "--tar-only", _SUITE_PACKAGE]):
        done = _run(["apt-get", *flags, *command], folder)
        if done.returncode != 0:
            last = " ".join(done.stdout.strip().splitlines()[-2:])
            raise InstallError(f"apt-get {command[0]} for PyMySQL's source package failed: {last}")
    return next(folder.glob("*.orig.tar.*"))


def _mirror() -> str:
    """Where this machine gets Debian's packages from."""
    listed = _run(["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)", "Created-By: Packages"], Path())
    mirrors = [line.split()[1] for line in listed.stdout.splitlines() if line.startswith("Debian ")]
    mirrors = [mirror for mirror in mirrors if "security" not in mirror]
    if not mirrors:
        raise InstallError("PyMySQL's tests are in Debian's source package only, and apt-get knows no Debian mirror")
    return mirrors[0]


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"LC_ALL": "C.UTF-8"}
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
