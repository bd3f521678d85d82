"""TLS on the front: how it begins, what it carries, who is refused, on both event loops."""

from __future__ import annotations

import socket
import ssl
import subprocess
import time
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pymysql
import pytest

from dbmesh.frontend.login import Limits
from dbmesh.frontend.tls import TlsEndpoint, own_certificate
from dbmesh.protocol import Capability
from dbmesh.protocol.auth import CACHING_SHA2, NATIVE, native_scramble
from dbmesh.protocol.framing import frame
from dbmesh.rules.model import ServerTls
from dbmesh.rules.passwords import double_sha1
from tests.certificates import Authority
from tests.programs import mariadb
from tests.wire.live import Live
from tests.wire.raw import CAPABILITIES, RawClient
from tests.wire.test_login import ask, connect, until

BOTH_LOOPS = pytest.mark.parametrize("live", ["uvloop", "asyncio"], indirect=True)
OK = b"\x00\x00\x00\x02\x00\x00\x00"


@pytest.fixture
def trusted(authority: Authority) -> dict[str, Any]:
    return {"ssl": {"ca": authority.file}}


def count(live: Live) -> int:
    return live.ask(lambda: len(live.frontend._logins) + len(live.frontend.connections))


@BOTH_LOOPS
@pytest.mark.parametrize("size", [1, 5, 36, 37, 1000])
def test_the_client_hello_in_the_segment_of_the_tls_request_and_in_pieces(live: Live, size: int) -> None:
    """36 bytes are the TLS request: the ClientHello begins a segment of its own."""
    with RawClient(live.port) as client:
        _, greeting = client.packet()
        client.start_tls(size)
        login = client.answer(greeting, 2, "app", "sécret", CAPABILITIES | Capability.SSL)
        client.send_encrypted(login + frame(b"\x0e", 0) + frame(b"\x03SELECT 7", 0), size)
        sequence, ok = client.decrypted()
        assert (sequence, ok[:7]) == (3, OK)
        assert client.decrypted() == (1, OK)
        assert [client.decrypted()[1] for _ in range(5)][3] == b"\x017"
        [connection] = live.ask(lambda: list(live.frontend.connections))
        assert connection.login.tls is not None
        assert connection.login.tls.version in ("TLSv1.2", "TLSv1.3")


@BOTH_LOOPS
def test_twenty_mebibytes_both_ways(live: Live, trusted: dict[str, Any]) -> None:
    with closing(connect(live, max_allowed_packet=32 << 20, **trusted)) as connection:
        text = "x" * (20 << 20)
        assert ask(connection, f"SELECT '{text}'") == ((text,),)
        assert ask(connection, "SELECT 2") == ((2,),)


@BOTH_LOOPS
@pytest.mark.parametrize("plugin", [NATIVE, CACHING_SHA2])
@pytest.mark.parametrize("user", ["app", "native", "crypt", "empty"])
def test_every_kind_of_password(live: Live, trusted: dict[str, Any], plugin: str, user: str) -> None:
    live.door.plugin = plugin
    password = "" if user == "empty" else "sécret".encode()
    for _ in range(2):
        with closing(connect(live, user=user, password=password, **trusted)) as connection:
            assert ask(connection, "SELECT 1") == ((1,),)
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        connect(live, user=user, password="wrong", **trusted)


def test_a_client_that_wants_the_password_in_clear_gets_its_way_where_nobody_can_listen(live: Live) -> None:
    def switched(encrypted: bool) -> tuple[int, bytes]:
        with RawClient(live.port) as client:
            _, greeting = client.packet()
            response = client.answer(greeting, 1 + encrypted, "app", "sécret", CAPABILITIES)
            response = response[:4] + response[4:].replace(NATIVE.encode(), b"mysql_clear_password")
            response = frame(response[4:], 1 + encrypted)
            if not encrypted:
                client.send(response)
                return client.packet()
            client.start_tls()
            client.send_encrypted(response)
            sequence, request = client.decrypted()
            client.send_encrypted(frame("sécret".encode() + b"\0", sequence + 1))
            assert client.decrypted()[1][:7] == OK
            return sequence, request

    assert switched(True)[1].startswith(b"\xfemysql_clear_password\0")
    assert switched(False)[1].startswith(b"\xfemysql_native_password\0")


