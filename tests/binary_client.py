"""A client of prepared statements that is nothing but a socket: what goes out and what comes in, packet by packet."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from dbmesh.protocol import Capability, Command, FieldType, Status
from dbmesh.protocol.auth import CACHING_SHA2, NATIVE, native_scramble, sha2_scramble
from dbmesh.protocol.framing import frame, frames
from dbmesh.protocol.handshake import HandshakeResponse
from dbmesh.protocol.lenenc import encode_string
from dbmesh.protocol.response import Err, Ok, parse_end_of_rows, parse_err, parse_ok
from dbmesh.protocol.resultset import ColumnDefinition
from tests.wire.raw import CAPABILITIES, RawClient

UNSIGNED = 0x80
Bound = tuple[int, bytes | None]  # type, with UNSIGNED in its second byte; the value as the wire has it


class Refused(Exception):
    """An ERR packet."""

    def __init__(self, err: Err) -> None:
        super().__init__(f"{err.errno} ({err.sqlstate}): {err.message}")
        self.errno = err.errno
        self.sqlstate = err.sqlstate
        self.message = err.message


@dataclass
class Prepared:
    """What COM_STMT_PREPARE answers."""

    id: int
    parameters: list[ColumnDefinition]
    columns: list[ColumnDefinition]
    warnings: int


@dataclass
class Answer:
    """What COM_STMT_EXECUTE or COM_QUERY answers. ``rows``: payloads."""

    ok: Ok
    columns: list[ColumnDefinition] = field(default_factory=list)
    rows: list[bytes] = field(default_factory=list)


def integer(value: int) -> Bound:
    """A BIGINT, unsigned where it has to be."""
    if value >= 1 << 63:
        return FieldType.LONGLONG | UNSIGNED << 8, struct.pack("<Q", value)
    return FieldType.LONGLONG, struct.pack("<q", value)


def text(value: str) -> Bound:
    return FieldType.VAR_STRING, encode_string(value.encode())


def double(value: float) -> Bound:
    return FieldType.DOUBLE, struct.pack("<d", value)


def decimal(value: str) -> Bound:
    return FieldType.NEWDECIMAL, encode_string(value.encode())


def blob(value: bytes) -> Bound:
    return FieldType.BLOB, encode_string(value)


NULL: Bound = (FieldType.NULL, None)


class BinaryClient(RawClient):
    """Logged in to a server or to a mesh."""

    def __init__(self, port: int, user: str, password: str, database: str | None, flags: int = 0) -> None:
        super().__init__(port)
        self.flags = CAPABILITIES | Capability.LONG_FLAG | Capability.TRANSACTIONS | flags
        if database:
            self.flags |= Capability.CONNECT_WITH_DB
        _, greeting = self.packet()
        rest = greeting.index(b"\0", 1) + 5
        salt = greeting[rest : rest + 8] + greeting[rest + 27 : rest + 39]
        auth = native_scramble(password.encode(), salt)
        self.send(frame(HandshakeResponse(self.flags, 1 << 24, 45, user, auth, database, NATIVE).encode(), 1))
        self._log_in(password)

    def _log_in(self, password: str) -> None:
        """MySQL asks for caching_sha2_password, and knows the password as somebody has logged in before."""
        sequence, payload = self.packet()
        if payload[0] == 0xFE:
            plugin, salt = payload[1:].split(b"\0", 1)
            scramble = sha2_scramble if plugin == CACHING_SHA2.encode() else native_scramble
            self.send(frame(scramble(password.encode(), salt[:20]), sequence + 1))
            payload = self.packet()[1]
        if payload == b"\x01\x03":
            payload = self.packet()[1]
        if payload[0] == 0xFF:
            raise Refused(parse_err(payload))
        assert payload[0] == 0, payload

    @property
    def deprecate_eof(self) -> bool:
        return bool(self.flags & Capability.DEPRECATE_EOF)

    def command(self, code: int, payload: bytes = b"") -> None:
        self.send(frames((bytes((code,)) + payload,), 0)[0])

    def payload(self) -> bytes:
        """The next packet's. Raises Refused."""
        _, payload = self.packet()
        while len(payload) % 0xFFFFFF == 0 and payload:
            payload += self.packet()[1]
        if payload[:1] == b"\xff":
            raise Refused(parse_err(payload))
        return payload

    def ok(self) -> Ok:
        payload = self.payload()
        assert payload[0] in (0, 0xFE), payload
        return parse_ok(payload) if payload[0] == 0 else parse_end_of_rows(payload)

    def _definitions(self, count: int, closed: bool = True) -> list[ColumnDefinition]:
        found = [ColumnDefinition.parse(self.payload()) for _ in range(count)]
        if count and closed and not self.deprecate_eof:
            assert self.payload()[0] == 0xFE
        return found

    def query(self, sql: str) -> Answer:
        self.command(Command.QUERY, sql.encode())
        return self.answer()

    def prepare(self, sql: str) -> Prepared:
        self.command(Command.STMT_PREPARE, sql.encode())
        head = self.payload()
        assert (head[0], len(head)) == (0, 12), head
        id, columns, parameters, warnings = struct.unpack_from("<IHHxH", head, 1)
        return Prepared(id, self._definitions(parameters), self._definitions(columns), warnings)

    def execute(self, id: int, *values: Bound, bound: bool = True, cursor: bool = False) -> Answer:
        """``bound``: tell the types, too."""
        self.command(Command.STMT_EXECUTE, execute_payload(id, values, bound, cursor))
        return self.answer()

    def answer(self) -> Answer:
        first = self.payload()
        if first[0] == 0:
            return Answer(parse_ok(first))
        columns = self._definitions(first[0], closed=False)
        followed = 0  # by another answer, of which MySQL's last packet does not tell where these are OUT parameters
        if not self.deprecate_eof:
            end = parse_end_of_rows(self.payload())
            if end.status & Status.CURSOR_EXISTS:
                return Answer(end, columns)
            followed = Status.MORE_RESULTS if end.status & Status.PS_OUT_PARAMS else 0
        rows, ok = self.rows()
        ok = replace(ok, status=ok.status | followed)
        return Answer(ok, columns, rows)

    def rows(self) -> tuple[list[bytes], Ok]:
        found = []
        while True:
            payload = self.payload()
            if payload[0] == 0xFE and len(payload) < 0xFFFFFF and (self.deprecate_eof or len(payload) < 9):
                return found, parse_end_of_rows(payload)
            found.append(payload)

    def fetch(self, id: int, count: int) -> tuple[list[bytes], Ok]:
        self.command(Command.STMT_FETCH, struct.pack("<II", id, count))
        return self.rows()

    def long_data(self, id: int, parameter: int, data: bytes) -> None:
        self.command(Command.STMT_SEND_LONG_DATA, struct.pack("<IH", id, parameter) + data)

    def reset(self, id: int) -> Ok:
        self.command(Command.STMT_RESET, struct.pack("<I", id))
        return self.ok()

    def close(self, id: int) -> None:
        self.command(Command.STMT_CLOSE, struct.pack("<I", id))

    def ping(self) -> Ok:
        self.command(Command.PING)
        return self.ok()


def execute_payload(id: int, values: Sequence[Bound], bound: bool = True, cursor: bool = False) -> bytes:
    """COM_STMT_EXECUTE without its command byte. A value of None is NULL, or has come ahead as long data."""
    payload = struct.pack("<IBI", id, int(cursor), 1)
    if not values:
        return payload
    nulls = sum(1 << at for at, (type, value) in enumerate(values) if value is None and type == FieldType.NULL)
    payload += nulls.to_bytes((len(values) + 7) // 8, "little") + (b"\1" if bound else b"\0")
    if bound:
        payload += b"".join(struct.pack("<H", type) for type, _ in values)
    return payload + b"".join(value for _, value in values if value is not None)
