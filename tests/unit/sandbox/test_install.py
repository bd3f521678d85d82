from __future__ import annotations

from pathlib import Path

import pytest

from dbmesh.sandbox.apt import InstallError
from dbmesh.sandbox.install import ensure_packages


def test_a_system_without_apt_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InstallError, match=r"mariadb-server-core .*so that it is in PATH"):
        ensure_packages("MariaDB server", ["mariadb-server-core"])


def test_a_failing_apt_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("apt-get", "dpkg-deb"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\necho 'E: Unable to locate package' >&2\nexit 100\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DBMESH_CACHE", str(tmp_path / "cache"))
    said: list[str] = []
    with pytest.raises(InstallError, match="failed with code 100: E: Unable to locate package"):
        ensure_packages("MariaDB server", ["mariadb-server-core"], said.append)
    assert said[0].startswith("No MariaDB server found")
