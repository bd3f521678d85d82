"""aiomysql."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import aiomysql

from dbmesh.sandbox.endpoint import Endpoint
from tests.drivers.adapter import Adapter, Answer, Client
from tests.drivers.asynchronous import AsyncClient, unverified


class AioMySqlClient(AsyncClient):
    """aiomysql 0.3.2 cannot escape bytes with PyMySQL 1.2, whose function it used: they go as hexadecimal literals."""

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Answer:
        first, *others = sql.split("?")
        text = first + "".join(
            (f"x'{value.hex()}'" if isinstance(value, bytes) else "?") + part
            for value, part in zip(parameters, others, strict=True)
        )
        return super().execute(text, [value for value in parameters if not isinstance(value, bytes)])


def connect(endpoint: Endpoint, database: str, tls: bool) -> Client:
    options = {"ssl": unverified()} if tls else {}
    opening = lambda: aiomysql.connect(  # noqa: E731
        **endpoint.address(), db=database, charset="utf8mb4", autocommit=True, **options
    )
    return AioMySqlClient(opening, aiomysql.SSCursor)


ADAPTER = Adapter("aiomysql", connect)
