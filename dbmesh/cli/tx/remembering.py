"""``dbmesh tx history``: what people did by hand, and why; what transactions did to a row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table as Screen

from dbmesh.cli.options import rules_option
from dbmesh.cli.terminal import console
from dbmesh.cli.tx.command import OK, find, has_log, json_option, print_json, run, tx
from dbmesh.transaction.branches import RowChange
from dbmesh.transaction.compensate import difference
from dbmesh.transaction.recovery import Proxy


@tx.command()
@rules_option
@click.argument("gtrid", required=False)
@click.option("--table", help="Changes of this actual table's rows instead, as far as undo records are kept.")
@click.option("--key", help="Only the row with this key, 42 or 42,7.")
@click.option("--most", default=100, show_default=True, type=click.IntRange(1), help="How many lines at most.")
@json_option
def history(directory: Path, gtrid: str | None, table: str | None, key: str | None, most: int, as_json: bool) -> None:
    """What people did to global transactions, and why; or what global transactions did to a table's rows."""
    if key is not None and table is None:
        raise click.UsageError("--key needs --table")

    async def work(proxy: Proxy) -> int:
        if table is not None:
            _print_changes(await _changes(proxy, table, key, most), as_json)
            return OK
        start = (await find(proxy, gtrid)).gtrid if gtrid else ""
        acts = await proxy.log.acts(most, start) if has_log(proxy) else []
        _print_acts(
            [
                {"at": at, "gtrid": name, "actor": actor, "act": kind, **json.loads(detail)}
                for at, name, actor, kind, detail in acts
            ],
            as_json,
        )
        return OK

    run(directory, work)


async def _changes(proxy: Proxy, table: str, key: str | None, most: int) -> list[RowChange]:
    found: list[RowChange] = []
    for name in sorted(proxy.places) if has_log(proxy) else ():
        found += await proxy.shards.changes(name, table, most if key is None else 100_000)
    if key is not None:
        found = [item for item in found if ",".join(str(v.text) for v in item.record.key.values()) == key]
    return sorted(found, key=lambda item: (item.at, item.record.seq), reverse=True)[:most]


def _print_changes(found: Sequence[RowChange], as_json: bool) -> None:
    rows = [
        {
            "at": item.at,
            "gtrid": item.gtrid,
            "state": item.state,
            "data_source": item.data_source,
            "seq": item.record.seq,
            "op": item.record.op,
            "row": f"{item.record.name} {item.record.row_condition}",
            "change": difference(item.record.before, item.record.after),
            "statement": item.record.original,
        }
        for item in found
    ]
    if as_json:
        print_json(rows)
        return
    screen = Screen("at (UTC)", "gtrid", "branch", "row", "change", "statement", box=None, pad_edge=False)
    for row in rows:
        texts = (row["at"], row["gtrid"], row["state"], f"{row['op']} {row['row']}", row["change"], row["statement"])
        screen.add_row(*(escape(str(text or "")) for text in texts))
    console().print(screen)


def _print_acts(acts: Sequence[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(acts)
        return
    screen = Screen("at (UTC)", "gtrid", "who", "act", "reason", "more", box=None, pad_edge=False)
    for act in acts:
        rest = {k: v for k, v in act.items() if v and k not in ("at", "gtrid", "actor", "act", "reason")}
        more = ", ".join(f"{name} {value}" for name, value in rest.items())
        texts = (act["at"], act["gtrid"], act["actor"], act["act"], act.get("reason", ""), more)
        screen.add_row(*(escape(str(text)) for text in texts))
    console().print(screen)
