"""The packets of a login: the server's greeting, the client's answer, and COM_CHANGE_USER, which is an answer again.

Protocol pages "Protocol::HandshakeV10", "Protocol::HandshakeResponse41" and "COM_CHANGE_USER".
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dbmesh.protocol.constants import Capability, Status
from dbmesh.protocol.failures import BadHandshake, ProtocolError
from dbmesh.protocol.lenenc import encode_int, encode_string, read_int, read_nul_string, read_string

SALT_LENGTH = 20
DEFAULT_ZSTD_LEVEL = 3
MAX_ZSTD_LEVEL = 22


def _greeted(version: str) -> str:
    """MariaDB 10 puts '5.5.5-' before its version in the greeting, and drivers tell by it that it is not MySQL 8 or
    later: Connector/J would ask for variables that MariaDB 10 has not."""
    return f"5.5.5-{version}" if version.startswith("10.") and "MariaDB" in version else version


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a server says first. ``salt``: 20 bytes without a NUL."""

    server_version: str
    connection_id: int
    salt: bytes
    capabilities: int
    collation: int
    plugin: str
    status: int = Status.AUTOCOMMIT

    def encode(self) -> bytes:
        return b"".join((
            b"\x0a",
            _greeted(self.server_version).encode("utf-8"),
            b"\0",
            (self.connection_id & 0xFFFFFFFF).to_bytes(4, "little"),
            self.salt[:8],
            b"\0",
            (self.capabilities & 0xFFFF).to_bytes(2, "little"),
            (self.collation & 0xFF).to_bytes(1, "little"),
            self.status.to_bytes(2, "little"),
            (self.capabilities >> 16).to_bytes(2, "little"),
            (SALT_LENGTH + 1).to_bytes(1, "little"),
            bytes(10),
            self.salt[8:],
            b"\0",
            self.plugin.encode("ascii"),
            b"\0",
        ))  # fmt: skip


@dataclass(frozen=True, slots=True)
class HandshakeResponse:
    """What a client answers. ``auth``: the plugin's bytes. Names are UTF-8, whatever collation is asked for.

    The last four bytes of the filler are MariaDB's extended capabilities where LONG_PASSWORD is not set; the mesh
    announces none, so they are not read. ``zstd_level``: 1 to 22.
    """

    capabilities: int
    max_packet: int
    collation: int
    user: str
    auth: bytes
    database: str | None = None
    plugin: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    zstd_level: int = DEFAULT_ZSTD_LEVEL

    def encode(self) -> bytes:
        """The packet as a client would send it, with the capability bits that its fields need."""
        parts = [
            self.capabilities.to_bytes(4, "little"),
            self.max_packet.to_bytes(4, "little"),
            self.collation.to_bytes(1, "little"),
            bytes(23),
            self.user.encode("utf-8") + b"\0",
        ]
        if self.capabilities & Capability.PLUGIN_AUTH_LENENC:
            parts.append(encode_string(self.auth))
        else:
            parts.append(len(self.auth).to_bytes(1, "little") + self.auth)
        if self.capabilities & Capability.CONNECT_WITH_DB:
            parts.append((self.database or "").encode("utf-8") + b"\0")
        if self.capabilities & Capability.PLUGIN_AUTH:
            parts.append((self.plugin or "").encode("ascii") + b"\0")
        if self.capabilities & Capability.CONNECT_ATTRS:
            pairs = b"".join(encode_string(text.encode("utf-8")) for pair in self.attributes.items() for text in pair)
            parts.append(encode_int(len(pairs)) + pairs)
        if self.capabilities & Capability.ZSTD:
            parts.append(self.zstd_level.to_bytes(1, "little"))
        return b"".join(parts)


def is_tls_request(payload: bytes) -> bool:
    """True for an SSLRequest: the fixed part of a HandshakeResponse41 alone, with the SSL bit."""
    return len(payload) == 32 and bool(int.from_bytes(payload[:4], "little") & Capability.SSL)


def parse_handshake_response(payload: bytes) -> HandshakeResponse:
    """Raises BadHandshake for anything that is not a whole HandshakeResponse41."""
    if len(payload) < 33 or not payload[1] << 8 & Capability.PROTOCOL_41:
        raise BadHandshake()
    try:
        return _parse_response41(payload)
    except (ProtocolError, UnicodeDecodeError) as error:
        raise BadHandshake() from error


