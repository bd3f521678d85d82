"""Ordinary drivers log in: both plugins, both exchanges, TCP and Unix socket; and what is refused says so."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import asyncmy
import pymysql
import pytest

from dbmesh.frontend.login import Limits
from dbmesh.protocol import Capability
from dbmesh.protocol.auth import CACHING_SHA2, NATIVE
from dbmesh.protocol.framing import frame
from tests.programs import mariadb
from tests.wire.live import Live
from tests.wire.raw import CAPABILITIES, RawClient

KINDS = pytest.mark.parametrize("kind", ["tcp", "socket"])
PLUGINS = pytest.mark.parametrize("plugin", [NATIVE, CACHING_SHA2])


def connect(live: Live, kind: str = "tcp", user: str = "app", **options: Any) -> pymysql.Connection[Any]:
    defaults = {"user": user, "password": "sécret".encode(), "charset": "utf8mb4"}
    return pymysql.connect(**defaults | live.address(kind) | options)


def ask(connection: pymysql.Connection[Any], sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


@KINDS
@PLUGINS
@pytest.mark.parametrize("user", ["app", "native", "crypt"])
def test_pymysql(live: Live, kind: str, plugin: str, user: str) -> None:
    live.door.plugin = plugin
    for _ in range(2):  # the second time by what the first has taught
        with closing(connect(live, kind, user)) as connection:
            assert ask(connection, "SELECT 'ä', 1") == (("ä", 1),)
            connection.ping(reconnect=False)
            assert connection.get_server_info() == "8.4.0-wire-test"


@KINDS
@PLUGINS
async def test_asyncmy(live: Live, kind: str, plugin: str) -> None:
    live.door.plugin = plugin
    where = live.address(kind)
    async with (
        asyncmy.connect(user="app", password="sécret".encode(), **where) as connection,
        connection.cursor() as cursor,
    ):
        await cursor.execute("SELECT 'ä', 1 UNION ALL SELECT 'b', 2")
        assert await cursor.fetchall() == (("ä", 1), ("b", 2))


@KINDS
@PLUGINS
def test_the_mariadb_command_line(live: Live, kind: str, plugin: str) -> None:
    live.door.plugin = plugin
    where = [f"--socket={live.socket}"] if kind == "socket" else ["-h127.0.0.1", f"-P{live.port}"]
    done = subprocess.run(
        [*mariadb(), "--no-defaults", "-uapp", "-psécret", *where, "--skip-ssl", "-N", "-e", "SELECT 'ä', 1; SELECT 2"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("ä\t1\n2\n", "")


@KINDS
def test_a_user_without_a_password(live: Live, kind: str) -> None:
    with closing(connect(live, kind, "empty", password="")) as connection:
        assert ask(connection, "SELECT 1") == ((1,),)


@KINDS
@PLUGINS
@pytest.mark.parametrize(
    ("user", "password"),
    [("empty", "wrong"), *((user, word) for user in ("app", "native", "crypt", "nobody") for word in ("", "wrong"))],
)
def test_a_wrong_password_is_refused_in_mysql_s_words(
    live: Live, kind: str, plugin: str, user: str, password: str
) -> None:
    live.door.plugin = plugin
    with pytest.raises(pymysql.err.OperationalError) as refused:
        connect(live, kind, user, password=password)
    host = "localhost" if kind == "socket" else "127.0.0.1"
    used = "YES" if password else "NO"
    assert refused.value.args == (1045, f"Access denied for user '{user}'@'{host}' (using password: {used})")


def test_the_database_asked_for_at_login(live: Live) -> None:
    connect(live, database="shop").close()
    for name, errno in (("nothing", 1049), ("forbidden", 1044)):
        with pytest.raises(pymysql.err.OperationalError) as refused:
            connect(live, database=name)
        assert refused.value.args[0] == errno


def test_capabilities_beyond_those_offered_have_no_effect(live: Live) -> None:
    flags = CAPABILITIES | Capability.MULTI_STATEMENTS | Capability.ODBC | Capability.NO_SCHEMA
    with RawClient(live.port) as client:
        client.send(client.login_packet(flags=flags))
        assert client.packet() == (2, b"\x00\x00\x00\x02\x00\x00\x00")
        client.send(frame(b"\x03SELECT 1; SELECT 2", 0))
        assert client.error().errno == 1064


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_the_login_in_pieces_and_with_the_first_commands_behind_it(live: Live, size: int) -> None:
    with RawClient(live.port) as client:
        client.send(client.login_packet() + frame(b"\x0e", 0) + frame(b"\x03SELECT 7", 0), size)
        assert client.packet() == (2, b"\x00\x00\x00\x02\x00\x00\x00")
        assert client.packet() == (1, b"\x00\x00\x00\x02\x00\x00\x00")
        assert client.packet() == (1, b"\x01")
        client.packet()
        client.packet()
        assert client.packet() == (4, b"\x017")


def until(happened: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"not within {seconds} s"


def test_one_client_too_many_is_told_before_the_greeting(live: Live) -> None:
    clients = [RawClient(live.port) for _ in range(21)]
    for client in clients:
        client.packet()
    with pytest.raises(pymysql.err.OperationalError) as refused:
        connect(live)
    assert refused.value.args == (1040, "Too many connections")
    for client in clients[:2]:
        client.socket.close()
    until(lambda: live.ask(lambda: len(live.frontend._logins)) == 19)
    connect(live).close()
    for client in clients:
        client.socket.close()


def test_the_place_beyond_the_last_is_for_those_who_may_see_what_takes_the_others(live: Live) -> None:
    clients = [connect(live) for _ in range(20)]
    with pytest.raises(pymysql.err.OperationalError) as refused:
        connect(live)
    assert refused.value.args == (1040, "Too many connections")
    with closing(connect(live, user="native")) as admin:
        assert ask(admin, "SELECT 1") == ((1,),)
        with pytest.raises(pymysql.err.OperationalError) as refused:
            connect(live, user="native")
    assert refused.value.args == (1040, "Too many connections")
    for client in clients:
        client.close()


def test_a_login_that_takes_too_long_is_cut(live: Live) -> None:
    live.frontend.limits = Limits(0.1)
    with RawClient(live.port) as client:
        client.packet()
        client.send(b"\x10")
        assert client.at_end()
    assert live.ask(lambda: len(live.frontend._logins)) == 0


@pytest.mark.parametrize(
    ("data", "errno"),
    [
        (frame(b"", 1), 1043),
        (frame(b"GET / HTTP/1.1", 1), 1043),
        (b"\xff\xff\xff\x01", 1043),
        (b"\x01\x00\x00\x05", 1156),
        (frame(b"\x00" * 100, 1), 1043),
        (frame(b"\x8f\xa2\x08\x00" + b"\xff" * 100, 1), 1043),
    ],
)
def test_what_is_no_login_gets_an_error_and_a_close(live: Live, data: bytes, errno: int) -> None:
    with RawClient(live.port) as client:
        client.packet()
        client.send(data)
        assert client.error().errno == errno
        assert client.at_end()


def test_a_client_that_says_nothing_and_goes_leaves_nothing(live: Live) -> None:
    for _ in range(50):
        socket.create_connection(("127.0.0.1", live.port)).close()
    deadline = time.monotonic() + 5
    while live.ask(lambda: len(live.frontend._logins) + len(live.frontend.connections)):
        assert time.monotonic() < deadline
