"""UPDATE and DELETE that no data node can do for itself: done on scratch tables first, then by key on the data nodes.

The rows that the statement may need are gathered as for a federated SELECT (see `plan.federate`), locked where they
are, and one server runs the client's own text on them. What has become different there, and only that, is then done on
the data nodes, row by key.

The proof: after the gathering each written reference's scratch table holds all rows that the statement may change, each
with the values of the row, and they stay locked. So what the server does to them is what one server would do: which
rows an ORDER BY and a LIMIT take, what SET computes, which errors and warnings, how many rows are matched and changed.
What it cannot see is refused or left to the data nodes: triggers are refused, unique and foreign keys and checks
are the data nodes' own, whose errors undo the statement everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dbmesh.errors import NotSupported
from dbmesh.plan.effects import Deleted, Updated, WrittenTable, row_key
from dbmesh.plan.federate import (
    NODE,
    Federated,
    Scratch,
    check_gatherable,
    conditions_of,
    named_columns,
    scratch_keys,
    scratch_of,
)
from dbmesh.plan.model import Bound, Call, Effect, RouteUnit, Scope, Staging
from dbmesh.plan.references import database_edits
from dbmesh.plan.restrict import conditions_among
from dbmesh.plan.travel import Travel, may_be_key, travel
from dbmesh.plan.write_text import answered_edits, check_parted
from dbmesh.rewrite import LimitSlot, Piece, SessionValue, TableSlot, Template, quoted, splice
from dbmesh.route.router import RouteTemplate, Target
from dbmesh.rules.model import ShardedTable, TableRule
from dbmesh.schema import Column, Table
from dbmesh.sql.blocks import Blocks
from dbmesh.sql.functions import CLOCK, VOLATILE
from dbmesh.sql.layout import Span
from dbmesh.sql.tokens import TokenKind

LOCKED, SHARED = " FOR UPDATE", " LOCK IN SHARE MODE"
_SUBQUERY = frozenset({"SELECT", "TABLE", "VALUES"})


@dataclass(frozen=True, slots=True)
class WriteText:
    """What of an UPDATE or DELETE staging has to know. ``whole``: its text; ``written``: references that change.

    ``assigned``: by reference, lower-cased columns. ``clauses``: the token of each clause's word. ``plain``: one table.
    """

    blocks: Blocks
    route: RouteTemplate
    whole: Template
    written: tuple[int, ...]
    assigned: Mapping[int, frozenset[str]]
    clauses: Mapping[str, int]
    plain: bool
    deletes: bool
    ignore: bool


@dataclass(frozen=True, slots=True)
class StagedWrite:
    """Bound it becomes a `Staging`."""

    gathered: Federated
    effects: tuple[Effect, ...]
    names: Mapping[str, str]
    ignore: bool
    most_held: int

    def bind(self, literals: Sequence[str], call: Call) -> Bound:
        federation, route_kind = self.gathered.gather(literals, call)
        staging = Staging(federation, self.effects, self.names, self.ignore, call.strict, self.most_held)
        units: tuple[RouteUnit, ...] = tuple(unit for shipment in federation.shipments for unit in shipment.units)
        return Bound(self.gathered.kind, route_kind, units, staging=staging)


async def plan_staged(text: WriteText, scope: Scope) -> StagedWrite | None:
    """None offline, where nobody knows the columns. Raises NotSupported for what could not be done as one server."""
    tokens = text.blocks.statement.tokens
    check_gatherable(tokens)
    check_parted(tokens)
    tables = await tables_of(text.route, scope)
    return None if tables is None else _Stager(text, tables, scope).plan()


class _Stager:
    def __init__(self, text: WriteText, tables: dict[int, Table], scope: Scope) -> None:
        self.text = text
        self.tables = tables
        self.scope = scope
        self.tokens = text.blocks.statement.tokens

    def plan(self) -> StagedWrite:
        targets, rules = self.text.route.targets, self.scope.rules
        names = [targets[index].rule.name for index in self.text.written]
        if len(set(names)) < len(names):
            raise NotSupported("one table is written under two names")
        scratches, effects = [], []
        for target in targets:
            index = target.reference.index
            if index not in self.text.written:
                scratches.append(scratch_of(self.text.blocks, target, self.tables, SHARED, self._clause("WHERE", 1)))
                continue
            effect = self._effect(target)
            scratches.append(self._scratch(target, effect))
            effects.append(effect)
        gathered = Federated(
            self.text.blocks.statement.kind, next(iter(targets[0].database.data_sources)), tuple(scratches),
            self.text.whole, self.text.route, rules.gather_rows, rules.gather_memory,
        )  # fmt: skip
        told = {scratch.name: scratch.target.rule.name for scratch in scratches}
        return StagedWrite(gathered, tuple(effects), told, self.text.ignore, rules.merge_memory)

    def _effect(self, target: Target) -> Updated | Deleted:
        index, table = target.reference.index, self.tables[target.reference.index]
        written = written_table(target.rule, table)
        if self.text.deletes:
            return Deleted(written, index)
        assigned = self.text.assigned.get(index, frozenset())
        unknown = [name for name in assigned if table.column(name) is None]
        if unknown:
            raise NotSupported(f"an assignment to '{unknown[0]}', which may be of any of its tables", "qualify it")
        self._check_generated(table, assigned)
        columns = tuple(c for c in table.columns if c.name.lower() in assigned or (c.on_update and not c.generated))
        unique = assigned & {name.lower() for names in _unique(table) for name in names}
        sharded = frozenset(target.rule.key_columns) if isinstance(target.rule, ShardedTable) else frozenset()
        whole = bool(unique or assigned & sharded)
        if whole:
            _check_anew(target.rule, table, self.text.ignore)
        return Updated(written, index, columns, frozenset(unique), whole)

    def _check_generated(self, table: Table, assigned: frozenset[str]) -> None:
        """Scratch tables have generated columns as plain ones."""
        first = self.text.clauses.get("WHERE", len(self.tokens))
        named = {token.name.lower() for token in self.tokens[:first] if token.is_name}
        for column in table.columns:
            if column.generated and column.name.lower() in named:
                raise NotSupported(f"the generated column '{column.name}' in SET over several data nodes")

    def _scratch(self, target: Target, effect: Updated | Deleted) -> Scratch:
        index, table = target.reference.index, self.tables[target.reference.index]
        wanted = {column.name.lower() for column in (*named_columns(self.tokens, table), *effect.written.key)}
        if isinstance(effect, Updated):
            wanted |= {c.name.lower() for c in (effect.written.stored if effect.whole else effect.columns)}
        columns = [replace(c, invisible=False) for c in table.columns if c.name.lower() in wanted]
        ways = [travel(column) for column in columns]
        ways += [row_numbers(f"dm_row_{index}"), travel(Column(f"dm_node_{index}", "int", "int", nullable=False))]
        declared = [declaration(column, self.text.deletes) for column in columns]
        declared += [way.declaration for way in ways[-2:]]
        if isinstance(effect, Updated) and effect.whole:
            declared += _unique_keys(table)
        else:
            declared += scratch_keys(self.text.blocks, target, table, columns)
        declared.append(f"KEY ({quoted(f'dm_row_{index}')})")
        name = f"dm_scratch_{index}"
        create = f"CREATE TEMPORARY TABLE {quoted(name)} ({', '.join(declared)}) ENGINE=InnoDB"
        return Scratch(name, create, tuple(ways), self._read(target, ways), target)

    def _read(self, target: Target, ways: Sequence[Travel]) -> Template:
        """The rows that it may change, and which data node they are from."""
        items = ", ".join(way.read for way in ways[:-1])
        head: tuple[Piece, ...] = (f"SELECT {items}, ", SessionValue(NODE), " FROM ")
        table = TableSlot(0, target.reference.alias)
        return Template((*head, table, *self._narrowed(target), LOCKED))

    def _narrowed(self, target: Target) -> list[Piece]:
        """What leaves rows out. One table's rows are taken by its data nodes as by the whole statement: each gives
        the first of its own, among which the first of all are."""
        clauses, blocks = self.text.clauses, self.text.blocks
        where = self._clause("WHERE", 1)
        if not self.text.plain or not self._repeatable():
            if where is None or target.reference.block != 0:
                return [LimitSlot()]
            return [*conditions_of(blocks, conditions_among(blocks, target.reference, self.tables, where)), LimitSlot()]
        pieces: list[Piece] = [" WHERE (", *self._pieces(where), ")"] if where else []
        if "LIMIT" not in clauses:
            return [*pieces, LimitSlot()]
        order, limit = self._clause("ORDER", 2), self._clause("LIMIT", 1)
        pieces += [" ORDER BY ", *self._pieces(order)] if order else []
        assert limit is not None
        return [*pieces, " LIMIT ", *self._pieces(limit)]

    def _pieces(self, span: Span) -> tuple[Piece, ...]:
        statement = self.text.blocks.statement
        edits = [*database_edits(statement.tree), *answered_edits(statement.text, self.tokens)]
        start, end = self.tokens[span.first].start, self.tokens[span.last - 1].end
        return splice(statement.text, statement.literals, edits, start, end).pieces

    def _repeatable(self) -> bool:
        """Whether WHERE and ORDER BY say the same of a row wherever and how often they are asked."""
        first = min((self.text.clauses[name] for name in ("WHERE", "ORDER") if name in self.text.clauses), default=0)
        words = {token.upper for token in self.tokens[first:]} if first else set()
        return not words & (_SUBQUERY | VOLATILE | CLOCK) and not any(
            token.kind is TokenKind.VARIABLE or token.text == "@@" for token in self.tokens[first:]
        )

    def _clause(self, name: str, words: int) -> Span | None:
        at = self.text.clauses.get(name)
        if at is None:
            return None
        return Span(at + words, min((n for n in self.text.clauses.values() if n > at), default=len(self.tokens)))


def written_table(rule: TableRule, table: Table) -> WrittenTable:
    """Raises NotSupported for what only a data node's server does to its rows."""
    check_effects(rule, table)
    return WrittenTable(rule, table, row_key(rule, table))


