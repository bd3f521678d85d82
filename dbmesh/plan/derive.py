"""Derived columns: what a data node must send besides the client's items, so that rows can be merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dbmesh.errors import NotSupported
from dbmesh.merge.collation import compares_by_weights
from dbmesh.merge.spec import SortKey
from dbmesh.plan.model import Scope
from dbmesh.plan.outline import Outline
from dbmesh.rewrite import Edit, Piece, Template, quoted
from dbmesh.route.placement import place_on
from dbmesh.route.router import RouteTemplate
from dbmesh.schema import Column
from dbmesh.sql.layout import Span

Pieces = tuple[Piece, ...]

_TEXTS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext"})
_INDEXED = frozenset({"enum", "set"})
_NOT_ORDERED = frozenset({"json", "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring",
                          "multipolygon", "geometrycollection", "vector", "inet4", "inet6", "uuid"})  # fmt: skip


@dataclass(frozen=True, slots=True)
class At:
    """A column of the backend row: the ``item``-th select item, the ``derived``-th derived one, or a known number."""

    item: int | None = None
    derived: int | None = None
    column: int | None = None


class Types:
    """Types and collations of expressions, asked of a server in one go; unknown offline."""

    def __init__(self, outline: Outline, route: RouteTemplate, scope: Scope) -> None:
        self._outline = outline
        self._route = route
        self._scope = scope
        self._known: dict[Pieces, Column | None] = {}

    async def ask(self, expressions: Sequence[Pieces]) -> None:
        """Learn about ``expressions``: aggregates and others in separate calls, as ONLY_FULL_GROUP_BY wants it."""
        wanted = [e for e in dict.fromkeys(expressions) if e not in self._known]
        if not wanted:
            return
        where = place_on(self._route, 0)
        if where is None:
            raise NotSupported("not all of its tables are on one data source")
        template = Template((*self._with(), "SELECT ", *_listed(wanted), " ", *self._from()))
        sql = template.render(self._literals(), where.tables, _no_session) + " LIMIT 0"
        columns = await self._scope.catalog.describe(where.data_source, sql)
        for at, expression in enumerate(wanted):
            self._known[expression] = None if columns is None else columns[at]

    async def on_mysql(self) -> bool:
        """Whether MySQL's own servers answer, not MariaDB's."""
        where = place_on(self._route, 0)
        return where is not None and await self._scope.catalog.is_mysql(where.data_source)

    def of(self, expression: Pieces) -> Column | None:
        return self._known[expression]

    @property
    def assumed(self) -> bool:
        """Whether some type had to be assumed."""
        return None in self._known.values()

    def _with(self) -> Pieces:
        first = self._outline.layout.first
        return (*self._outline.pieces(Span(0, first)), " ") if first else ()

    def _from(self) -> Pieces:
        span = self._outline.layout.clauses["FROM"]
        return self._outline.pieces(span)

    def _literals(self) -> list[str]:
        text = self._outline.statement.text
        return [text[start:end] for start, end in self._outline.statement.literals]


class Derived:
    """The derived columns of one statement, each once."""

    def __init__(self, outline: Outline) -> None:
        self._outline = outline
        self._expressions: dict[Pieces, int] = {}
        self._name = "dm_"
        while any(token.upper.startswith(self._name.upper()) for token in outline.tokens):
            self._name += "_"

    def __len__(self) -> int:
        return len(self._expressions)

    def add(self, expression: Pieces) -> At:
        return At(derived=self._expressions.setdefault(expression, len(self._expressions)))

    def item(self, index: int, expression: Pieces) -> At:
        """The column of a select item; a derived copy where a '*' makes its number unknown on both sides."""
        items = self._outline.items
        if any(i.star for i in items[: index + 1]) and any(i.star for i in items[index:]):
            return self.add(expression)
        return At(item=index)

    def number(self, where: At) -> int:
        """The column's number in the backend row; ask when all derived columns are known."""
        if where.column is not None:
            return where.column
        if where.derived is not None:
            return where.derived - len(self._expressions)
        assert where.item is not None
        items = self._outline.items
        if any(item.star for item in items[: where.item + 1]):
            return where.item - len(items) - len(self._expressions)
        return where.item

    def orders_by(self, where: At, expression: Pieces) -> str:
        """How a generated ORDER BY names it: by position, or by a derived name, never by what may mean two things."""
        if where.item is not None and not self._outline.has_star:
            return str(where.item + 1)
        copy = where if where.derived is not None else self.add(expression)
        return f"`{self._name}{copy.derived}`"

    def edit(self) -> list[Edit]:
        """The derived columns at the end of the select list."""
        at = self._outline.end(self._outline.layout.items[-1].last)
        pieces: list[Piece] = []
        for expression, number in self._expressions.items():
            pieces += [", ", *expression, f" AS `{self._name}{number}`"]
        return [Edit(at, at, tuple(pieces))] if pieces else []


