"""The coordinator is stopped after every prefix of its commands, loses every answer, meets every interleaving."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dbmesh.saga.coordinator import undo
from dbmesh.saga.states import FOLLOWS, TERMINAL, TxState
from tests.unit.saga.simulation import DATA_SOURCES, Runner, World, transaction

CASES = [(ending, savepoint) for ending in ("commit", "rollback") for savepoint in (False, True)]
WHOLE = {False: {"a": [1, 2], "b": [2, 3]}, True: {"a": [1], "b": [3]}}
NOTHING: dict[str, list[int]] = {"a": [], "b": []}


def prefixes(ending: str, savepoint: bool) -> Iterator[int]:
    world = World()
    yield from range(Runner(world, transaction(ending, savepoint), 1).run() + 1)


def recover(world: World) -> None:
    """What sweepers do until nothing is left to do."""
    if world.state is None:
        assert world.marks == NOTHING
        return
    for _ in range(5):
        if world.state in TERMINAL and (world.ended or world.state is TxState.ROLLED_BACK):
            return
        Runner(world, world.take_over(), world.epoch).run()
    raise AssertionError(f"never ended: {world.state}")


def assert_atomic(world: World, savepoint: bool) -> None:
    expected = WHOLE[savepoint] if world.state is TxState.COMMITTED else NOTHING
    assert world.marks == expected
    for shard in world.shards.values():
        assert not shard.locks
        assert len(shard.compensations) == len(set(shard.compensations)), "compensated twice"


@pytest.mark.parametrize(("ending", "savepoint"), CASES)
def test_undisturbed_it_ends_as_asked(ending: str, savepoint: bool) -> None:
    world = World()
    runner = Runner(world, transaction(ending, savepoint), 1)
    runner.run()
    assert runner.result == ("OK" if ending == "commit" else "rolled back")
    assert world.state is (TxState.COMMITTED if ending == "commit" else TxState.ROLLED_BACK)
    assert_atomic(world, savepoint)


@pytest.mark.parametrize(("ending", "savepoint"), CASES)
def test_the_proxy_dies_after_any_command(ending: str, savepoint: bool) -> None:
    for stop in prefixes(ending, savepoint):
        world = World()
        Runner(world, transaction(ending, savepoint), 1).run(stop)
        world.die()
        recover(world)
        assert_atomic(world, savepoint)


@pytest.mark.parametrize(("ending", "savepoint"), CASES)
def test_the_recovering_proxy_dies_after_any_command_too(ending: str, savepoint: bool) -> None:
    for stop in prefixes(ending, savepoint):
        for second in range(20):
            world = World()
            Runner(world, transaction(ending, savepoint), 1).run(stop)
            world.die()
            if world.state is None:
                continue
            Runner(world, world.take_over(), world.epoch).run(second)
            recover(world)
            assert_atomic(world, savepoint)


@pytest.mark.parametrize(("ending", "savepoint"), CASES)
def test_a_paused_proxy_goes_on_while_another_recovers(ending: str, savepoint: bool) -> None:
    """E08 at every point: the owner stops, the other does some of its work, the owner goes on, the other ends."""
    for stop in prefixes(ending, savepoint):
        for turn in range(20):
            world = World()
            owner = Runner(world, transaction(ending, savepoint), 1)
            owner.run(stop)
            if world.state is None or world.ended:
                continue
            other = Runner(world, world.take_over(), world.epoch)
            other.run(turn)
            owner.run()
            other.run()
            recover(world)
            assert_atomic(world, savepoint)
            if owner.result == "OK":
                assert world.state is TxState.COMMITTED
            if owner.result in ("1213", "rolled back"):
                assert world.state is TxState.ROLLED_BACK


@pytest.mark.parametrize("lost", ["request", "answer"])
@pytest.mark.parametrize(("ending", "savepoint"), CASES)
def test_any_one_request_or_answer_is_lost(ending: str, savepoint: bool, lost: str) -> None:
    for stop in prefixes(ending, savepoint):
        world = World()
        owner = Runner(world, transaction(ending, savepoint), 1)
        owner.run(stop)
        if owner.ended:
            continue
        owner.step(lost)
        owner.run()
        told, decided = owner.result, world.state
        world.die()
        recover(world)
        for name, marks in world.marks.items():
            # a statement whose request was lost is missing on all of its shards or on none
            assert world.state is TxState.COMMITTED or marks == [], (stop, name)
        twice = [2 in marks for marks in world.marks.values()]
        assert len(set(twice)) == 1
        if told == "OK":
            assert decided is TxState.COMMITTED


def test_terminal_states_have_no_successors() -> None:
    assert {TxState.COMMITTED, TxState.ROLLED_BACK} < TERMINAL
    assert set(FOLLOWS) == set(TxState)


def undone(refuses: bool = False) -> tuple[World, Runner]:
    """A committed transaction that has ended, and a human's word to undo it."""
    world = World(refuses=refuses)
    Runner(world, transaction("commit"), 1).run()
    assert world.ended
    world.ended = False
    return world, Runner(world, undo(DATA_SOURCES, "why"), world.epoch)


def test_a_committed_transaction_is_undone_by_a_humans_word() -> None:
    world, runner = undone()
    runner.run()
    assert world.state is TxState.ROLLED_BACK
    assert_atomic(world, savepoint=False)


def test_a_committed_transaction_with_a_changed_row_is_left_as_it_is() -> None:
    world, runner = undone(refuses=True)
    runner.run()
    assert (world.state, world.ended) == (TxState.COMMITTED, True)
    assert_atomic(world, savepoint=False)


@pytest.mark.parametrize("lost", ["", "request", "answer"])
def test_who_undoes_a_committed_transaction_dies_or_loses_an_answer_at_any_command(lost: str) -> None:
    length = undone()[1].run()
    for stop in range(length):
        world, runner = undone()
        runner.run(stop)
        if lost:
            runner.step(lost)
            runner.run()
        world.die()
        recover(world)
        assert_atomic(world, savepoint=False)
