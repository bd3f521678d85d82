"""A column definition of the wire as a ``schema.Column``: true only where no conversion of results was asked for."""

from __future__ import annotations

from typing import Final, NamedTuple

from dbmesh.protocol.constants import FieldFlag, FieldType
from dbmesh.protocol.resultset import ColumnDefinition
from dbmesh.schema import Column


class Collation(NamedTuple):
    """``longest``: bytes of the character set's longest character."""

    name: str
    charset: str
    longest: int


# *_unicode_ci of ucs2, utf16, utf32, utf8mb3, utf8mb4: MariaDB sends these for its uca1400 collations as well, whose
# own numbers older clients do not know.
AMBIGUOUS_COLLATIONS: Final = frozenset({101, 128, 160, 192, 224})

_NO_STRINGS: Final = {
    FieldType.DECIMAL: "decimal",
    FieldType.NEWDECIMAL: "decimal",
    FieldType.TINY: "tinyint",
    FieldType.SHORT: "smallint",
    FieldType.INT24: "mediumint",
    FieldType.LONG: "int",
    FieldType.LONGLONG: "bigint",
    FieldType.FLOAT: "float",
    FieldType.DOUBLE: "double",
    FieldType.NULL: "null",
    FieldType.TIMESTAMP: "timestamp",
    FieldType.DATE: "date",
    FieldType.NEWDATE: "date",
    FieldType.TIME: "time",
    FieldType.DATETIME: "datetime",
    FieldType.YEAR: "year",
    FieldType.BIT: "bit",
    FieldType.JSON: "json",
    FieldType.GEOMETRY: "geometry",
    FieldType.VECTOR: "vector",
}
_TEMPORAL: Final = frozenset({"timestamp", "time", "datetime"})
_INTEGERS: Final = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"})
# (longest value in bytes, binary, text): the wire has one type for all four
_BLOBS: Final = ((255, "tinyblob", "tinytext"), (65535, "blob", "text"), (16777215, "mediumblob", "mediumtext"))
_BLOB_TYPES: Final = frozenset({FieldType.BLOB, FieldType.TINY_BLOB, FieldType.MEDIUM_BLOB, FieldType.LONG_BLOB})
_BINARY: Final = "binary"
# MariaDB's own types by their length as text: strings to the wire, told apart from real ones by the flag UNSIGNED
_NATIVE: Final = {15: "inet4", 36: "uuid", 39: "inet6"}


def described_column(definition: ColumnDefinition, collation: Collation | None) -> Column:
    """``collation``: the one of the definition's id. ``column_type`` is only as exact as the wire is."""
    name = definition.name.decode("utf-8", "replace")
    data_type = _NO_STRINGS.get(definition.type)
    nullable = not definition.flags & FieldFlag.NOT_NULL
    if data_type is None:
        return _string(definition, name, nullable, collation)
    unsigned = bool(definition.flags & FieldFlag.UNSIGNED)
    precision, scale = _digits(definition, data_type, unsigned)
    column_type = data_type + (f"({precision},{scale})" if data_type == "decimal" else "")
    return Column(
        name,
        data_type,
        column_type + (" unsigned" if unsigned else ""),
        unsigned=unsigned,
        nullable=nullable,
        precision=precision,
        scale=scale,
    )


def _digits(definition: ColumnDefinition, data_type: str, unsigned: bool) -> tuple[int | None, int | None]:
    if data_type == "decimal":
        # the length has room for the point and the sign
        return definition.length - (definition.decimals > 0) - (not unsigned), definition.decimals
    if data_type in _TEMPORAL:
        return None, min(definition.decimals, 6)
    if data_type in _INTEGERS:
        return definition.length, 0
    return None, definition.decimals if data_type in ("float", "double") and definition.decimals < 31 else None


def _string(definition: ColumnDefinition, name: str, nullable: bool, collation: Collation | None) -> Column:
    binary = collation is None or collation.name == _BINARY
    data_type = _string_type(definition, binary)
    if binary or collation is None:
        return Column(name, data_type, data_type, nullable=nullable, length=definition.length)
    length = definition.length // collation.longest
    charset = collation.charset
    return Column(name, data_type, data_type, False, nullable, length, None, None, charset, collation.name)


def _string_type(definition: ColumnDefinition, binary: bool) -> str:
    if definition.flags & FieldFlag.ENUM:
        return "enum"
    if definition.flags & FieldFlag.SET:
        return "set"
    if definition.flags & FieldFlag.UNSIGNED and definition.length in _NATIVE:
        return _NATIVE[definition.length]
    if definition.type in _BLOB_TYPES:
        for longest, blob, text in _BLOBS:
            if definition.length <= longest:
                return blob if binary else text
        return "longblob" if binary else "longtext"
    if definition.type == FieldType.STRING:
        return "binary" if binary else "char"
    return "varbinary" if binary else "varchar"
