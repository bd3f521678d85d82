"""One column's value: captured exactly, whatever the session's state is, and written back as readable SQL.

A capture expression gives the same answer under any time zone, sql_mode and character set of the session: bytes travel
as HEX, a TIMESTAMP as seconds since 1970 UTC, FLOAT and DOUBLE as shortest double, ENUM and SET by number. Literals are
plain ASCII, so that they fit into a statement of any client character set. `literal` is for the compensator's own
session (time zone +00:00, non-strict), `condition` for any session.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from dbmesh.errors import NotSupported
from dbmesh.schema import Column

_INTEGERS = frozenset(("tinyint", "smallint", "mediumint", "int", "integer", "bigint", "year"))
_DECIMALS = frozenset(("decimal", "numeric"))
_DOUBLES = frozenset(("float", "double", "real"))
_TEMPORALS = frozenset(("date", "time", "datetime"))
_STRINGS = frozenset(("char", "varchar", "tinytext", "text", "mediumtext", "longtext"))
_BINARIES = ("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "vector")
_SHAPES = ("point", "linestring", "polygon")
_COLLECTIONS = ("geometry", "geometrycollection", "geomcollection", *("multi" + shape for shape in _SHAPES))
_BYTES = frozenset((*_BINARIES, *_SHAPES, *_COLLECTIONS))
_PLAIN = frozenset(("inet4", "inet6", "uuid"))
_UNICODE = frozenset(("utf8", "utf8mb3", "utf8mb4"))
_ZERO_TIMESTAMP = "0000-00-00 00:00:00"
CONSTANT = re.compile(r"\s*([-+]?[0-9][0-9.eE+-]*|'(?:[^'\\]|'')*'|0[xX][0-9a-fA-F]+|[xX]'[0-9a-fA-F]*')\s*")
_READABLE = re.compile(r"[^\x00-\x1f\x7f\\]*")


@dataclass(frozen=True, slots=True)
class Value:
    """A typed value. ``kind``: num bit dbl time ts text:CHARSET chars:CHARSET hex enum:CHARSET set json plain.

    ``text``: None for NULL; decimal digits for num, bit, dbl and set; UTC for ts; characters for text; upper-case hex
    for chars (bytes of that character set) and hex; 'index:label' for enum, its label in hex.
    """

    kind: str
    text: str | None


def kind_of(column: Column) -> str:
    """The kind in which a column's values are captured. Raises NotSupported for a type that cannot be restored."""
    name = column.type.lower()
    if name in _INTEGERS or name in _DECIMALS:
        return "num"
    if name in _DOUBLES:
        return "dbl"
    if name in _TEMPORALS:
        return "time"
    if name in _STRINGS:
        return f"text:{column.charset}" if column.charset not in (None, "binary") else "hex"
    if name == "enum":
        return f"enum:{column.charset or 'utf8mb4'}"
    if name in _BYTES:
        return "hex"
    named = {"timestamp": "ts", "bit": "bit", "set": "set", "json": "json"}
    if name in named:
        return named[name]
    if name in _PLAIN:
        return "plain"
    raise NotSupported(
        f"column {column.name} is of type {column.type}, which a compensation could not restore exactly",
        "run it with SET dbmesh_transaction='local'",
    )


def quoted(name: str) -> str:
    """An identifier in back-ticks."""
    return "`" + name.replace("`", "``") + "`"


def capture(kind: str, column: str) -> tuple[str, ...]:
    """The expressions to select for a column, one or two. ``column``: as it stands in SQL, quoted."""
    base = kind.partition(":")[0]
    if base in ("text", "chars", "hex"):
        return (f"HEX({column})",)
    if base == "enum":
        return (f"{column}+0", f"HEX({column})")
    if base == "json":
        text = f"CONVERT({column} USING utf8mb4)"
        return (f"HEX({text})", f"{column} = CAST({text} AS JSON)")
    wrapped = {
        "num": column,
        "bit": f"{column}+0",
        "set": f"{column}+0",
        "dbl": f"{column}+0e0",
        "ts": f"UNIX_TIMESTAMP({column})",
    }
    return (wrapped.get(base, f"CAST({column} AS CHAR)"),)


def decode(kind: str, raw: Sequence[bytes | None]) -> Value:
    """The value from what the server answered to ``capture``."""
    base, _, charset = kind.partition(":")
    first = raw[0]
    if first is None:
        return Value("text:" + charset if base == "chars" else kind, None)
    text = first.decode("ascii")
    if base in ("text", "chars"):
        return _string(charset, text)
    if base == "enum":
        return Value(kind, f"{text}:{(raw[1] or b'').decode('ascii')}")
    if base == "ts":
        return Value(kind, _utc(text))
    if base == "json":
        return _json(kind, text, raw[1])
    return Value(kind, text)


def _json(kind: str, digits: str, exact: bytes | None) -> Value:
    if exact == b"0":
        raise NotSupported(
            "a JSON value holds a DECIMAL or a DATETIME, which its text cannot restore",
            "use SET dbmesh_transaction='local' for it",
        )
    return Value(kind, bytes.fromhex(digits).decode("utf-8"))


