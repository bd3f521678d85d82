"""The shape of a statement: its text with the literals taken out. Hot: it runs once per query.

A lexer for MySQL's default ``sql_mode`` (texts of ANSI_QUOTES and NO_BACKSLASH_ESCAPES are respelled before), folded
into one regular expression. What it is not sure of it leaves in the text: that costs a cache entry, never an answer.
See "Lexical structure" in the MySQL 8.4 Reference Manual, chapter 11.
"""

from __future__ import annotations

import re
from typing import NamedTuple

NAME = r"[0-9A-Za-z_$\x80-\U0010ffff]"

# What follows an opening character. Unterminated ones run to the end of the text: linear time, and the parser
# refuses them.
SINGLE = r"(?:[^'\\]++|\\.|'')*+(?:'|\\?\Z)"
DOUBLE = r'(?:[^"\\]++|\\.|"")*+(?:"|\\?\Z)'
BACKTICK = r"[^`]*+(?:``[^`]*+)*+(?:`|\Z)"
EXPONENT = r"(?:[eE][+-]?[0-9]++)?+"

# One set of first characters, then look-behinds for which of them it was: `re` skips quickly to a plain set.
LITERAL_OR_OPAQUE = rf"""
  [0-9.'"`@/\#\-xXbBnN](?:
    (?<=[0-9])(?<!{NAME}.)(?<![@.`].)
      (?:(?<=0)x[0-9A-Fa-f]++ | (?<=0)b[01]++ | [0-9]*+(?:\.[0-9]*+)?+{EXPONENT})(?!{NAME})
  | (?<=\.)(?<!{NAME}\.)(?<![@.`].)[0-9]++{EXPONENT}(?!{NAME})
  | (?<=')(?:{SINGLE})
  | (?<=")(?:{DOUBLE})
  | (?<=[xXbBnN])(?<!{NAME}.)(?<![@.].)'(?:{SINGLE})
  | (?<=`)(?:{BACKTICK})
  | (?<=/)\*.*?(?:\*/|\Z)
  | (?<=\#)[^\n]*+
  | (?<=-)-(?=[\x00-\x20]|\Z)[^\n]*+
  | (?<=@)(?:'(?:{SINGLE}) | "(?:{DOUBLE}) | `(?:{BACKTICK}))
  )"""

_PATTERN = re.compile(f"({LITERAL_OR_OPAQUE})", re.DOTALL | re.VERBOSE)
_split = _PATTERN.split

_PLACEHOLDER = {
    "'": "?s", '"': "?s", "n": "?s", "N": "?s",
    "x": "?h", "X": "?h", "b": "?h", "B": "?h",
    "`": "", "@": "", "/": "", "#": "", "-": "",
}  # fmt: skip


class Fingerprint(NamedTuple):
    """``key``: the text with ?s ?n ?d ?h where strings, integers, other numbers and hex or bit values stood.

    ``literals``: the source text of each, in order; a sign is not part of its number.
    """

    key: str
    literals: tuple[str, ...]


def fingerprint(text: str) -> Fingerprint:
    """Part the literals of ``text`` from its shape."""
    return Fingerprint(*key_and_literals(text))


def key_and_literals(text: str) -> tuple[str, tuple[str, ...]]:
    """The fields of a `Fingerprint` without the object, for whom that is too much."""
    parts = _split(text)
    literals = []
    for at in range(1, len(parts), 2):
        token = parts[at]
        placeholder = _PLACEHOLDER.get(token[0])
        if placeholder is None:
            placeholder = "?n" if token.isdigit() else "?h" if token[1] in "xb" else "?d"
        elif not placeholder:
            continue
        literals.append(token)
        parts[at] = placeholder
    return "".join(parts), tuple(literals)


def literal_spans(text: str) -> tuple[tuple[int, int], ...]:
    """Where ``fingerprint`` found its literals: (start, end) in characters, in the same order."""
    found = _PATTERN.finditer(text)
    return tuple(match.span() for match in found if _PLACEHOLDER.get(match[0][0]) != "")
