"""Command packets, decoded (protocol page "Command Phase"). A new command is a class, a function and a row.

COM_QUERY and COM_STMT_EXECUTE are not here: they are the hot ones, and their owner looks at the first byte and slices.
"""

from __future__ import annotations

from collections.abc import Callable

from dbmesh.protocol.constants import Command
from dbmesh.protocol.failures import ProtocolError


class Quit:
    __slots__ = ()


class Ping:
    __slots__ = ()


class Statistics:
    __slots__ = ()


class ResetConnection:
    __slots__ = ()


class InitDb:
    """``name``: a database's name in the client's character set."""

    __slots__ = ("name",)

    def __init__(self, name: bytes) -> None:
        self.name = name


class SetOption:
    """``multi_statements``: on or off."""

    __slots__ = ("multi_statements",)

    def __init__(self, multi_statements: bool) -> None:
        self.multi_statements = multi_statements


class ProcessKill:
    """``id``: of the connection to end."""

    __slots__ = ("id",)

    def __init__(self, id: int) -> None:
        self.id = id


class FieldList:
    """``table`` and the LIKE ``pattern`` for its columns ('' for all), in the client's character set."""

    __slots__ = ("pattern", "table")

    def __init__(self, table: bytes, pattern: bytes) -> None:
        self.table = table
        self.pattern = pattern


class Debug:
    __slots__ = ()


class Prepare:
    """``text``: a statement in the client's character set."""

    __slots__ = ("text",)

    def __init__(self, text: bytes) -> None:
        self.text = text


class SendLongData:
    """A piece of a parameter's value, ahead of COM_STMT_EXECUTE. There is no answer."""

    __slots__ = ("data", "parameter", "statement")

    def __init__(self, statement: int, parameter: int, data: bytes) -> None:
        self.statement = statement
        self.parameter = parameter
        self.data = data


class CloseStatement:
    """There is no answer."""

    __slots__ = ("statement",)

    def __init__(self, statement: int) -> None:
        self.statement = statement


class ResetStatement:
    """Its cursor is closed, the values that came ahead are forgotten."""

    __slots__ = ("statement",)

    def __init__(self, statement: int) -> None:
        self.statement = statement


class Fetch:
    """The next ``rows`` rows of a statement's cursor."""

    __slots__ = ("rows", "statement")

    def __init__(self, statement: int, rows: int) -> None:
        self.statement = statement
        self.rows = rows


class Unknown:
    """A command that the mesh does not have; the client gets 1047 and its connection lives."""

    __slots__ = ("code",)

    def __init__(self, code: int) -> None:
        self.code = code


Request = (
    Quit
    | Ping
    | Statistics
    | ResetConnection
    | InitDb
    | SetOption
    | ProcessKill
    | FieldList
    | Debug
    | Prepare
    | SendLongData
    | CloseStatement
    | ResetStatement
    | Fetch
    | Unknown
)


def _set_option(payload: bytes) -> Request:
    if len(payload) != 3 or payload[2] or payload[1] > 1:
        raise ProtocolError()
    return SetOption(payload[1] == 0)


def _process_kill(payload: bytes) -> Request:
    if len(payload) != 5:
        raise ProtocolError()
    return ProcessKill(int.from_bytes(payload[1:], "little"))


def _field_list(payload: bytes) -> Request:
    table, end, pattern = payload[1:].partition(b"\0")
    if not table or not end:
        raise ProtocolError()
    return FieldList(table, pattern)


def _numbers(payload: bytes, *widths: int) -> list[int]:
    """The integers of these widths behind the command byte; more may follow them."""
    found = []
    at = 1
    for width in widths:
        found.append(int.from_bytes(payload[at : at + width], "little"))
        at += width
    if len(payload) < at:
        raise ProtocolError()
    return found


def _send_long_data(payload: bytes) -> Request:
    statement, parameter = _numbers(payload, 4, 2)
    return SendLongData(statement, parameter, payload[7:])


DECODERS: dict[int, Callable[[bytes], Request]] = {
    Command.QUIT: lambda payload: Quit(),
    Command.INIT_DB: lambda payload: InitDb(payload[1:]),
    Command.FIELD_LIST: _field_list,
    Command.STATISTICS: lambda payload: Statistics(),
    Command.PING: lambda payload: Ping(),
    Command.SET_OPTION: _set_option,
    Command.PROCESS_KILL: _process_kill,
    Command.DEBUG: lambda payload: Debug(),
    Command.STMT_PREPARE: lambda payload: Prepare(payload[1:]),
    Command.STMT_SEND_LONG_DATA: _send_long_data,
    Command.STMT_CLOSE: lambda payload: CloseStatement(*_numbers(payload, 4)),
    Command.STMT_RESET: lambda payload: ResetStatement(*_numbers(payload, 4)),
    Command.STMT_FETCH: lambda payload: Fetch(*_numbers(payload, 4, 4)),
    Command.RESET_CONNECTION: lambda payload: ResetConnection(),
}


def decode_command(payload: bytes) -> Request:
    """Raises ProtocolError when the command is known and its arguments are not what the page says, or without one."""
    if not payload:
        raise ProtocolError()
    decode = DECODERS.get(payload[0])
    return Unknown(payload[0]) if decode is None else decode(payload)
