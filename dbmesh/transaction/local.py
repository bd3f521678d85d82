"""A `local` transaction: one branch per data source, begun when first used, committed one after the other.

Several shards are committed in order, so a crash between two COMMITs leaves some committed: `local` promises
atomicity against errors, not against death. A COMMIT that held on some shards only is error 1180 naming them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dbmesh.backend.cluster import Lender
from dbmesh.backend.connection import Connection
from dbmesh.backend.pool import Capabilities
from dbmesh.backend.session_state import SessionState
from dbmesh.errors import BackendLost, CommitFailed, Deadlock, MeshError, NoSavepoint, NotSupported
from dbmesh.protocol.constants import Status
from dbmesh.transaction.deadlocks import Deadlocks

INTERRUPTED = "a statement of it was interrupted"


class TransactionAborted(MeshError):
    """The transaction is already rolled back; only ROLLBACK (or COMMIT, which says so again) ends it."""

    errno = 1105
    sqlstate = "HY000"

    def __init__(self, why: str) -> None:
        super().__init__(f"The transaction was rolled back: {why}; end it with ROLLBACK and run it again")


@dataclass(slots=True, weakref_slot=True, eq=False)
class LocalTransaction:
    """Branches by data source, in the order of their first use. ``begin``: the statements that start each.

    ``deadlocks``: who looks for waits in a circle over several servers. ``written``: where a statement has changed, or
    may have changed, rows. ``aborted``: why it was rolled back while the client still thinks it is in it. ``ended``: a
    server has ended it, as a deadlock does, and the client is out of it. ``ending``: its branches are being committed,
    so that it waits for nobody. ``patience``: seconds that one server's COMMIT or ROLLBACK is waited for, None for
    ever; then its connection is closed.
    """

    lender: Lender
    capabilities: Capabilities
    deadlocks: Deadlocks
    begin: tuple[str, ...] = ("BEGIN",)
    branches: dict[str, Connection] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)
    savepoints: list[str] = field(default_factory=list)
    aborted: str | None = None
    ended: bool = False
    ending: bool = False
    patience: float | None = None

    @property
    def atomic(self) -> bool:
        """Whether a crash cannot leave it committed on some data sources only."""
        return False

    async def enlist(self, data_sources: Iterable[str], state: SessionState) -> None:
        """Have a branch on each data source, its session state applied. Takes all missing connections or none."""
        await self._require_alive()
        wanted = list(dict.fromkeys(data_sources))
        missing = [name for name in wanted if name not in self.branches]
        if missing:
            connections = await self.lender.acquire(missing, self.capabilities, state)
            await self._begin(missing, connections, state)
        for name in wanted:
            await self.branches[name].apply(state)

    async def _require_alive(self) -> None:
        """Raises TransactionAborted; a branch that has been lost meanwhile takes all others with it."""
        if self.aborted is None:
            lost = self.lost
            if lost is not None:
                await self.abort(f"the connection to data source '{lost}' was lost")
        if self.aborted is not None:
            raise TransactionAborted(self.aborted)

    @property
    def lost(self) -> str | None:
        """A data source whose connection has ended, None while all are there."""
        return next((name for name, connection in self.branches.items() if connection.closed), None)

    async def _begin(self, names: Sequence[str], connections: Sequence[Connection], state: SessionState) -> None:
        for name, connection in zip(names, connections, strict=True):
            self.branches[name] = connection
        try:
            for connection in connections:
                await connection.apply(state)
                for statement in self._start(connection.data_source):
                    await connection.execute(statement)
                for savepoint in self.savepoints:
                    await connection.execute(f"SAVEPOINT {savepoint}")
        except BaseException:
            for name, connection in zip(names, connections, strict=True):
                del self.branches[name]
                self.lender.release(connection, reusable=False)
            raise
        if len(self.branches) > 1:
            self.deadlocks.watch(self)

    def _start(self, name: str) -> tuple[str, ...]:
        """The statements that begin a branch on that data source."""
        return self.begin

    def will_write(self, data_sources: Iterable[str]) -> None:
        """A statement that may change rows there is about to run."""
        self.written.update(data_sources)

    async def settle(self, data_sources: Iterable[str]) -> None:
        """After a server's error there. When it undid more than the statement, the other branches must go too."""
        if any(connection.deadlocked for connection in self.branches.values()):
            await self.rollback()
            self.ended = True
            return
        for name in data_sources:
            connection = self.branches.get(name)
            if connection is None:
                continue
            try:
                await connection.execute("DO 0")  # its answer says whether the branch is still there
            except MeshError as error:
                await self.abort(error.message)
                return
            if not connection.status & Status.IN_TRANS:
                await self.rollback()
                self.ended = True
                return

    async def abort(self, why: str) -> None:
        """Roll every branch back and refuse all further statements until the client ends the transaction."""
        self.aborted = why  # first: from here on nobody may go on with the rest of it
        await self._roll_back()

    async def commit(self) -> None:
        """Commit every branch in order. Raises CommitFailed naming the shards when the outcome is not whole."""
        if self.aborted is not None:
            raise TransactionAborted(self.aborted)
        lost = self.lost
        if lost is not None:
            await self._roll_back()
            raise BackendLost(lost, False, "the transaction was rolled back on every shard")
        await self.begin_ending()
        committed: list[str] = []
        while self.branches:
            name, connection = next(iter(self.branches.items()))
            try:
                await connection.execute("COMMIT", self.patience)
            except MeshError as error:
                self._drop(name)
                await self._roll_back()
                raise commit_failure(committed, name, error) from error
            committed.append(name)
            self._give_back(name)

    async def may_end(self, statement: str) -> None:
        """Raises a server's error when COMMIT or ROLLBACK, as ``statement``, is not what ends it."""

    async def begin_ending(self) -> None:
        """From here on it is no deadlock's victim. Raises Deadlock when it has just become one, but nobody was told."""
        self.ending = True
        if any(connection.sentenced for connection in self.branches.values()):
            await self.rollback()
            raise Deadlock()

    async def rollback(self) -> None:
        """Roll every branch back; a branch whose server does not answer is dropped, which rolls it back too."""
        await self.abort(INTERRUPTED)
        self.aborted = None

    async def _roll_back(self) -> None:
        self.savepoints.clear()
        for name in list(self.branches):
            try:
                await self._undo(name, self.branches[name])
            except MeshError:
                self._drop(name)
            else:
                self._give_back(name)

    async def _undo(self, name: str, connection: Connection) -> None:
        await connection.execute("ROLLBACK", self.patience)

    async def savepoint(self, name: str) -> None:
        """SAVEPOINT on every branch, and on those that join later. ``name``: as it stands in SQL, quoted."""
        await self._on_all(f"SAVEPOINT {name}")
        self.savepoints[:] = [known for known in self.savepoints if known.lower() != name.lower()]
        self.savepoints.append(name)

    async def rollback_to(self, name: str) -> None:
        """ROLLBACK TO SAVEPOINT; error 1305 when there is none of that name."""
        await self._require_alive()
        kept = self._savepoint(name) + 1
        await self._on_all(f"ROLLBACK TO SAVEPOINT {name}")
        del self.savepoints[kept:]

    async def release_savepoint(self, name: str) -> None:
        """RELEASE SAVEPOINT, which forgets the later ones too; error 1305 when there is none of that name."""
        await self._require_alive()
        kept = self._savepoint(name)
        await self._on_all(f"RELEASE SAVEPOINT {name}")
        del self.savepoints[kept:]

    async def _on_all(self, statement: str) -> None:
        """On every branch, or the transaction is over: its branches would not be at the same point."""
        await self._require_alive()
        for name, connection in list(self.branches.items()):
            try:
                await connection.execute(statement)
            except MeshError as error:
                await self.abort(f"{statement} failed on data source '{name}': {error.message}")
                raise
            except BaseException:
                await self.abort(INTERRUPTED)
                raise

    def _savepoint(self, name: str) -> int:
        folded = [known.lower() for known in self.savepoints]
        if name.lower() not in folded:
            raise NoSavepoint(name)
        return folded.index(name.lower())

    def discard(self) -> None:
        """Close every branch's connection at once: the servers roll back. For a client that has gone."""
        for name in list(self.branches):
            self._drop(name)

    def give_back(self, name: str, reusable: bool) -> None:
        """A branch has been ended by somebody else; one that is not reusable is closed, which rolls it back."""
        self.lender.release(self.branches.pop(name), reusable)

    def _give_back(self, name: str) -> None:
        self.lender.release(self.branches.pop(name))

    def _drop(self, name: str) -> None:
        # a server that answered with an ERR may have left the branch open: only closing it is sure
        self.lender.release(self.branches.pop(name), reusable=False)


class SingleTransaction(LocalTransaction):
    """A `single` transaction, or one that a procedure has begun on its server where `local` is not wanted.

    It writes one data source only: its COMMIT is that server's own.
    """

    @property
    def atomic(self) -> bool:
        return True

    def will_write(self, data_sources: Iterable[str]) -> None:
        wanted = self.written.union(data_sources)
        if len(wanted) > 1:
            listed = ", ".join(sorted(wanted))
            raise NotSupported(
                f"this transaction is a single server's and writes one data source only, not {listed}",
                "begin one after SET dbmesh_transaction='xa' or 'base', or 'local' without their promises",
            )
        self.written = wanted


def commit_failure(committed: Sequence[str], name: str, error: MeshError) -> MeshError:
    """The client's error when COMMIT failed on ``name`` after it had held on others."""
    unknown = isinstance(error, BackendLost) and error.started
    if not committed and not unknown:
        return error
    parts = [f"committed on {', '.join(committed)}"] if committed else []
    parts.append(f"{'unknown' if unknown else 'not committed'} on {name} ({error.message})")
    return CommitFailed(f"Got error during COMMIT: {'; '.join(parts)}; every other shard was rolled back")
