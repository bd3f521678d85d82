"""All pools of the mesh: who gets which connection, and when.

`acquire` takes all the connections a statement needs or none, so that no two statements wait for each other's halves.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from dbmesh.backend.connection import Connection
from dbmesh.backend.dial import dial
from dbmesh.backend.kill import Killer
from dbmesh.backend.pool import Capabilities, Pool, Ticket, enqueue, grant, may_take, withdraw
from dbmesh.backend.session_state import DEFAULT_STATE, SessionState
from dbmesh.errors import MeshError, PoolTimeout
from dbmesh.rules.logical_names import LogicalNames
from dbmesh.rules.model import DataSource, MeshRules

_LAST_BYTES = 1.0  # seconds that closed connections have for what they still write
MAX_LIFETIME = 3600.0  # seconds; then a connection is replaced, so that servers and balancers can be changed


@dataclass(slots=True)
class Counters:
    """Since the start. Times in seconds."""

    dialled: int = 0
    failed: int = 0
    acquired: int = 0
    waited: int = 0
    timeouts: int = 0
    wait_time: float = 0.0
    discarded: int = 0


@dataclass(frozen=True, slots=True)
class PoolReport:
    """A row of SHOW MESH POOLS."""

    data_source: str
    size: int
    in_use: int
    idle: int
    waiting: int
    counters: Counters


class Lender(Protocol):
    """Who gives connections for one statement and takes them back: the cluster, or a session's own on top of it."""

    async def acquire(
        self, requests: Sequence[str], capabilities: Capabilities, state: SessionState
    ) -> list[Connection]: ...

    def release(self, connection: Connection, reusable: bool = True) -> None: ...


