r"""sql_mode NO_BACKSLASH_ESCAPES: all of the mesh reads and writes strings by the default mode, where ``\`` escapes.

A client's text becomes one of the default mode before all else, and is spelled back for servers in the other mode.
MySQL 8.4 manual, 7.1.11 "Server SQL Modes" and 11.1.1 "String Literals".
"""

from __future__ import annotations

import re

from dbmesh.sql.fingerprint import BACKTICK, DOUBLE, SINGLE

_OPAQUE = rf"`(?:{BACKTICK}) | /\*(?!M?!).*?(?:\*/|\Z) | \#[^\n]*+ | --(?=[\x00-\x20]|\Z)[^\n]*+"
_WITHOUT = re.compile(
    rf"""'[^']*+(?:''[^']*+)*+(?:'|\Z) | "[^"]*+(?:""[^"]*+)*+(?:"|\Z) | {_OPAQUE}""", re.VERBOSE | re.DOTALL
)
_WITH = re.compile(rf"""'(?:{SINGLE}) | "(?:{DOUBLE}) | {_OPAQUE}""", re.VERBOSE | re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_MEANS = {"0": "\0", "n": "\n", "t": "\t", "r": "\r", "b": "\b", "Z": "\x1a", "%": "\\%", "_": "\\_"}


def with_escapes(text: str) -> str:
    """A text of NO_BACKSLASH_ESCAPES as one of the default mode."""
    if "\\" not in text:
        return text
    return _WITHOUT.sub(lambda match: match[0].replace("\\", "\\\\") if match[0][0] in "'\"" else match[0], text)


def without_escapes(text: str) -> str:
    """A text of the default mode as one of NO_BACKSLASH_ESCAPES."""
    if "\\" not in text:
        return text
    return _WITH.sub(lambda match: _plain(match[0]) if match[0][0] in "'\"" else match[0], text)


def _plain(string: str) -> str:
    quote = string[0]

    def meant(match: re.Match[str]) -> str:
        return quote * 2 if match[1] == quote else _MEANS.get(match[1], match[1])

    return _ESCAPE.sub(meant, string)
