"""Which conditions of WHERE a data node may apply to the rows of one table before they are gathered.

The proof: a conjunct of a block's WHERE is true for every row of the block's result. When it speaks only of columns of
one reference, a row for which it is not true is in no row of that result, so it need not travel. Where an outer join
may supply the reference with NULLs, they would stand in for the rows that are left out: there only a conjunct counts
that is never true of NULLs. The client's own text applies the conjunct once more, so only rows that could matter must
not be lost: a conjunct with a function, an arithmetic operator or a subquery is left alone, since a row that MySQL
would never have looked at could make it fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dbmesh.schema import Table
from dbmesh.sql.blocks import Blocks, TableReference
from dbmesh.sql.layout import SelectLayout, Span, select_layouts
from dbmesh.sql.tokens import Token, TokenKind

_WORDS = frozenset({"AND", "OR", "NOT", "IN", "IS", "NULL", "LIKE", "BETWEEN", "TRUE", "FALSE"})
_SIGNS = frozenset({"(", ")", ",", "=", "<", ">", "<=", ">=", "<>", "!=", "<=>"})
_LITERALS = frozenset({TokenKind.STRING, TokenKind.NUMBER})
_DATED = frozenset({"DATE", "TIME", "TIMESTAMP"})
_STRICT = frozenset({"=", "<", ">", "<=", ">=", "<>", "!=", "LIKE", "BETWEEN", "IN"})
_MAY_TAKE_NULL = frozenset({"OR", "NOT", "IS", "<=>"})
_LOOSER = frozenset({"OR", "XOR", "||"})  # bind less than AND: the text is no conjunction


def own_conditions(blocks: Blocks, reference: TableReference, tables: Mapping[int, Table]) -> list[Span]:
    """The conjuncts that speak of ``reference`` alone. ``tables``: what every reference is."""
    layout = _layout_of(blocks.statement.tokens, reference)
    if layout is None or "WHERE" not in layout.clauses:
        return []
    where = layout.clauses["WHERE"]
    return conditions_among(blocks, reference, tables, Span(where.first + 1, where.last))


def conditions_among(
    blocks: Blocks, reference: TableReference, tables: Mapping[int, Table], condition: Span
) -> list[Span]:
    """The conjuncts of one condition, that of the reference's own block, that speak of ``reference`` alone."""
    tokens = blocks.statement.tokens
    return [
        span
        for span in _conjuncts(tokens, condition)
        if _speaks_of(blocks, tokens[span.first : span.last], reference, tables)
        and (not reference.null_supplied or _rejects_null(tokens[span.first : span.last]))
    ]


def _rejects_null(tokens: Sequence[Token]) -> bool:
    """Whether it is one comparison, which is never true when a column in it is NULL; in a list one may be."""
    words = [token.upper or token.text for token in tokens]
    operators = [word for word in words if word in _STRICT]
    if len(operators) != 1 or _MAY_TAKE_NULL.intersection(words):
        return False
    if operators != ["IN"]:
        return "(" not in words
    at = words.index("IN")
    listed = [token for token in tokens[at + 1 :] if token.is_name and token.upper not in _WORDS | _DATED]
    return not listed and words.count("(") == 1 and words[at + 1] == "("


def _layout_of(tokens: Sequence[Token], reference: TableReference) -> SelectLayout | None:
    """The SELECT whose FROM has the reference, the innermost one."""
    found = None
    for layout in select_layouts(tokens):
        clause = layout.clauses.get("FROM")
        if clause is None:
            continue
        start, end = tokens[clause.first].start, tokens[clause.last - 1].end
        if start <= reference.span[0] and reference.span[1] <= end and (found is None or layout.depth > found.depth):
            found = layout
    return found


def _conjuncts(tokens: Sequence[Token], span: Span) -> Iterator[Span]:
    """``a AND b AND c`` parted; nothing when a looser operator stands beside them."""
    parts, start, depth, between = [], span.first, 0, 0
    for at in range(span.first, span.last):
        word = tokens[at].upper or tokens[at].text
        depth += (word in ("(", "CASE")) - (word in (")", "END"))
        if depth:
            continue
        if word in _LOOSER:
            return
        between += word == "BETWEEN"
        if word == "AND" and between:
            between -= 1
        elif word in ("AND", "&&"):
            parts.append(Span(start, at))
            start = at + 1
    yield from (part for part in [*parts, Span(start, span.last)] if part.last > part.first)


def _speaks_of(blocks: Blocks, tokens: Sequence[Token], reference: TableReference, tables: Mapping[int, Table]) -> bool:
    at, columns = 0, 0
    while at < len(tokens):
        token, after = tokens[at], tokens[at + 1] if at + 1 < len(tokens) else None
        if token.kind in _LITERALS or token.text in _SIGNS or token.upper in _WORDS:
            at += 1
        elif after is not None and _joined(token, after):
            at += 2
        elif token.is_name and after is not None and after.text == ".":
            column = tokens[at + 2] if at + 2 < len(tokens) else None
            if token.name != reference.alias or column is None or not _has(tables[reference.index], column):
                return False
            at, columns = at + 3, columns + 1
            if at < len(tokens) and tokens[at].text in (".", "("):
                return False
        elif token.is_name and (after is None or after.text != "(") and _alone(blocks, token, reference, tables):
            at, columns = at + 1, columns + 1
        else:
            return False
    return columns > 0


def _joined(token: Token, after: Token) -> bool:
    """``-5`` and ``DATE '2024-01-01'``."""
    if token.text == "-":
        return after.kind is TokenKind.NUMBER
    return token.upper in _DATED and after.kind is TokenKind.STRING


def _alone(blocks: Blocks, token: Token, reference: TableReference, tables: Mapping[int, Table]) -> bool:
    """Whether an unqualified name is a column of the reference and of no other source of its block."""
    sources = blocks.blocks[reference.block].sources.values()
    others = [index for index in sources if index != reference.index]
    return _has(tables[reference.index], token) and all(
        index is not None and not _has(tables[index], token) for index in others
    )


def _has(table: Table, token: Token) -> bool:
    return token.is_name and table.column(token.name) is not None
