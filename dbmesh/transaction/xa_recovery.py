"""Prepared XA branches that nobody drives, found on the servers themselves, and what humans decide of those in doubt.

Recovery does not need it as long as log and servers keep what they have said: it goes by the log's rows. This is for
the day when one of them does not, as a server that was restored or failed over, and for looking.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbmesh.errors import MeshError
from dbmesh.saga.commands import Done
from dbmesh.saga.states import BranchState, TxState
from dbmesh.saga.xa import Evidence, Verdict, verdict
from dbmesh.transaction.log import GlobalTransaction
from dbmesh.transaction.xa_branches import MODE, MayNotList, Prepared

if TYPE_CHECKING:
    from dbmesh.transaction.recovery import Proxy

_LOGGER = logging.getLogger(__name__)
_SECONDS_APART = 30.0


@dataclass(frozen=True, slots=True)
class Judged:
    """A prepared branch of this mesh. ``transaction``: its row in the log, None when there is none."""

    branch: Prepared
    transaction: GlobalTransaction | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Listing:
    """``others``: prepared branches that are not this mesh's. ``silent``: data source → why it could not be asked."""

    ours: Sequence[Judged]
    others: Sequence[Prepared]
    silent: dict[str, MeshError]


async def listing(proxy: Proxy) -> Listing:
    """All prepared branches on all servers."""
    found: list[Prepared] = []
    others: dict[tuple[str, int, str, str], Prepared] = {}
    silent: dict[str, MeshError] = {}
    for name, source in proxy.links.data_sources.items():
        try:
            listed = await proxy.xa.prepared(name)
        except MeshError as error:
            silent[name] = error
            continue
        found += [item for item in listed if item.ours]
        for item in listed:
            if not item.ours:  # each data source of a server shows it
                others.setdefault((source.address, item.format_id, item.gtrid, item.bqual), item)
    return Listing([await _judged(proxy, item) for item in found], list(others.values()), silent)


async def _judged(proxy: Proxy, branch: Prepared) -> Judged:
    row = await proxy.log.read(branch.gtrid)
    if row is None:
        return Judged(branch, None, verdict(None, False, False))
    return Judged(branch, row, verdict(row.state, row.ended_at is not None, row.owner_lives))


async def settle(proxy: Proxy, judged: Judged) -> bool:
    """Let a prepared branch follow its transaction's decision; False when it stays prepared."""
    name, gtrid = judged.branch.data_source, judged.branch.gtrid
    if judged.verdict is Verdict.COMMIT:
        return isinstance(await proxy.xa.commit(gtrid, name), Done)
    if judged.verdict is Verdict.ROLL_BACK:
        assert judged.transaction is not None
        return isinstance(await proxy.xa.roll_back(gtrid, name, judged.transaction.epoch), Done)
    if judged.verdict is Verdict.TAKE_OVER:
        current = await proxy.log.read(gtrid)  # another branch of it may have had it taken over
        if current is not None and current.ended_at is None:
            await proxy.take_over(current)
        return not any(item.ours and item.gtrid == gtrid for item in await proxy.xa.prepared(name))
    return False


class Lookout:
    """Lets prepared branches follow decisions made long ago, every half a minute, and tells of the others."""

    def __init__(self) -> None:
        self._looked: float | None = None
        self._told: set[str] = set()

    async def look(self, proxy: Proxy) -> None:
        now = asyncio.get_running_loop().time()
        if self._looked is not None and now - self._looked < _SECONDS_APART:
            return
        self._looked = now
        found = await listing(proxy)
        for judged in found.ours:
            what = f"prepared XA branch {judged.branch.gtrid} on {judged.branch.data_source}"
            if judged.verdict in (Verdict.COMMIT, Verdict.ROLL_BACK):
                done = await settle(proxy, judged)
                _LOGGER.warning("%s: %s, as decided: %s", what, judged.verdict, "done" if done else "in vain")
            elif judged.verdict is Verdict.IN_DOUBT:
                self._tell(f"{what} is in doubt: the coordinator log does not know it; see: dbmesh tx xa-recover")
        for name, error in found.silent.items():
            if isinstance(error, MayNotList):
                self._tell(f"prepared XA branches on {name} are not looked for: {error.message}")

    def _tell(self, what: str) -> None:
        if what not in self._told:
            self._told.add(what)
            _LOGGER.warning("%s", what)


async def evidence(proxy: Proxy, gtrid: str, participants: Sequence[str]) -> dict[str, Evidence]:
    """What each data source says of its branch."""
    return {name: await _evidence(proxy, gtrid, name) for name in participants}


async def _evidence(proxy: Proxy, gtrid: str, name: str) -> Evidence:
    try:
        prepared = any(item.ours and item.gtrid == gtrid for item in await proxy.xa.prepared(name))
        branches = await proxy.shards.list_branches(gtrid, name)
    except MeshError:
        return Evidence.SILENT
    if any(branch.state is BranchState.COMMITTED for branch in branches):
        return Evidence.COMMITTED
    return Evidence.PREPARED if prepared else Evidence.GONE


async def resolve(
    proxy: Proxy, gtrid: str, known: GlobalTransaction | None, participants: Sequence[str], commit: bool, note: str
) -> TxState | None:
    """A human's word: the decision first, then every branch. None when somebody else was quicker.

    What cannot be reached now follows the decision when it is found prepared.
    """
    state = TxState.FORCED_COMMIT if commit else TxState.FORCED_ROLLBACK
    if known is None:
        epoch = 1
        await proxy.log.open(gtrid, proxy.instance, epoch, participants, 0, "", state, MODE)
        await proxy.log.end(gtrid)
    else:
        taken = await proxy.log.take(known, proxy.instance)
        if taken is None or not isinstance(await proxy.log.decide(gtrid, taken, known.state, state, note), Done):
            return None
        epoch = taken
    for name in participants:
        try:
            await (proxy.xa.commit(gtrid, name) if commit else proxy.xa.roll_back(gtrid, name, epoch))
        except MeshError:
            continue
    return state
