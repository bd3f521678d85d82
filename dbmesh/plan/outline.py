"""A plain SELECT over several data nodes, taken apart: items and clauses with their places and meanings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sqlglot import exp

from dbmesh.errors import NotSupported
from dbmesh.plan.clock import ClockCall, clock_calls
from dbmesh.plan.session_functions import label_edits, label_of, session_calls, spans_of, value_edits
from dbmesh.rewrite import Edit, Piece, Template, splice
from dbmesh.sql.blocks import Block, Blocks, Place
from dbmesh.sql.functions import BUILT_IN, VOLATILE
from dbmesh.sql.layout import SelectLayout, Span, closing, comma_parts, select_layouts
from dbmesh.sql.placeholders import parameters_in
from dbmesh.sql.statement import Statement, span_of
from dbmesh.sql.tokens import Token, TokenKind


@dataclass(frozen=True, slots=True)
class Item:
    """One select item. ``span``: its expression without the alias. ``star``: it is ``*`` or ``t.*``.

    ``name``: what ORDER BY, GROUP BY and HAVING may call it: its alias or its column; '' when it has none.
    ``column``: whether it is a column without an alias or under its own name.
    """

    index: int
    span: Span
    node: exp.Expr
    name: str
    label: str
    star: bool
    column: bool


@dataclass(frozen=True, slots=True)
class Key:
    """One element of ORDER BY or GROUP BY. ``item``: the select item that it names, or None for an expression."""

    span: Span
    item: Item | None
    descending: bool


class Outline:
    """The top SELECT of a statement. Raises NotSupported for what is no plain SELECT."""

    def __init__(self, blocks: Blocks, table_edits: Sequence[Edit]) -> None:
        self.statement: Statement = blocks.statement
        self.blocks = blocks
        self.tokens: tuple[Token, ...] = self.statement.tokens
        self.select, self.block, self.layout = _top(blocks)
        check_scattered(self.tokens)
        clocks: list[ClockCall] = clock_calls(self.tokens)
        sessions = session_calls(self.tokens)
        self.edits = [*table_edits, *value_edits(self.tokens, sessions), *(clock.edit for clock in clocks)]
        changed = [*sessions, *(clock.span for clock in clocks), *spans_of(self.tokens, table_edits)]
        self.labels = label_edits(self.statement.text, self.tokens, changed)
        self.items = _items(self)
        self.has_star = any(item.star for item in self.items)

    def start(self, at: int) -> int:
        return self.tokens[at].start

    def end(self, last: int) -> int:
        """The end of the text before token ``last``."""
        return self.tokens[last - 1].end

    def parameters(self, span: Span) -> list[tuple[int, int]]:
        """Where the values of a prepared statement's ``?`` stand in a part of the text."""
        return parameters_in(self.statement.text, self.start(span.first), self.end(span.last))

    def pieces(self, span: Span, replaced: Iterable[Edit] = ()) -> tuple[Piece, ...]:
        """A part of the text as it goes to a data node; ``replaced`` parts of it become something else."""
        own = list(replaced)
        kept = [e for e in self.edits if not any(o.start <= e.start and e.end <= o.end for o in own)]
        start, end = self.start(span.first), self.end(span.last)
        return splice(self.statement.text, self.statement.literals, [*kept, *own], start, end).pieces

    def node_template(self, edits: Iterable[Edit]) -> Template:
        """The whole statement for a data node."""
        every = [*self.edits, *self.labels]
        own = list(edits)
        kept = [e for e in every if not any(o.start <= e.start and e.end <= o.end and o.start < o.end for o in own)]
        text = self.statement.text
        return splice(text, self.statement.literals, [*kept, *own], end=self.end(len(self.tokens)))

    def words(self, span: Span) -> tuple[str, ...]:
        """The tokens of an expression, for telling whether two are the same: case and own qualifiers left out."""
        words: list[str] = []
        sources = list(self.block.sources)
        at = span.first
        while at < span.last:
            token = self.tokens[at]
            dotted = at + 1 < span.last and self.tokens[at + 1].text == "."
            if dotted and token.is_name and len(sources) == 1 and token.name == sources[0]:
                at += 2
                continue
            words.append(token.name.lower() if token.is_name else token.text)
            at += 1
        return tuple(words)

    def keys(self, clause: str) -> list[Key]:
        """The elements of ORDER BY or GROUP BY."""
        span = self.layout.clauses.get(clause)
        if span is None:
            return []
        found = []
        for part in comma_parts(self.tokens, Span(span.first + 2, span.last)):
            if part.last <= part.first:
                raise NotSupported(f"an empty element in {clause} BY")
            direction = self.tokens[part.last - 1].upper
            bare = Span(part.first, part.last - 1) if direction in ("ASC", "DESC") else part
            found.append(self._key(bare, direction == "DESC", clause))
        return found

    def _key(self, span: Span, descending: bool, clause: str) -> Key:
        first = self.tokens[span.first]
        alone = span.last - span.first == 1
        if alone and first.kind is TokenKind.NUMBER and first.text.isdigit():
            return Key(span, self._ordinal(int(first.text), clause), descending)
        if alone and first.is_name:
            return Key(span, self._named(first.name, clause), descending)
        same = [item for item in self.items if item.column and self.words(item.span) == self.words(span)]
        self._check_aliases(span, clause)
        return Key(span, same[0] if same else None, descending)

    def _ordinal(self, number: int, clause: str) -> Item:
        if self.has_star:
            raise NotSupported(f"{clause} BY the number of a column next to '*'", "name the column")
        if not 1 <= number <= len(self.items):
            raise NotSupported(f"{clause} BY {number}: there are {len(self.items)} columns")
        return self.items[number - 1]

    def _named(self, name: str, clause: str) -> Item | None:
        found = [item for item in self.items if item.name.lower() == name.lower() and not item.star]
        if not found:
            return None
        if clause == "GROUP":  # a column of a table goes before an alias, which only the servers can tell
            own = [item for item in found if item.column]
            return own[0] if own else found[0]
        if len({self.words(item.span) for item in found}) > 1:
            raise NotSupported(f"'{name}' in {clause} BY names two columns of the result", "give them different names")
        return found[0]

    def _check_aliases(self, span: Span, clause: str) -> None:
        """Within an expression a name may be a table's column or an alias: only the same for both is safe."""
        aliases = {item.name.lower() for item in self.items if item.name and not item.column}
        for at in range(span.first, span.last):
            token = self.tokens[at]
            qualified = self.tokens[at - 1].text == "." or (
                at + 1 < span.last and self.tokens[at + 1].text in (".", "(")
            )
            if token.is_name and not qualified and token.name.lower() in aliases:
                raise NotSupported(
                    f"{clause} BY an expression over the alias '{token.name}'", "write the aliased expression out"
                )


