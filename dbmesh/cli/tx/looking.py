"""``dbmesh tx list``, ``show`` and ``reverse-sql``: looking at global transactions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dbmesh.cli.options import rules_option
from dbmesh.cli.terminal import console
from dbmesh.cli.tx.command import (
    OK,
    PARKED,
    age_of,
    chosen,
    find,
    has_log,
    json_option,
    print_json,
    run,
    seconds_of,
    tx,
)
from dbmesh.saga.script import reverse_script
from dbmesh.saga.states import TO_COMPENSATE, BranchState, TxState
from dbmesh.saga.undo import UndoRecord
from dbmesh.transaction.details import details, summary
from dbmesh.transaction.log import GlobalTransaction
from dbmesh.transaction.recovery import Proxy


@tx.command("list")
@rules_option
@click.option("--state", multiple=True, type=click.Choice([s.value for s in TxState], case_sensitive=False))
@click.option("--older", default="0s", help="Only those older than this: 30s, 5m, 2h.")
@json_option
def list_(directory: Path, state: tuple[str, ...], older: str, as_json: bool) -> None:
    """The newest first."""
    states = [TxState(name.upper()) for name in state]
    age = seconds_of(older)

    async def work(proxy: Proxy) -> int:
        found = await proxy.log.all(states, age) if has_log(proxy) else []
        if as_json:
            print_json([summary(transaction) for transaction in found])
        else:
            _print_list(found)
        return OK

    run(directory, work)


@tx.command()
@rules_option
@click.argument("gtrid")
@click.option("--images/--no-images", default=False, help="Before and after images of every row.")
@json_option
def show(directory: Path, gtrid: str, images: bool, as_json: bool) -> None:
    """One transaction: its branches, undo records, locks, and what the rows are like now."""

    async def work(proxy: Proxy) -> int:
        transaction = await find(proxy, gtrid)
        found = await details(proxy, transaction, images)
        if as_json:
            print_json(found)
        else:
            _print_details(found)
        return PARKED if transaction.state is TxState.PARKED else OK

    run(directory, work)


@tx.command("reverse-sql")
@rules_option
@click.argument("gtrid")
@click.option("--ds", "data_source", help="Only this data source.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write it to a file.")
@json_option
def reverse_sql(directory: Path, gtrid: str, data_source: str | None, out: Path | None, as_json: bool) -> None:
    """The SQL that undoes what has not been undone yet: readable, literal, runnable with the mysql client."""

    async def work(proxy: Proxy) -> int:
        transaction = await find(proxy, gtrid)
        scripts: dict[str, list[str]] = {}
        for name in chosen(transaction, data_source):
            records = await _open_records(proxy, transaction.gtrid, name)
            if records:
                place = proxy.shards.place(name)
                scripts[name] = reverse_script(
                    transaction.gtrid,
                    name,
                    proxy.links.schema(name),
                    records,
                    place.name("branch"),
                    place.name("row_lock"),
                )
        if as_json:
            print_json(scripts)
            return OK
        text = "\n\n".join("\n".join(lines) for lines in scripts.values())
        text = text or f"-- global transaction {transaction.gtrid}: nothing to undo ({transaction.state})"
        _deliver(text, out)
        return OK

    run(directory, work)


def _deliver(text: str, out: Path | None) -> None:
    if out is not None:
        out.write_text(text + "\n", encoding="utf-8")
    else:
        click.echo(text)


async def _open_records(proxy: Proxy, gtrid: str, name: str) -> list[UndoRecord]:
    branches = await proxy.shards.list_branches(gtrid, name)
    todo = {b.bseq for b in branches if b.state in TO_COMPENSATE and b.state is not BranchState.DONE}
    return [item.record for item in await proxy.shards.undo_records(gtrid, name) if item.record.bseq in todo]


# -- output


_COLOURS = {"ACTIVE": "cyan", "COMMITTING": "cyan", "COMMITTED": "green", "ROLLED_BACK": "yellow", "PARKED": "bold red"}


def _print_list(found: Sequence[GlobalTransaction]) -> None:
    if not found:
        click.echo("no global transactions")
        return
    table = Table("gtrid", "state", "age", "proxy", "client", "tries", "last error", box=None, pad_edge=False)
    for item in found:
        colour = _COLOURS.get(item.state, "")
        state = f"[{colour}]{item.state}[/]" if colour else item.state
        owner = item.owner if item.owner_lives else f"{item.owner} (gone)"
        over = item.ended_at is not None
        error = "" if over else escape(item.last_error or "")
        table.add_row(item.gtrid, state, age_of(item.age), owner, escape(item.client or ""), str(item.attempts), error)
    console().print(table)


def _print_details(details: dict[str, Any]) -> None:
    screen = console()
    for name in ("gtrid", "state", "owner", "client", "created_at", "deadline", "decided_at", "ended_at"):
        if details[name]:
            screen.print(f"{name.replace('_at', ''):10} {escape(str(details[name]))}", highlight=False)
    if details["last_error"]:
        screen.print(f"{'last error':10} {escape(details['last_error'])}", highlight=False)
    for name, shard in details["shards"].items():
        screen.print(f"\n[bold]{escape(name)}[/]", highlight=False)
        if "error" in shard:
            screen.print(f"  {escape(shard['error'])}", highlight=False)
            continue
        _print_shard(screen, shard)
    for event in details["events"]:
        screen.print(f"{event['at']} {event['actor']} {event['kind']} {json.dumps(event['detail'])}", highlight=False)


def _print_shard(console: Console, shard: dict[str, Any]) -> None:
    states = {branch["branch"]: branch for branch in shard["branches"]}
    if "xa" in shard:
        console.print(f"  XA branch: {shard['xa']}", highlight=False)
    for row in shard["undo"]:
        branch = states[row["branch"]]
        head = f"  seq {row['seq']}  {row['op']}  {row['table']}  {row['row']}  {branch['state']}"
        console.print(escape(head), highlight=False)
        for label in ("original", "change", "now", "before", "after", "reverse_sql"):
            if row.get(label):
                console.print(f"    {label.replace('_', ' '):12} {escape(str(row[label]))}", highlight=False)
    for branch in shard["branches"]:
        if branch["note"]:
            console.print(f"  branch {branch['branch']} {branch['state']}: {escape(branch['note'])}", highlight=False)
    for lock in shard["locks"]:
        console.print(f"  lock {lock['table']} {escape(lock['key'])} {lock['state']}", highlight=False)
