"""``dbmesh explain``: where a statement would go, without any server."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import click

from dbmesh.cli.options import load_or_exit, rules_option
from dbmesh.errors import MeshError
from dbmesh.plan.build import build
from dbmesh.plan.explain import explain as explained
from dbmesh.plan.model import Scope
from dbmesh.rules.generators import Snowflake
from dbmesh.rules.model import MeshRules
from dbmesh.schema import Column, Table
from dbmesh.sql.comments import open_comments
from dbmesh.sql.fingerprint import fingerprint


class OfflineCatalog:
    """``plan.model.Catalog`` that knows nothing: the plan says what it assumes."""

    async def table(self, data_source: str, actual_table: str) -> Table | None:
        return None

    async def describe(self, data_source: str, sql: str) -> tuple[Column, ...] | None:
        return None

    async def is_mysql(self, data_source: str) -> bool:
        return False

    async def check(self, data_source: str, sql: str) -> None:
        return None


class ExampleCall:
    """``plan.model.Call`` with example values."""

    strict = True
    zero_asks = True

    def __init__(self, database: str | None) -> None:
        self._database = database
        self._keys = Snowflake(0, lambda: time.time_ns() // 1_000_000)

    def session_value(self, name: str) -> str:
        if name.startswith("RELATION "):
            return "(logical rows)"
        values = {"DATABASE": f"'{self._database}'" if self._database else "NULL", "TIMESTAMP": f"{time.time():.6f}"}
        return values.get(name, "'user@host'" if "USER" in name else "1")

    def next_key(self, table: str) -> int | str:
        return self._keys.next()


@click.command()
@rules_option
@click.option("--database", help="The session's logical database; the only one of the rules by default.")
@click.argument("sql")
def explain(directory: Path, database: str | None, sql: str) -> None:
    """Show route, SQL per data node and merge of a statement; exit code 1 when the mesh would refuse it."""
    rules = load_or_exit(directory)
    chosen = database or (next(iter(rules.databases)) if len(rules.databases) == 1 else None)
    if chosen is not None and chosen not in rules.databases:
        raise click.BadParameter(f"there is no logical database '{chosen}'", param_hint="--database")
    try:
        click.echo(asyncio.run(_explain(sql, rules, chosen)))
    except MeshError as error:
        click.echo(f"ERROR {error.errno} ({error.sqlstate}): {error.message}", err=True)
        sys.exit(1)


async def _explain(sql: str, rules: MeshRules, database: str | None) -> str:
    text = open_comments(sql, 101100, True)
    scope = Scope(rules.databases.get(database) if database else None, rules, OfflineCatalog())
    shape = fingerprint(text)
    plan = await build(text, shape, scope)
    if plan.judge is not None:
        raise plan.judge
    return explained(plan.bind(shape.literals, ExampleCall(database)), plan)
