"""Two-phase commit is stopped after every prefix of its commands, loses every answer, meets every interleaving."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from dbmesh.saga import xa
from dbmesh.saga.commands import Decide, Done, End, Existed, Failed, Lost, OpenLog, Postpone, Unknown
from dbmesh.saga.coordinator import Kind, Outcome
from dbmesh.saga.states import TxState
from dbmesh.saga.xa import (
    CommitPrepared,
    CommitReader,
    EndBranch,
    PrepareBranch,
    RollBackBranch,
    Vanished,
    XaReply,
    XaSteps,
)

WRITERS = ("a", "b", "c")
ERROR = Exception("lost")


@dataclass
class Branch:
    """``state``: open, ended, prepared, committed or gone. ``held``: by the owner's connection."""

    state: str = "open"
    held: bool = True
    tombstone: bool = False

    def disconnect(self) -> None:
        self.held = False
        if self.state in ("open", "ended"):
            self.state = "gone"


@dataclass
class World:
    """Servers and log. ``prepared``: where the owner has asked for it, as its performer knows."""

    state: TxState | None = None
    epoch: int = 1
    ended: bool = False
    branches: dict[str, Branch] = field(default_factory=lambda: {name: Branch() for name in WRITERS})
    prepared: set[str] = field(default_factory=set)
    parked: str = ""

    def do(self, command: Any, epoch: int, mine: bool) -> XaReply:
        match command:
            case OpenLog(state):
                self.state = self.state or state
                return Done()
            case Decide(before, after, note):
                return self.decide(before, after, note, epoch)
            case End():
                self.ended = True
                return Done()
            case Postpone():
                return Done()
            case CommitReader() | RollBackBranch("reader"):
                return Done()
        branch = self.branches[command.data_source]
        match command:
            case EndBranch():
                return self.move(branch, "open", "ended") if not branch.tombstone else Failed(ERROR)
            case PrepareBranch():
                self.prepared.add(command.data_source)
                return self.move(branch, "ended", "prepared")
            case CommitPrepared():
                if branch.state == "prepared":
                    branch.state = "committed"
                return Done() if branch.state == "committed" else Vanished()
            case RollBackBranch():
                return self.roll_back(command.data_source, branch, mine)
        raise AssertionError(command)

    def move(self, branch: Branch, before: str, after: str) -> XaReply:
        if not branch.held or branch.state != before:
            return Failed(ERROR)
        branch.state = after
        return Done()

    def decide(self, before: TxState, after: TxState, note: str, epoch: int) -> XaReply:
        if self.state is before and self.epoch == epoch:
            self.state = after
            self.parked = note if after is TxState.PARKED else self.parked
            return Done()
        return Done() if self.state is after and self.epoch == epoch else Lost(self.state)

    def roll_back(self, name: str, branch: Branch, mine: bool) -> XaReply:
        if branch.state == "committed":
            return Existed()
        branch.state, branch.held = "gone", False
        branch.tombstone = branch.tombstone or not mine or name in self.prepared
        return Done()

    def die(self) -> None:
        for branch in self.branches.values():
            branch.disconnect()

    def take_over(self) -> XaSteps:
        assert self.state is not None
        self.epoch += 1
        return xa.recover(self.state, WRITERS)


class Runner:
    """Runs a generator's commands one by one, whole or with one of them lost."""

    def __init__(self, world: World, steps: XaSteps, mine: bool) -> None:
        self.world, self.steps, self.mine, self.epoch = world, steps, mine, world.epoch
        self.batch: Sequence[Any] = ()
        self.replies: list[XaReply] = []
        self.outcome: Outcome | None = None
        self._go_on(None)

    def _go_on(self, replies: Sequence[XaReply] | None) -> None:
        try:
            self.batch = next(self.steps) if replies is None else self.steps.send(replies)
        except StopIteration as end:
            self.outcome = end.value
        self.replies = []

    def step(self, lost: str = "") -> None:
        command = self.batch[len(self.replies)]
        reply = self.world.do(command, self.epoch, self.mine) if lost != "request" else Unknown(ERROR)
        if lost:
            reply = Unknown(ERROR)
            if self.mine and isinstance(command, EndBranch | PrepareBranch | CommitPrepared):
                self.world.branches[command.data_source].disconnect()
        self.replies.append(reply)
        if len(self.replies) == len(self.batch):
            self._go_on(self.replies)

    def run(self, most: int = 10_000) -> int:
        done = 0
        while self.outcome is None and done < most:
            self.step()
            done += 1
        return done


def owner(world: World) -> Runner:
    return Runner(world, xa.commit(WRITERS, ("reader",)), True)


def prefixes() -> Iterator[int]:
    yield from range(owner(World()).run() + 1)


def recover(world: World) -> None:
    """What sweepers do until nothing is left to do."""
    for _ in range(5):
        if world.state in (None, TxState.ROLLED_BACK) or world.ended:
            return
        assert world.state is not TxState.PARKED, world.parked
        runner = Runner(world, world.take_over(), False)
        runner.run()
        if runner.outcome is not None and runner.outcome.state is TxState.COMMITTED:
            world.ended = True
    raise AssertionError(f"never ended: {world.state}")


def assert_atomic(world: World) -> None:
    states = {branch.state for branch in world.branches.values()}
    assert states == ({"committed"} if world.state is TxState.COMMITTED else {"gone"})


