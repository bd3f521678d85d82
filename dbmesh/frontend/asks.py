"""What the mesh asks the servers on a session's behalf: small answers, kept in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Connection, Result
from dbmesh.backend.session_state import SessionState
from dbmesh.protocol.charset import UnknownCharacterSet

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session

REMEMBERED_STATES = 1000


@asynccontextmanager
async def borrowed(session: Session, state: SessionState, data_source: str | None = None) -> AsyncIterator[Connection]:
    """A connection with that state for the block's time; ``data_source`` None: to any that will do."""
    lender = session.generation.lender
    name = data_source or session.mesh.any_data_source(session.logical_database)
    [connection] = await lender.acquire([name], session.capabilities, state)
    try:
        await connection.apply(state)
        yield connection
    finally:
        lender.release(connection)


async def ask(session: Session, sql: str, data_source: str | None = None) -> Result:
    """The whole result of a query under the session's state."""
    async with borrowed(session, session.state, data_source) as connection:
        return await connection.execute(sql.encode(session.encoding, "surrogateescape"))


async def try_state(session: Session, state: SessionState) -> None:
    """Let a server say whether a session may have that state. Raises its error. What was allowed once is not asked."""
    allowed = session.mesh.allowed_states
    state = state.without_user_variables()
    if state is session.state.without_user_variables() or state in allowed:
        return
    async with borrowed(session, state):
        if len(allowed) >= REMEMBERED_STATES:
            allowed.clear()
        allowed.add(state)


async def default_collation(session: Session, charset: str) -> str:
    """The servers' default collation of a character set. Raises 1115."""
    known = session.mesh.default_collations.get(charset)
    if known is not None:
        return known
    result = await ask(
        session,
        f"SELECT DEFAULT_COLLATE_NAME FROM information_schema.CHARACTER_SETS WHERE CHARACTER_SET_NAME = '{charset}'",
    )
    if not result.rows:
        raise UnknownCharacterSet(charset)
    collation = session.mesh.default_collations[charset] = (result.rows[0][0] or b"").decode("ascii")
    return collation


async def prepared(session: Session, text: str) -> None:
    """Let a server parse a statement without running it. Raises its error."""
    async with borrowed(session, session.state) as connection:
        await connection.check(text)
