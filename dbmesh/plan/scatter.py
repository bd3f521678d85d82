"""A SELECT over several data nodes without groups: rows one after the other, or merged in order, or each only once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from dbmesh.errors import NotSupported, ParseError
from dbmesh.merge.spec import MergeSpec
from dbmesh.plan.derive import At, Derived, Pieces, Types, column_of, compared, tail_at, without
from dbmesh.plan.finish import FinishTemplate
from dbmesh.plan.model import Call, Scope
from dbmesh.plan.outline import Key, Outline
from dbmesh.rewrite import Edit, LimitSlot, Template
from dbmesh.route.placement import Place
from dbmesh.route.router import RouteTemplate
from dbmesh.sql.layout import Span
from dbmesh.sql.tokens import TokenKind

_MOST_ROWS = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Limit:
    """Indexes of the literals of LIMIT and OFFSET."""

    count: int
    offset: int | None

    def bind(self, literals: Sequence[str]) -> tuple[int, int]:
        """(offset, count). Raises ParseError for a number that is none to the servers."""
        return 0 if self.offset is None else _rows(literals[self.offset]), _rows(literals[self.count])


@dataclass(frozen=True, slots=True)
class Scattered:
    """A SELECT for several data nodes. ``pushed``: a data node needs no more than offset + limit rows."""

    template: Template
    spec: MergeSpec
    limit: Limit | None
    pushed: bool = True
    finish: FinishTemplate | None = None

    def sql(self, literals: Sequence[str], call: Call, place: Place) -> str:
        """The text for one data node."""
        text = ""
        if self.limit is not None:
            offset, count = self.limit.bind(literals)
            if self.pushed or count == 0:  # LIMIT 0 runs nothing, so it cannot fail either
                text = f" LIMIT {min(offset + count, _MOST_ROWS) if count else 0}"
        return self.template.render(literals, place.tables, call.session_value, text, lists=place.lists)

    def merge(self, literals: Sequence[str], call: Call) -> MergeSpec:
        """How the data nodes' results become one."""
        spec = self.spec
        if self.limit is not None:
            offset, count = self.limit.bind(literals)
            spec = replace(spec, offset=offset, limit=count)
        return spec if self.finish is None else replace(spec, finish=self.finish.bind(literals, call))


@dataclass(frozen=True, slots=True)
class Planned:
    """``pinned``: indexes of the literals whose text was used up. ``assumed``: types could not be asked for."""

    scattered: Scattered
    pinned: frozenset[int]
    assumed: bool


async def plan_rows(outline: Outline, route: RouteTemplate, scope: Scope) -> Planned:
    """Without DISTINCT: the client's own ORDER BY runs on every data node, and the merge keeps its order."""
    derived, types = Derived(outline), Types(outline, route, scope)
    keys = [key for key in outline.keys("ORDER") if not is_constant(outline, key)]
    expressions = [key_pieces(outline, key) for key in keys]
    await types.ask(expressions)
    order = []
    for key, expression in zip(keys, expressions, strict=True):
        own = None if key.item is None else derived.item(key.item.index, expression)
        order.append((compared(derived, expression, types.of(expression), own), key.descending))
    tail = tail_at(outline, "LIMIT")
    edits = [*derived.edit(), *without(outline, "LIMIT"), Edit(tail, tail, (LimitSlot(),))]
    spec = MergeSpec(
        derived=len(derived),
        order=tuple(how.key(derived, descending) for how, descending in order),
        budget=scope.rules.merge_memory,
    )
    scattered = Scattered(outline.node_template(edits), spec, read_limit(outline))
    return Planned(scattered, literals_in(outline, "ORDER"), types.assumed)


async def plan_distinct(outline: Outline, route: RouteTemplate, scope: Scope) -> Planned:
    """Every data node sends its distinct rows ordered by all columns, those of ORDER BY first."""
    derived, types = Derived(outline), Types(outline, route, scope)
    columns = await _output_columns(outline, scope)
    await types.ask([column.pieces for column in columns])
    if any((column := types.of(output.pieces)) is not None and column.type == "bit" for output in columns):
        raise NotSupported("DISTINCT of a value of type BIT over several data nodes", "select it as a number: bits + 0")
    wanted: dict[int, bool] = {}
    for key in outline.keys("ORDER"):
        if not is_constant(outline, key):
            wanted.setdefault(_output_of(outline, columns, key), key.descending)
    for at in range(len(columns)):
        wanted.setdefault(at, False)
    how = {
        at: compared(derived, column.pieces, types.of(column.pieces), At(column=at))
        for at, column in enumerate(columns)
    }
    tail = tail_at(outline, "ORDER", "LIMIT")
    by = ", ".join(f"{at + 1}" + (" DESC" if descending else "") for at, descending in wanted.items())
    edits = [*derived.edit(), *without(outline, "ORDER", "LIMIT"), Edit(tail, tail, (f" ORDER BY {by}", LimitSlot()))]
    order = tuple(how[at].key(derived, descending) for at, descending in wanted.items())
    spec = MergeSpec(derived=len(derived), order=order, distinct=order, budget=scope.rules.merge_memory)
    pinned = literals_in(outline, "ORDER") | literals_between(outline, outline.layout.items)
    # A weight beside a value makes rows of a data node differ that the values alone would not: spellings of one string.
    pushed = len(derived) == 0
    return Planned(Scattered(outline.node_template(edits), spec, read_limit(outline), pushed), pinned, types.assumed)


