"""The ``custom`` algorithm: a function of the DBA's, named ``package.module:function``.

``function(values, nodes) -> int | None``: ``values`` are the key's values in the order of its columns (none is None),
``nodes`` the number of positions; the answer is a position from 0, or None for a key without a home. The function must
be pure: the same key has the same home for ever, in every process. Optionally the object has an attribute
``between(low, high, nodes) -> iterable of int | None`` for ranges (a bound of None is open; answering None asks
every node); it must name every position that can hold a key between the bounds, both included.
"""

from __future__ import annotations

import importlib
import operator
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from dbmesh.rules.keys import Between, KeyType, KeyValue, UnsuitableKey


@dataclass(frozen=True, slots=True)
class Custom:
    """``function`` is found by ``reference``; an answer outside the nodes counts as a failure, not as a place."""

    reference: str
    count: int
    width: int
    function: Callable[..., Any] = field(repr=False, compare=False)

    @property
    def key_types(self) -> tuple[KeyType, ...]:
        return (KeyType.ANY,) * self.width

    def home(self, values: tuple[KeyValue, ...]) -> int | None:
        try:
            place = self.function(values, self.count)
            return None if place is None else self._checked(place)
        except Exception as error:  # a DBA's function may raise anything; the client must get an answer
            raise UnsuitableKey(f"sharding function '{self.reference}' failed: {error}") from error

    def between(self, condition: Between) -> Collection[int] | None:
        between = getattr(self.function, "between", None)
        if between is None:
            return None
        try:
            places = between(condition.low, condition.high, self.count)
            return None if places is None else {self._checked(place) for place in places}
        except Exception as error:
            raise UnsuitableKey(f"sharding function '{self.reference}' failed: {error}") from error

    def describe(self) -> str:
        return f"custom({self.reference})"

    def _checked(self, place: object) -> int:
        at = operator.index(place)  # type: ignore[arg-type]  # raises TypeError for what is no integer
        if not 0 <= at < self.count:
            raise ValueError(f"it answered {at}, but the nodes are 0 to {self.count - 1}")
        return at


def find(reference: str) -> Callable[..., Any]:
    """The function that ``package.module:function`` names. Raises ValueError that says what is missing."""
    module_name, colon, name = reference.partition(":")
    if not colon or not module_name or not name:
        raise ValueError("must be written package.module:function")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # importing runs the DBA's code
        raise ValueError(f"module '{module_name}' cannot be imported: {error}") from error
    function = getattr(module, name, None)
    if function is None:
        raise ValueError(f"module '{module_name}' has no '{name}'")
    if not callable(function):
        raise ValueError(f"'{reference}' is not a function")
    return function  # type: ignore[no-any-return]
