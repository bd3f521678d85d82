"""Scattered reads: route units onto lanes, their streams into the merge, its rows to the client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

from dbmesh.backend.connection import Connection, Request, Result
from dbmesh.engine.caller import Caller
from dbmesh.engine.lanes import LEFTOVER_BATCHES, Lane, UnitStream
from dbmesh.errors import BackendError, MeshError, NotSupported
from dbmesh.merge import Columns, Evaluate, Need, Rows, check_alike, merged
from dbmesh.merge.event import Reply
from dbmesh.merge.spec import MergeSpec
from dbmesh.plan.model import RouteUnit
from dbmesh.protocol import ColumnDefinition

_MIXED_COLLATIONS = frozenset({1267, 1270, 1271})


class Unmerged(MeshError):
    """The merge refused before the client was sent anything."""

    def __init__(self, refusal: NotSupported) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def spread(units: Sequence[RouteUnit], most: Mapping[str, int]) -> list[tuple[str, list[int]]]:
    """Which units share a connection: (data source, unit numbers) per lane, ``most[data source]`` lanes at most."""
    by_source: dict[str, list[int]] = {}
    for number, unit in enumerate(units):
        by_source.setdefault(unit.data_source, []).append(number)
    lanes: list[tuple[str, list[int]]] = []
    for name, numbers in by_source.items():
        count = min(len(numbers), max(1, most[name]))
        lanes.extend((name, list(islice(numbers, start, None, count))) for start in range(count))
    return lanes


def assign(
    units: Sequence[RouteUnit],
    layout: Sequence[tuple[str, list[int]]],
    connections: Sequence[Connection],
    caller: Caller,
) -> tuple[list[Lane], list[UnitStream]]:
    """The lanes, and the streams in the order of the units."""
    lanes = [Lane(connection, caller) for connection in connections]
    streams: dict[int, UnitStream] = {}
    for lane, (_, numbers) in zip(lanes, layout, strict=True):
        for number in numbers:
            streams[number] = lane.add(units[number])
    return lanes, [streams[number] for number in range(len(units))]


async def run_merge(
    spec: MergeSpec,
    streams: Sequence[UnitStream],
    evaluator: Connection | None,
    caller: Caller,
) -> int:
    """Merge the streams, whose lanes have been started, into ``caller``; the number of rows sent.

    ``evaluator``: a connection that no lane uses, needed when the merge has a ``finish`` stage. Raises Unmerged for a
    refusal as long as the client has been sent nothing.
    """
    to = _Receiver(caller)
    try:
        await _drive(spec, streams, evaluator, to)
        to.begin()
    except NotSupported as refusal:
        if to.begun:
            raise
        raise Unmerged(refusal) from refusal
    return to.sent


class _Receiver:
    """The client of a merge. Its column definitions wait for the first rows, until when a merge may still refuse."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.columns: Sequence[ColumnDefinition] = ()
        self.begun = False
        self.sent = 0

    def begin(self) -> None:
        if not self.begun:
            self.begun = True
            self.caller.columns(self.columns)

    async def rows(self, rows: Sequence[bytes]) -> None:
        self.begin()
        self.sent += len(rows)
        self.caller.rows(rows)
        await self.caller.drained()


async def _drive(spec: MergeSpec, streams: Sequence[UnitStream], evaluator: Connection | None, to: _Receiver) -> None:
    known = _columns(streams)
    steps = merged(spec, known)
    reply: Reply = None
    checked: set[int] = set()
    while True:
        try:
            event = steps.send(reply)
        except StopIteration:
            return
        reply = None
        match event:
            case Need(stream):
                reply = await streams[stream].next_batch()
                if stream not in checked:
                    checked.add(stream)
                    check_alike(known[0], streams[stream].columns or known[0])
            case Evaluate(sql):
                assert evaluator is not None
                reply = await _evaluated(evaluator, to.caller.request(sql))
            case Columns(columns):
                to.columns = columns
            case Rows(rows):
                await to.rows(rows)


async def _evaluated(evaluator: Connection, request: Request) -> Result:
    """Literals insist on their collations, which columns do not."""
    try:
        return await evaluator.execute(request)
    except BackendError as error:
        if error.errno not in _MIXED_COLLATIONS:
            raise
        raise NotSupported("strings of different collations in an expression over aggregates") from error


def _columns(streams: Sequence[UnitStream]) -> list[list[ColumnDefinition]]:
    """A unit whose query has not been sent yet is taken to answer like the others; `run_merge` makes sure."""
    first = next(stream.columns for stream in streams if stream.columns is not None)
    return [stream.columns or first for stream in streams]


async def close(lanes: Sequence[Lane], *, whole: bool) -> set[Connection]:
    """End the lanes after the merge, or after a server's refusal; the connections that are not clean.

    ``whole``: read leftovers to their end whatever their size, for a transaction's connections that must not be lost.
    """
    most = None if whole else LEFTOVER_BATCHES
    return {lane.connection for lane in lanes if not await lane.finish(most)}
