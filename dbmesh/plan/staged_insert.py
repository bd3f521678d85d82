"""INSERT and REPLACE whose rows come from a query, over any data nodes: put into a scratch table, then parted.

One server runs the client's text into a table declared as the written one, over the gathered rows (see
`plan.federate`): what a value becomes in its column, which defaults stand in, and which of it is an error or a warning
is that server's business, NOW() is its one instant. Every row then has the values that it will be stored with, so its
sharding key tells its data node, and goes there with all of them as literals. Duplicates are the data nodes' to find.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dbmesh.errors import BackendError, NotSupported
from dbmesh.plan.clock import clock_edits
from dbmesh.plan.effects import ROW_NUMBER, TARGET, Inserted, Numbers, WrittenTable
from dbmesh.plan.federate import Federated, check_gatherable, federating, scratch_of
from dbmesh.plan.insert_text import InsertText, given_columns
from dbmesh.plan.model import Bound, Call, Scope, Staging
from dbmesh.plan.references import table_edits
from dbmesh.plan.staged import SHARED, check_effects, declaration, row_numbers, tables_of
from dbmesh.plan.travel import travel
from dbmesh.plan.write_text import answered_edits, qualified_edits, sets_last_insert_id
from dbmesh.rewrite import Edit, TableSlot, Template, quoted, splice
from dbmesh.route.router import RouteTemplate
from dbmesh.rules.model import BroadcastTable, LogicalDatabase, ShardedTable, TableRule
from dbmesh.schema import Column, Table
from dbmesh.sql.blocks import Blocks
from dbmesh.sql.classify import classify
from dbmesh.sql.fingerprint import literal_spans
from dbmesh.sql.functions import CLOCK
from dbmesh.sql.tokens import Token

_ZONED = CLOCK | {"FROM_UNIXTIME", "CONVERT_TZ", "SYSDATE"}


@dataclass(frozen=True, slots=True)
class StagedInsert:
    """Bound it becomes a `Staging`. ``tail``: ON DUPLICATE KEY UPDATE …, '' without."""

    gathered: Federated
    written: WrittenTable
    create: str
    verb: str
    tail: Template
    numbers: Numbers | None
    names: Mapping[str, str]
    most_held: int

    def bind(self, literals: Sequence[str], call: Call) -> Bound:
        federation, route_kind = self.gathered.gather(literals, call, TARGET)
        nodes = self.written.rule.nodes
        tails = tuple([self.tail.render(literals, (node.table,), call.session_value) for node in nodes])
        given = tails if self.tail.pieces else ()
        effect = Inserted(self.written, self.create, self.verb, given, self.numbers, call)
        staging = Staging(
            federation, (effect,), self.names, "IGNORE" in self.verb, call.strict, self.most_held, "shards",
            bool(given), any(column.type == "timestamp" for column in self.written.stored),
        )  # fmt: skip
        units = tuple(unit for shipment in federation.shipments for unit in shipment.units)
        copies = isinstance(self.written.rule, BroadcastTable)
        affected = "first" if copies else "sum"
        return Bound(self.gathered.kind, route_kind, units, staging=staging, affected=affected)  # type: ignore[arg-type]


async def plan_staged_insert(
    insert: InsertText,
    scope: Scope,
    database: LogicalDatabase,
    rule: TableRule,
    table: Table | None,
    blocks: Blocks,
    route: RouteTemplate,
) -> StagedInsert | None:
    """``route``: of the query. None offline. Raises NotSupported for what could not be done as one server."""
    check_gatherable(blocks.statement.tokens)
    if insert.returning:
        raise NotSupported("RETURNING of an INSERT … SELECT over several data nodes", "read the rows with a SELECT")
    if sets_last_insert_id(insert.tokens):
        raise NotSupported("LAST_INSERT_ID(…) on several data nodes", "write to one sharding key")
    if len(insert.tokens) > insert.name.last and insert.tokens[insert.name.last].upper == "PARTITION":
        raise NotSupported("PARTITION in an INSERT over several data nodes", "leave it out")
    tables = await tables_of(route, scope)
    if tables is None or table is None:
        return None
    check_effects(rule, table)
    columns = given_columns(insert, table) or ()
    _check_columns(table, columns)
    numbers = _numbers(rule, table)
    await _check_ambiguous(insert, rule, table, blocks, tables, scope)
    _check_tail(insert, table)
    gathered = Federated(
        classify(insert.text), federating(database),
        tuple(scratch_of(blocks, target, tables, SHARED) for target in route.targets),
        _filling(insert, blocks, columns), route, scope.rules.gather_rows, scope.rules.gather_memory,
    )  # fmt: skip
    told = {scratch.name: scratch.target.rule.name for scratch in gathered.scratches} | {TARGET: rule.name}
    verb = "REPLACE" if insert.replace else "INSERT IGNORE" if insert.ignore else "INSERT"
    return StagedInsert(
        gathered, WrittenTable(rule, table, ()), _create(table, numbers), verb, _tail(insert, database), numbers, told,
        scope.rules.merge_memory,
    )  # fmt: skip


def _check_columns(table: Table, columns: Sequence[str]) -> None:
    for name in columns:
        column = table.column(name)
        if column is not None and column.generated:
            raise NotSupported(f"a value for the generated column '{column.name}'", "leave it out of a list of columns")


def _numbers(rule: TableRule, table: Table) -> Numbers | None:
    generator = rule.generator if isinstance(rule, ShardedTable) else None
    if generator is not None and generator.type != "auto_increment":
        return Numbers(generator.column.lower(), True)
    automatic = next((column for column in table.columns if column.auto_increment), None)
    return None if automatic is None else Numbers(automatic.name.lower(), False)


def _create(table: Table, numbers: Numbers | None) -> str:
    declared = [_declared(column, numbers) for column in table.columns if not column.generated]
    declared += [row_numbers(ROW_NUMBER).declaration, f"KEY ({ROW_NUMBER})"]
    return f"CREATE TEMPORARY TABLE {quoted(TARGET)} ({', '.join(declared)}) ENGINE=InnoDB"


def _declared(column: Column, numbers: Numbers | None) -> str:
    if numbers is not None and column.name.lower() == numbers.column:  # NULL asks for one
        return travel(replace(column, nullable=True)).declaration
    return declaration(column)


def _filling(insert: InsertText, blocks: Blocks, columns: Sequence[str]) -> Template:
    """The client's text with its list of columns written out, as far as its query goes. The written table is last."""
    tokens = insert.tokens
    assert insert.query is not None
    name = tokens[insert.name.first].start, tokens[insert.name.last - 1].end
    until = tokens[insert.query].start
    if insert.column_list is not None:
        until = tokens[insert.column_list.last - 1].end
    listed = f" ({', '.join(map(quoted, columns))})" + (" " if insert.column_list is None else "")
    edits = [
        Edit(*name, (TableSlot(len(blocks.references)),)),
        Edit(name[1], until, (listed,)),
        *table_edits(blocks),
        *answered_edits(insert.text, tokens),
    ]
    return splice(insert.text, literal_spans(insert.text), edits, end=tokens[insert.query_end - 1].end)


