"""Work that a client's disconnect or KILL must not stop half-way."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

ROLLBACK_SECONDS = 3.0  # a client waits so long for a compensation; then it goes on without it


async def uninterrupted(work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``, which runs to its end however often the waiting task is cancelled.

    What has become of the work counts, not that somebody wanted to stop it: a COMMIT that held is not reported as
    interrupted. A cancellation meanwhile is used up.
    """
    task = asyncio.ensure_future(work)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([task])
    return task.result()


async def patiently(task: asyncio.Task[T]) -> T | None:
    """The task's result, or None when a client has waited long enough for it; the task goes on."""
    await asyncio.wait([task], timeout=ROLLBACK_SECONDS)
    return task.result() if task.done() else None
