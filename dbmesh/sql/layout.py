"""Where the parts of every SELECT are in the text: its items and clauses, found in the tokens.

The tree says what they mean; this says where they stand. Both must agree on how many items there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from dbmesh.sql.tokens import Token, TokenKind

_MODIFIERS = frozenset(
    {"ALL", "DISTINCT", "DISTINCTROW", "HIGH_PRIORITY", "STRAIGHT_JOIN", "SQL_SMALL_RESULT", "SQL_BIG_RESULT",
     "SQL_BUFFER_RESULT", "SQL_NO_CACHE", "SQL_CACHE", "SQL_CALC_FOUND_ROWS"}
)  # fmt: skip
_CLAUSES = frozenset(
    {"FROM", "WHERE", "GROUP", "HAVING", "WINDOW", "ORDER", "LIMIT", "OFFSET", "FETCH", "FOR", "LOCK", "INTO",
     "PROCEDURE"}
)  # fmt: skip
_SET_OPERATORS = frozenset({"UNION", "EXCEPT", "INTERSECT", "MINUS"})


class Span(NamedTuple):
    """Tokens ``first`` … ``last - 1`` of the statement."""

    first: int
    last: int


@dataclass(slots=True)
class SelectLayout:
    """``clauses``: name → span from the clause's own word on. ``depth``: parentheses around the SELECT."""

    depth: int
    first: int
    last: int = 0
    modifiers: tuple[str, ...] = ()
    items: list[Span] = field(default_factory=list)
    clauses: dict[str, Span] = field(default_factory=dict)

    @property
    def distinct(self) -> bool:
        return "DISTINCT" in self.modifiers or "DISTINCTROW" in self.modifiers


def select_layouts(tokens: Sequence[Token]) -> list[SelectLayout]:
    """The layout of every SELECT, in the order of their first words."""
    depths = _depths(tokens)
    return [
        _layout(tokens, depths, at)
        for at, token in enumerate(tokens)
        if token.upper == "SELECT" and not _qualified(tokens, at)
    ]


def comma_parts(tokens: Sequence[Token], span: Span) -> list[Span]:
    """``a, f(b, c)`` parted at the commas outside parentheses."""
    parts, start, depth = [], span.first, 0
    for at in range(span.first, span.last):
        text = tokens[at].text
        depth += (text == "(") - (text == ")")
        if text == "," and depth == 0:
            parts.append(Span(start, at))
            start = at + 1
    parts.append(Span(start, span.last))
    return parts


def closing(tokens: Sequence[Token], opening: int) -> int | None:
    """The token that closes the parenthesis at ``opening``."""
    depth = 0
    for at in range(opening, len(tokens)):
        depth += (tokens[at].text == "(") - (tokens[at].text == ")")
        if depth == 0:
            return at
    return None


def calls(tokens: Sequence[Token], span: Span) -> Iterator[int]:
    """Places of the words that stand before a parenthesis: function names, mostly."""
    for at in range(span.first, min(span.last, len(tokens) - 1)):
        if tokens[at].kind is TokenKind.WORD and tokens[at + 1].text == "(" and not _qualified(tokens, at):
            yield at


def _qualified(tokens: Sequence[Token], at: int) -> bool:
    return at > 0 and tokens[at - 1].text == "."


def _depths(tokens: Sequence[Token]) -> list[int]:
    depths, depth = [], 0
    for token in tokens:
        if token.text == ")":
            depth -= 1
        depths.append(depth)
        if token.text == "(":
            depth += 1
    return depths


def _layout(tokens: Sequence[Token], depths: Sequence[int], select: int) -> SelectLayout:
    depth = depths[select]
    found = SelectLayout(depth, select)
    at = select + 1
    while at < len(tokens) and tokens[at].upper in _MODIFIERS:
        found.modifiers += (tokens[at].upper,)
        at += 1
    start, name = at, ""
    while at < len(tokens) and depths[at] >= depth:
        if depths[at] == depth and _ends(tokens, at):
            break
        if depths[at] == depth and _begins_clause(tokens, at):
            _close(found, tokens, name, start, at)
            name, start = tokens[at].upper, at
        at += 1
    _close(found, tokens, name, start, at)
    found.last = at
    return found


def _close(found: SelectLayout, tokens: Sequence[Token], name: str, start: int, end: int) -> None:
    if name:
        found.clauses[name] = Span(start, end)
    else:
        found.items = comma_parts(tokens, Span(start, end))


def _ends(tokens: Sequence[Token], at: int) -> bool:
    return tokens[at].upper in _SET_OPERATORS and not _qualified(tokens, at)


def _begins_clause(tokens: Sequence[Token], at: int) -> bool:
    word = tokens[at].upper
    if word not in _CLAUSES or _qualified(tokens, at):
        return False
    after = tokens[at + 1].upper if at + 1 < len(tokens) else ""
    before = tokens[at - 1].upper
    if word in ("GROUP", "ORDER"):
        return after == "BY" and before != "FOR"
    if word == "FOR":
        return after in ("UPDATE", "SHARE")
    if word in ("WINDOW", "OFFSET", "FETCH"):
        return word == "WINDOW" and tokens[min(at + 2, len(tokens) - 1)].upper == "AS"
    return True
