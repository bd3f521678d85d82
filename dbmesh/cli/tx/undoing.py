"""``dbmesh tx undo``: a committed transaction is taken back, on every shard or on none."""

from __future__ import annotations

from pathlib import Path

import click

from dbmesh.backend.catalog import ServerCatalog
from dbmesh.backend.cluster import Cluster
from dbmesh.cli.options import load_or_exit, rules_option
from dbmesh.cli.tx.command import (
    CONFLICT,
    OK,
    PARKED,
    UNREACHABLE,
    Exit,
    actor,
    dry_option,
    find,
    json_option,
    reason_option,
    run_with,
    say,
    tx,
)
from dbmesh.cli.tx.replaying import rehearse
from dbmesh.rules.model import MeshRules
from dbmesh.saga.coordinator import Kind
from dbmesh.saga.states import TxState
from dbmesh.transaction.log import GlobalTransaction
from dbmesh.transaction.recovery import Proxy
from dbmesh.transaction.xa_branches import MODE

_AWAY = "its records are older than the retention, or somebody else is at work on it"


@tx.command()
@rules_option
@click.argument("gtrid")
@reason_option
@dry_option
@json_option
def undo(directory: Path, gtrid: str, reason: str, dry_run: bool, as_json: bool) -> None:
    """Undo a committed transaction within the retention, if no row of it has been changed since."""

    rules = load_or_exit(directory)

    async def work(proxy: Proxy) -> int:
        transaction = await find(proxy, gtrid)
        if transaction.state is not TxState.COMMITTED:
            raise Exit(CONFLICT, f"{transaction.gtrid} is {transaction.state}; only a committed one is undone")
        if transaction.mode == MODE:
            raise Exit(CONFLICT, f"{transaction.gtrid} is an XA transaction, which keeps no undo records")
        if transaction.mode == "xa":
            raise Exit(CONFLICT, f"{transaction.gtrid} is an XA transaction, which keeps no undo records")
        if dry_run:
            return await rehearse(proxy, transaction, transaction.participants, as_json)
        return await _undo(proxy, rules, transaction, reason, as_json)

    run_with(rules, work)


async def _undo(proxy: Proxy, rules: MeshRules, transaction: GlobalTransaction, reason: str, as_json: bool) -> int:
    gtrid = transaction.gtrid
    if transaction.ended_at is None:
        raise Exit(CONFLICT, f"{gtrid} has committed a moment ago and its locks are being freed: try again")
    await proxy.start(sweeping=False)
    await proxy.log.event(gtrid, actor(), "undo", reason=reason)
    cluster = Cluster(rules)
    try:
        outcome = await proxy.undo(transaction, ServerCatalog(cluster, rules), f"undone by {actor()}: {reason}")
    finally:
        await cluster.close()
    after = await proxy.log.read(gtrid)
    state = transaction.state if after is None else after.state
    detail = _AWAY if outcome is None else outcome.detail or str(outcome.error or "")
    await proxy.log.event(gtrid, actor(), "undone", state=state, detail=detail)
    say(gtrid, state, detail, as_json)
    if outcome is None or outcome.kind in (Kind.FENCED, Kind.WAIT):
        return CONFLICT
    if state is TxState.PARKED:
        return PARKED
    if outcome.error is not None:
        return UNREACHABLE
    return OK if state is TxState.ROLLED_BACK else CONFLICT
