from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from dbmesh.rules.custom import Custom, find
from dbmesh.rules.keys import Between, Equal, UnsuitableKey
from dbmesh.rules.sharding import OneStep, Step


def by_length(values: tuple[Any, ...], nodes: int) -> int | None:
    return None if values[0] == "nowhere" else len(values[0]) % nodes


def too_far(values: tuple[Any, ...], nodes: int) -> int:
    return nodes


class Halves:
    def __call__(self, values: tuple[Any, ...], nodes: int) -> int:
        return int(values[0] >= 100)

    def between(self, low: Any, high: Any, nodes: int) -> Iterable[int] | None:
        return None if low is None else range(int(low >= 100), 2)


HALVES = Halves()


def algorithm(name: str, count: int = 2) -> Custom:
    reference = f"{__name__}:{name}"
    return Custom(reference, count, 1, find(reference))


def test_function_places_a_value() -> None:
    assert algorithm("by_length").home(("abc",)) == 1
    assert algorithm("by_length").home(("nowhere",)) is None
    assert algorithm("by_length").between(Between("a", "b")) is None


def test_object_with_between_narrows_ranges() -> None:
    assert algorithm("HALVES").between(Between(150, 160)) == {1}
    assert algorithm("HALVES").between(Between(None, 160)) is None


@pytest.mark.parametrize(("name", "value"), [("too_far", "x"), ("by_length", 5)])
def test_failing_function_fails_the_insert_and_scatters_the_select(name: str, value: object) -> None:
    sharding = OneStep(Step(algorithm(name), ("k",), 2))
    with pytest.raises(UnsuitableKey, match="failed"):
        sharding.home((value,))  # type: ignore[arg-type]
    assert sharding.homes({"k": Equal((value,))}) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("dbmesh.errors", "must be written"),
        ("dbmesh.nowhere:f", "cannot be imported"),
        ("dbmesh.errors:f", "has no 'f'"),
        ("dbmesh:__version__", "is not a function"),
    ],
)
def test_reference_that_leads_nowhere_says_why(reference: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find(reference)
