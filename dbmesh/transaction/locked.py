"""The connections of LOCK TABLES as one local transaction: its ends keep the connections, and the locks on them.

BEGIN would let the locks go, so a transaction is what autocommit=0 makes of statements (MySQL 8.4 manual, 15.3.6
"LOCK TABLES and UNLOCK TABLES Statements").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dbmesh.backend.session_state import SessionState
from dbmesh.errors import MeshError
from dbmesh.rewrite.unaliased import without_alias
from dbmesh.transaction.local import LocalTransaction, commit_failure


class TableNotLocked(MeshError):
    """ER_TABLE_NOT_LOCKED."""

    errno = 1100
    sqlstate = "HY000"

    def __init__(self, table: str) -> None:
        super().__init__(f"Table '{table}' was not locked with LOCK TABLES")


Part = tuple[str, str]  # data source, actual table


def named_as_locked(sql: str, data_source: str, unaliased: Mapping[Part, str]) -> str:
    """A statement for that data source with bare names where parts are locked bare."""
    for (place, table), alias in unaliased.items():
        if place == data_source:
            sql = without_alias(sql, table, alias)
    return sql


@dataclass(slots=True, eq=False)
class LockedTables(LocalTransaction):
    """``unaliased``: parts that are locked under their own names only, and the alias that statements give them.

    ``together``: the statement under way is to be committed as one, whatever the session's autocommit is.
    """

    unaliased: Mapping[Part, str] = field(default_factory=dict)
    together: bool = False

    async def enlist(self, data_sources: Iterable[str], state: SessionState) -> None:
        """Give the connections that state. All of ``data_sources`` must have locked tables."""
        state = state.with_variables({"autocommit": "0"}) if self.together else state
        for name in dict.fromkeys(data_sources):
            await self.branches[name].apply(state)

    async def settle(self, data_sources: Iterable[str]) -> None:
        """A server's error undoes the statement; nobody else can have undone more."""

    async def abort(self, why: str) -> None:
        """The work is undone; a connection that is lost takes the locks with it, which the session is told next."""
        await self._roll_back()

    async def commit(self) -> None:
        """As a local transaction's."""
        committed: list[str] = []
        for name, connection in self.branches.items():
            try:
                await connection.execute("COMMIT")
            except MeshError as error:
                await self._roll_back()
                raise commit_failure(committed, name, error) from error
            committed.append(name)

    async def rollback(self) -> None:
        await self._roll_back()

    async def _roll_back(self) -> None:
        self.savepoints.clear()
        for connection in self.branches.values():
            try:
                await connection.execute("ROLLBACK")
            except MeshError:
                connection.close()

    def discard(self) -> None:
        """Whoever keeps the connections closes them."""

    def give_back(self, name: str, reusable: bool) -> None:
        """They stay with the locks."""
