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
from dbmesh.errors import MeshError
from dbmesh.saga.script import reverse_script
from dbmesh.saga.states import TO_COMPENSATE, BranchState, TxState
from dbmesh.saga.undo import UndoRecord
from dbmesh.transaction.branches import Branch
from dbmesh.transaction.compensate import DirtyRow, current_image, difference, still_ours
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
            print_json([_summary(transaction) for transaction in found])
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
        details = await _details(proxy, transaction, images)
        if as_json:
            print_json(details)
        else:
            _print_details(details)
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


# -- details


async def _details(proxy: Proxy, transaction: GlobalTransaction, images: bool) -> dict[str, Any]:
    shards: dict[str, Any] = {}
    for name in transaction.participants:
        try:
            branches = await proxy.shards.list_branches(transaction.gtrid, name)
            if branches:
                shards[name] = await _shard(proxy, transaction, name, branches, images)
        except MeshError as error:
            shards[name] = {"error": error.message}
    events = [
        {"at": at, "actor": actor, "kind": kind, "detail": json.loads(detail or "{}")}
        for at, actor, kind, detail in await proxy.log.events(transaction.gtrid)
    ]
    return _summary(transaction) | {"shards": shards, "events": events}


async def _shard(
    proxy: Proxy, transaction: GlobalTransaction, name: str, branches: Sequence[Branch], images: bool
) -> dict[str, Any]:
    undone = {branch.bseq for branch in branches if branch.state not in TO_COMPENSATE}
    stored = await proxy.shards.undo_records(transaction.gtrid, name)
    rows = []
    for item in stored:
        record = item.record
        row: dict[str, Any] = {
            "seq": record.seq,
            "branch": record.bseq,
            "op": record.op,
            "table": f"{record.schema}.{record.table}",
            "row": record.row_condition,
            "change": difference(record.before, record.after),
            "reverse_sql": record.reverse_sql,
            "original": record.original,
        }
        if record.bseq not in undone:
            row["now"] = await _now(proxy, name, record) if item.intact else "damaged: checksum is wrong"
        if images:
            row["before"], row["after"] = _image(record.before), _image(record.after)
        rows.append(row)
    locks = await proxy.shards.locks(transaction.gtrid, name)
    return {
        "branches": [
            {"branch": b.bseq, "state": b.state, "created": b.created_at, "ended": b.ended_at, "note": b.note}
            for b in branches
        ],
        "undo": rows,
        "locks": [{"table": table, "key": key, "state": state} for table, key, state in locks],
    }


async def _now(proxy: Proxy, name: str, record: UndoRecord) -> str:
    """How the row is now, next to what the compensation expects."""
    try:
        async with proxy.links.link(name) as link:
            current = await current_image(link, record)
        return "as the transaction left it" if still_ours(record, current) else "as before the transaction"
    except DirtyRow as dirty:
        return str(dirty)


def _image(image: Any) -> dict[str, str | None] | None:
    return None if image is None else {column: value.text for column, value in image.items()}


async def _open_records(proxy: Proxy, gtrid: str, name: str) -> list[UndoRecord]:
    branches = await proxy.shards.list_branches(gtrid, name)
    todo = {b.bseq for b in branches if b.state in TO_COMPENSATE and b.state is not BranchState.DONE}
    return [item.record for item in await proxy.shards.undo_records(gtrid, name) if item.record.bseq in todo]


# -- output


def _summary(transaction: GlobalTransaction) -> dict[str, Any]:
    return {
        "gtrid": transaction.gtrid,
        "state": transaction.state,
        "mode": transaction.mode,
        "age": round(transaction.age, 3),
        "owner": transaction.owner,
        "owner_lives": transaction.owner_lives,
        "client": transaction.client,
        "participants": list(transaction.participants),
        "attempts": transaction.attempts,
        "deadline": transaction.deadline,
        "next_try_at": transaction.next_try_at,
        "last_error": transaction.last_error,
        "created_at": transaction.created_at,
        "decided_at": transaction.decided_at,
        "ended_at": transaction.ended_at,
    }


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
