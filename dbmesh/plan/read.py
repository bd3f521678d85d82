"""SELECT planned: where it may run, and the text for there."""

from __future__ import annotations

from collections.abc import Iterable

from sqlglot import exp

from dbmesh.errors import BackendError, NotSupported
from dbmesh.plan.federate import plan_federated
from dbmesh.plan.hints import hinted_source, on_shard
from dbmesh.plan.mistakes import check_whole
from dbmesh.plan.model import Plan, Scope, TableName
from dbmesh.plan.references import list_edits, resolve, system_tables, table_edits, table_names
from dbmesh.plan.select import SelectPlan, UnicastPlan
from dbmesh.plan.session_functions import (
    label_edits,
    left_behind,
    named_locks,
    session_calls,
    spans_of,
    user_variables,
    value_edits,
)
from dbmesh.plan.several import plan_several
from dbmesh.plan.system import closed, logical_references, with_relations
from dbmesh.plan.unread import any_data_source, unread
from dbmesh.rewrite import Edit, Template, quoted, splice
from dbmesh.route.placement import everywhere
from dbmesh.route.router import Target, route_template
from dbmesh.rules.model import Grant, ShardedTable
from dbmesh.sql.blocks import Blocks, find_blocks
from dbmesh.sql.statement import Statement


async def plan_select(statement: Statement, scope: Scope) -> Plan:
    """SELECT, WITH, VALUES and TABLE."""
    tree = statement.tree.unnest() if isinstance(statement.tree, exp.Subquery) else statement.tree
    if not isinstance(tree, exp.Query | exp.Values | exp.Table):  # SELECT … INTO @v is a CREATE TABLE to the parser
        return unread(statement.kind, statement.tokens)
    blocks = find_blocks(statement)
    _in_system_database(blocks, scope)
    system = system_tables(blocks)
    if system or not blocks.references:
        return await _unicast(statement, blocks, scope, system)
    targets = await resolve(blocks, scope)
    edits = _edits(statement, table_edits(blocks))
    plan = SelectPlan(
        kind=statement.kind,
        tables=table_names(targets),
        locks=locks(statement),
        user_variables=user_variables(statement.tokens),
        grants=file_grant(statement),
        notes=notes(targets),
        leaves=left_behind(statement.tokens),
        route=on_shard(route_template(blocks, targets), scope),
        single=whole(statement, edits),
    )
    if plan.may_scatter and not plan.leaves:
        try:
            edits = [*table_edits(blocks), *list_edits(statement, plan.route)]
            await plan_several(plan, blocks, edits, scope)
        except BackendError:  # of a part of the statement; the whole may say it better
            await check_whole(plan, statement, scope)
            raise
    if not (plan.several and plan.shortcut and everywhere(plan.route)):
        await _federate(plan, blocks, scope)
    if plan.shortcut is None:
        await check_whole(plan, statement, scope)
    return plan


async def _federate(plan: SelectPlan, blocks: Blocks, scope: Scope) -> None:
    if len({node.data_source for target in plan.route.targets for node in target.rule.nodes}) == 1 and not (
        plan.route.conditions
    ):
        return
    try:
        plan.federated = await plan_federated(blocks, plan.route, plan.single, scope)
    except NotSupported as refusal:
        plan.refusal = plan.refusal or refusal


def _edits(statement: Statement, tables: list[Edit]) -> list[Edit]:
    """What the text for one data node needs; the labels of its columns stay those of the client's text."""
    text, tokens = statement.text, statement.tokens
    calls = session_calls(tokens)
    labels = label_edits(text, tokens, [*calls, *spans_of(tokens, tables)])
    return [*tables, *value_edits(tokens, calls), *labels]


def _in_system_database(blocks: Blocks, scope: Scope) -> None:
    """After USE information_schema the tables without a database are its."""
    for reference in blocks.references:
        reference.database = reference.database or scope.system_database


async def _unicast(statement: Statement, blocks: Blocks, scope: Scope, tables: tuple[TableName, ...]) -> Plan:
    references, relations = logical_references(blocks) if tables else ([], [])
    locking = named_locks(statement.tokens)
    source = scope.rules.lock_source if locking else hinted_source(scope) or any_data_source(scope)
    for name in closed(tables):
        await scope.catalog.check(source, f"SELECT 1 FROM {name.database}.{quoted(name.name)}")  # is there one at all?
    plan = UnicastPlan(
        kind=statement.kind,
        tables=tables,
        user_variables=user_variables(statement.tokens),
        grants=file_grant(statement),
        data_source=source,
        template=whole(statement, _edits(statement, relations)),
        named_locks=locking,
        leaves=left_behind(statement.tokens),
    )
    return with_relations(plan, references) if references else plan


def whole(statement: Statement, edits: Iterable[Edit]) -> Template:
    """The statement without its closing ';', edited."""
    return splice(statement.text, statement.literals, edits, end=statement.tokens[-1].end)


def locks(statement: Statement) -> bool:
    """Whether it takes row locks."""
    return any(select.args.get("locks") for select in statement.tree.find_all(exp.Select))


def file_grant(statement: Statement) -> frozenset[Grant]:
    """LOAD_FILE() reads the server's files."""
    return frozenset({Grant.FILE} if any(t.upper == "LOAD_FILE" for t in statement.tokens) else ())


def notes(targets: Iterable[Target]) -> tuple[str, ...]:
    """What is assumed because no server could be asked."""
    assumed = {t.rule.name for t in targets if isinstance(t.rule, ShardedTable) and None in t.columns.values()}
    return tuple(
        f"the type of the sharding key of '{name}' is not known; its values are taken as they are written"
        for name in sorted(assumed)
    )
