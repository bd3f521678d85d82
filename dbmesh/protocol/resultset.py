"""Column definitions and text rows: payloads of packets, without the four bytes of header.

Protocol pages: "Text Resultset", "Column Definition 41".
"""

from __future__ import annotations

from collections.abc import Sequence

from dbmesh.protocol.failures import ProtocolError
from dbmesh.protocol.lenenc import encode_int, encode_string, read_int, read_string

_SHORT: tuple[bytes, ...] = tuple(bytes((n,)) for n in range(251))


class ColumnDefinition:
    """One column of a result set. Names are bytes in character_set_results; ``length`` is in bytes."""

    __slots__ = (
        "catalog",
        "charset",
        "decimals",
        "flags",
        "length",
        "name",
        "org_name",
        "org_table",
        "schema",
        "table",
        "type",
    )

    def __init__(
        self,
        name: bytes,
        type: int,
        charset: int,
        length: int,
        flags: int = 0,
        decimals: int = 0,
        schema: bytes = b"",
        table: bytes = b"",
        org_table: bytes = b"",
        org_name: bytes = b"",
        catalog: bytes = b"def",
    ) -> None:
        self.catalog = catalog
        self.schema = schema
        self.table = table
        self.org_table = org_table
        self.name = name
        self.org_name = org_name
        self.charset = charset
        self.length = length
        self.type = type
        self.flags = flags
        self.decimals = decimals

    @classmethod
    def parse(cls, payload: bytes) -> ColumnDefinition:
        """Raises ProtocolError for a payload that is cut off."""
        catalog, pos = read_string(payload, 0)
        schema, pos = read_string(payload, pos)
        table, pos = read_string(payload, pos)
        org_table, pos = read_string(payload, pos)
        name, pos = read_string(payload, pos)
        org_name, pos = read_string(payload, pos)
        _, pos = read_int(payload, pos)
        if len(payload) < pos + 10:
            raise ProtocolError()
        charset = payload[pos] | payload[pos + 1] << 8
        length = int.from_bytes(payload[pos + 2 : pos + 6], "little")
        flags = payload[pos + 7] | payload[pos + 8] << 8
        return cls(
            name, payload[pos + 6], charset, length, flags, payload[pos + 9],
            schema, table, org_table, org_name, catalog,
        )  # fmt: skip

    def encode(self) -> bytes:
        texts = (self.catalog, self.schema, self.table, self.org_table, self.name, self.org_name)
        return b"".join((
            *map(encode_string, texts),
            b"\x0c",
            self.charset.to_bytes(2, "little"),
            self.length.to_bytes(4, "little"),
            self.type.to_bytes(1, "little"),
            self.flags.to_bytes(2, "little"),
            self.decimals.to_bytes(1, "little"),
            b"\0\0",
        ))  # fmt: skip

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ColumnDefinition) and self.encode() == other.encode()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"ColumnDefinition({', '.join(f'{n}={getattr(self, n)!r}' for n in self.__slots__)})"


def decode_text_row(payload: bytes) -> list[bytes | None]:
    """The fields of one text row, None for NULL. Raises ProtocolError when a field is cut off."""
    row: list[bytes | None] = []
    pos = 0
    end = len(payload)
    while pos < end:
        length = payload[pos]
        if length < 251:
            pos += 1
        elif length == 251:
            row.append(None)
            pos += 1
            continue
        else:
            length, pos = read_int(payload, pos)
        stop = pos + length
        row.append(payload[pos:stop])
        pos = stop
    if pos != end:
        raise ProtocolError()
    return row


def encode_text_row(values: Sequence[bytes | None]) -> bytes:
    """The payload of one text row."""
    parts: list[bytes] = []
    for value in values:
        if value is None:
            parts.append(b"\xfb")
            continue
        length = len(value)
        parts.append(_SHORT[length] if length < 251 else encode_int(length))
        parts.append(value)
    return b"".join(parts)
