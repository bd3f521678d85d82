"""From text to plan: once per statement shape."""

from __future__ import annotations

from dataclasses import replace

from dbmesh.errors import NotSupported
from dbmesh.plan.ddl import plan_ddl
from dbmesh.plan.hints import take_hints
from dbmesh.plan.insert import plan_insert
from dbmesh.plan.model import Hints, Plan, Scope
from dbmesh.plan.read import plan_select
from dbmesh.plan.routines import plan_call
from dbmesh.plan.session_functions import check_functions, labelled_literals
from dbmesh.plan.unread import plan_unread
from dbmesh.plan.write import plan_write
from dbmesh.rules.model import MeshRules
from dbmesh.sql.classify import StatementKind, classify
from dbmesh.sql.fingerprint import Fingerprint, literal_spans
from dbmesh.sql.functions import BUILT_IN
from dbmesh.sql.layout import Span, calls
from dbmesh.sql.statement import Unparsed, parse
from dbmesh.sql.tokens import TokenKind, tokens

_READS = frozenset({StatementKind.SELECT, StatementKind.WITH, StatementKind.VALUES, StatementKind.TABLE})
_INSERTS = frozenset({StatementKind.INSERT, StatementKind.REPLACE})
_WRITES = frozenset({StatementKind.UPDATE, StatementKind.DELETE})
_TEMPORARY = frozenset({StatementKind.CREATE_TEMPORARY, StatementKind.DROP_TEMPORARY})


async def build(text: str, shape: Fingerprint, scope: Scope) -> Plan:
    """The plan of one statement, ``shape`` its fingerprint; its executable comments have been opened before.

    Raises what MySQL would raise for unknown databases and tables, and NotSupported for what the mesh cannot answer.
    """
    hinted = take_hints(text)
    plan = await _plan(hinted.text, replace(scope, hints=hinted.hints))
    if hinted.hints != Hints() and plan.kind not in _READS:
        raise NotSupported("a hint in another statement than a SELECT")
    if plan.kind in _READS:
        found = [token for token in tokens(text) if token.kind is not TokenKind.COMMENT]
        plan.pinned |= labelled_literals(found, literal_spans(text))
        plan.calls = any(found[at].upper not in BUILT_IN for at in calls(found, Span(0, len(found))))
    if (plan.writes or plan.locks) and not plan.kind.is_ddl:
        plan.based = based_tables(plan, scope.rules)
    return plan


def based_tables(plan: Plan, rules: MeshRules) -> dict[str, frozenset[str]]:
    """By data source: the actual tables of the plan's that BASE transactions may write."""
    found: dict[str, set[str]] = {}
    for database, name in plan.tables:
        rule = rules.databases[database].table(name) if database in rules.databases else None
        for node in rule.nodes if rule is not None and rule.base else ():
            found.setdefault(node.data_source, set()).add(node.table)
    return {name: frozenset(tables) for name, tables in found.items()}


async def _plan(text: str, scope: Scope) -> Plan:
    kind = classify(text)
    try:
        if kind in _INSERTS:
            return await plan_insert(text, scope)
        if kind in _WRITES:
            return await plan_write(text, scope)
        if kind.is_ddl or kind in _TEMPORARY:
            return await plan_ddl(text, scope)
        if kind is StatementKind.CALL:
            return plan_call(text, scope)
        statement = parse(text)
    except Unparsed as problem:
        return plan_unread(text, scope, str(problem))
    check_functions(statement.tokens)
    if kind in _READS:
        return await plan_select(statement, scope)
    raise NotSupported(f"{kind.value} statements")
