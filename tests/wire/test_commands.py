"""Commands on a live connection: order, limits, slow and vanishing clients, hostile bytes."""

from __future__ import annotations

import random
import socket
import struct
import time
from contextlib import closing, suppress

import asyncmy
import pymysql
import pytest

from dbmesh.frontend.connection import SENT_AHEAD, WRITE_AHEAD
from dbmesh.protocol.framing import frame
from dbmesh.sandbox import Server
from tests.flavour import numbers
from tests.wire.live import Live
from tests.wire.raw import RawClient
from tests.wire.test_login import ask, connect

OK = b"\x00\x00\x00\x02\x00\x00\x00"
ENDLESS = f"COUNT(*) FROM {numbers(1_000_000_000)} WHERE seq % 7 = 8"


def running(server: Server, marker: str) -> int:
    [[count]] = server.rows(
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE %s AND ID <> CONNECTION_ID()",
        (f"%{marker}%",),
    )
    return int(count)


def until(server: Server, marker: str, count: int, seconds: float = 3.0) -> None:
    """Milliseconds on a quiet machine."""
    deadline = time.monotonic() + seconds
    while running(server, marker) != count:
        assert time.monotonic() < deadline, f"not {count} statements with {marker} after {seconds} s"


def in_use(live: Live) -> int:
    return live.ask(lambda: live.cluster.report()[0].in_use)


def test_an_unknown_command_gets_1047_and_the_connection_lives(live: Live) -> None:
    with RawClient(live.port) as client:
        client.login()
        for code in (0x99, 0x05, 0x16):
            client.send(frame(bytes((code,)) + b"rest", 0))
            assert client.error().errno == 1047
        client.send(frame(b"\x0e", 0))
        assert client.packet() == (1, OK)


def test_malformed_arguments_get_1835_and_the_connection_lives(live: Live) -> None:
    with RawClient(live.port) as client:
        client.login()
        for payload in (b"", b"\x1b"):
            client.send(frame(payload, 0))
            assert client.error().errno == 1835
        client.send(frame(b"\x0e", 0))
        assert client.packet() == (1, OK)


def test_quit_closes(live: Live) -> None:
    with RawClient(live.port) as client:
        client.login()
        client.send(frame(b"\x01", 0))
        assert client.at_end()
    assert live.ask(lambda: len(live.frontend.connections)) == 0


def test_a_command_that_meets_a_bug_gets_no_traceback(live: Live, caplog: pytest.LogCaptureFixture) -> None:
    with RawClient(live.port) as client:
        client.login()
        client.send(frame(b"\x03bug", 0))
        error = client.error()
        assert (error.errno, "ZeroDivision" in error.message) == (1105, False)
        assert client.at_end()
    assert "ZeroDivisionError" in caplog.text


def test_a_command_out_of_order_gets_1156_and_a_close(live: Live) -> None:
    with RawClient(live.port) as client:
        client.login()
        client.send(frame(b"\x0e", 3))
        assert client.error().errno == 1156
        assert client.at_end()


def test_a_command_over_max_packet_gets_1153_and_a_close(live: Live) -> None:
    with RawClient(live.port) as client:
        client.login()
        client.send(frame(bytes(40 << 20), 0))
        assert client.error().errno == 1153
        assert client.at_end()


def test_twenty_mebibytes_both_ways(live: Live) -> None:
    with closing(connect(live, max_allowed_packet=32 << 20)) as connection:
        text = "x" * (20 << 20)
        assert ask(connection, f"SELECT '{text}'") == ((text,),)
        assert ask(connection, "SELECT 2") == ((2,),)


async def test_twenty_mebibytes_back_in_the_new_eof_style(live: Live) -> None:
    where = live.address()
    async with (
        asyncmy.connect(user="app", password="sécret".encode(), **where) as connection,
        connection.cursor() as cursor,
    ):
        # asyncmy takes a row whose first field is that long for the end of the rows, from a server too
        await cursor.execute("SELECT 5, REPEAT('x', 20*1024*1024)")
        assert await cursor.fetchall() == ((5, "x" * (20 << 20)),)
        await cursor.execute("SELECT 2")
        assert await cursor.fetchall() == ((2,),)


def test_commands_sent_ahead_are_answered_in_order(live: Live) -> None:
    with RawClient(live.port) as client:
        client.login()
        client.send(b"".join(frame(b"\x03SELECT %d" % number, 0) for number in range(200)))
        for number in range(200):
            packets = [client.packet() for _ in range(5)]
            text = str(number).encode()
            assert packets[3] == (4, bytes((len(text),)) + text)


def test_what_is_sent_ahead_of_an_answer_is_bounded(live: Live) -> None:
    with RawClient(live.port) as client:
        client.login()
        client.send(frame(b"\x03SELECT SLEEP(0.5)", 0))
        client.socket.settimeout(0.3)
        with suppress(TimeoutError):
            for _ in range(200):
                client.socket.sendall(frame(b"\x03SELECT '" + b"x" * (1 << 20) + b"'", 0))
        [connection] = live.ask(lambda: list(live.frontend.connections))
        assert live.ask(lambda: connection._framer.buffered) <= SENT_AHEAD + (1 << 19)


