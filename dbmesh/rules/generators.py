"""Key generators: snowflake and uuid. Pure: the clock is passed in, the worker id is leased elsewhere."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from dbmesh import errors

TIME_BITS, WORKER_BITS, SEQUENCE_BITS = 41, 10, 12
WORKERS = 1 << WORKER_BITS
SEQUENCES = 1 << SEQUENCE_BITS
DEFAULT_EPOCH = 1_704_067_200_000  # 2024-01-01 UTC, in ms since 1970


class ClockBehind(errors.MeshError):
    """No key can be made now: wait ``wait_ms`` milliseconds and ask again."""

    def __init__(self, wait_ms: int) -> None:
        self.wait_ms = wait_ms
        super().__init__(f"The clock is {wait_ms} ms behind the last generated key; a key could be a duplicate")


class Snowflake:
    """Positive 63-bit keys: 41 bits of ms since ``epoch``, 10 bits of worker id, 12 bits of sequence.

    Unique among all workers with different ids, rising from one ms to the next. One table has one generator: n
    consecutive keys, slow or fast, lie in n different classes modulo ``spread`` = n, because the sequence makes up
    for what the clock and the worker id contribute. A sequence that starts at 0 in every ms would make nearly all
    keys of a quiet table even; one that just counts on would meet the pace of the clock.
    """

    __slots__ = ("_classes", "_clock", "_count", "_epoch", "_last", "_used", "_worker")

    def __init__(
        self, worker_id: int, clock: Callable[[], int], *, epoch: int = DEFAULT_EPOCH, spread: int = 1
    ) -> None:
        """``clock``: ms since 1970 UTC. ``worker_id``: 0..1023, leased. ``spread``: the table's data nodes."""
        if not 0 <= worker_id < WORKERS:
            raise ValueError(f"worker id {worker_id} is not within 0..{WORKERS - 1}")
        self._worker = worker_id
        self._clock = clock
        self._epoch = epoch
        self._count = worker_id  # so that several young workers do not all begin at the first node
        self._last = -1
        self._used = 0
        self._classes = SEQUENCES
        self.spread_over(spread)

    def spread_over(self, nodes: int) -> None:
        """Let consecutive keys visit this many nodes in turn, from the next ms on (a reload changed the rules)."""
        self._classes = SEQUENCES - SEQUENCES % nodes if nodes <= SEQUENCES else SEQUENCES
        self._used = self._classes

    def next(self) -> int:
        """The next key. Raises ClockBehind when the clock stepped back or this ms has no sequence number left."""
        now = self._clock() - self._epoch
        if now > self._last:
            if now >= 1 << TIME_BITS:
                raise errors.MeshError("The snowflake epoch is over: 41 bits of milliseconds are used up")
            self._last, self._used = now, 0
        elif now < self._last or self._used >= self._classes:
            raise ClockBehind(self._last - now + (self._used >= self._classes))
        self._used += 1
        self._count += 1
        high = now << (WORKER_BITS + SEQUENCE_BITS) | self._worker << SEQUENCE_BITS
        return high | (self._count - high) % self._classes


def new_uuid() -> str:
    """A random UUID (RFC 9562 version 4) in MySQL's text form: 36 characters, lower case."""
    return str(uuid.uuid4())
