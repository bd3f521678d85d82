"""``dbmesh tx``: global transactions, looked at and finished by hand. Works with and without a running mesh.

Exit codes: 0 done, 1 a server does not answer, 2 conflict (somebody else drives it, or a dry run found a changed row),
3 parked, 4 no such transaction.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dbmesh.cli.options import load_or_exit, rules_option
from dbmesh.cli.terminal import console
from dbmesh.errors import MeshError
from dbmesh.rules.model import MeshRules
from dbmesh.saga.coordinator import Kind
from dbmesh.saga.script import reverse_script
from dbmesh.saga.states import TERMINAL, TO_COMPENSATE, TxState
from dbmesh.saga.undo import UndoRecord
from dbmesh.transaction.branches import Branch
from dbmesh.transaction.compensate import DirtyRow, current_image, difference, dry_run, still_ours
from dbmesh.transaction.lease import new_instance
from dbmesh.transaction.log import GlobalTransaction
from dbmesh.transaction.recovery import Proxy
from dbmesh.transaction.tables import NoTables

OK, UNREACHABLE, CONFLICT, PARKED, NOT_FOUND = range(5)

_AT_WORK = (TxState.ACTIVE, TxState.COMMITTING)

_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class _Exit(Exception):
    """Ends the command with a message and a code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@click.group()
def tx() -> None:
    """Global (BASE) transactions: list, show, their reverse SQL, and replay of what was left undone."""


@tx.command("list")
@rules_option
@click.option("--state", multiple=True, type=click.Choice([s.value for s in TxState], case_sensitive=False))
@click.option("--older", default="0s", help="Only those older than this: 30s, 5m, 2h.")
@_json_option
def list_(directory: Path, state: tuple[str, ...], older: str, as_json: bool) -> None:
    """The newest first."""
    states = [TxState(name.upper()) for name in state]
    age = _seconds(older)

    async def work(proxy: Proxy) -> int:
        found = await proxy.log.all(states, age) if _has_log(proxy) else []
        if as_json:
            _print_json([_summary(transaction) for transaction in found])
        else:
            _print_list(found)
        return OK

    _run(directory, work)


@tx.command()
@rules_option
@click.argument("gtrid")
@click.option("--images/--no-images", default=False, help="Before and after images of every row.")
@_json_option
def show(directory: Path, gtrid: str, images: bool, as_json: bool) -> None:
    """One transaction: its branches, undo records, locks, and what the rows are like now."""

    async def work(proxy: Proxy) -> int:
        transaction = await _find(proxy, gtrid)
        details = await _details(proxy, transaction, images)
        if as_json:
            _print_json(details)
        else:
            _print_details(details)
        return PARKED if transaction.state is TxState.PARKED else OK

    _run(directory, work)


@tx.command("reverse-sql")
@rules_option
@click.argument("gtrid")
@click.option("--ds", "data_source", help="Only this data source.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write it to a file.")
@_json_option
def reverse_sql(directory: Path, gtrid: str, data_source: str | None, out: Path | None, as_json: bool) -> None:
    """The SQL that undoes what has not been undone yet: readable, literal, runnable with the mysql client."""

    async def work(proxy: Proxy) -> int:
        transaction = await _find(proxy, gtrid)
        scripts: dict[str, list[str]] = {}
        for name in _chosen(transaction, data_source):
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
            _print_json(scripts)
            return OK
        text = "\n\n".join("\n".join(lines) for lines in scripts.values())
        text = text or f"-- global transaction {transaction.gtrid}: nothing to undo ({transaction.state})"
        _deliver(text, out)
        return OK

    _run(directory, work)


def _deliver(text: str, out: Path | None) -> None:
    if out is not None:
        out.write_text(text + "\n", encoding="utf-8")
    else:
        click.echo(text)


@tx.command()
@rules_option
@click.argument("gtrid")
@click.option("--dry-run", is_flag=True, help="Undo everything, show it, and roll that back.")
@click.option("--branch", "data_source", help="Only this data source.")
@click.option("--wait/--no-wait", default=True, help="Wait until the lease of a proxy that died has ended.")
@_json_option
def replay(directory: Path, gtrid: str, dry_run: bool, data_source: str | None, wait: bool, as_json: bool) -> None:
    """Undo a transaction that is active without its proxy, rolling back, or parked; free a committed one's locks."""

    async def work(proxy: Proxy) -> int:
        transaction = await _find(proxy, gtrid)
        only = _chosen(transaction, data_source) if data_source else ()
        if dry_run:
            return await _rehearse(proxy, transaction, only or transaction.participants, as_json)
        return await _replay(proxy, transaction, only, wait, as_json)

    _run(directory, work)


# -- replay


async def _rehearse(proxy: Proxy, transaction: GlobalTransaction, names: Sequence[str], as_json: bool) -> int:
    lines: dict[str, list[str]] = {}
    conflicts: dict[str, str] = {}
    for name in names:
        branches = await proxy.shards.list_branches(transaction.gtrid, name)
        todo = [branch.bseq for branch in branches if branch.state in TO_COMPENSATE]
        if not todo or transaction.state is TxState.COMMITTED:
            continue
        try:
            lines[name] = (await dry_run(proxy.shards, transaction.gtrid, name, todo)).lines
        except (DirtyRow, MeshError) as error:
            conflicts[name] = str(error)
    if as_json:
        _print_json({"gtrid": transaction.gtrid, "would": lines, "conflicts": conflicts})
    else:
        for name, found in lines.items():
            for line in found:
                click.echo(f"{name}: would restore {line}")
        for name, conflict in conflicts.items():
            click.echo(f"{name}: conflict: {conflict}", err=True)
        if not lines and not conflicts:
            click.echo(f"{transaction.gtrid} is {transaction.state}: nothing to undo")
    return CONFLICT if conflicts else OK


