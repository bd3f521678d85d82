"""An `xa` transaction: an XA branch per data source, begun when first used, committed by two-phase commit.

A transaction that has written one data source only commits there in one phase, as the server's own would. Otherwise the
decision is a row in the coordinator log; whatever dies, the branches follow it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from dbmesh.backend.connection import Connection
from dbmesh.errors import BackendError, BackendLost, CommitFailed, Deadlock, MeshError
from dbmesh.saga import xa
from dbmesh.saga.coordinator import Kind, Outcome
from dbmesh.saga.states import TxState
from dbmesh.transaction.compensate import LOCK_ERRORS
from dbmesh.transaction.local import LocalTransaction, TransactionAborted, commit_failure
from dbmesh.transaction.performer import Performer
from dbmesh.transaction.recovery import Proxy
from dbmesh.transaction.uninterrupted import patiently
from dbmesh.transaction.xa_branches import MODE
from dbmesh.transaction.xa_performer import XaPerformer

_ROLLED_BACK = frozenset((1402, 1613, 1614)) | LOCK_ERRORS  # what a server says of a branch that it has rolled back


@dataclass(kw_only=True, eq=False)
class XaTransaction(LocalTransaction):
    """``begin``: what is told to a connection before XA START. ``client``: who, for people."""

    proxy: Proxy
    client: str = ""
    gtrid: str = field(init=False)

    def __post_init__(self) -> None:
        self.proxy.require_log()
        self.gtrid = self.proxy.new_gtrid()

    @property
    def atomic(self) -> bool:
        return True

    def _start(self, name: str) -> tuple[str, ...]:
        return (*self.begin, f"XA START {self.proxy.xa.xid(self.gtrid, name).sql}")

    async def _undo(self, name: str, connection: Connection) -> None:
        sql = self.proxy.xa.xid(self.gtrid, name).sql
        with suppress(BackendError):  # after a deadlock a branch cannot be ended any more, only rolled back
            await connection.execute(f"XA END {sql}", self.patience)
        await connection.execute(f"XA ROLLBACK {sql}", self.patience)

    async def _roll_back(self) -> None:
        await super()._roll_back()
        self.gtrid = self.proxy.new_gtrid()  # a server may still hold what was given up of the one before

    async def commit(self) -> None:
        """Raises Deadlock (1213) when all of it is rolled back, CommitFailed (1180) when that is not sure yet."""
        if self.aborted is not None:
            raise TransactionAborted(self.aborted)
        lost = self.lost
        if lost is not None:
            await self._roll_back()
            raise BackendLost(lost, False, "the transaction was rolled back on every shard")
        await self.begin_ending()
        writers = sorted(name for name in self.branches if name in self.written)
        readers = sorted(name for name in self.branches if name not in self.written)
        if len(writers) < 2:
            await self._commit_one([*readers, *writers])
            return
        try:
            self.proxy.lease.require()
        except MeshError:
            await self.rollback()
            raise
        await self._commit_all(writers, readers)

    def _performer(self, participants: tuple[str, ...]) -> XaPerformer:
        proxy = self.proxy
        client = self.client[:255]
        log = Performer(proxy.shards, proxy.log, self.gtrid, proxy.instance, 1, participants, client=client, mode=MODE)
        log.patience = self.patience
        return XaPerformer(log, proxy.xa, self)

    async def _commit_one(self, names: list[str]) -> None:
        """``names``: the one that was written, if any, is the last."""
        performer = self._performer(())
        for name in names:
            try:
                await performer.one_phase(name)
            except MeshError as error:
                undone = self._undone(error.message)
                await self._roll_back()
                if isinstance(error, BackendError) and error.errno in _ROLLED_BACK:
                    raise undone from error
                raise commit_failure((), name, error) from error

    async def _commit_all(self, writers: list[str], readers: list[str]) -> None:
        proxy = self.proxy
        performer = self._performer(tuple(writers))
        outcome = await proxy.spawn(self.gtrid, performer.run(xa.commit(writers, readers)))
        performer.let_go()
        if outcome.kind is Kind.PENDING:
            steps = xa.recover(TxState.COMMITTED, writers)
            outcome = await patiently(proxy.spawn(self.gtrid, performer.run(steps))) or outcome
        elif outcome.kind is Kind.OK:
            proxy.spawn(self.gtrid, performer.run(xa.conclude()))
        if outcome.kind is not Kind.OK:
            raise self._failure(outcome)

    def _failure(self, outcome: Outcome) -> MeshError:
        why = str(outcome.error or outcome.detail or "its outcome was decided elsewhere")
        if outcome.state in (TxState.ROLLED_BACK, TxState.ROLLING_BACK):
            error = outcome.error
            if isinstance(error, BackendError) and error.errno not in _ROLLED_BACK:
                return CommitFailed(f"Got error during COMMIT: {why}; every shard was rolled back")
            return self._undone(why)
        if outcome.state is TxState.COMMITTED:
            told = f"global transaction {self.gtrid} is committed, but {outcome.detail}: that goes on by itself"
        elif outcome.kind is Kind.UNKNOWN:
            told = f"whether global transaction {self.gtrid} is committed is not known yet, it goes on by itself"
        else:
            told = f"global transaction {self.gtrid} is {outcome.state}"
        return CommitFailed(f"Got error during COMMIT: {why}; {told}, see: dbmesh tx show {self.gtrid}")

    def _undone(self, why: str) -> Deadlock:
        return Deadlock(f"global transaction {self.gtrid} was rolled back: {why}")
