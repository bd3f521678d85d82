"""Random choices that can be repeated and made smaller: how a failing statement shrinks.

Every choice is a number below some bound, and 0 is the simplest. A statement is a function of its choices, so fewer or
smaller choices give a simpler statement of the same kind, with everything that makes its answer comparable.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Choices out of ``given``, then of ``source``, or zeros without one. ``made``: those made so far."""

    def __init__(self, source: random.Random | None, given: Sequence[int] = ()) -> None:
        self._source = source
        self._given = given
        self.made: list[int] = []

    def below(self, bound: int) -> int:
        at = len(self.made)
        if at < len(self._given):
            value = min(self._given[at], bound - 1)
        else:
            value = 0 if self._source is None else self._source.randrange(bound)
        self.made.append(value)
        return value

    def one(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]

    def chance(self, percent: int) -> bool:
        return self.below(100) >= 100 - percent

    def often(self, options: Sequence[tuple[int, T]]) -> T:
        """One of (weight, option)."""
        at = self.below(sum(weight for weight, _ in options))
        for weight, option in options:
            if at < weight:
                return option
            at -= weight
        raise AssertionError

    def some(self, options: Sequence[T], most: int) -> list[T]:
        """One to ``most`` different ones."""
        left = list(options)
        return [left.pop(self.below(len(left))) for _ in range(1 + self.below(min(most, len(left))))]


def shrunk(made: Sequence[int], fails: Callable[[Sequence[int]], bool], attempts: int = 300) -> list[int]:
    """The smallest choices found within ``attempts`` that still fail: spans are left out, then numbers made smaller."""
    best = list(made)
    left = attempts

    def take(candidate: list[int]) -> bool:
        nonlocal best, left
        if left <= 0 or candidate == best:
            return False
        left -= 1
        if not fails(candidate):
            return False
        best = candidate
        return True

    size = max(1, len(best) // 2)
    while size:
        at = 0
        while at < len(best):
            if not take(best[:at] + best[at + size :]):
                at += size
        size //= 2
    for at in range(len(best)):
        for smaller in (0, best[at] // 2 if at < len(best) else 0):
            if at < len(best) and best[at] and take([*best[:at], smaller, *best[at + 1 :]]):
                break
    return best
