"""Cycles over several servers, as their servers' waits and the mesh's transactions make them."""

from __future__ import annotations

import pytest

from dbmesh.transaction.wait_graph import Cycle, Thread, Wait, cycles


def thread(name: str) -> Thread:
    """'a1' is connection 1 of server a."""
    return Thread(name[0], int(name[1:]))


def waits(*told: str) -> list[Wait]:
    """'a1>a2': a1 waits for a2; 'a1:5>a2:7' with their weights."""
    found = []
    for text in told:
        (waiter, first), (holder, second) = (side.partition(":")[::2] for side in text.split(">"))
        found.append(Wait(thread(waiter), thread(holder), int(first or 0), int(second or 0)))
    return found


def transactions(**members: str) -> dict[str, frozenset[Thread]]:
    return {name: frozenset(map(thread, threads.split())) for name, threads in members.items()}


TWO = transactions(one="a1 b1", two="a2 b2")


@pytest.mark.parametrize(
    "told",
    [
        (),
        ("a1>a2",),
        ("a1>a2", "b1>b2"),
        ("a2>a1", "b1>b9"),  # for a stranger
        ("a9>a8", "a8>a9"),  # strangers on one server: it will see that itself
        ("a1>b1",),  # a transaction that waits for itself is no other's matter
    ],
)
def test_no_cycle(told: tuple[str, ...]) -> None:
    assert cycles(TWO, waits(*told)) == []


def test_two_that_each_server_thinks_are_waiting_in_order() -> None:
    assert cycles(TWO, waits("a1>a2", "b2>b1")) == [Cycle(frozenset({"one", "two"}), "two")]


@pytest.mark.parametrize(("told", "victim"), [
    (("a1:2>a2:9", "b2:1>b1:2"), "one"),
    (("a1:9>a2:2", "b2:1>b1:9"), "two"),
    (("a1:5>a2:5", "b2:5>b1:5"), "two"),  # equal: the younger
])  # fmt: skip
def test_who_has_done_least_gives_way(told: tuple[str, ...], victim: str) -> None:
    assert [cycle.victim for cycle in cycles(TWO, waits(*told))] == [victim]


def test_a_stranger_on_one_server_can_be_a_link_of_the_chain() -> None:
    [cycle] = cycles(TWO, waits("a1>a9", "a9>a2", "b2>b1"))
    assert cycle.members == {"one", "two"}


def test_who_only_waits_for_the_cycle_is_not_in_it() -> None:
    known = TWO | transactions(three="a3 b3")
    assert [cycle.members for cycle in cycles(known, waits("a3>a1", "a1>a2", "b2>b1"))] == [{"one", "two"}]


def test_a_cycle_that_is_left_after_the_first_victim_has_one_of_its_own() -> None:
    known = transactions(one="a1 b1", two="a2 b2", three="b3 c3", four="b4 c4")
    found = cycles(known, waits("a1>a2", "b2>b1", "b3>b4", "c4>c3"))
    assert sorted(cycle.victim for cycle in found) == ["three", "two"]


def test_one_victim_is_enough_for_two_cycles_that_share_it() -> None:
    known = transactions(hub="a1 b1 c1", two="a2 b2", three="a3 c3")
    told = waits("a1:1>a2:9", "b2:9>b1:1", "a1:1>a3:9", "c3:9>c1:1")
    assert [cycle.victim for cycle in cycles(known, told)] == ["hub"]


def test_a_long_way_round() -> None:
    known = transactions(**{f"t{n}": f"a{n} b{n} c{n}" for n in range(6)})
    told = waits(*(f"{'abc'[n % 3]}{n}>{'abc'[n % 3]}{(n + 1) % 6}" for n in range(6)))
    assert [len(cycle.members) for cycle in cycles(known, told)] == [6]
