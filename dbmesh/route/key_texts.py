"""Literals against character and binary string columns.

Under a case-insensitive collation only printable ASCII is normalised: there each of the collations below has one
weight per character and ignores nothing but case (tried with WEIGHT_STRING). Accents, ligatures, ignorable control
characters and other alphabets have rules per collation and version.
"""

from __future__ import annotations

import re
from decimal import Decimal

from dbmesh.errors import NotSupported
from dbmesh.route.literals import Kind, Literal
from dbmesh.route.verdict import NOTHING, UNKNOWN, Verdict
from dbmesh.rules.keys import KeyValue
from dbmesh.schema import Column

_IGNORES_CASE = re.compile(
    r"(?:utf8mb4|utf8mb3|utf8)_(?:general|general_nopad|unicode|unicode_nopad|unicode_520|unicode_520_nopad)_ci"
    r"|utf8mb4_0900_a[is]_ci"
    r"|(?:(?:utf8mb4|utf8mb3|utf8)_)?uca1400_(?:nopad_)?a[is]_ci"
    r"|latin1_(?:swedish|swedish_nopad|general)_ci"
)
_KEEPS_CASE = re.compile(r"utf8mb4_0900_as_cs|(?:(?:utf8mb4|utf8mb3|utf8)_)?uca1400_(?:nopad_)?as_cs")
_BINARY = re.compile(r"(?:utf8mb4|utf8mb3|utf8|latin1|ascii|gbk)_(?:nopad_|0900_)?bin")

_PRINTABLE = re.compile(r"[ -~]*")
_NO_PAD = re.compile(r"_nopad_|_0900_")


def check_collation(column: Column) -> None:
    """Refuse a character column whose collation the mesh cannot follow."""
    if column.type in ("char", "varchar") and not _known(column.collation or ""):
        raise _foreign(column, f"has collation {column.collation}")


def _known(collation: str) -> bool:
    return any(family.fullmatch(collation) for family in (_IGNORES_CASE, _KEEPS_CASE, _BINARY))


def compare_text(literal: Literal, column: Column) -> KeyValue | Verdict:
    """Strings by the column's collation; a number compares as double with '5', '05' and '5.0' alike."""
    if not isinstance(literal.value, str):
        return UNKNOWN
    if column.type == "char" and not _pads(column) and literal.value.endswith(" "):
        return UNKNOWN  # PAD_CHAR_TO_FULL_LENGTH decides whether the column's own spaces count
    normalised = _normalise(literal.value, column)
    return UNKNOWN if normalised is None else normalised


def bound_text(literal: Literal, column: Column, high: bool) -> KeyValue | Verdict:
    """Only a NO PAD binary collation orders strings by code point, as the algorithms do."""
    binary = column.collation is not None and _BINARY.fullmatch(column.collation)
    if column.type == "varchar" and binary and not _pads(column):
        return compare_text(literal, column)
    return UNKNOWN


def store_text(literal: Literal, column: Column, strict: bool) -> KeyValue:
    """The text cut to the column's length, CHAR without trailing spaces; numbers as the server writes them."""
    text = _written(literal)
    if text is None:
        raise _foreign(column, "gets a value whose text only the server knows")
    if column.length is not None:
        text = text[: column.length]
    if column.type == "char":
        text = text.rstrip(" ")
    normalised = _normalise(text, column)
    if normalised is None:
        raise _foreign(column, f"({column.collation}) gets a value beyond printable ASCII")
    return normalised


def _pads(column: Column) -> bool:
    return not _NO_PAD.search(column.collation or "")


def _normalise(text: str, column: Column) -> str | None:
    """One spelling for all texts equal to this one; None where that is not known."""
    collation = column.collation or ""
    if _BINARY.fullmatch(collation):
        if not _representable(text, collation):
            return None
    elif not _PRINTABLE.fullmatch(text) or not _known(collation):
        return None
    elif _IGNORES_CASE.fullmatch(collation):
        text = text.lower()
    return text.rstrip(" ") if _pads(column) else text


def _representable(text: str, collation: str) -> bool:
    """Whether the column's character set holds the text unchanged."""
    if text.isascii():
        return True
    most = "\U0010ffff" if collation.startswith("utf8mb4") else "\uffff"
    return collation.startswith("utf8") and all(
        character <= most and not "\ud800" <= character <= "\udfff" for character in text
    )


def _written(literal: Literal) -> str | None:
    """A literal as text, where both servers agree on it."""
    value = literal.value
    if isinstance(value, bytes):
        return value.decode("ascii") if value.isascii() else None
    if isinstance(value, int | str):
        return str(value)
    if isinstance(value, Decimal) and value and value.as_tuple().exponent != 0:
        return f"{value:f}"
    return None


def compare_binary(literal: Literal, column: Column) -> KeyValue | Verdict:
    """Byte by byte, no padding; BINARY(n) holds exactly n bytes."""
    value = _bytes(literal)
    if value is None:
        return UNKNOWN
    if column.type == "binary" and column.length is not None and len(value) != column.length:
        return NOTHING
    return value


def bound_binary(literal: Literal, column: Column, high: bool) -> KeyValue | Verdict:
    """Bytes order as the algorithms order them."""
    value = _bytes(literal)
    return UNKNOWN if value is None else value


def store_binary(literal: Literal, column: Column, strict: bool) -> KeyValue:
    """The bytes cut to the column's length; BINARY(n) is filled up with zero bytes."""
    value = str(literal.value).encode() if literal.kind is Kind.INTEGER else _bytes(literal)
    if value is None or (column.type == "binary" and column.length is None):
        raise NotSupported(
            f"the value of the sharding key column '{column.name}' ({column.type})", "write it as x'…' or in ASCII"
        )
    value = value[: column.length]
    return value.ljust(column.length or 0, b"\0") if column.type == "binary" else value


def _bytes(literal: Literal) -> bytes | None:
    """The bytes of a string literal, whatever the connection's character set."""
    value = literal.value
    if isinstance(value, str) and value.isascii():
        return value.encode()
    return value if isinstance(value, bytes) else None


def _foreign(column: Column, what: str) -> NotSupported:
    return NotSupported(
        f"sharding key column '{column.name}' {what}", "give the column a binary collation such as utf8mb4_bin"
    )
