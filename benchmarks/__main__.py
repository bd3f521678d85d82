"""``python -m benchmarks``: see ``--help``."""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table

from benchmarks import hot_path as own_share
from benchmarks import idle as idle_clients
from benchmarks import scan as large_results
from benchmarks import start_up as start
from benchmarks import sysbench
from benchmarks.point_select import HAPROXIES, MESH, PREPARED, Comparison, compare
from benchmarks.scatter import ROWS, SQL, measure
from benchmarks.transactions import WAYS
from benchmarks.transactions import Sample as TransactionSample
from benchmarks.transactions import measure as measure_transactions
from dbmesh import __version__, build
from dbmesh.sandbox.apt import InstallError
from dbmesh.sandbox.install import ensure_packages

LAST_OF_TWO = [way.name for way in WAYS if way.shards > 1][-1]
MIB = 1024 * 1024
PROGRAMS = {"sysbench": "sysbench", "haproxy": "haproxy"}


@click.group(invoke_without_command=True)
@click.pass_context
def main(context: click.Context) -> None:
    """Measure the mesh on real servers; without a command: the quick ones, in some ten minutes."""
    if context.invoked_subcommand is None:
        context.invoke(point_select)
        context.invoke(scan)
        context.invoke(scatter)
        context.invoke(transactions)


def _of_turns(command: Callable[..., None]) -> Callable[..., None]:
    """The options of whatever is measured turn by turn."""
    for option in (
        click.option("--threads", default=8, show_default=True, help="Clients at the same time."),
        click.option("--rounds", default=5, show_default=True, help="Turns of each proxy, alternating."),
        click.option("--seconds", default=5, show_default=True, help="Length of one turn."),
        click.option("--json", "as_json", is_flag=True, help="Print the samples instead of a table."),
    ):
        command = option(command)
    return command


@main.command()
@_of_turns
def point_select(threads: int, rounds: int, seconds: int, as_json: bool) -> None:
    """CPU of the mesh per query next to HAProxy's in TCP mode: sysbench oltp_point_select, as text and prepared."""
    _compare(sysbench.POINT_SELECT, threads, rounds, seconds, as_json)


@main.command()
@click.argument("test", type=click.Choice(sysbench.TESTS))
@_of_turns
def oltp(test: str, threads: int, rounds: int, seconds: int, as_json: bool) -> None:
    """The same for another of sysbench's tests. Its keys are of all shards, and so are its transactions."""
    _compare(test, threads, rounds, seconds, as_json)


def _compare(test: str, threads: int, rounds: int, seconds: int, as_json: bool) -> None:
    console = Console(stderr=as_json)
    try:
        _ensure_programs()
    except InstallError as error:
        raise click.ClickException(str(error)) from error
    console.print(f"sysbench {test}, {threads} clients, {rounds} rounds of {seconds} s for each proxy")
    console.print(_machine())
    comparisons = []
    for comparison in compare(threads, rounds, seconds, test):
        console.print(_table(comparison))
        comparisons.append(comparison)
    if as_json:
        click.echo(json.dumps([asdict(each) for each in comparisons], indent=2))


def _machine() -> str:
    """What the figures depend on beside the code."""
    load = os.getloadavg()[0]
    return (
        f"DBMesh {__version__} ({build()}), Python {platform.python_version()}, {os.cpu_count()} CPUs, "
        f"load {load:.1f} before the start"
    )


@main.command()
def hot_path() -> None:
    """CPU of the mesh's own code per relayed query, without sockets and event loop."""
    _ensure_programs()
    click.echo(f"{_machine()}\n{own_share.measure():.2f} µs CPU per query")


@main.command()
@click.option("--clients", default=10_000, show_default=True, help="Connected at the same time.")
def idle(clients: int) -> None:
    """Memory of the mesh per client that is only connected."""
    taken = idle_clients.measure(clients)
    click.echo(f"{taken.clients:,} idle clients: {taken.each / 1024:.1f} KiB each, {taken.after / MIB:.0f} MiB in all")


@main.command()
@click.option("--tables", default=20_000, show_default=True, help="Named in the rules, one by one.")
def start_up(tables: int) -> None:
    """Seconds from the start of the process to its first answer."""
    click.echo(f"{tables:,} tables: {start.measure(tables):.1f} s to the first answer")


