"""COM_FIELD_LIST: the columns of a logical table, as one of its data nodes defines them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbmesh.errors import BackendError, NotSupported
from dbmesh.frontend.asks import borrowed
from dbmesh.frontend.show_names import Place, place_of
from dbmesh.frontend.show_rows import codec
from dbmesh.protocol import ColumnDefinition

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session


async def field_list(session: Session, table: bytes, pattern: bytes) -> list[bytes]:
    """The payloads of the answer's packets but the last. ``table`` and ``pattern``: in the client's character set."""
    place = place_of(session, [None, table.decode(session.encoding, "surrogateescape"), None, None, None, None])
    if not place.nodes:
        raise NotSupported(f"COM_FIELD_LIST of {place.database}.{place.table}", "use SHOW COLUMNS")
    node = place.nodes[0]
    async with borrowed(session, session.state, node.data_source) as connection:
        try:
            found = await connection.field_list(node.table.encode(session.encoding), pattern)
        except BackendError as error:
            raise place.told(error) from error
    return [_logical(payload, place, codec(session)) for payload in found]


def _logical(payload: bytes, place: Place, sent: str) -> bytes:
    column = ColumnDefinition.parse(payload)
    default = payload[len(column.encode()) :]
    column.schema = place.database.encode(sent, "replace")
    column.table = column.org_table = place.table.encode(sent, "replace")
    return column.encode() + default