async def _replay(proxy: Proxy, transaction: GlobalTransaction, only: Sequence[str], wait: bool, as_json: bool) -> int:
    if transaction.state in TERMINAL and transaction.ended_at is not None:
        _say(transaction.gtrid, transaction.state, "nothing to do", as_json)
        return OK
    transaction = await _unowned(proxy, transaction, wait)
    await proxy.start(sweeping=False)
    await proxy.log.event(transaction.gtrid, _actor(), "replay", was=transaction.state, only=list(only))
    outcome = await proxy.take_over(transaction, only)
    after = await proxy.log.read(transaction.gtrid)
    state = after.state if after is not None else transaction.state
    detail = "" if outcome is None else outcome.detail or str(outcome.error or "")
    await proxy.log.event(transaction.gtrid, _actor(), "replayed", state=state, detail=detail)
    _say(transaction.gtrid, state, detail, as_json)
    if outcome is None or outcome.kind is Kind.FENCED:
        return CONFLICT if state not in TERMINAL else OK
    if state is TxState.PARKED:
        return PARKED
    return UNREACHABLE if outcome.error is not None else OK


async def _unowned(proxy: Proxy, transaction: GlobalTransaction, wait: bool) -> GlobalTransaction:
    """The transaction once nobody drives it; _Exit when its proxy lives."""
    if transaction.state not in _AT_WORK or not transaction.owner_lives:
        return transaction
    seconds = proxy.rules.lease + 1 if wait else 0
    with Console(stderr=True).status(f"waiting for the lease of proxy {transaction.owner} to end"):
        until = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.2)
            found = await proxy.log.read(transaction.gtrid)
            if found is None or found.state not in _AT_WORK or not found.owner_lives:
                return found or transaction
    raise _Exit(CONFLICT, f"{transaction.gtrid} is {transaction.state} and its proxy {transaction.owner} lives")


def _say(gtrid: str, state: TxState, detail: str, as_json: bool) -> None:
    if as_json:
        _print_json({"gtrid": gtrid, "state": state, "detail": detail})
    else:
        click.echo(f"{gtrid}: {state}{f' ({detail})' if detail else ''}")


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
    todo = {branch.bseq for branch in branches if branch.state in TO_COMPENSATE}
    return [item.record for item in await proxy.shards.undo_records(gtrid, name) if item.record.bseq in todo]


def _has_log(proxy: Proxy) -> bool:
    """False when no mesh has ever run; raises when the log's server does not answer."""
    trouble = proxy.unreached.get(proxy.rules.log or "")
    if trouble is not None and not isinstance(trouble, NoTables):
        raise trouble
    return trouble is None


async def _find(proxy: Proxy, start: str) -> GlobalTransaction:
    found = await proxy.log.find(start) if _has_log(proxy) else []
    if not found:
        raise _Exit(NOT_FOUND, f"there is no global transaction {start}")
    if len(found) > 1:
        raise _Exit(NOT_FOUND, f"{start} is the beginning of {len(found)} transactions or more")
    return found[0]


def _chosen(transaction: GlobalTransaction, data_source: str | None) -> tuple[str, ...]:
    if data_source is None:
        return transaction.participants
    if data_source not in transaction.participants:
        raise _Exit(NOT_FOUND, f"{data_source} takes no part in {transaction.gtrid}")
    return (data_source,)


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
        table.add_row(item.gtrid, state, _age(item.age), owner, escape(item.client or ""), str(item.attempts), error)
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


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def _age(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"


def _seconds(text: str) -> float:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    try:
        return float(text[:-1]) * units[text[-1]] if text[-1:] in units else float(text)
    except ValueError as error:
        raise click.BadParameter("must be like 30s, 5m or 2h", param_hint="--older") from error


def _actor() -> str:
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):
        return socket.gethostname()


# -- running


def _run(directory: Path, work: Callable[[Proxy], Awaitable[int]]) -> None:
    rules = load_or_exit(directory)
    try:
        code = asyncio.run(_with_proxy(rules, work))
    except _Exit as end:
        click.echo(str(end), err=True)
        code = end.code
    except MeshError as error:
        click.echo(error.message, err=True)
        code = UNREACHABLE
    sys.exit(code)


async def _with_proxy(rules: MeshRules, work: Callable[[Proxy], Awaitable[int]]) -> int:
    async with _proxy(rules) as proxy:
        return await work(proxy)


@asynccontextmanager
async def _proxy(rules: MeshRules) -> AsyncIterator[Proxy]:
    proxy = Proxy(rules, instance=f"cli-{new_instance()}", create=False)
    try:
        await proxy.reach()
        yield proxy
    finally:
        with suppress(MeshError):
            await proxy.stop()
