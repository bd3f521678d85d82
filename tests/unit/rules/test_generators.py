from __future__ import annotations

import random
import re
from collections.abc import Callable
from itertools import pairwise

import pytest

from dbmesh.rules.generators import DEFAULT_EPOCH, ClockBehind, Snowflake, new_uuid


class Clock:
    """Milliseconds that the test sets."""

    def __init__(self, pace: Callable[[], int]) -> None:
        self.now = DEFAULT_EPOCH + 10_000_000_000
        self.pace = pace

    def __call__(self) -> int:
        self.now += self.pace()
        return self.now


RANDOM = random.Random(1)
PACES: dict[str, Callable[[], int]] = {
    "frozen for up to 4096 keys": lambda: RANDOM.random() < 0.001,
    "1 ms": lambda: 1,
    "2 ms": lambda: 2,
    "7 ms": lambda: 7,
    "1 s": lambda: 1000,
    "random": lambda: RANDOM.randrange(0, 50),
}


@pytest.mark.parametrize("pace", PACES.values(), ids=PACES)
@pytest.mark.parametrize("worker_id", [0, 1, 1023])
def test_10000_keys_spread_evenly_over_2_to_16_nodes_at_any_pace(pace: Callable[[], int], worker_id: int) -> None:
    for nodes in range(2, 17):
        generator, counts, made = Snowflake(worker_id, Clock(pace), spread=nodes), [0] * nodes, 0
        while made < 10_000:
            try:
                counts[generator.next() % nodes] += 1
                made += 1
            except ClockBehind:
                continue
        assert max(counts) - min(counts) <= 1  # far within 5 %


def test_keys_are_unique_positive_and_carry_the_worker() -> None:
    clock = Clock(lambda: RANDOM.random() < 0.01)
    generators = [Snowflake(worker_id, clock, spread=3) for worker_id in (0, 5, 1023)]
    keys = [generator.next() for _ in range(10_000) for generator in generators]
    assert len(set(keys)) == len(keys)
    assert all(0 < key < 1 << 63 for key in keys)
    assert {key >> 12 & 1023 for key in keys} == {0, 5, 1023}
    times = [key >> 22 for key in keys]
    assert all(one <= other for one, other in pairwise(times))


def test_clock_that_steps_back_says_how_long_to_wait() -> None:
    clock = Clock(lambda: 0)
    generator = Snowflake(1, clock)
    first = generator.next()
    clock.now -= 250
    with pytest.raises(ClockBehind) as behind:
        generator.next()
    assert behind.value.wait_ms == 250
    clock.now += behind.value.wait_ms
    assert generator.next() != first


@pytest.mark.parametrize("spread", [1, 3, 16, 1000, 5000])
def test_one_millisecond_ends_before_a_sequence_number_repeats(spread: int) -> None:
    clock = Clock(lambda: 0)
    generator = Snowflake(1, clock, spread=spread)
    room = 4096 - 4096 % spread if spread <= 4096 else 4096
    keys = {generator.next() for _ in range(room)}
    assert len(keys) == room
    with pytest.raises(ClockBehind) as behind:
        generator.next()
    assert behind.value.wait_ms == 1
    clock.now += 1
    assert generator.next() not in keys


def test_new_spread_never_repeats_a_key_of_the_old_one() -> None:
    clock = Clock(lambda: 0)
    generator = Snowflake(1, clock, spread=4)
    keys = {generator.next() for _ in range(2000)}
    generator.spread_over(7)
    with pytest.raises(ClockBehind):
        generator.next()
    clock.now += 1
    assert not keys & {generator.next() for _ in range(2000)}


def test_clock_before_the_epoch_waits() -> None:
    with pytest.raises(ClockBehind):
        Snowflake(1, lambda: DEFAULT_EPOCH - 5).next()


def test_worker_id_has_ten_bits() -> None:
    with pytest.raises(ValueError, match="worker id 1024"):
        Snowflake(1024, lambda: 0)


def test_uuid_has_mysqls_form() -> None:
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", new_uuid())
    assert new_uuid() != new_uuid()
