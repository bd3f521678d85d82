"""BASE transactions in `deferred` mode: local transactions that stay open until COMMIT, which then is a saga's.

Until COMMIT the servers' own row locks protect the rows, and ROLLBACK is the servers'. COMMIT on one shard is plain.
COMMIT on several writes each branch's undo records and global locks into its open local transaction, makes the intent
durable in the coordinator log, commits the branches side by side, and compensates what was committed when one was not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from dbmesh.errors import BackendError, CommitFailed, Deadlock, MeshError, NotSupported
from dbmesh.saga import coordinator
from dbmesh.saga.coordinator import DEFERRED, Kind, Outcome
from dbmesh.saga.lock_keys import LockKey
from dbmesh.saga.states import TxState
from dbmesh.saga.undo import Numbers, UndoRecord
from dbmesh.transaction.compensate import LOCK_ERRORS
from dbmesh.transaction.failures import TooManyRows
from dbmesh.transaction.imaging import MOST_BYTES, MOST_ROWS
from dbmesh.transaction.local import LocalTransaction
from dbmesh.transaction.performer import Performer, Statement
from dbmesh.transaction.ports import Catalog, Connection, Unit
from dbmesh.transaction.recovery import Proxy
from dbmesh.transaction.uninterrupted import patiently
from dbmesh.transaction.watch import Based, Watch, WatchedStatement


@dataclass(slots=True)
class Branch:
    """What a branch has to write into its shard before it commits."""

    undo: list[UndoRecord] = field(default_factory=list)
    locks: set[LockKey] = field(default_factory=set)
    versions: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What one statement has left on one data source. ``unrecorded``: why it could not be undone, None if it can."""

    data_source: str
    branch: Branch
    unrecorded: NotSupported | None = None


@dataclass(frozen=True, slots=True)
class _Branches:
    """``transaction.ports.Connections`` over a local transaction's branches, which its end gives back one by one."""

    local: LocalTransaction

    async def acquire(self, data_sources: Sequence[str]) -> Sequence[Connection]:
        return [self.local.branches[name] for name in data_sources]

    def release(self, connection: Connection, reusable: bool) -> None:
        name = next(name for name, own in self.local.branches.items() if own is connection)
        self.local.give_back(name, reusable)


