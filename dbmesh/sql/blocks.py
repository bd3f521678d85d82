"""The query blocks of a statement and the table references in them: who sees whom, and what must match what.

A block is one SELECT (or the body of an UPDATE or DELETE). Subqueries see their outer blocks; derived tables, common
table expressions and the arms of a set operation do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from sqlglot import exp

from dbmesh.errors import NotSupported
from dbmesh.sql.predicate import ANYTHING, ColumnName, Predicate, SameValue, every, predicate
from dbmesh.sql.statement import Statement, span_of


class Place(Enum):
    """Where a block stands: what the merge of several nodes' results may ignore depends on it."""

    TOP = "top"
    SUBQUERY = "subquery"
    DERIVED = "derived table"
    CTE = "common table expression"
    SET_OPERATION = "set operation"


@dataclass(slots=True)
class TableReference:
    """``span``: the source text of ``database.name``. ``alias``: what columns are qualified with.

    ``has_alias``: the text gives one. ``null_supplied``: an outer join may pair other rows with NULLs instead.
    """

    index: int
    database: str
    name: str
    alias: str
    has_alias: bool
    span: tuple[int, int]
    block: int
    null_supplied: bool = False


@dataclass(slots=True)
class JoinCondition:
    """ON or USING of one join. ``right``: the joined reference, None for what is no table.

    ``side``: '' for an inner join, 'LEFT' or 'RIGHT' for outer ones; ``earlier``: references left of the join.
    """

    condition: Predicate
    side: Literal["", "LEFT", "RIGHT"]
    right: int | None
    earlier: tuple[int, ...]


@dataclass(slots=True)
class Block:
    """``sources``: names visible in this block → index of the table reference, None for anything that is no table.

    ``odd``: something in FROM that only a single data node may run ('a LATERAL table' …).
    ``shared``: lower-cased columns that USING made one of; '*' for all of them (NATURAL).
    """

    index: int
    parent: int | None
    place: Place
    node: exp.Expr
    sources: dict[str, int | None] = field(default_factory=dict)
    where: Predicate = ANYTHING
    joins: list[JoinCondition] = field(default_factory=list)
    odd: str = ""
    shared: set[str] = field(default_factory=set)

    @property
    def first(self) -> int | None:
        """The reference whose value a shared column has; None when it cannot be told."""
        turned = any(join.side == "RIGHT" for join in self.joins)
        return None if turned else next(iter(self.sources.values()), None)


@dataclass(slots=True)
class Blocks:
    statement: Statement
    blocks: list[Block]
    references: list[TableReference]

    def owner(self, block: Block, column: ColumnName, keys: dict[int, tuple[str, ...]]) -> int | None:
        """The table reference whose column that is, seen from ``block``; None when it is none or cannot be told.

        ``keys``: the lower-cased columns that are asked for, by reference: an unqualified name is looked for in them
        only. A name that two sources of one block have is an error to the servers, so the first one will do.
        """
        current: Block | None = block
        while current is not None:
            if column.table:
                if column.table in current.sources:
                    return current.sources[column.table]
            else:
                wanted = column.name.lower()
                if wanted in current.shared or "*" in current.shared:
                    first = current.first
                    return first if first is not None and wanted in keys.get(first, ()) else None
                for index in current.sources.values():
                    if index is not None and wanted in keys.get(index, ()):
                        return index
                if any(index is None for index in current.sources.values()):
                    return None
            current = None if current.parent is None else self.blocks[current.parent]
        return None


def find_blocks(statement: Statement) -> Blocks:
    """The blocks of a SELECT, UPDATE or DELETE, or of whatever SELECT is within another statement.

    Raises NotSupported for a table reference that has no known place: routing must know every one.
    """
    finder = _Finder(statement)
    finder.root()
    found = Blocks(statement, finder.blocks, finder.references)
    seen = len(finder.placed)
    everywhere = sum(1 for _ in statement.tree.find_all(exp.Table))
    if seen != everywhere:
        raise NotSupported("a table named where the mesh does not expect one")
    return found


_QUERY = (exp.Select, exp.SetOperation)
_TABLE_PARTS = {"this", "db", "alias", "hints", "joins"}
_SELECT_PARTS = {
    "with_", "kind", "expressions", "hint", "distinct", "limit", "operation_modifiers", "from_", "joins", "where",
    "group", "having", "windows", "order", "offset", "locks",
}  # fmt: skip
_JOIN_PARTS = {"this", "on", "using", "side", "kind", "method"}
_INNER = {"", "INNER", "CROSS", "STRAIGHT_JOIN", "STRAIGHT", "OUTER"}


