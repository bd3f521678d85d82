"""Length-encoded integers and strings (protocol pages "Integer Types" and "String Types")."""

from __future__ import annotations

from dbmesh.protocol.failures import ProtocolError


def encode_int(value: int) -> bytes:
    """1, 3, 4 or 9 bytes."""
    if value < 251:
        return value.to_bytes(1, "little")
    if value < 0x10000:
        return b"\xfc" + value.to_bytes(2, "little")
    if value < 0x1000000:
        return b"\xfd" + value.to_bytes(3, "little")
    return b"\xfe" + value.to_bytes(8, "little")


def encode_string(value: bytes) -> bytes:
    return encode_int(len(value)) + value


def read_int(data: bytes, pos: int) -> tuple[int, int]:
    """The integer at ``pos`` and the position behind it. Raises ProtocolError, also for NULL (0xFB) and 0xFF."""
    if pos >= len(data):
        raise ProtocolError()
    first = data[pos]
    if first < 251:
        return first, pos + 1
    if first == 251 or first == 255:
        raise ProtocolError()
    width = 2 if first == 252 else 3 if first == 253 else 8
    end = pos + 1 + width
    if end > len(data):
        raise ProtocolError()
    return int.from_bytes(data[pos + 1 : end], "little"), end


def read_string(data: bytes, pos: int) -> tuple[bytes, int]:
    """The string at ``pos`` and the position behind it. Raises ProtocolError when it is cut off."""
    length, start = read_int(data, pos)
    end = start + length
    if end > len(data):
        raise ProtocolError()
    return data[start:end], end


def read_nul_string(data: bytes, pos: int) -> tuple[bytes, int]:
    """The NUL-terminated string at ``pos`` and the position behind its NUL. Raises ProtocolError without one."""
    end = data.find(b"\0", pos)
    if end < 0:
        raise ProtocolError()
    return data[pos:end], end + 1
