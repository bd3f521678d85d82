"""Stored programs and views: where one data source has the whole logical database, its server keeps and runs them.

What a body reads and writes is known to that server alone, so a body may name nothing else that the servers' account,
which all users share, could reach.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dbmesh.errors import NotSupported
from dbmesh.plan.model import Bound, Call, Plan, RouteKind, RouteUnit, Scope, TableName
from dbmesh.plan.session_functions import check_functions, session_edits_of, user_variables
from dbmesh.plan.unread import only_data_source
from dbmesh.rewrite import Edit, Template, splice
from dbmesh.rules.model import DataSource, Grant, LogicalDatabase, MeshRules
from dbmesh.sql.classify import StatementKind
from dbmesh.sql.fingerprint import literal_spans
from dbmesh.sql.functions import NAMED_LOCKS
from dbmesh.sql.statement import Unparsed
from dbmesh.sql.tokens import Token, TokenKind, tokens

_KEPT = ("VIEW", "TRIGGER", "PROCEDURE", "FUNCTION")
_OTHERS = ("EVENT", "SEQUENCE", "SERVER", "TABLESPACE", "PACKAGE")
_REACHES_FILES = frozenset({"LOAD_FILE", "OUTFILE", "DUMPFILE"})


@dataclass(kw_only=True)
class CallPlan(Plan):
    """CALL of a procedure; `frontend.routines` runs it. ``name``: the procedure's, for people."""

    name: str
    data_source: str
    template: Template

    def bind(self, literals: Sequence[str], call: Call) -> Bound:
        sql = self.template.render(literals, (), call.session_value)
        return Bound(self.kind, RouteKind.SINGLE, (RouteUnit(self.data_source, "", sql),))

    def sample(self, literals: Sequence[str], call: Call) -> tuple[str, str] | None:
        return self.data_source, self.template.render(literals, (), call.session_value)


def plan_call(text: str, scope: Scope) -> Plan:
    """CALL procedure[(arguments)]."""
    found = _code(text)
    qualified = len(found) > 3 and found[2].text == "."
    if len(found) < 2 or not found[1].is_name:
        raise Unparsed("no procedure is named")
    if qualified and found[1].name not in scope.rules.databases:
        raise NotSupported(
            f"a procedure of schema '{found[1].name}', which is no logical database", "call one of the database's own"
        )
    home = scope.rules.databases[found[1].name] if qualified else scope.database
    source = _source_of(home, scope.rules, "CALL: a procedure may touch any table")
    assert home is not None
    _check_watched(home, "CALL")
    arguments = found[4 if qualified else 2 :]
    check_functions(arguments)
    edits = [*own_names(found, home.name), *session_edits_of(text, found)]
    return CallPlan(
        kind=StatementKind.CALL,
        tables=(TableName(home.name, ""),),
        writes=True,
        user_variables=user_variables(found),
        grants=_grants(arguments),
        name=found[3 if qualified else 1].name,
        data_source=source,
        template=splice(text, literal_spans(text), edits, end=found[-1].end),
    )


@dataclass(frozen=True, slots=True)
class Kept:
    """DDL of a view or a stored program: where it is kept, and its text for that server."""

    data_source: str
    database: LogicalDatabase
    template: Template
    grants: frozenset[Grant]


def plan_kept(text: str, scope: Scope) -> Kept:
    """CREATE, ALTER and DROP of views, triggers, procedures and functions."""
    found = _code(text)
    what = next((token.upper for token in found[:24] if token.upper in (*_KEPT, *_OTHERS)), "")
    if what not in _KEPT or any(token.upper == "SONAME" for token in found):
        raise NotSupported(f"{what or 'this'} DDL", "run it on the servers themselves")
    source = _source_of(scope.database, scope.rules, f"{what} DDL: what a {what.lower()} touches only its server knows")
    assert scope.database is not None
    if what == "TRIGGER" and found[0].upper == "CREATE":
        _check_watched(scope.database, "a trigger")
    _check_body(found)
    edits = own_names(found, scope.database.name)
    template = splice(text, literal_spans(text), edits, end=found[-1].end)
    return Kept(source, scope.database, template, frozenset({Grant.DDL}) | _grants(found))