class Cluster:
    """The pools of all data sources of one rule set. Made and used inside a running event loop."""

    def __init__(self, rules: MeshRules) -> None:
        self.sources: Mapping[str, DataSource] = rules.data_sources
        self.names = LogicalNames(rules)
        self.counters: dict[str, Counters] = {name: Counters() for name in self.sources}
        self._pools: dict[str, Pool[Connection]] = {
            name: Pool(name, source.pool.size) for name, source in self.sources.items()
        }
        self._turns: dict[Ticket, asyncio.Future[None]] = {}
        self._held: set[Connection] = set()
        self._open: set[Connection] = set()
        self._killer = Killer(self._dial_for_control)
        self._recycling: asyncio.TimerHandle | None = None
        self._closing = False
        self._lost: asyncio.Event | None = None
        self._drained: asyncio.Future[None] | None = None

    def adopt(self, rules: MeshRules) -> None:
        """Serve another generation of rules with the same data sources."""
        self.names = LogicalNames(rules)

    # -- taking and giving back

    def acquire_nowait(self, data_source: str, capabilities: Capabilities, state: SessionState) -> Connection | None:
        """An idle connection at once, or None: then `acquire`. Its state may be another: compare with ``is``."""
        pool = self._pools[data_source]
        if pool.waiting or pool.free <= 0:
            return None
        connection = pool.take_idle(capabilities, state)
        if connection is not None:
            self._held.add(connection)
        return connection

    async def acquire(
        self, requests: Sequence[str], capabilities: Capabilities, state: SessionState
    ) -> list[Connection]:
        """A connection for each data source named, in that order; one named twice gets two. All or none.

        Raises PoolTimeout after the pools' ``wait_timeout``, Unreachable when one cannot be dialled. The connections'
        state is whatever it was: call ``apply``.
        """
        needs = Counter(requests)
        for name, number in needs.items():
            if number > self._pools[name].size:
                raise PoolTimeout(
                    f"{number} connections to data source '{name}' are needed at once and its pool has "
                    f"{self._pools[name].size}; make the pool's size larger"
                )
        if self._closing:
            raise PoolTimeout("The connections are being closed: the mesh is shutting down or its rules were replaced")
        if not may_take(self._pools, needs):
            await self._wait(needs)
        return await self._take(requests, capabilities, state)

    def release(self, connection: Connection, reusable: bool = True) -> None:
        """Give a connection back. One that is not ``reusable``, busy or in a transaction is closed instead, and one
        whose server might end it while it idles here."""
        if connection not in self._held:
            return
        self._held.remove(connection)
        name = connection.data_source
        pool = self._pools[name]
        seconds = connection.state.wait_timeout
        lasts = seconds is None or seconds >= self.sources[name].pool.idle_timeout * 2
        if reusable and lasts and connection.clean and not self._closing:
            connection.idle_since = connection.loop.time()
            pool.put_idle(connection)
        else:
            self.counters[name].discarded += 1
            connection.close()
        pool.free += 1
        if pool.waiting:
            self._grant((name,))
        if self._drained is not None:
            self._tell_drained()

    # -- waiting

    async def _wait(self, needs: Mapping[str, int]) -> None:
        """Until the places are ours; they are taken from ``free`` by the one who grants them, and given back here."""
        ticket = Ticket(needs)
        loop = asyncio.get_running_loop()
        turn = self._turns[ticket] = loop.create_future()
        enqueue(self._pools, ticket)
        began = loop.time()
        limit = min(self.sources[name].pool.wait_timeout for name in needs)
        try:
            async with asyncio.timeout(limit):
                await turn
        except BaseException as error:
            self._give_up(ticket)
            if isinstance(error, TimeoutError):
                raise self._timeout(needs, limit) from None
            raise
        finally:
            del self._turns[ticket]
            for name in needs:
                self.counters[name].waited += 1
                self.counters[name].wait_time += loop.time() - began
        # What `_grant` took is free again for the instant until `_take`: nothing runs in between.
        self._change_free(needs, 1)

    def _give_up(self, ticket: Ticket) -> None:
        if ticket.granted:
            self._change_free(ticket.needs, 1)
        else:
            withdraw(self._pools, ticket)
        # What it had reserved may be what others waited for.
        self._grant(ticket.needs)

    def _grant(self, names: Iterable[str]) -> None:
        for ticket in grant(self._pools, names):
            self._change_free(ticket.needs, -1)
            turn = self._turns[ticket]
            if not turn.done():
                turn.set_result(None)

    def _change_free(self, needs: Mapping[str, int], sign: int) -> None:
        for name, number in needs.items():
            self._pools[name].free += sign * number

    def _timeout(self, needs: Mapping[str, int], limit: float) -> PoolTimeout:
        full = [name for name, number in needs.items() if self._pools[name].free < number]
        for name in needs:
            self.counters[name].timeouts += 1
        return PoolTimeout(
            f"Too many connections: no connection to {', '.join(full or needs)} became free in {limit} s"
        )

    # -- dialling

    async def _take(self, requests: Sequence[str], capabilities: Capabilities, state: SessionState) -> list[Connection]:
        """Idle connections and new ones, in places that are free."""
        taken: list[Connection | None] = []
        for name in requests:
            pool = self._pools[name]
            connection = pool.take_idle(capabilities, state)
            if connection is None:
                surplus = pool.reserve()
                if surplus is not None:
                    surplus.close()
            else:
                self._held.add(connection)
            self.counters[name].acquired += 1
            taken.append(connection)
        missing = [index for index, connection in enumerate(taken) if connection is None]
        if missing:
            await self._dial_missing(requests, taken, missing, capabilities)
        return [connection for connection in taken if connection is not None]

    async def _dial_missing(
        self,
        requests: Sequence[str],
        taken: list[Connection | None],
        missing: Sequence[int],
        capabilities: Capabilities,
    ) -> None:
        tasks = [asyncio.ensure_future(self._dial(requests[index], capabilities)) for index in missing]
        try:
            for index, connection in zip(missing, await asyncio.gather(*tasks), strict=True):
                taken[index] = connection
        except BaseException:
            for task in tasks:
                task.cancel()
            await _ended(tasks)
            for index, task in zip(missing, tasks, strict=True):
                if not task.cancelled() and task.exception() is None:
                    taken[index] = task.result()
                else:
                    self._pools[requests[index]].free += 1
            for got in taken:
                if got is not None:
                    self.release(got)
            self._grant(dict.fromkeys(requests))
            raise

    async def _dial(self, name: str, capabilities: Capabilities) -> Connection:
        try:
            connection = await dial(self.sources[name], capabilities)
        except MeshError:
            self.counters[name].failed += 1
            raise
        self.counters[name].dialled += 1
        self._watch(connection)
        connection.in_logical_names = self._in_logical_names
        connection.on_closed = self._on_closed
        connection.on_abandoned = self._killer.kill
        connection.on_interrupted = self._killer.interrupt
        self._held.add(connection)
        self._recycle_later()
        return connection

    def _in_logical_names(self, data_source: str, errno: int, message: str) -> str:
        return self.names.message(data_source, errno, message)

    async def _dial_for_control(self, name: str) -> Connection:
        connection = await dial(self.sources[name], Capabilities())
        self._watch(connection)
        return connection

    def _watch(self, connection: Connection) -> None:
        self._open.add(connection)
        connection.on_lost = self._on_lost

    def _on_lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        if self._lost is not None:
            self._lost.set()

    async def warm_up(self, number: int = 1, capabilities: Capabilities | None = None) -> dict[str, MeshError]:
        """Dial ``number`` connections to each data source; gives the errors of those that cannot be reached."""
        failures: dict[str, MeshError] = {}
        for name in self.sources:
            try:
                connections = await self.acquire([name] * number, capabilities or Capabilities(), DEFAULT_STATE)
            except MeshError as error:
                failures[name] = error
                continue
            for connection in connections:
                self.release(connection)
        return failures

    # -- ends

    def _on_closed(self, connection: Connection) -> None:
        self._pools[connection.data_source].drop_idle(connection)

    def _recycle_later(self) -> None:
        if self._recycling is None and not self._closing:
            shortest = min(source.pool.idle_timeout for source in self.sources.values())
            self._recycling = asyncio.get_running_loop().call_later(max(shortest / 4, 0.05), self._recycle)

    def _recycle(self) -> None:
        self._recycling = None
        now = asyncio.get_running_loop().time()
        for name, pool in self._pools.items():
            for connection in pool.take_expired(now, self.sources[name].pool.idle_timeout, MAX_LIFETIME):
                connection.close()
        if self._held or any(pool.idle_count for pool in self._pools.values()):
            self._recycle_later()

    def report(self) -> list[PoolReport]:
        """The rows of SHOW MESH POOLS."""
        return [
            PoolReport(name, pool.size, pool.in_use, pool.idle_count, len(pool.waiting), self.counters[name])
            for name, pool in self._pools.items()
        ]

    async def close(self, grace: float = 0.0) -> None:
        """Close all connections: idle ones now, the others when released, and after ``grace`` seconds in any case."""
        self._closing = True
        if self._recycling is not None:
            self._recycling.cancel()
        for pool in self._pools.values():
            for connection in pool.take_all():
                connection.close()
        if self._held and grace:
            self._drained = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._drained], timeout=grace)
        for connection in list(self._held):
            self.release(connection, reusable=False)
        await self._killer.close()
        await self._all_lost()

    async def _all_lost(self) -> None:
        """The loop ends the sockets in its next turns; a server that does not read may keep one a little longer."""
        self._lost = asyncio.Event()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_BYTES):
                while self._open:
                    self._lost.clear()
                    await self._lost.wait()

    def _tell_drained(self) -> None:
        if not self._held and self._drained is not None and not self._drained.done():
            self._drained.set_result(None)


async def _ended(tasks: Sequence[asyncio.Task[Connection]]) -> None:
    """Wait for all of them, however often the one who waits is cancelled: their places must be given back."""
    while pending := [task for task in tasks if not task.done()]:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(pending)
