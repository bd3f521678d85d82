"""A SELECT with groups or aggregates over several data nodes: partial aggregates out, whole ones in.

Every data node groups its own rows and sends its groups ordered by their keys; the merge brings the parts of each
group together. What the client computes from aggregates (expressions, HAVING, ORDER BY) a backend computes from the
merged ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from dbmesh.errors import NotSupported
from dbmesh.merge.spec import Finish, Group, MergeSpec, SortKey
from dbmesh.plan.aggregates import AggregateCall, aggregate_calls
from dbmesh.plan.derive import At, Compared, Derived, Pieces, Types, compared, tail_at, without
from dbmesh.plan.evaluated import Evaluator
from dbmesh.plan.finish import FinishTemplate
from dbmesh.plan.model import Scope
from dbmesh.plan.outline import Item, Key, Outline
from dbmesh.plan.partials import Partials
from dbmesh.plan.scatter import (
    Planned,
    Scattered,
    is_constant,
    key_pieces,
    literals_between,
    literals_in,
    read_limit,
)
from dbmesh.rewrite import Edit, LimitSlot, Template
from dbmesh.route.router import RouteTemplate
from dbmesh.schema import Column
from dbmesh.sql.functions import CLOCK_WITHOUT_PARENTHESES
from dbmesh.sql.layout import Span, comma_parts
from dbmesh.sql.tokens import TokenKind


def is_grouped(outline: Outline) -> bool:
    """Whether rows stand for groups."""
    clauses = outline.layout.clauses
    spans = [*outline.layout.items, *(clauses[name] for name in ("HAVING", "ORDER") if name in clauses)]
    return "GROUP" in clauses or any(aggregate_calls(outline, span) for span in spans)


async def plan_groups(outline: Outline, route: RouteTemplate, scope: Scope) -> Planned:
    """The grouped SELECT for several data nodes."""
    if outline.layout.distinct and "GROUP" in outline.layout.clauses:
        raise NotSupported("DISTINCT together with GROUP BY over several data nodes", "leave DISTINCT out")
    grouping = _Grouping(outline, route, scope)
    await grouping.read()
    return grouping.planned()


@dataclass(frozen=True, slots=True)
class _GroupKey:
    """One element of GROUP BY, or an argument of an aggregate with DISTINCT."""

    key: Key
    pieces: Pieces
    words: tuple[str, ...]
    at: At
    compared: Compared


@dataclass(frozen=True, slots=True)
class _Sort:
    """One element of an ORDER BY that groups do not come in. ``value``: text to evaluate, None for ``compared``."""

    compared: Compared | None
    value: Template | None
    item: int | None
    descending: bool
    pad: bytes | None = None


def _is_clock(column: exp.Column) -> bool:
    """UTC_DATE and its like are columns to the parser."""
    return not column.table and not column.this.quoted and column.name.upper() in CLOCK_WITHOUT_PARENTHESES


class _Grouping:
    def __init__(self, outline: Outline, route: RouteTemplate, scope: Scope) -> None:
        self.outline = outline
        self.scope = scope
        self.derived = Derived(outline)
        self.types = Types(outline, route, scope)
        self.partials = Partials(outline, self.derived, self.types)
        self.keys: list[_GroupKey] = []
        self.distinct: list[_GroupKey] = []
        self.evaluator = Evaluator(outline, self.derived, self.types, self.partials, {})
        self.items: dict[int, tuple[Template, Column | None]] = {}
        self.having: Template | None = None
        self.having_pushed = False
        self.order: list[tuple[_GroupKey, bool]] = []
        self.sort: list[_Sort] = []

    async def read(self) -> None:
        """Everything the statement says, in the order in which it is needed."""
        await self._read_keys()
        for item in self.outline.items:
            await self._read_item(item)
        await self._read_having()
        await self._read_order()
        await self._read_distinct()

    # GROUP BY

    async def _read_keys(self) -> None:
        span = self.outline.layout.clauses.get("GROUP")
        if span is not None and self.outline.tokens[span.last - 1].upper == "ROLLUP":
            raise NotSupported("WITH ROLLUP over several data nodes")
        keys = [await self._meant(key) for key in self.outline.keys("GROUP")]
        expressions = [key_pieces(self.outline, key) for key in keys]
        await self.types.ask(expressions)
        for key, pieces in zip(keys, expressions, strict=True):
            if is_constant(self.outline, key) or (key.item and aggregate_calls(self.outline, key.item.span)):
                raise NotSupported("GROUP BY a constant or an aggregate over several data nodes")
            if self.outline.parameters(key.span if key.item is None else key.item.span) and await self.types.on_mysql():
                raise NotSupported("GROUP BY a parameter over several data nodes: MySQL takes no two for the same")
            found = self._group_key(key, pieces)
            self.keys.append(found)
            self.evaluator.groups[found.words] = (pieces, found.at)

    async def _meant(self, key: Key) -> Key:
        """An alias in GROUP BY gives way to a table's column of the same name."""
        if key.item is None or key.item.column or self.outline.tokens[key.span.first].kind is TokenKind.NUMBER:
            return key
        for index in self.outline.block.sources.values():
            if index is None:
                raise NotSupported(f"GROUP BY the alias '{key.item.name}' next to a derived table")
            reference = self.outline.blocks.references[index]
            table = await self.scope.columns(self.scope.resolve(reference.database, reference.name)[1])
            if table is not None and table.column(key.item.name) is not None:
                return Key(key.span, None, key.descending)
        return key

    def _group_key(self, key: Key, pieces: Pieces) -> _GroupKey:
        words = self.outline.words(key.span if key.item is None else key.item.span)
        same = next((i for i in self.outline.items if self.outline.words(i.span) == words and not i.star), key.item)
        at = self.derived.add(pieces) if same is None else self.derived.item(same.index, pieces)
        how = compared(self.derived, pieces, self.types.of(pieces), at, grouped=True)
        return _GroupKey(key, pieces, words, at, how)

    async def _read_distinct(self) -> None:
        call = self.partials.distinct
        if call is None:
            return
        for part in comma_parts(self.outline.tokens, call.arguments):
            key = Key(part, None, False)
            if is_constant(self.outline, key):
                raise NotSupported("an aggregate with DISTINCT of a constant over several data nodes")
            pieces = self.outline.pieces(part)
            await self.types.ask([pieces])
            self.distinct.append(self._group_key(key, pieces))

    # select items

    async def _read_item(self, item: Item) -> None:
        calls = [] if item.star else aggregate_calls(self.outline, item.span)
        if len(calls) == 1 and calls[0].span == item.span:
            await self.partials.of(calls[0], self.derived.item(item.index, self.outline.pieces(item.span)))
        elif calls:
            self.items[item.index] = await self.evaluator.value(item)
        elif not self.keys and "GROUP" not in self.outline.layout.clauses:
            self._read_bare(item)

    def _read_bare(self, item: Item) -> None:
        columns = [] if item.star else [c for c in item.node.find_all(exp.Column) if not _is_clock(c)]
        if item.star or (columns and not isinstance(item.node, exp.Column)):
            raise NotSupported("'*' or an expression over columns next to aggregates without GROUP BY")
        if columns:
            self.partials.bare(At(item=item.index))

    # HAVING

    async def _read_having(self) -> None:
        span = self.outline.layout.clauses.get("HAVING")
        if span is None:
            return
        node = self.outline.select.args["having"].this
        bare = Span(span.first + 1, span.last)
        if self.keys and not aggregate_calls(self.outline, bare) and self._only_keys(node):
            self.having_pushed = True
            return
        self.having = await self.evaluator.template(bare, node, True)

    def _only_keys(self, node: exp.Expr) -> bool:
        """Whether the condition speaks of group keys only, by names that are nothing else."""
        aliases = {item.name.lower() for item in self.outline.items if item.name and not item.column}
        columns = list(node.find_all(exp.Column))
        return all(
            self.evaluator.words(column) in self.evaluator.groups
            and (bool(column.table) or column.name.lower() not in aliases)
            for column in columns
        ) and not node.find(exp.Select)

    # ORDER BY

    async def _read_order(self) -> None:
        wanted = [key for key in self.outline.keys("ORDER") if not is_constant(self.outline, key)]
        keyed = [(self._same_key(key), key.descending) for key in wanted]
        found = [(key, descending) for key, descending in keyed if key is not None]
        if len(found) < len(wanted) and self.keys:
            nodes = self.outline.select.args["order"].expressions
            every = self.outline.keys("ORDER")
            self.sort = [await self._sorted(key, nodes[every.index(key)].this) for key in wanted]
            found = []
        chosen: dict[tuple[str, ...], tuple[_GroupKey, bool]] = {}
        for key, descending in [*found, *((key, key.key.descending and not wanted) for key in self.keys)]:
            chosen.setdefault(key.words, (key, descending))
        self.order = list(chosen.values())

    def _same_key(self, key: Key) -> _GroupKey | None:
        words = self.outline.words(key.span if key.item is None else key.item.span)
        return next((group for group in self.keys if group.words == words), None)

    async def _sorted(self, key: Key, node: exp.Expr) -> _Sort:
        same = self._same_key(key)
        if same is not None:
            return _Sort(same.compared, None, None, key.descending)
        span = key.span if key.item is None else key.item.span
        calls = aggregate_calls(self.outline, span)
        pieces = key_pieces(self.outline, key)
        own = None if key.item is None else self.derived.item(key.item.index, pieces)
        if len(calls) == 1 and calls[0].span == span:
            return await self._sorted_by_aggregate(calls[0], own, key.descending)
        await self.types.ask([pieces])
        if not calls:
            how = compared(self.derived, pieces, self.types.of(pieces), own, grouped=True)
            return _Sort(how, None, None, key.descending)
        return await self._sorted_by_expression(key, node, pieces)

    async def _sorted_by_aggregate(self, call: AggregateCall, own: At | None, descending: bool) -> _Sort:
        partial = await self.partials.of(call, own)
        return _Sort(self.partials.sortable(partial), None, None, descending)

    async def _sorted_by_expression(self, key: Key, node: exp.Expr, pieces: Pieces) -> _Sort:
        column = self.types.of(pieces)
        text = column is not None and column.collation not in (None, "binary")
        if key.item is not None and not text:
            return _Sort(None, None, key.item.index, key.descending)
        if key.item is not None:
            value = self.items[key.item.index][0]
        else:
            value = await self.evaluator.template(key.span, node, False)
        if text and column is not None:
            return _Sort(None, Template(("WEIGHT_STRING(", *value.pieces, ")")), None, key.descending, column.pad)
        return _Sort(None, value, None, key.descending)

    # all together

    def planned(self) -> Planned:
        """The plan, when everything has been read."""
        outline, derived = self.outline, self.derived
        order_keys = [*self.order, *((key, False) for key in self.distinct)]
        by = [derived.orders_by(key.at, key.pieces) + (" DESC" if desc else "") for key, desc in order_keys]
        finish, sort = self._finish_and_sort()
        spec = MergeSpec(
            derived=len(derived),
            order=tuple(key.compared.key(derived, descending) for key, descending in order_keys),
            group=Group(len(self.order), self.partials.aggregates()),
            sort=sort,
            budget=self.scope.rules.merge_memory,
        )
        pushed = bool(self.keys) and not sort and self.having is None and not self.distinct
        scattered = Scattered(self._template(by), spec, read_limit(outline), pushed, finish)
        pinned = literals_in(outline, "GROUP", "ORDER") | literals_between(outline, outline.layout.items)
        return Planned(scattered, pinned, self.types.assumed)

    def _template(self, by: list[str]) -> Template:
        outline = self.outline
        removed = ["ORDER", "LIMIT"] if self.having is None else ["HAVING", "ORDER", "LIMIT"]
        edits = [*self._item_edits(), *self.derived.edit(), *without(outline, *removed), *self._group_edit()]
        tail = tail_at(outline, "ORDER", "LIMIT")
        order = (f" ORDER BY {', '.join(by)}",) if by else ()
        return outline.node_template([*edits, Edit(tail, tail, (*order, LimitSlot()))])

    def _item_edits(self) -> list[Edit]:
        """Expressions over aggregates are evaluated later: a data node's own value of them means nothing."""
        spans = [self.outline.items[index].span for index in self.items]
        return [Edit(self.outline.start(span.first), self.outline.end(span.last), ("NULL",)) for span in spans]

    def _group_edit(self) -> list[Edit]:
        """The data nodes also group by what an aggregate with DISTINCT counts once."""
        if not self.distinct:
            return []
        at = tail_at(self.outline, "HAVING", "ORDER", "LIMIT")
        pieces: Pieces = (", " if "GROUP" in self.outline.layout.clauses else " GROUP BY ",)
        for number, key in enumerate(self.distinct):
            pieces = (*pieces, *((", ",) if number else ()), *key.pieces)
        return [Edit(at, at, pieces)]

    def _finish_and_sort(self) -> tuple[FinishTemplate | None, tuple[SortKey, ...]]:
        evaluated = [sort for sort in self.sort if sort.value is not None or sort.item is not None]
        if not self.items and self.having is None and not evaluated:
            return None, tuple(s.compared.key(self.derived, s.descending) for s in self.sort if s.compared)
        if self.outline.has_star:
            raise NotSupported("'*' next to expressions over aggregates over several data nodes", "name the columns")
        output: list[int | tuple[Template, str, Column | None]] = []
        for item in self.outline.items:
            template, column = self.items.get(item.index, (None, None))
            output.append(item.index if template is None else (template, item.label, column))
        visible = len(output)
        sort = tuple(self._finished_key(key, output) for key in self.sort)
        finish = Finish(self.evaluator.inputs(), (), hidden=len(output) - visible)
        return FinishTemplate(finish, tuple(output), self.having), sort

    def _finished_key(self, sort: _Sort, output: list[int | tuple[Template, str, Column | None]]) -> SortKey:
        """The column of the finished row that sorts, hidden behind the client's where it is none of them."""
        if sort.item is not None:
            return SortKey(sort.item, sort.descending)
        if sort.value is not None:
            output.append((sort.value, "", None))
            return SortKey(len(output) - 1, sort.descending, sort.pad)
        assert sort.compared is not None
        key = sort.compared.key(self.derived, sort.descending)
        output.append(key.column)
        return SortKey(len(output) - 1, sort.descending, key.pad)
