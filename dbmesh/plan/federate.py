"""A SELECT that no data node can answer and no merge: its rows are gathered, and one server runs the client's own text.

Each table reference becomes a temporary scratch table on one backend, with the columns that the text names and the
rows that its conditions leave. Names, types, collations and functions are then that server's business.

The proof: a reference stands for a set of rows. The scratch table holds those of them that the route needs (see
`route.router`) and that no conjunct rules out (see `plan.restrict`), each exactly (see `plan.travel`), with the columns
declared as their owner declares them. A column that the text never names, neither by its name nor by ``*`` nor by
NATURAL, cannot be told to be missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from sqlglot import exp

from dbmesh.errors import NotSupported
from dbmesh.plan.model import Bound, Call, Federation, RouteUnit, Scope, Shipment
from dbmesh.plan.reduce import Reduction, condition, order_of, reductions, values_at
from dbmesh.plan.references import list_edits, table_edits
from dbmesh.plan.restrict import conditions_among, own_conditions
from dbmesh.plan.session_functions import left_behind
from dbmesh.plan.travel import Travel, may_be_key, travel
from dbmesh.rewrite import Edit, LimitSlot, Piece, SessionValue, TableSlot, Template, quoted, splice
from dbmesh.route.placement import RouteKind
from dbmesh.route.router import RouteTemplate, Target
from dbmesh.rules.model import DataNode, LogicalDatabase, ShardedTable
from dbmesh.schema import Column, Table
from dbmesh.sql.blocks import Blocks, Place
from dbmesh.sql.classify import StatementKind
from dbmesh.sql.functions import BUILT_IN
from dbmesh.sql.layout import Span, closing
from dbmesh.sql.predicate import Every, Predicate, SameValue, Some
from dbmesh.sql.tokens import Token, TokenKind

PARTNERS = "PARTNERS"  # further conditions on the rows that are read, in the place of a session's value
NODE = "DATA NODE"  # the number of the data node that is read, in the place of a session's value
_MOST_KEYS = 8  # of one scratch table
_WINDOW = frozenset(
    {"ROW_NUMBER", "RANK", "DENSE_RANK", "PERCENT_RANK", "CUME_DIST", "NTILE", "LAG", "LEAD", "FIRST_VALUE",
     "LAST_VALUE", "NTH_VALUE"}
)  # fmt: skip
_KNOWN = BUILT_IN | _WINDOW | {"JSON_TABLE", "COLUMNS", "MATCH", "OVER"}
_STAR_AFTER = frozenset({"SELECT", "ALL", "DISTINCT", "DISTINCTROW", "STRAIGHT_JOIN", "HIGH_PRIORITY"})


@dataclass(frozen=True, slots=True)
class Scratch:
    """The scratch table of one reference. ``read``: the query of a data node, its table the first slot.

    ``limited``: whether it has conditions of its own.
    """

    name: str
    create: str
    columns: tuple[Travel, ...]
    read: Template
    target: Target
    limited: bool = False


@dataclass(frozen=True, slots=True)
class Federated:
    """``most_rows``: as many a data node may send, and one more to tell that there are more."""

    kind: StatementKind
    data_source: str
    scratches: tuple[Scratch, ...]
    whole: Template
    route: RouteTemplate
    most_rows: int
    most_bytes: int
    leaves: tuple[str, ...] = ()
    order: tuple[int, ...] = ()
    reductions: tuple[Reduction, ...] = ()

    def bind(self, literals: Sequence[str], call: Call) -> Bound:
        """The route units are those that gather the rows."""
        federation, route_kind = self.gather(literals, call)
        units = tuple(unit for shipment in federation.shipments for unit in shipment.units)
        return Bound(self.kind, route_kind, units, federation=federation)

    def gather(self, literals: Sequence[str], call: Call, *more: str) -> tuple[Federation, RouteKind]:
        """``more``: further tables that the text speaks of behind the gathered ones."""
        needed = self.route.needed(literals)
        shipments, whole = [], True
        for index, scratch in enumerate(self.scratches):
            nodes = nodes_to_read(scratch.target, needed.get(index), self.data_source)
            whole = whole and len(nodes) == len(scratch.target.rule.nodes)
            units = tuple(self._unit(scratch, node, literals, call) for node in nodes)
            columns, write = tuple(c.column for c in scratch.columns), tuple(c.write for c in scratch.columns)
            shipment = Shipment(scratch.name, scratch.create, columns, write, units)
            shipments.append(self._reducible(shipment, index, nodes, literals, call))

        def reading(names: Sequence[str], schema: str) -> str:
            return self.whole.render(literals, [*names, *more], call.session_value, schema=schema)

        sql = reading([scratch.name for scratch in self.scratches], "")
        most = self.most_rows, self.most_bytes
        federation = Federation(self.data_source, tuple(shipments), sql, reading, *most, self.leaves, self.order)
        return federation, RouteKind.SCATTER if whole else RouteKind.MULTI

    def _reducible(
        self, shipment: Shipment, index: int, nodes: Sequence[DataNode], literals: Sequence[str], call: Call
    ) -> Shipment:
        found = [reduction for reduction in self.reductions if reduction.target == index]
        if not found:
            return shipment
        scratch = self.scratches[index]
        rule, alias = scratch.target.rule, scratch.target.reference.alias

        def reduced(values: Sequence[Sequence[int] | None]) -> tuple[RouteUnit, ...]:
            units = []
            for node in nodes:
                number = rule.nodes.index(node)
                known = [(r.target_column, v) for r, v in zip(found, values, strict=True) if v is not None]
                here = [(column, values_at(rule, column, v, number)) for column, v in known]
                if all(left for _, left in here):
                    conditions = [condition(alias, column, left) for column, left in here]
                    units.append(self._unit(scratch, node, literals, call, conditions))
            return tuple(units)

        partners = tuple((self.scratches[r.source].name, r.source_column) for r in found)
        return replace(shipment, partners=partners, reduced=reduced)

    def _unit(
        self, scratch: Scratch, node: DataNode, literals: Sequence[str], call: Call, conditions: Sequence[str] = ()
    ) -> RouteUnit:
        number = scratch.target.rule.nodes.index(node)

        def value(name: str) -> str:
            if name == PARTNERS:
                return (" AND " if scratch.limited else " WHERE ") + " AND ".join(conditions) if conditions else ""
            return str(number) if name == NODE else call.session_value(name)

        lists = self.route.kept(literals, {scratch.target.reference.index: number})
        sql = scratch.read.render(literals, [node.table], value, f" LIMIT {self.most_rows + 1}", lists=lists)
        return RouteUnit(node.data_source, node.table, sql)


def nodes_to_read(target: Target, needed: frozenset[int] | None, preferred: str) -> tuple[DataNode, ...]:
    """Where a reference's rows are read. ``needed``: of a sharded table; ``preferred``: of copies this one's."""
    nodes = target.rule.nodes
    if isinstance(target.rule, ShardedTable):
        assert needed is not None
        return tuple(nodes[at] for at in sorted(needed))
    return (next((node for node in nodes if node.data_source == preferred), nodes[0]),)


async def plan_federated(blocks: Blocks, route: RouteTemplate, whole: Template, scope: Scope) -> Federated | None:
    """None offline, where nobody knows the columns. Raises NotSupported for what cannot be gathered exactly."""
    statement = blocks.statement
    check_gatherable(statement.tokens)
    tables: dict[int, Table] = {}
    for target in route.targets:
        table = await scope.columns(target.rule)
        if table is None:
            return None
        tables[target.reference.index] = table
    data_source = federating(route.targets[0].database)
    lock = _lock(blocks, route)
    outermost = {block.index for block in blocks.blocks if block.place is Place.TOP}
    lists = list_edits(statement, route)
    scratches = tuple(
        scratch_of(blocks, target, tables, lock if target.reference.block in outermost else "", lists=lists)
        for target in route.targets
    )
    most_rows, most_bytes = scope.rules.gather_rows, scope.rules.gather_memory
    if scope.hints.budget is not None:
        most_bytes = min(most_bytes, scope.hints.budget)
    leaves = left_behind(statement.tokens)
    limited = [at for at, scratch in enumerate(scratches) if scratch.limited]
    order, reducing = order_of(len(scratches), limited, reductions(blocks, tables))
    return Federated(
        statement.kind, data_source, scratches, whole, route, most_rows, most_bytes, leaves, order, reducing
    )


def _lock(blocks: Blocks, route: RouteTemplate) -> str:
    """The client's locking clause for the rows that are read; '' without one."""
    tree, tokens = blocks.statement.tree, blocks.statement.tokens
    locking = [select for select in tree.find_all(exp.Select) if select.args.get("locks")]
    if not locking:
        return ""
    [lock, *more] = locking[0].args["locks"]
    if locking != [tree] or more or lock.args.get("expressions"):
        raise NotSupported(
            "a locking clause of a part of it over several data nodes", "lock the rows of all its tables"
        )
    if any(target.rule.base for target in route.targets):
        raise NotSupported("a locking read of BASE tables that are not joined on their sharding keys")
    start = max(at for at, token in enumerate(tokens) if token.upper in ("FOR", "LOCK"))
    return " " + " ".join(token.text for token in tokens[start:])


