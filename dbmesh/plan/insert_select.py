"""INSERT … SELECT: as it is where one data source has all that is read and gets every new row, else staged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from sqlglot import exp

from dbmesh.errors import BackendError, NotSupported
from dbmesh.plan.insert_text import InsertText, given_columns
from dbmesh.plan.mistakes import check_text
from dbmesh.plan.model import Bound, Call, Plan, RouteKind, RouteUnit, Scope, TableName, Write
from dbmesh.plan.references import resolve, system_tables, table_edits, table_names
from dbmesh.plan.select import sample_of
from dbmesh.plan.session_functions import user_variables
from dbmesh.plan.staged_insert import StagedInsert, plan_staged_insert
from dbmesh.plan.write_text import answered_edits, file_grant, qualified_edits, sets_last_insert_id
from dbmesh.rewrite import Edit, TableSlot, Template, quoted, splice
from dbmesh.route.conditions import AllOf, Condition
from dbmesh.route.keys import stored_value
from dbmesh.route.placement import place
from dbmesh.route.router import RouteTemplate, Target, route_template
from dbmesh.rules.keys import Equal
from dbmesh.rules.model import BroadcastTable, LogicalDatabase, ShardedTable, TableRule
from dbmesh.schema import Column, Table
from dbmesh.sql.blocks import Blocks, Place, TableReference, find_blocks
from dbmesh.sql.classify import classify
from dbmesh.sql.fingerprint import literal_spans
from dbmesh.sql.predicate import ColumnName, column_name
from dbmesh.sql.statement import Statement, parse

_APART = "INSERT … SELECT would read or write several data nodes"


@dataclass(frozen=True, slots=True)
class StoredKey:
    """The sharding key column ``key`` of every new row holds this literal."""

    key: str
    column: Column | None
    literal: int | None
    negative: bool
    word: str

    def bind(self, literals: Sequence[str]) -> Equal:
        # Without strict mode, since a value that it changes is one that a strict server refuses.
        token = self.word if self.literal is None else literals[self.literal]
        return Equal((stored_value(token, self.negative, self.column, strict=False),))


@dataclass(kw_only=True)
class InsertSelectPlan(Plan):
    """``route``: the references of the SELECT, and the written table last.

    ``refusal``: why no single data source may do it, whatever the values; ``staged``: how it is done then;
    ``unstaged``: why not.
    """

    route: RouteTemplate
    template: Template
    unsure_ids: bool
    write: Write | None
    refusal: NotSupported | None = None
    staged: StagedInsert | None = None
    unstaged: NotSupported | None = None

    def _write(self, table: str, sql: str) -> Write | None:
        return self.write and replace(self.write, table=table, source=quoted(table), head=sql)

    def sample(self, literals: Sequence[str], call: Call) -> tuple[str, str] | None:
        return sample_of(self.route, self.template, literals, call)

    def bind(self, literals: Sequence[str], call: Call) -> Bound:
        try:
            return self._on_one(literals, call)
        except NotSupported as refusal:
            if self.staged is None:
                raise self.unstaged or refusal from None
            return self.staged.bind(literals, call)

    def _on_one(self, literals: Sequence[str], call: Call) -> Bound:
        if self.refusal is not None:
            raise self.refusal
        placement = place(self.route, literals)
        if len(placement.places) != 1:
            raise NotSupported(_APART, "restrict it to one sharding key, or read the rows and insert them")
        [only] = placement.places
        sql = self.template.render(literals, only.tables, call.session_value)
        return Bound(
            self.kind,
            RouteKind.SINGLE,
            (RouteUnit(only.data_source, only.tables[-1], sql, self._write(only.tables[-1], sql)),),
            unsure_ids=self.unsure_ids,
        )


async def plan_insert_select(
    insert: InsertText,
    scope: Scope,
    database: LogicalDatabase,
    rule: TableRule,
    table: Table | None,
    keys: Mapping[str, Column | None],
) -> Plan:
    """The plan of an INSERT or REPLACE whose rows come from a query."""
    blocks = find_blocks(_query(insert))
    if system_tables(blocks):
        raise NotSupported("INSERT … SELECT from the servers' own tables")
    sources = await resolve(blocks, scope)
    if insert.rows and any(source.rule is rule for source in sources):
        await _check_own_subquery(insert, rule, scope)
    written = Target(_reference(insert, len(sources), database), database, rule, keys)
    query = route_template(blocks, sources)
    route, refusal = query, None
    if isinstance(rule, ShardedTable):
        homes = _Homes(insert, scope, blocks, sources, written, rule, table)
        try:
            route = await homes.route(query)
        except NotSupported as why:
            route, refusal = replace(query, conditions={**query.conditions, len(sources): None}), why
    elif isinstance(rule, BroadcastTable) and len(rule.nodes) > 1:
        refusal = NotSupported("INSERT … SELECT into a broadcast table", "read the rows and insert them")
    route = replace(route, targets=(*route.targets, written), apart=route.apart or _APART)
    names = dict.fromkeys((TableName(database.name, insert.table), *table_names(sources)))
    plan = InsertSelectPlan(
        kind=classify(insert.text),
        tables=tuple(names),
        writes=True,
        user_variables=user_variables(insert.tokens),
        grants=file_grant(insert.tokens),
        route=route,
        template=_template(insert, blocks, written, len(sources)),
        write=_write(insert, table),
        unsure_ids=_gives_ids(insert, table),
        refusal=refusal,
    )
    try:
        plan.staged = await plan_staged_insert(insert, scope, database, rule, table, blocks, query)
    except NotSupported as why:
        plan.unstaged = why
    await check_text(route, plan.template, insert.text, literal_spans(insert.text), scope)
    return plan


async def _check_own_subquery(insert: InsertText, rule: TableRule, scope: Scope) -> None:
    """MySQL has no VALUES with a subquery over the written table; MariaDB reads it first."""
    if await scope.catalog.is_mysql(rule.nodes[0].data_source):
        raise BackendError(1093, "HY000", f"You can't specify target table '{insert.table}' for update in FROM clause")


def _gives_ids(insert: InsertText, table: Table | None) -> bool:
    """Whether the AUTO_INCREMENT column is among those that the query fills."""
    names = {name.lower() for name in given_columns(insert, table) or ()}
    numbered = {column.name.lower() for column in table.columns if column.auto_increment} if table else set()
    return bool(names & numbered) and not sets_last_insert_id(insert.tokens)


def _write(insert: InsertText, table: Table | None) -> Write | None:
    """What BASE needs to know of it, without the text of one call; None where the client reads RETURNING."""
    if insert.returning:
        return None
    return Write(
        "I",
        "",
        "",
        "",
        insert_columns=given_columns(insert, table) or (),
        ignore=insert.ignore,
        replace=insert.replace,
        on_duplicate=bool(insert.on_duplicate),
    )


def _query(insert: InsertText) -> Statement:
    """The SELECT by itself, at its place in the text: what is around it is blank. VALUES (…) is read as a SELECT."""
    assert insert.query is not None
    first = insert.tokens[insert.query]
    rest = insert.text[first.end : insert.tokens[insert.query_end - 1].end]
    return parse(" " * first.start + ("SELECT" if first.upper == "VALUES" else first.text) + rest)


def _template(insert: InsertText, blocks: Blocks, written: Target, slot: int) -> Template:
    name = insert.tokens[insert.name.first].start, insert.tokens[insert.name.last - 1].end
    qualified = qualified_edits(insert.tokens, written.database.name, insert.table, insert.name)
    start = insert.tokens[insert.query or 0].start
    end = insert.tokens[insert.query_end - 1].end
    outside = [edit for edit in qualified if not start <= edit.start < end]
    if any(reference.alias == insert.table for reference in blocks.references) and outside:
        raise NotSupported(f"columns qualified with '{insert.table}', which the SELECT reads, too", "give it an alias")
    edits = [
        Edit(*name, (TableSlot(slot),)),
        *table_edits(blocks),
        *answered_edits(insert.text, insert.tokens),
        *(Edit(edit.start, edit.end, (TableSlot(slot),)) for edit in outside),
    ]
    return splice(insert.text, literal_spans(insert.text), edits, end=insert.tokens[-1].end)


def _reference(insert: InsertText, index: int, database: LogicalDatabase) -> TableReference:
    name = insert.tokens[insert.name.first].start, insert.tokens[insert.name.last - 1].end
    return TableReference(index, database.name, insert.table, insert.table, False, name, -1)


class _Homes:
    """Where the new rows belong: told by constants in the place of the key, or by the key of a table that is read."""

    def __init__(
        self,
        insert: InsertText,
        scope: Scope,
        blocks: Blocks,
        sources: Sequence[Target],
        written: Target,
        rule: ShardedTable,
        table: Table | None,
    ) -> None:
        self.insert = insert
        self.scope = scope
        self.blocks = blocks
        self.sources = sources
        self.written = written
        self.rule = rule
        self.table = table

    async def route(self, route: RouteTemplate) -> RouteTemplate:
        """The route with the written table's own condition in it."""
        self._check_numbers()
        index = len(self.sources)
        items = await self._items()
        conditions: list[StoredKey] = []
        for key in self.rule.key_columns:
            item = items.get(key)
            constant = None if item is None else self._constant(key, item)
            if constant is not None:
                conditions.append(constant)
            elif item is not None and (source := self._same_home(key, item)) is not None:
                flows = (*route.flows, (source, index))
                return replace(route, conditions={**route.conditions, index: None}, flows=flows)
        if not conditions:
            return replace(route, conditions={**route.conditions, index: None})
        condition = conditions[0] if len(conditions) == 1 else AllOf(cast("tuple[Condition, ...]", tuple(conditions)))
        return replace(route, conditions={**route.conditions, index: cast("Condition", condition)})

    def _check_numbers(self) -> None:
        """Rows that ask for a number could be any; the mesh would have to read them first."""
        names = [name.lower() for name in given_columns(self.insert, self.table) or ()]
        generator = self.rule.generator
        if generator is not None and generator.type != "auto_increment" and generator.column.lower() not in names:
            raise NotSupported("INSERT … SELECT with generated keys", "read the rows and insert them")
        automatic = next((c for c in self.table.columns if c.auto_increment), None) if self.table else None
        if automatic is not None and len(self.rule.nodes) > 1 and automatic.name.lower() not in names:
            raise NotSupported(
                f"INSERT … SELECT into '{self.rule.name}' with AUTO_INCREMENT: each data node would count for itself",
                f"give '{automatic.name}' a value",
            )

    async def _items(self) -> dict[str, exp.Expr]:
        """Lower-cased column of the written table → the select item that fills it."""
        tree = self.blocks.statement.tree.unnest()
        names = given_columns(self.insert, self.table)
        if not isinstance(tree, exp.Select) or names is None:
            return {}
        items: list[exp.Expr] = list(tree.expressions)
        if len(items) == 1 and isinstance(items[0], exp.Star):
            items = await self._all_columns()
        if len(items) != len(names) or any(item.find(exp.Star) for item in items):
            return {}
        return {name.lower(): item for name, item in zip(names, items, strict=True)}

    async def _all_columns(self) -> list[exp.Expr]:
        """What ``*`` stands for when one table is read."""
        if len(self.blocks.references) != 1 or len(self.blocks.blocks[0].sources) != 1:
            return []
        table = await self.scope.columns(self.sources[0].rule)
        return [exp.column(column.name) for column in table.columns if not column.invisible] if table else []

    def _constant(self, key: str, item: exp.Expr) -> StoredKey | None:
        node = item.unalias().unnest()
        negative = isinstance(node, exp.Neg)
        if negative:
            node = node.this
        column = self.written.columns[key]
        if isinstance(node, exp.Null) and not negative:
            return StoredKey(key, column, None, False, "NULL")
        literal = self.blocks.statement.literal_of(node) if isinstance(node, exp.Literal) else None
        if literal is None or self.blocks.statement.traps or (negative and node.is_string):
            return None
        return StoredKey(key, column, literal, negative, "")

    def _same_home(self, key: str, item: exp.Expr) -> int | None:
        """The reference whose sharding key the item is, when rows with equal keys live at the same node index."""
        name = column_name(item.unalias())
        top = next((block for block in self.blocks.blocks if block.place is Place.TOP), None)
        if name is None or top is None or len(self.rule.key_columns) != 1:
            return None
        keys = {t.reference.index: t.rule.key_columns for t in self.sources if isinstance(t.rule, ShardedTable)}
        index = self.blocks.owner(top, ColumnName(name.table, name.name), keys)
        if index is None or keys.get(index) != (name.name.lower(),):
            return None
        source = self.sources[index]
        bound = source.rule.name == self.rule.name or self.written.database.bound(source.rule.name, self.rule.name)
        alike = _stored_alike(source.columns[name.name.lower()], self.written.columns[key])
        null_supplied = source.reference.null_supplied
        return index if bound and alike and not null_supplied and source.database is self.written.database else None


def _stored_alike(one: Column | None, other: Column | None) -> bool:
    """Whether a value of the one column is stored unchanged in the other."""
    if one is None or other is None:
        return one is other
    return (one.type, one.unsigned, one.length, one.precision, one.scale, one.collation) == (
        other.type, other.unsigned, other.length, other.precision, other.scale, other.collation,
    )  # fmt: skip
