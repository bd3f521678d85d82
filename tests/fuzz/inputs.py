"""Bytes that are nearly right: whole packets of each kind, and what makes them lie."""

from __future__ import annotations

import random

from dbmesh.protocol.compression import Compression, Zlib, Zstd
from dbmesh.protocol.constants import Capability, Command, FieldType
from dbmesh.protocol.framing import frame
from dbmesh.protocol.handshake import HandshakeResponse
from dbmesh.protocol.lenenc import encode_int
from dbmesh.protocol.response import eof_packet, err_packet, ok_packet
from dbmesh.protocol.resultset import ColumnDefinition, encode_text_row

STATEMENTS = (
    "SELECT 1", "SELECT * FROM person WHERE id = 3",
    "SELECT name, COUNT(*) FROM person GROUP BY name ORDER BY 2 LIMIT 3",
    "SELECT p.id FROM person p JOIN street s ON s.id = p.id WHERE p.id IN (1, 2, ?)",
    "SELECT ?, ?, ?",
    "SELECT * FROM person WHERE id = ? AND name LIKE ?", "INSERT INTO person (id, name) VALUES (?, ?)",
    "INSERT INTO person (id, name) VALUES (11, 'x'), (12, 'y') ON DUPLICATE KEY UPDATE name = 'z'",
    "UPDATE person SET age = age + 1 WHERE id = 4", "DELETE FROM person WHERE id > 10 AND id < 13", "BEGIN", "COMMIT",
    "ROLLBACK", "SET NAMES latin1", "SET @a = 5, sql_mode = DEFAULT", "SET autocommit = 0", "USE town", "SHOW TABLES",
    "SHOW STATUS LIKE 'Ssl%'", "SHOW FULL COLUMNS FROM person", "PREPARE s FROM 'SELECT ?'", "EXECUTE s USING @a",
    "DEALLOCATE PREPARE s", "SELECT 'it''s' /* c */ -- d\n",
    "SELECT /*!40100 SQL_NO_CACHE */ `id` FROM `town`.`person`",
    "EXPLAIN FORMAT=MESH SELECT * FROM person WHERE id = 3", "SAVEPOINT a",
    "SELECT x'00ff', _gbk'\\'', N'a', 0x41, 1e3",
    "SELECT 1; SELECT 2; SELECT", "LOAD DATA LOCAL INFILE 'f' INTO TABLE person", "START TRANSACTION READ ONLY",
    "SELECT @@version_comment, @@max_allowed_packet", "WITH a AS (SELECT id FROM person) SELECT * FROM a",
)  # fmt: skip
_EDGES = (b"\xfb", b"\xfc", b"\xfc\xff\xff", b"\xfd\xff\xff\xff", b"\xfe" + b"\xff" * 8, b"\xff", b"\0", b"\x80" * 4)
_TYPES = tuple(value for name, value in vars(FieldType).items() if name.isupper())
_CODES = tuple(value for name, value in vars(Command).items() if name.isupper() and name not in ("SHUTDOWN", "SLEEP"))
FLAGS = (
    Capability.PROTOCOL_41 | Capability.SECURE_CONNECTION | Capability.PLUGIN_AUTH | Capability.CONNECT_ATTRS
    | Capability.PLUGIN_AUTH_LENENC | Capability.CONNECT_WITH_DB
)  # fmt: skip