def federating(database: LogicalDatabase) -> str:
    """The data source whose server answers the federated statements of a logical database."""
    return next(iter(database.data_sources))


def check_gatherable(tokens: Sequence[Token]) -> None:
    """Refuse what says something else of gathered rows."""
    for at, (token, after) in enumerate(pairwise(tokens)):
        if token.is_name and after.text == "(" and token.upper not in _KNOWN and not _names_columns(tokens, at):
            raise NotSupported(
                f"{token.text}() over several data nodes: a stored function would see one data node's tables only"
            )
    words = {token.upper for token in tokens}
    if "MATCH" in words and "AGAINST" in words:
        raise NotSupported("MATCH … AGAINST over several data nodes, whose words only their own index weighs")
    for at, token in enumerate(tokens[:-1]):
        if token.upper == "DEFAULT" and tokens[at + 1].text == "(":
            raise NotSupported("DEFAULT(column) over several data nodes")


def _names_columns(tokens: Sequence[Token], at: int) -> bool:
    """``WITH name (a, b) AS (…)`` and ``AS name (a, b)``: no call."""
    end = closing(tokens, at + 1)
    after = [token.upper or token.text for token in tokens[end + 1 : end + 3]] if end is not None else []
    return after == ["AS", "("] or (at > 0 and tokens[at - 1].upper == "AS")


