"""NOW() and its kind on several servers: one instant for the statement, as one server would take it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dbmesh.errors import NotSupported
from dbmesh.rewrite import Edit, Piece, SessionValue
from dbmesh.sql.functions import CLOCK, CLOCK_WITHOUT_PARENTHESES
from dbmesh.sql.layout import Span, closing
from dbmesh.sql.tokens import Token, TokenKind

_STAMP = SessionValue("TIMESTAMP")
_UTC_START = "TIMESTAMP'1970-01-01 00:00:00' + INTERVAL "


class ClockCall(NamedTuple):
    """``span``: the tokens of the call; ``edit``: the instant in their place."""

    span: Span
    edit: Edit


def clock_calls(tokens: Sequence[Token]) -> list[ClockCall]:
    """Every call of the clock, replaced by the statement's instant: same value, type and number of digits."""
    found = []
    for at, token in enumerate(tokens):
        if token.upper not in CLOCK or (at > 0 and tokens[at - 1].text == "."):
            continue
        span = _span(tokens, at)
        if span is not None:
            pieces = _instant(token.upper, _digits(tokens, span))
            found.append(ClockCall(span, Edit(token.start, tokens[span.last - 1].end, pieces)))
    return found


def _span(tokens: Sequence[Token], at: int) -> Span | None:
    """The call at ``at``; None when the word is no call, or UNIX_TIMESTAMP() of something."""
    if at + 1 < len(tokens) and tokens[at + 1].text == "(":
        end = closing(tokens, at + 1)
        if end is None or (tokens[at].upper == "UNIX_TIMESTAMP" and end > at + 2):
            return None
        return Span(at, end + 1)
    return Span(at, at + 1) if tokens[at].upper in CLOCK_WITHOUT_PARENTHESES else None


def _digits(tokens: Sequence[Token], span: Span) -> int:
    inner = tokens[span.first + 2 : span.last - 1]
    if not inner:
        return 0
    if len(inner) == 1 and inner[0].kind is TokenKind.NUMBER and inner[0].text in "0123456":
        return int(inner[0].text)
    raise NotSupported(f"{tokens[span.first].upper}() with an expression, on several data nodes")


def _instant(name: str, digits: int) -> tuple[Piece, ...]:
    seconds: tuple[Piece, ...] = ("TRUNCATE(", _STAMP, f", {digits})") if digits else ("FLOOR(", _STAMP, ")")
    if name == "UNIX_TIMESTAMP":
        return seconds
    if name.startswith("UTC"):
        if digits:
            raise NotSupported(f"{name}({digits}) on several data nodes", f"use {name}()")
        local: tuple[Piece, ...] = (_UTC_START, *seconds, " SECOND")
    else:
        local = ("FROM_UNIXTIME(", *seconds, ")")
    if name in ("CURDATE", "CURRENT_DATE", "UTC_DATE"):
        return ("DATE(", *local, ")")
    if name in ("CURTIME", "CURRENT_TIME", "UTC_TIME"):
        return ("TIME(", *local, ")")
    return ("(", *local, ")")


def clock_edits(tokens: Sequence[Token]) -> list[Edit]:
    """The edits alone, for statements without labels to keep."""
    return [call.edit for call in clock_calls(tokens)]
