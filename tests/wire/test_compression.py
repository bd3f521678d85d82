"""Compression on a live front end: drivers with zlib, zstd packet by packet, under TLS, slow and hostile clients."""

from __future__ import annotations

import random
import socket
import subprocess
import time
from contextlib import closing, suppress
from typing import Any

import mysql.connector
import pytest

from dbmesh.frontend.connection import WRITE_AHEAD
from dbmesh.protocol import Capability
from dbmesh.protocol.auth import NATIVE, native_scramble
from dbmesh.protocol.compression import Algorithm, Compression, Zlib, Zstd
from dbmesh.protocol.framing import frame
from dbmesh.protocol.handshake import HandshakeResponse
from dbmesh.sandbox import Server
from tests.certificates import Authority
from tests.flavour import numbers
from tests.programs import mariadb
from tests.wire.live import Live
from tests.wire.raw import CAPABILITIES, RawClient
from tests.wire.test_commands import running
from tests.wire.test_commands import until as until_running
from tests.wire.test_login import until

OK = b"\x00\x00\x00\x02\x00\x00\x00"
BOTH = pytest.mark.parametrize("algorithm", [Zlib(), Zstd(3), Zstd(22)])


class Client(RawClient):
    """Logged in with compression; ``plain`` is the next packet inside the compressed ones."""

    def __init__(self, port: int, algorithm: Algorithm, behind: bytes = b"", size: int = 1 << 20) -> None:
        super().__init__(port)
        self.stream = Compression(algorithm)
        self._plain = b""
        _, greeting = self.packet()
        rest = greeting.index(b"\0", 1) + 5
        salt = greeting[rest : rest + 8] + greeting[rest + 27 : rest + 39]
        flags = CAPABILITIES | (Capability.COMPRESS if isinstance(algorithm, Zlib) else Capability.ZSTD)
        auth = native_scramble("sécret".encode(), salt)
        response = HandshakeResponse(flags, 1 << 24, 45, "app", auth, None, NATIVE, {}, 22)
        self.send(frame(response.encode(), 1) + self.stream.compress(behind), size)
        assert self.packet() == (2, OK)

    def command(self, payload: bytes, size: int = 1 << 20) -> None:
        self.stream = Compression(self.stream._algorithm)
        self.send(self.stream.compress(frame(payload, 0)), size)

    def plain(self) -> tuple[int, bytes]:
        header = self._take(4)
        return header[3], self._take(int.from_bytes(header[:3], "little"))

    def _take(self, size: int) -> bytes:
        while len(self._plain) < size:
            more = self.stream.next()
            if more is None:
                self.stream.feed(self._read(7))
                self.stream.feed(self._read(int.from_bytes(self.stream._received[:3], "little")))
            else:
                self._plain += more
        data, self._plain = self._plain[:size], self._plain[size:]
        return data


@BOTH
@pytest.mark.parametrize("size", [1, 10, 1000])
def test_commands_in_pieces_and_the_first_right_behind_the_login(live: Live, algorithm: Algorithm, size: int) -> None:
    with Client(live.port, algorithm, frame(b"\x0e", 0), size) as client:
        assert client.plain() == (1, OK)
        client.command(b"\x03SELECT '" + b"x" * 500 + b"'", size)
        assert [client.plain()[1] for _ in range(5)][3] == b"\xfc\xf4\x01" + b"x" * 500


@BOTH
def test_twenty_mebibytes_both_ways(live: Live, algorithm: Algorithm) -> None:
    with Client(live.port, algorithm) as client:
        text = random.Random(1).randbytes(1 << 10).hex().encode() * (10 << 10)
        client.command(b"\x03SELECT '" + text + b"'")
        for _ in range(3):
            client.plain()
        assert b"".join(client.plain()[1] for _ in range(2)) == b"\xfe" + len(text).to_bytes(8, "little") + text


def test_a_client_that_does_not_read_makes_the_backend_wait(live: Live, server: Server) -> None:
    marker = "slow_compressed"
    with Client(live.port, Zlib()) as client:
        client.command(f"\x03SELECT /* {marker} */ SHA2(seq, 512) FROM {numbers(1_000_000)}".encode())
        [connection] = live.ask(lambda: list(live.frontend.connections))
        until(lambda: live.ask(lambda: connection._slow), 20)
        time.sleep(0.2)
        assert running(server, marker) == 1
        assert live.ask(lambda: connection._transport.get_write_buffer_size()) <= WRITE_AHEAD + (1 << 20)
    until_running(server, marker, 0)


