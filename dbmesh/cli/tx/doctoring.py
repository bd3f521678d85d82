"""``dbmesh tx doctor``: is everything there that BASE transactions need, and does it agree with itself?"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table as Screen

from dbmesh.backend.catalog import ServerCatalog
from dbmesh.backend.cluster import Cluster
from dbmesh.cli.options import load_or_exit, rules_option
from dbmesh.cli.terminal import console
from dbmesh.cli.tx.command import CONFLICT, OK, has_log, json_option, print_json, run_with, tx
from dbmesh.errors import MeshError, NotSupported
from dbmesh.rules.model import MeshRules
from dbmesh.saga import gates
from dbmesh.transaction import checkup, checkup_rows
from dbmesh.transaction.checkup import Finding, Level
from dbmesh.transaction.recovery import Proxy

_COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.MISTAKE: "bold red"}


@tx.command()
@rules_option
@json_option
def doctor(directory: Path, as_json: bool) -> None:
    """Check servers, the mesh's own tables, leases, BASE tables and every record; say what to do.

    Exit code 2 when there is a mistake.
    """
    rules = load_or_exit(directory)

    async def work(proxy: Proxy) -> int:
        findings = await checkup.servers(proxy)
        findings += await _tables(rules)
        with suppress(MeshError):  # the log does not answer: `checkup.servers` has said so
            findings += await checkup_rows.rows(proxy) if has_log(proxy) else []
        if as_json:
            print_json([asdict(finding) for finding in findings])
        else:
            _print(findings)
        return CONFLICT if any(finding.level is Level.MISTAKE for finding in findings) else OK

    run_with(rules, work)


async def _tables(rules: MeshRules) -> list[Finding]:
    """Tables with ``base: true`` that BASE would refuse all the same."""
    cluster = Cluster(rules)
    found: list[Finding] = []
    count = 0
    try:
        catalog = ServerCatalog(cluster, rules)
        for database in rules.databases.values():
            for name, rule in sorted(database.tables.items()):
                for node in rule.nodes if rule.base else ():
                    count += 1
                    found += await _table(catalog, f"{database.name}.{name}", node.data_source, node.table)
    finally:
        await cluster.close()
    return found or ([Finding(Level.OK, "tables", f"{count} actual tables are fit for BASE")] if count else [])


async def _table(catalog: ServerCatalog, name: str, data_source: str, actual: str) -> list[Finding]:
    about = f"{name} ({data_source}.{actual})"
    try:
        table = await catalog.table(data_source, actual)
        assert table is not None
        gates.check_table(table)
    except NotSupported as refusal:
        what = refusal.message.removeprefix(NotSupported.prefix).partition(";")[0]
        return [Finding(Level.WARNING, about, what, "remove the cause, or take base: true out of its rule")]
    except MeshError as error:
        return [Finding(Level.MISTAKE, about, error.message, "create it, or correct the rules")]
    return []


def _print(findings: Sequence[Finding]) -> None:
    screen = Screen("", "about", "finding", "what to do", box=None, pad_edge=False)
    for item in findings:
        level = f"[{_COLOURS[item.level]}]{item.level}[/]"
        screen.add_row(level, escape(item.about), escape(item.what), escape(item.advice))
    console().print(screen)
    count = sum(item.level is not Level.OK for item in findings)
    click.echo(f"{count} to look at" if count else "nothing to do")