class Deferred(Watch):
    """One global transaction of one session."""

    records = True

    def __init__(self, proxy: Proxy, catalog: Catalog, client: str) -> None:
        super().__init__(proxy, catalog)
        self.gtrid = proxy.new_gtrid()
        self._client = client[:255]
        self._kept: list[_Kept] = []
        self._marks: dict[str, int] = {}
        self._seq = 0
        self._statements = 0

    # -- statements

    async def statement(
        self, units: Sequence[Unit], based: Based, encoding: str, original: str, found_rows: bool, holds: bool
    ) -> WatchedStatement:
        made = await super().statement(units, based, encoding, original, found_rows, holds)
        reasons = [(unit.data_source, made.tasks[id(unit)].unrecorded) for unit in units]
        self._check_span({unit.data_source for unit in units}, {name: why for name, why in reasons if why is not None})
        return made

    def outside(self, units: Sequence[Unit], why: NotSupported) -> None:
        """These units are about to run unwatched. Raises NotSupported when other data sources are written, too."""
        names = {unit.data_source for unit in units}
        self._check_span(names, dict.fromkeys(names, why))
        self._kept += [_Kept(name, Branch(), why) for name in names]

    def _check_span(self, names: Collection[str], unrecorded: Mapping[str, NotSupported]) -> None:
        """What cannot be undone is allowed as long as the transaction writes one data source: its COMMIT is the
        server's own."""
        if len({kept.data_source for kept in self._kept} | set(names)) < 2:
            return
        for why in unrecorded.values():
            raise why
        for kept in self._kept:
            if kept.unrecorded is not None:
                why_not = kept.unrecorded.message.removeprefix(NotSupported.prefix).partition(";")[0]
                raise NotSupported(
                    f"the BASE transaction has written on {kept.data_source} what could not be undone there"
                    f" ({why_not}), so it may not write other data sources",
                    "COMMIT before, or use SET dbmesh_transaction='local'",
                )

    def _numbers(self, original: str) -> Numbers:
        return Numbers(self._seq, DEFERRED, self._statements + 1, original or None)

    def check(self, statement: WatchedStatement) -> None:
        self._check_span(statement.data_sources, statement.unrecorded)
        records = [r for kept in self._kept for r in kept.branch.undo]
        records += [record for imager in statement.imagers.values() for record in imager.undo]
        if len(records) > MOST_ROWS:
            raise TooManyRows(f"{MOST_ROWS} rows until COMMIT")
        if sum(len(record.reverse_sql) for record in records) > MOST_BYTES:
            raise TooManyRows(f"{MOST_BYTES >> 20} MB until COMMIT")

    def accept(self, statement: WatchedStatement) -> None:
        self._statements += 1
        self._seq = statement.numbers.seq
        for name, imager in statement.imagers.items():
            if imager.undo:
                self._kept.append(_Kept(name, Branch(imager.undo, imager.locks, imager.versions)))
        self._kept += [_Kept(name, Branch(), why) for name, why in statement.unrecorded.items()]

    # -- savepoints

    def mark(self, name: str) -> None:
        self._marks[name.lower()] = len(self._kept)

    def back_to(self, name: str) -> None:
        del self._kept[self._marks[name.lower()] :]

    # -- ends

    async def commit(self, local: LocalTransaction) -> None:
        """Raises Deadlock (1213) when all of it is undone, CommitFailed (1180) when that is not sure yet."""
        branches: dict[str, Branch] = {}
        for kept in self._kept:
            branch = branches.setdefault(kept.data_source, Branch())
            branch.undo += kept.branch.undo
            branch.locks |= kept.branch.locks
            branch.versions += kept.branch.versions
        if len(branches) < 2 or local.aborted is not None or local.lost is not None:
            await local.commit()
            return
        try:
            self.proxy.lease.require()
            await local.begin_ending()
        except MeshError:
            await local.rollback()
            raise
        await self._commit(local, dict(sorted(branches.items())))

    async def _commit(self, local: LocalTransaction, branches: Mapping[str, Branch]) -> None:
        names = tuple(branches)
        proxy = self.proxy
        performer = Performer(proxy.shards, proxy.log, self.gtrid, proxy.instance, 1, names, client=self._client)
        performer.patience = proxy.rules.commit_timeout
        connections = {name: local.branches[name] for name in names}
        numbers = Numbers(self._seq, DEFERRED, self._statements)
        performer.statement = Statement(_Branches(local), dict(connections), numbers, "ascii", set())
        outcome = await proxy.spawn(self.gtrid, performer.run(coordinator.commit_deferred(branches)))
        performer.statement.close()
        await local.rollback()  # the branches that only read
        if outcome.kind is Kind.OK:
            proxy.spawn(self.gtrid, performer.run(coordinator.conclude(names)))
            return
        if outcome.kind is Kind.DOOMED:
            steps = coordinator.roll_back(names, TxState.COMMITTING, outcome.detail, fence=coordinator.tombstone)
            undone = await patiently(proxy.spawn(self.gtrid, performer.run(steps)))
            raise self._failure(undone or Outcome(Kind.PENDING), f"{outcome.detail}: {outcome.error}")
        raise self._failure(outcome, str(outcome.error or outcome.detail or f"a row is locked by {outcome.holder}"))

    def _failure(self, outcome: Outcome, why: str) -> MeshError:
        lock = isinstance(outcome.error, BackendError) and outcome.error.errno in LOCK_ERRORS
        undone = outcome.kind is Kind.WAIT or (outcome.kind is Kind.FAILED and lock)
        if undone or outcome.state is TxState.ROLLED_BACK:
            return Deadlock(f"global transaction {self.gtrid} was undone: {why}")
        if outcome.kind is Kind.FAILED:
            return CommitFailed(f"Got error during COMMIT: {why}; every shard was rolled back")
        if outcome.kind is Kind.PARKED:
            return CommitFailed(
                f"Got error during COMMIT: {why}; global transaction {self.gtrid} is parked, a row was changed by"
                f" others: {outcome.detail}; see: dbmesh tx show {self.gtrid}"
            )
        return CommitFailed(
            f"Got error during COMMIT: {why}; the outcome of global transaction {self.gtrid} is not known yet,"
            f" it goes on by itself, see: dbmesh tx show {self.gtrid}"
        )