class _Finder:
    def __init__(self, statement: Statement) -> None:
        self.statement = statement
        self.blocks: list[Block] = []
        self.references: list[TableReference] = []
        self.placed: set[int] = set()
        self.common: list[str] = []

    def root(self) -> None:
        tree = self.statement.tree
        if isinstance(tree, exp.Update | exp.Delete):
            self._write(tree)
        else:
            self._query(tree, None, Place.TOP)

    def _write(self, tree: exp.Expr) -> None:
        block = self._new_block(None, Place.TOP, tree)
        self._with(tree)
        self._sources(block, tree)
        for target in tree.args.get("tables") or ():  # DELETE a, b FROM …: names of references, no references
            self.placed.add(id(target))
        block.where = self._condition(tree.args.get("where"))
        self._subqueries(tree, block)

    def _query(self, node: exp.Expr, parent: Block | None, place: Place) -> None:
        common = len(self.common)
        self._with(node)
        if isinstance(node, exp.Select):
            self._select(node, parent, place)
        elif isinstance(node, exp.SetOperation):
            inner = Place.SET_OPERATION if place is Place.TOP else place
            self._query(node.this, parent, inner)
            self._query(node.expression, parent, inner)
            self._loose_subqueries(node, parent, ("this", "expression", "with_"))
        elif isinstance(node, exp.Subquery):
            self._query(node.this, parent, place)
            self._loose_subqueries(node, parent, ("this", "with_", "alias"))
        elif isinstance(node, exp.Table):
            block = self._new_block(parent, place, node)
            block.odd = "TABLE without SELECT"
            self._source(block, node)
        else:
            self._loose_subqueries(node, parent, ("with_",))
        del self.common[common:]

    def _loose_subqueries(self, node: exp.Expr, parent: Block | None, known: tuple[str, ...]) -> None:
        for name, value in node.args.items():
            if name not in known:
                for part in _nodes(value):
                    self._expression(part, parent)

    def _with(self, node: exp.Expr) -> None:
        with_ = node.args.get("with_")
        if with_ is None:
            return
        if with_.args.get("recursive"):
            self.common += [cte.alias for cte in with_.expressions]
        for cte in with_.expressions:
            self._query(cte.this, None, Place.CTE)
            self.common.append(cte.alias)

    def _select(self, node: exp.Select, parent: Block | None, place: Place) -> None:
        block = self._new_block(parent, place, node)
        strange = {name for name, value in node.args.items() if value} - _SELECT_PARTS
        if strange:
            raise NotSupported(f"a SELECT with {', '.join(sorted(strange)).upper()}")
        self._sources(block, node)
        block.where = self._condition(node.args.get("where"))
        self._subqueries(node, block)

    def _subqueries(self, node: exp.Expr, block: Block) -> None:
        for name, value in node.args.items():
            if name == "locks":  # FOR UPDATE OF a: names of references, no references
                self.placed |= {id(table) for lock in value or () for table in lock.args.get("expressions") or ()}
            elif name not in ("from_", "joins", "with_", "tables"):
                for part in _nodes(value):
                    if not (name == "this" and isinstance(part, exp.Table | exp.Subquery)):
                        self._expression(part, block)

    def _expression(self, node: exp.Expr, block: Block | None) -> None:
        if isinstance(node, (*_QUERY, exp.Subquery)):
            self._query(node, block, Place.SUBQUERY)
        elif isinstance(node, exp.Table):
            if block is not None:
                block.odd = "a table in an expression"
                self._source(block, node)
        else:
            for value in node.args.values():
                for part in _nodes(value):
                    self._expression(part, block)

    def _sources(self, block: Block, node: exp.Expr) -> None:
        first = node.args.get("from_")
        if first is not None:
            self._source(block, first.this)
        elif isinstance(node, exp.Update | exp.Delete) and node.this is not None:
            self._source(block, node.this)
        for join in node.args.get("joins") or ():
            self._join(block, join)

    def _join(self, block: Block, join: exp.Join) -> None:
        strange = {name for name, value in join.args.items() if value} - _JOIN_PARTS
        side, kind, method = join.side.upper(), join.kind.upper(), join.method.upper()
        if strange or side not in ("", "LEFT", "RIGHT") or kind not in _INNER or method not in ("", "NATURAL"):
            raise NotSupported(f"a join that MySQL reads in another way ({method} {side} {kind})".replace("  ", " "))
        earlier = tuple(index for index in block.sources.values() if index is not None)
        if side == "RIGHT":
            for index in earlier:
                self.references[index].null_supplied = True
            if len(block.sources) > 1:
                block.odd = block.odd or "a RIGHT JOIN of more than two tables"
        block.shared |= {"*"} if method == "NATURAL" else {c.name.lower() for c in join.args.get("using") or ()}
        before = len(self.references)
        right = self._source(block, join.this)
        if side == "LEFT":
            self._supplied_with_nulls(block, before)
        condition = every((self._condition(join.args.get("on")), self._using(block, join, right)))
        block.joins.append(JoinCondition(condition, side, right, earlier))  # type: ignore[arg-type]
        if join.args.get("on") is not None:
            self._expression(join.args["on"], block)

    def _using(self, block: Block, join: exp.Join, right: int | None) -> Predicate:
        names = list(block.sources)
        using = join.args.get("using")
        if not using or right is None or len(names) != 2:
            return ANYTHING
        left, other = names
        return every(SameValue(ColumnName(left, c.name), ColumnName(other, c.name)) for c in using)

    def _source(self, block: Block, node: exp.Expr) -> int | None:
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
            return self._table(block, node)
        if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Table):
            block.odd = block.odd or "a join in parentheses"
            self._nested(block, node)
            return None
        if isinstance(node, exp.Subquery):
            self._query(node.this, None, Place.DERIVED)
            block.sources[node.alias or f"?{len(block.sources)}"] = None
            self._loose_subqueries(node, block, ("this", "alias"))
            return None
        block.odd = block.odd or f"{node.key.upper()} in FROM"
        block.sources[node.alias or f"?{len(block.sources)}"] = None
        if isinstance(node, exp.Table):
            self.placed.add(id(node))
        for value in node.args.values():
            for part in _nodes(value):
                self._expression(part, block)
        return None

    def _nested(self, block: Block, node: exp.Subquery) -> None:
        before = len(self.references)
        self._source(block, node.this)
        for join in node.args.get("joins") or ():
            self._join(block, join)
        self._supplied_with_nulls(block, before)

    def _table(self, block: Block, node: exp.Table) -> int | None:
        self.placed.add(id(node))
        strange = {name for name, value in node.args.items() if value} - _TABLE_PARTS
        if strange:
            raise NotSupported(f"a table reference with {', '.join(sorted(strange)).upper()}")
        alias = node.alias or node.name
        if not node.db and (node.name in self.common or _is_dual(node)):
            block.sources[alias] = None
            if node.name in self.common:
                return None
            del block.sources[alias]
            return None
        reference = self._reference(block, node, alias)
        self._joins_of(block, node)
        return reference

    def _joins_of(self, block: Block, node: exp.Table) -> None:
        """Joins below a table: those of a multi-table UPDATE or DELETE, or ``a JOIN b JOIN c ON … ON …``."""
        joins = node.args.get("joins") or ()
        before = len(self.references) - 1
        for join in joins:
            self._join(block, join)
        if joins and not (isinstance(node.parent, exp.Update | exp.Delete) and node.arg_key == "this"):
            block.odd = block.odd or "nested joins"
            self._supplied_with_nulls(block, before)

    def _supplied_with_nulls(self, block: Block, since: int) -> None:
        for reference in self.references[since:]:
            if reference.block == block.index:
                reference.null_supplied = True

    def _reference(self, block: Block, node: exp.Table, alias: str) -> int:
        name = span_of(node.this)
        database = span_of(node.args["db"]) if node.args.get("db") else name
        if name is None or database is None or node.args.get("catalog"):
            raise NotSupported(f"the table reference '{node.name}' where the mesh cannot find it in the text")
        reference = TableReference(
            len(self.references), node.db, node.name, alias, bool(node.alias), (database[0], name[1]), block.index
        )
        self.references.append(reference)
        if alias in block.sources:
            raise NotSupported(f"two tables named '{alias}' in one FROM", "give one of them an alias")
        block.sources[alias] = reference.index
        return reference.index

    def _condition(self, node: exp.Expr | None) -> Predicate:
        return predicate(self.statement, node.this if isinstance(node, exp.Where) else node)

    def _new_block(self, parent: Block | None, place: Place, node: exp.Expr) -> Block:
        block = Block(len(self.blocks), None if parent is None else parent.index, place, node)
        self.blocks.append(block)
        return block


def _is_dual(node: exp.Table) -> bool:
    return node.name.upper() == "DUAL" and not node.this.quoted


def _nodes(value: object) -> Iterator[exp.Expr]:
    if isinstance(value, exp.Expr):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _nodes(item)
