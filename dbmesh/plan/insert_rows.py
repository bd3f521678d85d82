"""The rows of an INSERT … VALUES as formats: rows of one shape share one, so many rows are one format and a loop."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dbmesh.plan.insert_text import InsertText
from dbmesh.plan.model import Call
from dbmesh.rewrite import Edit, Literal, SessionValue, TableSlot, quoted, splice
from dbmesh.rewrite.template import Piece
from dbmesh.sql.layout import Span
from dbmesh.sql.tokens import Token, TokenKind

_CONSTANTS = frozenset({TokenKind.STRING, TokenKind.NUMBER, TokenKind.HEX})
_TYPED = frozenset({"DATE", "TIMESTAMP"})
_WORDS = frozenset({"NULL", "DEFAULT", "TRUE", "FALSE"})


class Given(NamedTuple):
    """What a row gives for one column: its ``literal``-th literal, or a ``word``; '' for an expression.

    Both for DATE'…' and TIMESTAMP'…'.
    """

    literal: int | None = None
    negative: bool = False
    word: str = ""

    @property
    def known(self) -> bool:
        return self.literal is not None or bool(self.word)


OMITTED = Given(word="DEFAULT")


class GeneratedKey:
    """The slot of a row's generated key."""


GENERATED = GeneratedKey()

Slot = Piece | GeneratedKey


class Format(NamedTuple):
    """A %-format and what fills it; ``plain``: the first literals of a row in order and nothing else."""

    text: str
    slots: tuple[Slot, ...]
    plain: bool


class Filling(NamedTuple):
    """What one statement on one data node fills formats with."""

    literals: tuple[str, ...]
    table: str
    call: Call

    def fill(self, format_: Format, first: int, key: str) -> str:
        """The text of a row whose literals begin at ``first``; ``key``: its generated key."""
        if format_.plain:
            return format_.text % self.literals[first : first + len(format_.slots)]
        return format_.text % tuple([self._slot(slot, first, key) for slot in format_.slots])

    def _slot(self, slot: Slot, first: int, key: str) -> str:
        match slot:
            case Literal(index):
                return self.literals[first + index]
            case GeneratedKey():
                return key
            case TableSlot():
                return quoted(self.table)
            case SessionValue(name):
                return self.call.session_value(name)
        raise TypeError(f"no slot of a row: {slot!r}")


@dataclass(frozen=True, slots=True)
class RowShape:
    """``keys``: the sharding key's columns; ``numbered``: the generated or AUTO_INCREMENT column, None without one.

    ``replaced``: the format with a generated key in the place of ``numbered``. ``values`` and ``replaced_values``: the
    formats of each value for the saga; () when every value is one literal.
    """

    literals: int
    row: Format
    values: tuple[Format, ...]
    keys: tuple[Given, ...]
    numbered: Given | None
    replaced: Format
    replaced_values: tuple[Format, ...]

    def text(self, filling: Filling, first: int, key: str | None) -> str:
        """The row's text; ``key``: the generated key that it gets."""
        return filling.fill(self.row if key is None else self.replaced, first, key or "")

    def value_texts(self, filling: Filling, first: int, key: str | None) -> tuple[str, ...]:
        """The text of each value."""
        formats = self.values if key is None else self.replaced_values
        if not formats:
            return filling.literals[first : first + self.literals]
        return tuple([filling.fill(value, first, key or "") for value in formats])


class Row(NamedTuple):
    """A row's shape and the index of its first literal."""

    shape: RowShape
    first: int


class Extra(NamedTuple):
    """A column that the mesh adds to the statement, and what every row gets there."""

    column: str
    pieces: tuple[Slot, ...]


