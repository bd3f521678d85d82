"""One proxy process among others: its lease, its sweeper, and the end of every global transaction that nobody drives.

Any proxy may finish any transaction. Who takes one over raises its epoch by compare-and-swap; the former owner's
compare-and-swaps then fail, and closed gates stop its statements.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from dbmesh.errors import MeshError, NotSupported
from dbmesh.rules.model import DataNode, MeshRules, TransactionRules
from dbmesh.saga import coordinator, xa
from dbmesh.saga.coordinator import Kind, Outcome
from dbmesh.schema import Table
from dbmesh.transaction.branches import Shards
from dbmesh.transaction.ddl_journal import DdlJournal
from dbmesh.transaction.deadlocks import Deadlocks
from dbmesh.transaction.definitions import Definitions
from dbmesh.transaction.gtrid import new_gtrid
from dbmesh.transaction.lease import Lease, NoLease, WorkerLease, new_instance
from dbmesh.transaction.link import Links
from dbmesh.transaction.log import CoordinatorLog, GlobalTransaction
from dbmesh.transaction.meters import Counters
from dbmesh.transaction.performer import Performer
from dbmesh.transaction.ports import Catalog
from dbmesh.transaction.tables import Place, prepare_tables
from dbmesh.transaction.wait_notes import WaitNotes
from dbmesh.transaction.xa_branches import XaBranches
from dbmesh.transaction.xa_performer import XaPerformer
from dbmesh.transaction.xa_recovery import Lookout

_LOGGER = logging.getLogger(__name__)
_RENEWALS = 0.3  # of a lease
_PURGE_SECONDS = 60.0
_SIDE_BY_SIDE = 4

T = TypeVar("T")


class Proxy:
    """What the sagas of one process share. ``start`` once; ``stop`` ends the lease so that others need not wait."""

    def __init__(self, rules: MeshRules, instance: str | None = None, create: bool = True) -> None:
        """``create``: make missing tables; without it nothing is written before it is asked for."""
        self._create = create
        self.rules: TransactionRules = rules.transaction
        self.instance = instance or new_instance()
        self.links = Links(rules.data_sources)
        self._deltas = rules.deltas()
        self.places: dict[str, Place] = {}
        self.unreached: dict[str, MeshError] = {}
        self.counters = Counters()
        self.shards = Shards(self.links, self.places, self.counters)
        self.definitions = Definitions(self.links)
        self.deadlocks = Deadlocks(self.links, self.instance, self.rules.deadlock_timeout)
        self._log: CoordinatorLog | None = None
        self._lease: Lease | None = None
        self._mesh_id = ""
        self.worker: WorkerLease | None = None
        self._wants_worker = False
        self._busy: dict[str, asyncio.Task[Any]] = {}
        self._loops: list[asyncio.Task[None]] = []
        self._purged = 0.0
        self._lookout = Lookout()

    # -- what sagas use

    @property
    def log(self) -> CoordinatorLog:
        self.require()
        assert self._log is not None
        return self._log

    @property
    def lease(self) -> Lease:
        self.require()
        assert self._lease is not None
        return self._lease

    @property
    def ddl(self) -> DdlJournal:
        self.require()
        assert self._log is not None
        return DdlJournal(self.links, self._log.data_source, self.places[self._log.data_source])

    def require_log(self) -> None:
        """Raise NotSupported without a coordinator log in the rules."""
        if self.rules.log is None:
            raise NotSupported(
                "BASE transactions need a coordinator log", "name a data source in the mesh rules: transaction.log"
            )

    def require(self) -> None:
        """Raise NotSupported without a coordinator log in the rules, NoLease while it has not been reached."""
        self.require_log()
        if self._log is None or self._lease is None:
            raise NoLease(f"The coordinator log in data source '{self.rules.log}' has not been reached yet")

    @property
    def xa(self) -> XaBranches:
        """XA branches on the servers, under this mesh's name."""
        self.require()
        return XaBranches(self.shards, self._mesh_id)

    def deltas(self, data_source: str, table: str) -> frozenset[str]:
        """The actual table's columns, in lower case, whose changes are undone by their difference."""
        return self._deltas.get(DataNode(data_source, table), frozenset())

    def new_gtrid(self) -> str:
        return new_gtrid(self.instance)

    def spawn(self, gtrid: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Drive a transaction's end in a task of its own; this process's sweeper leaves it alone meanwhile."""
        task = asyncio.ensure_future(work)
        self._busy[gtrid] = task
        task.add_done_callback(lambda done: self._forget(gtrid, done))
        return task

    @property
    def busy(self) -> tuple[asyncio.Task[Any], ...]:
        """The ends of transactions that this process is driving."""
        return tuple(self._busy.values())

    def _forget(self, gtrid: str, task: asyncio.Task[Any]) -> None:
        if self._busy.get(gtrid) is task:
            del self._busy[gtrid]
        if not task.cancelled() and task.exception() is not None:
            _LOGGER.error("global transaction %s: %r", gtrid, task.exception(), exc_info=task.exception())

    # -- life

    async def start(self, sweeping: bool = True) -> None:
        """Create missing tables, take the lease, start the sweeper. Servers that are down are tried again later."""
        if self.rules.log is None:
            return
        await self.reach()
        if self._log is not None and self._lease is not None:
            await self._lease.renew()
        self._loops = [asyncio.ensure_future(self._renew_forever())]
        if sweeping:
            self._loops.append(asyncio.ensure_future(self._sweep_forever()))

    async def stop(self, seconds: float = 5.0) -> None:
        """Finish what is under way, as far as that is possible in time, and give the leases up."""
        await self.deadlocks.stop()
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        if self._busy:
            await asyncio.wait(list(self._busy.values()), timeout=seconds)
        for task in list(self._busy.values()):
            task.cancel()
        await asyncio.gather(*self._busy.values(), return_exceptions=True)
        for lease in (self.worker, self._lease):
            try:
                if lease is not None:
                    await lease.give_up()
            except MeshError as error:
                _LOGGER.warning("lease not given up: %s", error)
        await self.links.close()

    def reload(self, rules: MeshRules) -> None:
        """Take over new data sources and times; the log stays where it was until a restart."""
        self.links.data_sources = rules.data_sources
        self._deltas = rules.deltas()
        self.deadlocks.seconds = rules.transaction.deadlock_timeout
        self.rules = replace(rules.transaction, log=self.rules.log, schema=self.rules.schema)

    async def lease_worker_id(self) -> int:
        """The worker id for generated keys, leased now if it is not yet. Raises NoLease, NotSupported, BackendLost."""
        self._wants_worker = True  # from now on it is also taken later, when the log cannot be reached yet
        self.require()
        if self.worker is None or self.worker.id is None:
            await self._renew_worker()
        return self.worker_id()

    async def _renew_worker(self) -> None:
        if self.worker is None and self._log is not None:
            self.worker = WorkerLease(self._log, self.instance, self.rules.lease)
        if self.worker is not None:
            await self.worker.renew()

    def worker_id(self) -> int:
        """The leased worker id, for each generated key. Raises NoLease when it may be another process's by now."""
        if self.worker is None:
            raise NoLease("No worker id for generated keys has been leased yet")
        return self.worker.require()

    async def reach(self) -> None:
        """Find or create the tables of servers that have not answered yet, the log's first.

        ``unreached`` says why on which data sources that failed.
        """
        if self.rules.log is None:
            self.require()
            return
        names = [self.rules.log, *(name for name in self.links.data_sources if name != self.rules.log)]
        for name in names:
            if name not in self.places and name in self.links.data_sources:
                try:
                    await self._reach_one(name)
                    self.unreached.pop(name, None)
                except MeshError as error:
                    if name not in self.unreached and self._create:
                        _LOGGER.warning("mesh tables of data source %s: %s", name, error)
                    self.unreached[name] = error

    async def _reach_one(self, name: str) -> None:
        async with self.links.link(name) as link:
            is_log = name == self.rules.log
            place = await prepare_tables(link, self.links.schema(name), self.rules.schema, is_log, self._create)
        if is_log and self._log is None:
            log = CoordinatorLog(self.links, name, place)
            lease = Lease(log, self.instance, self.rules.lease)
            if self._create:
                await lease.renew()
            self._mesh_id = await log.mesh_id(new_instance(), self._create)
            self._log, self._lease = log, lease
            self.deadlocks.notes = WaitNotes(log)
        self.places[name] = place

    async def _renew_forever(self) -> None:
        while True:
            await asyncio.sleep(self.rules.lease * _RENEWALS)
            try:
                if self._lease is not None:
                    await self._lease.renew()
                if self._wants_worker:
                    await self._renew_worker()
            except MeshError as error:
                _LOGGER.warning("lease of proxy %s not renewed: %s", self.instance, error)
            except Exception:
                # a loop that ends would let this proxy's transactions be taken over for ever after
                _LOGGER.exception("lease of proxy %s not renewed", self.instance)

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(self.rules.sweep * random.uniform(0.5, 1.5))
            try:
                await self.reach()
                await self.sweep()
                await self._lookout.look(self)
            except MeshError as error:
                _LOGGER.warning("sweep of proxy %s: %s", self.instance, error)
            except Exception:
                _LOGGER.exception("sweep of proxy %s", self.instance)

    # -- the sweeper

    async def sweep(self) -> list[tuple[str, Outcome]]:
        """Take over and finish what nobody drives; purge what ended long ago. (gtrid, outcome) of what it did."""
        orphans = [tx for tx in await self.log.orphans(self.instance) if tx.gtrid not in self._busy]
        limit = asyncio.Semaphore(_SIDE_BY_SIDE)

        async def one(transaction: GlobalTransaction) -> tuple[str, Outcome] | None:
            async with limit:
                outcome = await self.take_over(transaction)
                return None if outcome is None else (transaction.gtrid, outcome)

        found = await asyncio.gather(*(one(transaction) for transaction in orphans))
        await self._purge()
        return [item for item in found if item is not None]

    async def take_over(self, transaction: GlobalTransaction, only: Sequence[str] = ()) -> Outcome | None:
        """Finish a transaction as its new owner, or undo it on some data sources ``only``.

        None when another proxy was quicker.
        """
        epoch = await self.log.take(transaction, self.instance)
        if epoch is None:
            return None
        self.counters.takeovers += transaction.owner != self.instance
        outcome: Outcome = await self.spawn(transaction.gtrid, self._recover(transaction, epoch, only))
        if outcome.kind is not Kind.PENDING:
            _LOGGER.info("global transaction %s: %s", transaction.gtrid, outcome.state)
        return outcome

    async def undo(self, transaction: GlobalTransaction, catalog: Catalog, note: str) -> Outcome | None:
        """Undo a committed transaction as its new owner, everywhere or nowhere.

        None when that cannot be any more: another process was quicker, or its records may be purged.
        """
        epoch = await self.log.reopen(transaction, self.instance, self.rules.retention)
        if epoch is None:
            return None

        async def table(data_source: str, name: str) -> Table | None:
            return await self.definitions.table(catalog, data_source, name)

        performer = Performer(self.shards, self.log, transaction.gtrid, self.instance, epoch, tables=table)
        steps = coordinator.undo(transaction.participants, note, transaction.mode == "deferred")
        return await self.spawn(transaction.gtrid, performer.run(steps))

    def _recover(self, transaction: GlobalTransaction, epoch: int, only: Sequence[str]) -> Coroutine[Any, Any, Outcome]:
        gtrid, state, participants = transaction.gtrid, transaction.state, transaction.participants
        performer = Performer(self.shards, self.log, gtrid, self.instance, epoch)
        if transaction.mode == "xa":
            return XaPerformer(performer, self.xa).run(xa.recover(state, participants))
        return performer.run(coordinator.recover(state, participants, only, transaction.mode == "deferred"))

    async def _purge(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._purged < _PURGE_SECONDS and self._purged:
            return
        self._purged = now
        await self.purge()

    async def purge(self) -> int:
        """Remove what ended longer ago than the retention. Returns how many transactions."""
        removed = 0
        while ended := await self.log.ended_before(self.rules.retention):
            names = sorted({name for _, participants in ended for name in participants})
            gtrids = [gtrid for gtrid, _ in ended]
            for name in names:
                if name in self.links.data_sources:
                    await self.shards.forget(gtrids, name)
            await self.log.forget(gtrids)
            removed += len(gtrids)
        await self.ddl.purge(self.rules.retention)
        return removed