def check_effects(rule: TableRule, table: Table) -> None:
    """Refuse triggers: they would see the rows one by one, or twice."""
    if table.triggers:
        raise NotSupported(
            f"table '{rule.name}' has triggers ({', '.join(table.triggers)}), which only the statement itself would"
            " fire as one server does",
            "restrict it to one sharding key",
        )


def _check_anew(rule: TableRule, table: Table, ignore: bool) -> None:
    """Refuse what an UPDATE does and a DELETE with an INSERT after it does not."""
    if ignore:
        raise NotSupported(
            f"UPDATE IGNORE of a key of '{rule.name}' over several data nodes", "leave IGNORE out, or name one key"
        )
    if table.cascades:
        raise NotSupported(
            f"foreign keys ({', '.join(table.cascades)}) change other tables when a row of '{rule.name}' is replaced"
        )


async def tables_of(route: RouteTemplate, scope: Scope) -> dict[int, Table] | None:
    """What every reference is; None offline."""
    tables: dict[int, Table] = {}
    for target in route.targets:
        table = await scope.columns(target.rule)
        if table is None:
            return None
        tables[target.reference.index] = table
    return tables


def declaration(column: Column, plain: bool = False) -> str:
    """A column of a scratch table that is written. ``plain``: without what a server does by itself."""
    text = travel(column).declaration
    if plain or column.generated:
        return text
    if column.default is not None and not column.auto_increment:
        text += f" DEFAULT ({column.default})"
    if column.on_update:
        text += " ON UPDATE CURRENT_TIMESTAMP" + (f"({column.scale})" if column.scale else "")
    return text


def row_numbers(name: str) -> Travel:
    """A column that numbers the rows of a scratch table as they come."""
    number = travel(Column(name, "bigint", "bigint", nullable=False))
    return Travel(name, "NULL", number.write, f"{quoted(name)} bigint NOT NULL AUTO_INCREMENT")


def _unique(table: Table) -> list[tuple[str, ...]]:
    return [index.columns for index in table.unique] or ([table.primary_key] if table.primary_key else [])


def _unique_keys(table: Table) -> list[str]:
    """The unique indexes, so that a value that two rows get is found in the words of one server."""
    keys = []
    for index in table.unique:
        columns = [table.column(name) for name in index.columns]
        if all(column is not None and not column.generated and may_be_key(column) for column in columns):
            listed = ", ".join(map(quoted, index.columns))
            primary = index.name.upper() == "PRIMARY"
            keys.append(f"PRIMARY KEY ({listed})" if primary else f"UNIQUE KEY {quoted(index.name)} ({listed})")
    return keys
