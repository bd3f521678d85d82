"""The sessions of this process, by connection id: for KILL, SHOW PROCESSLIST and the drain at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dbmesh.errors import BackendError
from dbmesh.rules.model import Grant

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session

WORKER_IDS = 1 << 24  # connection ids of one worker process; they stay unique over 255 workers


def connection_ids(worker: int) -> Iterator[int]:
    """The connection ids of a worker process, by its number; they begin again when all have been given."""
    while True:
        yield from range(worker * WORKER_IDS + 1, (worker + 1) * WORKER_IDS)


class Sessions:
    """Who is connected to this process."""

    def __init__(self) -> None:
        self._sessions: dict[int, Session] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    def add(self, session: Session) -> None:
        self._sessions[session.id] = session
        self._empty.clear()

    def remove(self, session: Session) -> None:
        self._sessions.pop(session.id, None)
        if not self._sessions:
            self._empty.set()

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    def __len__(self) -> int:
        return len(self._sessions)

    def visible_to(self, viewer: Session) -> list[Session]:
        """One's own; all of them with the grant `admin`."""
        everything = viewer.user.may(Grant.ADMIN)
        return [session for session in self if everything or session.user.name == viewer.user.name]

    def kill(self, id: int, query_only: bool, killer: Session) -> None:
        """KILL [CONNECTION | QUERY] id. Raises 1094 and 1095 as MySQL does."""
        victim = self._sessions.get(id)
        if victim is None:
            raise BackendError(1094, "HY000", f"Unknown thread id: {id}")
        if victim not in self.visible_to(killer):
            raise BackendError(1095, "HY000", f"You are not owner of thread {id}")
        victim.kill(query_only)

    async def emptied(self) -> None:
        """Wait until the last session has gone."""
        await self._empty.wait()
