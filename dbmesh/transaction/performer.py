"""Does what the coordinator says: each command of `saga.commands` is one function's work on the shards or the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dbmesh.errors import BackendError, BackendLost, MeshError
from dbmesh.saga import commands
from dbmesh.saga.commands import Command, Done, Failed, Fenced, Locked, Prepared, Reply, Unknown
from dbmesh.saga.coordinator import DEFERRED, Outcome, Steps
from dbmesh.saga.undo import Numbers
from dbmesh.transaction.branches import Shards
from dbmesh.transaction.compensate import compensate, retryable
from dbmesh.transaction.failpoints import step
from dbmesh.transaction.failures import GateClosed, RowLocked
from dbmesh.transaction.imaging import Imager
from dbmesh.transaction.journal import Journal
from dbmesh.transaction.log import CoordinatorLog
from dbmesh.transaction.ports import Connection, Connections, WriteResult
from dbmesh.transaction.reclaim import Tables, reclaim
from dbmesh.transaction.record import Recorder, Work

T = TypeVar("T")


@dataclass(slots=True, weakref_slot=True, eq=False)
class Statement:
    """What `Prepare` needs beyond its command: the client's connections by data source, and running numbers."""

    pool: Connections
    connections: dict[str, Connection]
    numbers: Numbers
    encoding: str
    gates: set[str]
    original: str = ""
    results: dict[str, WriteResult] = field(default_factory=dict)
    conflict: RowLocked | None = None
    open: set[str] = field(default_factory=set)
    changed: list[str] = field(default_factory=list)

    ending = False  # a deadlock's victim is tried again

    @property
    def branches(self) -> Mapping[str, Connection]:
        return self.connections

    def drop(self, data_source: str, reusable: bool) -> None:
        """Give a connection back; one that is not reusable is closed, which rolls its transaction back."""
        connection = self.connections.pop(data_source, None)
        self.open.discard(data_source)
        if connection is not None:
            self.pool.release(connection, reusable)

    def close(self) -> None:
        """Give every connection back that still is here."""
        for data_source in list(self.connections):
            self.drop(data_source, reusable=data_source not in self.open)


async def drive(
    steps: Generator[Sequence[Any], Sequence[Any], Outcome], perform: Callable[[Any], Coroutine[Any, Any, Any]]
) -> Outcome:
    """Give a generator its replies until it ends; commands of one batch run side by side."""
    replies: Sequence[Any] | None = None
    while True:
        try:
            batch = steps.send(replies) if replies is not None else next(steps)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome
        if len(batch) == 1:
            replies = [await perform(batch[0])]
        else:
            replies = await asyncio.gather(*(perform(command) for command in batch))


