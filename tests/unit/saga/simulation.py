"""Shards and a coordinator log in memory, which do single commands of the coordinator as the real ones would.

A client's transaction is a generator of commands; so is a recovery. A test may stop either before any command, lose the
answer to any command, or let them take turns.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from dbmesh.saga import commands, coordinator
from dbmesh.saga.commands import Command, Done, Existed, Failed, Fenced, Lost, Prepared, Reply, Unknown
from dbmesh.saga.coordinator import Kind, Outcome, Steps
from dbmesh.saga.states import BranchState, TxState

DATA_SOURCES = ("a", "b")
Client = Generator[Sequence[Command], Sequence[Reply], str]


@dataclass
class Shard:
    """``marks``: what the committed statements have written, by bseq."""

    gate: str | None = None
    branches: dict[int, BranchState] = field(default_factory=dict)
    marks: list[int] = field(default_factory=list)
    locks: set[int] = field(default_factory=set)
    open: int | None = None  # bseq of the owner's open local transaction
    compensations: list[int] = field(default_factory=list)


@dataclass
class World:
    """One global transaction's durable state, and the owner's open local transactions."""

    state: TxState | None = None
    epoch: int = 1
    ended: bool = False
    deferred: bool = False
    refuses: bool = False  # a row of the transaction has been changed by others
    shards: dict[str, Shard] = field(default_factory=lambda: {name: Shard() for name in DATA_SOURCES})
    log: list[str] = field(default_factory=list)

    def perform(self, command: Command, epoch: int) -> Reply:
        """Do one command whole."""
        self.log.append(type(command).__name__)
        match command:
            case commands.Prepare(name, bseq, _):
                return self._prepare(self.shards[name], bseq)
            case commands.WriteJournal(name, _):
                self.shards[name].open = coordinator.DEFERRED
            case commands.Abandon(name):
                self.shards[name].open = None
            case commands.CommitBranch(name, bseq):
                return self._commit(self.shards[name], bseq)
            case commands.OpenLog(state):
                self.deferred = state is TxState.COMMITTING
                self.state = self.state or state
            case commands.Decide(before, after, _):
                return self._decide(before, after, epoch)
            case commands.Plant(name, bseq):
                return self._plant(self.shards[name], bseq)
            case commands.CloseGate(name):
                self.shards[name].open = None  # it waits for the statement in flight and kills it
                self.shards[name].gate = "CLOSED"
            case commands.ReadBranches(name):
                return commands.Branches(sorted(self.shards[name].branches.items()))
            case commands.Reclaim(name):
                if self.refuses and name == DATA_SOURCES[-1]:
                    return commands.Dirty("changed by others")
                self.shards[name].locks.update(self.shards[name].branches)
            case commands.Compensate(name, bseq):
                return self._compensate(self.shards[name], bseq)
            case commands.Release(name):
                self.shards[name].locks.clear()
            case commands.End():
                self.ended = True
        return Done()

    def _prepare(self, shard: Shard, bseq: int) -> Reply:
        if shard.gate == "CLOSED":
            return Fenced()
        shard.open = bseq
        return Prepared()

    def _commit(self, shard: Shard, bseq: int) -> Reply:
        if shard.open != bseq:
            return Unknown(ConnectionError("killed"))
        assert shard.gate != "CLOSED"
        assert bseq not in shard.branches
        shard.open = None
        shard.gate = "OPEN"
        shard.branches[bseq] = BranchState.COMMITTED
        shard.marks.append(bseq)
        shard.locks.add(bseq)
        return Done()

    def _decide(self, before: TxState, after: TxState, epoch: int) -> Reply:
        if self.state is before and self.epoch == epoch:
            self.state = after
            return Done()
        return Done() if self.state is after and self.epoch == epoch else Lost(self.state)

    def _plant(self, shard: Shard, bseq: int) -> Reply:
        if shard.open == bseq:
            shard.open = None
        if bseq in shard.branches:
            return Done() if shard.branches[bseq] is BranchState.ABORTED else Existed()
        shard.branches[bseq] = BranchState.ABORTED
        return Done()

    def _compensate(self, shard: Shard, bseq: int) -> Reply:
        if shard.branches.get(bseq) is BranchState.COMMITTED:
            assert shard.marks[-1] == bseq, "compensated out of order"
            shard.marks.pop()
            shard.branches[bseq] = BranchState.COMPENSATED
            shard.locks.discard(bseq)
            shard.compensations.append(bseq)
        return Done()

    @property
    def marks(self) -> dict[str, list[int]]:
        return {name: list(shard.marks) for name, shard in self.shards.items()}

    def take_over(self) -> Steps:
        """A recovery by another proxy."""
        self.epoch += 1
        assert self.state is not None
        return coordinator.recover(self.state, DATA_SOURCES, deferred=self.deferred)

    def die(self) -> None:
        """The owner's process has ended: its open local transactions are rolled back."""
        for shard in self.shards.values():
            shard.open = None


