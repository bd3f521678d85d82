"""The tokens of a statement with their places. Cold: it runs once per statement shape."""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

from dbmesh.sql.fingerprint import BACKTICK, DOUBLE, LITERAL_OR_OPAQUE, NAME, SINGLE


class TokenKind(Enum):
    WORD = "word"
    NAME = "name"  # in back-ticks
    STRING = "string"
    NUMBER = "number"
    HEX = "hex"
    VARIABLE = "variable"  # @name; '@@name' is two signs and a word
    SIGN = "sign"
    COMMENT = "comment"


class Token(NamedTuple):
    """``start`` and ``end`` count characters; ``upper`` is set for words only."""

    kind: TokenKind
    start: int
    end: int
    text: str
    upper: str

    @property
    def name(self) -> str:
        """The identifier that a WORD or NAME spells."""
        return self.text[1:-1].replace("``", "`") if self.kind is TokenKind.NAME else self.text

    @property
    def is_name(self) -> bool:
        return self.kind in (TokenKind.WORD, TokenKind.NAME)


_TOKEN = re.compile(
    rf"""(?P<space>[\x00-\x20]+)
  | (?P<variable>@(?:{NAME}|\.)++ | @'(?:{SINGLE}) | @"(?:{DOUBLE}) | @`(?:{BACKTICK}))
  | (?P<literal>{LITERAL_OR_OPAQUE})
  | (?P<word>{NAME}+)
  | (?P<sign><=>|->>|->|:=|<=|>=|<>|!=|<<|>>|&&|\|\||@@|.)""",
    re.VERBOSE | re.DOTALL,
)
_LITERAL_KIND = {
    "'": TokenKind.STRING, '"': TokenKind.STRING, "n": TokenKind.STRING, "N": TokenKind.STRING,
    "x": TokenKind.HEX, "X": TokenKind.HEX, "b": TokenKind.HEX, "B": TokenKind.HEX,
    "`": TokenKind.NAME, "/": TokenKind.COMMENT, "#": TokenKind.COMMENT, "-": TokenKind.COMMENT,
}  # fmt: skip


def tokens(text: str) -> list[Token]:
    """Every token of ``text``, comments included; only white space is left out."""
    return [_token(match) for match in _TOKEN.finditer(text) if match["space"] is None]


def _token(match: re.Match[str]) -> Token:
    text = match.group()
    start, end = match.span()
    if match["word"] is not None:
        return Token(TokenKind.WORD, start, end, text, text.upper())
    if match["variable"] is not None:
        return Token(TokenKind.VARIABLE, start, end, text, "")
    if match["sign"] is not None:
        return Token(TokenKind.SIGN, start, end, text, "")
    kind = _LITERAL_KIND.get(text[0])
    if kind is None:
        kind = TokenKind.HEX if text[1:2] in ("x", "b") and text[0] == "0" else TokenKind.NUMBER
    return Token(kind, start, end, text, "")
