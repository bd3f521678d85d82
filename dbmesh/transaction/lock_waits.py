"""What a server says of the row locks that its connections wait for.

MariaDB: information_schema.INNODB_LOCK_WAITS, for the PROCESS privilege. MySQL 8 and later has
performance_schema.data_lock_waits in its place, which has to be granted besides.
"""

from __future__ import annotations

from dbmesh.errors import BackendError
from dbmesh.transaction.link import Link
from dbmesh.transaction.wait_graph import Thread, Wait

SECONDS = 3.0  # a server that does not answer this in time is left out
_NO_RIGHT = frozenset((1044, 1142, 1143, 1227))
_NO_TABLE = frozenset((1109, 1146))
_SELECT = (
    "SELECT r.trx_mysql_thread_id, h.trx_mysql_thread_id, r.trx_weight, h.trx_weight FROM {waits} w"
    " JOIN information_schema.INNODB_TRX r ON r.trx_id = w.{waiter}"
    " JOIN information_schema.INNODB_TRX h ON h.trx_id = w.{holder}"
)
_ON_MARIADB = _SELECT.format(
    waits="information_schema.INNODB_LOCK_WAITS", waiter="requesting_trx_id", holder="blocking_trx_id"
)
_ON_MYSQL = _SELECT.format(
    waits="performance_schema.data_lock_waits",
    waiter="REQUESTING_ENGINE_TRANSACTION_ID",
    holder="BLOCKING_ENGINE_TRANSACTION_ID",
)


class Hidden(Exception):
    """The data source's account may not see lock waits, or its server has none to show. The text says what to do."""


async def lock_waits(link: Link, server: str) -> list[Wait]:
    """Raises Hidden, BackendError, BackendLost. ``server``: its address, for the threads."""
    on_mysql = "mariadb" not in link.server_version.lower()
    try:
        answer = await link.execute(_ON_MYSQL if on_mysql else _ON_MARIADB, SECONDS)
    except BackendError as error:
        if error.errno in _NO_TABLE:
            raise Hidden(f"its server does not tell them: {error.message}") from None
        if error.errno not in _NO_RIGHT:
            raise
        also = " and SELECT on performance_schema.data_lock_waits" if on_mysql else ""
        raise Hidden(f"its account lacks the privilege PROCESS{also}: {error.message}") from None
    rows = [[int(cell or 0) for cell in row] for row in answer.rows]
    return [Wait(Thread(server, waiter), Thread(server, holder), *weights) for waiter, holder, *weights in rows]
