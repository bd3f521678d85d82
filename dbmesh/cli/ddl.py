"""``dbmesh ddl``: DDL that runs, or has stopped, half-way through its data nodes. Works with and without a mesh.

Exit codes: 0 done, 1 a server does not answer or refuses, 2 somebody else is at it, 4 no such DDL.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from dbmesh.backend.cluster import Cluster
from dbmesh.cli.options import load_or_exit, rules_option
from dbmesh.cli.terminal import console
from dbmesh.cli.tx.command import CONFLICT, NOT_FOUND, OK, Exit, actor, has_log, json_option, print_json, run
from dbmesh.engine.ddl import resume_ddl
from dbmesh.transaction.ddl_journal import Busy, Job, JobState, StepState, standing
from dbmesh.transaction.recovery import Proxy

_HEADINGS = ("data node", "step", "since (UTC)", "last error")


@click.group()
def ddl() -> None:
    """DDL over several data nodes: where it is done and where not, and going on with it."""


@ddl.command()
@rules_option
@click.argument("id", type=int, required=False)
@click.option("--all", "ended", is_flag=True, help="What has ended, too.")
@json_option
def status(directory: Path, id: int | None, ended: bool, as_json: bool) -> None:
    """What is not done on all its data nodes yet; with an ID that one, whatever became of it."""

    async def work(proxy: Proxy) -> int:
        if id is not None:
            found = [await _find(proxy, id)]
        else:
            jobs = await proxy.ddl.all() if has_log(proxy) else []
            found = [job for job in jobs if ended or job.state is JobState.OPEN]
        if as_json:
            print_json([_as_dict(job) for job in found])
            return OK
        for job in found:
            _print(job)
        if not found:
            click.echo("no DDL is half done")
        return OK

    run(directory, work)


@ddl.command()
@rules_option
@click.argument("id", type=int)
def resume(directory: Path, id: int) -> None:
    """Go on with a DDL where it stopped. A step whose answer was lost is looked at first."""

    async def work(proxy: Proxy) -> int:
        job = await _open(proxy, id)
        for step in job.steps:
            if step.data_source not in proxy.links.data_sources:
                raise Exit(CONFLICT, f"data source '{step.data_source}' is not in the rules any more: forget the DDL")
        cluster = Cluster(load_or_exit(directory))
        try:
            await resume_ddl(job, cluster, proxy.ddl)
        except Busy as busy:
            raise Exit(CONFLICT, busy.message) from busy
        finally:
            await cluster.close()
        _print(await _find(proxy, id))
        click.echo("a mesh that runs learns of it by RELOAD MESH RULES")
        return OK

    run(directory, work)


@ddl.command()
@rules_option
@click.argument("id", type=int)
@click.option("--reason", required=True, help="Why; it is kept with the DDL.")
def forget(directory: Path, id: int, reason: str) -> None:
    """Leave a DDL as it is, because it was finished or undone by hand."""

    async def work(proxy: Proxy) -> int:
        await _open(proxy, id)
        try:
            await proxy.ddl.forget(id, f"{actor()}: {reason}")
        except Busy as busy:
            raise Exit(CONFLICT, busy.message) from busy
        click.echo(f"DDL {id}: forgotten")
        return OK

    run(directory, work)


async def _find(proxy: Proxy, id: int) -> Job:
    job = await proxy.ddl.find(id) if has_log(proxy) else None
    if job is None:
        raise Exit(NOT_FOUND, f"there is no DDL {id}")
    return job


async def _open(proxy: Proxy, id: int) -> Job:
    job = await _find(proxy, id)
    if job.state is not JobState.OPEN:
        raise Exit(NOT_FOUND, f"DDL {id} has ended: {standing(job)}")
    return job


def _print(job: Job) -> None:
    done = sum(step.state is StepState.DONE for step in job.steps)
    click.echo(f"DDL {job.id}: {standing(job)}, {done} of {len(job.steps)} data nodes")
    click.echo(f"  {job.asked.account} at {job.created_at} UTC in {job.asked.database or 'no database'}")
    click.echo(f"  {' '.join(job.asked.statement.split())}")
    if job.note:
        click.echo(f"  {job.note}")
    table = Table(*_HEADINGS, box=None, pad_edge=False)
    for step in job.steps:
        state = "in doubt" if step.state is StepState.RUNNING and not job.runs else step.state.lower()
        table.add_row(escape(step.node), state, step.changed_at or "", escape(step.error or ""))
    console().print(table)


def _as_dict(job: Job) -> dict[str, object]:
    steps = [asdict(step) | {"sql": step.sql.decode(errors="replace")} for step in job.steps]
    return asdict(job) | {"standing": standing(job), "steps": steps}
