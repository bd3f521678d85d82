"""TLS through a whole mesh: its own certificate, what users must have, what a client is told, renewal."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pymysql
import pytest

from dbmesh.sandbox import Sandbox, Server
from dbmesh.sandbox.endpoint import Account
from dbmesh.sandbox.mesh import Mesh
from tests.certificates import Authority
from tests.flavour import MYSQL
from tests.integration.conftest import EMPTY_RULES, Town, write_rules

RULES = """
users:
  app: {password: secret, databases: '*'}
  safe: {password: secret, databases: '*', require: tls}
  certified: {password: secret, databases: '*', require: x509}
  few: {password: secret, databases: '*', max_connections: 2}
  admin: {password: secret, databases: '*', grants: [admin]}
tls: {certificate: CERTIFICATE, key: KEY, ca: AUTHORITY}
idle_timeout: 1
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def mesh(sandbox: Sandbox, servers: tuple[Server, Server], town_mesh: Town, authority: Authority) -> Iterator[Mesh]:
    pair = authority.issue("mesh", "localhost", "127.0.0.1")
    text = RULES.replace("CERTIFICATE", pair.certificate).replace("KEY", pair.key).replace("AUTHORITY", authority.file)
    rules = write_rules(sandbox.folder / "tls_rules", servers, mesh=text, empty=EMPTY_RULES)
    mesh = Mesh(sandbox.folder / "tls_mesh", rules, Account("app", "secret"))
    mesh.start()
    yield mesh
    mesh.close()


def connect(mesh: Mesh, user: str = "app", **options: Any) -> pymysql.Connection[Any]:
    return mesh.connection("empty", user=user, **options)


def refused(mesh: Mesh, user: str, **options: Any) -> int:
    with pytest.raises(pymysql.err.OperationalError) as error:
        connect(mesh, user, **options)
    return int(error.value.args[0])


def value(connection: pymysql.Connection[Any], sql: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        row = cursor.fetchone()
        assert row is not None
        return str(row[-1])


def test_a_client_is_told_its_own_cipher_not_the_servers(mesh: Mesh, authority: Authority) -> None:
    with closing(connect(mesh, ssl={"ca": authority.file})) as connection:
        assert value(connection, "SHOW STATUS LIKE 'Ssl_cipher'").startswith("TLS_")
        assert value(connection, "SHOW SESSION STATUS LIKE 'ssl_version'") == "TLSv1.3"
    with closing(connect(mesh, ssl_disabled=True)) as connection:
        assert value(connection, "SHOW STATUS LIKE 'Ssl_cipher'") == ""
        if not MYSQL:  # which does not have it any more
            assert value(connection, "SHOW VARIABLES LIKE 'have_ssl'") == "YES"


def test_users_who_must_have_tls_or_a_certificate(mesh: Mesh, authority: Authority) -> None:
    trusted = {"ca": authority.file}
    pair = authority.issue("client")
    certified = trusted | {"cert": pair.certificate, "key": pair.key}
    assert refused(mesh, "safe", ssl_disabled=True) == 1045
    connect(mesh, "safe", ssl=trusted).close()
    assert refused(mesh, "certified", ssl_disabled=True) == 1045
    assert refused(mesh, "certified", ssl=trusted) == 1045
    connect(mesh, "certified", ssl=certified).close()
    with pytest.raises(pymysql.err.OperationalError):
        mesh.connection("empty", user="safe", unix_socket=mesh.socket)


def test_a_user_with_a_limit_of_connections(mesh: Mesh) -> None:
    with closing(connect(mesh, "few")), closing(connect(mesh, "few")):
        assert refused(mesh, "few") == 1226
        connect(mesh).close()
    deadline = time.monotonic() + 5
    while True:
        try:
            connect(mesh, "few").close()
            break
        except pymysql.err.OperationalError:
            assert time.monotonic() < deadline


def test_a_client_that_sends_nothing_is_told_and_disconnected(mesh: Mesh) -> None:
    with closing(connect(mesh)) as quiet, closing(connect(mesh)) as busy:
        deadline = time.monotonic() + 2.5
        while time.monotonic() < deadline:
            assert value(busy, "SELECT 1") == "1"
            assert value(busy, "SELECT SLEEP(0.2)") == "0"
        quiet._sock.settimeout(5)
        data = b"".join(iter(lambda: quiet._sock.recv(1000), b""))
        assert (data[3], data[4:7]) == (0, b"\xff" + (4031).to_bytes(2, "little"))


def test_a_renewed_certificate_is_used_after_a_reload(mesh: Mesh, authority: Authority) -> None:
    def seen() -> bytes | None:
        with closing(connect(mesh, ssl={"ca": authority.file})) as connection:
            assert isinstance(connection._sock, ssl.SSLSocket)
            return connection._sock.getpeercert(True)

    before = seen()
    authority.issue("mesh", "localhost", "127.0.0.1")
    assert seen() == before
    assert mesh.pid is not None
    os.kill(mesh.pid, signal.SIGHUP)
    deadline = time.monotonic() + 10
    while seen() == before:
        assert time.monotonic() < deadline


def test_a_certificate_that_cannot_be_read_keeps_a_reload_from_happening(mesh: Mesh, authority: Authority) -> None:
    pair = authority.issue("mesh", "localhost", "127.0.0.1")
    Path(pair.key).write_text("")
    with closing(connect(mesh, "admin")) as admin, admin.cursor() as cursor:
        with pytest.raises(pymysql.err.MySQLError, match=r"cannot use .*mesh\.pem for TLS"):
            cursor.execute("RELOAD MESH RULES")
        cursor.execute("SELECT 1")
    connect(mesh, ssl={"ca": authority.file}).close()
    authority.issue("mesh", "localhost", "127.0.0.1")


def test_a_mesh_without_a_certificate_makes_its_own_one_for_all_workers(
    sandbox: Sandbox, servers: tuple[Server, Server], town_mesh: Town
) -> None:
    rules = write_rules(
        sandbox.folder / "own_rules",
        servers,
        mesh="users: {app: {password: secret, databases: '*'}}",
        empty=EMPTY_RULES,
    )
    mesh = Mesh(sandbox.folder / "own_mesh", rules, Account("app", "secret"), options=["--workers", "2"])
    mesh.start()
    file = mesh.folder / "state" / "server.pem"
    for _ in range(6):
        with closing(connect(mesh, ssl={"ca": str(file)})) as connection:
            assert value(connection, "SELECT 1") == "1"
    done = subprocess.run(
        ["openssl", "x509", "-in", str(file), "-noout", "-ext", "subjectAltName"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "DNS:localhost" in done.stdout
    mesh.close()
