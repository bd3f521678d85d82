"""The sessions of this process, by connection id: for KILL, SHOW PROCESSLIST and the drain at the end."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session

WORKER_IDS = 1 << 24  # connection ids of one worker process; they stay unique over 255 workers


class Sessions:
    """Who is connected. ``worker``: the number of this process, its ids begin at ``worker * WORKER_IDS + 1``."""

    def __init__(self, worker: int = 0) -> None:
        self._ids = itertools.count(worker * WORKER_IDS + 1)
        self._sessions: dict[int, Session] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    def new_id(self) -> int:
        return next(self._ids)

    def add(self, session: Session) -> None:
        self._sessions[session.id] = session
        self._empty.clear()

    def remove(self, session: Session) -> None:
        self._sessions.pop(session.id, None)
        if not self._sessions:
            self._empty.set()

    def get(self, id: int) -> Session | None:
        return self._sessions.get(id)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    def __len__(self) -> int:
        return len(self._sessions)

    async def emptied(self) -> None:
        """Wait until the last session has gone."""
        await self._empty.wait()