def _code(text: str) -> list[Token]:
    found = [token for token in tokens(text) if token.kind is not TokenKind.COMMENT]
    while found and found[-1].text == ";":
        found.pop()
    if any(token.text[0] in "'\"`" and (len(token.text) < 2 or token.text[-1] != token.text[0]) for token in found):
        raise Unparsed("a quote is not closed")
    return found


def _grants(found: Iterable[Token]) -> frozenset[Grant]:
    return frozenset({Grant.FILE} if any(token.upper in _REACHES_FILES for token in found) else ())


def _source_of(database: LogicalDatabase | None, rules: MeshRules, why: str) -> str:
    """The data source that has all of a database under the tables' own names, and no part of another table."""
    only = None if database is None else only_data_source(database)
    if database is None or only is None:
        raise NotSupported(
            f"{why}, and the database is not all in one data source under its tables' own names",
            "send its statements one by one",
        )
    place = _place(rules.data_sources[only])
    for other in rules.databases.values():
        for name, rule in other.tables.items():
            parted = [node for node in rule.nodes if len(rule.nodes) > 1 or node.table != name]
            if any(_place(rules.data_sources[node.data_source]) == place for node in parted):
                raise NotSupported(
                    f"{why}, and its schema has a part of '{other.name}.{name}'", "send its statements one by one"
                )
    return only


def _place(source: DataSource) -> tuple[object, ...]:
    return source.host, source.port, source.socket, source.schema


def _check_watched(database: LogicalDatabase, what: str) -> None:
    based = next((name for name, rule in database.tables.items() if rule.base), None)
    if based is not None:
        raise NotSupported(
            f"{what} where BASE transactions write '{based}': what a stored program writes cannot be watched",
            "send its statements one by one",
        )


def own_names(found: Sequence[Token], database: str) -> list[Edit]:
    """The logical database's name before a table's or routine's left out: the server's schema is called otherwise.

    Raises NotSupported where another schema's table or function is named.
    """
    edits = []
    for at in _schemas(found):
        if found[at].name != database:
            raise NotSupported(
                f"'{found[at].text}.{found[at + 2].text}' in a stored program or view: all users share the servers' "
                "account",
                "name tables and functions of the chosen database only",
            )
        edits.append(Edit(found[at].start, found[at + 2].start))
    return edits


_TABLES_FOLLOW = frozenset(
    {"FROM", "JOIN", "STRAIGHT_JOIN", "INTO", "UPDATE", "TABLE", "TABLES", "TRUNCATE", "CALL", "INSERT", "REPLACE",
     "DELETE", "REFERENCES", "USING", "DESCRIBE", "DESC", "EXPLAIN", "ANALYZE", "HANDLER", "LOCK", "VIEW", "TRIGGER",
     "PROCEDURE", "FUNCTION", "TO", "LIKE", "OPTIMIZE", "REPAIR", "CHECK", "LOW_PRIORITY", "IGNORE", "ONLY"}
)  # fmt: skip
_COLUMNS_FOLLOW = frozenset(
    {"SELECT", "WHERE", "SET", "HAVING", "BY", "VALUES", "VALUE", "RETURNING", "IF", "ELSEIF", "WHILE", "UNTIL", "CASE",
     "WHEN", "RETURN", "DO", "THEN", "ELSE", "BEGIN", "LOOP", "REPEAT", "DEFAULT", ";"}
)  # fmt: skip
_TAKES_FROM = frozenset({"EXTRACT", "TRIM", "SUBSTRING", "SUBSTR", "MID"})


