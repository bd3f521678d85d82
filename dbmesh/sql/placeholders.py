"""Statements with ``?``: planned with their parameters' values, run with the ``?`` in their places.

A statement is *spelled* for the planner: each ``?`` becomes a literal of the parameter's class, so that to all of
planning it is a text like any other. The literals that a plan is bound with are `Slot`: their value decides the route,
and what they leave in a text is a mark, out of which `Placeholders.marked` makes ``?`` again, with the order of the
parameters. NULL is no literal: the planner sees the word, and its mark is a comment before it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dbmesh.sql.fingerprint import Fingerprint, fingerprint, literal_spans
from dbmesh.sql.tokens import Token, TokenKind, tokens

# Half of a surrogate pair: no text that was decoded has it, undecodable bytes being U+DC80 to U+DCFF.
_BEGIN, _END = "\ud800", "\ud801"
_MARK = re.compile(rf"{_BEGIN}([0-9]+){_END}|/\*\?([0-9]+)\*/(?=NULL)")

# form → what stands before the literal, and a literal of that class; x: an expression
_FORMS = {
    "i": ("", "1"), "I": ("-", "1"), "d": ("", "1.0"), "D": ("-", "1.0"), "s": ("", "''"), "b": ("", "x''"),
    "t": ("DATE", "''"), "u": ("TIMESTAMP", "''"), "v": ("TIME", "''"), "n": ("", "NULL"), "x": ("", ""),
}  # fmt: skip
_AFTER_KEY = frozenset({",", ";", ")", "ASC", "DESC", "WITH", "HAVING", "ORDER", "LIMIT", "OFFSET", "FETCH", "FOR",
                        "LOCK", "INTO", "WINDOW", "UNION", "EXCEPT", "INTERSECT"})  # fmt: skip
_NOT_IN_KEYS = frozenset({"SELECT", "FROM", "WHERE", "HAVING", "LIMIT", "SET", "VALUES"})
_COUNTING = frozenset({"NTILE", "LAG", "LEAD", "NTH_VALUE"})
_APART = frozenset(" \t\r\n(),=<>")


class Spelled(str):
    """A text with literals in the place of its ``?``. ``spans``: where they stand, with what was added around them."""

    __slots__ = ("spans",)
    spans: tuple[tuple[int, int], ...]


def source_of(text: str, start: int, end: int) -> str:
    """``text[start:end]`` as the client wrote it."""
    if not isinstance(text, Spelled):
        return text[start:end]
    parts: list[str] = []
    at = start
    for first, last in text.spans:
        if first < end and last > start:
            parts += (text[at:first], "?") if first >= at else ("?",)
            at = last
    parts.append(text[at:end])
    return "".join(parts)


def parameters_in(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Where values stand in ``text[start:end]`` in the place of a ``?``."""
    spans = text.spans if isinstance(text, Spelled) else ()
    return [(first, last) for first, last in spans if start <= first and last <= end]


class Slot(str):
    """A literal that is its value to whoever looks, and parameter ``number`` where it is written into a text."""

    __slots__ = ("number",)
    number: int

    def __str__(self) -> str:
        return f"{_BEGIN}{self.number}{_END}"


class Argument(NamedTuple):
    """A parameter's class, see `protocol.parameters.Parameter`, and its literal's source text."""

    form: str
    literal: str


@dataclass(frozen=True, slots=True)
class Variant:
    """A statement's shape for parameters of certain classes. ``literals``: the text's own, and parameters' numbers."""

    key: str
    literals: tuple[str | int, ...]

    def shape(self, literals: Sequence[str]) -> Fingerprint:
        """The shape with one call's values. ``literals``: source text of each parameter's literal."""
        filled: list[str] = []
        for literal in self.literals:
            if isinstance(literal, int):
                slot = Slot(literals[literal])
                slot.number = literal
                filled.append(slot)
            else:
                filled.append(literal)
        return Fingerprint(self.key, tuple(filled))


class Marked(NamedTuple):
    """A text for a server. ``order``: which parameter each ``?`` is. ``lasting``: no value stands in the text."""

    sql: str
    order: tuple[int, ...]
    lasting: bool


