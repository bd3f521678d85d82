"""Partial aggregates: which columns of the backend rows hold them, and how the merge makes whole ones of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dbmesh.errors import NotSupported
from dbmesh.merge.spec import Aggregate, AggregateKind
from dbmesh.plan.aggregates import AggregateCall
from dbmesh.plan.derive import At, Compared, Derived, Pieces, Types, check_ordered
from dbmesh.plan.outline import Outline
from dbmesh.schema import Column

_WORD = 9  # digits that the servers calculate with at a time: no quotient that shows so many or less hides more
_TEXTS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"})

_MOST_DIGITS, _MOST_SCALE = 65, 30  # of a DECIMAL


@dataclass(frozen=True, slots=True)
class Partial:
    """One aggregate: its column, how it compares and what it is made of. ``type``: of MIN and MAX only."""

    kind: AggregateKind
    at: At
    compared: Compared
    key: Compared | None = None
    sum: At | None = None
    count: At | None = None
    distinct: bool = False
    type: Column | None = None

    def aggregate(self, derived: Derived) -> Aggregate:
        return Aggregate(
            self.kind,
            derived.number(self.at),
            key=None if self.key is None else self.key.key(derived),
            sum=None if self.sum is None else derived.number(self.sum),
            count=None if self.count is None else derived.number(self.count),
            distinct=self.distinct,
        )


class Partials:
    """The aggregates of one statement, each once."""

    def __init__(self, outline: Outline, derived: Derived, types: Types) -> None:
        self._outline = outline
        self._derived = derived
        self._types = types
        self._found: dict[At, Partial] = {}
        self._places: dict[Pieces, At] = {}
        self.distinct: AggregateCall | None = None

    async def of(self, call: AggregateCall, own: At | None = None) -> Partial:
        """The aggregate of a call. ``own``: the select item that it is."""
        pieces = self._outline.pieces(call.span)
        at = self._places.get(pieces) or self._derived.add(pieces) if own is None else own
        self._places.setdefault(pieces, at)
        if at in self._found:
            return self._found[at]
        if call.distinct:
            self._check_distinct(call)
        made = await self._made(call, pieces, at)
        self._found[at] = made
        return made

    async def halves(self, call: AggregateCall) -> tuple[At, At]:
        """The SUM and the COUNT of an AVG, merged on their own."""
        sum_at, count_at = await self._sum_and_count(call)
        for kind, at in ((AggregateKind.SUM, sum_at), (AggregateKind.COUNT, count_at)):
            self._found.setdefault(at, Partial(kind, at, Compared(at), distinct=call.distinct))
        if call.distinct:
            self._check_distinct(call)
        return sum_at, count_at

    async def hidden_digits(self, call: AggregateCall) -> bool:
        """Whether it sums quotients: a server calculates on with more digits of them than it shows."""
        tokens = self._outline.tokens[call.arguments.first : call.arguments.last]
        if call.name not in ("SUM", "AVG") or all(token.text != "/" for token in tokens):
            return False
        total: Pieces = ("SUM(", *self._outline.pieces(call.arguments), ")")
        await self._types.ask([total])
        column = self._types.of(total)
        if column is None or column.type != "decimal":
            return False
        if (column.scale or 0) > _WORD:
            raise NotSupported(
                f"{call.name} of quotients with more than {_WORD} digits behind the point over several data nodes",
                "round the quotient: ROUND(a / b, 9), or calculate with DOUBLE: a / (b + 0e0)",
            )
        return True

    async def average_digits(self, call: AggregateCall) -> int | None:
        """The digits behind the point with which MySQL calculates on from an AVG; None where it is a DOUBLE.

        More than it shows: whole words of nine digits (my_decimal_div). MariaDB calculates with what it shows.
        """
        argument = self._outline.pieces(call.arguments)
        average: Pieces = ("AVG(", *argument, ")")
        total: Pieces = ("SUM(", *argument, ")")
        await self._types.ask([average, total])
        shown, sum_type = self._types.of(average), self._types.of(total)
        if shown is None or sum_type is None or shown.type != "decimal":
            return None
        scale, more = sum_type.scale or 0, (shown.scale or 0) - (sum_type.scale or 0)
        stored = _words(scale)
        digits = _words(stored + max(0, more - (stored - scale)))
        if (sum_type.precision or 0) - scale + digits + more > _MOST_DIGITS or digits > _MOST_SCALE:
            raise NotSupported("the average of numbers with so many digits in an expression over several data nodes")
        return digits

    async def whole_sum(self, call: AggregateCall) -> At:
        """The SUM with all its digits, merged on its own."""
        at = await self._sum(call)
        self._found.setdefault(at, Partial(AggregateKind.SUM, at, Compared(at), distinct=call.distinct))
        if call.distinct:
            self._check_distinct(call)
        return at

    def sortable(self, partial: Partial) -> Compared:
        """The aggregate as a sort key: a weight string must become the whole group's, too."""
        kind = "" if partial.type is None else partial.type.type
        if kind in ("float", "json", "enum", "set"):
            name = partial.kind.value.upper()
            raise NotSupported(f"ORDER BY {name} of a value of type {kind.upper()} over several data nodes")
        if partial.key is not None:
            at = partial.key.place
            self._found.setdefault(at, Partial(partial.kind, at, partial.key, key=partial.key))
        return partial.compared

    def evaluable(self, partial: Partial, call: AggregateCall) -> tuple[At, Column | None]:
        """Where an expression may read the aggregate: a FLOAT as a DOUBLE, for its text is not its value."""
        kind = "" if partial.type is None else partial.type.type
        if kind in ("enum", "set", "bit", "json", "year"):
            raise NotSupported(
                f"{call.name} of a value of type {kind.upper()} in an expression over several data nodes"
            )
        if kind != "float":
            return partial.at, partial.type
        at = self._derived.add(("(", *self._outline.pieces(call.span), ")+0e0"))
        self._found.setdefault(at, Partial(partial.kind, at, Compared(at)))
        return at, None

    def bare(self, at: At) -> None:
        """A column without GROUP BY: its value in some row."""
        count = self._derived.add(("COUNT(*)",))
        self._found[at] = Partial(AggregateKind.ANY, at, Compared(at), count=count)

    def aggregates(self) -> tuple[Aggregate, ...]:
        """For the merge; when all derived columns are known."""
        return tuple(partial.aggregate(self._derived) for partial in self._found.values())

    async def _made(self, call: AggregateCall, pieces: Pieces, at: At) -> Partial:
        kind = AggregateKind(call.name.lower())
        if kind is AggregateKind.AVG:
            sum_at, count_at = await self._sum_and_count(call)
            return Partial(kind, at, Compared(at), sum=sum_at, count=count_at, distinct=call.distinct)
        if kind in (AggregateKind.MIN, AggregateKind.MAX):
            return await self._extreme(kind, call, pieces, at)
        if await self.hidden_digits(call):
            return Partial(kind, at, Compared(at), sum=await self._sum(call), distinct=call.distinct)
        return Partial(kind, at, Compared(at), distinct=call.distinct)

    async def _extreme(self, kind: AggregateKind, call: AggregateCall, pieces: Pieces, at: At) -> Partial:
        argument = self._outline.pieces(call.arguments)
        await self._types.ask([pieces])
        await self._types.ask([argument])
        column, of = self._types.of(pieces), self._types.of(argument)
        if column is not None and of is not None and of.type in ("enum", "set"):
            column = replace(column, type=of.type)  # compared as text, described as text, sorted by its index
        check_ordered(of)
        check_ordered(column)
        if column is not None and column.type == "timestamp":
            key = Compared(self._derived.add(("UNIX_TIMESTAMP(", *pieces, ")")))
            return Partial(kind, at, key, key=key, type=column)
        if column is None or column.type not in _TEXTS or column.collation == "binary":
            return Partial(kind, at, Compared(at), type=column)
        if column.collation is None:
            raise NotSupported(f"{kind.value.upper()} of a string of unknown collation over several data nodes")
        key = Compared(self._derived.add(("WEIGHT_STRING(", *pieces, ")")), column.pad)
        return Partial(kind, at, key, key=key, type=column)

    async def _sum_and_count(self, call: AggregateCall) -> tuple[At, At]:
        distinct = "DISTINCT " if call.distinct else ""
        count: Pieces = (f"COUNT({distinct}", *self._outline.pieces(call.arguments), ")")
        return await self._sum(call), self._derived.add(count)

    async def _sum(self, call: AggregateCall) -> At:
        distinct = "DISTINCT " if call.distinct else ""
        total: Pieces = (f"SUM({distinct}", *self._outline.pieces(call.arguments), ")")
        if await self.hidden_digits(call):
            total = ("CAST(", *total, " AS DECIMAL(65,30))")
        return self._derived.add(total)

    def _check_distinct(self, call: AggregateCall) -> None:
        words = self._outline.words
        if self.distinct is not None and words(self.distinct.arguments) != words(call.arguments):
            raise NotSupported("aggregates with DISTINCT of different things over several data nodes")
        self.distinct = call


def _words(digits: int) -> int:
    """Rounded up to what a DECIMAL's words of nine digits hold."""
    return -(-digits // 9) * 9
