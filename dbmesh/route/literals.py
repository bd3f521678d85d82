"""What one literal of a statement says: its kind and its value, before any column is looked at.

See "Literal Values" in the MySQL 8.4 Reference Manual, section 11.1.
"""

from __future__ import annotations

import re
from decimal import Decimal
from enum import Enum, auto
from typing import NamedTuple


class Kind(Enum):
    """The classes of literals that convert differently."""

    INTEGER = auto()  # 5, TRUE: int
    DECIMAL = auto()  # 5.0: Decimal
    FLOAT = auto()  # 5e0: float
    TEXT = auto()  # 'abc', _latin1'abc': str
    NUMBER_OR_BYTES = auto()  # 0x35, b'101': bytes; a number where numbers are compared
    BYTES = auto()  # x'35': bytes; a number to MySQL, text to MariaDB where numbers are compared
    NULL = auto()
    OTHER = auto()  # nothing the mesh can be sure of


class Literal(NamedTuple):
    """A literal's kind and its value; ``value`` is None for NULL and OTHER."""

    kind: Kind
    value: int | Decimal | float | str | bytes | None = None


_OTHER = Literal(Kind.OTHER)
_NULL = Literal(Kind.NULL)

# Longer numbers overflow DECIMAL's 65 digits, each server in its own way.
_MOST_DIGITS = 60

_DECIMAL = re.compile(r"\d+\.\d*|\.\d+", re.ASCII)
_FLOAT = re.compile(r"(?:\d+\.?\d*|\.\d+)[eE][+-]?\d+", re.ASCII)
_QUOTED = re.compile(r"(?:_(?P<charset>\w+)\s*|(?P<national>[nN]))?(?P<quote>['\"])(?P<body>.*)(?P=quote)", re.DOTALL)
_ESCAPES = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a", "%": "\\%", "_": "\\_"}

# Introducers under which ASCII bytes are ASCII characters; ucs2 and its kin read two bytes as one character.
_ASCII_INTRODUCERS = frozenset({"utf8mb4", "utf8mb3", "utf8", "latin1", "ascii", "binary", "gbk"})


def read(token: str, negative: bool = False) -> Literal:
    """The literal that ``token`` is (raw source text); ``negative``: a minus sign stood before it."""
    if token.isdigit():
        return _OTHER if len(token) > _MOST_DIGITS else _number(Kind.INTEGER, int(token), negative)
    first = token[:1]
    if first.isdigit() or first == ".":
        return _written_number(token, negative)
    if token.upper() == "NULL":
        return _NULL
    if negative:
        return _OTHER
    if (text := text_value(token)) is not None:
        return Literal(Kind.TEXT, text)
    if first in ("x", "X"):
        return _hexadecimal(token[2:-1], Kind.BYTES)
    if first in ("b", "B"):
        return _bits(token[2:-1])
    truth = {"TRUE": 1, "FALSE": 0}.get(token.upper())
    return _OTHER if truth is None else Literal(Kind.INTEGER, truth)


def text_value(token: str) -> str | None:
    """The characters of a string literal, escapes resolved as MySQL's lexer does; None for other tokens."""
    quoted = _QUOTED.fullmatch(token)
    if quoted is None:
        return None
    quote, body = quoted["quote"], quoted["body"]
    text = body.replace(quote * 2, quote) if "\\" not in body else _unescape(body, quote)
    if quoted["charset"] is None and quoted["national"] is None:
        return text
    known = quoted["charset"] is None or quoted["charset"].lower() in _ASCII_INTRODUCERS
    return text if known and text.isascii() else None


def _unescape(body: str, quote: str) -> str:
    # An escaped character never starts a doubled quote, so both are resolved in one pass from the left.
    pattern = re.compile(rf"\\(.)|{quote}({quote})", re.DOTALL)
    return pattern.sub(lambda found: found[2] or _ESCAPES.get(found[1], found[1]), body)


def _number(kind: Kind, value: int | Decimal | float, negative: bool) -> Literal:
    return Literal(kind, -value if negative and value else value)


def _written_number(token: str, negative: bool) -> Literal:
    if token[:2] == "0x":
        return _OTHER if negative else _hexadecimal(token[2:], Kind.NUMBER_OR_BYTES)
    if token[:2] == "0b":
        return _OTHER if negative else _bits(token[2:])
    if len(token) <= _MOST_DIGITS and _DECIMAL.fullmatch(token):
        return _number(Kind.DECIMAL, Decimal(token), negative)
    if len(token) <= _MOST_DIGITS and _FLOAT.fullmatch(token):
        return _number(Kind.FLOAT, float(token), negative)
    return _OTHER


def _hexadecimal(digits: str, kind: Kind) -> Literal:
    if len(digits) % 2 and kind is Kind.NUMBER_OR_BYTES:
        digits = "0" + digits
    try:
        return Literal(kind, bytes.fromhex(digits))
    except ValueError:
        return _OTHER


def _bits(digits: str) -> Literal:
    if not digits or digits.strip("01"):
        return _OTHER
    return Literal(Kind.NUMBER_OR_BYTES, int(digits, 2).to_bytes((len(digits) + 7) // 8, "big"))