def _tail(insert: InsertText, database: LogicalDatabase) -> Template:
    if not insert.on_duplicate:
        return Template(())
    tokens = insert.tokens
    edits = [
        *qualified_edits(tokens, database.name, insert.table, insert.name),
        *answered_edits(insert.text, tokens),
        *clock_edits(tokens[insert.tail :]),
    ]
    start, end = tokens[insert.tail - 1].end, tokens[-1].end
    return splice(insert.text, literal_spans(insert.text), edits, start, end)


async def _check_ambiguous(
    insert: InsertText, rule: TableRule, table: Table, blocks: Blocks, tables: Mapping[int, Table], scope: Scope
) -> None:
    """Raise 1052 as a server does where a name in ON DUPLICATE KEY UPDATE may be the SELECT's, too."""
    sources = [tables[r.index] for r in blocks.references if blocks.blocks[r.block].parent is None]
    for token in _unqualified(insert):
        if table.column(token.name) is not None and any(source.column(token.name) is not None for source in sources):
            clause = "field list" if await scope.catalog.is_mysql(rule.nodes[0].data_source) else "UPDATE"
            raise BackendError(1052, "23000", f"Column '{token.name}' in {clause} is ambiguous")


def _check_tail(insert: InsertText, table: Table) -> None:
    """What ON DUPLICATE KEY UPDATE names must be there on the data node, and mean the same in any time zone."""
    zoned = any(column.type == "timestamp" for column in table.columns)
    for assignment in insert.on_duplicate:
        column = table.column(assignment.column)
        value = insert.tokens[slice(*assignment.value)]
        named = [found for token in value if (found := _column_of(token, value, insert, table)) is not None]
        if not zoned:
            continue
        moments = [c for c in (column, *named) if c is not None and c.type == "timestamp"]
        if any(token.upper in _ZONED for token in value) or (moments and not _is_values(value, moments)):
            raise NotSupported(
                "ON DUPLICATE KEY UPDATE with TIMESTAMP columns, over several data nodes, of more than VALUES()"
            )
    if insert.on_duplicate and zoned and any(c.on_update and c.type != "timestamp" for c in table.columns):
        raise NotSupported("ON DUPLICATE KEY UPDATE where a DATETIME column changes ON UPDATE, over several data nodes")


def _unqualified(insert: InsertText) -> Iterator[Token]:
    """The names in the assigned values that say no table, those in VALUES() left out."""
    for assignment in insert.on_duplicate:
        for at in range(*assignment.value):
            before, after = insert.tokens[at - 1], insert.tokens[at + 1 : at + 2]
            called = before.text == "(" and insert.tokens[at - 2].upper in ("VALUES", "VALUE")
            plain = before.text != "." and (not after or after[0].text not in (".", "("))
            if insert.tokens[at].is_name and plain and not called:
                yield insert.tokens[at]


def _is_values(value: Sequence[Token], moments: Sequence[Column]) -> bool:
    """``VALUES(moment)`` assigned to a moment."""
    return len(moments) == 2 and len(value) == 4 and value[0].upper in ("VALUES", "VALUE")


def _column_of(token: Token, value: Sequence[Token], insert: InsertText, table: Table) -> Column | None:
    """The column that a token names. Raises NotSupported for a name that is not the written table's."""
    at = value.index(token)
    following = value[at + 1].text if at + 1 < len(value) else ""
    if not token.is_name or following == "(":
        return None
    if following == ".":
        if token.name not in (insert.table, insert.alias):
            raise NotSupported(f"ON DUPLICATE KEY UPDATE with '{token.text}', which the data nodes do not have at hand")
        return None
    return table.column(token.name)
