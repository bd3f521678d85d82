"""What reads other people's bytes, without IO. Each takes any bytes and may raise nothing but MeshError."""

from __future__ import annotations

from collections.abc import Callable

from dbmesh.errors import MeshError
from dbmesh.protocol import Capability, ColumnDefinition, ProtocolError
from dbmesh.protocol.auth import CACHING_SHA2, NATIVE, Password, RsaKey
from dbmesh.protocol.binary import RowCodec
from dbmesh.protocol.commands import decode_command
from dbmesh.protocol.compression import Compression, Zlib, Zstd
from dbmesh.protocol.constants import Command
from dbmesh.protocol.framing import Framer
from dbmesh.protocol.handshake import Greeting
from dbmesh.protocol.login import ServerLogin, Verdict
from dbmesh.protocol.parameters import read_parameters, split_execute
from dbmesh.protocol.prepare_reader import PrepareReader
from dbmesh.protocol.response import parse_end_of_rows, parse_err, parse_ok
from dbmesh.protocol.result_reader import ResultReader
from dbmesh.protocol.resultset import decode_text_row
from dbmesh.protocol.tracker import ResponseTracker
from dbmesh.rules.passwords import StoredPassword, plain

MOST_PAYLOADS = 1000
_KEY = RsaKey()
_PASSWORDS: dict[str, Password] = {"app": plain("secret"), "native": StoredPassword(native=bytes(20))}
_OFFERED = 0xFFFFFFFF & ~Capability.NO_SCHEMA


def _payloads(data: bytes) -> list[bytes]:
    """What a stream carries, as far as it is one."""
    framer = Framer(1 << 20)
    framer.feed(data)
    found: list[bytes] = []
    while len(found) < MOST_PAYLOADS and (payload := framer.next()) is not None:
        found.append(payload)
    return found


def login(data: bytes) -> None:
    """A login's packets, and a COM_CHANGE_USER after it."""
    for plugin in (NATIVE, CACHING_SHA2):
        greeting = Greeting("8.4.0", 1, b"s" * 20, _OFFERED, 45, plugin)
        server = ServerLogin(greeting, _PASSWORDS.get, _KEY, secure=plugin == NATIVE)
        for payload in _payloads(data):
            if server.response is not None and payload[:1] == bytes((Command.CHANGE_USER,)):
                verdict, replies = server.change_user(payload)
            else:
                verdict, replies = server.receive(payload)
            assert isinstance(verdict, Verdict)
            assert all(isinstance(reply, bytes) for reply in replies)


def framing(data: bytes) -> None:
    """Whatever the pieces, the payloads are the same and nothing is held beyond what came."""

    def seen(size: int) -> tuple[list[bytes], type[MeshError] | None]:
        framer = Framer(1 << 20)
        found: list[bytes] = []
        try:
            for start in range(0, len(data), size):
                framer.feed(data[start : start + size])
                assert framer.buffered <= len(data)
                while (payload := framer.next()) is not None:
                    found.append(payload)
        except MeshError as error:
            return found, type(error)
        return found, None

    assert seen(1) == seen(3) == seen(len(data) or 1)


def commands(data: bytes) -> None:
    decode_command(data)
    if data[:1] == bytes((Command.STMT_EXECUTE,)):
        for count in (0, 1, 2, 9):
            try:
                nulls, types, pos = split_execute(data, count)
                assert len(read_parameters(data, pos, nulls, types, {1: b"ahead"})) == len(types) // 2
            except MeshError:
                continue


def compression(data: bytes) -> None:
    for algorithm in (Zlib(), Zstd(3)):
        stream = Compression(algorithm)
        stream.feed(data)
        try:
            while (plain := stream.next()) is not None:
                assert len(plain) < 1 << 24
        except ProtocolError:
            continue


def answers(data: bytes) -> None:
    """A response as the relay sees it and as the merge reads it: both find the same end, or both find none."""
    for deprecate_eof in (False, True):
        for reader in (ResultReader(deprecate_eof), PrepareReader(deprecate_eof, 1)):
            try:
                for start in range(0, len(data), 5):
                    if reader.set_ended:
                        break
                    reader.feed(data[start : start + 5])
            except ProtocolError:
                continue
        _same_in_pieces(data, deprecate_eof)


def _same_in_pieces(data: bytes, deprecate_eof: bool) -> None:
    def seen(size: int) -> tuple[object, ...]:
        tracker = ResponseTracker(deprecate_eof)
        try:
            for start in range(0, len(data), size):
                end = tracker.feed(data[start : start + size])
                if end >= 0:
                    return start + end, tracker.is_error, tracker.errno, tracker.rows, tracker.status
        except ProtocolError:
            return ("malformed",)
        return ("more",)

    assert seen(1) == seen(7) == seen(len(data) or 1)


def rows(data: bytes) -> None:
    for read in (parse_ok, parse_end_of_rows, parse_err, decode_text_row, ColumnDefinition.parse):
        try:
            read(data)
        except MeshError:
            continue
    for kind in (1, 2, 3, 4, 5, 7, 8, 10, 11, 12, 16, 246, 252, 253):
        codec = RowCodec([ColumnDefinition(b"a", kind, 63, 40), ColumnDefinition(b"b", kind, 45, 40, 0x20, 6)])
        try:
            codec.to_text(data)
        except MeshError:
            continue


TARGETS: dict[str, Callable[[bytes], None]] = {
    "login": login,
    "framing": framing,
    "commands": commands,
    "compression": compression,
    "answers": answers,
    "rows": rows,
}


def run(name: str, data: bytes) -> None:
    """Raises whatever should not come out of the target."""
    try:
        TARGETS[name](data)
    except MeshError:
        return