def scratch_of(
    blocks: Blocks,
    target: Target,
    tables: dict[int, Table],
    lock: str = "",
    where: Span | None = None,
    lists: Sequence[Edit] = (),
) -> Scratch:
    """The scratch table of a reference that is only read.

    ``lock``: the locking clause that its rows are read with. ``where``: the condition of an UPDATE or DELETE of it.
    ``lists``: see `list_edits`.
    """
    reference, table = target.reference, tables[target.reference.index]
    if blocks.blocks[reference.block].odd == "TABLE without SELECT" and not reference.has_alias:
        raise NotSupported("TABLE over several data nodes", "write SELECT * FROM it")
    name = f"dm_scratch_{reference.index}"
    columns = named_columns(blocks.statement.tokens, table)
    ways = tuple(travel(column) for column in columns)
    parts = [way.declaration for way in ways] + scratch_keys(blocks, target, table, columns)
    create = f"CREATE TEMPORARY TABLE {quoted(name)} ({', '.join(parts)}) ENGINE=InnoDB"
    own = own_conditions(blocks, reference, tables)
    if where is not None and reference.block == 0:
        own = conditions_among(blocks, reference, tables, where)
    conditions = conditions_of(blocks, own, lists)
    items = ", ".join(way.read for way in ways)
    tail = (SessionValue(PARTNERS), LimitSlot(), lock)
    read = Template((f"SELECT {items} FROM ", TableSlot(0, target.reference.alias), *conditions, *tail))
    return Scratch(name, create, ways, read, target, bool(own))


