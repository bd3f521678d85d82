"""The pool's decisions as values: whose turn it is, which connection, what to close."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from dbmesh.backend.pool import Capabilities, Pool, Ticket, enqueue, grant, may_take, withdraw
from dbmesh.backend.session_state import DEFAULT_STATE, SessionState

OLD_EOF = Capabilities()
NEW_EOF = Capabilities(deprecate_eof=True)
OTHER_STATE = DEFAULT_STATE.with_variables({"@a": "1"})


@dataclass(eq=False)
class Idle:
    capabilities: Capabilities = OLD_EOF
    state: SessionState = DEFAULT_STATE
    created: float = 0.0
    idle_since: float = 0.0


def test_an_idle_connection_of_the_same_state_is_preferred() -> None:
    pool: Pool[Idle] = Pool("ds_0", 4)
    first, second, third = Idle(), Idle(state=OTHER_STATE), Idle()
    for connection in (first, second, third):
        pool.put_idle(connection)
    assert pool.take_idle(Capabilities(), OTHER_STATE) is second
    assert pool.take_idle(Capabilities(), OTHER_STATE) is third
    assert pool.take_idle(NEW_EOF, DEFAULT_STATE) is None
    assert (pool.free, pool.in_use, pool.idle_count) == (2, 2, 1)


def test_a_full_pool_closes_the_longest_idle_of_other_capabilities_to_dial() -> None:
    pool: Pool[Idle] = Pool("ds_0", 2)
    old, young = Idle(NEW_EOF, idle_since=1), Idle(NEW_EOF, idle_since=2)
    pool.put_idle(old)
    assert pool.reserve() is None  # one idle, one place left
    pool.free += 1
    pool.put_idle(young)
    assert pool.reserve() is old
    assert pool.reserve() is young


def test_idle_and_old_connections_expire() -> None:
    pool: Pool[Idle] = Pool("ds_0", 4)
    idle, old, fresh = Idle(created=90, idle_since=10), Idle(created=0, idle_since=99), Idle(created=90, idle_since=99)
    for connection in (idle, old, fresh):
        pool.put_idle(connection)
    assert pool.take_expired(now=100, idle_timeout=60, lifetime=100) == [idle, old]
    assert pool.idle_count == 1


def test_who_waits_for_two_is_not_starved_by_those_who_want_one() -> None:
    pools = {name: Pool[Idle](name, 1) for name in ("a", "b")}
    pools["a"].free = 0
    scatter = Ticket({"a": 1, "b": 1})
    enqueue(pools, scatter)
    # b is free, but it is the scatter's: else b could be taken for ever while a comes and goes.
    assert not may_take(pools, {"b": 1})
    pools["a"].free = 1
    assert grant(pools, ["a"]) == [scatter]


def test_what_a_waiting_one_does_not_need_can_be_overtaken() -> None:
    pools = {name: Pool[Idle](name, 2) for name in ("a", "b")}
    pools["a"].free = 0
    enqueue(pools, Ticket({"a": 1, "b": 1}))
    assert may_take(pools, {"b": 1})
    assert not may_take(pools, {"b": 2})


requests = st.dictionaries(st.sampled_from("abc"), st.integers(1, 2), min_size=1)


@given(st.lists(st.tuples(requests, st.integers(0, 9)), max_size=40))
def test_any_order_of_requests_ends_with_all_served_and_never_more_than_there_are(
    arrivals: list[tuple[dict[str, int], int]],
) -> None:
    pools = {name: Pool[Idle](name, 2) for name in "abc"}
    held: list[dict[str, int]] = []
    served = 0

    def take(needs: dict[str, int], sign: int) -> None:
        for name, number in needs.items():
            pools[name].free -= sign * number
            assert 0 <= pools[name].free <= 2

    def release(index: int) -> None:
        nonlocal served
        needs = held.pop(index)
        take(needs, -1)
        for ticket in grant(pools, list(needs)):
            take(dict(ticket.needs), 1)
            held.append(dict(ticket.needs))
            served += 1

    for needs, choice in arrivals:
        if may_take(pools, needs):
            take(needs, 1)
            held.append(needs)
            served += 1
        else:
            enqueue(pools, Ticket(needs))
        if held and choice < 5:
            release(choice % len(held))
    while held:
        release(0)
    assert served == len(arrivals)
    assert not any(pool.waiting for pool in pools.values())


@given(st.lists(requests, max_size=12), st.data())
def test_first_come_first_served_where_two_want_the_same(wanted: list[dict[str, int]], data: st.DataObject) -> None:
    pools = {name: Pool[Idle](name, 2) for name in "abc"}
    for pool in pools.values():
        pool.free = 0
    tickets = [Ticket(needs) for needs in wanted]
    for ticket in tickets:
        enqueue(pools, ticket)
    if tickets:
        gone = tickets.pop(data.draw(st.integers(0, len(tickets) - 1)))
        withdraw(pools, gone)
    order: list[Ticket] = []
    while len(order) < len(tickets):
        for pool in pools.values():
            pool.free = 2
        granted = grant(pools, "abc")
        assert granted
        order += granted
        for pool in pools.values():
            pool.free = 0
    for earlier, later in ((a, b) for i, a in enumerate(tickets) for b in tickets[i + 1 :]):
        both = Counter(earlier.needs) + Counter(later.needs)
        if any(both[name] > 2 for name in set(earlier.needs) & set(later.needs)):
            assert order.index(earlier) < order.index(later)
