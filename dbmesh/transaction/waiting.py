"""Waiting for rows that belong to other global transactions, always without holding what those could need."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

from dbmesh.errors import LockWaitTimeout, MeshError
from dbmesh.saga.states import LockState, TxState
from dbmesh.transaction.failures import RowLocked
from dbmesh.transaction.recovery import Proxy


class Patience:
    """Growing pauses up to a limit of time, which may be used up in several waits."""

    def __init__(self, seconds: float) -> None:
        self._until = asyncio.get_running_loop().time() + seconds
        self._pause = 0.005

    async def pause(self) -> bool:
        """False when the time is over."""
        left = self._until - asyncio.get_running_loop().time()
        if left <= 0:
            return False
        await asyncio.sleep(min(left, self._pause * random.uniform(0.5, 1.0)))
        self._pause = min(0.2, self._pause * 1.7)
        return True


async def wait_until_free(proxy: Proxy, locked: RowLocked, gtrid: str, patience: Patience) -> None:
    """Return when the rows are free. Raises LockWaitTimeout (1205) when patience ends."""
    if not await becomes_free(proxy, locked, gtrid, patience):
        raise LockWaitTimeout(
            "Lock wait timeout exceeded; try restarting transaction"
            f" (a row is locked by global transaction {locked.holder})"
        )


async def becomes_free(proxy: Proxy, locked: RowLocked, gtrid: str, patience: Patience) -> bool:
    """Whether the rows become free of others than ``gtrid`` while patience lasts."""
    clock, counters = asyncio.get_running_loop().time, proxy.counters
    begun = clock()
    counters.lock_waits += 1
    try:
        while await patience.pause():
            with suppress(MeshError):
                await _free_if_committed(proxy, locked)
                if await proxy.shards.holder(locked.data_source, locked.keys, gtrid) is None:
                    return True
    finally:
        counters.seconds_waited += clock() - begun
    counters.lock_timeouts += 1
    return False


async def _free_if_committed(proxy: Proxy, locked: RowLocked) -> None:
    """A committed transaction's locks hold nothing any more: whoever meets them removes them.

    But for those that are ROLLING_BACK: somebody is about to undo the transaction.
    """
    if locked.state is not LockState.HELD:
        return
    found = await proxy.log.read(locked.holder)
    if found is not None and found.state is TxState.COMMITTED:
        await proxy.shards.release(locked.holder, locked.data_source)
