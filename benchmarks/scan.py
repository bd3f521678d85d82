"""How fast a large result passes: all rows of one data node through the mesh and through HAProxy, turn by turn."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pymysql
import yaml

from benchmarks import shards
from benchmarks.cpu import cpu_seconds
from benchmarks.haproxy import haproxy
from benchmarks.point_select import MESH
from benchmarks.scatter import numbers
from benchmarks.sysbench import Endpoint
from dbmesh.sandbox import Mesh, Sandbox, Server

HAPROXY = "HAProxy, 1 thread"
ROWS = 1_000_000
TABLE = "whole"
SQL = f"SELECT id, name, filler FROM {TABLE}"
_CHUNK = 1 << 20
_END = b"\x05\x00\x00"  # the length of an EOF packet, whose payload begins with 0xFE
_QUERY = b"\x03"


@dataclass(frozen=True, slots=True)
class Pass:
    """One result: bytes on the wire, seconds, and CPU seconds of the proxy."""

    size: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        """Megabytes per second."""
        return self.size / self.seconds / 1e6


def compare(rounds: int) -> Mapping[str, Sequence[Pass]]:
    """A million rows of one table that is on one server, by TCP on both sides."""
    passes: dict[str, list[Pass]] = {MESH: [], HAPROXY: []}
    with Sandbox() as sandbox, ExitStack() as stack:
        server = sandbox.start("mysql", options=["--innodb-buffer-pool-size=256M"])
        _fill(server)
        rules = shards.write_rules(sandbox.folder / "rules_scan", server, "other", "id", "tcp")
        _add_default(rules / f"{shards.DATABASE}.yaml")
        mesh = Mesh(sandbox.folder / "mesh_scan", rules, shards.USER)
        stack.callback(mesh.close)
        mesh.start()
        folder = sandbox.folder / "haproxy_scan"
        folder.mkdir()
        pid, port, _ = stack.enter_context(haproxy(folder, server, "tcp", 1))
        assert mesh.pid is not None
        account = server.account
        ways = {
            MESH: (mesh.pid, Endpoint(shards.USER.user, shards.USER.password, shards.DATABASE, mesh.port)),
            HAPROXY: (pid, Endpoint(account.user, account.password, shards.schema(0), port)),
        }
        for turn in range(rounds + 1):
            for name, (process, endpoint) in ways.items():
                taken = _read(process, endpoint)
                if turn:  # the first one warms the server's cache
                    passes[name].append(taken)
    return passes


def _fill(server: Server) -> None:
    server.script([f"CREATE DATABASE `{shards.schema(shard)}`" for shard in range(shards.SHARDS)])
    server.script(
        [
            f"USE `{shards.schema(0)}`",
            f"CREATE TABLE {TABLE} (id BIGINT PRIMARY KEY, name VARCHAR(40) NOT NULL, filler CHAR(20) NOT NULL)",
            f"INSERT INTO {TABLE} SELECT seq, CONCAT('name-', LPAD(seq, 8, '0')), REPEAT('x', 20) FROM {numbers(ROWS)}",
        ]
    )


def _add_default(path: Path) -> None:
    database = yaml.safe_load(path.read_text())
    database["default_data_source"] = "ds_0"
    path.write_text(yaml.safe_dump(database))


def _read(pid: int, endpoint: Endpoint) -> Pass:
    """Send the query over a socket of PyMySQL's and read the bytes of its answer, undecoded."""
    connection = pymysql.connect(
        host="127.0.0.1",
        port=endpoint.port or 0,
        user=endpoint.user,
        password=endpoint.password,
        database=endpoint.database,
    )
    sock = connection._sock  # type: ignore[attr-defined]
    assert isinstance(sock, socket.socket)
    payload = _QUERY + SQL.encode()
    cpu, began = cpu_seconds(pid), time.monotonic()
    sock.sendall(len(payload).to_bytes(3, "little") + b"\0" + payload)
    size, tail = 0, b""
    while not (size > ROWS and tail[:3] == _END and tail[4] == 0xFE):
        chunk = sock.recv(_CHUNK)
        if not chunk:
            raise RuntimeError("the connection ended within the result")
        size += len(chunk)
        tail = (tail + chunk)[-9:]
    taken = Pass(size, time.monotonic() - began, cpu_seconds(pid) - cpu)
    connection.close()
    return taken
