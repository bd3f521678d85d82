"""``dbmesh tx xa-recover`` and ``resolve``: prepared XA branches, and a human's word where nothing has decided."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from dbmesh.cli.options import rules_option
from dbmesh.cli.terminal import console
from dbmesh.cli.tx.command import (
    CONFLICT,
    NOT_FOUND,
    OK,
    UNREACHABLE,
    Exit,
    actor,
    has_log,
    json_option,
    print_json,
    reason_option,
    run,
    say,
    tx,
)
from dbmesh.saga.states import TxState
from dbmesh.saga.xa import Verdict, objection
from dbmesh.transaction.log import GlobalTransaction
from dbmesh.transaction.recovery import Proxy
from dbmesh.transaction.xa_branches import MODE
from dbmesh.transaction.xa_recovery import Judged, Listing, evidence, listing, resolve, settle

_FOLLOWS = (Verdict.COMMIT, Verdict.ROLL_BACK, Verdict.TAKE_OVER)


@tx.command("xa-recover")
@rules_option
@click.option("--dry-run", is_flag=True, help="Only list them, and what would become of each.")
@json_option
def xa_recover(directory: Path, dry_run: bool, as_json: bool) -> None:
    """List the prepared XA branches of all servers, and let each follow its transaction's decision.

    Without a decision, a branch is left as it is: exit code 2.
    """

    async def work(proxy: Proxy) -> int:
        found = await listing(proxy) if has_log(proxy) else Listing((), (), {})
        if any(item.verdict in _FOLLOWS for item in found.ours) and not dry_run:
            await proxy.start(sweeping=False)
        settled = [await _follow(proxy, item, dry_run) for item in found.ours]
        if as_json:
            print_json(_as_json(found, settled))
        else:
            _print(found, settled)
        if found.silent:
            return UNREACHABLE
        waits = (item.verdict for item, what in zip(found.ours, settled, strict=True) if what == "left as it is")
        return CONFLICT if any(verdict is not Verdict.WAIT for verdict in waits) else OK

    run(directory, work)


async def _follow(proxy: Proxy, item: Judged, dry_run: bool) -> str:
    if item.verdict not in _FOLLOWS:
        return "left as it is"
    if dry_run:
        return "would follow"
    if item.transaction is not None:
        await proxy.log.event(
            item.branch.gtrid, actor(), "xa-recover", branch=item.branch.data_source, does=item.verdict
        )
    return "done" if await settle(proxy, item) else "left as it is"


def _as_json(found: Listing, settled: Sequence[str]) -> dict[str, Any]:
    return {
        "prepared": [
            {
                "data_source": item.branch.data_source,
                "gtrid": item.branch.gtrid,
                "state": item.transaction.state if item.transaction is not None else None,
                "decision": item.verdict,
                "result": what,
            }
            for item, what in zip(found.ours, settled, strict=True)
        ],
        "others": [
            {"data_source": item.data_source, "format_id": item.format_id, "gtrid": item.gtrid, "bqual": item.bqual}
            for item in found.others
        ],
        "errors": {name: error.message for name, error in found.silent.items()},
    }


def _print(found: Listing, settled: Sequence[str]) -> None:
    table = Table("data source", "gtrid", "state", "decision", "", box=None, pad_edge=False)
    for item, what in zip(found.ours, settled, strict=True):
        state = item.transaction.state if item.transaction is not None else "not in the log"
        table.add_row(item.branch.data_source, item.branch.gtrid, state, item.verdict, what)
    for other in found.others:
        name = escape(f"{other.gtrid!r}, {other.bqual!r}, {other.format_id}")
        table.add_row(other.data_source, name, "", "not this mesh's", "left as it is")
    if table.row_count:
        console().print(table)
    else:
        click.echo("no prepared XA branches")
    for name, error in found.silent.items():
        click.echo(f"{name}: {error.message}", err=True)


@tx.command("resolve")
@rules_option
@click.argument("gtrid")
@click.argument("word", type=click.Choice(["commit", "rollback"]))
@reason_option
@click.option("--dry-run", is_flag=True, help="Only show what the data sources say of their branches.")
@click.option("--i-know", is_flag=True, help="Also against what the data sources say.")
@json_option
def resolve_command(
    directory: Path, gtrid: str, word: str, reason: str, dry_run: bool, i_know: bool, as_json: bool
) -> None:
    """Decide an XA transaction that is parked, in doubt, or left by a mesh that has died before it decided."""

    async def work(proxy: Proxy) -> int:
        if not has_log(proxy):
            raise Exit(NOT_FOUND, f"there is no global transaction {gtrid}")
        name, known, participants = await _undecided(proxy, gtrid)
        found = await evidence(proxy, name, participants)
        against = objection(word == "commit", found)
        if dry_run:
            told = {"gtrid": name, "branches": found, "objection": against}
            print_json(told) if as_json else _print_evidence(name, found, against)
            return CONFLICT if against else OK
        if against and not i_know:
            raise Exit(CONFLICT, f"{name} is not resolved by {word}: {against}; --i-know does it all the same")
        await proxy.start(sweeping=False)
        await proxy.log.event(name, actor(), "resolve", word=word, reason=reason, branches=found, objection=against)
        note = f"{word} by {actor()}: {reason}"
        state = await resolve(proxy, name, known, participants, word == "commit", note)
        if state is None:
            raise Exit(CONFLICT, f"{name} was decided by somebody else meanwhile")
        after = await evidence(proxy, name, participants)
        await proxy.log.event(name, actor(), "resolved", state=state, branches=after)
        say(name, state, ", ".join(f"{source}: {what}" for source, what in after.items()), as_json)
        return OK

    run(directory, work)


def _print_evidence(gtrid: str, found: dict[str, Any], against: str) -> None:
    for name, what in found.items():
        click.echo(f"{gtrid} on {name}: {what}")
    if against:
        click.echo(against, err=True)


async def _undecided(proxy: Proxy, start: str) -> tuple[str, GlobalTransaction | None, tuple[str, ...]]:
    """(gtrid, row, data sources) of a transaction that a human may decide."""
    rows = await proxy.log.find(start)
    if len(rows) > 1:
        raise Exit(NOT_FOUND, f"{start} is the beginning of {len(rows)} transactions or more")
    if not rows:
        return await _unknown(proxy, start)
    [known] = rows
    if known.mode != MODE:
        raise Exit(CONFLICT, f"{known.gtrid} is a BASE transaction: dbmesh tx replay, skip or force")
    if known.state is TxState.COMMITTING and known.owner_lives:
        raise Exit(CONFLICT, f"{known.gtrid} is {known.state} and its proxy {known.owner} lives")
    if known.state not in (TxState.PARKED, TxState.COMMITTING):
        raise Exit(CONFLICT, f"{known.gtrid} is {known.state}: that is decided, dbmesh tx replay carries it out")
    return known.gtrid, known, known.participants


async def _unknown(proxy: Proxy, start: str) -> tuple[str, None, tuple[str, ...]]:
    """One that only its prepared branches tell of."""
    found = [item.branch for item in (await listing(proxy)).ours if item.branch.gtrid.startswith(start)]
    names = {branch.gtrid for branch in found}
    if len(names) != 1:
        raise Exit(NOT_FOUND, f"there is no global transaction {start}, or more than one")
    return names.pop(), None, tuple(branch.data_source for branch in found)
