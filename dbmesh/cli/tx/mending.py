"""``dbmesh tx skip`` and ``force``: a human's word on rows of a parked transaction that others have changed.

``locks`` and ``purge``: what global transactions hold and what they have left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from dbmesh.cli.options import rules_option
from dbmesh.cli.terminal import console
from dbmesh.cli.tx.command import (
    CONFLICT,
    NOT_FOUND,
    OK,
    Exit,
    actor,
    chosen,
    dry_option,
    find,
    has_log,
    json_option,
    print_json,
    reason_option,
    run,
    tx,
)
from dbmesh.cli.tx.replaying import finish
from dbmesh.cli.tx.restored import as_dictionaries, print_rows
from dbmesh.errors import MeshError
from dbmesh.saga.states import BranchState, TxState
from dbmesh.transaction.compensate import DirtyRow, Restored, Word, dry_run, mend
from dbmesh.transaction.log import GlobalTransaction
from dbmesh.transaction.recovery import Proxy

_branch_option = click.option("--branch", "data_source", required=True, help="The data source.")
_seq_option = click.option("--seq", "seqs", multiple=True, type=int, help="Only this undo record; may be repeated.")


@tx.command()
@rules_option
@click.argument("gtrid")
@_branch_option
@_seq_option
@reason_option
@dry_option
@json_option
def skip(
    directory: Path, gtrid: str, data_source: str, seqs: tuple[int, ...], reason: str, dry_run: bool, as_json: bool
) -> None:
    """Leave rows that others have changed as they are, and undo the rest of a parked transaction."""
    word = Word("current", frozenset(seqs))
    run(directory, lambda proxy: _mend(proxy, gtrid, data_source, word, reason, dry_run, as_json))


@tx.command()
@rules_option
@click.argument("gtrid")
@_branch_option
@_seq_option
@click.option("--use", type=click.Choice(["before", "current"]), default="before", help="What the rows become.")
@reason_option
@dry_option
@json_option
def force(
    directory: Path,
    gtrid: str,
    data_source: str,
    seqs: tuple[int, ...],
    use: str,
    reason: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Overwrite rows that others have changed with what they were before the transaction, and undo the rest."""
    word = Word(use, frozenset(seqs))
    run(directory, lambda proxy: _mend(proxy, gtrid, data_source, word, reason, dry_run, as_json))


async def _mend(
    proxy: Proxy, start: str, data_source: str, word: Word, reason: str, rehearse: bool, as_json: bool
) -> int:
    transaction = await find(proxy, start)
    chosen(transaction, data_source)
    if transaction.state is not TxState.PARKED:
        raise Exit(CONFLICT, f"{transaction.gtrid} is {transaction.state}; only a parked transaction waits for a word")
    branches = await proxy.shards.list_branches(transaction.gtrid, data_source)
    todo = sorted((branch.bseq for branch in branches if branch.state is BranchState.PARKED), reverse=True)
    if not todo:
        raise Exit(NOT_FOUND, f"no branch of {transaction.gtrid} on {data_source} is parked")
    try:
        if rehearse:
            rehearsed = await dry_run(proxy.shards, transaction.gtrid, data_source, todo, word)
            _tell(data_source, rehearsed.rows, "would become", as_json)
            return OK
        await _apply(proxy, transaction, data_source, todo, word, reason, as_json)
    except DirtyRow as dirty:
        raise Exit(CONFLICT, f"{data_source}: {dirty}") from dirty
    return await finish(proxy, transaction, (), False, as_json)


async def _apply(
    proxy: Proxy,
    transaction: GlobalTransaction,
    data_source: str,
    bseqs: Sequence[int],
    word: Word,
    reason: str,
    as_json: bool,
) -> None:
    what = {"branch": data_source, "use": word.use, "seqs": sorted(word.seqs), "reason": reason}
    await proxy.log.event(transaction.gtrid, actor(), "mend", **what)
    for bseq in bseqs:
        done = await mend(proxy.shards, transaction.gtrid, data_source, bseq, transaction.epoch, word)
        await proxy.log.event(
            transaction.gtrid, actor(), "mended", branch=data_source, bseq=bseq, rows=list(map(str, done.rows))
        )
        if not as_json:
            _tell(data_source, done.rows, "is now", as_json)


def _tell(data_source: str, rows: Sequence[Restored], heading: str, as_json: bool) -> None:
    if as_json:
        print_json({"would": as_dictionaries({data_source: rows}), "conflicts": {}})
    else:
        print_rows({data_source: rows}, heading, {})


@tx.command()
@rules_option
@click.option("--table", help="Only rows of this actual table.")
@json_option
def locks(directory: Path, table: str | None, as_json: bool) -> None:
    """Every global lock: the row, who holds it, since when."""

    async def work(proxy: Proxy) -> int:
        found = []
        for name in sorted(proxy.places) if has_log(proxy) else ():
            try:
                found += await proxy.shards.all_locks(name, table)
            except MeshError as error:
                click.echo(f"{name}: {error.message}", err=True)
        if as_json:
            print_json(found)
        else:
            _print_locks(found)
        return OK

    run(directory, work)


def _print_locks(found: Sequence[Mapping[str, str]]) -> None:
    if not found:
        click.echo("no global locks")
        return
    table = Table("data source", "table", "key", "state", "since (UTC)", "gtrid", box=None, pad_edge=False)
    for lock in found:
        row = (lock[name] for name in ("data_source", "table", "key", "state", "created_at", "gtrid"))
        table.add_row(*(escape(text) for text in row))
    console().print(table)


@tx.command()
@rules_option
@json_option
def purge(directory: Path, as_json: bool) -> None:
    """Remove the records of transactions that ended longer ago than the retention; never those of others."""

    async def work(proxy: Proxy) -> int:
        removed = await proxy.purge() if has_log(proxy) else 0
        if as_json:
            print_json({"removed": removed})
        else:
            click.echo(f"{removed} ended transactions removed")
        return OK

    run(directory, work)
