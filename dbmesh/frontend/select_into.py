"""SELECT … INTO @a, @b: a query whose one row goes into user variables (MySQL 8.4 manual, 15.2.13.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from dbmesh.engine.caller import Outcome
from dbmesh.errors import BackendError
from dbmesh.frontend import planned
from dbmesh.protocol.literals import typed_literal
from dbmesh.sql.assignments import user_variable
from dbmesh.sql.tokens import Token, TokenKind, tokens

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session

_QUERIES = ("SELECT", "WITH", "VALUES", "TABLE", "(")
_INTO = re.compile(r"\bINTO\s+@", re.IGNORECASE)
_NO_DATA: list[bytes | None] = [b"Warning", b"1329", b"No data - zero rows fetched, selected, or processed"]


class Into(NamedTuple):
    """The query without its INTO, and the variables as `backend.session_state` names them."""

    query: str
    variables: tuple[str, ...]


def into_variables(text: str) -> Into | None:
    """None for a text without INTO @variable."""
    if _INTO.search(text) is None:
        return None
    found = [token for token in tokens(text) if token.kind is not TokenKind.COMMENT]
    if not found or (found[0].upper or found[0].text) not in _QUERIES:
        return None
    for at, token in enumerate(found[:-1]):
        if token.upper == "INTO" and found[at + 1].kind is TokenKind.VARIABLE:
            last = _last_variable(found, at + 1)
            names = [_name(variable) for variable in found[at + 1 : last + 1 : 2]]
            blank = " " * (found[last].end - token.start)
            return Into(text[: token.start] + blank + text[found[last].end :], tuple(names))
    return None


def _last_variable(found: Sequence[Token], at: int) -> int:
    while at + 2 < len(found) and found[at + 1].text == "," and found[at + 2].kind is TokenKind.VARIABLE:
        at += 2
    return at


def _name(variable: Token) -> str:
    name = variable.text[1:]
    return user_variable(name[1:-1].replace(name[0] * 2, name[0]) if name[0] in "'\"`" else name)


async def run(session: Session, into: Into) -> None:
    """Run the query wherever its rows are, and set the variables."""
    state = session.state
    unconverted = state.with_charsets(state.client, state.collation, None)  # values in their own character sets
    result, outcome = await planned.collected(session, into.query, unconverted)
    if len(result.columns) != len(into.variables):
        raise BackendError(1222, "21000", "The used SELECT statements have a different number of columns")
    if not result.rows:
        session.answers.ok(Outcome(warnings=outcome.warnings + 1, warning_rows=[*outcome.warning_rows, _NO_DATA]))
        return
    literals = map(typed_literal, result.rows[0], result.columns)
    session.settings = session.settings.carry_all(dict(zip(into.variables, literals, strict=True)))
    if len(result.rows) > 1:  # as on a server, the first row is in the variables by now
        raise BackendError(1172, "42000", "Result consisted of more than one row")
    session.answers.ok(Outcome(affected=1, warnings=outcome.warnings, warning_rows=outcome.warning_rows))
