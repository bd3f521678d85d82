"""Statements that a server keeps prepared for one connection, and how one is run."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from dbmesh.protocol.constants import Command
from dbmesh.protocol.framing import frame
from dbmesh.protocol.parameters import Parameter, execute_packets
from dbmesh.protocol.resultset import ColumnDefinition

MOST_STATEMENTS = 128  # of one connection; servers have a limit for all of them (max_prepared_stmt_count)
TOO_MANY = 1461
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

    __slots__ = ("columns", "head", "id", "parameters", "types")

    def __init__(self, id: int, parameters: list[ColumnDefinition], columns: list[ColumnDefinition]) -> None:
        self.id = id
        self.head = id.to_bytes(4, "little")
        self.parameters = parameters
        self.columns = columns
        self.types = b""


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
        gone: list[ServerStatement] = []
        if len(self._young) >= self._half:
            gone = list(self._old.values())
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
