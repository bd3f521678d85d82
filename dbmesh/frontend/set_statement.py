"""SET STATEMENT … FOR …: variables for one statement, as MariaDB has it. On MySQL its server says that it is no SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbmesh.errors import NotSupported, ParseError
from dbmesh.frontend.asks import ask, prepared
from dbmesh.frontend.variables import assigned
from dbmesh.sql.assignments import parse_set
from dbmesh.sql.classify import StatementKind, classify
from dbmesh.sql.tokens import Token, TokenKind, tokens

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session

_NOT_INSIDE = frozenset({StatementKind.SET, StatementKind.PREPARE, StatementKind.EXECUTE, StatementKind.DEALLOCATE})


def is_for_one_statement(text: str) -> bool:
    """Whether a SET is SET STATEMENT."""
    words = [token for token in tokens(text[:400]) if token.kind is not TokenKind.COMMENT][:2]
    return len(words) == 2 and words[1].upper == "STATEMENT"


async def set_for_statement(session: Session, text: str) -> None:
    """Run the statement within with the variables, and return these to what they were."""
    if session.mesh.is_mysql:
        await prepared(session, text)
    found = [token for token in tokens(text) if token.kind is not TokenKind.COMMENT]
    at = _for(found)
    inner = text[found[at].end :]
    await ask(session, f"{text[: found[at].end]} DO 0")  # a server judges names and values
    if classify(inner) in _NOT_INSIDE:
        raise NotSupported("SET, PREPARE or EXECUTE within SET STATEMENT", "set the variables in the session")
    before = session.settings
    draft = await assigned(session, parse_set(f"SET {text[found[1].end : found[at].start]}"))
    if draft.reads_unlike(before):
        raise NotSupported("SET STATEMENT of what decides how SQL is read", "SET it for the session")
    await session.adopt(draft)
    try:
        await session.run(inner)
    finally:
        old, new = dict(before.state.variables), dict(draft.state.variables)
        changed = {name: old.get(name) for name in (*old, *new) if old.get(name) != new.get(name)}
        await session.adopt(session.settings.carry_all(changed))


def _for(found: list[Token]) -> int:
    depth = 0
    for at, token in enumerate(found):
        depth += (token.text == "(") - (token.text == ")")
        if token.upper == "FOR" and not depth and 3 < at < len(found) - 1:
            return at
    raise ParseError.near("")