def transaction(ending: str, savepoint: bool = False) -> Client:
    """What a session does for three statements and COMMIT or ROLLBACK. Returns what the client is told."""
    logged = False
    branches: list[tuple[str, int]] = []
    for bseq, names in enumerate((("a",), ("a", "b"), ("b",)), start=1):
        outcome = yield from coordinator.statement(bseq, dict.fromkeys(names), logged)
        logged = logged or outcome.kind is Kind.OK
        if outcome.kind is Kind.OK:
            branches += [(name, bseq) for name in names]
        elif outcome.kind is Kind.FENCED:
            return "1213"
        elif outcome.kind is Kind.DOOMED:
            return _told((yield from coordinator.roll_back(DATA_SOURCES)))
        if savepoint and bseq == 2:
            outcome = yield from coordinator.undo_statements([branch for branch in branches if branch[1] > 1])
            branches = [branch for branch in branches if branch[1] <= 1]
            if outcome.kind is not Kind.OK:
                return _told((yield from coordinator.roll_back(DATA_SOURCES)))
    if ending == "commit":
        outcome = yield from coordinator.commit()
        if outcome.kind is not Kind.OK:
            return "1213" if outcome.kind is Kind.FENCED else "1180"
        yield from coordinator.finish(DATA_SOURCES)
        return "OK"
    return _told((yield from coordinator.roll_back(DATA_SOURCES)))


def deferred() -> Client:
    """What a session does for COMMIT of a deferred transaction on both shards. Returns what the client is told."""
    outcome = yield from coordinator.commit_deferred(dict.fromkeys(DATA_SOURCES))
    if outcome.kind is Kind.OK:
        yield from coordinator.conclude(DATA_SOURCES)
        return "OK"
    if outcome.kind is Kind.FAILED:
        return "rolled back"
    if outcome.kind is Kind.DOOMED:
        outcome = yield from coordinator.roll_back(
            DATA_SOURCES, TxState.COMMITTING, outcome.detail, fence=coordinator.tombstone
        )
    return "rolled back" if outcome.state is TxState.ROLLED_BACK else "pending"


def _told(outcome: Outcome) -> str:
    return "rolled back" if outcome.kind in (Kind.OK, Kind.FENCED) else "pending"


class Runner:
    """Drives a generator command by command; batches are taken in order."""

    def __init__(self, world: World, steps: Steps | Client, epoch: int) -> None:
        self.world = world
        self.steps = steps
        self.epoch = epoch
        self.result: object = None
        self.ended = False
        self._batch: Sequence[Command] = ()
        self._replies: list[Reply] = []
        self._advance(None)

    def _advance(self, replies: list[Reply] | None) -> None:
        try:
            self._batch = next(self.steps) if replies is None else self.steps.send(replies)
            self._replies = []
        except StopIteration as end:
            self.result = end.value
            self.ended = True
            return
        if not self._batch:
            self._advance([])

    def step(self, lose: str = "") -> None:
        """The next command. ``lose``: 'request' never reaches the server, 'answer' never comes back."""
        command = self._batch[len(self._replies)]
        reply: Reply = Unknown(ConnectionError(lose))
        if lose != "request":
            done = self.world.perform(command, self.epoch)
            reply = done if not lose else reply
        if lose and isinstance(command, commands.Prepare | commands.WriteJournal):
            # the connection is gone and with it the local transaction
            self.world.shards[command.data_source].open = None
            reply = Failed(ConnectionError(lose))
        if lose and isinstance(command, commands.CommitBranch):
            self.world.shards[command.data_source].open = None
        self._replies.append(reply)
        if len(self._replies) == len(self._batch):
            self._advance(self._replies)

    def run(self, most: int = 10_000) -> int:
        """Up to ``most`` commands; how many there were."""
        count = 0
        while not self.ended and count < most:
            self.step()
            count += 1
        return count