class Placeholders:
    """The ``?`` of one text, whose executable comments have been opened.

    ``limits``: those that are row counts. ``keys``: those that are all of a key of ORDER BY or GROUP BY.
    """

    def __init__(self, text: str) -> None:
        found = [token for token in tokens(text) if token.kind is not TokenKind.COMMENT]
        at = [number for number, token in enumerate(found) if token.text == "?"]
        self.text = text
        self.places = tuple(found[number].start for number in at)
        self._padding = tuple(_padding(text, place) for place in self.places)
        self.limits = frozenset(index for index, number in enumerate(at) if _limits(found, number))
        self.keys = frozenset(index for index, number in enumerate(at) if _is_key(found, number))
        self._counts = frozenset(index for index, number in enumerate(at) if _counts(found, number))
        self._marks_nulls = "/*?" not in text
        self._variants: dict[str, Variant] = {}

    def __len__(self) -> int:
        return len(self.places)

    def spelled(self, arguments: Sequence[Argument]) -> Spelled:
        """The text with literals in the parameters' places."""
        parts, spans, _ = self._parts(arguments)
        text = Spelled("".join(parts))
        text.spans = tuple(spans)
        return text

    def sample(self) -> list[Argument]:
        """Values to plan with when none are known: strings, which all take for constants that need no numbers."""
        numbers = self.limits | self._counts
        return [Argument("i", "1") if at in numbers else Argument("s", "'1'") for at in range(len(self.places))]

    def variant(self, forms: str) -> Variant:
        """The shape for parameters of these classes."""
        known = self._variants.get(forms)
        if known is None:
            if len(self._variants) >= _MOST_VARIANTS:
                self._variants.clear()
            known = self._variants[forms] = self._read(forms)
        return known

    def marked(self, sql: str, arguments: Sequence[Argument]) -> Marked:
        """A text that was bound with slots, as a server is to prepare it."""
        parts: list[str] = []
        order: list[int] = []
        lasting = True
        at = 0
        for match in _MARK.finditer(sql):
            index = int(match[1] or match[2])
            form, literal = arguments[index]
            before, after = self._padding[index]
            prefix = _FORMS[form][0]
            text = sql[at : match.start()]
            at = match.end()
            if text.endswith(prefix):
                parts += (text.removesuffix(prefix).removesuffix(before), "?")
                order.append(index)
                if match[2]:
                    at += len("NULL")
                if after and sql.startswith(after, at):
                    at += len(after)
            else:  # the planner has taken the literal from where it stood
                parts += (text, literal)
                lasting = False
        parts.append(sql[at:])
        return Marked("".join(parts), tuple(order), lasting)

    def _read(self, forms: str) -> Variant:
        parts, _, places = self._parts([Argument(form, _FORMS[form][1]) for form in forms])
        starts = {place: index for index, place in enumerate(places)}
        text = "".join(parts)
        shape = fingerprint(text)
        literals = tuple(
            starts.pop(start, literal) for (start, _), literal in zip(literal_spans(text), shape.literals, strict=True)
        )
        assert all(forms[index] == "n" for index in starts.values()), "a value is no literal of its spelled text"
        return Variant(_BEGIN + shape.key, literals)  # no plan of a text: its columns would be called otherwise

    def _parts(self, arguments: Sequence[Argument]) -> tuple[list[str], list[tuple[int, int]], list[int]]:
        """The pieces of the spelled text, the spans of what stands in the place of each ``?``, and of its literal."""
        parts: list[str] = []
        spans: list[tuple[int, int]] = []
        places: list[int] = []
        at = length = 0
        for index, (place, (before, after)) in enumerate(zip(self.places, self._padding, strict=True)):
            form, literal = arguments[index]
            if form == "n" and self._marks_nulls:
                literal = f"/*?{index}*/NULL"
            parts += (self.text[at:place], before, _FORMS[form][0], literal, after)
            start = length + place - at
            places.append(start + len(before) + len(_FORMS[form][0]))
            length = places[-1] + len(literal) + len(after)
            spans.append((start, length))
            at = place + 1
        parts.append(self.text[at:])
        return parts, spans, places


_MOST_VARIANTS = 64


def _padding(text: str, place: int) -> tuple[str, str]:
    """What keeps the literal in the place of a ``?`` apart from its neighbours."""
    before = " " if place and text[place - 1] not in _APART else ""
    after = " " if place + 1 < len(text) and text[place + 1] not in _APART else ""
    return before, after


def _limits(found: Sequence[Token], at: int) -> bool:
    """Whether the token is a row count of LIMIT, OFFSET or FETCH FIRST."""
    before = found[at - 1].upper or found[at - 1].text if at else ""
    if before == "," and at >= 3:
        return found[at - 3].upper == "LIMIT"
    if before in ("FIRST", "NEXT"):
        return found[at - 2].upper == "FETCH"
    return before in ("LIMIT", "OFFSET")


def _is_key(found: Sequence[Token], at: int) -> bool:
    """Whether the token alone is a key of ORDER BY or GROUP BY."""
    after = found[at + 1].upper or found[at + 1].text if at + 1 < len(found) else ";"
    if after not in _AFTER_KEY:
        return False
    depth = 0
    for before in range(at - 1, 0, -1):
        word = found[before].upper or found[before].text
        depth += (word == ")") - (word == "(")
        if depth < 0 or (depth == 0 and word in _NOT_IN_KEYS) or (before == at - 1 and word not in (",", "BY")):
            return False
        if depth == 0 and word == "BY":
            return found[before - 1].upper in ("ORDER", "GROUP")
    return False


def _counts(found: Sequence[Token], at: int) -> bool:
    """Whether only an integer can stand there: in a window's frame, NTILE(n), LAG(x, n) and their kind."""
    after = found[at + 1].upper if at + 1 < len(found) else ""
    if after in ("PRECEDING", "FOLLOWING"):
        return True
    depth = 0
    for before in range(at - 1, 0, -1):
        depth += (found[before].text == ")") - (found[before].text == "(")
        if depth < 0:
            return found[before - 1].upper in _COUNTING
    return False


def written(sql: str, arguments: Sequence[Argument]) -> str:
    """A text that was bound with slots, with the values themselves."""
    return _MARK.sub(lambda match: arguments[int(match[1])].literal if match[1] else "", sql)
