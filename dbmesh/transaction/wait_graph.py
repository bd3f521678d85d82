"""Who waits for whom over several servers, and who has to give way. Pure.

A server sees a transaction of ours as as many transactions as it has connections of it, and other servers' not at all;
joined, their waits may be a cycle that none of them can see.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import NamedTuple


class Thread(NamedTuple):
    """A connection as its server numbers it. ``server``: its address in the rules."""

    server: str
    id: int


@dataclass(frozen=True, slots=True)
class Wait:
    """A lock wait as a server tells it. Weights: how much each side has locked and changed there."""

    waiter: Thread
    holder: Thread
    waiter_weight: int = 0
    holder_weight: int = 0


@dataclass(frozen=True, slots=True)
class Cycle:
    """Transactions that wait for each other. ``members``: those known, by name; ``victim``: one of them."""

    members: frozenset[str]
    victim: str


Node = str | Thread  # a known transaction's name, or a connection of which nothing more is known


def cycles(transactions: Mapping[str, Set[Thread]], waits: Iterable[Wait]) -> list[Cycle]:
    """Victims without whom no cycle is left: as in InnoDB, who has locked and changed least; of equals, the last name.

    ``transactions``: each one's connections, by its name.
    """
    owner = {thread: name for name, threads in transactions.items() for thread in threads}
    edges: dict[Node, set[Node]] = {}
    weights: dict[Thread, int] = {}
    for wait in waits:
        weights[wait.waiter] = max(wait.waiter_weight, weights.get(wait.waiter, 0))
        weights[wait.holder] = max(wait.holder_weight, weights.get(wait.holder, 0))
        waiter, holder = owner.get(wait.waiter, wait.waiter), owner.get(wait.holder, wait.holder)
        if waiter != holder:
            edges.setdefault(waiter, set()).add(holder)
    found: list[Cycle] = []
    while group := _group(edges):
        members = frozenset(node for node in group if isinstance(node, str))
        if not members:  # none of them is ours: their server sees to it
            edges = {node: targets - group for node, targets in edges.items() if node not in group}
            continue
        weight = {name: sum(weights.get(thread, 0) for thread in transactions[name]) for name in members}
        least = min(weight.values())
        victim = max(name for name in members if weight[name] == least)
        found.append(Cycle(members, victim))
        edges = {node: targets - {victim} for node, targets in edges.items() if node != victim}
    return found


def _group(edges: Mapping[Node, Set[Node]]) -> set[Node]:
    """The first nodes found that can all reach each other; empty when there is no cycle."""
    for start in sorted(edges, key=str):
        reached = _reached(edges, start)
        if start in reached:
            return {node for node in reached if start in _reached(edges, node)}
    return set()


def _reached(edges: Mapping[Node, Set[Node]], start: Node) -> set[Node]:
    reached: set[Node] = set()
    todo = list(edges.get(start, ()))
    while todo:
        node = todo.pop()
        if node not in reached:
            reached.add(node)
            todo.extend(edges.get(node, ()))
    return reached