class RowReader:
    """Reads the rows of one statement. ``keys`` and ``numbered``: indexes of columns, -1 for one that is not given."""

    def __init__(
        self,
        insert: InsertText,
        literals: Sequence[tuple[int, int]],
        edits: Sequence[Edit],
        extras: Sequence[Extra],
        keys: Sequence[int],
        numbered: int | None,
    ) -> None:
        self._insert = insert
        self._literals = literals
        self._starts = [start for start, _ in literals]
        self._edits = edits
        self._extras = extras
        self._keys = keys
        self._numbered = numbered
        self._shapes: dict[RowShape, RowShape] = {}

    def rows(self) -> tuple[Row, ...]:
        return tuple([self._row(span, values) for span, values in self._insert.rows])

    def _row(self, span: Span, values: Sequence[Span]) -> Row:
        tokens = self._insert.tokens
        start, end = tokens[span.first].start, tokens[span.last - 1].end
        first, last = bisect_left(self._starts, start), bisect_left(self._starts, end)
        literals = self._literals[first:last]
        edits = [edit for edit in self._edits if start <= edit.start and edit.end <= end]
        at = {place: index for index, place in enumerate(literals)}
        given = [given_by(tokens, value, at) for value in values]
        numbered = None if self._numbered is None else _at(given, self._numbered)
        values_at = [
            (tokens[value.first].start, tokens[value.last - 1].end) for value in values if value.last > value.first
        ]
        shape = self._shape(
            start, end, values_at, literals, edits, tuple(_at(given, key) for key in self._keys), numbered
        )
        return Row(self._shapes.setdefault(shape, shape), first)

    def _shape(
        self,
        start: int,
        end: int,
        values: Sequence[tuple[int, int]],
        literals: Sequence[tuple[int, int]],
        edits: Sequence[Edit],
        keys: tuple[Given, ...],
        numbered: Given | None,
    ) -> RowShape:
        formats = [self._format(s, e, literals, edits) for s, e in values] + [
            _format_of(x.pieces) for x in self._extras
        ]
        row = self._with_extras(self._format(start, end, literals, edits), bool(values))
        replaced, replaced_values = row, tuple(formats)
        if numbered is not None and self._numbered is not None and self._numbered >= 0 and numbered.known:
            place = values[self._numbered]
            mark = Edit(*place, (_MARK,))
            others = [edit for edit in edits if not (place[0] <= edit.start and edit.end <= place[1])]
            replaced = self._with_extras(self._format(start, end, literals, [*others, mark]), True)
            replaced_values = tuple(
                _format_of((GENERATED,)) if at == self._numbered else value for at, value in enumerate(formats)
            )
        single = all(value == _one_literal(at) for at, value in enumerate(formats)) and len(formats) == len(literals)
        return RowShape(len(literals), row, () if single else tuple(formats), keys, numbered, replaced, replaced_values)

    def _format(self, start: int, end: int, literals: Sequence[tuple[int, int]], edits: Sequence[Edit]) -> Format:
        return _format_of(splice(self._insert.text, literals, edits, start, end).pieces)

    def _with_extras(self, row: Format, filled: bool) -> Format:
        if not self._extras:
            return row
        text = row.text if self._insert.set_form else row.text[:-1]
        slots = list(row.slots)
        for extra in self._extras:
            more = _format_of(extra.pieces)
            name = f"{quoted(extra.column)} = ".replace("%", "%%") if self._insert.set_form else ""
            text += (", " if filled else "") + name + more.text
            slots += more.slots
            filled = True
        return Format(text + ("" if self._insert.set_form else ")"), tuple(slots), False)


_MARK = SessionValue("the generated key")


def _format_of(pieces: Sequence[Slot]) -> Format:
    parts, slots = [], []
    for piece in pieces:
        if isinstance(piece, str):
            parts.append(piece.replace("%", "%%"))
        else:
            parts.append("%s")
            slots.append(GENERATED if piece is _MARK else piece)
    plain = all(slot == Literal(at) for at, slot in enumerate(slots))
    return Format("".join(parts), tuple(slots), plain)


def _one_literal(at: int) -> Format:
    return Format("%s", (Literal(at),), at == 0)


def _at(given: Sequence[Given], index: int) -> Given:
    return OMITTED if index < 0 else given[index]


def given_by(tokens: Sequence[Token], value: Span, literals: Mapping[tuple[int, int], int]) -> Given:
    """The constant that a value's tokens are."""
    first, last = value
    while last - first > 2 and tokens[first].text == "(" and tokens[last - 1].text == ")":
        first, last = first + 1, last - 1
    if last <= first:
        return Given()
    if last - first == 2 and tokens[first].upper in _TYPED and tokens[last - 1].kind is TokenKind.STRING:
        return Given(literals.get((tokens[last - 1].start, tokens[last - 1].end)), word=tokens[first].upper)
    sign = tokens[first].text if last - first == 2 and tokens[first].text in ("-", "+") else ""
    token = tokens[last - 1]
    if last - first != (2 if sign else 1):
        return Given()
    if token.kind in _CONSTANTS and not (sign and token.kind is not TokenKind.NUMBER):
        literal = literals.get((token.start, token.end))
        return Given() if literal is None else Given(literal, sign == "-")
    return Given(word=token.upper) if token.upper in _WORDS and not sign else Given()