class Inputs:
    """What one seed makes."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def mutated(self, data: bytes) -> bytes:
        """Some bytes cut, doubled, turned, or replaced by the ends of what length-encoded integers can say."""
        chance = self.chance
        for _ in range(chance.choice((0, 1, 1, 1, 2, 4))):
            at = chance.randint(0, len(data))
            match chance.randint(0, 5):
                case 0:
                    data = data[:at]
                case 1:
                    data = data[:at] + chance.choice(_EDGES) + data[at:]
                case 2:
                    data = data[:at] + chance.choice(_EDGES) + data[at + 1 :]
                case 3:
                    data = data[:at] + bytes((chance.randint(0, 255),)) + data[at + 1 :]
                case 4:
                    data = data[:at] + data[at // 2 :]
                case 5:
                    data = data[:at] + chance.randbytes(chance.randint(0, 12)) + data[at:]
        return data

    def chunks(self, data: bytes) -> list[bytes]:
        """The data in pieces of any size."""
        size = self.chance.choice((1, 2, 3, 7, 64, 1 << 20))
        return [data[start : start + size] for start in range(0, len(data), size)]

    def packets(self, *payloads: bytes) -> bytes:
        """As a stream, whose lengths and sequence ids may lie."""
        parts = []
        for sequence, payload in enumerate(payloads):
            packet = frame(payload, sequence)
            if self.chance.random() < 0.05:
                packet = self.mutated(packet[:4]) + packet[4:]
            parts.append(packet)
        return b"".join(parts)

    # -- what clients send

    def login(self) -> bytes:
        chance = self.chance
        flags = chance.choice((FLAGS, FLAGS | Capability.ZSTD, FLAGS & ~Capability.PLUGIN_AUTH_LENENC))
        plugin = chance.choice(("mysql_native_password", "caching_sha2_password", "mysql_clear_password", "x", None))
        auth = chance.choice((b"", b"\0", bytes(20), chance.randbytes(20), chance.randbytes(32)))
        response = HandshakeResponse(
            flags, 1 << 24, chance.randint(0, 255), chance.choice(("app", "nobody", "")), auth,
            chance.choice((None, "town", "nothing")), plugin, {"_client_name": "fuzz", "": "ü"}, chance.randint(0, 23),
        )  # fmt: skip
        return self.mutated(chance.choice((response.encode(), response.encode(), response.encode()[:32])))

    def change_user(self) -> bytes:
        scramble = self.chance.randbytes(self.chance.choice((0, 20, 32)))
        payload = (
            b"\x11app\0" + bytes((len(scramble),)) + scramble + b"town\0\x2d\0mysql_native_password\0\x03\x01a\x01b"
        )
        return self.mutated(payload)

    def text(self) -> bytes:
        text = self.chance.choice(STATEMENTS).encode()
        return self.mutated(text) if self.chance.random() < 0.5 else text

    def execute(self) -> bytes:
        """COM_STMT_EXECUTE of a small statement number, with parameters of any type."""
        chance = self.chance
        count = chance.randint(0, 4)
        head = bytes((Command.STMT_EXECUTE,)) + chance.randint(0, 3).to_bytes(4, "little")
        head += bytes((chance.choice((0, 0, 0, 1, 2, 255)),)) + (1).to_bytes(4, "little")
        nulls = chance.randint(0, 3) if count else 0
        types = b"".join(bytes((chance.choice(_TYPES), chance.choice((0, 0x80)))) for _ in range(count))
        values = b"".join(chance.choice(self._values()) for _ in range(count))
        bitmap = nulls.to_bytes((count + 7) // 8, "little")
        return self.mutated(head + bitmap + (b"\x01" + types + values if count else b""))

    def _values(self) -> tuple[bytes, ...]:
        integers = (
            self.chance.randbytes(1),
            self.chance.randbytes(2),
            self.chance.randbytes(4),
            self.chance.randbytes(8),
        )
        moments = (
            b"\0",
            b"\x04\xe8\x07\x02\x1e",
            b"\x0b\xe8\x07\x0d\x28\x19\x3d\x3d" + b"\xff" * 4,
            b"\x0c\x01" + b"\xff" * 11,
        )
        return (*integers, *moments, b"\x03abc", b"\x05-1.25", b"\xfc\x05\x00ab")

    def command(self) -> bytes:
        """One command's payload."""
        chance = self.chance
        match chance.randint(0, 11):
            case 0 | 1 | 2 | 3:
                return b"\x03" + self.text()
            case 4 | 5:
                return b"\x16" + self.text()
            case 6 | 7:
                return self.execute()
            case 8:
                code = chance.choice(
                    (Command.STMT_SEND_LONG_DATA, Command.STMT_CLOSE, Command.STMT_RESET, Command.STMT_FETCH)
                )
                return self.mutated(bytes((code,)) + chance.randint(0, 3).to_bytes(4, "little") + b"\x02\0\0\0data")
            case 9:
                return self.change_user()
            case 10:
                return self.mutated(
                    chance.choice((b"\x02town", b"\x04person\0%", b"\x1b\0\0", b"\x0e", b"\x1f", b"\x09"))
                )
            case _:
                return bytes((chance.choice(_CODES),)) + chance.randbytes(chance.randint(0, 20))

    # -- what servers send

    def column(self) -> ColumnDefinition:
        chance = self.chance
        return ColumnDefinition(
            b"a", chance.choice(_TYPES), chance.choice((8, 45, 63)), 40, chance.choice((0, 0x20)), chance.randint(0, 7)
        )

    def answer(self, deprecate_eof: bool) -> bytes:
        """A response's stream, from sequence id 1 on."""
        chance = self.chance
        columns = [self.column() for _ in range(chance.randint(1, 3))]
        rows = [encode_text_row([chance.choice((None, b"", b"12", b"x" * 300)) for _ in columns]) for _ in range(3)]
        end = ok_packet(header=0xFE) if deprecate_eof else eof_packet()
        middle = [] if deprecate_eof else [eof_packet()]
        payloads = chance.choice((
            [encode_int(len(columns)), *(column.encode() for column in columns), *middle, *rows, end],
            [ok_packet(3, 70000, 2, 1, b"info")],
            [err_packet(1064, "42000", "no")],
            [b"\xfbfile"],
        ))  # fmt: skip
        return self.packets(b"", *map(self.mutated, payloads))[4:]

    def compressed(self) -> bytes:
        stream = Compression(self.chance.choice((Zlib(), Zstd(1))))
        return self.mutated(b"".join(stream.compress(self.command() * self.chance.choice((1, 50))) for _ in range(3)))