@dataclass(slots=True)
class Performer:
    """Commands of one global transaction. ``statement``: set while a statement runs.

    ``tables``: what the servers say of their tables now, for `Reclaim`. ``patience``: seconds that a shard's COMMIT or
    ROLLBACK is waited for; then its outcome is asked for.
    """

    shards: Shards
    log: CoordinatorLog
    gtrid: str
    owner: str
    epoch: int
    participants: tuple[str, ...] = ()
    deadline: float = 60.0
    client: str = ""
    statement: Statement | None = None
    logged: bool = False
    tables: Tables | None = None
    mode: str | None = None  # None: what the row's first state says
    patience: float | None = None

    async def run(self, steps: Steps) -> Outcome:
        """Drive a coordinator's generator to its end."""
        return await drive(steps, self.perform)

    async def perform(self, command: Command) -> Reply:
        """One command. Errors come back as replies, never as exceptions."""
        match command:
            case commands.Prepare():
                return await self._prepare(command)
            case commands.WriteJournal():
                return await self._write_journal(command)
            case commands.CommitBranch():
                return await self._commit(command)
            case commands.Abandon():
                return await self._abandon(command)
            case commands.Decide():
                return await self._decide(command)
        try:
            return await self._act(command)
        except BackendLost as error:
            return Unknown(error) if error.started else Failed(error, retryable=True)
        except MeshError as error:
            return Failed(error, retryable=retryable(error))

    async def _act(self, command: Command) -> Reply:
        gtrid, shards = self.gtrid, self.shards
        match command:
            case commands.OpenLog(state):
                row = (gtrid, self.owner, self.epoch, self.participants, self.deadline, self.client, state, self.mode)
                await self.log.open(*row)
                self.logged = True
            case commands.Plant(data_source, bseq):
                return await shards.plant(gtrid, data_source, bseq, self.epoch)
            case commands.MarkLocks(data_source):
                return await shards.mark_locks(gtrid, data_source)
            case commands.CloseGate(data_source):
                return await shards.close_gate(gtrid, data_source)
            case commands.ReadBranches(data_source):
                return await shards.branches(gtrid, data_source)
            case commands.Reclaim(data_source):
                assert self.tables is not None
                return await reclaim(shards, gtrid, data_source, self.tables)
            case commands.Compensate(data_source, bseq):
                return await compensate(shards, gtrid, data_source, bseq, self.epoch)
            case commands.Release(data_source):
                return await shards.release(gtrid, data_source)
            case commands.Postpone(error, stuck):
                await self.log.postpone(gtrid, self.epoch, error, stuck)
            case commands.End():
                await self.log.end(gtrid)
        return Done()

    async def _decide(self, command: commands.Decide) -> Reply:
        try:
            reply = await self.log.decide(self.gtrid, self.epoch, command.before, command.after, command.note)
        except MeshError as error:
            return Unknown(error)
        if isinstance(reply, Done):
            self.shards.counters.decided(command.after)
        return reply

    async def _prepare(self, command: commands.Prepare) -> Reply:
        statement = self.statement
        assert statement is not None
        name = command.data_source
        work: Sequence[Work] = command.work
        try:
            recorder = self._recorder(statement, name)
            statement.open.add(name)
            await recorder.run(name in statement.gates, work)
        except (GateClosed, RowLocked, MeshError) as error:
            await self._roll_back(statement, name, error)
            return self._refused(statement, error)
        statement.results[name] = recorder.result
        if recorder.undo:
            statement.changed.append(name)
        return Prepared(empty=not recorder.undo)

    def _recorder(self, statement: Statement, name: str) -> Recorder:
        connection = statement.connections[name]
        numbers = statement.numbers
        numbers.original = statement.original or None
        returning = "mariadb" in connection.server_version.lower()
        imager = Imager(connection, name, self.shards.links.schema(name), numbers, statement.encoding, returning)
        return Recorder(imager, self._journal(statement, name, numbers.bseq))

    def _journal(self, statement: Statement, name: str, bseq: int) -> Journal:
        place, connection = self.shards.place(name), statement.connections[name]
        encoding, patience = statement.encoding, self.patience
        return Journal(connection, place, self.gtrid, name, bseq, self.owner, self.epoch, encoding, patience)

    def _refused(self, statement: Statement, error: Exception) -> Reply:
        if isinstance(error, GateClosed):
            return Fenced()
        if isinstance(error, RowLocked):
            statement.conflict = error
            return Locked(error.holder, error.state)
        return Failed(error)

    async def _write_journal(self, command: commands.WriteJournal) -> Reply:
        statement = self.statement
        assert statement is not None
        name, work = command.data_source, command.work
        statement.open.add(name)
        try:
            await self._journal(statement, name, DEFERRED).write(work.undo, work.locks, work.versions)
        except (RowLocked, MeshError) as error:
            return self._refused(statement, error)
        return Done()

    async def _roll_back(self, statement: Statement, name: str, error: Exception) -> None:
        connection = statement.connections.get(name)
        if isinstance(error, BackendLost) or connection is None:
            statement.drop(name, reusable=False)
            return
        try:
            await connection.execute(b"ROLLBACK", self.patience)
        except MeshError:
            statement.drop(name, reusable=False)
        else:
            statement.drop(name, reusable=True)

    async def _abandon(self, command: commands.Abandon) -> Reply:
        assert self.statement is not None
        await self._roll_back(self.statement, command.data_source, Exception())
        return Done()

    async def _commit(self, command: commands.CommitBranch) -> Reply:
        statement = self.statement
        assert statement is not None
        connection = statement.connections[command.data_source]
        try:
            await step("commit", command.data_source, lambda: connection.execute(b"COMMIT", self.patience))
        except (BackendError, BackendLost) as error:
            statement.drop(command.data_source, reusable=False)
            if isinstance(error, BackendLost) and not error.started:
                return Failed(error)  # it was never sent, and the connection has gone
            # even an ERR does not say for sure what became of it: the tombstone will
            return Unknown(error)
        statement.gates.add(command.data_source)
        statement.drop(command.data_source, reusable=True)
        return Done()
