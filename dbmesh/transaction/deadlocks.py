"""Deadlocks over several servers: each server sees a part of the circle and would let it stand until a timeout.

Nothing is done for a transaction until it has branches on two connections. As long as there are such, a task looks now
and then whether one of them has been busy for a while; only then are servers asked who waits for whom. A transaction
of another process is known only by what that process tells, see `wait_notes`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence, Set
from typing import Protocol
from weakref import WeakKeyDictionary

from dbmesh.errors import MeshError
from dbmesh.transaction.link import Links
from dbmesh.transaction.lock_waits import Hidden, lock_waits
from dbmesh.transaction.ports import Connection
from dbmesh.transaction.wait_graph import Cycle, Thread, Wait, cycles
from dbmesh.transaction.wait_notes import Note, WaitNotes

_LOGGER = logging.getLogger(__name__)
_FRESH = 3.0  # seconds or looks, whichever is longer, that a note of another process counts


class Party(Protocol):
    """A transaction, or an eager statement: ``branches`` are its connections by data source."""

    @property
    def branches(self) -> Mapping[str, Connection]: ...
    @property
    def ending(self) -> bool: ...


class Deadlocks:
    """Of one process. ``seconds``: how long a statement waits before it is looked at; 0: never.

    ``notes``: how other processes are told, None as long as there is no coordinator log.
    """

    def __init__(self, links: Links, instance: str, seconds: float) -> None:
        self.seconds = seconds
        self.notes: WaitNotes | None = None
        self._links = links
        self._instance = instance
        self._parties: WeakKeyDictionary[Party, str] = WeakKeyDictionary()
        self._number = 0
        self._hidden: set[str] = set()  # addresses of servers that do not tell us
        self._task: asyncio.Task[None] | None = None
        self._busy: set[tuple[str, str]] = set()  # name, data source: at the last look
        self._suspects: dict[frozenset[str], dict[str, Note]] = {}  # cycles with others' transactions

    def watch(self, party: Party) -> None:
        """It has become a transaction on several connections. Once more does nothing."""
        if not self.seconds:
            return
        if party not in self._parties:
            self._number += 1
            self._parties[party] = f"{self._instance}-{self._number:012d}"
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._look_on())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # -- looking

    async def _look_on(self) -> None:
        try:
            while self.seconds:
                await asyncio.sleep(self.seconds)
                await self._look()
                if not self._spread():
                    break
        finally:
            self._task = None

    async def _look(self) -> None:
        spread = self._spread()
        busy = {(name, source) for name, party in spread.items() for source, c in party.branches.items() if c.busy}
        waiting = {name for name, _ in busy & self._busy}
        self._busy = busy
        try:
            if waiting:
                await self._resolve(waiting)
            else:
                await self._forget()
        except MeshError as error:
            _LOGGER.warning("deadlocks over several servers were not looked for: %s", error.message)
        except Exception:
            _LOGGER.exception("deadlocks over several servers were not looked for")

    def _spread(self) -> dict[str, Party]:
        """Who could be in such a deadlock now, by name."""
        found = {name: party for party, name in self._parties.items()}
        return {name: party for name, party in found.items() if len(party.branches) > 1 and not party.ending}

    def _threads(self, party: Party) -> frozenset[Thread]:
        sources = self._links.data_sources
        known = [(sources[name], c) for name, c in party.branches.items() if name in sources]
        return frozenset(Thread(source.address, connection.thread_id) for source, connection in known)

    async def _resolve(self, waiting: Set[str]) -> None:
        parties = {name: self._threads(party) for name, party in self._spread().items()}
        waits = await self._ask({thread.server for name in waiting for thread in parties[name]})
        ours = frozenset().union(*parties.values())
        notes: dict[str, Note] = {}
        if any((wait.waiter in ours) is not (wait.holder in ours) for wait in waits):
            notes = await self._exchange({name: parties[name] for name in waiting})
            elsewhere = {thread.server for note in notes.values() for thread in note.threads}
            waits += await self._ask(elsewhere - {thread.server for thread in ours})
        else:
            await self._forget()
        told = {name: note.threads for name, note in notes.items()}
        found = self._confirmed(cycles(parties | told, waits), notes)
        still = {name: self._threads(party) for name, party in self._spread().items()}
        for cycle in found:
            mine = cycle.members & parties.keys()
            if cycle.victim in mine and all(still.get(name) == parties[name] for name in mine):
                self._end(cycle)

    async def _exchange(self, own: Mapping[str, Set[Thread]]) -> dict[str, Note]:
        if self.notes is None:
            return {}
        return await self.notes.exchange(own, _FRESH * max(1.0, self.seconds))

    async def _forget(self) -> None:
        self._suspects.clear()
        if self.notes is not None:
            await self.notes.withdraw()

    def _confirmed(self, found: Sequence[Cycle], notes: Mapping[str, Note]) -> list[Cycle]:
        """Others' notes may be old: they must have been written anew since the same cycle was first seen."""
        before, self._suspects = self._suspects, {}
        confirmed = []
        for cycle in found:
            others = {name: notes[name] for name in cycle.members if name in notes}
            first = self._suspects[cycle.members] = before.get(cycle.members, others)
            if all(first[name].seen_at != note.seen_at for name, note in others.items()):
                confirmed.append(cycle)
        return confirmed

    def _end(self, cycle: Cycle) -> None:
        party = self._spread()[cycle.victim]
        listed = ", ".join(f"{name}: {connection.thread_id}" for name, connection in party.branches.items())
        _LOGGER.info("deadlock of %d transactions over several servers, victim on %s", len(cycle.members), listed)
        for connection in party.branches.values():
            connection.give_way()

    # -- asking

    async def _ask(self, servers: Set[str]) -> list[Wait]:
        by_address = {source.address: source.name for source in self._links.data_sources.values()}
        asked = [(server, by_address[server]) for server in sorted(servers - self._hidden) if server in by_address]
        found = await asyncio.gather(*(self._ask_one(server, name) for server, name in asked))
        return [wait for waits in found for wait in waits]

    async def _ask_one(self, server: str, data_source: str) -> list[Wait]:
        try:
            async with self._links.link(data_source) as link:
                return await lock_waits(link, server)
        except Hidden as why:
            self._hidden.add(server)
            _LOGGER.warning("deadlocks with data source %s are not seen, %s", data_source, why)
        except MeshError:
            pass  # whoever waits there will notice
        return []
