"""Pooled connections and links under TLS, to a real server with a certificate of its own: every mode, both loops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

from dbmesh.backend.failures import Unreachable
from dbmesh.backend.pool import Capabilities
from dbmesh.errors import BackendLost
from dbmesh.rules.model import DataSource, TlsRules
from dbmesh.sandbox import Sandbox
from dbmesh.transaction import link
from tests.certificates import Authority, Pair
from tests.unit.backend.test_dial import dialled

LOOPS = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module")
def client(authority: Authority) -> Pair:
    return authority.issue("client")


@pytest.fixture(scope="module")
def tls_source(sandbox: Sandbox, authority: Authority) -> Iterator[DataSource]:
    """A server whose certificate is for localhost, and which wants a certificate of the user 'certified'."""
    pair = authority.issue("server", "localhost")
    options = [f"--ssl-ca={authority.file}", f"--ssl-cert={pair.certificate}", f"--ssl-key={pair.key}"]
    server = sandbox.start("tls", options)
    server.script(["CREATE DATABASE s", "CREATE USER certified REQUIRE X509", "GRANT ALL ON *.* TO certified"])
    account = server.account
    yield DataSource("ds_0", "s", account.user, account.password.encode(), "localhost", server.port)
    sandbox.discard("tls")


async def cipher(source: DataSource) -> str:
    """What the server says of the connection; empty without TLS. A big result and a big statement pass too."""
    async with dialled(source, Capabilities(deprecate_eof=True)) as connection:
        [[size]] = (await connection.execute(f"SELECT LENGTH('{'x' * 3_000_000}')")).rows
        assert size == b"3000000"
        assert len((await connection.execute("SELECT REPEAT('y', 3000000)")).rows[0][0] or b"") == 3_000_000
        return await asked(connection.execute)


async def asked(execute: Callable[..., object]) -> str:
    answer = await execute("SHOW STATUS LIKE 'Ssl_cipher'")  # type: ignore[misc]
    return (answer.rows[0][1] or b"").decode()  # type: ignore[attr-defined]


@LOOPS
@pytest.mark.parametrize("mode", ["preferred", "required", "verify_ca", "verify_identity"])
def test_a_pooled_connection_is_encrypted(
    tls_source: DataSource, authority: Authority, mode: str, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    rules = TlsRules(mode, authority.file)  # type: ignore[arg-type]
    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(cipher(replace(tls_source, tls=rules)))


async def test_a_link_is_encrypted(tls_source: DataSource, authority: Authority) -> None:
    made = await link.dial(replace(tls_source, tls=TlsRules("verify_identity", authority.file)))
    assert await asked(made.execute)
    made.close()


async def test_without_rules_there_is_no_tls(tls_source: DataSource) -> None:
    assert await cipher(tls_source) == ""


async def test_preferred_goes_without_where_the_server_has_none(source: DataSource) -> None:
    assert await cipher(replace(source, tls=TlsRules("preferred"))) == ""
    made = await link.dial(replace(source, tls=TlsRules("preferred")))
    assert await asked(made.execute) == ""
    made.close()


async def test_the_mesh_shows_its_own_certificate(tls_source: DataSource, authority: Authority, client: Pair) -> None:
    certified = replace(tls_source, user="certified", password=b"")
    rules = TlsRules("verify_ca", authority.file, client.certificate, client.key)
    assert await cipher(replace(certified, tls=rules))
    with pytest.raises(Unreachable, match=r"Access denied .*\(1045\)"):
        await cipher(replace(certified, tls=TlsRules("verify_ca", authority.file)))


@pytest.mark.parametrize(
    ("change", "rules", "reason"),
    [
        ({"host": "127.0.0.1"}, TlsRules("verify_identity", "CA"), "IP address mismatch"),
        ({}, TlsRules("verify_ca", "OTHER"), "certificate verify failed"),
        ({}, TlsRules("verify_ca"), "certificate verify failed"),
        ({}, TlsRules("verify_ca", "/nonexistent"), "No such file"),
    ],
)
async def test_a_server_that_is_not_who_it_should_be_gets_no_password(
    tls_source: DataSource, authority: Authority, folder: Path, change: dict[str, str], rules: TlsRules, reason: str
) -> None:
    files = {"CA": authority.file, "OTHER": Authority(folder, "other").file}
    source = replace(tls_source, tls=replace(rules, ca=files.get(rules.ca or "", rules.ca)), **change)  # type: ignore[arg-type]
    with pytest.raises(Unreachable, match=reason):
        await cipher(source)
    with pytest.raises(BackendLost, match=reason):
        await link.dial(source)
    assert await cipher(replace(tls_source, tls=TlsRules("verify_ca", authority.file), **change))  # type: ignore[arg-type]
