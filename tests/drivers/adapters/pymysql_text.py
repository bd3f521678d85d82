"""PyMySQL."""

from __future__ import annotations

from typing import Any

import pymysql
from pymysql.cursors import SSCursor

from dbmesh.sandbox.endpoint import Endpoint
from tests.drivers.adapter import Adapter, Client
from tests.drivers.dbapi import DbApiClient


class PyMySqlClient(DbApiClient):
    def streaming_cursor(self) -> Any:
        return self.connection.cursor(SSCursor)

    def begin(self) -> None:
        self.connection.begin()

    def tls_version(self) -> str | None:
        return getattr(self.connection._sock, "version", lambda: None)()


def connect(endpoint: Endpoint, database: str, tls: bool) -> Client:
    """A connection in autocommit mode; TLS without verification, as the mesh's certificate is its own."""
    options = {"ssl": {"check_hostname": False, "verify_mode": "none"}} if tls else {"ssl_disabled": True}
    return PyMySqlClient(
        pymysql.connect(**endpoint.address(), database=database, charset="utf8mb4", autocommit=True, **options)
    )


ADAPTER = Adapter("pymysql", connect)
