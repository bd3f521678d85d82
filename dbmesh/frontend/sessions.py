"""The sessions of this process, by connection id: for KILL, SHOW PROCESSLIST and the drain at the end.

Those of the mesh's other processes: `colleagues`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from dbmesh.errors import BackendError

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session

WORKER_IDS = 1 << 24  # connection ids of one worker process; they stay unique over 255 workers


def connection_ids(worker: int) -> Iterator[int]:
    """The connection ids of a worker process, by its number; they begin again when all have been given."""
    while True:
        yield from range(worker * WORKER_IDS + 1, (worker + 1) * WORKER_IDS)


class Shown(NamedTuple):
    """A session as others see it. ``process``: Id, User, Host, db, Command, Time, State, Info of SHOW PROCESSLIST."""

    process: list[str | None]
    standing: str
    pinned: str | None
    attributes: str | None


def cut(process: list[str | None], length: int | None) -> list[str | None]:
    """A row of SHOW PROCESSLIST with so much of the statement's text; None for all."""
    *row, info = process
    return [*row, info and info[:length]]


def unknown_thread(id: int) -> BackendError:
    """ER_NO_SUCH_THREAD."""
    return BackendError(1094, "HY000", f"Unknown thread id: {id}")


def not_owner(id: int) -> BackendError:
    """ER_KILL_DENIED_ERROR."""
    return BackendError(1095, "HY000", f"You are not owner of thread {id}")


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

    def shown(self, user: str, everything: bool) -> list[Shown]:
        """What a user sees of them: his own, or ``everything``."""
        return [session.shown() for session in self if everything or session.user.name == user]

    def kill(self, id: int, query_only: bool, user: str, everything: bool) -> None:
        """KILL [CONNECTION | QUERY] id. Raises 1094 and 1095 as MySQL does."""
        victim = self._sessions.get(id)
        if victim is None:
            raise unknown_thread(id)
        if not everything and victim.user.name != user:
            raise not_owner(id)
        victim.kill(query_only)

    def try_kill(self, id: int, query_only: bool, user: str, everything: bool) -> int:
        """The same; the error's number, 0 for none."""
        try:
            self.kill(id, query_only, user, everything)
        except BackendError as error:
            return error.errno
        return 0

    async def emptied(self) -> None:
        """Wait until the last session has gone."""
        await self._empty.wait()
