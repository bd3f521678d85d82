"""The statements of one text, as CLIENT_MULTI_STATEMENTS lets a client send them.

A stored program's body has semicolons of its own (MySQL 8.4 manual, 27.1): ``CREATE PROCEDURE … BEGIN …; END`` is one.
"""

from __future__ import annotations

from dbmesh.errors import ParseError
from dbmesh.sql.classify import StatementKind, classify
from dbmesh.sql.fingerprint import fingerprint
from dbmesh.sql.tokens import Token, TokenKind, tokens

_END = "; \t\r\n\f\v"
_PROGRAMS = frozenset({"PROCEDURE", "FUNCTION", "TRIGGER", "EVENT"})
_OPENS = frozenset({"IF", "LOOP", "REPEAT", "WHILE"})  # where a statement may begin; elsewhere they are functions
_BEFORE_STATEMENT = frozenset({"BEGIN", "THEN", "ELSE", "DO", "LOOP", "REPEAT"})
_BEFORE_BODY = frozenset({"ROW", "DETERMINISTIC", "SQL", "DATA", "INVOKER", "DEFINER"})
_AFTER_END = frozenset({"IF", "LOOP", "REPEAT", "WHILE", "CASE"})


def statements_of(text: str, several: bool) -> list[str]:
    """The statements of a text; ``several``: whether there may be more than one. Raises ParseError."""
    # what stands in strings and numbers of a long INSERT is left out before its tokens are looked at
    if ";" not in text or ";" not in fingerprint(text).key.rstrip(_END):
        return [text]
    parts = split(text)
    if len(parts) > 1 and not several:
        rest = ";".join(parts[1:])
        begins = rest.lstrip()
        raise ParseError.near(begins, (parts[0] + rest.removesuffix(begins)).count("\n") + 1)
    return parts


def split(text: str) -> list[str]:
    """The statements in their order, without the semicolons between them; at least one, which may be empty.

    As a server does, semicolons and white space at the end count for nothing.
    """
    text = text.rstrip(_END)
    if ";" not in text:
        return [text]
    found = tokens(text)
    parts: list[str] = []
    first = start = 0
    for at, token in enumerate(found):
        if token.text == ";" and token.kind is TokenKind.SIGN and at >= first:
            end = _end(text, found, first, at)
            stop = found[end].start if end < len(found) else len(text)
            parts.append(text[start:stop])
            first = end + 1
            start = stop + 1
            if end >= len(found):
                return parts
    return [*parts, text[start:]]


def _end(text: str, found: list[Token], first: int, semicolon: int) -> int:
    """The index of the semicolon that ends the statement whose first one is ``semicolon``."""
    if not _is_program(text, found, first, semicolon):
        return semicolon
    depth = 0
    places = [at for at in range(first, len(found)) if found[at].kind is not TokenKind.COMMENT]
    code = [found[at] for at in places]
    at = 0
    while at < len(code):
        token = code[at]
        if token.text == ";" and token.kind is TokenKind.SIGN and depth == 0:
            return places[at]
        if token.upper == "END":
            depth = max(0, depth - 1)
            if at + 1 < len(code) and code[at + 1].upper in _AFTER_END:
                at += 1
        elif token.upper in ("BEGIN", "CASE") or (token.upper in _OPENS and _begins(code, at, depth)):
            depth += 1
        at += 1
    return len(found)


def _begins(code: list[Token], at: int, depth: int) -> bool:
    """Whether the word at ``at`` begins a statement of the body."""
    before = code[at - 1] if at else None
    if before is None or before.text in (";", ":") or before.upper in _BEFORE_STATEMENT:
        return True
    return depth == 0 and (before.text == ")" or before.upper in _BEFORE_BODY or before.kind is TokenKind.STRING)


def _is_program(text: str, found: list[Token], first: int, semicolon: int) -> bool:
    begin = found[first].start if first < len(found) else len(text)
    kind = classify(text[begin : found[semicolon].end])
    if kind is StatementKind.COMPOUND:
        return True
    words = {token.upper for token in found[first : min(semicolon, first + 24)] if token.kind is TokenKind.WORD}
    return kind is StatementKind.DDL_OTHER and bool(words & _PROGRAMS) and "DROP" not in words
