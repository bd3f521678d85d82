"""Statements that our parser cannot read: passed on where no table, or only one data source, can be meant."""

from __future__ import annotations

from collections.abc import Sequence

from dbmesh.errors import NotSupported
from dbmesh.plan.model import Plan, Scope, TableName
from dbmesh.plan.select import UnicastPlan, UnreadPlan
from dbmesh.plan.session_functions import check_functions, left_behind, named_locks, session_edits_of, user_variables
from dbmesh.rewrite import splice
from dbmesh.rules.model import LogicalDatabase, SingleTable
from dbmesh.sql.classify import StatementKind, classify
from dbmesh.sql.fingerprint import literal_spans
from dbmesh.sql.tokens import Token, TokenKind, tokens

_READS = frozenset({StatementKind.SELECT, StatementKind.WITH, StatementKind.VALUES, StatementKind.DO})
_NAMES_TABLES = frozenset(
    {"FROM", "JOIN", "TABLE", "INTO", "UPDATE", "DELETE", "CALL", "OUTFILE", "DUMPFILE", "PROCEDURE"}
)  # fmt: skip
_NEVER = frozenset({"INTO", "OUTFILE", "DUMPFILE", "PROCEDURE"})


def plan_unread(text: str, scope: Scope, problem: str = "") -> Plan:
    """Relay what is provably for one data source, have a server judge the rest."""
    kind = classify(text)
    found = [token for token in tokens(text) if token.kind is not TokenKind.COMMENT]
    while found and found[-1].text == ";":
        found.pop()
    if kind not in _READS or any(token.text == ";" for token in found) or not _closed(found):
        return unread(kind, found)
    check_functions(found)
    words = {token.upper for token in found}
    if not words & _NAMES_TABLES:
        locking = named_locks(found)
        plan = _relayed(text, kind, found, scope.rules.lock_source if locking else any_data_source(scope), ())
        plan.named_locks = locking
        return plan
    if words & _NEVER or scope.database is None:
        return unread(kind, found)
    only = only_data_source(scope.database)
    if only is None or any(token.text == "." for token in found):
        return unread(kind, found)
    named = {token.name for token in found if token.is_name and token.name in scope.database.tables}
    tables = tuple(TableName(scope.database.name, name) for name in sorted(named)) or (
        TableName(scope.database.name, ""),
    )
    return _relayed(text, kind, found, only, tables)


def unread(kind: StatementKind, found: Sequence[Token]) -> Plan:
    """A plan that only a server's verdict can follow."""
    words = " ".join(token.text for token in found[:4])
    judge = NotSupported(f"its parser does not know this form ({words[:60]} …)", "write it in another form")
    return UnreadPlan(kind=kind, judge=judge, user_variables=user_variables(found))


def any_data_source(scope: Scope) -> str:
    """A data source for what every one of them answers alike: the first of the session's database."""
    sources = scope.database.data_sources if scope.database is not None else scope.rules.data_sources
    return next(iter(sources or scope.rules.data_sources))


def _relayed(
    text: str, kind: StatementKind, found: Sequence[Token], data_source: str, tables: tuple[TableName, ...]
) -> Plan:
    template = splice(text, literal_spans(text), session_edits_of(text, found), end=found[-1].end)
    return UnicastPlan(
        kind=kind,
        tables=tables,
        user_variables=user_variables(found),
        leaves=left_behind(found),
        data_source=data_source,
        template=template,
    )


def only_data_source(database: LogicalDatabase) -> str | None:
    """The one data source where every table has its own name; None when there is more to it."""
    sources = {database.default_data_source} - {None}
    for name, rule in database.tables.items():
        if not isinstance(rule, SingleTable) or rule.node.table != name:
            return None
        sources.add(rule.node.data_source)
    return sources.pop() if len(sources) == 1 else None


def _closed(found: Sequence[Token]) -> bool:
    return bool(found) and all(
        token.text[0] not in "'\"`" or (len(token.text) > 1 and token.text[-1] == token.text[0]) for token in found
    )
