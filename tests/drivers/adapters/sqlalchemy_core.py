"""SQLAlchemy Core over PyMySQL; reflection, the ORM and Alembic are in ``test_sqlalchemy``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import sqlalchemy
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from dbmesh.sandbox.endpoint import Endpoint
from tests.drivers.adapter import Adapter, Answer, Client, Failure, Row


class CoreClient(Client):
    """Bound parameters of text(); a transaction is SQLAlchemy's own."""

    def __init__(self, engine: sqlalchemy.Engine) -> None:
        self.engine = engine
        self.connection = engine.connect()
        self.automatic = self.connection.execution_options(isolation_level="AUTOCOMMIT")
        self.transaction: sqlalchemy.Connection | None = None

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Answer:
        result = (self.transaction or self.automatic).execute(_text(sql), _named(parameters))
        if not result.returns_rows:
            return Answer((), (), result.rowcount, result.lastrowid)
        columns = tuple((column[0], column[1]) for column in result.cursor.description)
        return Answer(columns, [tuple(row) for row in result.fetchall()])

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        (self.transaction or self.automatic).execute(_text(sql), [_named(row) for row in rows])

    def stream(self, sql: str) -> Iterator[Row]:
        with self.automatic.execution_options(stream_results=True, yield_per=1000).execute(_text(sql)) as result:
            for row in result:
                yield tuple(row)

    def begin(self) -> None:
        self.transaction = self.engine.connect()
        self.transaction.begin()

    def commit(self) -> None:
        assert self.transaction is not None
        self.transaction.commit()
        self._end()

    def rollback(self) -> None:
        assert self.transaction is not None
        self.transaction.rollback()
        self._end()

    def _end(self) -> None:
        assert self.transaction is not None
        self.transaction.close()
        self.transaction = None

    def tls_version(self) -> str | None:
        return getattr(self.connection.connection._sock, "version", lambda: None)()

    def close(self) -> None:
        if self.transaction is not None:
            self._end()
        self.connection.close()
        self.engine.dispose()


def _text(sql: str) -> sqlalchemy.TextClause:
    numbers = count()
    return sqlalchemy.text("".join(f":p{next(numbers)}" if letter == "?" else letter for letter in sql))


def _named(parameters: Sequence[Any]) -> dict[str, Any]:
    return {f"p{number}": value for number, value in enumerate(parameters)}


def url(endpoint: Endpoint, database: str, driver: str = "pymysql") -> URL:
    """The address of an endpoint as SQLAlchemy takes it."""
    user = endpoint.account
    query = {"charset": "utf8mb4"}
    return URL.create(f"mysql+{driver}", user.user, user.password, endpoint.host, endpoint.port, database, query)


def failure(error: Exception) -> Failure | None:
    if not isinstance(error, sqlalchemy.exc.DBAPIError) or error.orig is None:
        return None
    return Failure(type(error).__name__, error.orig.args[0])


def connect(endpoint: Endpoint, database: str, tls: bool) -> Client:
    options = {"ssl": {"check_hostname": False, "verify_mode": "none"}} if tls else {"ssl_disabled": True}
    return CoreClient(sqlalchemy.create_engine(url(endpoint, database), poolclass=NullPool, connect_args=options))


ADAPTER = Adapter("sqlalchemy-core", connect, failure)
