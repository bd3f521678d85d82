"""COM_CHANGE_USER, packet by packet: with and without a switch of plugins, refused, cut off, and in pieces."""

from __future__ import annotations

import pytest

from dbmesh.protocol.auth import CACHING_SHA2, NATIVE, native_scramble, sha2_scramble
from dbmesh.protocol.constants import Command
from dbmesh.protocol.framing import frame
from tests.wire.live import Live
from tests.wire.raw import CAPABILITIES, RawClient

OK = b"\x00\x00\x00\x02\x00\x00\x00"
SECRET = "sécret".encode()


class Client(RawClient):
    """Logged in, and knows its salt."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        _, greeting = self.packet()
        rest = greeting.index(b"\0", 1) + 5
        self.salt = greeting[rest : rest + 8] + greeting[rest + 27 : rest + 39]
        self.send(self.answer(greeting, 1, "app", "sécret", CAPABILITIES))
        assert self.packet()[1] == OK

    def change(
        self, user: str = "native", auth: bytes | None = None, database: str = "", plugin: str = NATIVE, size: int = 999
    ) -> None:
        scramble = native_scramble(SECRET, self.salt) if auth is None else auth
        payload = bytes((Command.CHANGE_USER,)) + user.encode() + b"\0" + bytes((len(scramble),)) + scramble
        payload += database.encode() + b"\0" + (45).to_bytes(2, "little") + plugin.encode() + b"\0"
        self.send(frame(payload, 0), size)


def user(live: Live) -> tuple[str, str | None]:
    [connection] = live.ask(lambda: list(live.frontend.connections))
    return connection.login.user, connection.login.database


@pytest.mark.parametrize("size", [1, 999])
def test_another_user_and_another_database(live: Live, size: int) -> None:
    with Client(live.port) as client:
        before = live.ask(lambda: next(iter(live.frontend.connections)).session)
        client.change(database="shop", size=size)
        assert client.packet() == (1, OK)
        assert user(live) == ("native", "shop")
        assert live.ask(lambda: next(iter(live.frontend.connections)).session) is not before
        client.send(frame(b"\x03SELECT 7", 0))
        assert [client.packet() for _ in range(5)][3] == (4, b"\x017")


@pytest.mark.parametrize("size", [1, 999])
@pytest.mark.parametrize(("plugin", "scramble"), [(CACHING_SHA2, sha2_scramble), (NATIVE, native_scramble)])
def test_a_client_whose_plugin_is_another_is_switched(live: Live, plugin: str, scramble, size: int) -> None:  # type: ignore[no-untyped-def]
    live.door.plugin = NATIVE if plugin == CACHING_SHA2 else CACHING_SHA2
    with Client.__new__(Client) as client:
        RawClient.__init__(client, live.port)
        _, greeting = client.packet()
        rest = greeting.index(b"\0", 1) + 5
        client.salt = greeting[rest : rest + 8] + greeting[rest + 27 : rest + 39]
        client.send(client.answer(greeting, 1, "app", "sécret", CAPABILITIES))
        sequence, answer = client.packet()
        if answer[0] == 0xFE:
            client.send(frame(native_scramble(SECRET, client.salt), sequence + 1))
            sequence, answer = client.packet()
        assert answer == OK
        client.change("app", b"", plugin=plugin)
        assert client.packet() == (1, b"\xfe" + plugin.encode() + b"\0" + client.salt + b"\0")
        client.send(frame(scramble(SECRET, client.salt), 2) + frame(b"\x0e", 0), size)
        sequence, answer = client.packet()
        if answer == b"\x01\x03":
            sequence, answer = client.packet()
        assert answer == OK
        assert client.packet() == (1, OK)


@pytest.mark.parametrize(
    ("name", "auth", "database", "errno"),
    [("app", b"x" * 20, "", 1045), ("nobody", None, "", 1045), ("app", None, "nothing", 1049), ("app", b"", "", 1045)],
)
def test_a_change_that_is_refused_ends_the_connection(
    live: Live, name: str, auth: bytes | None, database: str, errno: int
) -> None:
    with Client(live.port) as client:
        client.change(name, auth, database)
        assert client.error().errno == errno
        assert client.at_end()


@pytest.mark.parametrize("behind", [frame(b"", 2), frame(b"x", 2), frame(b"x", 7)])
def test_a_switch_that_is_answered_wrongly_ends_the_connection(live: Live, behind: bytes) -> None:
    with Client(live.port) as client:
        client.change("app", b"", plugin="no_such_plugin")
        assert client.packet()[1].startswith(b"\xfemysql_native_password\0")
        client.send(behind)
        assert client.error().errno in (1045, 1156)
        assert client.at_end()


@pytest.mark.parametrize("payload", [b"\x11", b"\x11app", b"\x11app\0", b"\x11app\0\x14short", b"\x11\xff\0\0\0"])
def test_a_packet_that_is_cut_off_changes_nothing(live: Live, payload: bytes) -> None:
    with Client(live.port) as client:
        client.send(frame(payload, 0))
        assert client.error().errno == 1043
        client.send(frame(b"\x0e", 0))
        assert client.packet() == (1, OK)
        assert user(live) == ("app", None)


def test_a_client_that_goes_in_the_middle_leaves_nothing(live: Live) -> None:
    with Client(live.port) as client:
        client.change("app", b"", plugin="no_such_plugin")
        client.packet()
    with Client(live.port) as client:
        client.change()
    with Client(live.port) as client:
        client.send(frame(b"\x0e", 0))
        assert client.packet() == (1, OK)