def test_a_little_that_would_become_much_is_read_as_the_client_s_commands_are_answered(live: Live) -> None:
    with Client(live.port, Zlib()) as client:
        command = frame(b"\x03SELECT SLEEP(0.3)", 0) + frame(b"\x03SELECT '" + b"x" * (1 << 22) + b"'", 0) * 12
        client.send(Compression(Zlib()).compress(command))
        [connection] = live.ask(lambda: list(live.frontend.connections))
        deadline = time.monotonic() + 0.25
        held = 0
        while time.monotonic() < deadline:
            held = max(held, live.ask(lambda: connection._framer.buffered))
        assert 1 << 18 < held < 3 << 20


@pytest.mark.parametrize(
    ("data", "errno", "sequence"),
    [(b"\x05\x00\x00\x00\x10\x00\x00hello", 1157, 1), (b"\x05\x00\x00\x09\x00\x00\x00hello", 1156, 0)],
)
def test_what_cannot_be_uncompressed_gets_an_error_and_a_close(
    live: Live, data: bytes, errno: int, sequence: int
) -> None:
    with Client(live.port, Zlib()) as client:
        client.send(data)
        client.stream._sequence = sequence
        number, payload = client.plain()
        assert (number, payload[:3]) == (1, b"\xff" + errno.to_bytes(2, "little"))
        assert client.at_end()


def test_hostile_bytes_hurt_nobody_else(live: Live) -> None:
    chance = random.Random(30)
    for _ in range(40):
        with Client(live.port, Zlib()) as client, suppress(OSError):
            data = chance.randbytes(chance.randint(1, 200))
            if chance.random() < 0.6:
                data = Compression(Zlib()).compress(data)
            client.send(data, chance.choice([1, 7, 500]))
            client.socket.shutdown(socket.SHUT_WR)
            while not client.at_end():
                pass
    until(lambda: live.ask(lambda: len(live.frontend.connections)) == 0)


def connector(live: Live, **options: Any) -> Any:
    defaults = {
        "user": "app",
        "password": "sécret",
        "host": "127.0.0.1",
        "port": live.port,
        "compress": True,
        "collation": "utf8mb4_general_ci",
    }
    return mysql.connector.connect(**defaults | options)


@pytest.mark.parametrize("pure", [True, False])
@pytest.mark.parametrize("tls", [True, False])
def test_mysql_connector_python(live: Live, authority: Authority, pure: bool, tls: bool) -> None:
    """Its pure implementation cannot read a packet whose header two compressed packets share, from MariaDB either."""
    rows = 1000 if pure else 10_000
    secured = {"ssl_ca": authority.file, "ssl_verify_cert": True} if tls else {"ssl_disabled": True}
    with closing(connector(live, use_pure=pure, **secured)) as connection, closing(connection.cursor()) as cursor:
        [there] = live.ask(lambda: list(live.frontend.connections))
        assert there.login.flags & Capability.COMPRESS
        assert (there.login.tls is not None) is tls
        text = "ä" * (1000 if pure else 9 << 20)
        cursor.execute("SELECT %s, 1", (text,))
        assert cursor.fetchall() == [(text, 1)]
        cursor.execute(f"SELECT seq FROM {numbers(rows)}")
        assert sorted(cursor.fetchall()) == [(number,) for number in range(1, rows + 1)]


@pytest.mark.parametrize("tls", [True, False])
def test_the_mariadb_command_line(live: Live, authority: Authority, tls: bool) -> None:
    done = subprocess.run(
        [*mariadb(), "--no-defaults", "-h127.0.0.1", f"-P{live.port}", "-uapp", "-psécret", "--compress", "-N",
         f"--ssl-ca={authority.file}" if tls else "--skip-ssl",
         "-e", rf"SELECT COUNT(*) FROM {numbers(1000)}; SELECT REPEAT('ä', 3000); \s"],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.startswith("1000\n" + "ä" * 3000 + "\n")
    assert "Protocol:\t\tCompressed" in done.stdout
