"""BASE transactions in `eager` mode: what a session calls, and what one proxy process shares among its sagas.

A `Saga` is one client transaction. Each of its statements commits at once on its shards, with undo records; COMMIT is
one compare-and-swap in the coordinator log, ROLLBACK another one followed by compensation. `Sagas` is made once per
process.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, NoReturn

from dbmesh.errors import BackendError, BackendLost, CommitFailed, Deadlock, LockWaitTimeout, MeshError, NotSupported
from dbmesh.saga import coordinator, gates
from dbmesh.saga.coordinator import Kind, Outcome
from dbmesh.saga.states import TxState
from dbmesh.saga.undo import Numbers
from dbmesh.transaction.performer import Performer, Statement
from dbmesh.transaction.ports import Catalog, Connections, Unit, WriteResult
from dbmesh.transaction.record import Work
from dbmesh.transaction.recovery import Proxy
from dbmesh.transaction.uninterrupted import patiently
from dbmesh.transaction.waiting import Patience, wait_until_free

_LOG_SECONDS = 5.0
_DEADLOCK = 1213
_DEADLOCK_TRIES = 3


class Saga:
    """One global transaction of one session; its statements come one at a time.

    ``active``: False once it has ended, by COMMIT, ROLLBACK or an error 1213; then the session is out of it.
    Nothing is durable before its first write.
    """

    def __init__(self, proxy: Proxy, catalog: Catalog, client: str, deadline: float | None) -> None:
        self.gtrid = proxy.new_gtrid()
        self.active = True
        self._proxy = proxy
        self._catalog = catalog
        self._gates: set[str] = set()
        self._touched: list[str] = []
        self._branches: list[tuple[str, int]] = []
        self._savepoints: list[tuple[str, int]] = []
        self._bseq = 0
        self._statements = 0
        self._seq = 0
        self._performer = Performer(
            proxy.shards,
            proxy.log,
            self.gtrid,
            proxy.instance,
            1,
            tuple(proxy.links.data_sources),
            proxy.rules.deadline if deadline is None else deadline,
            client[:255],
            patience=proxy.rules.commit_timeout,
        )

    @property
    def data_sources(self) -> tuple[str, ...]:
        """Where it has written."""
        return tuple(dict.fromkeys(name for name, _ in self._branches))

    # -- statements

    async def execute(
        self,
        units: Sequence[Unit],
        connections: Connections,
        *,
        encoding: str = "utf-8",
        original: str = "",
        lock_wait: float | None = None,
        copies: bool = False,
    ) -> WriteResult:
        """One logical statement: on all of its data nodes, or nowhere.

        ``connections``: the client's, in its session's state. ``encoding``: Python codec of its character set.
        ``original``: the client's text, kept for people. ``lock_wait``: seconds to wait for other global
        transactions' rows. ``copies``: every unit changes a copy of the same rows, which count once.

        Raises NotSupported before anything is done; the server's error, with the statement undone and the
        transaction going on; LockWaitTimeout (1205), likewise; Deadlock (1213) when the whole transaction was
        rolled back, here or elsewhere (then ``active`` is False).
        """
        self._require_active()
        if not self._performer.logged:
            self._proxy.lease.require()
        work = await self._work(units)
        self._statements += 1
        patience = Patience(self._proxy.rules.lock_wait if lock_wait is None else lock_wait)
        deadlocks = 0
        while True:
            outcome, statement = await self._attempt(work, connections, encoding, original)
            if outcome.kind is Kind.OK:
                return self._accept(list(work)[:1] if copies else work, statement)
            if outcome.kind is Kind.WAIT:
                assert statement.conflict is not None
                await wait_until_free(self._proxy, statement.conflict, self.gtrid, patience)
                continue
            if _is_deadlock(outcome.error) and outcome.kind is Kind.FAILED and deadlocks < _DEADLOCK_TRIES:
                deadlocks += 1
                await asyncio.sleep(random.uniform(0.005, 0.05) * deadlocks)
                continue
            await self._fail(outcome)

    async def _work(self, units: Sequence[Unit]) -> dict[str, list[Work]]:
        work: dict[str, list[Work]] = {}
        for unit in units:
            if unit.write is None:
                raise NotSupported(
                    "this form of write cannot be compensated in a BASE transaction", gates.LOCAL_INSTEAD
                )
            if unit.data_source not in self._performer.participants:
                raise NotSupported(
                    f"data source {unit.data_source} is newer than this BASE transaction", "begin a new one"
                )
            table = await self._proxy.definitions.table(self._catalog, unit.data_source, unit.write.table)
            if table is None:
                raise NotSupported(f"nothing is known of table {unit.write.table}", gates.LOCAL_INSTEAD)
            gates.check(unit.write, table)
            await self._proxy.definitions.refuse_functions(unit.data_source, unit.sql)
            work.setdefault(unit.data_source, []).append(
                (unit, table, self._proxy.deltas(unit.data_source, table.name))
            )
        return work

    async def _attempt(
        self, work: dict[str, list[Work]], pool: Connections, encoding: str, original: str
    ) -> tuple[Outcome, Statement]:
        self._bseq += 1
        names = list(work)
        self._touched += [name for name in names if name not in self._touched]
        numbers = Numbers(self._seq, self._bseq, self._statements)
        acquired = await pool.acquire(names)
        statement = Statement(pool, dict(zip(names, acquired, strict=True)), numbers, encoding, self._gates, original)
        self._performer.statement = statement
        if len(names) > 1:
            self._proxy.deadlocks.watch(statement)
        try:
            steps = coordinator.statement(self._bseq, work, self._performer.logged)
            return await self._performer.run(steps), statement
        finally:
            self._seq = numbers.seq
            statement.close()

    def _accept(self, counted: Iterable[str], statement: Statement) -> WriteResult:
        self._branches += [(name, self._bseq) for name in statement.changed]
        total = WriteResult()
        for name in counted:
            total.add(statement.results[name])
        return total

    async def _fail(self, outcome: Outcome) -> NoReturn:
        if outcome.kind is Kind.FENCED:
            await self._fenced(outcome)
        if outcome.kind is Kind.DOOMED:
            await self._doomed(outcome)
        error = outcome.error
        if isinstance(error, BackendLost) and await self._is_decided():
            await self._fenced(outcome)
        if _is_deadlock(error):
            raise LockWaitTimeout(
                "Deadlock found when trying to get lock, again and again; only the statement was undone"
            ) from error
        assert error is not None
        raise error

    async def _is_decided(self) -> bool:
        """Whether somebody else has ended the transaction: whoever does so kills the connections in its way."""
        with suppress(MeshError):
            found = await self._proxy.log.read(self.gtrid)
            return found is not None and found.state is not TxState.ACTIVE
        return False

    async def _fenced(self, outcome: Outcome) -> NoReturn:
        self.active = False
        state = outcome.state
        with suppress(MeshError):
            found = await self._proxy.log.read(self.gtrid)
            state = found.state if found else state
        raise Deadlock(
            f"global transaction {self.gtrid} was ended elsewhere, its deadline or this proxy's lease being over:"
            f" {state or 'unknown'}"
        )

    async def _doomed(self, outcome: Outcome) -> NoReturn:
        ended = await self._undo_all(outcome.detail or str(outcome.error))
        why = f"{outcome.detail}{f': {outcome.error}' if outcome.error else ''}"
        if ended.kind is Kind.OK or ended.state is TxState.ROLLED_BACK:
            raise Deadlock(f"global transaction {self.gtrid} was compensated: {why}")
        raise self._not_undone(ended)

    # -- ends

    async def commit(self) -> None:
        """The one commit point. Raises Deadlock (1213) when the transaction was rolled back elsewhere, and
        CommitFailed (1180) when the coordinator log does not answer, so that the outcome is not known."""
        self._require_active()
        if not self._performer.logged:
            self.active = False
            return
        outcome = await self._decided()
        if outcome.kind is Kind.FENCED:
            await self._fenced(outcome)
        self.active = False
        if outcome.kind is not Kind.OK:
            raise CommitFailed(
                f"Got error during COMMIT: the coordinator log did not answer; the outcome of global transaction"
                f" {self.gtrid} is not known yet, see: dbmesh tx show {self.gtrid}"
            )
        self._proxy.spawn(self.gtrid, self._performer.run(coordinator.finish(self._touched)))

    async def _decided(self) -> Outcome:
        clock = asyncio.get_running_loop().time
        until = clock() + _LOG_SECONDS
        while True:
            outcome = await self._performer.run(coordinator.commit())
            if outcome.kind is not Kind.UNKNOWN or clock() > until:
                return outcome
            await asyncio.sleep(0.2)

    async def rollback(self) -> None:
        """Undo everything. Raises CommitFailed (1180) when the compensation is still pending, or needs a human."""
        if not self.active:
            return
        outcome = await self._undo_all("ROLLBACK")
        if outcome.kind not in (Kind.OK, Kind.FENCED):
            raise self._not_undone(outcome)
        if outcome.state is TxState.COMMITTED:
            raise CommitFailed(f"global transaction {self.gtrid} was committed before")

    async def abandon(self, why: str = "the client has gone") -> None:
        """Roll back for a client that has gone; never raises for what the sweeper will do anyway."""
        with suppress(MeshError):
            if self.active:
                await self._undo_all(why)

    async def _undo_all(self, why: str) -> Outcome:
        self.active = False
        if not self._touched:
            return coordinator.OK
        steps = coordinator.roll_back(self._touched, note=why)
        ended = await patiently(self._proxy.spawn(self.gtrid, self._performer.run(steps)))
        return ended or Outcome(Kind.PENDING, state=TxState.ROLLING_BACK)

    def _not_undone(self, outcome: Outcome) -> CommitFailed:
        if outcome.kind is Kind.PARKED:
            return CommitFailed(
                f"Got error during ROLLBACK: global transaction {self.gtrid} is parked, a row was changed by others:"
                f" {outcome.detail}; see: dbmesh tx show {self.gtrid}"
            )
        return CommitFailed(
            f"Got error during ROLLBACK: compensation of {self.gtrid} pending"
            f"{f' ({outcome.error})' if outcome.error else ''}; it goes on by itself, see: dbmesh tx show {self.gtrid}"
        )

    # -- savepoints

    def savepoint(self, name: str) -> None:
        """Remember where the transaction stands. ``name`` replaces an older savepoint of that name."""
        self._require_active()
        folded = name.lower()
        self._savepoints = [(known, mark) for known, mark in self._savepoints if known.lower() != folded]
        self._savepoints.append((name, self._bseq))

    async def rollback_to(self, name: str) -> None:
        """Undo the statements since the savepoint; error 1305 when there is none of that name."""
        self._require_active()
        place = self._savepoint(name)
        mark = self._savepoints[place][1]
        todo = [(ds, bseq) for ds, bseq in self._branches if bseq > mark]
        if todo:
            outcome = await self._performer.run(coordinator.undo_statements(todo))
            if outcome.kind is not Kind.OK:
                await self._doomed(outcome)
        self._branches = [branch for branch in self._branches if branch[1] <= mark]
        del self._savepoints[place + 1 :]

    def release(self, name: str) -> None:
        """Forget a savepoint and those after it; error 1305 when there is none of that name."""
        self._require_active()
        del self._savepoints[self._savepoint(name) :]

    def _savepoint(self, name: str) -> int:
        folded = [known.lower() for known, _ in self._savepoints]
        if name.lower() not in folded:
            raise BackendError(1305, "42000", f"SAVEPOINT {name.strip('`')} does not exist")
        return folded.index(name.lower())

    def _require_active(self) -> None:
        if not self.active:
            raise CommitFailed(f"global transaction {self.gtrid} has ended")


def _is_deadlock(error: Exception | None) -> bool:
    return isinstance(error, BackendError) and error.errno == _DEADLOCK


class Sagas:
    """BASE transactions of one process: give it the rules and a catalog, ``start`` it, ``begin`` sagas, ``stop`` it."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy

    def begin(self, catalog: Catalog, client: str = "", deadline: float | None = None) -> Saga:
        """A new global transaction; nothing is sent yet. Raises NotSupported without a coordinator log in the rules,
        NoLease (1290) while the log cannot be reached."""
        self.proxy.require()
        return Saga(self.proxy, catalog, client, deadline)

    async def run(
        self, units: Sequence[Unit], connections: Connections, catalog: Catalog, client: str = "", **options: Any
    ) -> WriteResult:
        """An autocommit statement on several shards as one saga of its own."""
        saga = self.begin(catalog, client)
        try:
            result = await saga.execute(units, connections, **options)
        except BaseException:
            await asyncio.shield(saga.abandon("the statement failed"))
            raise
        await saga.commit()
        return result
