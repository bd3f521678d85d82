"""The decisions of a pool: which connection, whose turn, what to close. Values in, values out; nothing waits here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, NamedTuple, Protocol, TypeVar

from dbmesh.backend.session_state import SessionState


class Capabilities(NamedTuple):
    """What a client and its backend must have agreed on alike at their logins: part of the pool's key."""

    found_rows: bool = False
    deprecate_eof: bool = False


class Pooled(Protocol):
    """What a pool has to know of a connection. ``created``, ``idle_since``: seconds of the loop's clock."""

    capabilities: Capabilities
    state: SessionState
    created: float
    idle_since: float


C = TypeVar("C", bound=Pooled)


class Ticket:
    """A request that waits: all of ``needs`` (data source → number) or nothing."""

    __slots__ = ("granted", "needs")

    def __init__(self, needs: Mapping[str, int]) -> None:
        self.needs = needs
        self.granted = False


class Pool(Generic[C]):
    """The connections to one data source. ``free``: how many more may be taken, idle or still to be dialled."""

    __slots__ = ("free", "idle", "name", "size", "waiting")

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self.free = size
        self.idle: dict[Capabilities, list[C]] = {}
        self.waiting: dict[Ticket, None] = {}  # in the order of their coming

    @property
    def idle_count(self) -> int:
        return sum(map(len, self.idle.values()))

    @property
    def in_use(self) -> int:
        """Taken, those that are being dialled included."""
        return self.size - self.free

    def take_idle(self, capabilities: Capabilities, state: SessionState) -> C | None:
        """An idle connection, one with that state if there is one; None when there is none. Hot."""
        idle = self.idle.get(capabilities)
        if not idle:
            return None
        self.free -= 1
        if idle[-1].state is state:
            return idle.pop()
        for index in range(len(idle) - 2, -1, -1):
            if idle[index].state is state:
                return idle.pop(index)
        return idle.pop()

    def reserve(self) -> C | None:
        """Take a place for a connection to be dialled; gives an idle one to close where all are taken."""
        self.free -= 1
        if self.idle_count <= self.free:
            return None
        oldest = min((idle for idle in self.idle.values() if idle), key=lambda idle: idle[0].idle_since)
        return oldest.pop(0)

    def put_idle(self, connection: C) -> None:
        self.idle.setdefault(connection.capabilities, []).append(connection)

    def drop_idle(self, connection: C) -> bool:
        """Forget a connection that has ended; False when it was not idle."""
        idle = self.idle.get(connection.capabilities, [])
        if connection not in idle:
            return False
        idle.remove(connection)
        return True

    def take_all(self) -> list[C]:
        """Every idle connection, to be closed."""
        idle = [connection for connections in self.idle.values() for connection in connections]
        self.idle.clear()
        return idle

    def take_expired(self, now: float, idle_timeout: float, lifetime: float) -> list[C]:
        """The idle connections to close: unused for ``idle_timeout`` seconds, or made ``lifetime`` seconds ago."""
        expired: list[C] = []
        for capabilities, idle in self.idle.items():
            kept = [c for c in idle if now - c.idle_since < idle_timeout and now - c.created < lifetime]
            expired += (c for c in idle if c not in kept)
            self.idle[capabilities] = kept
        return expired


def may_take(pools: Mapping[str, Pool[C]], needs: Mapping[str, int], before: Ticket | None = None) -> bool:
    """Whether all of ``needs`` is free, after what those who came earlier (all, or those before ``before``) wait for.

    An earlier request keeps what it needs of every data source reserved while it waits for the rest, so nobody who
    comes later can starve it; and since all reserve in the order of their coming, no two wait for each other.
    """
    for name, number in needs.items():
        left = pools[name].free - number
        for ticket in pools[name].waiting:
            if ticket is before or left < 0:
                break
            left -= ticket.needs[name]
        if left < 0:
            return False
    return True


def enqueue(pools: Mapping[str, Pool[C]], ticket: Ticket) -> None:
    for name in ticket.needs:
        pools[name].waiting[ticket] = None


def grant(pools: Mapping[str, Pool[C]], names: Iterable[str]) -> list[Ticket]:
    """The tickets whose turn has come after places became free in those pools; they are no longer waiting.

    Their places are not taken yet: the caller has to, before anything else happens.
    """
    granted: list[Ticket] = []
    promised: dict[str, int] = {}
    for name in names:
        pool = pools[name]
        reserved = 0
        for ticket in list(pool.waiting):
            if pool.free - promised.get(name, 0) - reserved <= 0:
                break
            if _fits(pools, ticket, promised):
                withdraw(pools, ticket)
                ticket.granted = True
                granted.append(ticket)
                for needed, number in ticket.needs.items():
                    promised[needed] = promised.get(needed, 0) + number
            else:
                reserved += ticket.needs[name]
    return granted


def _fits(pools: Mapping[str, Pool[C]], ticket: Ticket, promised: Mapping[str, int]) -> bool:
    wanted = {name: number + promised.get(name, 0) for name, number in ticket.needs.items()}
    return may_take(pools, wanted, ticket)


def withdraw(pools: Mapping[str, Pool[C]], ticket: Ticket) -> None:
    for name in ticket.needs:
        pools[name].waiting.pop(ticket, None)
