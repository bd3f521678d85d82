"""``dbmesh check``: are the rules right, and with ``--live``: are the servers as the rules say?"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Literal

import click
from rich.table import Table

from dbmesh.cli.live import live_mistakes
from dbmesh.cli.options import exit_with_mistakes
from dbmesh.cli.terminal import console
from dbmesh.rules.json_schema import json_schema
from dbmesh.rules.loader import load
from dbmesh.rules.mistakes import RuleErrors
from dbmesh.rules.model import MeshRules
from dbmesh.rules.summary import HEADINGS, overview, table_rows


@click.command()
@click.argument("rules", type=click.Path(path_type=Path), default=Path("sharding-rules"))
@click.option("--live", is_flag=True, help="Also compare the rules with the servers.")
@click.option(
    "--schema", "kind", type=click.Choice(["mesh", "database"]), help="Print the JSON Schema for editors, and end."
)
def check(rules: Path, live: bool, kind: Literal["mesh", "database"] | None) -> None:
    """Check the rule files of a directory: exit code 0, or 2 with every mistake."""
    if kind is not None:
        click.echo(json.dumps(json_schema(kind), indent=2))
        return
    try:
        loaded = load(rules, os.environ)
    except RuleErrors as errors:
        exit_with_mistakes(errors)
    _show(loaded)
    if live:
        found = asyncio.run(live_mistakes(loaded))
        for line in found:
            click.echo(line, err=True)
        if found:
            click.echo(f"{len(found)} difference{'s' if len(found) > 1 else ''} between rules and servers", err=True)
            sys.exit(2)
        click.echo("the servers are as the rules say")


def _show(rules: MeshRules) -> None:
    for line in overview(rules):
        click.echo(line)
    table = Table(*HEADINGS, box=None, pad_edge=False)
    for row in table_rows(rules):
        table.add_row(*row)
    console().print(table)
    click.echo("the rules are right")
