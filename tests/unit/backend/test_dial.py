"""asyncmy logs in, our protocol object takes over: on both loops, over TCP and over a Unix socket."""

from __future__ import annotations

import asyncio
import inspect
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import uvloop
from asyncmy.connection import Connection as AsyncmyConnection

from dbmesh.backend.connection import Connection
from dbmesh.backend.dial import GONE_SECONDS, dial
from dbmesh.backend.failures import Unreachable
from dbmesh.backend.pool import Capabilities
from dbmesh.errors import BackendError, BackendLost
from dbmesh.rules.model import DataSource, PoolRules, TlsRules

LOOPS: list[Callable[[], asyncio.AbstractEventLoop]] = [asyncio.new_event_loop, uvloop.new_event_loop]


@asynccontextmanager
async def dialled(source: DataSource, capabilities: Capabilities) -> AsyncIterator[Connection]:
    connection = await dial(source, capabilities)
    lost = asyncio.Event()
    connection.on_lost = lambda _: lost.set()
    try:
        yield connection
    finally:
        connection.close()
        await lost.wait()


@pytest.mark.parametrize("new_loop", LOOPS)
@pytest.mark.parametrize("found_rows", [False, True])
@pytest.mark.parametrize("deprecate_eof", [False, True])
@pytest.mark.parametrize("kind", ["source", "socket_source"])
def test_a_connection_has_the_capabilities_it_was_dialled_with(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
    found_rows: bool,
    deprecate_eof: bool,
    kind: str,
    request: pytest.FixtureRequest,
) -> None:
    async def scenario() -> None:
        async with dialled(request.getfixturevalue(kind), Capabilities(found_rows, deprecate_eof)) as connection:
            await connection.execute("CREATE TEMPORARY TABLE t (a INT)")
            await connection.execute("INSERT INTO t VALUES (1), (1)")
            update = await connection.execute("UPDATE t SET a = 1")
            assert update.affected == (2 if found_rows else 0)
            assert update.info == b"Rows matched: 2  Changed: 0  Warnings: 0"
            rows = (await connection.execute("SELECT a, 'ä', NULL FROM t")).rows
            assert rows == [[b"1", "ä".encode(), None]] * 2
            with pytest.raises(BackendError) as refused:
                await connection.execute("SELECT 1; SELECT 2")
            assert refused.value.errno == 1064
            assert (await connection.execute("SELECT CONNECTION_ID()")).rows == [[str(connection.thread_id).encode()]]
            assert "MariaDB" in connection.server_version
            assert not connection.server_version.startswith("5.5.5")

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(scenario())


def test_a_server_that_asks_for_a_file_unoffered_gets_none(source: DataSource) -> None:
    async def scenario() -> None:
        async with dialled(source, Capabilities()) as connection:
            await connection.execute("CREATE TEMPORARY TABLE t (a VARCHAR(200))")
            with pytest.raises(BackendLost, match="a local file that was not offered"):
                await connection.execute("LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t")
            assert connection.closed

    asyncio.run(scenario())


def test_the_private_names_of_asyncmy_that_the_take_over_needs_are_where_they_were() -> None:
    assert inspect.iscoroutinefunction(AsyncmyConnection._get_server_information)
    wanted = ("_transport", "_proto", "_client_flag", "_ssl_context", "_mariadb_ext_caps", "_connected")

    async def names() -> set[str]:
        connection = AsyncmyConnection()
        return {name for name in wanted if hasattr(connection, name)}

    assert asyncio.run(names()) == set(wanted)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"port": 1}, "Can't connect to data source 'ds_0': Connect.* failed"),
        ({"password": b"wrong"}, r"Access denied .*\(1045\)"),
        ({"schema": "no_such_schema"}, r"Unknown database .*\(1049\)"),
        ({"host": "", "socket": "/nonexistent/socket"}, "No such file"),
        ({"tls": TlsRules("required")}, "does not offer TLS"),
    ],
)
async def test_a_data_source_that_cannot_be_reached_is_named_with_the_reason(
    source: DataSource, change: dict[str, object], reason: str
) -> None:
    with pytest.raises(Unreachable, match=reason) as refused:
        await dial(replace(source, **change), Capabilities())  # type: ignore[arg-type]
    assert "ds_0" in refused.value.message
    assert (refused.value.errno, refused.value.started) == (1105, False)


async def test_a_server_that_does_not_answer_is_given_up_after_connect_timeout(source: DataSource) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mute = replace(source, port=silent.getsockname()[1], pool=PoolRules(connect_timeout=0.05))
        with pytest.raises(Unreachable, match=r"no answer within 0\.05 s"):
            await dial(mute, Capabilities())


@pytest.mark.parametrize("new_loop", LOOPS)
def test_a_machine_that_is_gone_is_noticed(
    new_loop: Callable[[], asyncio.AbstractEventLoop], source: DataSource
) -> None:
    async def scenario() -> None:
        async with dialled(source, Capabilities()) as connection:
            sock = connection._transport.get_extra_info("socket")
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == GONE_SECONDS * 1000

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(scenario())
