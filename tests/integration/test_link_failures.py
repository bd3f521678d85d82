"""A server that ends connections while they are being made: they are lost, which is no error of the mesh."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
import uvloop

from dbmesh.backend import dial as backend
from dbmesh.backend.pool import Capabilities
from dbmesh.errors import BackendLost
from dbmesh.rules.model import DataSource
from dbmesh.transaction import link


@pytest.fixture
def rude() -> Iterator[int]:
    """The port of a server that resets every connection at once."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    client.close()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_a_connection_that_is_reset_at_once_is_lost(rude: int) -> None:
    """Now and then that is when the driver sets up the socket: uvloop then has none to show."""
    source = DataSource("ds", "s", "u", host="127.0.0.1", port=rude)

    async def dial_often() -> None:
        for _ in range(300):
            with pytest.raises(BackendLost):
                await link.dial(source)
        for _ in range(30):
            with pytest.raises(BackendLost):
                await backend.dial(source, Capabilities())

    uvloop.run(dial_often())
