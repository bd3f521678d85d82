"""Points where a crash test makes the proxy die, stop or stumble. For tests only; off unless DBMESH_FAILPOINTS is set.

``DBMESH_FAILPOINTS="POINT[:DATA_SOURCE][@N]=ACTION;…"``

* POINT: ``before.STEP``, ``sent.STEP`` (the request is on its way, its answer not read; the default for a bare STEP) or
  ``after.STEP``. Steps: begin, gate, snapshot, dml, image, lock, branch, undo, commit (of a statement on a shard),
  open_log, decide, plant, mark_locks, close_gate, read_branches, compensate_begin, compensate_read, compensate_row,
  compensate_state, compensate_commit, release, end.
* N: the N-th time the point is reached (1 when absent).
* ACTION: ``kill9``, ``stop`` (SIGSTOP), ``sleep:SECONDS``, ``lose`` (as if the server's answer never came).
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from dbmesh.errors import BackendLost

T = TypeVar("T")

_ON_ITS_WAY = 0.03  # seconds: enough for a server on this machine to have executed a small statement


@dataclass(frozen=True, slots=True)
class Failpoint:
    """One entry of DBMESH_FAILPOINTS. ``data_source`` '' stands for any."""

    point: str
    data_source: str
    nth: int
    action: str


def parse(text: str) -> list[Failpoint]:
    """The entries of DBMESH_FAILPOINTS. Raises ValueError."""
    found = []
    for entry in filter(None, (part.strip() for part in text.split(";"))):
        where, _, action = entry.partition("=")
        where, _, nth = where.partition("@")
        point, _, data_source = where.partition(":")
        if not action:
            raise ValueError(f"failpoint {entry!r} has no action")
        point = point if "." in point else f"sent.{point}"
        found.append(Failpoint(point, data_source, int(nth or 1), action))
    return found


points: list[Failpoint] = parse(os.environ.get("DBMESH_FAILPOINTS", ""))
_seen: Counter[Failpoint] = Counter()


def arm(text: str) -> None:
    """Replace the points of this process (for tests inside the process)."""
    points[:] = parse(text)
    _seen.clear()


def _due(name: str, data_source: str) -> str | None:
    for point in points:
        if point.point == name and point.data_source in ("", data_source):
            _seen[point] += 1
            if _seen[point] == point.nth:
                return point.action
    return None


async def _act(action: str, data_source: str) -> None:
    verb, _, argument = action.partition(":")
    if verb == "kill9":
        os.kill(os.getpid(), signal.SIGKILL)
    elif verb == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif verb == "sleep":
        await asyncio.sleep(float(argument))
    elif verb == "lose":
        raise BackendLost(data_source, True, "failpoint")
    else:
        raise ValueError(f"unknown failpoint action {action!r}")


async def step(name: str, data_source: str, run: Callable[[], Awaitable[T]]) -> T:
    """Run one request with its three failpoints around it."""
    if not points:
        return await run()
    if action := _due(f"before.{name}", data_source):
        await _act(action, data_source)
    if action := _due(f"sent.{name}", data_source):
        task = asyncio.ensure_future(run())
        await asyncio.wait([task], timeout=_ON_ITS_WAY)
        if not task.done():
            task.cancel()
        await asyncio.wait([task])
        task.cancelled() or task.exception()
        await _act(action, data_source)
        return await task
    result = await run()
    if action := _due(f"after.{name}", data_source):
        await _act(action, data_source)
    return result
