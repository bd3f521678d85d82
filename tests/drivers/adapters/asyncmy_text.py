"""asyncmy."""

from __future__ import annotations

import asyncmy
from asyncmy.cursors import SSCursor

from dbmesh.sandbox.endpoint import Endpoint
from tests.drivers.adapter import Adapter, Client
from tests.drivers.asynchronous import AsyncClient, unverified


def connect(endpoint: Endpoint, database: str, tls: bool) -> Client:
    options = {"ssl": unverified()} if tls else {}
    opening = lambda: asyncmy.connect(  # noqa: E731
        **endpoint.address(), db=database, charset="utf8mb4", autocommit=True, **options
    )
    return AsyncClient(opening, SSCursor)


# asyncmy 0.2.18 waits for ever for a row of more than one packet (16 MiB), from any server
ADAPTER = Adapter("asyncmy", connect, biggest=12 << 20)