def conditions_of(blocks: Blocks, spans: Iterable[Span], lists: Sequence[Edit] = ()) -> list[Piece]:
    """`` WHERE (…) AND (…)`` of these conjuncts of the text, nothing without any."""
    statement = blocks.statement
    edits = [*table_edits(blocks), *lists]
    pieces: list[Piece] = []
    for number, span in enumerate(spans):
        start, end = statement.tokens[span.first].start, statement.tokens[span.last - 1].end
        own = [edit for edit in edits if start <= edit.start and edit.end <= end]
        condition = splice(statement.text, statement.literals, own, start, end)
        pieces += [" AND (" if number else " WHERE (", *condition.pieces, ")"]
    return pieces


def named_columns(tokens: Sequence[Token], table: Table) -> list[Column]:
    """The columns that the text may mean, one at least."""
    if _takes_all(tokens):
        return [c for c in table.columns if not c.invisible or _is_named(tokens, c)]
    found = [column for column in table.columns if _is_named(tokens, column)]
    key = {name.lower() for name in table.primary_key}
    return found or [c for c in table.columns if c.name.lower() in key] or list(table.columns[:1])


def _is_named(tokens: Sequence[Token], column: Column) -> bool:
    folded = column.name.lower()
    return any(
        (token.name if token.is_name else token.text[1:-1]).lower() == folded
        for token in tokens
        if token.is_name or token.kind is TokenKind.STRING  # "name" may be one, as sql_mode has it
    )


def _takes_all(tokens: Sequence[Token]) -> bool:
    """Whether a ``*`` stands for columns, or NATURAL may compare any of them."""
    for at, token in enumerate(tokens):
        if token.upper in ("NATURAL", "TABLE"):
            return True
        if token.text == "*" and at and (tokens[at - 1].text in (",", ".") or tokens[at - 1].upper in _STAR_AFTER):
            return True
    return False


def scratch_keys(blocks: Blocks, target: Target, table: Table, columns: Sequence[Column]) -> list[str]:
    """Keys that joins can use. The primary key is one only where the shards together cannot hold it twice.

    Beside ``<=>`` there are none: MariaDB 10.11 forgets ``a = b`` next to ``b <=> a`` when it has a key for them.
    """
    there = {column.name.lower() for column in columns}
    primary = tuple(name.lower() for name in table.primary_key)
    keys = []
    if primary and there.issuperset(primary):
        sharded = isinstance(target.rule, ShardedTable)
        sure = not sharded or set(target.rule.key_columns) <= set(primary)  # type: ignore[union-attr]
        parts = [column for column in columns if column.name.lower() in primary]
        if all(may_be_key(column) for column in parts):
            listed = ", ".join(quoted(name) for name in table.primary_key)
            keys.append(f"PRIMARY KEY ({listed})" if sure else f"KEY ({listed})")
    compared = {name for block in blocks.blocks for part in (block.where, *(j.condition for j in block.joins))
                for name in _compared(part)}  # fmt: skip
    if any(token.text == "<=>" for token in blocks.statement.tokens):
        return keys
    for column in columns:
        if column.name.lower() in compared and may_be_key(column) and len(keys) < _MOST_KEYS:
            keys.append(f"KEY ({quoted(column.name)})")
    return keys


def _compared(predicate: Predicate) -> set[str]:
    match predicate:
        case SameValue(left, right):
            return {left.name.lower(), right.name.lower()}
        case Every(parts) | Some(parts):
            return {name for part in parts for name in _compared(part)}
    return set()
