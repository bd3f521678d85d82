"""Many streams of rows into one: one after another, or merged by their order. Holds one batch of each stream."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Generator
from operator import gt, itemgetter
from typing import TypeAlias

from dbmesh.errors import NotSupported
from dbmesh.merge.event import Need, Reply
from dbmesh.merge.key import Key, KeyReader

Pairs: TypeAlias = list[tuple[Key, bytes]]
Source: TypeAlias = Generator[Need | Pairs, Reply, None]

_key = itemgetter(0)


def one_after_another(streams: int) -> Generator[Need | list[bytes], Reply, None]:
    """Rows of all streams in no order. Each to its end, so that streams may share a connection."""
    for stream in range(streams):
        while (batch := (yield Need(stream))) is not None:
            assert isinstance(batch, list)
            yield batch


def in_order(streams: int, reader: KeyReader) -> Source:
    """Rows of all streams, ordered by their keys; of equal keys those of the first stream come first.

    All rows up to the smallest of the streams' last known keys are complete: they are cut off their batches and sorted,
    which for a few ordered runs is one merge pass in C. Raises NotSupported for a stream that is not in order: its
    server compares otherwise than we do, and the result would be in no order, or a group torn apart.
    """
    waiting: list[Pairs] = [[] for _ in range(streams)]
    last: list[Key] = [None] * streams
    live = list(range(streams))
    while live:
        for stream in tuple(live):
            if waiting[stream]:
                continue
            batch = yield Need(stream)
            if batch is None:
                live.remove(stream)
                continue
            assert isinstance(batch, list)
            pairs = reader.pairs(batch)
            _check_order(pairs, last[stream])
            waiting[stream] = pairs
            last[stream] = pairs[-1][0]
        if live:
            yield _complete(waiting, live)


def _complete(waiting: list[Pairs], live: list[int]) -> Pairs:
    bound = min(waiting[stream][-1][0] for stream in live)
    ready: Pairs = []
    runs = 0
    for stream in live:
        pairs = waiting[stream]
        end = len(pairs) if pairs[-1][0] <= bound else bisect_right(pairs, bound, key=_key)
        if end:
            ready += pairs[:end]
            waiting[stream] = pairs[end:]
            runs += 1
    if runs > 1:
        ready.sort(key=_key)
    return ready


def _check_order(pairs: Pairs, before: Key) -> None:
    keys = [key for key, _ in pairs]
    if any(map(gt, keys, keys[1:])) or (before is not None and keys[0] < before):
        raise NotSupported(
            "a data node orders its rows otherwise than the merge compares them, as with values longer than "
            "max_sort_length",
            "order or group by a shorter expression, or raise max_sort_length",
        )