def _string(charset: str, digits: str) -> Value:
    raw = bytes.fromhex(digits)
    try:
        text = raw.decode("utf-8" if charset in _UNICODE else "ascii")
    except UnicodeDecodeError:
        return Value(f"chars:{charset}", digits)
    if charset in ("ucs2", "utf16", "utf16le", "utf32"):
        return Value(f"chars:{charset}", digits)
    return Value(f"text:{charset}", text)


def without_padding(kind: str, value: Value) -> Value:
    """A CHAR value as stored: sql_mode PAD_CHAR_TO_FULL_LENGTH adds spaces that are not there."""
    if value.text is None or not kind.startswith("text:"):
        return value
    charset = kind.partition(":")[2]
    if value.kind.startswith("text:"):
        return Value(value.kind, value.text.rstrip(" "))
    space = {"ucs2": "0020", "utf16": "0020", "utf16le": "2000", "utf32": "00000020"}.get(charset, "20")
    digits = value.text
    while digits.endswith(space) and len(digits) % len(space) == 0:
        digits = digits[: -len(space)]
    return _string(charset, digits)


def _utc(seconds: str) -> str:
    whole, dot, fraction = seconds.partition(".")
    if Decimal(seconds) == 0:
        return _ZERO_TIMESTAMP + dot + fraction
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(whole))
    return moment.strftime("%Y-%m-%d %H:%M:%S") + dot + fraction


def _seconds(text: str) -> str:
    whole, dot, fraction = text.partition(".")
    if whole == _ZERO_TIMESTAMP:
        return "0"
    moment = datetime.strptime(whole, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return str(int(moment.timestamp())) + dot + fraction


def string_literal(text: str, charset: str = "utf8mb4") -> str:
    """Text as an ASCII-only literal: quoted where that is safe in every sql_mode, else in hex."""
    if text.isascii() and _READABLE.fullmatch(text):
        return "'" + text.replace("'", "''") + "'"
    return f"_{charset} x'{text.encode('utf-8', 'replace').hex().upper()}'"


def literal(value: Value) -> str:
    """The value as an operator reads and the compensator's session runs it (utf8mb4, time zone +00:00)."""
    if value.text is None:
        return "NULL"
    base, _, charset = value.kind.partition(":")
    if base == "text":
        if _READABLE.fullmatch(value.text):
            return "'" + value.text.replace("'", "''") + "'"
        return string_literal(value.text)
    if base == "enum":
        index, _, digits = value.text.partition(":")
        return "0" if index == "0" else literal(_string(charset, digits))
    if base == "json":
        return literal(Value("text:utf8mb4", value.text))
    return _plain_literal(base, charset, value.text)


def _plain_literal(base: str, charset: str, text: str) -> str:
    if base == "chars":
        return f"_{charset} x'{text}'"
    if base == "hex":
        return f"x'{text}'"
    if base == "dbl":
        return text if "e" in text.lower() else text + "e0"
    if base in ("num", "bit", "set"):
        return text
    return f"'{text}'"


def condition(column: str, value: Value) -> str:
    """``column`` equals the value, for a key column; true for the same row in any session. NULL never is a key."""
    base, _, charset = value.kind.partition(":")
    text = value.text
    if text is None:
        return f"{column} IS NULL"
    if base == "ts":
        return f"UNIX_TIMESTAMP({column}) = {_seconds(text)}"
    if base == "text":
        return f"{column} = {string_literal(text, charset)}"
    if base == "enum":
        return f"{column} = {text.partition(':')[0]}"
    if base == "json":
        return f"{column} = {string_literal(text)}"
    return f"{column} = {_plain_literal(base, charset, text)}"


def guard(column: str, value: Value) -> str | None:
    """A readable check that the column still holds the value, or None where SQL's own comparison could mislead."""
    base = value.kind.partition(":")[0]
    if base in ("json", "hex", "plain", "set", "enum") or (value.text is not None and len(value.text) > 64):
        return f"{column} IS NULL" if value.text is None else None
    return f"{column}<=>{literal(value)}"


def exactly(column: str, value: Value) -> str:
    """``column`` holds exactly the value, in the compensator's session. ``column``: quoted."""
    base, _, charset = value.kind.partition(":")
    expression = capture(value.kind, column)[0]
    text = value.text
    if text is None:
        return f"{column} IS NULL"
    if base in ("text", "json"):
        return f"{expression} <=> '{text.encode('utf-8').hex().upper()}'"
    if base in ("chars", "hex"):
        return f"{expression} <=> '{text}'"
    if base == "ts":
        return f"{expression} <=> {_seconds(text)}"
    if base == "enum":
        return f"{expression} <=> {text.partition(':')[0]}"
    if base in ("time", "plain"):
        return f"{expression} <=> '{text}'"
    return f"{expression} <=> {_plain_literal(base, charset, text)}"
