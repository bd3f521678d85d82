"""Where the parts of an INSERT or REPLACE stand in its text, read from the tokens.

sqlglot refuses or rebuilds several of its forms (REPLACE … SET, LOW_PRIORITY), so the tree is not asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dbmesh.errors import NotSupported
from dbmesh.schema import Table
from dbmesh.sql.layout import Span, closing, comma_parts
from dbmesh.sql.statement import Unparsed
from dbmesh.sql.tokens import Token, TokenKind, tokens

_MODIFIERS = frozenset({"LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE"})
_QUERY = frozenset({"SELECT", "WITH", "TABLE"})
_TAIL = frozenset({"ON", "AS", "RETURNING"})


class RowText(NamedTuple):
    """One row: its tokens, parentheses included (in the SET form: the assignments), and those of each value."""

    span: Span
    values: tuple[Span, ...]


class Assignment(NamedTuple):
    """``column = value`` of ON DUPLICATE KEY UPDATE or SET."""

    column: str
    value: Span


@dataclass(frozen=True, slots=True)
class InsertText:
    """``name``: the tokens of the table's name. ``columns``: None when the text has no list.

    ``column_list``: its tokens with parentheses. ``rows``: empty for INSERT … SELECT, whose query begins at ``query``
    and ends before ``query_end``. ``tail``: where what follows the rows begins. ``alias``: of the new row, '' without.
    """

    text: str
    tokens: Sequence[Token]
    replace: bool
    ignore: bool
    name: Span
    columns: tuple[str, ...] | None
    column_list: Span | None
    set_form: bool
    rows: tuple[RowText, ...]
    query: int | None
    query_end: int
    tail: int
    alias: str
    on_duplicate: tuple[Assignment, ...]
    returning: bool

    @property
    def database(self) -> str:
        """'' when the name has none."""
        return self.tokens[self.name.first].name if self.name.last - self.name.first == 3 else ""

    @property
    def table(self) -> str:
        return self.tokens[self.name.last - 1].name


def statement_tokens(text: str) -> tuple[Token, ...]:
    """The tokens of one statement, without comments and the closing ';'. Raises NotSupported for several statements."""
    found = [token for token in tokens(text) if token.kind is not TokenKind.COMMENT]
    while found and found[-1].text == ";":
        found.pop()
    if any(token.text == ";" for token in found):
        raise NotSupported("several statements in one query", "send them one by one")
    if any(token.text[0] in "'\"`" and (len(token.text) < 2 or token.text[-1] != token.text[0]) for token in found):
        raise Unparsed("a quote is not closed")
    return tuple(found)


def read_insert(text: str) -> InsertText:
    """The parts of the statement. Raises Unparsed for what does not read like an INSERT or REPLACE."""
    return _Reader(text, statement_tokens(text)).read()


def given_columns(insert: InsertText, table: Table | None) -> tuple[str, ...] | None:
    """The columns that the rows give values for; None when the text does not say and no server could be asked."""
    if insert.columns is not None:
        return insert.columns
    if insert.rows and not any(row.values for row in insert.rows):
        return ()
    return None if table is None else tuple(column.name for column in table.columns if not column.invisible)


class _Reader:
    def __init__(self, text: str, found: Sequence[Token]) -> None:
        self.text = text
        self.tokens = found
        self.at = 0

    def read(self) -> InsertText:
        replace = self.tokens[0].upper == "REPLACE"
        self.at = 1
        ignore = False
        while self._word() in _MODIFIERS:
            ignore = ignore or self._word() == "IGNORE"
            self.at += 1
        if self._word() == "INTO":
            self.at += 1
        name = self._name()
        if self._word() == "PARTITION":
            self.at = self._close(self.at + 1) + 1
        columns, column_list = self._columns()
        rows, set_form, query = self._rows()
        if query is not None:
            self.at = self._end_of_query()
        tail = self.at
        alias, on_duplicate, returning = self._tail()
        return InsertText(
            self.text, self.tokens, replace, ignore, name, columns or self._set_columns(rows, set_form), column_list,
            set_form, rows, query, tail, tail, alias, on_duplicate, returning,
        )  # fmt: skip

    def _word(self, ahead: int = 0) -> str:
        at = self.at + ahead
        return self.tokens[at].upper if at < len(self.tokens) else ""

    def _text(self, at: int) -> str:
        return self.tokens[at].text if at < len(self.tokens) else ""

    def _name(self) -> Span:
        first = self.at
        last = first + 3 if self._text(first + 1) == "." else first + 1
        if last > len(self.tokens) or not all(self.tokens[at].is_name for at in (first, last - 1)):
            raise Unparsed("no table is named")
        self.at = last
        return Span(first, last)

    def _close(self, opening: int) -> int:
        end = closing(self.tokens, opening) if self._text(opening) == "(" else None
        if end is None:
            raise Unparsed("a parenthesis is not closed")
        return end

    def _columns(self) -> tuple[tuple[str, ...] | None, Span | None]:
        if self._text(self.at) != "(" or self._word(1) in _QUERY or self._text(self.at + 1) == "(":
            return None, None
        end = self._close(self.at)
        span = Span(self.at, end + 1)
        self.at = end + 1
        if span.last - span.first == 2:
            return (), span
        return tuple(self._column(part) for part in comma_parts(self.tokens, Span(span.first + 1, end))), span

    def _column(self, part: Span) -> str:
        """The column's name; a table before it is left out."""
        if part.last == part.first or not self.tokens[part.last - 1].is_name or (part.last - part.first) % 2 == 0:
            raise Unparsed("a column is not named")
        return self.tokens[part.last - 1].name

    def _rows(self) -> tuple[tuple[RowText, ...], bool, int | None]:
        word = self._word()
        if word in ("VALUES", "VALUE") and self._word(1) != "ROW":
            self.at += 1
            return tuple(self._value_lists()), False, None
        if word == "SET":
            self.at += 1
            return (self._assignments(),), True, None
        if word in _QUERY or word == "VALUES" or self._text(self.at) == "(":
            return (), False, self.at
        raise Unparsed("neither VALUES nor SET nor SELECT follows the table")

    def _value_lists(self) -> list[RowText]:
        rows = []
        while True:
            end = self._close(self.at)
            inner = Span(self.at + 1, end)
            values = comma_parts(self.tokens, inner) if inner.last > inner.first else []
            rows.append(RowText(Span(self.at, end + 1), tuple(values)))
            self.at = end + 1
            if self._text(self.at) != ",":
                return rows
            self.at += 1

    def _assignments(self) -> RowText:
        first = self.at
        self.at = self._end_of_clause()
        values = [self._assignment(part).value for part in comma_parts(self.tokens, Span(first, self.at))]
        return RowText(Span(first, self.at), tuple(values))

    def _end_of_clause(self) -> int:
        depth = 0
        for at in range(self.at, len(self.tokens)):
            depth += (self.tokens[at].text == "(") - (self.tokens[at].text == ")")
            if depth == 0 and self.tokens[at].upper in _TAIL and self.tokens[at - 1].text != ".":
                return at
        return len(self.tokens)

    def _assignment(self, part: Span) -> Assignment:
        equals = next((at for at in range(part.first, part.last) if self.tokens[at].text in ("=", ":=")), part.first)
        return Assignment(self._column(Span(part.first, equals)), Span(equals + 1, part.last))

    def _set_columns(self, rows: tuple[RowText, ...], set_form: bool) -> tuple[str, ...] | None:
        if not set_form:
            return None
        return tuple(self._assignment(part).column for part in comma_parts(self.tokens, rows[0].span))

    def _end_of_query(self) -> int:
        depth = 0
        for at in range(self.at, len(self.tokens)):
            depth += (self.tokens[at].text == "(") - (self.tokens[at].text == ")")
            words = [token.upper for token in self.tokens[at : at + 4]]
            if depth == 0 and (words == ["ON", "DUPLICATE", "KEY", "UPDATE"] or words[:1] == ["RETURNING"]):
                return at
        return len(self.tokens)

    def _tail(self) -> tuple[str, tuple[Assignment, ...], bool]:
        alias = ""
        on_duplicate: tuple[Assignment, ...] = ()
        if self._word() == "AS":
            alias = self.tokens[self.at + 1].name if self.at + 1 < len(self.tokens) else ""
            self.at += 2
            if self._text(self.at) == "(":
                self.at = self._close(self.at) + 1
        if (self._word(), self._word(1), self._word(2), self._word(3)) == ("ON", "DUPLICATE", "KEY", "UPDATE"):
            self.at += 4
            first = self.at
            self.at = self._end_of_clause()
            parts = comma_parts(self.tokens, Span(first, self.at))
            on_duplicate = tuple(self._assignment(part) for part in parts)
        returning = self._word() == "RETURNING"
        if self.at < len(self.tokens) and not returning:
            raise Unparsed(f"'{self.tokens[self.at].text}' is not expected there")
        return alias, on_duplicate, returning
