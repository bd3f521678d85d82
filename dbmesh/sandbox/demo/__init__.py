"""``dbmesh demo``: the mesh on real servers, each thing shown being checked against the shards."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pymysql

from dbmesh.rules.mistakes import RuleErrors
from dbmesh.sandbox.apt import InstallError
from dbmesh.sandbox.demo import reading, sagas, writing
from dbmesh.sandbox.demo.narrator import Mismatch, Narrator
from dbmesh.sandbox.demo.shop import DATABASE
from dbmesh.sandbox.demo.stage import APPLICATION, Stage, stage
from dbmesh.sandbox.process import ServerError

STEPS: tuple[Callable[[Stage], None], ...] = (
    reading.rows_are_spread,
    reading.query_by_key,
    reading.scattered_order_by,
    reading.group_by_average,
    writing.insert_is_split,
    sagas.failing_saga_is_undone,
    sagas.killed_mesh_is_replayed,
)


def run(rules: Path | None = None, stay: bool | None = None) -> int:
    """Play all steps; 0 when everything shown was verified.

    ``rules``: a copy of sharding-rules/, else the checkout's. ``stay``: wait for Ctrl-C at the end so that one can
    look around; by default on a terminal only.
    """
    narrator = Narrator()
    stay = sys.stdin.isatty() and sys.stdout.isatty() if stay is None else stay
    try:
        with stage(narrator, _rules(rules)) as scene:
            for step in STEPS:
                step(scene)
            narrator.console.print(f"\n[bold green]All {narrator.verified} claims verified against the shards.[/]")
            if stay:
                _stay(scene)
    except (Mismatch, InstallError, RuleErrors, ServerError, pymysql.err.MySQLError) as error:
        narrator.fail(f"{type(error).__name__}: {error}")
        return 1
    except KeyboardInterrupt:
        narrator.say("interrupted; everything is removed")
        return 130
    return 0


def _rules(wanted: Path | None) -> Path:
    """The folder that is wanted, or else sharding-rules/ of the checkout."""
    folders = [*([wanted] if wanted else []), Path(__file__).parents[3] / "sharding-rules"]
    found = next((folder for folder in folders if folder.is_dir()), None)
    if found is None:
        raise ServerError("the demo needs the folder sharding-rules/ of the project: give it with --rules")
    return found.resolve()


def _stay(scene: Stage) -> None:
    narrator, mesh, client = scene.narrator, scene.mesh, scene.client
    narrator.say("\nThe mesh stays up. Connect from another terminal:")
    account = f"--user={APPLICATION.user} --password={APPLICATION.password} {DATABASE}"
    narrator.quote(f"{client} --host={mesh.host} --port={mesh.port} {account}")
    narrator.quote(f"{client} --socket={mesh.socket} {account}")
    for server in scene.servers:
        shard = f"--user={server.account.user} --password={server.account.password}"
        narrator.quote(f"{client} --socket={server.socket} {shard}   # {server.name}, without the mesh")
    narrator.say("Ctrl-C ends it and removes all it made.")
    with suppress(KeyboardInterrupt):
        threading.Event().wait()