@dataclass(frozen=True, slots=True)
class Compared:
    """How an expression's values compare: by the column at ``place``."""

    place: At
    pad: bytes | None = None

    def key(self, derived: Derived, descending: bool = False) -> SortKey:
        return SortKey(derived.number(self.place), descending, self.pad)


def compared(
    derived: Derived, expression: Pieces, column: Column | None, own: At | None, grouped: bool = False
) -> Compared:
    """The column by which ``expression`` is compared, derived where its own text does not say its order.

    ``own``: where its values stand anyway. ``grouped``: the row stands for a group, all of whose rows have equal
    values of it.
    """
    kind = "" if column is None else column.type
    check_ordered(column)
    wrapped: Pieces
    if kind in _TEXTS:
        if column is None or column.collation is None:
            raise NotSupported("an order by a string of unknown collation over several data nodes")
        if column.collation != "binary":
            wrapped = ("WEIGHT_STRING(", *expression, ")")
            return Compared(derived.add(_of_group(wrapped, grouped)), column.pad)
    if kind in _INDEXED:
        return Compared(derived.add(_of_group(("(", *expression, ")+0"), grouped)))
    if kind == "timestamp":  # its text is local time, which is not in order where the clocks are put back
        return Compared(derived.add(_of_group(("UNIX_TIMESTAMP(", *expression, ")"), grouped)))
    if kind == "float":
        return Compared(derived.add(_of_group(("(", *expression, ")+0e0"), grouped)))
    return Compared(derived.add(expression) if own is None else own)


def check_ordered(column: Column | None) -> None:
    """Refuse values whose order or equality a merge could not tell from what the servers send."""
    if column is None:
        return
    if column.type in _NOT_ORDERED:
        raise NotSupported(f"an order or a comparison by a value of type {column.type.upper()} over several data nodes")
    if column.type in _TEXTS and column.collation and not compares_by_weights(column.collation):
        raise NotSupported(f"an order or a comparison by collation {column.collation} over several data nodes")


def _of_group(expression: Pieces, grouped: bool) -> Pieces:
    return ("MIN(", *expression, ")") if grouped else expression


def _listed(expressions: Sequence[Pieces]) -> Pieces:
    pieces: list[Piece] = []
    for expression in expressions:
        pieces += [", " if pieces else "", *expression]
    return tuple(pieces)


def _no_session(name: str) -> str:
    return "0" if name == "TIMESTAMP" else "''"


def tail_at(outline: Outline, *clauses: str) -> int:
    """Where a generated ORDER BY and LIMIT go: before the first of ``clauses``, FOR, LOCK and INTO that is there."""
    spans: Mapping[str, Span] = outline.layout.clauses
    first = min((spans[name].first for name in (*clauses, "FOR", "LOCK", "INTO") if name in spans), default=None)
    return outline.end(outline.layout.last if first is None else first)


def without(outline: Outline, *clauses: str) -> list[Edit]:
    """The clauses taken out, with the space before them."""
    spans = outline.layout.clauses
    return [Edit(outline.end(spans[name].first), outline.end(spans[name].last)) for name in clauses if name in spans]


def column_of(alias: str, name: str) -> Pieces:
    return (f"{quoted(alias)}.{quoted(name)}",)
