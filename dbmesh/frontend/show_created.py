"""SHOW CREATE …: what a server says of one data node, in logical names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbmesh.backend.connection import Result
from dbmesh.frontend.asks import ask
from dbmesh.frontend.show_names import Place, home_of, share_of
from dbmesh.frontend.show_rows import codec
from dbmesh.plan.created import logical_text, next_number, with_next_number
from dbmesh.plan.logical_rows import Share
from dbmesh.rewrite import quoted
from dbmesh.rules.model import LogicalDatabase

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session

_TEXT = 1  # the column with the statement; of programs the third one


async def create_table(session: Session, place: Place, what: str) -> Result:
    """``what``: TABLE or VIEW."""
    result = await place.ask(session, f"SHOW CREATE {what} {place.actual}")
    if place.share is None:
        return result
    sent = codec(session)
    [row] = result.rows
    row[0] = place.table.encode(sent, "replace")
    text = logical_text((row[_TEXT] or b"").decode(sent, "surrogateescape"), place.share)
    numbers = [next_number(text)]
    if numbers != [None] and len(place.nodes) > 1:
        numbers += [await _next_number(session, place, node) for node in range(1, len(place.nodes))]
        text = with_next_number(text, max(number for number in numbers if number is not None))
    row[_TEXT] = text.encode(sent, "surrogateescape")
    return result


async def _next_number(session: Session, place: Place, node: int) -> int | None:
    result = await place.ask(session, f"SHOW CREATE TABLE {quoted(place.nodes[node].table)}", node)
    return next_number((result.rows[0][_TEXT] or b"").decode(codec(session), "surrogateescape"))


async def create_database(session: Session, database: LogicalDatabase, options: str) -> Result:
    """``options``: IF NOT EXISTS or nothing."""
    home = home_of(database)
    share = share_of(database, home)
    result = await ask(session, f"SHOW CREATE DATABASE {options} {quoted(share.schema)}", home)
    sent = codec(session)
    [row] = result.rows
    row[0] = database.name.encode(sent, "replace")
    text = (row[_TEXT] or b"").decode(sent, "surrogateescape")
    row[_TEXT] = text.replace(quoted(share.schema), quoted(database.name), 1).encode(sent, "surrogateescape")
    return result


async def create_program(session: Session, database: LogicalDatabase, what: str, name: str) -> Result:
    """``what``: FUNCTION, PROCEDURE, TRIGGER, EVENT."""
    home = home_of(database)
    result = await ask(session, f"SHOW CREATE {what} {quoted(name)}", home)
    share = share_of(database, home)
    sent = codec(session)
    for row in result.rows:
        row[:] = [_told(value, share, sent) for value in row]
    return result


def _told(value: bytes | None, share: Share, sent: str) -> bytes | None:
    if value is None or quoted(share.schema).encode(sent, "replace") not in value:
        return value
    return logical_text(value.decode(sent, "surrogateescape"), share).encode(sent, "surrogateescape")