@main.command()
@click.option("--rounds", default=5, show_default=True, help="Turns of each proxy, alternating.")
def scan(rounds: int) -> None:
    """A million rows from one server through the mesh and through HAProxy: MB/s and CPU per MB."""
    _ensure_programs()
    click.echo(_machine())
    for name, passes in large_results.compare(rounds).items():
        rate = statistics.median(each.rate for each in passes)
        cpu = statistics.median(each.cpu / each.size * 1e9 for each in passes)
        click.echo(f"{name}: {rate:.0f} MB/s, {cpu:.2f} ms CPU per MB")


@main.command()
@click.pass_context
def full(context: click.Context) -> None:
    """Everything."""
    for threads in (8, 32):
        for test in sysbench.TESTS:
            context.invoke(oltp, test=test, threads=threads)
    for command in (hot_path, scan, scatter, transactions, idle, start_up):
        context.invoke(command)


@main.command()
def scatter() -> None:
    """Memory of the mesh: 2 million rows over four data nodes, sorted, to a client that reads 1 MB per second."""
    console = Console()
    console.print(f"\n{SQL}: {ROWS:,} rows over 4 data nodes to a client that reads 1 MB/s")
    footprint = measure()
    if not footprint.in_order or footprint.rows != ROWS:
        raise click.ClickException(f"wrong answer: {footprint}")
    console.print(f"{footprint.rows:,} rows in order in {footprint.seconds:.0f} s")
    before, highest = footprint.before / MIB, footprint.highest / MIB
    console.print(f"resident memory of the mesh: {before:.0f} MiB before, {highest:.0f} MiB at most")


@main.command()
@click.option("--clients", "numbers", default=(1, 8, 32), multiple=True, show_default=True, help="At the same time.")
@click.option("--rounds", default=3, show_default=True, help="Turns of each mode, alternating.")
@click.option("--seconds", default=2.0, show_default=True, help="Length of one turn.")
def transactions(numbers: Sequence[int], rounds: int, seconds: float) -> None:
    """Transactions over two servers and on one, in each mode, next to the same statements sent straight."""
    console = Console()
    console.print(f"\ntransfers; innodb_flush_log_at_trx_commit=1; medians of {rounds} rounds of {seconds:g} s")
    for number in numbers:
        table = Table(title=f"{number} client{'s' if number > 1 else ''}")
        for heading in ("", "p50 ms", "of local", "per second", "of local", "statements on servers"):
            table.add_column(heading, justify="right" if heading else "left")
        found = {way: _medians(samples) for way, samples in measure_transactions(number, rounds, seconds).items()}
        local = {way.shards: each for way, each in found.items() if way.name.endswith("local")}
        for way, (p50, rate, asked) in found.items():
            base_p50, base_rate, _ = local[way.shards]
            table.add_row(way.name, f"{p50:.2f}", f"{p50 / base_p50:.2f}", f"{rate:,.0f}", f"{rate / base_rate:.2f}",
                          f"{asked:.1f}", end_section=way.name == LAST_OF_TWO)  # fmt: skip
        console.print(table)


def _medians(samples: Sequence[TransactionSample]) -> tuple[float, float, float]:
    turns = [(sample.p50, sample.rate, sample.asked) for sample in samples]
    p50, rate, asked = (statistics.median(values) for values in zip(*turns, strict=True))
    return p50, rate, asked


def _ensure_programs() -> None:
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None:
            ensure_packages(program, [package], click.echo)
        if shutil.which(program) is None:
            raise InstallError(f"{program} is not in PATH: install {package} and try again")


def _table(comparison: Comparison) -> Table:
    table = Table(title=f"{comparison.transport} on both sides of the proxy")
    for heading in ("", "min", "median", "max"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, samples in comparison.samples.items():
        table.add_row(f"{name}: µs CPU per query", *_spread([sample.cpu for sample in samples], ".1f"))
        table.add_row(f"{name}: queries per second", *_spread([sample.rate for sample in samples], ",.0f"))
    table.add_section()
    for one, other in ((PREPARED, MESH), *((MESH, other) for other in HAPROXIES)):
        table.add_row(f"CPU per query: {one} / {other}", *_spread(comparison.ratios(one, other), ".2f"))
    return table


def _spread(values: Sequence[float], form: str) -> tuple[str, str, str]:
    return tuple(format(pick(values), form) for pick in (min, statistics.median, max))  # type: ignore[return-value]


if __name__ == "__main__":
    main()
