"""Statements that a server keeps prepared for one connection, and how one is run."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from dbmesh.protocol.constants import Command, FieldType
from dbmesh.protocol.framing import frame
from dbmesh.protocol.parameters import Parameter, execute_packets
from dbmesh.protocol.resultset import ColumnDefinition

MOST_STATEMENTS = 128  # of one connection; servers have a limit for all of them (max_prepared_stmt_count)
TOO_MANY = 1461
_KINDS = {
    code: bytes((kind,))
    for kind, codes in enumerate((
        (FieldType.NULL,),
        (FieldType.TINY, FieldType.SHORT, FieldType.LONG, FieldType.LONGLONG, FieldType.INT24, FieldType.YEAR),
        (FieldType.FLOAT, FieldType.DOUBLE),
        (FieldType.DECIMAL, FieldType.NEWDECIMAL),
        (FieldType.VARCHAR, FieldType.VAR_STRING, FieldType.STRING, FieldType.ENUM, FieldType.SET),
        (FieldType.TINY_BLOB, FieldType.MEDIUM_BLOB, FieldType.LONG_BLOB, FieldType.BLOB),
    ))
    for code in codes
}  # fmt: skip
LOST = frozenset({1243, 1615})  # the server does not know the statement any more, or cannot prepare it anew by itself


@dataclass(frozen=True, slots=True)
class Execution:
    """A statement to prepare and run: ``sql`` with ``?``, and two bytes of type and a value for each of them."""

    sql: str
    types: bytes = b""
    values: Sequence[Parameter] = ()

    def packets(self, statement: ServerStatement) -> bytes:
        statement.types = self.types
        return execute_packets(statement.id, self.types, self.values)


class ServerStatement:
    """``types``: those that the server was told last, '' for none yet; ``head``: its id, as packets have it."""

    __slots__ = ("_kinds", "columns", "head", "id", "parameters", "types")

    def __init__(self, id: int, parameters: list[ColumnDefinition], columns: list[ColumnDefinition]) -> None:
        self.id = id
        self.head = id.to_bytes(4, "little")
        self.parameters = parameters
        self.columns = columns
        self.types = b""
        self._kinds: list[bytes] = []

    def takes(self, types: bytes) -> bool:
        """Whether MySQL runs it with values of these types as it would run one that is prepared anew.

        The kinds of values that it is first run with decide how its text is understood, for as long as it lives; NULL
        decides nothing. ``types``: none when only its columns are to be told.
        """
        if types == self.types:
            return True
        if not types:  # it is to be told of, as it is before it has been run
            return not self._kinds
        new = [_KINDS.get(types[at], types[at : at + 1]) + types[at + 1 : at + 2] for at in range(0, len(types), 2)]
        old = self._kinds or new
        if any(one != other and one[0] and other[0] for one, other in zip(old, new, strict=True)):
            return False
        self._kinds = [one if one[0] else other for one, other in zip(old, new, strict=True)]
        return True


Key = tuple[object, str]  # how the session reads SQL, and the text


class ServerStatements:
    """Two halves: a hit in the older one moves to the younger, a full younger one replaces the older, whose statements
    are closed; so a hit costs one look-up."""

    __slots__ = ("_half", "_old", "_young")

    def __init__(self, size: int = MOST_STATEMENTS) -> None:
        self._half = size // 2
        self._young: dict[Key, ServerStatement] = {}
        self._old: dict[Key, ServerStatement] = {}

    def get(self, key: Key) -> ServerStatement | None:
        """Hot."""
        found = self._young.get(key)
        if found is None and (found := self._old.pop(key, None)) is not None:
            self._young[key] = found
        return found

    def put(self, key: Key, statement: ServerStatement) -> list[ServerStatement]:
        """Keep it; the statements that are to be closed for it."""
        gone = [half.pop(key) for half in (self._young, self._old) if key in half]
        if len(self._young) >= self._half:
            gone += self._old.values()
            self._old, self._young = self._young, {}
        self._young[key] = statement
        return gone

    def forget(self, key: Key) -> None:
        """The server has lost it."""
        self._young.pop(key, None)
        self._old.pop(key, None)

    def clear(self) -> list[ServerStatement]:
        """All of them, to be closed."""
        gone = [*self._young.values(), *self._old.values()]
        self._young, self._old = {}, {}
        return gone


def close_packets(statements: Sequence[ServerStatement]) -> bytes:
    """COM_STMT_CLOSE, which has no answer."""
    return b"".join(frame(struct.pack("<BI", Command.STMT_CLOSE, each.id), 0) for each in statements)
