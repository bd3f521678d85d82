"""``dbmesh tx replay``: finishing what nobody drives any more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from dbmesh.cli.options import rules_option
from dbmesh.cli.tx.command import (
    CONFLICT,
    OK,
    PARKED,
    UNREACHABLE,
    Exit,
    actor,
    chosen,
    find,
    json_option,
    print_json,
    run,
    say,
    tx,
)
from dbmesh.cli.tx.restored import as_dictionaries, print_rows
from dbmesh.errors import MeshError
from dbmesh.saga.coordinator import Kind
from dbmesh.saga.states import TERMINAL, TO_COMPENSATE, TxState
from dbmesh.transaction.compensate import DirtyRow, Restored, dry_run
from dbmesh.transaction.log import GlobalTransaction
from dbmesh.transaction.recovery import Proxy

AT_WORK = (TxState.ACTIVE, TxState.COMMITTING)


@tx.command()
@rules_option
@click.argument("gtrid")
@click.option("--dry-run", is_flag=True, help="Undo everything, show it, and roll that back.")
@click.option("--branch", "data_source", help="Only this data source.")
@click.option("--reason", default="", help="Why; it is kept in the audit.")
@click.option("--wait/--no-wait", default=True, help="Wait until the lease of a proxy that died has ended.")
@json_option
def replay(
    directory: Path, gtrid: str, dry_run: bool, data_source: str | None, reason: str, wait: bool, as_json: bool
) -> None:
    """Undo a transaction that is active without its proxy, rolling back, or parked; free a committed one's locks."""

    async def work(proxy: Proxy) -> int:
        transaction = await find(proxy, gtrid)
        only = chosen(transaction, data_source) if data_source else ()
        if dry_run:
            names = () if transaction.state is TxState.COMMITTED else only or transaction.participants
            return await rehearse(proxy, transaction, names, as_json)
        return await finish(proxy, transaction, only, wait, as_json, reason)

    run(directory, work)


async def rehearse(proxy: Proxy, transaction: GlobalTransaction, names: Sequence[str], as_json: bool) -> int:
    """Undo it on these data sources, show that and take it back."""
    rows: dict[str, list[Restored]] = {}
    conflicts: dict[str, str] = {}
    for name in names:
        branches = await proxy.shards.list_branches(transaction.gtrid, name)
        todo = [branch.bseq for branch in branches if branch.state in TO_COMPENSATE]
        if not todo:
            continue
        try:
            rows[name] = (await dry_run(proxy.shards, transaction.gtrid, name, todo)).rows
        except (DirtyRow, MeshError) as error:
            conflicts[name] = str(error)
    if as_json:
        print_json({"gtrid": transaction.gtrid, "would": as_dictionaries(rows), "conflicts": conflicts})
    elif rows or conflicts:
        print_rows(rows, "would become", conflicts)
    else:
        click.echo(f"{transaction.gtrid} is {transaction.state}: nothing to undo")
    return CONFLICT if conflicts else OK


async def finish(
    proxy: Proxy, transaction: GlobalTransaction, only: Sequence[str], wait: bool, as_json: bool, reason: str = ""
) -> int:
    """Bring it to its end as its new owner, and say how it ended; the exit code."""
    if transaction.state in TERMINAL and transaction.ended_at is not None:
        say(transaction.gtrid, transaction.state, "nothing to do", as_json)
        return OK
    transaction = await _unowned(proxy, transaction, wait)
    await proxy.start(sweeping=False)
    await proxy.log.event(transaction.gtrid, actor(), "replay", was=transaction.state, only=list(only), reason=reason)
    outcome = await proxy.take_over(transaction, only)
    after = await proxy.log.read(transaction.gtrid)
    state = after.state if after is not None else transaction.state
    detail = "" if outcome is None else outcome.detail or str(outcome.error or "")
    await proxy.log.event(transaction.gtrid, actor(), "replayed", state=state, detail=detail)
    say(transaction.gtrid, state, detail, as_json)
    if outcome is None or outcome.kind is Kind.FENCED:
        return CONFLICT if state not in TERMINAL else OK
    if state is TxState.PARKED:
        return PARKED
    return UNREACHABLE if outcome.error is not None else OK


async def _unowned(proxy: Proxy, transaction: GlobalTransaction, wait: bool) -> GlobalTransaction:
    """The transaction once nobody drives it; Exit when its proxy lives."""
    if transaction.state not in AT_WORK or not transaction.owner_lives:
        return transaction
    seconds = proxy.rules.lease + 1 if wait else 0
    with Console(stderr=True).status(f"waiting for the lease of proxy {transaction.owner} to end"):
        until = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.2)
            found = await proxy.log.read(transaction.gtrid)
            if found is None or found.state not in AT_WORK or not found.owner_lives:
                return found or transaction
    raise Exit(CONFLICT, f"{transaction.gtrid} is {transaction.state} and its proxy {transaction.owner} lives")
