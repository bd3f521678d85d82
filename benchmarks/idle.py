"""What clients that only stay connected cost: memory of the mesh per idle connection."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import yaml

from benchmarks import shards
from benchmarks.cpu import resident_bytes
from dbmesh.sandbox import Mesh, Sandbox

TABLE, KEY = "idle", "id"


@dataclass(frozen=True, slots=True)
class Idle:
    """Resident bytes of the mesh before and with so many clients that have logged in and asked once each."""

    clients: int
    before: int
    after: int

    @property
    def each(self) -> float:
        """Bytes of one client."""
        return (self.after - self.before) / self.clients


def measure(clients: int) -> Idle:
    """Connect that many clients over a Unix socket, one after the other, have each ask once, and look."""
    with Sandbox() as sandbox, ExitStack() as open_clients:
        server = sandbox.start("mysql")
        server.script([f"CREATE DATABASE `{shards.schema(shard)}`" for shard in range(shards.SHARDS)])
        rules = shards.write_rules(sandbox.folder / "rules_idle", server, TABLE, KEY, "unix")
        _admit(rules / "mesh.yaml", clients)
        mesh = Mesh(sandbox.folder / "mesh_idle", rules, shards.USER)
        try:
            mesh.start()
            assert mesh.pid is not None
            for _ in range(100):  # what is made once, by the first clients, is no client's
                _client(mesh).close()
            before = resident_bytes(mesh.pid)
            for _ in range(clients):
                open_clients.callback(_client(mesh).close)
            return Idle(clients, before, resident_bytes(mesh.pid))
        finally:
            mesh.close()


def _admit(path: Path, clients: int) -> None:
    rules = yaml.safe_load(path.read_text())
    rules["max_connections"] = clients + 10
    path.write_text(yaml.safe_dump(rules))


def _client(mesh: Mesh) -> socket.socket:
    """A connection after its login and one statement, which goes through plan and pool; only its socket is kept."""
    account: dict[str, Any] = {"user": mesh.account.user, "password": mesh.account.password}
    connection = pymysql.connect(unix_socket=mesh.socket, database=shards.DATABASE, ssl_disabled=True, **account)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    kept = connection._sock  # type: ignore[attr-defined]
    assert isinstance(kept, socket.socket)
    connection._sock = None  # type: ignore[attr-defined]
    return kept
