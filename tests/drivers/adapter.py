"""What the matrix asks of a driver. A new driver is one module in ``adapters`` that defines ``ADAPTER``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from dbmesh.sandbox.endpoint import Endpoint

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """``columns``: names and types as the driver tells them. What a driver does not tell is None."""

    columns: tuple[Any, ...] = ()
    rows: Sequence[Row] = ()
    affected: int | None = None
    insert_id: int | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """An error of the server as the driver tells it; ``sqlstate`` is None where the driver drops it."""

    kind: str
    errno: int
    sqlstate: str | None = None


class Client(ABC):
    """One connection. Parameters are written ``?``; rows are tuples of the driver's own values."""

    @abstractmethod
    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Answer: ...

    @abstractmethod
    def stream(self, sql: str) -> Iterator[Row]:
        """The rows as they arrive, unbuffered where the driver can."""

    @abstractmethod
    def close(self) -> None: ...

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """The driver's bulk form of a statement."""
        for row in rows:
            self.execute(sql, row)

    def execute_prepared(self, sql: str, rows: Sequence[Sequence[Any]]) -> list[Answer]:
        """One statement prepared on the server (COM_STMT_PREPARE), executed once per row of parameters."""
        raise NotImplementedError

    def tls_version(self) -> str | None:
        """The protocol version of this connection's TLS as the mesh tells it; None without."""
        [[_, version]] = self.execute("SHOW STATUS LIKE 'Ssl_version'").rows
        return (version if isinstance(version, str) else version.decode()) or None

    def begin(self) -> None:
        self.execute("START TRANSACTION")

    def commit(self) -> None:
        self.execute("COMMIT")

    def rollback(self) -> None:
        self.execute("ROLLBACK")


Connect = Callable[[Endpoint, str, bool], Client]
Tell = Callable[[Exception], "Failure | None"]


def told_by_arguments(error: Exception) -> Failure | None:
    """The failure of drivers whose exceptions have the number as their first argument."""
    if not error.args or not isinstance(error.args[0], int):
        return None
    return Failure(type(error).__name__, error.args[0])


@dataclass(frozen=True, slots=True)
class Adapter:
    """``connect(endpoint, database, tls)`` opens a connection in autocommit mode. ``failure``: the server's error that
    an exception of the driver tells, None when it tells none. ``prepares``: the driver can prepare on the server.
    ``biggest``: bytes of a value that it is tried with, less than 20 MiB only where the driver itself fails.
    ``language``: all but Python are tried by `make test-drivers` only.
    ``unable``: column types that it cannot read or write on any server, by text and prepared.
    ``missing``: why it cannot run on this machine. ``defects``: scenario -> what the mesh does wrong (strict xfail).
    """

    name: str
    connect: Connect
    failure: Tell = told_by_arguments
    prepares: bool = False
    biggest: int = 20 << 20
    language: str = "Python"
    unable: tuple[str, ...] = ()
    unable_prepared: tuple[str, ...] = ()
    missing: str | None = None
    defects: dict[str, str] = field(default_factory=dict)


def shown(value: Any) -> tuple[str, str]:
    """A value as it is compared: type and repr."""
    return type(value).__name__, repr(value)


def attempt(adapter: Adapter, client: Client, sql: str, parameters: Sequence[Any] = ()) -> Failure:
    """The failure of a statement that must fail with the server's error."""
    try:
        client.execute(sql, parameters)
    except Exception as error:
        failure = adapter.failure(error)
        if failure is None:
            raise
        return failure
    raise AssertionError(f"no error: {sql}")


def opened(adapter: Adapter, endpoint: Endpoint, database: str, tls: bool = False) -> closing[Client]:
    """A connection for a ``with`` block."""
    return closing(adapter.connect(endpoint, database, tls))