def test_the_mariadb_command_line_sees_the_cipher(live: Live, authority: Authority) -> None:
    done = subprocess.run(
        [*mariadb(), "--no-defaults", "-h127.0.0.1", f"-P{live.tls_port}", "-uapp", "-psécret", "--ssl",
         f"--ssl-ca={authority.file}", "--ssl-verify-server-cert", "-e", r"SELECT 'ä'; \s"],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert "ä" in done.stdout
    assert "Cipher in use is TLS_" in done.stdout


def test_openssl_s_client_speaks_starttls(live: Live, authority: Authority) -> None:
    done = s_client(live, "-CAfile", authority.file, "-verify_return_error")
    assert "Verify return code: 0 (ok)" in done
    until(lambda: count(live) == 0)


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_versions_of_tls_are_refused(live: Live, version: str) -> None:
    done = s_client(live, version, "-cipher", "ALL:@SECLEVEL=0")
    assert "Cipher is (NONE)" in done
    until(lambda: count(live) == 0)


def s_client(live: Live, *options: str) -> str:
    command = ["openssl", "s_client", "-starttls", "mysql", "-connect", f"127.0.0.1:{live.port}", *options]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=20, check=False)
    return done.stdout + done.stderr


def test_a_listener_for_tls_only_refuses_plain_clients_before_their_password_is_asked_for(live: Live) -> None:
    for user in ("app", "crypt", "nobody"):
        with pytest.raises(pymysql.err.OperationalError) as refused:
            connect(live, "required", user, ssl_disabled=True)
        assert refused.value.args[0] == 3159
    with closing(connect(live, "required", ssl={"check_hostname": False})) as connection:
        assert ask(connection, "SELECT 1") == ((1,),)


def test_a_listener_without_tls_does_not_offer_it(live: Live) -> None:
    with pytest.raises(pymysql.err.OperationalError):
        connect(live, "socket", ssl={"check_hostname": False})
    live.door.tls = None
    with RawClient(live.port) as client:
        assert not int.from_bytes(client.packet()[1][-45:][:2], "little") & Capability.SSL
        client.send(frame((CAPABILITIES | Capability.SSL).to_bytes(4, "little") + bytes(28), 1))
        assert client.error().errno == 1043
        assert client.at_end()


def test_a_client_may_show_a_certificate_of_the_rules_authority_and_no_other(
    live: Live, authority: Authority, tmp_path: Path
) -> None:
    def certified(owner: Authority | None, days: int = 1) -> bool:
        pair = owner.issue("client", days=days) if owner else None
        options = {"cert": pair.certificate, "key": pair.key} if pair else {}
        with closing(connect(live, ssl={"ca": authority.file, **options})) as connection:
            assert ask(connection, "SELECT 1") == ((1,),)
            [there] = live.ask(lambda: list(live.frontend.connections))
            assert there.login.tls is not None
            return there.login.tls.certified

    assert certified(authority)
    until(lambda: count(live) == 0)
    assert not certified(None)
    for owner, days in ((Authority(tmp_path), 1), (authority, -1)):
        with pytest.raises((pymysql.err.OperationalError, OSError)):
            certified(owner, days)
    until(lambda: count(live) == 0)


