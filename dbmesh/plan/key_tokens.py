"""A sharding key that came as bytes, as the SQL literal that `route.keys` reads."""

from __future__ import annotations

from dbmesh.route.key_numbers import INTEGER_TYPES
from dbmesh.schema import Column

_BINARIES = frozenset({"binary", "varbinary"})
_NUMBERS = INTEGER_TYPES | {"decimal", "year"}


def key_token(value: bytes | None, column: Column, codec: str) -> str:
    """The literal, with its sign. ``codec``: of the bytes. Raises UnicodeDecodeError for what is no text."""
    if value is None:
        return "NULL"
    if column.type in _BINARIES:
        return f"x'{value.hex()}'"
    text = value.decode(codec)
    if column.type in _NUMBERS and text.removeprefix("-").replace(".", "", 1).isdigit() and text.isascii():
        return text
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
