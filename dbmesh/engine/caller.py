"""Whom the engine works for: what it needs to know of a session, and where the answer goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dbmesh.backend.connection import Connection, Request
from dbmesh.backend.pool import Capabilities
from dbmesh.backend.session_state import SessionState
from dbmesh.protocol import ColumnDefinition

WarningRow = list[bytes | None]  # Level, Code, Message as SHOW WARNINGS has them


@dataclass(slots=True)
class Outcome:
    """How a statement ended. ``rows``: the number of rows sent; None for a statement without a result set.

    ``relayed``: the client already has the whole answer, its last packet included; ``errno`` if that was an ERR.
    ``variables``: user variables that it has set, as `SessionState` has them. ``found_rows``, ``set_last_insert_id``:
    what FOUND_ROWS() and LAST_INSERT_ID() say now, where that is more than the answer itself tells.
    ``given_ids``: LAST_INSERT_ID() stays what it was, whatever ``last_insert_id`` says.
    """

    rows: int | None = None
    affected: int = 0
    last_insert_id: int = 0
    info: bytes = b""
    warnings: int = 0
    warning_rows: list[WarningRow] = field(default_factory=list)
    relayed: bool = False
    errno: int = 0
    variables: dict[str, str] = field(default_factory=dict)
    found_rows: int | None = None
    set_last_insert_id: int | None = None
    given_ids: bool = False


class Caller(Protocol):
    """A session, as the engine sees it."""

    @property
    def state(self) -> SessionState: ...

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def encoding(self) -> str:
        """The Python codec of character_set_client."""
        ...

    def request(self, sql: str) -> Request:
        """What is sent to a server to run a route unit's text."""
        ...

    def written(self, sql: str) -> str:
        """A route unit's text as SQL that stands for itself, all values in it."""
        ...

    async def relay(self, connection: Connection, request: Request, last_insert_id: int | None) -> Outcome:
        """Pass the answer's packets to the client undecoded; returns when the last one has been passed.

        ``last_insert_id``: what the client is to be told instead of the backend's own, or None.
        """
        ...

    def columns(self, columns: Sequence[ColumnDefinition]) -> None: ...

    def rows(self, payloads: Sequence[bytes]) -> None: ...

    async def drained(self) -> None:
        """Wait until the client has read enough for more to be written."""
        ...
