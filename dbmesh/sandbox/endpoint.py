"""Something that speaks MySQL's protocol on localhost: a server, or the mesh."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
from pymysql.connections import Connection

from dbmesh.sandbox.process import LOCALHOST, Process, reserve_port


@dataclass(frozen=True, slots=True)
class Account:
    """A database user."""

    user: str
    password: str


class Endpoint:
    """A process with a TCP port and a Unix socket that stay the same from start to start."""

    host = LOCALHOST

    def __init__(self, name: str, folder: Path, account: Account) -> None:
        self.name = name
        self.folder = folder
        self.account = account
        self.socket = str(folder / "s")
        self.process = Process(name, folder)
        self._reservation: socket.socket = reserve_port()
        self.port: int = self._reservation.getsockname()[1]

    @property
    def pid(self) -> int | None:
        """Process id while it runs, else None."""
        return self.process.pid

    def kill9(self) -> None:
        """Crash it: no shutdown, no flush."""
        self.process.kill9()

    def address(self) -> dict[str, Any]:
        """What a MySQL driver needs to connect over TCP: host, port, user, password."""
        return {"host": self.host, "port": self.port, "user": self.account.user, "password": self.account.password}

    def connection(self, database: str | None = None, **options: Any) -> Connection[Any]:
        """A new PyMySQL connection of the account, in autocommit mode unless told otherwise; close it yourself."""
        defaults = {"charset": "utf8mb4", "autocommit": True, "connect_timeout": 10, "database": database}
        return pymysql.connect(**self.address() | defaults | options)

    def rows(self, sql: str, parameters: Sequence[object] = (), database: str | None = None) -> list[tuple[Any, ...]]:
        """The rows of one statement, run on a connection of its own."""
        with closing(self.connection(database)) as connection, connection.cursor() as cursor:
            cursor.execute(sql, tuple(parameters) or None)
            return list(cursor.fetchall())

    def script(self, statements: Sequence[str], database: str | None = None) -> None:
        """Run statements one after the other on one connection."""
        with closing(self.connection(database)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def answers(self) -> bool:
        """Whether a query of the account is answered now."""
        try:
            self.rows("SELECT 1")
        except pymysql.err.OperationalError:
            return False
        return True

    def release(self) -> None:
        """Give the port back. The endpoint cannot be started again."""
        self._reservation.close()
