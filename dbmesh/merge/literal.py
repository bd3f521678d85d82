"""A value that one server sent, as SQL text that gives any server the same value of the same type. ASCII only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from dbmesh.errors import NotSupported
from dbmesh.merge.arithmetic import NOT_FIXED
from dbmesh.merge.key import STRING_TYPES
from dbmesh.merge.spec import Input
from dbmesh.protocol import Collation, ColumnDefinition, FieldFlag, FieldType

Literal: TypeAlias = Callable[[bytes | None], str]

_INTEGERS = frozenset((FieldType.TINY, FieldType.SHORT, FieldType.INT24, FieldType.LONG, FieldType.LONGLONG))
_DECIMALS = frozenset((FieldType.DECIMAL, FieldType.NEWDECIMAL))
_NOT_THE_VALUE = FieldFlag.ENUM | FieldFlag.SET

# The collations in which a server labels the strings it converted for the client (character_set_results).
_SENT = {
    Collation.UTF8MB4_GENERAL_CI: "utf8mb4",
    Collation.UTF8MB4_BIN: "utf8mb4",
    Collation.UTF8MB4_UNICODE_CI: "utf8mb4",
    Collation.UTF8MB4_0900_AI_CI: "utf8mb4",
    Collation.UTF8MB3_GENERAL_CI: "utf8",
    Collation.LATIN1_SWEDISH_CI: "latin1",
}
_UTF8MB3 = frozenset(("utf8", "utf8mb3"))


def literal(wanted: Input, column: ColumnDefinition) -> Literal:
    """How the values of ``column`` are written. Raises NotSupported where the text sent is not the value."""
    if column.type in _INTEGERS:
        return _integer(column)
    if column.type in _DECIMALS:
        return _decimal(column)
    if column.type == FieldType.DOUBLE and column.decimals >= NOT_FIXED:
        return _cast_float if wanted.float else _double
    if column.type == FieldType.NULL:
        return lambda _: "NULL"
    if column.type in (FieldType.DATE, FieldType.NEWDATE):
        return _date("DATE")
    if column.type in (FieldType.DATETIME, FieldType.TIMESTAMP):
        return _date(f"DATETIME({_fraction(column)})")
    if column.type == FieldType.TIME:
        return _cast(f"TIME({_fraction(column)})", "'{}'")
    if column.type in STRING_TYPES and not column.flags & _NOT_THE_VALUE:
        return _string(wanted, column)
    raise NotSupported(
        f"column '{column.name.decode('utf-8', 'replace')}' of this type is used in an expression over aggregates"
    )


def _cast(type_name: str, quoted: str, null_text: str = "NULL") -> Literal:
    null = f"CAST({null_text} AS {type_name})"

    def write(text: bytes | None) -> str:
        return null if text is None else f"CAST({quoted.format(text.decode('ascii'))} AS {type_name})"

    return write


def _integer(column: ColumnDefinition) -> Literal:
    """MariaDB's CAST(5 AS SIGNED) is an INT because 5 is short; what comes from ``|`` is a BIGINT at any length."""
    unsigned = column.flags & FieldFlag.UNSIGNED
    if column.type != FieldType.LONGLONG:
        return _cast("UNSIGNED" if unsigned else "SIGNED", "{}")
    return _cast("UNSIGNED" if unsigned else "SIGNED", "{} | 0", "NULL | 0")


def _decimal(column: ColumnDefinition) -> Literal:
    precision = _precision(column)
    plain = _cast(f"DECIMAL({precision},{column.decimals})", "{}")

    def write(text: bytes | None) -> str:
        if text is not None and len(text.lstrip(b"-0").replace(b".", b"")) > precision:
            raise NotSupported("a sum with more digits than DECIMAL can hold takes part in an expression")
        return plain(text)

    return write


def _precision(column: ColumnDefinition) -> int:
    """Length counts the sign and the point (my_decimal_length_to_precision)."""
    signed = 0 if column.flags & FieldFlag.UNSIGNED else 1
    return max(1, min(65, column.length - signed - (1 if column.decimals else 0)))


def _fraction(column: ColumnDefinition) -> int:
    return min(column.decimals, 6)


def _double(text: bytes | None) -> str:
    """A number with an exponent is a DOUBLE everywhere; CAST AS DOUBLE exists since MySQL 8.0.17 only."""
    if text is None:
        return "(NULL + 0e0)"
    return text.decode("ascii") if b"e" in text else text.decode("ascii") + "e0"


def _cast_float(text: bytes | None) -> str:
    """A FLOAT travels as the DOUBLE of the same value, because its own text is rounded."""
    return f"CAST({_double(text)} AS FLOAT)"


def _date(type_name: str) -> Literal:
    plain = _cast(type_name, "'{}'")

    def write(text: bytes | None) -> str:
        if text is not None and b"-00" in text:
            raise NotSupported("a zero date takes part in an expression over aggregates")
        return plain(text)

    return write


def _string(wanted: Input, column: ColumnDefinition) -> Literal:
    if column.charset == Collation.BINARY and wanted.charset in (None, "binary"):
        return lambda value: ("CAST(NULL AS BINARY)" if value is None else f"x'{value.hex()}'") + " COLLATE `binary`"
    sent = _SENT.get(column.charset)
    if wanted.charset is None or wanted.collation is None or sent is None or not _holds_all(sent, wanted.charset):
        raise NotSupported(
            f"the characters of column '{column.name.decode('utf-8', 'replace')}' may be lost in this character set",
            "connect with utf8mb4",
        )
    charset, collation = wanted.charset, wanted.collation

    def write(value: bytes | None) -> str:
        text = "NULL" if value is None else f"_{sent} x'{value.hex()}'"
        return f"CONVERT({text} USING {charset}) COLLATE {collation}"

    return write


def _holds_all(sent: str, charset: str) -> bool:
    """Whether every character of ``charset`` survived being sent as ``sent``."""
    if sent == "utf8mb4" or charset == "ascii" or sent == charset:
        return True
    return sent in _UTF8MB3 and charset in (_UTF8MB3 | {"latin1"})