def _parse_response41(payload: bytes) -> HandshakeResponse:
    capabilities = int.from_bytes(payload[:4], "little")
    user, pos = read_nul_string(payload, 32)
    auth, pos = _read_auth(payload, pos, capabilities)
    database: str | None = None
    if capabilities & Capability.CONNECT_WITH_DB and pos < len(payload):
        name, pos = read_nul_string(payload, pos)
        database = name.decode("utf-8") or None
    plugin, attributes, pos = _read_plugin_and_attributes(payload, pos, capabilities)
    level = DEFAULT_ZSTD_LEVEL
    if capabilities & Capability.ZSTD and pos < len(payload):
        level = payload[pos]
        if not 1 <= level <= MAX_ZSTD_LEVEL:
            raise BadHandshake()
    max_packet = int.from_bytes(payload[4:8], "little")
    return HandshakeResponse(
        capabilities, max_packet, payload[8], user.decode("utf-8"), auth, database, plugin, attributes, level
    )


def parse_change_user(payload: bytes, login: HandshakeResponse) -> HandshakeResponse:
    """A COM_CHANGE_USER packet as the answer to a greeting; what it does not say is as in ``login``.

    Raises BadHandshake for a packet that is cut off.
    """
    try:
        return _parse_change_user(payload, login)
    except (ProtocolError, UnicodeDecodeError) as error:
        raise BadHandshake() from error


def _parse_change_user(payload: bytes, login: HandshakeResponse) -> HandshakeResponse:
    capabilities = login.capabilities
    user, pos = read_nul_string(payload, 1)
    # The scramble's length is one byte here, whatever PLUGIN_AUTH_LENENC says.
    auth, pos = _read_auth(payload, pos, capabilities & ~Capability.PLUGIN_AUTH_LENENC)
    name, pos = read_nul_string(payload, pos) if pos < len(payload) else (b"", pos)
    collation = login.collation
    if pos + 2 <= len(payload):
        collation = payload[pos] | payload[pos + 1] << 8
        pos += 2
    plugin, attributes, pos = _read_plugin_and_attributes(payload, pos, capabilities)
    return HandshakeResponse(
        capabilities,
        login.max_packet,
        collation,
        user.decode("utf-8"),
        auth,
        name.decode("utf-8") or None,
        plugin,
        attributes,
        login.zstd_level,
    )


def _read_plugin_and_attributes(payload: bytes, pos: int, capabilities: int) -> tuple[str | None, dict[str, str], int]:
    plugin: str | None = None
    if capabilities & Capability.PLUGIN_AUTH and pos < len(payload):
        plugin, pos = _read_plugin(payload, pos)
    attributes: dict[str, str] = {}
    if capabilities & Capability.CONNECT_ATTRS and pos < len(payload):
        attributes, pos = _read_attributes(payload, pos)
    return plugin, attributes, pos


def _read_auth(payload: bytes, pos: int, capabilities: int) -> tuple[bytes, int]:
    if capabilities & Capability.PLUGIN_AUTH_LENENC:
        return read_string(payload, pos)
    if capabilities & Capability.SECURE_CONNECTION:
        if pos >= len(payload):
            raise BadHandshake()
        end = pos + 1 + payload[pos]
        if end > len(payload):
            raise BadHandshake()
        return payload[pos + 1 : end], end
    return read_nul_string(payload, pos)


def _read_plugin(payload: bytes, pos: int) -> tuple[str, int]:
    # Some clients leave out the NUL when the name is the last field.
    end = payload.find(b"\0", pos)
    end = len(payload) if end < 0 else end
    return payload[pos:end].decode("utf-8"), end + 1


def _read_attributes(payload: bytes, pos: int) -> tuple[dict[str, str], int]:
    length, pos = read_int(payload, pos)
    if pos + length > len(payload):
        raise BadHandshake()
    end = pos + length
    attributes: dict[str, str] = {}
    while pos < end:
        name, pos = read_string(payload, pos)
        value, pos = read_string(payload, pos)
        attributes[name.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
    if pos != end:
        raise BadHandshake()
    return attributes, pos
