"""COMMIT of a deferred transaction is stopped after every prefix of its commands, and loses every answer."""

from __future__ import annotations

import pytest

from dbmesh.saga.coordinator import DEFERRED
from dbmesh.saga.states import TxState
from tests.unit.saga.simulation import Runner, World, deferred
from tests.unit.saga.test_coordinator import NOTHING, recover

WHOLE = {"a": [DEFERRED], "b": [DEFERRED]}


def length() -> int:
    return Runner(World(), deferred(), 1).run()


def assert_atomic(world: World, told: object = None) -> None:
    if world.state is not None:
        assert world.state in (TxState.COMMITTED, TxState.ROLLED_BACK)
    assert world.marks == (WHOLE if world.state is TxState.COMMITTED else NOTHING)
    assert not any(shard.locks for shard in world.shards.values())
    if told == "OK":
        assert world.state is TxState.COMMITTED
    if told == "rolled back":
        assert world.marks == NOTHING


def test_undisturbed_it_commits() -> None:
    world = World()
    runner = Runner(world, deferred(), 1)
    runner.run()
    assert runner.result == "OK"
    assert world.log.index("OpenLog") < world.log.index("CommitBranch") < world.log.index("Decide")
    assert_atomic(world, "OK")


def test_the_proxy_dies_after_any_command() -> None:
    outcomes = set()
    for stop in range(length() + 1):
        world = World()
        Runner(world, deferred(), 1).run(stop)
        world.die()
        recover(world)
        assert_atomic(world)
        outcomes.add(world.state)
    assert outcomes == {None, TxState.ROLLED_BACK, TxState.COMMITTED}


def test_the_recovering_proxy_dies_after_any_command_too() -> None:
    for stop in range(length() + 1):
        for second in range(20):
            world = World()
            Runner(world, deferred(), 1).run(stop)
            world.die()
            if world.state is not None:
                Runner(world, world.take_over(), world.epoch).run(second)
            recover(world)
            assert_atomic(world)


def test_a_paused_proxy_goes_on_while_another_recovers() -> None:
    """D17 at every point."""
    for stop in range(length()):
        for turn in range(20):
            world = World()
            owner = Runner(world, deferred(), 1)
            owner.run(stop)
            if world.state is None or world.ended:
                continue
            other = Runner(world, world.take_over(), world.epoch)
            other.run(turn)
            owner.run()
            other.run()
            recover(world)
            assert_atomic(world, owner.result)


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_any_one_request_or_answer_is_lost(lost: str) -> None:
    for stop in range(length()):
        world = World()
        owner = Runner(world, deferred(), 1)
        owner.run(stop)
        owner.step(lost)
        owner.run()
        world.die()
        recover(world)
        assert_atomic(world, owner.result)
