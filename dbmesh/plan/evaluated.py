"""Expressions over merged rows: the client's text with aggregates and columns replaced by columns of ``dm``."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlglot import exp

from dbmesh.errors import NotSupported
from dbmesh.merge.spec import Input
from dbmesh.plan.aggregates import AggregateCall, aggregate_calls
from dbmesh.plan.derive import At, Derived, Pieces, Types
from dbmesh.plan.outline import Item, Outline, inner_queries
from dbmesh.plan.partials import Partials
from dbmesh.rewrite import Edit, Template
from dbmesh.schema import Column
from dbmesh.sql.layout import Span
from dbmesh.sql.statement import span_of

_TEXTS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext"})
_CALCULATING = frozenset({"+", "-", "*", "/", "%", "DIV", "MOD", "ROUND", "TRUNCATE", "FLOOR", "CEIL", "CEILING",
                          "FORMAT", "ABS", "<", ">", "=", "<=", ">=", "<>", "!=", "<=>", "BETWEEN", "IN"})  # fmt: skip
_NOT_TAKEN = frozenset({"enum", "set", "bit", "json", "geometry", "year"})


@dataclass(slots=True)
class Evaluator:
    """Makes templates over ``dm.a0``, ``dm.a1`` … and collects what these are.

    ``groups``: the words of each group key → its expression and its column.
    """

    outline: Outline
    derived: Derived
    types: Types
    partials: Partials
    groups: dict[tuple[str, ...], tuple[Pieces, At]]
    # (where, whether the DOUBLE there becomes a FLOAT again) → number and what it is
    _inputs: dict[tuple[At, bool], tuple[int, Column | None]] = field(default_factory=dict)
    _rounded: bool = False  # an input has more digits than its type shows
    _text: bool = False  # the item is a text …
    _calculates: bool = False  # … and more is done with numbers than to write them

    async def value(self, item: Item) -> tuple[Template, Column | None]:
        """A select item over aggregates, and what the servers say it is."""
        pieces = self.outline.pieces(item.span)
        if self.outline.parameters(item.span) and await self.types.on_mysql():
            self._check_parameters(item.span)
        await self.types.ask([pieces])
        column = self.types.of(pieces)
        self._rounded, self._text = False, column is not None and column.type in _TEXTS
        tokens = self.outline.tokens[item.span.first : item.span.last]
        self._calculates = any(token.upper in _CALCULATING for token in tokens)
        template = await self.template(item.span, item.node, False)
        self._text = False
        if column is None:
            return template, None
        if not self._rounded:
            return template, column
        if column.type in _TEXTS:
            raise NotSupported("the text of a sum of quotients over several data nodes", "select the sum itself")
        if column.type != "decimal":
            return template, column
        return Template(("CAST(", *template.pieces, f" AS DECIMAL({column.precision},{column.scale}))")), column

    def _check_parameters(self, span: Span) -> None:
        """MySQL gives a parameter a type by where it stands, which a literal in its place would not have."""
        within = [(self.outline.start(call.span.first), self.outline.end(call.span.last))
                  for call in aggregate_calls(self.outline, span)]  # fmt: skip
        for first, last in self.outline.parameters(span):
            if not any(one <= first and last <= other for one, other in within):
                raise NotSupported("a parameter in an expression over aggregates, over several data nodes")

    async def template(self, span: Span, node: exp.Expr, aliases: bool) -> Template:
        """``span`` of the text, whose tree is ``node``. ``aliases``: names may mean select items, as in HAVING."""
        if inner_queries(self.outline.tokens, span):
            raise NotSupported("a subquery in an expression over aggregates, over several data nodes")
        calls = aggregate_calls(self.outline, span)
        replaced = [await self._aggregate(call) for call in calls]
        for column in node.find_all(exp.Column):
            start, end = self._place(column)
            if not any(edit.start <= start and end <= edit.end for edit in replaced):
                replaced.append(Edit(start, end, await self._column(column, aliases)))
        return Template(self.outline.pieces(span, replaced))

    def inputs(self) -> tuple[Input, ...]:
        """For the merge; when all derived columns are known."""
        return tuple(self._input(at, column) for at, (_, column) in self._inputs.items())

    def _input(self, place: tuple[At, bool], column: Column | None) -> Input:
        at, is_float = place
        text = column is not None and column.type in _TEXTS
        charset, collation = (column.charset, column.collation) if column is not None and text else (None, None)
        return Input(self.derived.number(at), charset, collation, is_float)

    async def _aggregate(self, call: AggregateCall) -> Edit:
        start, end = self.outline.start(call.span.first), self.outline.end(call.span.last)
        self._rounded |= await self.partials.hidden_digits(call)
        if call.name == "SUM" and await self.partials.hidden_digits(call):
            return Edit(start, end, (self._name(await self.partials.whole_sum(call), None),))
        if call.name == "AVG":
            return Edit(start, end, (await self._average(call),))
        partial = await self.partials.of(call)
        at, column = self.partials.evaluable(partial, call)
        is_float = partial.type is not None and partial.type.type == "float"
        if is_float:
            _check_scale(partial.type)
            if self._text and await self.types.on_mysql():
                is_float = False  # MySQL writes the extreme of FLOATs as a DOUBLE
        return Edit(start, end, (self._name(at, column, is_float),))

    async def _average(self, call: AggregateCall) -> str:
        total, count = (self._name(at, None) for at in await self.partials.halves(call))
        quotient = f"({total} / {count})"
        if not await self.types.on_mysql() or await self.partials.hidden_digits(call):
            return quotient
        digits = await self.partials.average_digits(call)
        if digits is None or (self._text and not self._calculates):
            return quotient
        self._rounded = True
        return f"TRUNCATE(CAST({total} AS DECIMAL(65,{digits})) / {count}, {digits})"

    async def _column(self, column: exp.Column, aliases: bool) -> Pieces:
        words = self.words(column)
        named = [item for item in self.outline.items if item.name.lower() == column.name.lower() and not item.star]
        other = [item for item in named if not item.column]
        if aliases and not column.table and other:
            if words in self.groups or len(named) > 1:
                raise NotSupported(f"'{column.name}' in HAVING names a column and an alias", "use another alias")
            return await self._aliased(other[0])
        if words in self.groups:
            pieces, at = self.groups[words]
            return (await self._value(pieces, at),)
        start, end = self._place(column)
        pieces = self.outline.pieces(self._span(start, end))
        return (await self._value(pieces, self.derived.add(pieces)),)

    async def _aliased(self, item: Item) -> Pieces:
        if aggregate_calls(self.outline, item.span):
            return ("(", *(await self.template(item.span, item.node, False)).pieces, ")")
        pieces = self.outline.pieces(item.span)
        return (await self._value(pieces, self.derived.item(item.index, pieces)),)

    async def _value(self, pieces: Pieces, at: At) -> str:
        await self.types.ask([pieces])
        column = self.types.of(pieces)
        kind = "" if column is None else column.type
        if kind in _NOT_TAKEN:
            raise NotSupported(
                f"a value of type {kind.upper()} in an expression over aggregates, over several data nodes"
            )
        if kind != "float":
            return self._name(at, column)
        _check_scale(column)
        return self._name(self.derived.add(("(", *pieces, ")+0e0")), None, True)

    def _name(self, at: At, column: Column | None, is_float: bool = False) -> str:
        number, _ = self._inputs.setdefault((at, is_float), (len(self._inputs), column))
        return f"dm.a{number}"

    def _place(self, column: exp.Column) -> tuple[int, int]:
        first = next((column.args[p] for p in ("db", "table") if column.args.get(p) is not None), column.this)
        start, end = span_of(first), span_of(column.this)
        if start is None or end is None or isinstance(column.this, exp.Star):
            raise NotSupported("a column that the mesh cannot find in the text")
        return start[0], end[1]

    def _span(self, start: int, end: int) -> Span:
        tokens = self.outline.tokens
        first = next(at for at, token in enumerate(tokens) if token.start == start)
        last = next(at for at, token in enumerate(tokens) if token.end == end)
        return Span(first, last + 1)

    def words(self, column: exp.Column) -> tuple[str, ...]:
        """A column's name, to be told from others."""
        return self.outline.words(self._span(*self._place(column)))


def _check_scale(column: Column | None) -> None:
    if column is not None and column.scale is not None:
        raise NotSupported("a FLOAT with a scale in an expression over aggregates, over several data nodes")