def test_a_client_that_does_not_read_makes_the_backend_wait(live: Live, server: Server) -> None:
    marker = "slow_reader"
    with RawClient(live.port) as client:
        client.login()
        client.send(frame(f"\x03SELECT /* {marker} */ REPEAT('x', 10000) FROM {numbers(100_000)}".encode(), 0))
        [connection] = live.ask(lambda: list(live.frontend.connections))
        deadline = time.monotonic() + 5
        while not live.ask(lambda: connection._slow):
            assert time.monotonic() < deadline
        time.sleep(0.3)
        assert running(server, marker) == 1  # it cannot get rid of its rows
        waiting = live.ask(lambda: connection._transport.get_write_buffer_size())
        assert waiting <= WRITE_AHEAD + (1 << 20)
        size = 0
        while (packet := client.packet()[1])[0] != 0xFE or len(packet) != 5 or size < 10:
            size += 1
        assert size == 100_000 + 3
    until(server, marker, 0)


@pytest.mark.parametrize("query", ["SLEEP(20)", f"seq FROM {numbers(10_000_000)}"], ids=["waiting", "sending"])
def test_a_client_that_vanishes_ends_the_backend_s_work_within_a_second(live: Live, server: Server, query: str) -> None:
    with RawClient(live.port) as client:
        client.login()
        client.send(frame(f"\x03SELECT /* gone */ {query}".encode(), 0))
        until(server, "gone", 1)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    until(server, "gone", 0)
    assert in_use(live) == 0
    with closing(connect(live)) as connection:
        assert ask(connection, "SELECT 1") == ((1,),)


def test_kill_query_of_a_relay_leaves_the_client_connected(live: Live, server: Server) -> None:
    with RawClient(live.port) as client:
        client.login()
        client.send(frame(f"\x03SELECT /* interrupted */ {ENDLESS}".encode(), 0))
        until(server, "interrupted", 1)
        [connection] = live.ask(lambda: list(live.frontend.connections))
        live.ask(connection.interrupt_relay)
        packets = [client.packet()]
        while packets[-1][1][0] != 0xFF:
            packets.append(client.packet())
        assert packets[-1][1][1:3] == (1317).to_bytes(2, "little")
        client.send(frame(b"\x0e", 0))
        assert client.packet() == (1, OK)
    assert in_use(live) == 0


def test_a_backend_that_dies_before_its_answer_is_an_error_and_the_client_stays(live: Live, server: Server) -> None:
    with RawClient(live.port) as client:
        client.login()
        client.send(frame(f"\x03SELECT /* dying */ {ENDLESS}".encode(), 0))
        until(server, "dying", 1)
        [[thread]] = server.rows(
            "SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE '%/* dying */%' AND ID <> CONNECTION_ID()"
        )
        server.script([f"KILL {thread}"])
        payload = client.packet()[1]
        while payload[0] != 0xFF:
            payload = client.packet()[1]
        client.send(frame(b"\x0e", 0))
        assert client.packet() == (1, OK)


def test_found_rows_is_the_client_s_own_choice(live: Live) -> None:
    found = {}
    for name, flags in (("plain", 0), ("found", 2)):
        with closing(connect(live, client_flag=flags, autocommit=True)) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE IF NOT EXISTS wire_tests.f (a INT)")
            cursor.execute("DELETE FROM wire_tests.f")
            cursor.execute("INSERT INTO wire_tests.f VALUES (1)")
            found[name] = cursor.execute("UPDATE wire_tests.f SET a = 1")
    assert found == {"plain": 0, "found": 1}


@pytest.mark.parametrize("logged_in", [False, True])
def test_hostile_bytes_get_an_error_or_a_close_and_hurt_nobody_else(live: Live, logged_in: bool) -> None:
    chance = random.Random(20)
    for _ in range(60):
        with RawClient(live.port) as client:
            if logged_in:
                client.login()
            else:
                client.packet()
            data = chance.randbytes(chance.randint(1, 200))
            if chance.random() < 0.5:
                data = frame(data, 0 if logged_in else 1)
            with suppress(OSError):
                client.send(data, chance.choice([1, 7, 500]))
                client.socket.shutdown(socket.SHUT_WR)
                while not client.at_end():
                    pass
    deadline = time.monotonic() + 5
    while live.ask(lambda: len(live.frontend._logins) + len(live.frontend.connections)):
        assert time.monotonic() < deadline
    with closing(connect(live)) as connection:
        assert ask(connection, "SELECT 1") == ((1,),)
    assert in_use(live) == 0


def test_pymysql_sees_errors_as_mysql_s(live: Live) -> None:
    with closing(connect(live)) as connection:
        with pytest.raises(pymysql.err.ProgrammingError) as error:
            ask(connection, "SELECT * FROM no_such_table")
        assert error.value.args[0] == 1146
        assert ask(connection, "SELECT 1") == ((1,),)
