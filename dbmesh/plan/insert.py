"""INSERT and REPLACE: each row to the data node of its sharding key, with generated keys where the rows have none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from dbmesh.errors import NotSupported
from dbmesh.plan.clock import clock_edits
from dbmesh.plan.insert_copies import broadcast_extras, check_copies
from dbmesh.plan.insert_plan import CopiesInsert, Numbering, Parts, ShardedInsert
from dbmesh.plan.insert_rows import GENERATED, Extra, Row, RowReader
from dbmesh.plan.insert_select import plan_insert_select
from dbmesh.plan.insert_text import Assignment, InsertText, given_columns, read_insert
from dbmesh.plan.model import Plan, Scope, TableName
from dbmesh.plan.references import key_columns
from dbmesh.plan.session_functions import check_functions, user_variables
from dbmesh.plan.write_text import (
    answered_edits,
    check_known_functions,
    check_numbered,
    file_grant,
    qualified_edits,
    sets_last_insert_id,
)
from dbmesh.rewrite import Edit, TableSlot, quoted, splice
from dbmesh.rules.model import BroadcastTable, DataNode, LogicalDatabase, ShardedTable, TableRule
from dbmesh.schema import Column, Table
from dbmesh.sql.classify import classify
from dbmesh.sql.fingerprint import literal_spans
from dbmesh.sql.layout import Span

_Made = TypeVar("_Made", CopiesInsert, ShardedInsert)


async def plan_insert(text: str, scope: Scope) -> Plan:
    """The plan of an INSERT or REPLACE. Raises Unparsed for what does not read like one."""
    insert = read_insert(text)
    check_functions(insert.tokens)
    database, rule = scope.resolve(insert.database, insert.table)
    table = await scope.columns(rule)
    _check_on_duplicate(insert, rule)
    keys = await key_columns(rule, scope)
    if insert.query is not None:
        return await plan_insert_select(insert, scope, database, rule, table, keys)
    try:
        _check_subqueries(insert)
        plan = _Planner(insert, database, rule, table, keys).plan()
        if not isinstance(plan, ShardedInsert) or not plan.calculated or insert.set_form or table is None:
            return plan
    except NotSupported:
        if insert.set_form or table is None:
            raise
    as_query = replace(insert, query=insert.rows[0].span.first - 1, query_end=insert.tail)
    return await plan_insert_select(as_query, scope, database, rule, table, keys)


class _Planner:
    def __init__(
        self,
        insert: InsertText,
        database: LogicalDatabase,
        rule: TableRule,
        table: Table | None,
        keys: Mapping[str, Column | None],
    ) -> None:
        self.insert = insert
        self.database = database
        self.rule = rule
        self.table = table
        self.keys = keys
        self.literals = literal_spans(insert.text)
        self.given = given_columns(insert, table)
        self.names = tuple(name.lower() for name in self.given or ())
        tokens = insert.tokens
        self.edits = [
            Edit(tokens[insert.name.first].start, tokens[insert.name.last - 1].end, (TableSlot(0),)),
            *qualified_edits(tokens, database.name, insert.table, insert.name),
            *answered_edits(insert.text, tokens),
        ]

    def plan(self) -> Plan:
        rule = self.rule
        if self.given is None and not isinstance(rule, BroadcastTable) and len(rule.nodes) > 1:
            raise NotSupported("an INSERT without a list of columns while no server can be asked", "name the columns")
        if self.given is not None and any(len(row.values) != len(self.names) for row in self.insert.rows):
            return self._copies(rule.nodes[:1], recorded=False)  # error 1136: any server says so
        if isinstance(rule, ShardedTable):
            return self._sharded(rule)
        return self._broadcast() if isinstance(rule, BroadcastTable) else self._copies(rule.nodes)

    def _copies(self, nodes: tuple[DataNode, ...], recorded: bool = True) -> Plan:
        numbering = self._automatic() if recorded and not sets_last_insert_id(self.insert.tokens) else None
        plan = CopiesInsert(
            kind=classify(self.insert.text),
            nodes=nodes,
            parts=self._parts((), recorded and not self.insert.returning),
            rows=self._rows((), (), numbering),
            numbering=numbering,
        )
        return self._about(plan)

    def _broadcast(self) -> Plan:
        check_copies(self.insert)
        extras = broadcast_extras(self.insert, self.table, self.names)
        self._check_extras(extras)
        numbering = self._automatic()
        self.edits += clock_edits(self.insert.tokens)
        plan = CopiesInsert(
            kind=classify(self.insert.text),
            nodes=self.rule.nodes,
            parts=self._parts(extras),
            rows=self._rows(extras, (), numbering),
            extended=bool(extras),
            numbering=numbering,
        )
        return self._about(plan)

    def _sharded(self, rule: ShardedTable) -> Plan:
        numbering = self._numbering(rule)
        extras: tuple[Extra, ...] = ()
        if numbering is not None and numbering.generated and numbering.place < 0:
            extras = (Extra(numbering.column, (GENERATED,)),)
            self._check_extras(extras)
        apart = self._rows_apart()
        keys = [self.names.index(key) if key in self.names else -1 for key in rule.key_columns]
        plan = ShardedInsert(
            kind=classify(self.insert.text),
            table=rule,
            columns=tuple(self.keys[key] for key in rule.key_columns),
            parts=self._parts(extras, not self.insert.returning),
            rows=self._rows(extras, keys, numbering),
            extended=bool(extras),
            numbering=numbering,
            apart=apart,
            returning=self.insert.returning,
        )
        return self._about(plan)

    def _rows_apart(self) -> NotSupported | None:
        """Give several rows one instant; what keeps them from being parted, None when nothing does."""
        if len(self.insert.rows) < 2:
            return None
        try:
            check_numbered(self.insert.tokens)
            _check_returned(self.insert)
            tail = Span(self.insert.tail, len(self.insert.tokens))
            check_known_functions(self.insert.tokens, [*(row.span for row in self.insert.rows), tail])
            self.edits += clock_edits(self.insert.tokens)
        except NotSupported as why:
            return why
        return None

    def _numbering(self, rule: ShardedTable) -> Numbering | None:
        generator, automatic = rule.generator, self._automatic()
        if generator is None or generator.type == "auto_increment":
            return automatic
        by_server = automatic is not None and automatic.column.lower() == generator.column.lower()
        column = self.table.column(generator.column) if self.table else None
        if self.insert.on_duplicate and column is not None and not by_server:
            raise NotSupported(
                f"ON DUPLICATE KEY UPDATE where '{column.name}' may be generated: whether it was used cannot be told",
                f"make '{column.name}' AUTO_INCREMENT on the servers, they will tell",
            )
        told = by_server and (self.insert.ignore or bool(self.insert.on_duplicate))
        return Numbering(generator.column, self._index(generator.column), True, column, by_server, told)

    def _automatic(self) -> Numbering | None:
        """The AUTO_INCREMENT column."""
        column = next((c for c in self.table.columns if c.auto_increment), None) if self.table else None
        return None if column is None else Numbering(column.name, self._index(column.name), False, column, True, True)

    def _index(self, column: str) -> int:
        return self.names.index(column.lower()) if column.lower() in self.names else -1

    def _check_extras(self, extras: Sequence[Extra]) -> None:
        """A column can be added to a list only where there is one."""
        if extras and self.insert.columns is None and any(row.values for row in self.insert.rows):
            raise NotSupported(f"a value for column '{extras[0].column}', which is invisible", "name the columns")

    def _rows(self, extras: Sequence[Extra], keys: Sequence[int], numbering: Numbering | None) -> tuple[Row, ...]:
        numbered = None if numbering is None else numbering.place
        return RowReader(self.insert, self.literals, self.edits, extras, keys, numbered).rows()

    def _parts(self, extras: Sequence[Extra], recorded: bool = True) -> Parts:
        insert, tokens = self.insert, self.insert.tokens
        rows_start = tokens[insert.rows[0].span.first].start
        rows_end, end = tokens[insert.rows[-1].span.last - 1].end, tokens[-1].end
        return Parts(
            head=splice(insert.text, self.literals, [*self.edits, *self._list_edits(extras)], end=rows_start),
            tail=splice(insert.text, self.literals, self.edits, rows_end, end),
            whole=splice(insert.text, self.literals, self.edits, end=end),
            names=(*(self.given or ()), *(extra.column for extra in extras)),
            rows=len(insert.rows),
            ignore=insert.ignore,
            replace=insert.replace,
            on_duplicate=bool(insert.on_duplicate),
            recorded=recorded,
        )

    def _list_edits(self, extras: Sequence[Extra]) -> list[Edit]:
        """Added columns in the list of columns."""
        if not extras or self.insert.set_form:
            return []
        more = ", ".join(quoted(extra.column) for extra in extras)
        if self.insert.column_list is None:
            end = self.insert.tokens[self.insert.name.last - 1].end
            return [Edit(end, end, (f" ({more})",))]
        closing = self.insert.tokens[self.insert.column_list.last - 1].start
        return [Edit(closing, closing, ((", " if self.names else "") + more,))]

    def _about(self, plan: _Made) -> _Made:
        plan.tables = (TableName(self.database.name, self.insert.table),)
        plan.writes = True
        plan.user_variables = user_variables(self.insert.tokens)
        plan.grants = file_grant(self.insert.tokens)
        return plan


def _check_subqueries(insert: InsertText) -> None:
    for at, token in enumerate(insert.tokens):
        opened = at > 0 and insert.tokens[at - 1].text == "("
        if token.upper == "SELECT" or (token.upper in ("TABLE", "WITH") and opened):
            raise NotSupported("a subquery among the values of an INSERT", "use INSERT … SELECT")


def _check_returned(insert: InsertText) -> None:
    """The rows of RETURNING come in the order of VALUES, which can be told where each of these gives one."""
    if insert.returning and (insert.ignore or insert.replace or insert.on_duplicate):
        raise NotSupported(
            "RETURNING from several data nodes, of rows that may be duplicates", "write to one sharding key"
        )


def _check_on_duplicate(insert: InsertText, rule: TableRule) -> None:
    """The sharding key may be assigned what the row has or what the new row has: both live on this data node."""
    if not isinstance(rule, ShardedTable):
        return
    assigned = [a for a in insert.on_duplicate if a.column.lower() in rule.key_columns]
    moved = [a for a in assigned if not _is_own(insert, a)]
    if any(not _is_new(insert, a) for a in moved) or (moved and len(moved) < len(rule.key_columns)):
        raise NotSupported(
            f"ON DUPLICATE KEY UPDATE of the sharding key column '{moved[0].column}'",
            "leave it out, or assign every column of the key its VALUES()",
        )


def _is_own(insert: InsertText, assignment: Assignment) -> bool:
    """``k = k`` or ``k = t.k``."""
    tokens = insert.tokens[slice(*assignment.value)]
    names = [token.name.lower() for token in tokens if token.is_name]
    column = assignment.column.lower()
    return len(tokens) == 2 * len(names) - 1 and (names == [column] or names == [insert.table.lower(), column])


def _is_new(insert: InsertText, assignment: Assignment) -> bool:
    """``k = VALUES(k)`` or ``k = new.k``."""
    tokens = insert.tokens[slice(*assignment.value)]
    texts = [token.name.lower() if token.is_name else token.text for token in tokens]
    column = assignment.column.lower()
    if texts in (["values", "(", column, ")"], ["value", "(", column, ")"]):
        return True
    return bool(insert.alias) and texts == [insert.alias.lower(), ".", column]
