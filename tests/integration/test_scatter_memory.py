"""A large sorted result for a slow client: the mesh holds little of it, and lets go of all when the client dies."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks import scatter
from benchmarks.cpu import resident_bytes
from dbmesh.sandbox import Mesh, Sandbox, Server
from dbmesh.sandbox.process import wait_until

LIMIT = 150 * 1024 * 1024
READING_SECONDS = 15.0


@pytest.fixture(scope="module")
def server(sandbox: Sandbox) -> Iterator[Server]:
    server = sandbox.start("large", options=["--innodb-buffer-pool-size=256M"])
    scatter.fill(server)
    yield server
    sandbox.discard("large")


@pytest.fixture(scope="module")
def mesh(sandbox: Sandbox, server: Server) -> Iterator[Mesh]:
    with scatter.mesh_over(sandbox, server) as mesh:
        yield mesh


@pytest.mark.timeout(300)
def test_memory_stays_low_and_a_killed_client_leaves_no_work_behind(server: Server, mesh: Mesh) -> None:
    assert mesh.pid is not None
    with scatter.slow_reader(mesh) as reader:
        assert reader.stdout is not None
        assert json.loads(reader.stdout.readline())["rows"] == 50_000
        assert len(_at_work(server)) == 4, "the servers have sent all before the client has read a tenth of it"
        highest = scatter.watch(mesh.pid, reader, READING_SECONDS)
        assert reader.poll() is None, "the client read too fast"
        reader.kill()
        killed = time.monotonic()
        wait_until(lambda: not _at_work(server), 5.0, lambda: f"still at work: {_at_work(server)}")
        assert time.monotonic() - killed < 1.0
    assert highest < LIMIT, f"{highest / 1024 / 1024:.0f} MiB resident"
    assert mesh.rows(f"SELECT COUNT(*) FROM {scatter.TABLE}", database="bench") == [(scatter.ROWS,)]
    wait_until(lambda: _borrowed(mesh) == 0, 5.0, lambda: f"{_borrowed(mesh)} connections did not come back")
    assert resident_bytes(mesh.pid) < LIMIT


def _at_work(server: Server) -> list[tuple[object, ...]]:
    return server.rows(
        "SELECT id, info FROM information_schema.processlist WHERE command = 'Query' AND id <> CONNECTION_ID()"
    )


def _borrowed(mesh: Mesh) -> int:
    """Backend connections that somebody holds."""
    with mesh.connection() as connection, connection.cursor() as cursor:
        cursor.execute("SHOW MESH POOLS")
        in_use = [column[0].lower() for column in cursor.description].index("in use")
        return sum(int(row[in_use]) for row in cursor.fetchall())


@pytest.mark.timeout(300)
def test_a_page_far_behind_the_first_passes_the_mesh_without_staying_there(mesh: Mesh) -> None:
    assert mesh.pid is not None
    sql = f"SELECT id, filler FROM {scatter.TABLE} ORDER BY id LIMIT 3 OFFSET 1000000"
    with ThreadPoolExecutor(1) as thread:
        page = thread.submit(mesh.rows, sql, (), "bench")
        highest = 0
        while not page.done():
            highest = max(highest, resident_bytes(mesh.pid))
            time.sleep(0.05)
    assert [row[0] for row in page.result()] == [1_000_000, 1_000_001, 1_000_002]
    assert highest < LIMIT, f"{highest / 1024 / 1024:.0f} MiB resident"
