"""The shortest way of a prepared statement: an integer in the client's packet is the sharding key, the packet goes on.

It is made when a statement has been relayed the ordinary way, by a plan of one table and one key, and is good for as
long as that plan is. Only the key is read; what else is in the packet is for the server to read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbmesh.backend.statements import ServerStatement
from dbmesh.plan.cache import Permitted
from dbmesh.plan.model import Plan
from dbmesh.plan.select import SelectPlan
from dbmesh.protocol.constants import FieldType
from dbmesh.protocol.framing import frame
from dbmesh.protocol.parameters import HEAD
from dbmesh.route.key_numbers import INTEGER_TYPES
from dbmesh.rules.keys import UnsuitableKey
from dbmesh.rules.model import ShardedTable
from dbmesh.sql.placeholders import Slot

if TYPE_CHECKING:
    from dbmesh.frontend.prepared import Call, Statement
    from dbmesh.frontend.session import Session

_WIDTHS = {
    FieldType.TINY: 1, FieldType.SHORT: 2, FieldType.LONG: 4, FieldType.LONGLONG: 8, FieldType.FLOAT: 4,
    FieldType.DOUBLE: 8,
}  # fmt: skip
_INTEGERS = (FieldType.TINY, FieldType.SHORT, FieldType.LONG, FieldType.LONGLONG)
_COMMAND = b"\x17"


@dataclass(slots=True)
class Shortcut:
    """``offset``, ``width``: of the key among the values. ``nodes``: data source and text of each data node."""

    permitted: Permitted
    types: bytes
    nulls: bytes
    table: ShardedTable
    offset: int
    width: int
    nodes: tuple[tuple[str, str], ...]

    def relay(self, session: Session, statement: Statement, payload: bytes) -> bool:
        """Pass the client's packet on to where its key's rows are; False: take the ordinary way. Hot."""
        if session.permitted() is not self.permitted or not session.plain or statement.long_data:
            return False
        at = HEAD + len(self.nulls)
        values = at + 1
        if payload[HEAD:at] != self.nulls or payload[5]:
            return False
        told = payload[at : at + 1] == b"\1"
        if told:
            values += len(self.types)
            if payload[at + 1 : values] != self.types:
                return False
        first = values + self.offset
        wire = payload[first : first + self.width]
        if len(wire) != self.width or wire[-1] > 0x7F:
            return False
        try:
            home = self.table.sharding.home((int.from_bytes(wire, "little"),))
        except UnsuitableKey:
            return False
        return home is not None and _send(session, self.nodes[home], payload, self.types, told)


def _send(session: Session, target: tuple[str, str], payload: bytes, types: bytes, told: bool) -> bool:
    data_source, sql = target
    state = session.settings.state
    cluster = session.mesh.generation.cluster
    connection = cluster.acquire_nowait(data_source, session.client.capabilities, state)
    if connection is None:
        return False
    known: ServerStatement | None = None
    if connection.state is state and session.client.first_sequence == 1:
        key = connection.key(sql)
        known = connection.prepared(key, types)
    if known is None or not (told or known.types == types):
        cluster.release(connection)
        return False
    known.types = types
    return session.relay_over(cluster, connection, frame(_COMMAND + known.head + payload[5:], 0), key)


def shortcut_of(
    session: Session, statement: Statement, plan: Plan, literals: Sequence[str], call: Call
) -> Shortcut | None:
    """The short way of a statement that this plan has just relayed, None where there is none."""
    if not isinstance(plan, SelectPlan) or plan.shortcut is None or plan.shortcut.negative:
        return None
    key = literals[plan.shortcut.literal]
    column = plan.shortcut.column
    if not isinstance(key, Slot) or column is None or column.type not in INTEGER_TYPES or "n" in call.forms:
        return None
    codes = call.types[: 2 * key.number + 2 : 2]
    if codes[-1] not in _INTEGERS or not all(code in _WIDTHS for code in codes):
        return None
    texts = [(source, statement.server_text(text % tuple(literals), call)) for source, text in plan.shortcut.texts]
    if any(text.order != tuple(range(len(call.values))) for _, text in texts):
        return None
    return Shortcut(
        session.permitted(),
        call.types,
        bytes((len(call.values) + 7) // 8),
        plan.shortcut.table,
        sum(_WIDTHS[code] for code in codes[:-1]),
        _WIDTHS[codes[-1]],
        tuple((source, text.sql) for source, text in texts),
    )
