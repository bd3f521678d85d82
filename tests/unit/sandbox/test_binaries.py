from __future__ import annotations

import os
from pathlib import Path

import pytest

from dbmesh.sandbox.binaries import cache_folder, find_server, find_unpacked, unpacked_environment


def _program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_a_server_in_path_is_found_with_its_basedir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = _program(tmp_path / "usr" / "sbin" / "mariadbd")
    script = _program(tmp_path / "usr" / "bin" / "mariadb-install-db")
    monkeypatch.setenv("PATH", str(server.parent))
    found = find_server()
    assert found is not None
    assert (found.server, found.basedir, found.install_db) == (server, tmp_path / "usr", script)


def test_a_link_to_the_server_leads_to_where_its_files_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = _program(tmp_path / "opt" / "mariadb" / "bin" / "mariadbd")
    link = tmp_path / "bin" / "mariadbd"
    link.parent.mkdir()
    link.symlink_to(server)
    monkeypatch.setenv("PATH", str(link.parent))
    found = find_server()
    assert found is not None
    assert found.basedir == tmp_path / "opt" / "mariadb"


def test_an_unpacked_server_is_found_with_the_libraries_unpacked_beside_it(tmp_path: Path) -> None:
    _program(tmp_path / "usr" / "sbin" / "mariadbd")
    library = _program(tmp_path / "usr" / "lib" / "x86_64-linux-gnu" / "libaio.so.1")
    found = find_unpacked(tmp_path)
    assert found is not None
    assert found.environment["LD_LIBRARY_PATH"].split(os.pathsep)[0] == str(library.parent)
    assert found.environment["PATH"].startswith(str(tmp_path / "usr" / "sbin"))


def test_an_unpacked_client_is_named_with_its_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path / "usr" / "sbin" / "mariadbd")
    _program(tmp_path / "usr" / "lib" / "libedit.so.2")
    client = _program(tmp_path / "usr" / "bin" / "mariadb")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    found = find_unpacked(tmp_path)
    assert found is not None
    assert found.client == f"LD_LIBRARY_PATH={tmp_path}/usr/lib {client}"


def test_nothing_unpacked_is_nothing_found(tmp_path: Path) -> None:
    assert find_unpacked(tmp_path) is None


def test_an_empty_path_variable_adds_no_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "")
    assert unpacked_environment(tmp_path)["LD_LIBRARY_PATH"] == ""


def test_the_cache_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DBMESH_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "dbmesh"
    monkeypatch.setenv("DBMESH_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
