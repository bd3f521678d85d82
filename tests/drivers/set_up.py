"""``python -m tests.drivers.set_up``: build mysqlclient into this virtual environment.

It has no wheels: it needs a C compiler, Python's headers and MariaDB's client library. As root, Debian's packages are
installed where something is missing; as anyone else the library is unpacked into the cache folder. Where it cannot be
built, the reason is printed and the tests of mysqlclient are skipped.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from dbmesh.sandbox.binaries import cache_folder
from dbmesh.sandbox.install import InstallError, ensure_packages

MYSQLCLIENT = "mysqlclient==2.3.1"


def main() -> None:
    if importlib.util.find_spec("MySQLdb") is not None:
        return
    try:
        _build()
    except InstallError as error:
        print(f"mysqlclient is not built, its tests will be skipped: {error}")


def _build() -> None:
    headers = Path(sysconfig.get_paths()["include"]) / "Python.h"
    missing = [
        package
        for package, there in (("gcc libc6-dev", shutil.which("cc")), ("python3-dev", headers.exists()))
        if not there
    ]
    library = shutil.which("mariadb_config") is not None
    environment = dict(os.environ)
    if os.geteuid() == 0 and (missing or not library):
        packages = ["libmariadb-dev", "pkg-config", *" ".join(missing).split()]
        ensure_packages("MariaDB client library to build mysqlclient with", packages)
    elif missing:
        raise InstallError(f"a C compiler and Python's headers are needed (packages {' '.join(missing)})")
    elif not library:
        ensure_packages("MariaDB client library to build mysqlclient with", ["libmariadb-dev", "libmariadb3"])
        environment |= _flags(cache_folder() / "debian" / "usr")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", MYSQLCLIENT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise InstallError(" ".join(done.stderr.strip().splitlines()[-3:]))


def _flags(root: Path) -> dict[str, str]:
    """What tells the build where the unpacked library is."""
    libraries = sorted(str(path.parent) for path in root.rglob("libmariadb.so.3"))
    where = libraries[0] if libraries else str(root / "lib")
    return {
        "MYSQLCLIENT_CFLAGS": f"-I{root}/include/mariadb",
        "MYSQLCLIENT_LDFLAGS": f"-L{where} -l:libmariadb.so.3 -Wl,-rpath,{where}",
    }


if __name__ == "__main__":
    main()
