"""What a client may not have more of: bytes, time, connections; and what it is told when the mesh goes."""

from __future__ import annotations

import resource
import socket
from contextlib import closing, suppress
from pathlib import Path

import pymysql
import pytest

from dbmesh.frontend import connection as connection_module
from dbmesh.frontend.idle import IdleClients
from dbmesh.frontend.login import Limits
from dbmesh.protocol.framing import frame
from tests.flavour import numbers
from tests.wire.live import Live
from tests.wire.raw import RawClient
from tests.wire.test_login import ask, connect, until

OK = b"\x00\x00\x00\x02\x00\x00\x00"


def connections(live: Live) -> int:
    return live.ask(lambda: len(live.frontend.connections) + len(live.frontend._logins))


@pytest.mark.parametrize(("tls", "size"), [(True, 33 << 20), (False, 33 << 20), (False, 70 << 20)])
def test_a_client_that_sends_all_of_a_command_that_is_too_long_hears_why(live: Live, size: int, tls: bool) -> None:
    """A close before its last byte would be a broken pipe to it, and the error lost."""
    secured = {"ssl": {"check_hostname": False}} if tls else {"ssl_disabled": True}
    with closing(connect(live, max_allowed_packet=1 << 30, **secured)) as connection:
        with pytest.raises(pymysql.err.MySQLError) as refused:
            ask(connection, "x" * size)
        assert refused.value.args == (1153, "Got a packet bigger than 'max_allowed_packet' bytes")
    until(lambda: connections(live) == 0)


def test_the_rest_of_a_command_that_never_comes_is_not_waited_for(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "LINGER", 0.2)
    with RawClient(live.port) as client:
        client.login()
        client.send(b"\xff\xff\xff\x00" + bytes(0xFFFFFF) + b"\xff\xff\xff\x01" + bytes(0xFFFFFF) + b"\xff\xff\xff\x02")
        assert client.error().errno == 1153
        until(lambda: connections(live) == 0)


def test_a_client_that_reads_nothing_does_not_outlive_its_dismissal(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "LINGER", 0.2)
    with RawClient(live.port) as client:
        client.login()
        client.send(frame(b"\x03SELECT REPEAT('x', 15000000)", 0))
        [there] = live.ask(lambda: list(live.frontend.connections))
        until(lambda: live.ask(lambda: there._transport.get_write_buffer_size() > 0))
        live.ask(there.close)
        until(lambda: connections(live) == 0)


@pytest.mark.parametrize("encrypted", [True, False])
def test_a_login_flood_leaves_room_for_the_next_client_and_no_memory(live: Live, encrypted: bool) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    def flood(number: int) -> None:
        for _ in range(number):
            with socket.create_connection(("127.0.0.1", live.port), timeout=5) as sock, suppress(OSError):
                sock.sendall(frame(b"\x8f\xaa\x0a\x00" + bytes(28) + b"x" * 3000 * (not encrypted), 1) + b"x" * 3000)

    flood(200)
    until(lambda: connections(live) == 0)
    before = resident()
    flood(1500)
    until(lambda: connections(live) == 0)
    assert resident() - before < 20 << 20
    with closing(connect(live)) as connection:
        assert ask(connection, "SELECT 1") == ((1,),)


def test_a_flood_that_keeps_its_connections_is_over_when_the_login_s_time_is(live: Live) -> None:
    live.frontend.limits = Limits(0.5)
    held = [socket.create_connection(("127.0.0.1", live.port)) for _ in range(60)]
    with pytest.raises(pymysql.err.OperationalError) as refused:
        connect(live)
    assert refused.value.args[0] == 1040
    until(lambda: connections(live) == 0)
    connect(live).close()
    for sock in held:
        sock.close()


def test_idle_clients_are_told_and_the_others_are_not(live: Live) -> None:
    async def watch() -> IdleClients:
        idle = IdleClients(live.frontend.connections, 0.8)
        idle.watch()
        return idle

    idle = live.run(watch())
    with RawClient(live.port) as quiet, RawClient(live.port) as working, RawClient(live.port) as talking:
        for client in (quiet, working, talking):
            client.login()
        working.send(frame(b"\x03SELECT SLEEP(2)", 0))
        for _ in range(20):
            talking.send(frame(b"\x03DO SLEEP(0.1)", 0))
            assert talking.packet()[1][0] == 0
        assert quiet.packet()[0] == 0
        assert quiet.at_end()
        assert [working.packet() for _ in range(5)][3] == (4, b"\x010")
    live.ask(idle.stop)


def test_clients_of_a_mesh_that_goes_are_told(live: Live) -> None:
    with RawClient(live.port) as quiet, RawClient(live.port) as waiting, RawClient(live.port) as reading:
        for client in (quiet, waiting, reading):
            client.login()
        waiting.send(frame(f"\x03SELECT COUNT(*) FROM {numbers(1_000_000_000)} WHERE seq % 7 = 8".encode(), 0))
        reading.send(frame(f"\x03SELECT seq, SLEEP(0.0001) FROM {numbers(100_000)}".encode(), 0))
        reading.packet()
        busy = live.ask(lambda: [connection for connection in live.frontend.connections if connection.busy])
        assert len(busy) == 2
        live.run(live.frontend.close(0.2))
        sequence, payload = quiet.packet()
        assert (sequence, payload[:3]) == (0, b"\xff" + (1053).to_bytes(2, "little"))
        assert quiet.at_end()
        for client in (waiting, reading):
            with suppress(EOFError):
                while True:
                    client.packet()
        assert connections(live) == 0
