"""What a plan asks of the session when it is bound: session functions as SQL text, and generated keys."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session


class SessionCall:
    """``plan.model.Call`` for one statement: its time stands still."""

    __slots__ = ("_session", "_timestamp")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._timestamp: str | None = None

    @property
    def strict(self) -> bool:
        return self._session.settings.strict

    @property
    def zero_asks(self) -> bool:
        return self._session.settings.zero_asks

    def session_value(self, name: str) -> str:
        """SQL text of a session function's value."""
        session = self._session
        match name:
            case "DATABASE":
                return "NULL" if session.database is None else _quoted(session.database)
            case "LAST_INSERT_ID":
                return str(session.diagnostics.last_insert_id)
            case "CONNECTION_ID":
                return str(session.id)
            case "USER":
                return _quoted(f"{session.user.name}@{session.client.host}")
            case "CURRENT_USER":
                return _quoted(f"{session.user.name}@%")
            case "FOUND_ROWS":
                return str(session.diagnostics.found_rows)
            case "ROW_COUNT":
                return str(session.diagnostics.row_count)
            case "TIMESTAMP":
                return self._time()
        raise ValueError(f"no session function is called {name}")

    def _time(self) -> str:
        if self._timestamp is None:
            chosen = dict(self._session.state.variables).get("timestamp")
            self._timestamp = chosen or f"{time.time():.6f}"
        return self._timestamp

    def next_key(self, table: str) -> int | str:
        """A new generated key of that logical table of the session's database. Raises ClockBehind."""
        return self._session.next_key(table)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
