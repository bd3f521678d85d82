"""OK, ERR and EOF packets: payloads, without the four bytes of header (protocol pages of the same names)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dbmesh.errors import MeshError
from dbmesh.protocol.constants import Status
from dbmesh.protocol.failures import ProtocolError
from dbmesh.protocol.lenenc import encode_int, encode_string, read_int, read_string


@dataclass(frozen=True, slots=True)
class Ok:
    """What an OK packet says; also what an EOF packet says, which has no numbers and no info."""

    affected: int = 0
    last_insert_id: int = 0
    status: int = Status.AUTOCOMMIT
    warnings: int = 0
    info: bytes = b""


@dataclass(frozen=True, slots=True)
class Err:
    errno: int
    sqlstate: str
    message: str


class Change:
    """enum_session_state_type: what an OK packet tells of the session."""

    SYSTEM_VARIABLE: Final = 0
    SCHEMA: Final = 1
    STATE: Final = 2
    TRANSACTION_CHARACTERISTICS: Final = 4
    TRANSACTION_STATE: Final = 5


def encode_change(kind: int, *values: bytes) -> bytes:
    """One change, for ``ok_packet``; a variable has two values, its name and what it is; `Change.STATE` has none."""
    data = b"1" if kind == Change.STATE else b"".join(map(encode_string, values))
    return bytes((kind,)) + encode_string(data)


def ok_packet(
    affected: int = 0,
    last_insert_id: int = 0,
    status: int = Status.AUTOCOMMIT,
    warnings: int = 0,
    info: bytes = b"",
    header: int = 0x00,
    changes: bytes = b"",
) -> bytes:
    """An OK packet; ``header`` is 0xFE where it ends the rows.

    ``changes``: those of the session, encoded, for clients with SESSION_TRACK only. The info is length-encoded although
    the page says "string<EOF>": servers send it so and clients expect it.
    """
    if changes:
        status |= Status.SESSION_STATE_CHANGED
    return b"".join((
        header.to_bytes(1, "little"),
        encode_int(affected),
        encode_int(last_insert_id),
        status.to_bytes(2, "little"),
        min(warnings, 0xFFFF).to_bytes(2, "little"),
        encode_string(info) if info or changes else b"",
        encode_string(changes) if changes else b"",
    ))  # fmt: skip


def eof_packet(status: int = Status.AUTOCOMMIT, warnings: int = 0) -> bytes:
    """The old EOF packet, for clients without DEPRECATE_EOF."""
    return b"\xfe" + min(warnings, 0xFFFF).to_bytes(2, "little") + status.to_bytes(2, "little")


def end_of_rows(status: int, warnings: int, deprecate_eof: bool, changes: bytes = b"") -> bytes:
    """What follows the last row, in the style the client asked for; the old one has no place for ``changes``."""
    if deprecate_eof:
        return ok_packet(status=status, warnings=warnings, header=0xFE, changes=changes)
    return eof_packet(status, warnings)


def err_packet(errno: int, sqlstate: str, message: str) -> bytes:
    """The message is cut to MySQL's 512 bytes (MYSQL_ERRMSG_SIZE)."""
    text = message.encode("utf-8", "replace")[:511]
    return b"\xff" + errno.to_bytes(2, "little") + b"#" + sqlstate.encode("ascii")[:5].ljust(5, b"0") + text


def error_packet(error: MeshError) -> bytes:
    """The ERR packet of an error that a client may see."""
    return err_packet(error.errno, error.sqlstate, error.message)


def parse_ok(payload: bytes) -> Ok:
    """Raises ProtocolError for a payload that is cut off."""
    affected, pos = read_int(payload, 1)
    last_insert_id, pos = read_int(payload, pos)
    if len(payload) < pos + 4:
        raise ProtocolError()
    status = payload[pos] | payload[pos + 1] << 8
    warnings = payload[pos + 2] | payload[pos + 3] << 8
    info = read_string(payload, pos + 4)[0] if len(payload) > pos + 4 else b""
    return Ok(affected, last_insert_id, status, warnings, info)


def parse_end_of_rows(payload: bytes) -> Ok:
    """An EOF packet of either style: five bytes are the old one."""
    if len(payload) == 5:
        return Ok(0, 0, payload[3] | payload[4] << 8, payload[1] | payload[2] << 8)
    return parse_ok(payload)


def parse_err(payload: bytes) -> Err:
    """Before the login an ERR packet has no SQLSTATE; then it is HY000."""
    if len(payload) < 3:
        raise ProtocolError()
    errno = payload[1] | payload[2] << 8
    if payload[3:4] == b"#":
        return Err(errno, payload[4:9].decode("ascii", "replace"), payload[9:].decode("utf-8", "replace"))
    return Err(errno, "HY000", payload[3:].decode("utf-8", "replace"))
