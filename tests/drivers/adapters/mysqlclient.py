"""mysqlclient (MySQLdb), over MariaDB's C library."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from dbmesh.sandbox.endpoint import Endpoint
from tests.drivers.adapter import Adapter, Client
from tests.drivers.dbapi import DbApiClient

try:
    version("mysqlclient")  # PyMySQL may stand under its name
    import MySQLdb
    from MySQLdb.cursors import SSCursor
except ImportError:
    MISSING: str | None = "mysqlclient is not built: python -m tests.drivers.set_up says why"
else:
    MISSING = None


class MySqlClient(DbApiClient):
    def streaming_cursor(self) -> Any:
        return self.connection.cursor(SSCursor)


def connect(endpoint: Endpoint, database: str, tls: bool) -> Client:
    options = {"ssl_mode": "REQUIRED"} if tls else {}
    return MySqlClient(
        MySQLdb.connect(**endpoint.address(), database=database, charset="utf8mb4", autocommit=True, **options)
    )


ADAPTER = Adapter("mysqlclient", connect, missing=MISSING)