@dataclass(frozen=True, slots=True)
class _Output:
    """One column of the result. ``words``: its expression, to be told from others; ``item``: None within a '*'."""

    pieces: Pieces
    words: tuple[str, ...]
    item: int | None
    name: str


async def _output_columns(outline: Outline, scope: Scope) -> list[_Output]:
    """The columns of the result, '*' expanded as the servers would."""
    found: list[_Output] = []
    for item in outline.items:
        if item.star:
            found += await _expanded(outline, item.span, scope)
        else:
            found.append(_Output(outline.pieces(item.span), outline.words(item.span), item.index, item.name))
    return found


async def _expanded(outline: Outline, span: Span, scope: Scope) -> list[_Output]:
    tokens = outline.tokens[span.first : span.last]
    only = tokens[-3].name if len(tokens) >= 3 else None
    sources = [name for name in outline.block.sources if only is None or name == only]
    if only is None and any("USING" in join.args or join.method for join in outline.select.args.get("joins") or ()):
        raise NotSupported("DISTINCT * over a join with USING or NATURAL", "name the columns")
    found = []
    for alias in sources:
        index = outline.block.sources[alias]
        if index is None:
            raise NotSupported("DISTINCT * over a derived table", "name the columns")
        reference = outline.blocks.references[index]
        _, rule = scope.resolve(reference.database, reference.name)
        table = await scope.columns(rule)
        if table is None:
            raise NotSupported("DISTINCT * when no server can be asked for the columns", "name the columns")
        for column in table.columns:
            if not column.invisible:
                words = (
                    (column.name.lower(),)
                    if len(outline.block.sources) == 1
                    else (alias.lower(), ".", column.name.lower())
                )
                found.append(_Output(column_of(alias, column.name), words, None, column.name))
    return found


def _output_of(outline: Outline, columns: Sequence[_Output], key: Key) -> int:
    """The number of the column that a key of ORDER BY names."""
    words = outline.words(key.span)
    for at, column in enumerate(columns):
        if key.item is not None and column.item == key.item.index:
            return at
        if key.item is None and (column.words == words or column.words[-1:] == words):
            return at
    raise NotSupported("DISTINCT with an ORDER BY that is not in the select list", "select what you order by")


def _rows(literal: str) -> int:
    if (number := int(literal)) > _MOST_ROWS:
        raise ParseError.near(literal)
    return number


def is_constant(outline: Outline, key: Key) -> bool:
    """ORDER BY NULL, ORDER BY 'text': no order at all."""
    token = outline.tokens[key.span.first]
    literal = token.kind in (TokenKind.STRING, TokenKind.HEX, TokenKind.NUMBER) or token.upper == "NULL"
    return key.item is None and key.span.last - key.span.first == 1 and literal


def key_pieces(outline: Outline, key: Key) -> Pieces:
    """The expression that a key stands for."""
    return outline.pieces(key.span if key.item is None else key.item.span)


def read_limit(outline: Outline) -> Limit | None:
    """LIMIT n, LIMIT m, n or LIMIT n OFFSET m."""
    span = outline.layout.clauses.get("LIMIT")
    if span is None:
        return None
    tokens = outline.tokens[span.first + 1 : span.last]
    texts = [token.upper or token.text for token in tokens if token.kind is not TokenKind.NUMBER]
    numbers = [
        at
        for at, (start, end) in enumerate(outline.statement.literals)
        if any(t.start == start and t.end == end and t.text.isdigit() for t in tokens)
    ]
    if len(tokens) == 1 and len(numbers) == 1:
        return Limit(numbers[0], None)
    if len(tokens) == 3 and len(numbers) == 2 and texts in ([","], ["OFFSET"]):
        return Limit(numbers[1], numbers[0]) if texts == [","] else Limit(numbers[0], numbers[1])
    raise NotSupported("a LIMIT that is no number, over several data nodes")


def literals_in(outline: Outline, *clauses: str) -> frozenset[int]:
    """Indexes of the literals in some clauses."""
    return literals_between(
        outline, [outline.layout.clauses[name] for name in clauses if name in outline.layout.clauses]
    )


def literals_between(outline: Outline, spans: Iterable[Span]) -> frozenset[int]:
    places = [(outline.start(span.first), outline.end(span.last)) for span in spans]
    return frozenset(
        index
        for index, (start, end) in enumerate(outline.statement.literals)
        if any(first <= start and end <= last for first, last in places)
    )
