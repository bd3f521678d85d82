"""mysql-connector-python, Oracle's driver; the base of its two implementations."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import Any

import mysql.connector

from dbmesh.sandbox.endpoint import Endpoint
from tests.drivers.adapter import Adapter, Answer, Client, Failure
from tests.drivers.dbapi import DbApiClient, answer
from tests.drivers.kinds import COLUMN_TYPES
from tests.flavour import MYSQL


class ConnectorClient(DbApiClient):
    def cursor(self) -> Any:
        return self.connection.cursor(buffered=True)

    def streaming_cursor(self) -> Any:
        return self.connection.cursor(buffered=False)

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Answer:
        return super().execute(sql, [_parameter(value) for value in parameters])

    def execute_prepared(self, sql: str, rows: Sequence[Sequence[Any]]) -> list[Answer]:
        with closing(self.connection.cursor(prepared=True)) as cursor:
            answers = []
            for row in rows:
                cursor.execute(sql, tuple(map(_parameter, row)))
                answers.append(answer(cursor))
            return answers

    def begin(self) -> None:
        self.connection.start_transaction()


def _parameter(value: Any) -> Any:
    """It reads a SET as a Python set, and takes only text for one."""
    return ",".join(sorted(value)) if isinstance(value, set) else value


def failure(error: Exception) -> Failure | None:
    if not isinstance(error, mysql.connector.Error) or error.errno < 1000 or 2000 <= error.errno < 3000:
        return None
    return Failure(type(error).__name__, error.errno, error.sqlstate)


def connect(pure: bool, endpoint: Endpoint, database: str, tls: bool) -> Client:
    connection = mysql.connector.connect(
        **endpoint.address(),
        database=database,
        charset="utf8mb4",
        collation="utf8mb4_general_ci",
        autocommit=True,
        use_pure=pure,
        ssl_disabled=not tls,
    )
    return ConnectorClient(connection)


ADAPTERS = (
    Adapter(
        "connector-pure",
        partial(connect, True),
        failure,
        prepares=True,
        # it reads a prepared YEAR as the bytes of a number, and no zero date at all; MySQL does not
        # take the text that it makes of bits (3988)
        unable_prepared=("YEAR", "DATE NULL", *(name for name in COLUMN_TYPES if MYSQL and name.startswith("BIT"))),
    ),
    Adapter(
        "connector-c",
        partial(connect, False),
        failure,
        prepares=True,
        # it reads numbers from 2**63 as negative ones, and writes these and times wrongly
        unable_prepared=("BIGINT UNSIGNED", "BIT(64)", "DOUBLE", "DOUBLE(10,2)", "TIME", "TIME(3)", "TIME(6)"),
    ),
)
