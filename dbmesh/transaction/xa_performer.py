"""Does what the XA coordinator says: on the client's own connections while they live, else by the mesh's links."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from dbmesh.backend.connection import Connection
from dbmesh.errors import BackendError, BackendLost, MeshError
from dbmesh.saga import xa
from dbmesh.saga.commands import Command, Done, Failed, Reply, Unknown
from dbmesh.saga.coordinator import Outcome
from dbmesh.transaction.compensate import retryable
from dbmesh.transaction.failpoints import step
from dbmesh.transaction.log import text
from dbmesh.transaction.performer import Performer, drive
from dbmesh.transaction.xa_branches import BSEQ, MODE, XaBranches


class OpenBranches(Protocol):
    """A client's transaction, whose branches are open on its connections (``transaction.xa.XaTransaction``)."""

    branches: dict[str, Connection]

    def give_back(self, name: str, reusable: bool) -> None: ...


@dataclass(slots=True)
class XaPerformer:
    """Commands of one XA transaction. ``log``: who does those that both kinds of transactions have.

    ``open``: None when somebody else's transaction is brought to its end. ``prepared``: where XA PREPARE was sent.
    """

    log: Performer
    branches: XaBranches
    open: OpenBranches | None = None
    prepared: set[str] = field(default_factory=set)

    @property
    def gtrid(self) -> str:
        return self.log.gtrid

    async def run(self, steps: xa.XaSteps) -> Outcome:
        return await drive(steps, self.perform)

    async def perform(self, command: Command | xa.XaCommand) -> xa.XaReply:
        match command:
            case xa.EndBranch(name):
                return await self._replied(lambda: self._end(name))
            case xa.PrepareBranch(name):
                return await self._replied(lambda: self._prepare(name))
            case xa.CommitPrepared(name):
                return await self._replied(lambda: self._commit(name))
            case xa.RollBackBranch(name):
                return await self._replied(lambda: self._roll_back(name))
            case xa.CommitReader(name):
                return await self._replied(lambda: self.one_phase(name))
            case _:
                return await self.log.perform(command)

    async def _replied(self, work: Callable[[], Awaitable[xa.XaReply]]) -> xa.XaReply:
        try:
            return await work()
        except BackendLost as error:
            return Unknown(error) if error.started else Failed(error, retryable=True)
        except MeshError as error:
            return Failed(error, retryable=retryable(error))

    def _own(self, name: str) -> Connection | None:
        return self.open.branches.get(name) if self.open is not None else None

    async def _send(self, name: str, verb: str, failpoint: str, tail: str = "") -> None:
        """A statement of XA on the client's own connection."""
        await self._run(name, failpoint, f"{verb} {self.branches.xid(self.gtrid, name).sql}{tail}")

    async def _run(self, name: str, failpoint: str, sql: str) -> None:
        connection = self._own(name)
        if connection is None:
            raise BackendLost(name, False, "its branch has ended")
        try:
            await step(failpoint, name, lambda: connection.execute(sql, self.log.patience))
        except BackendLost:
            self._drop(name, reusable=False)
            raise

    async def _end(self, name: str) -> Done:
        table = self.branches.shards.place(name).name("branch")
        sql = (
            f"INSERT INTO {table} (gtrid, ds, bseq, state, mode, schema_ver, owner, epoch) VALUES ({text(self.gtrid)},"
            f" {text(name)}, {BSEQ}, 'COMMITTED', '{MODE}', 0, {text(self.log.owner)}, {self.log.epoch})"
        )
        await self._run(name, "branch", sql)
        await self._send(name, "XA END", "xa_end")
        return Done()

    async def _prepare(self, name: str) -> Done:
        self.prepared.add(name)
        try:
            await self._send(name, "XA PREPARE", "xa_prepare")
        except BackendLost as error:
            if not error.started:
                self.prepared.discard(name)
            raise
        return Done()

    async def one_phase(self, name: str) -> Done:
        """Commit a branch without preparing it: the server alone decides. Raises BackendLost, started: it may have."""
        try:
            await self._send(name, "XA END", "xa_end")
        except MeshError as error:
            self._drop(name, reusable=False)
            raise BackendLost(name, False, error.message) if isinstance(error, BackendLost) else error from error
        try:
            await self._send(name, "XA COMMIT", "xa_commit", " ONE PHASE")
        except MeshError:
            self._drop(name, reusable=False)
            raise
        self._drop(name, reusable=True)
        return Done()

    async def _commit(self, name: str) -> Done | xa.Vanished:
        if self._own(name) is not None:
            try:
                await self._send(name, "XA COMMIT", "xa_commit")
            except MeshError:
                self._drop(name, reusable=False)
            else:
                self._drop(name, reusable=True)
                return Done()
        return await self.branches.commit(self.gtrid, name)

    async def _roll_back(self, name: str) -> Reply:
        """A branch that was never to be prepared ends with its connection, whatever else happens."""
        connection = self._own(name)
        if connection is not None and await self._rolled_back(name):
            self._drop(name, reusable=True)
            return Done()
        self._drop(name, reusable=False)
        if self.open is not None and name not in self.prepared:
            return Done()
        return await self.branches.roll_back(self.gtrid, name, self.log.epoch)

    async def _rolled_back(self, name: str) -> bool:
        """By the connection that has it."""
        try:
            if name not in self.prepared:
                await self._quietly(name, "XA END", "xa_end")
            await self._send(name, "XA ROLLBACK", "xa_rollback")
        except MeshError:
            return False
        return True

    async def _quietly(self, name: str, verb: str, failpoint: str) -> None:
        """An error says that the branch has been ended already, or that only its rollback is left."""
        try:
            await self._send(name, verb, failpoint)
        except BackendError:
            return

    def _drop(self, name: str, reusable: bool) -> None:
        if self.open is not None and name in self.open.branches:
            self.open.give_back(name, reusable)

    def let_go(self) -> None:
        """Close what is left of the connections: prepared branches stay on their servers, others are rolled back."""
        for name in list(self.open.branches) if self.open is not None else ():
            self._drop(name, reusable=False)
