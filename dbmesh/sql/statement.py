"""One statement, parsed: sqlglot's tree, our tokens, and the places of both in the client's text.

The only caller of sqlglot's parser. The parser never sees what the two might read differently: comments are blanked and
strings with quotes, backslashes or line ends in them are filled up, each to the same length, so that places stay true.
"""

from __future__ import annotations

import logging
import re
from bisect import bisect_left
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from dbmesh.errors import NotSupported
from dbmesh.sql.classify import StatementKind, classify
from dbmesh.sql.fingerprint import literal_spans
from dbmesh.sql.tokens import Token, TokenKind, tokens

logging.getLogger("sqlglot").setLevel(logging.CRITICAL)  # its warnings are about dialects it would write

_PLAIN_STRING = re.compile(r"[^\\'\"\n]*")
_PARSED = frozenset(
    {StatementKind.SELECT, StatementKind.WITH, StatementKind.VALUES, StatementKind.TABLE, StatementKind.INSERT,
     StatementKind.REPLACE, StatementKind.UPDATE, StatementKind.DELETE}
)  # fmt: skip


class Unparsed(Exception):
    """Our parser cannot read the text: a backend must say whether it is SQL at all."""


@dataclass(frozen=True, slots=True)
class Statement:
    """``tokens``: without comments and without the closing ';'. ``literals``: the spans of the fingerprint's literals.

    ``traps``: what makes conditions and expressions unsafe to interpret, though they may still be relayed:
    'xor', '||', '!' (precedence that the parser and the servers see differently), 'adjacent strings', ':='.
    """

    text: str
    kind: StatementKind
    tokens: tuple[Token, ...]
    tree: exp.Expr
    literals: tuple[tuple[int, int], ...]
    traps: frozenset[str]

    def literal_of(self, node: exp.Expr) -> int | None:
        """The index of the literal that ``node`` is, None when it is anything else."""
        span = span_of(node)
        if span is None:
            return None
        at = bisect_left(self.literals, span)
        return at if at < len(self.literals) and self.literals[at] == span else None


def span_of(node: exp.Expr) -> tuple[int, int] | None:
    """(start, end) of an identifier's or literal's source text, quotes included; None when the parser kept no place."""
    start, end = node.meta.get("start"), node.meta.get("end")
    return None if start is None or end is None else (start, end + 1)


def parse(text: str) -> Statement:
    """``text`` as one statement. Executable comments have been opened before.

    Raises Unparsed when the parser cannot read it, or when it is no single statement.
    """
    kind = classify(text)
    found = tuple(token for token in tokens(text) if token.kind is not TokenKind.COMMENT)
    found = _without_end(found)
    _check_quotes(found)
    traps = _traps(found)
    if kind not in _PARSED:
        raise Unparsed(kind.value)
    return Statement(text, kind, found, _tree(_neutral(text, found)), literal_spans(text), traps)


def _without_end(found: tuple[Token, ...]) -> tuple[Token, ...]:
    for at, token in enumerate(found):
        if token.text == ";" and token.kind is TokenKind.SIGN:
            if any(later.text != ";" for later in found[at + 1 :]):
                raise Unparsed("several statements in one query")
            return found[:at]
    return found


def _check_quotes(found: tuple[Token, ...]) -> None:
    for token in found:
        if token.text[0] in "'\"`" and (len(token.text) < 2 or token.text[-1] != token.text[0]):
            raise Unparsed("a quote without its end")


def _traps(found: tuple[Token, ...]) -> frozenset[str]:
    traps = set()
    for before, token in zip((None, *found), found, strict=False):
        if token.upper == "XOR":
            traps.add("xor")
        elif token.kind is TokenKind.SIGN and token.text in ("||", "!", ":="):
            traps.add(token.text)
        elif token.kind is TokenKind.STRING and before is not None and before.kind is TokenKind.STRING:
            traps.add("adjacent strings")
        elif token.text == "-" and before is not None and before.text == "-" and before.end == token.start:
            raise NotSupported("'--' that is not a comment", "write '- -'")
    return frozenset(traps)


def _neutral(text: str, found: tuple[Token, ...]) -> str:
    """The text as the parser gets it: as long as the client's, comments blank, strings without traps."""
    parts: list[str] = []
    at = 0
    for token in found:
        parts.append(" " * (token.start - at))
        parts.append(_neutral_string(token.text) if token.kind is TokenKind.STRING else token.text)
        at = token.end
    return "".join(parts)


def _neutral_string(text: str) -> str:
    opening = 1 if text[0] in "'\"" else 2
    content = text[opening:-1]
    if not _PLAIN_STRING.fullmatch(content):
        content = "x" * len(content)
    return f"{text[: opening - 1]}'{content}'"


def _tree(text: str) -> exp.Expr:
    try:
        tree = sqlglot.parse_one(text, read="mysql")
    except (SqlglotError, RecursionError, ValueError) as problem:
        raise Unparsed(str(problem)) from problem
    if isinstance(tree, exp.Command) or tree.find(exp.Command):
        raise Unparsed("the parser knows the statement by its first word only")
    return tree