def assert_truth(world: World, outcome: Outcome | None) -> None:
    """What the client was told, when all has ended."""
    if outcome is None:
        return
    if outcome.kind is Kind.OK or outcome.state is TxState.COMMITTED:
        assert world.state is TxState.COMMITTED
    if outcome.kind is Kind.FAILED or outcome.state in (TxState.ROLLED_BACK, TxState.ROLLING_BACK):
        assert world.state in (None, TxState.ROLLED_BACK)


def test_undisturbed_it_commits_everywhere() -> None:
    world = World()
    runner = owner(world)
    runner.run()
    assert runner.outcome == Outcome(Kind.OK, state=TxState.COMMITTED)
    assert_atomic(world)


def test_the_decision_comes_after_every_prepare_and_before_every_commit() -> None:
    order: list[Any] = []
    steps, replies = xa.commit(WRITERS), None
    try:
        while True:
            batch = next(steps) if replies is None else steps.send(replies)
            order += [type(command) for command in batch]
            replies = [Done() for _ in batch]
    except StopIteration:
        pass
    assert order == [OpenLog] + [EndBranch] * 3 + [PrepareBranch] * 3 + [Decide] + [CommitPrepared] * 3


def test_the_proxy_dies_after_any_command() -> None:
    for stop in prefixes():
        world = World()
        owner(world).run(stop)
        world.die()
        recover(world)
        assert_atomic(world)


def test_the_recovering_proxy_dies_after_any_command_too() -> None:
    for stop in prefixes():
        for second in range(10):
            world = World()
            owner(world).run(stop)
            world.die()
            if world.state is not None:
                Runner(world, world.take_over(), False).run(second)
            recover(world)
            assert_atomic(world)


def test_a_paused_proxy_goes_on_while_another_recovers() -> None:
    """X08 at every point: the owner stops, the other does some of its work, the owner goes on, the other ends."""
    for stop in prefixes():
        for turn in range(10):
            world = World()
            first = owner(world)
            first.run(stop)
            if world.state is None:
                continue
            other = Runner(world, world.take_over(), False)
            other.run(turn)
            first.run()
            other.run()
            recover(world)
            assert_atomic(world)
            assert_truth(world, first.outcome)


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_any_one_request_or_answer_is_lost(lost: str) -> None:
    for stop in prefixes():
        world = World()
        first = owner(world)
        first.run(stop)
        if first.outcome is None:
            first.step(lost)
            first.run()
        world.die()
        recover(world)
        assert_atomic(world)
        assert_truth(world, first.outcome)


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_the_log_stops_answering_at_any_command(lost: str) -> None:
    for stop in prefixes():
        world = World()
        first = owner(world)
        first.run(stop)
        while first.outcome is None:
            to_log = isinstance(first.batch[len(first.replies)], OpenLog | Decide | End | Postpone)
            first.step(lost if to_log else "")
        outcome = first.outcome
        if outcome.kind is Kind.UNKNOWN:
            assert all(branch.state == "prepared" for branch in world.branches.values())
        world.die()
        recover(world)
        assert_atomic(world)
        assert_truth(world, outcome)


def test_a_branch_that_vanished_after_the_decision_parks_it() -> None:
    """X05: the others commit, and a human is told where it is missing."""
    world = World()
    first = owner(world)
    while world.state is not TxState.COMMITTED:
        first.step()
    world.branches["b"].state = "gone"
    first.run()
    assert first.outcome is not None
    assert first.outcome.kind is Kind.PARKED
    assert str(world.state) == "PARKED"
    assert "gone on b" in world.parked
    assert [world.branches[name].state for name in WRITERS] == ["committed", "gone", "committed"]


def test_a_branch_that_somebody_committed_by_hand_parks_the_rollback() -> None:
    world = World()
    owner(world).run(7)
    world.die()
    world.branches["c"].state = "committed"
    Runner(world, world.take_over(), False).run()
    assert str(world.state) == "PARKED"
    assert "committed on c" in world.parked
    assert [world.branches[name].state for name in WRITERS] == ["gone", "gone", "committed"]


def test_a_humans_word_before_the_decision_is_obeyed() -> None:
    for word, rolled_back in ((TxState.FORCED_COMMIT, False), (TxState.FORCED_ROLLBACK, True)):
        world = World()
        first = owner(world)
        first.run(8)
        world.state, world.epoch = word, 2
        first.run()
        assert first.outcome == Outcome(Kind.FENCED, state=word)
        assert [branch.state == "gone" for branch in world.branches.values()] == [rolled_back] * 3


def test_without_a_row_in_the_log_it_is_rolled_back() -> None:
    """The row was never written, or the log has lost it: nobody can commit by it."""
    for stop, lost in ((0, ("request", "request")), (8, ())):
        world = World()
        first = owner(world)
        for how in lost:
            while not isinstance(first.batch[len(first.replies)], OpenLog):
                first.step()
            first.step(how)
        if not lost:
            first.run(stop)
            world.state = None
        first.run()
        assert first.outcome is not None
        assert first.outcome.state is TxState.ROLLED_BACK
        assert {branch.state for branch in world.branches.values()} == {"gone"}


def test_names_tell_the_mesh_and_the_data_source_within_64_bytes() -> None:
    assert xa.xid("dm-1", "abc123", "ds_0").sql == "'dm-1','abc123.ds_0',1145195853"
    for name in ("d'oh", "müller", "x" * 90, "new\nline"):
        made = xa.xid("dm-1", "abc123", name)
        assert len(made.bqual) <= 64
        assert made.bqual.isalnum() or made.bqual.replace(".", "").isalnum()
    assert xa.xid("dm-1", "abc123", "x" * 90) != xa.xid("dm-1", "abc123", "x" * 91)
