"""Values that a server has sent, as SQL literals of the same type and value."""

from __future__ import annotations

import re

from dbmesh.protocol.charset import COLLATIONS, UnknownCharacterSet, charset_of, python_codec
from dbmesh.protocol.constants import FieldFlag, FieldType
from dbmesh.protocol.resultset import ColumnDefinition

_NUMBERS = frozenset(
    {FieldType.TINY, FieldType.SHORT, FieldType.LONG, FieldType.LONGLONG, FieldType.INT24, FieldType.FLOAT,
     FieldType.DOUBLE, FieldType.DECIMAL, FieldType.NEWDECIMAL, FieldType.YEAR}
)  # fmt: skip
_INTEGERS = frozenset({FieldType.TINY, FieldType.SHORT, FieldType.LONG, FieldType.LONGLONG, FieldType.INT24})
_BYTES = frozenset(
    {FieldType.VARCHAR, FieldType.VAR_STRING, FieldType.STRING, FieldType.BLOB, FieldType.TINY_BLOB,
     FieldType.MEDIUM_BLOB, FieldType.LONG_BLOB, FieldType.BIT, FieldType.GEOMETRY}
)  # fmt: skip
BINARY_CHARSET = 63
_TEXT = re.compile(r"_(\w+) x'([0-9A-Fa-f]*)' COLLATE (\w+)")


def literal_of(value: bytes | None, column: ColumnDefinition) -> str:
    """The literal of a value as it came, without conversion of its character set."""
    if value is None:
        return "NULL"
    if column.type in _NUMBERS:
        return _number(value.decode("ascii"), column.type)
    if column.charset == BINARY_CHARSET and column.type in _BYTES:
        return f"x'{value.hex()}'"
    collation = COLLATIONS.get(column.charset)
    if collation is not None and not value.isascii():
        return f"_{charset_of(collation)} x'{value.hex()}' COLLATE {collation}"
    escaped = value.decode("utf-8", "surrogateescape").replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def typed_literal(value: bytes | None, column: ColumnDefinition) -> str:
    """The same for a user variable, which also remembers that a number is unsigned, and a string's collation."""
    if value is None or column.type in _NUMBERS:
        literal = literal_of(value, column)
        return f"CAST({literal} AS UNSIGNED)" if value is not None and _is_unsigned(column) else literal
    collation = COLLATIONS.get(column.charset)
    return literal_of(value, column) if collation is None else text_literal(value, collation)


def text_literal(value: bytes, collation: str) -> str:
    """A string with its character set and collation, whatever the connection has; ``value`` in that character set."""
    return (
        f"x'{value.hex()}'"
        if collation == "binary"
        else f"_{charset_of(collation)} x'{value.hex()}' COLLATE {collation}"
    )


def text_of(literal: str) -> tuple[str, str] | None:
    """The characters and the collation of a ``text_literal``; None for anything else, and for what is no text."""
    found = _TEXT.fullmatch(literal)
    if found is None:
        return None
    try:
        return bytes.fromhex(found[2]).decode(python_codec(found[1])), found[3]
    except (UnicodeDecodeError, UnknownCharacterSet):
        return None


def hex_literal(value: bytes | None, column: ColumnDefinition, digits: bytes | None, collation: bytes | None) -> str:
    """The same where the value may have been converted: ``digits`` is its HEX(), ``collation`` its COLLATION()."""
    if value is None or digits is None or collation is None or column.type in _NUMBERS:
        return typed_literal(value, column)
    name = collation.decode("ascii")
    if name == "binary":
        return f"x'{digits.decode('ascii')}'"
    return f"_{charset_of(name)} x'{digits.decode('ascii')}' COLLATE {name}"


def _is_unsigned(column: ColumnDefinition) -> bool:
    return column.type in _INTEGERS and bool(column.flags & FieldFlag.UNSIGNED)


def _number(text: str, kind: int) -> str:
    if kind in (FieldType.FLOAT, FieldType.DOUBLE) and "e" not in text:
        return f"{text}e0"
    if kind in (FieldType.DECIMAL, FieldType.NEWDECIMAL) and "." not in text:
        return f"{text}."
    return text
