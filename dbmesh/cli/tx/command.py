"""What every command of ``dbmesh tx`` is made of: exit codes, the way to the servers, finding a transaction, output."""

from __future__ import annotations

import asyncio
import getpass
import json
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import click

from dbmesh.cli.options import load_or_exit
from dbmesh.errors import MeshError
from dbmesh.rules.model import MeshRules
from dbmesh.saga.states import TxState
from dbmesh.transaction.lease import new_instance
from dbmesh.transaction.log import GlobalTransaction
from dbmesh.transaction.recovery import Proxy
from dbmesh.transaction.tables import NoTables

OK, UNREACHABLE, CONFLICT, PARKED, NOT_FOUND = range(5)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
reason_option = click.option("--reason", required=True, help="Why; it is kept in the audit.")
dry_option = click.option("--dry-run", is_flag=True, help="Show what would be done, and roll that back.")


class Exit(Exception):
    """Ends the command with a message and a code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@click.group()
def tx() -> None:
    """Global (BASE) transactions: list, show, their reverse SQL, and replay of what was left undone."""


def has_log(proxy: Proxy) -> bool:
    """False when no mesh has ever run; raises when the log's server does not answer."""
    trouble = proxy.unreached.get(proxy.rules.log or "")
    if trouble is not None and not isinstance(trouble, NoTables):
        raise trouble
    return trouble is None


async def find(proxy: Proxy, start: str) -> GlobalTransaction:
    found = await proxy.log.find(start) if has_log(proxy) else []
    if not found:
        raise Exit(NOT_FOUND, f"there is no global transaction {start}")
    if len(found) > 1:
        raise Exit(NOT_FOUND, f"{start} is the beginning of {len(found)} transactions or more")
    return found[0]


def chosen(transaction: GlobalTransaction, data_source: str | None) -> tuple[str, ...]:
    if data_source is None:
        return transaction.participants
    if data_source not in transaction.participants:
        raise Exit(NOT_FOUND, f"{data_source} takes no part in {transaction.gtrid}")
    return (data_source,)


def say(gtrid: str, state: TxState, detail: str, as_json: bool) -> None:
    if as_json:
        print_json({"gtrid": gtrid, "state": state, "detail": detail})
    else:
        click.echo(f"{gtrid}: {state}{f' ({detail})' if detail else ''}")


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def age_of(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"


def seconds_of(text: str) -> float:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    try:
        return float(text[:-1]) * units[text[-1]] if text[-1:] in units else float(text)
    except ValueError as error:
        raise click.BadParameter("must be like 30s, 5m or 2h", param_hint="--older") from error


def actor() -> str:
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):
        return socket.gethostname()


def run(directory: Path, work: Callable[[Proxy], Awaitable[int]]) -> None:
    """Run a command's work, end the process with its exit code."""
    run_with(load_or_exit(directory), work)


def run_with(rules: MeshRules, work: Callable[[Proxy], Awaitable[int]]) -> None:
    try:
        code = asyncio.run(_with_proxy(rules, work))
    except Exit as end:
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