def _schemas(found: Sequence[Token]) -> list[int]:
    """The places of the names that stand, with a point behind them, where only a schema's can."""
    places: list[int] = []
    clauses = ["columns"]  # of the nested parentheses
    trigger = any(token.upper == "TRIGGER" for token in found[:24])
    for at, token in enumerate(found):
        before = found[at - 1] if at else None
        after = found[at + 1].text if at + 1 < len(found) else ""
        if token.text == "(":
            function = before is not None and before.is_name and before.upper not in _TABLES_FOLLOW
            inner = "columns" if function else clauses[-1]
            clauses.append("plain" if before is not None and before.upper in _TAKES_FROM else inner)
        elif token.text == ")" and len(clauses) > 1:
            clauses.pop()
        elif token.text == "," and clauses[-1] == "joined":
            clauses[-1] = "tables"
        elif after == "." and token.is_name and at + 2 < len(found) and (before is None or before.text != "."):
            called = at + 3 < len(found) and found[at + 3].text == "("
            if clauses[-1] == "tables" or called:
                places.append(at)
        elif before is not None and before.text == ".":
            continue
        elif clauses[-1] != "plain":
            clauses[-1] = _clause(token, before, after, clauses[-1], trigger)
            trigger = trigger and token.upper != "ON"
    return places


def _clause(token: Token, before: Token | None, after: str, clause: str, trigger: bool) -> str:
    """What dotted names after this token are, ``clause`` before it."""
    word = token.upper or token.text
    if word == "ON":
        return "tables" if trigger else "joined"
    if word == "UPDATE" and before is not None and before.upper in ("KEY", "ON"):
        return "columns"
    if (word == "LIKE" and clause != "tables") or (word == "DESC" and after in (",", ")", ";", "")):
        return clause
    if word in _TABLES_FOLLOW and not (after == "(" and word in ("INSERT", "REPLACE", "TRUNCATE")):
        return "tables"
    return "columns" if word in _COLUMNS_FOLLOW else clause


_NEVER = frozenset({"PREPARE", "GRANT", "REVOKE", "SHOW", "KILL", "CHANGE", "PURGE"})
_NEVER_FIRST = frozenset({"FLUSH", "SHUTDOWN", "RESET", "INSTALL", "UNINSTALL", "XA", "BACKUP"})
_SIGNS_OF_A_NAME = frozenset({"=", ".", ",", ")", "(", ":=", "<", ">", "<=", ">=", "<>", "!="})
_ACCOUNTS = frozenset({"USER", "ROLE", "DATABASE", "SCHEMA", "SERVER", "EVENT", "TABLESPACE"})
_MAKES = frozenset({"CREATE", "ALTER", "DROP", "RENAME", "REPLACE", "EXISTS"})


def _check_body(found: Sequence[Token]) -> None:
    """Refuse what a user could not send as a statement of his own, and text that is put together when it runs."""
    for at, token in enumerate(found):
        before = found[at - 1].upper or found[at - 1].text if at else ""
        after = found[at + 1] if at + 1 < len(found) else None
        word = token.upper
        if word == "PREPARE" or (word == "EXECUTE" and after is not None and after.upper == "IMMEDIATE"):
            if before != ".":
                raise NotSupported("statements that a stored program puts together when it runs", "write them out")
            continue
        alone = before not in (".", "AS") and (after is None or after.text not in _SIGNS_OF_A_NAME)
        account = word in _ACCOUNTS and before in _MAKES
        everywhere = word in ("GLOBAL", "PERSIST", "PERSIST_ONLY", "PASSWORD", "ROLE") and before in ("SET", "@@")
        if account or everywhere or (alone and word in _NEVER | _NEVER_FIRST):
            raise NotSupported(f"{word} in a stored program: it belongs to the servers", "run it there")
        if word in NAMED_LOCKS and after is not None and after.text == "(" and before != ".":
            raise NotSupported(f"{word}() in a stored program: named locks are all on one data source")
