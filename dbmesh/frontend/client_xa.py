"""A client's own XA statements, for transaction monitors: where one data source has the whole logical database.

The session keeps a connection from XA START on, and all of its statements run there; what the server refuses inside of
XA (COMMIT, DDL, …) it refuses here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbmesh.errors import BackendError, BackendLost, NotSupported
from dbmesh.frontend.asks import ask
from dbmesh.frontend.transactions import ClientTransaction
from dbmesh.plan.unread import only_data_source
from dbmesh.protocol.constants import Status
from dbmesh.saga.xa import FORMAT_ID
from dbmesh.transaction.local import LocalTransaction

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session

_STATEMENT = re.compile(
    r"\s*XA\s+(START|BEGIN|END|PREPARE|COMMIT|ROLLBACK|RECOVER)\b(.*?)\s*;?\s*\Z", re.IGNORECASE | re.DOTALL
)
_OUR_FORMAT = re.compile(rf",\s*(?:0*{FORMAT_ID}|0x0*{FORMAT_ID:x}|x'0*{FORMAT_ID:x}')(?![0-9a-f])", re.IGNORECASE)
_REASON = "XA transaction"


@dataclass(eq=False)
class ClientXa(LocalTransaction):
    """A branch that the client has begun by XA START and ends itself."""

    def _start(self, name: str) -> tuple[str, ...]:
        raise NotSupported(
            f"the client's own XA transaction is on {', '.join(self.branches)}, and the statement needs '{name}'",
            "use SET dbmesh_transaction='xa' and BEGIN, which spans data sources",
        )

    async def settle(self, data_sources: Iterable[str]) -> None:
        """After a deadlock, too, the client is in it until its XA ROLLBACK."""

    async def may_end(self, statement: str) -> None:
        """COMMIT, ROLLBACK and BEGIN: the server says that they do not belong into XA."""
        for connection in self.branches.values():
            await connection.execute(statement)


async def xa_statement(session: Session, text: str) -> None:
    """XA START | END | PREPARE | COMMIT | ROLLBACK | RECOVER of the client's."""
    match = _STATEMENT.match(text)
    database = session.logical_database
    only = only_data_source(database) if database is not None else None
    if only is None or match is None:
        raise NotSupported(
            "an XA transaction of the client's own is possible only where one data source has the whole logical"
            " database",
            "use SET dbmesh_transaction='xa' and BEGIN … COMMIT",
        )
    verb = match[1].upper()
    if _OUR_FORMAT.search(match[2]):
        raise NotSupported(f"XA transactions with format id {FORMAT_ID} are the mesh's", "choose another format id")
    if verb == "RECOVER":
        result = await ask(session, text, only)
        result.rows[:] = [row for row in result.rows if int(row[0] or 0) != FORMAT_ID]
        session.answers.result(result)
        return
    if session.transaction is not None and not isinstance(session.transaction.local, ClientXa):
        raise BackendError(1400, "XAE09", "XAER_OUTSIDE: Some work is done outside global transaction")
    await _run(session, only, verb, text)
    session.answers.ok()


async def _run(session: Session, data_source: str, verb: str, text: str) -> None:
    pin = await session.pins.hold(data_source, _REASON)
    connection = pin.connection
    over = True
    try:
        if session.transaction is None:
            await connection.apply(session.state)
        else:
            over = False
        try:
            await connection.execute(text.encode(session.encoding, "surrogateescape"))
        except BackendLost:
            over = True
            raise
        if session.transaction is None and connection.status & Status.IN_TRANS:
            over = False
            own = ClientXa(pin, session.capabilities, session.generation.deadlocks, branches={data_source: connection})
            pin.lend_on()
            session.transaction = ClientTransaction.around(session, own)
        elif session.transaction is not None:
            over = verb in ("COMMIT", "ROLLBACK") or (not connection.status & Status.IN_TRANS and verb == "PREPARE")
    finally:
        if over:
            _leave(session, data_source)


def _leave(session: Session, data_source: str) -> None:
    transaction, session.transaction = session.transaction, None
    if transaction is not None and transaction.local is not None:
        transaction.local.give_back(data_source, True)
    session.pins.let_go(_REASON)
