"""A column's values on their way from a data node to a scratch table: exact, whatever the session's settings are.

Character strings travel as their own bytes (``character_set_results = NULL``), a TIMESTAMP as seconds since 1970 UTC,
FLOAT and DOUBLE as the shortest text of the double, ENUM and SET by number. What is written is plain ASCII.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dbmesh.errors import NotSupported
from dbmesh.rewrite import quoted
from dbmesh.schema import Column

Writer = Callable[[bytes], str]  # what a server answered, never NULL, as an SQL literal

_NUMBERS = frozenset(("tinyint", "smallint", "mediumint", "int", "bigint", "year", "decimal"))
_TEXTS = frozenset(("char", "varchar", "tinytext", "text", "mediumtext", "longtext"))
_BLOBS = frozenset(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "vector"))
_SHAPES = frozenset(
    ("geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon",
     "geometrycollection", "geomcollection")
)  # fmt: skip
_MOMENTS = frozenset(("date", "time", "datetime"))
_PLAIN = frozenset(("inet4", "inet6", "uuid"))
_NUMBERED = frozenset(("bit", "enum", "set"))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_KEY = 190  # characters of a column that may be in a key


@dataclass(frozen=True, slots=True)
class Travel:
    """``read``: the expression that a data node is asked for; ``declaration``: the scratch table's column."""

    column: str
    read: str
    write: Writer
    declaration: str


def travel(column: Column) -> Travel:
    """Raises NotSupported for a type of which it is not known how to carry its values exactly."""
    name = quoted(column.name)
    read, write = _way(column, name)
    return Travel(column.name, read, write, f"{name} {_declared(column)}")


def may_be_key(column: Column) -> bool:
    """Whether a plain key on the whole column is sure to be accepted."""
    short = column.length is not None and column.length <= _LONGEST_KEY
    return column.type in _NUMBERS | _MOMENTS | {"timestamp", "enum"} or (
        column.type in ("char", "varchar", "binary", "varbinary") and short
    )


def _way(column: Column, name: str) -> tuple[str, Writer]:
    kind = column.type
    if kind in _NUMBERS:
        return name, _digits
    if kind in _TEXTS or kind in _BLOBS or kind in _SHAPES:
        return name, _hexadecimal
    if kind in _NUMBERED:
        return f"{name}+0", _digits
    if kind in ("float", "double"):
        return f"{name}*1e0", _double
    if kind in _MOMENTS:
        return name, _text
    if kind == "timestamp":
        return f"UNIX_TIMESTAMP({name})", _moment
    if kind in _PLAIN:
        return f"CAST({name} AS CHAR)", _text
    if kind == "json":
        # The text of a DECIMAL or a DATETIME within it would come back as another type: '' is no JSON and is refused.
        text = f"CONVERT({name} USING utf8mb4)"
        return f"IF({name} IS NULL OR {name} = CAST({text} AS JSON), {text}, '')", _json
    raise NotSupported(f"column {column.name} of type {column.type} in a query that gathers rows of several shards")


def _declared(column: Column) -> str:
    charset = ""
    if column.charset is not None and column.charset != "binary":
        charset = f" CHARACTER SET {column.charset} COLLATE {column.collation}"
    null = " NULL" if column.nullable else " NOT NULL"
    return f"{column.column_type}{charset}{null}" + (" INVISIBLE" if column.invisible else "")


def _digits(raw: bytes) -> str:
    return raw.decode("ascii")


def _double(raw: bytes) -> str:
    text = raw.decode("ascii")
    return text if "e" in text else text + "e0"


def _hexadecimal(raw: bytes) -> str:
    return f"x'{raw.hex()}'"


def _text(raw: bytes) -> str:
    return f"'{raw.decode('ascii')}'"


def _json(raw: bytes) -> str:
    return f"CONVERT(x'{raw.hex()}' USING utf8mb4)"


def _moment(raw: bytes) -> str:
    whole, dot, fraction = raw.decode("ascii").partition(".")
    if int(whole) == 0 and not fraction.strip("0"):
        return "'0000-00-00 00:00:00'"
    moment = _EPOCH + timedelta(seconds=int(whole))
    return f"'{moment:%Y-%m-%d %H:%M:%S}{dot}{fraction}'"
