"""COM_STMT_EXECUTE and what belongs to it.

The common one never leaves `on_execute`, as COM_QUERY never leaves `on_query`: values, shape, plan, and a packet for
the server's own statement, all in the event loop's callback.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

from dbmesh.errors import NotSupported
from dbmesh.frontend import planned
from dbmesh.frontend.prepared import Call, NoCursor, Statement
from dbmesh.frontend.prepared_answers import BinaryAnswers, CursorAnswers
from dbmesh.frontend.prepared_shortcut import shortcut_of
from dbmesh.protocol.commands import Fetch, SendLongData
from dbmesh.protocol.constants import Status
from dbmesh.protocol.failures import PacketTooLarge
from dbmesh.protocol.parameters import HEAD, Parameter, WrongArguments, read_parameters, split_execute
from dbmesh.protocol.response import end_of_rows, ok_packet
from dbmesh.sql.classify import StatementKind
from dbmesh.sql.placeholders import Argument

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session

_INTEGER = re.compile(rb"\s*[+-]?\d{1,20}")
_MOST_ROWS = 2**64 - 1
FETCH_BATCH = 256  # rows written before the client is waited for
_READ_ONLY_CURSOR = 0x01


def on_execute(session: Session, payload: bytes) -> None:
    """Run a statement. Raises MeshError for what is no such packet."""
    if len(payload) < HEAD:
        raise WrongArguments()
    statement = session.prepared.find(int.from_bytes(payload[1:5], "little"), "mysqld_stmt_execute")
    statement.close_cursor()
    session.text = statement.text
    if statement.shortcut is not None and statement.shortcut.relay(session, statement, payload):
        session.prepared.relayed = statement, payload
        return
    call = _call(session, statement, payload)
    with_cursor = payload[5] & _READ_ONLY_CURSOR and statement.kind is not StatementKind.CALL  # as servers have it
    if not with_cursor and _relay_now(session, statement, call):
        session.prepared.relayed = statement, payload
        return
    session.start(run(session, statement, (CursorAnswers if with_cursor else BinaryAnswers)(session, statement, call)))


def again(session: Session) -> None:
    """Run anew what a server had lost."""
    assert session.prepared.relayed is not None
    statement, payload = session.prepared.relayed
    call = _call(session, statement, payload)
    session.start(run(session, statement, BinaryAnswers(session, statement, call)))


def _call(session: Session, statement: Statement, payload: bytes) -> Call:
    """The values of one execution. Those that have come ahead are used up."""
    failure, statement.long_failure = statement.long_failure, None
    ahead = {}
    if statement.long_data:
        ahead = {index: bytes(data) for index, data in statement.long_data.items()}
        statement.long_data = {}
    if failure is not None:
        raise failure
    nulls, types, at = split_execute(payload, len(statement.placeholders))
    if types:
        statement.types = types
    elif statement.placeholders:
        types = statement.types
        if not types:
            raise WrongArguments()
    values = read_parameters(payload, at, nulls, types, ahead)
    numbers = statement.placeholders.limits
    arguments = [_argument(session, value, at in numbers) for at, value in enumerate(values)]
    if statement.placeholders.keys and session.mesh.is_mysql:
        for at in statement.placeholders.keys:  # to MySQL these are constants, not the positions of columns
            arguments[at] = Argument("s", "'1'")
    return Call(types, values, arguments, bool(ahead))


def _argument(session: Session, value: Parameter, number: bool = False) -> Argument:
    """What SQL would say of a value. ``number``: where only a row count can stand."""
    form = value.form
    if number and form != "i":
        return _row_count(value)
    if form == "s":
        return Argument("s", _quoted(session, value.raw))
    if form == "b":
        return Argument("b", f"x'{value.raw.hex()}'")
    return Argument(form, f"'{value.text}'" if form in "tuv" else value.text)


def _row_count(value: Parameter) -> Argument:
    """The integer that MariaDB makes of a value for LIMIT; MySQL refuses what is none."""
    if value.form in "sb":
        match = _INTEGER.match(value.raw)
        number = int(match[0]) if match else 0
    elif value.form in "IdD":
        exact = Decimal(value.text).copy_sign(1 if value.form == "d" else -1)
        number = int(exact.to_integral_value(ROUND_HALF_EVEN if "e" in value.text else ROUND_HALF_UP))
    else:
        number = 0
    return Argument("i", str(max(-(1 << 63), min(number, _MOST_ROWS)) & _MOST_ROWS))


def _quoted(session: Session, raw: bytes) -> str:
    try:
        text = session.decoded(raw)
    except NotSupported:  # what is no text is never compared with one
        return f"x'{raw.hex()}'"
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _relay_now(session: Session, statement: Statement, call: Call) -> bool:
    """The hot path; False: take the slow one."""
    if not session.plain or call.ahead or session.has_own(statement.kind):
        return False
    generation = session.mesh.generation
    shape = statement.placeholders.variant(call.forms).shape([argument.literal for argument in call.arguments])
    setting = session.setting if statement.database == session.database else session.setting_in(statement.database)
    plan = generation.plans.get(setting, shape)
    if plan is None or not planned.allows(session, plan):
        return False
    target = plan.relay(shape.literals)
    if target is None:
        return False
    data_source, sql = target
    execution = call.execution(statement.server_text(sql, call))
    cluster = generation.cluster
    connection = cluster.acquire_nowait(data_source, session.client.capabilities, session.settings.state)
    if connection is None:
        return False
    known = None
    if connection.state is session.settings.state and session.client.first_sequence == 1:
        key = connection.key(execution.sql)
        known = connection.prepared(key, execution.types)
    if known is None:
        cluster.release(connection)
        return False
    if statement.considered is not plan and statement.database == session.database:
        statement.considered = plan
        statement.shortcut = shortcut_of(session, statement, plan, shape.literals, call)
    return session.relay_over(cluster, connection, execution.packets(known), key)


async def run(session: Session, statement: Statement, answers: BinaryAnswers) -> None:
    """Run a statement with all that a text has: rights, transaction, merge."""
    arguments = answers.call.arguments
    try:
        with session.answering(answers, statement.database):
            text = statement.placeholders.spelled(arguments)
            shape = statement.placeholders.variant(answers.call.forms)
            await session.run(text, shape.shape([argument.literal for argument in arguments]))
    finally:
        if not answers.complete:
            statement.close_cursor()


def long_data(session: Session, piece: SendLongData) -> None:
    """A piece of a value. There is no answer: what is wrong with it is said when the statement is executed."""
    statement = session.prepared.known(piece.statement)
    if statement is None:
        return
    if piece.parameter >= len(statement.placeholders):
        statement.long_failure = WrongArguments()
        return
    data = statement.long_data.setdefault(piece.parameter, bytearray())
    if sum(map(len, statement.long_data.values())) + len(piece.data) > session.client.max_packet:
        statement.long_failure = PacketTooLarge()
        statement.long_data.clear()
    else:
        data += piece.data


def reset(session: Session, number: int) -> None:
    """COM_STMT_RESET."""
    statement = session.prepared.find(number, "mysqld_stmt_reset")
    statement.close_cursor()
    statement.long_data.clear()
    statement.long_failure = None
    session.client.send(ok_packet(status=session.status))


async def fetch(session: Session, request: Fetch) -> None:
    """COM_STMT_FETCH: the next rows of a cursor."""
    statement = session.prepared.find(request.statement, "mysqld_stmt_fetch")
    cursor = statement.cursor
    if cursor is None:
        raise NoCursor(request.statement)
    left = request.rows
    while left and (rows := cursor.take(min(left, FETCH_BATCH))):
        left -= len(rows)
        session.client.send(*rows)
        await session.client.drained()
    status = session.status | Status.CURSOR_EXISTS
    if not len(cursor):
        status = session.status | Status.LAST_ROW_SENT
        statement.close_cursor()
    session.answers.complete = True
    session.client.send(end_of_rows(status, 0, session.capabilities.deprecate_eof))
