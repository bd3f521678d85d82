from __future__ import annotations

from pathlib import Path

import pytest

from dbmesh.sandbox.apt import InstallError
from dbmesh.sandbox.install import ensure_server
from dbmesh.sandbox.mysql import ensure_mysql, find_mysql

_APT = """#!/bin/sh
name=${{0##*/}}
case "$name $*" in
    "apt-get update --print-uris"*) echo "'http://mirror.test/ubuntu/dists/noble/InRelease' x 0"
                                    echo "'http://mirror.test/debian/dists/trixie/InRelease' y 0" ;;
    "apt-cache show"*) exit {found} ;;
    "apt-get install"*)
        for option; do case $option in Dir::Cache=*) touch "${{option#*=}}/archives/mysql.deb" ;; esac; done ;;
    "dpkg-deb -x"*) mkdir -p "$3/usr/sbin" "$3/usr/lib/cpu"; echo > "$3/usr/sbin/mysqld"; chmod +x "$3/usr/sbin/mysqld"
                    echo > "$3/usr/lib/cpu/ld-linux.so.2" ;;
esac
cat "$(dirname "$0")"/../cache/mysql-*/suite.sources >> "$(dirname "$0")/asked" 2>/dev/null
exit 0
"""


def _program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty cache and no programs; apt's are put into ``bin`` by the test."""
    (tmp_path / "bin").mkdir()
    for name in ("sh", "touch", "mkdir", "cat", "dirname", "chmod"):
        (tmp_path / "bin" / name).symlink_to(f"/bin/{name}" if Path(f"/bin/{name}").exists() else f"/usr/bin/{name}")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("DBMESH_CACHE", str(tmp_path / "cache"))
    return tmp_path


def _apt(machine: Path, found: int) -> None:
    for name in ("apt-get", "apt-cache", "dpkg-deb"):
        _program(machine / "bin" / name, _APT.format(found=found))


def test_mysql_is_unpacked_once_and_started_by_its_own_loader(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _apt(machine, found=0)
    monkeypatch.setenv("DBMESH_SERVER", "mysql")
    said: list[str] = []
    found = ensure_server(said.append)
    root = machine / "cache" / "mysql"
    loader = root / "usr" / "lib" / "cpu" / "ld-linux.so.2"
    assert found.start == [str(loader), "--library-path", str(loader.parent), str(root / "usr" / "sbin" / "mysqld")]
    assert found.is_mysql
    assert found.client.endswith(f"{root}/usr/bin/mysql")
    assert len(said) == 2
    asked = (machine / "bin" / "asked").read_text()
    assert "URIs: http://mirror.test/debian\n" in asked
    assert "ubuntu" not in asked, "Debian's own archive is asked first"
    assert ensure_server(said.append) == found
    assert len(said) == 2, "the second time nothing is fetched"
    assert [path.name for path in (machine / "cache").iterdir()] == ["mysql"]


def test_mirrors_without_mysql_are_told(machine: Path) -> None:
    _apt(machine, found=1)
    with pytest.raises(InstallError, match=r"no mirror .* has mysql-server-core .*DBMESH_SERVER=/path/to/mysqld"):
        ensure_mysql(lambda line: None)
    assert "ubuntu" in (machine / "bin" / "asked").read_text()
    assert find_mysql(machine / "cache" / "mysql") is None


def test_without_apt_the_way_out_is_told(machine: Path) -> None:
    with pytest.raises(InstallError, match=r"no apt-get .*DBMESH_SERVER=/path/to/mysqld"):
        ensure_mysql()


def test_a_server_may_be_chosen_by_its_path(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = _program(machine / "opt" / "sbin" / "mysqld")
    monkeypatch.setenv("DBMESH_SERVER", str(server))
    assert ensure_server().server == server
    monkeypatch.setenv("DBMESH_SERVER", "postgres")
    with pytest.raises(InstallError, match="say mariadb, mysql, or the path"):
        ensure_server()