@BOTH_LOOPS
@pytest.mark.parametrize("behind", [b"no ClientHello at all" * 20, b"\x16\x03\x01\xff\xff", frame(b"x" * 40, 2)])
def test_what_is_no_tls_after_the_request_ends_the_connection(
    live: Live, behind: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    live.frontend.limits = Limits(0.5)
    with RawClient(live.port) as client:
        client.packet()
        client.send(frame((CAPABILITIES | Capability.SSL).to_bytes(4, "little") + bytes(28), 1) + behind)
        with suppress(OSError):
            while client.socket.recv(1000):
                pass
    until(lambda: count(live) == 0)
    assert not [record for record in caplog.records if record.exc_info]


@BOTH_LOOPS
def test_a_client_that_stops_in_the_middle_of_its_handshake_is_cut(live: Live) -> None:
    live.frontend.limits = Limits(0.3)
    began = time.monotonic()
    with RawClient(live.port) as client:
        client.packet()
        client.send(frame((CAPABILITIES | Capability.SSL).to_bytes(4, "little") + bytes(28), 1))
        assert client.at_end()
    with RawClient(live.port) as client:
        client.packet()
        client.start_tls()
        with suppress(OSError):  # and in the middle of the login behind it
            while client.socket.recv(1000):
                pass
    assert time.monotonic() - began < 5
    until(lambda: count(live) == 0)


def test_a_second_tls_request_inside_tls_is_no_login(live: Live) -> None:
    with RawClient(live.port) as client:
        client.packet()
        client.start_tls()
        client.send_encrypted(frame((CAPABILITIES | Capability.SSL).to_bytes(4, "little") + bytes(28), 2))
        assert client.decrypted()[1][1:3] == (1043).to_bytes(2, "little")


@BOTH_LOOPS
def test_a_client_that_vanishes_inside_tls_leaves_nothing(live: Live, trusted: dict[str, Any]) -> None:
    for _ in range(10):
        connection = connect(live, **trusted)
        assert isinstance(connection._sock, ssl.SSLSocket)
        sock = socket.socket(fileno=connection._sock.detach())
        sock.close()
        connection._sock = None
    until(lambda: count(live) == 0)


def test_mariadb_s_proof_that_who_shows_the_certificate_knows_the_password(live: Live, endpoint: TlsEndpoint) -> None:
    """As MariaDB Connector/C 3.4 calculates it for a certificate that nobody else vouches for."""
    with RawClient(live.port) as client:
        _, greeting = client.packet()
        client.start_tls()
        client.send_encrypted(client.answer(greeting, 2, "app", "sécret", CAPABILITIES))
        ok = client.decrypted()[1]
        certificate = client._tls.getpeercert(True)
    assert certificate is not None
    rest = greeting.index(b"\0", 1) + 5
    salt = greeting[rest : rest + 8] + greeting[rest + 27 : rest + 39]
    assert native_scramble(b"x", salt)
    proof = sha256(double_sha1("sécret".encode()) + salt + sha256(certificate).digest()).hexdigest().upper()
    assert ok[7:] == b"\x41\x01" + proof.encode()


def test_the_mesh_s_own_certificate_is_made_once_and_is_nobody_else_s_to_read(tmp_path: Path) -> None:
    state = tmp_path / "new" / "state"
    first = TlsEndpoint.load(ServerTls(), state)
    again = TlsEndpoint.load(ServerTls(), state)
    assert first.fingerprint == again.fingerprint
    file = own_certificate(state)
    assert (file.stat().st_mode & 0o777, state.stat().st_mode & 0o777) == (0o600, 0o700)
    assert [path.name for path in state.iterdir()] == [file.name]
    file.write_text("damaged")
    assert TlsEndpoint.load(ServerTls(), state).fingerprint != first.fingerprint


def test_where_no_certificate_can_be_kept_one_is_made_for_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert TlsEndpoint.load(ServerTls(), tmp_path / "file" / "state").fingerprint
    assert "for this run only" in caplog.text


@pytest.mark.parametrize("broken", ["certificate", "key", "ca"])
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, authority: Authority, broken: str) -> None:
    pair = authority.issue("named", "localhost")
    files = {"certificate": pair.certificate, "key": pair.key, "ca": authority.file}
    for content in (None, "rubbish"):
        files[broken] = str(tmp_path / "broken")
        if content is not None:
            (tmp_path / "broken").write_text(content)
        with pytest.raises(OSError, match=f"cannot use .*{'broken' if broken != 'key' else 'named'}"):
            TlsEndpoint.load(ServerTls(**files), tmp_path)