def check_scattered(tokens: Sequence[Token]) -> None:
    """Refuse functions that would not give on every data node what one server would give once."""
    if any(before.text == ")" and word.upper == "OVER" for before, word in pairwise(tokens)):
        raise NotSupported("a window function over several data nodes", "restrict the statement to one sharding key")
    for at in range(len(tokens) - 1):
        token = tokens[at]
        if tokens[at + 1].text != "(":
            continue
        name = token.upper
        stored = token.kind is TokenKind.NAME or (at > 0 and tokens[at - 1].text == "." and token.is_name)
        if name in VOLATILE:
            raise NotSupported(f"{name}() on several data nodes: each would give a value of its own")
        if stored or (name and name not in BUILT_IN):
            raise NotSupported(
                f"{token.text}() on several data nodes: the mesh does not know this function",
                "restrict the statement to one sharding key",
            )


def inner_queries(tokens: Sequence[Token], span: Span) -> list[Span]:
    """The parentheses within ``span`` that hold a subquery."""
    found, at = [], span.first
    while at < span.last:
        if (
            tokens[at].text == "("
            and at + 1 < span.last
            and tokens[at + 1].upper in ("SELECT", "WITH", "VALUES", "TABLE")
        ):
            end = closing(tokens, at)
            if end is not None and tokens[at - 1].upper != "VALUES":
                found.append(Span(at, end + 1))
                at = end
        at += 1
    return found


def _top(blocks: Blocks) -> tuple[exp.Select, Block, SelectLayout]:
    tree = blocks.statement.tree
    if not isinstance(tree, exp.Select):
        raise NotSupported("a set operation or a SELECT in parentheses over several data nodes")
    block = next(block for block in blocks.blocks if block.place is Place.TOP)
    layout = next((found for found in select_layouts(blocks.statement.tokens) if found.depth == 0), None)
    if layout is None or layout.last != len(blocks.statement.tokens) or "PROCEDURE" in layout.clauses:
        raise NotSupported("this form of SELECT over several data nodes")
    if len(layout.items) != len(tree.expressions) or bool(tree.args.get("distinct")) != layout.distinct:
        raise NotSupported("this form of SELECT over several data nodes")
    if isinstance(tree.args.get("limit"), exp.Fetch) or (tree.args.get("offset") and not tree.args.get("limit")):
        raise NotSupported("OFFSET … FETCH over several data nodes", "use LIMIT")
    if "WINDOW" in layout.clauses:
        raise NotSupported("WINDOW over several data nodes")
    return tree, block, layout


def _items(outline: Outline) -> list[Item]:
    found = []
    for index, (node, span) in enumerate(zip(outline.select.expressions, outline.layout.items, strict=True)):
        if span.last <= span.first:
            raise NotSupported("an empty select item")
        found.append(_item(outline, index, node, span))
    return found


def _item(outline: Outline, index: int, node: exp.Expr, span: Span) -> Item:
    star = isinstance(node, exp.Star) or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star))
    if isinstance(node, exp.Alias):
        place = span_of(node.args["alias"])
        last = outline.tokens[span.last - 1]
        if place != (last.start, last.end):
            raise NotSupported("a select item whose alias the mesh cannot find in the text")
        name = last.text[1:-1] if last.kind is TokenKind.STRING else last.name
        if last.kind is TokenKind.STRING and any(sign in name for sign in "\\'\""):
            raise NotSupported("an alias with quotes or backslashes in it")
        bare = span.last - 2 if outline.tokens[span.last - 2].upper == "AS" else span.last - 1
        inner = node.this
        same = isinstance(inner, exp.Column) and inner.name.lower() == name.lower()
        return Item(index, Span(span.first, bare), inner, name, name, False, same)
    plain = isinstance(node, exp.Column) and not star
    label = node.name if plain else label_of(outline.statement.text, outline.tokens, span)
    return Item(index, span, node, node.name if plain else "", label, star, plain)
