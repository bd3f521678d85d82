"""COM_STMT_PREPARE: a server reads the statement, with a data node's tables in it, and tells its columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dbmesh.errors import BackendError, MeshError, NotSupported
from dbmesh.frontend import planned
from dbmesh.frontend.asks import borrowed, prepared
from dbmesh.frontend.diagnostics import Warnings
from dbmesh.frontend.prepared import Call, Statement
from dbmesh.frontend.prepared_answers import Probe
from dbmesh.protocol import Collation, ColumnDefinition, FieldFlag, FieldType
from dbmesh.protocol.response import eof_packet
from dbmesh.sql.classify import StatementKind, classify
from dbmesh.sql.placeholders import Placeholders

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session

_NOT_PREPARABLE = 1295
_NOT_SQL = frozenset({1064, 1149, 1582, 1583, _NOT_PREPARABLE})
_NEVER = frozenset({StatementKind.PREPARE, StatementKind.EXECUTE, StatementKind.DEALLOCATE})
_ANSWERED = frozenset(
    {StatementKind.SHOW, StatementKind.DESCRIBE, StatementKind.EXPLAIN, StatementKind.SHOW_MESH,
     StatementKind.EXPLAIN_MESH}
)  # fmt: skip
_OWN = frozenset({StatementKind.SHOW_MESH, StatementKind.EXPLAIN_MESH, StatementKind.RELOAD_MESH})
_MOST_PARAMETERS = 0xFFFF

# What servers say of a parameter whose type they do not know before its value.
_PARAMETER = ColumnDefinition(b"?", FieldType.VAR_STRING, Collation.BINARY, 0, FieldFlag.BINARY)


class NotPreparable(MeshError):
    """ER_UNSUPPORTED_PS."""

    errno = 1295
    sqlstate = "HY000"

    def __init__(self) -> None:
        super().__init__("This command is not supported in the prepared statement protocol yet")


class TooManyParameters(MeshError):
    """ER_PS_MANY_PARAM."""

    errno = 1390
    sqlstate = "HY000"

    def __init__(self) -> None:
        super().__init__("Prepared statement contains too many placeholders")


async def prepare(session: Session, text: str) -> None:
    """Answer COM_STMT_PREPARE."""
    statement, parameters = await read(session, text)
    session.prepared.add(statement)
    session.answers.complete = True
    if session.mesh.is_mysql:
        session.diagnostics.warnings = Warnings()
    session.client.send(*_answer(session, statement, parameters))


def _answer(session: Session, statement: Statement, parameters: Sequence[ColumnDefinition]) -> list[bytes]:
    columns = statement.columns
    head = statement.id.to_bytes(4, "little") + len(columns).to_bytes(2, "little")
    packets = [b"\0" + head + len(parameters).to_bytes(2, "little") + b"\0\0\0"]
    for definitions in (parameters, columns):
        packets += [definition.encode() for definition in definitions]
        if definitions and not session.capabilities.deprecate_eof:
            packets.append(eof_packet(session.status))
    return packets


async def read(session: Session, text: str) -> tuple[Statement, Sequence[ColumnDefinition]]:
    """The statement, and the definitions of its parameters. Raises what a server would say of it now."""
    text = session.read(text)
    placeholders = Placeholders(text)
    if len(placeholders) > _MOST_PARAMETERS:
        raise TooManyParameters()
    kind = classify(text)
    if kind in _NEVER:
        raise NotPreparable()
    statement = Statement(0, text, kind, session.database, placeholders)
    sample = Call(b"", (), placeholders.sample())
    parameters: Sequence[ColumnDefinition] = ()
    if kind in _ANSWERED:
        if kind is StatementKind.SHOW and session.mesh.is_mysql:  # which does not prepare SHOW WARNINGS
            await _judge(session, text)
        statement.columns = await _probe(session, statement, sample)
    elif session.has_own(kind):
        if kind is StatementKind.EMPTY:
            await session.run(text)
        if kind not in _OWN:
            await _judge(session, text)
    else:
        statement.columns, parameters = await _described(session, statement, sample)
    if len(parameters) != len(placeholders):
        parameters = [_PARAMETER] * len(placeholders)
    return statement, parameters


async def _probe(session: Session, statement: Statement, sample: Call) -> Sequence[ColumnDefinition]:
    """The columns of what the mesh answers itself: it is only read, so it can be run."""
    probe = Probe(session, statement, sample)
    try:
        with session.answering(probe, session.database):
            await session.run(statement.placeholders.spelled(sample.arguments))
    except NotSupported:
        return ()  # it is refused when it is executed
    return probe.seen


async def _judge(session: Session, text: str) -> None:
    """Let a server say whether the text is SQL at all: the tables in it need not be there."""
    try:
        await prepared(session, text)
    except BackendError as error:
        if error.errno in _NOT_SQL:
            raise


async def _described(
    session: Session, statement: Statement, sample: Call
) -> tuple[Sequence[ColumnDefinition], Sequence[ColumnDefinition]]:
    """Columns and parameters as a server tells them; nothing where only values can say which server to ask."""
    literals = [argument.literal for argument in sample.arguments]
    text = statement.placeholders.spelled(sample.arguments)
    try:
        shape = statement.placeholders.variant(sample.forms).shape(literals)
        plan, _ = await planned.plan_of(session, text, shape)
        found = plan.sample(shape.literals, await planned.call_of(session, plan, shape))
    except NotSupported:
        found = None
    else:
        if plan.tables:  # without them MariaDB keeps the warnings of the statement before
            session.diagnostics.warnings = Warnings()
    if found is None:
        await _judge(session, statement.text)
        return (), ()
    data_source, sql = found
    async with borrowed(session, session.state, data_source) as connection:
        there = await connection.prepare(statement.server_text(sql, sample).sql)
    return there.columns, there.parameters
