"""What the processes of a mesh tell each other of transactions that wait: a table in the coordinator log.

Nobody but a transaction's own process knows which connections are its. It is written only about those that have waited
for others' transactions longer than a deadlock is left to itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from dataclasses import dataclass

from dbmesh.transaction.log import CoordinatorLog, text
from dbmesh.transaction.wait_graph import Thread


@dataclass(frozen=True, slots=True)
class Note:
    """A transaction that waits. ``seen_at``: when its process last said so, by the log server's clock."""

    threads: frozenset[Thread]
    seen_at: bytes


class WaitNotes:
    """Raises errors.BackendError and errors.BackendLost."""

    def __init__(self, log: CoordinatorLog) -> None:
        self._log = log
        self._written: set[str] = set()

    async def exchange(self, own: Mapping[str, Set[Thread]], seconds: float) -> dict[str, Note]:
        """Tell of our own, by name, and no other than these; what others have told within so many seconds."""
        log = self._log
        await self.withdraw(self._written - own.keys())
        async with log.links.link(log.data_source) as link:
            rows = [f"({text(name)}, {text(json.dumps(sorted(threads)))}, NOW(6))" for name, threads in own.items()]
            await link.execute(f"REPLACE INTO {log.lock_wait} (name, threads, seen_at) VALUES {', '.join(rows)}")
            self._written |= own.keys()
            answer = await link.execute(
                f"SELECT name, threads, seen_at FROM {log.lock_wait}"
                f" WHERE seen_at > NOW(6) - INTERVAL {seconds:.6f} SECOND"
            )
        notes = {}
        for row in answer.rows:
            name, threads, seen_at = (cell or b"" for cell in row)
            if name.decode() not in own:
                listed = frozenset(Thread(server, number) for server, number in json.loads(threads))
                notes[name.decode()] = Note(listed, seen_at)
        return notes

    async def withdraw(self, names: Set[str] | None = None) -> None:
        """Take back what was told of these, None for all; and what dead processes have left."""
        gone = set(self._written if names is None else names)
        if not gone:
            return
        listed = ", ".join(text(name) for name in sorted(gone))
        log = self._log
        await log.links.execute(
            log.data_source,
            f"DELETE FROM {log.lock_wait} WHERE name IN ({listed}) OR seen_at < NOW(6) - INTERVAL 1 HOUR",
        )
        self._written -= gone
