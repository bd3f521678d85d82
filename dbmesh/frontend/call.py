"""What a plan asks of the session when it is bound: session functions as SQL text, and generated keys."""

from __future__ import annotations

import time
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from dbmesh.errors import MeshError
from dbmesh.plan.model import TableName
from dbmesh.rules.model import ShardedTable

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session


class SessionCall:
    """``plan.model.Call`` for one statement: its time stands still."""

    __slots__ = ("_relations", "_session", "_tables", "_timestamp")

    def __init__(self, session: Session, tables: Sequence[TableName], relations: Sequence[str] = ()) -> None:
        """``tables``: the plan's. ``relations``: of a `SystemPlan`, see `system_rows`."""
        self._relations = relations
        self._session = session
        self._tables = tables
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
            case "WARNING_COUNT":
                return str(session.diagnostics.warnings.total)
            case "ERROR_COUNT":
                return str(len(session.diagnostics.warnings.errors))
            case "TIMESTAMP":
                return self._time()
        if name.startswith("RELATION "):
            return self._relations[int(name.removeprefix("RELATION "))]
        raise ValueError(f"no session function is called {name}")

    def _time(self) -> str:
        if self._timestamp is None:
            chosen = dict(self._session.state.variables).get("timestamp")
            self._timestamp = f"{Decimal(chosen) if chosen else time.time():.6f}"
        return self._timestamp

    def next_key(self, table: str) -> int | str:
        """A new generated key of that logical table, one of the plan's. Raises ClockBehind, NoLease."""
        session = self._session
        for database, name in self._tables:
            rule = session.rules.databases[database].table(name) if name == table else None
            if isinstance(rule, ShardedTable) and rule.generator is not None:
                return session.mesh.keys.next(database, table, rule.generator, session.rules)
        raise MeshError(f"Table '{table}' has no key generator in the rules")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
