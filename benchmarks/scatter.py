"""Memory of the mesh while a slow client reads a large sorted result: 2 million rows over four data nodes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks import shards
from benchmarks.cpu import resident_bytes
from dbmesh.sandbox import Mesh, Sandbox, Server

ROWS = 2_000_000
TABLE, KEY = "big", "id"
SQL = f"SELECT name, id, filler FROM {TABLE} ORDER BY name"
BYTES_PER_SECOND = 1_000_000
_SAMPLE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Footprint:
    """Resident memory of the mesh in bytes, and what the client read."""

    before: int
    highest: int
    rows: int
    seconds: float
    in_order: bool


def fill(server: Server, rows: int = ROWS) -> None:
    """Create the table's shards straight on the server; each name is shared by 40 rows, spread over all shards."""
    per_shard = rows // shards.SHARDS
    for shard in range(shards.SHARDS):
        schema = shards.schema(shard)
        server.script(
            [
                f"DROP DATABASE IF EXISTS `{schema}`",
                f"CREATE DATABASE `{schema}`",
                f"USE `{schema}`",
                f"CREATE TABLE {TABLE} (id BIGINT PRIMARY KEY, name VARCHAR(40) NOT NULL, filler CHAR(20) NOT NULL)",
                f"INSERT INTO {TABLE} SELECT seq * {shards.SHARDS} + {shard},"
                f" CONCAT('name-', LPAD(seq * 7919 % {per_shard // 10}, 8, '0')), REPEAT('x', 20)"
                f" FROM {numbers(per_shard)}",
            ]
        )


def numbers(below: int) -> str:
    """A derived table ``seq`` of the numbers from 0, as MySQL has no table for it."""
    digit = "(SELECT 0 AS d" + "".join(f" UNION ALL SELECT {n}" for n in range(1, 10)) + ")"
    places = range(len(str(below - 1)))
    value = " + ".join(f"{10**place} * p{place}.d" for place in places)
    digits = ", ".join(f"{digit} AS p{place}" for place in places)
    return f"(SELECT {value} AS seq FROM {digits}) AS seq WHERE seq < {below}"


@contextmanager
def mesh_over(sandbox: Sandbox, server: Server) -> Iterator[Mesh]:
    """A mesh in front of the filled shards."""
    rules = shards.write_rules(sandbox.folder / "rules_scatter", server, TABLE, KEY, "tcp")
    mesh = Mesh(sandbox.folder / "mesh_scatter", rules, shards.USER)
    try:
        mesh.start()
        yield mesh
    finally:
        mesh.close()


def slow_reader(mesh: Mesh, rate: float = BYTES_PER_SECOND) -> subprocess.Popen[str]:
    """Start a client process that reads the whole result at that rate, in bytes per second."""
    account = [str(mesh.port), mesh.account.user, mesh.account.password, shards.DATABASE]
    command = [sys.executable, "-m", "benchmarks.slow_reader", *account, SQL, str(rate)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def measure() -> Footprint:
    """Read the whole result slowly; about as many seconds as it has megabytes."""
    with Sandbox() as sandbox:
        server = sandbox.start("mysql", options=["--innodb-buffer-pool-size=256M"])
        fill(server)
        with mesh_over(sandbox, server) as mesh:
            assert mesh.pid is not None
            before = resident_bytes(mesh.pid)
            with slow_reader(mesh) as reader:
                highest = watch(mesh.pid, reader, seconds=600.0)
                assert reader.stdout is not None
                told = json.loads(reader.stdout.read().splitlines()[-1])
    return Footprint(before, highest, told["rows"], told["seconds"], told["in_order"])


def watch(pid: int, reader: subprocess.Popen[str], seconds: float) -> int:
    """The highest resident memory of the process until the reader ends, or for so many seconds."""
    deadline = time.monotonic() + seconds
    highest = 0
    while reader.poll() is None and time.monotonic() < deadline:
        highest = max(highest, resident_bytes(pid))
        time.sleep(_SAMPLE_SECONDS)
    return highest
