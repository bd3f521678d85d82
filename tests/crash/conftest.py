"""The proving ground, made once for all kills."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dbmesh.sandbox import Sandbox, Server
from tests.crash.proving_ground import SCHEMA, Ground, prepare


@pytest.fixture(scope="session")
def shared_ground(sandbox: Sandbox, servers: tuple[Server, Server]) -> Iterator[Ground]:
    folder = sandbox.folder / "crash"
    folder.mkdir()
    ground = prepare(servers, folder)
    yield ground
    ground.close()
    for number, server in enumerate(servers):
        server.script([f"DROP DATABASE IF EXISTS {name}" for name in (SCHEMA, f"bank_{number}")])


@pytest.fixture
def ground(shared_ground: Ground) -> Iterator[Ground]:
    """The proving ground for one test. A mesh that a failed test left alive would do the next one's work."""
    yield shared_ground
    shared_ground.end_meshes()
