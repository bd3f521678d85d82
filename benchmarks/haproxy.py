"""HAProxy in TCP mode in front of one server: the yardstick."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.shards import Transport
from dbmesh.sandbox import Server
from dbmesh.sandbox.process import Process, reserve_port

START_SECONDS = STOP_SECONDS = 10.0

# No log, no statistics, no health check: bytes from socket to socket.
_CONFIGURATION = """
global
    {threads}
    maxconn 200
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen mysql
    bind {listen}
    server plain {server}
"""


@contextmanager
def haproxy(
    folder: Path, server: Server, transport: Transport, threads: int | None
) -> Iterator[tuple[int, int | None, str | None]]:
    """HAProxy until the block ends: its pid, and the port or the Unix socket on which it listens.

    ``threads`` None: HAProxy's own default, one per core.
    """
    with reserve_port() as reservation:
        host, port = reservation.getsockname()
        path = str(folder / "h")
        listen = f"{host}:{port}" if transport == "tcp" else f"unix@{path}"
        target = f"{server.host}:{server.port}" if transport == "tcp" else f"unix@{server.socket}"
        configuration = folder / "haproxy.cfg"
        nbthread = f"nbthread {threads}" if threads else ""
        configuration.write_text(_CONFIGURATION.format(listen=listen, server=target, threads=nbthread))
        process = Process("haproxy", folder)
        address = (host, port) if transport == "tcp" else path
        process.start(["haproxy", "-db", "-f", str(configuration)], {}, lambda: _accepts(address), START_SECONDS)
        try:
            assert process.pid is not None
            yield process.pid, *((port, None) if transport == "tcp" else (None, path))
        finally:
            process.stop(STOP_SECONDS)


def _accepts(address: tuple[str, int] | str) -> bool:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as client:
        return client.connect_ex(address) == 0
