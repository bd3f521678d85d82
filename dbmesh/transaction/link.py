"""Ordinary connections of the mesh's own, for what is not hot: coordinator log, compensation, tombstones, leases.

They never come from the clients' pools: a saga that holds pooled connections can always reach its log. Every link has
the compensator's session: utf8mb4, UTC, non-strict, READ COMMITTED, FOUND_ROWS.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from asyncmy.errors import Error as DriverError

from dbmesh.backend.dial import notice_death
from dbmesh.backend.tls import TlsLogin
from dbmesh.errors import BackendError, BackendLost
from dbmesh.rules.model import DataSource
from dbmesh.transaction.ports import Cells

STATEMENT_SECONDS = 15.0
_TRUSTED_SECONDS = 2.0  # an idle link is used without asking whether it still lives
_FOUND_ROWS = 2
# RuntimeError: the event loop's and the driver's word for a connection that ended while they were not looking
_FAILURES = (DriverError, OSError, TimeoutError, RuntimeError)
_SESSION = (
    "SET SESSION time_zone='+00:00', sql_mode='NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES', autocommit=1,"
    " foreign_key_checks=1, unique_checks=1, sql_safe_updates=0, innodb_lock_wait_timeout=5",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
)
_STATES = {1062: "23000", 1146: "42S02", 1213: "40001", 1451: "23000", 1452: "23000", 1054: "42S22", 1040: "08004"}


@dataclass(frozen=True, slots=True)
class Answer:
    """A link's result; ``rows`` hold the bytes as sent."""

    rows: list[Cells] = field(default_factory=list)
    affected: int = 0
    last_insert_id: int = 0
    warnings: int = 0
    info: bytes = b""


class Link:
    """One connection; broken after errors.BackendLost."""

    def __init__(self, data_source: str, driver: Any) -> None:
        self.data_source = data_source
        self._driver = driver
        self.thread_id = int(driver.thread_id())
        self.server_version = str(driver.get_server_info()).removeprefix("5.5.5-")
        self.used = asyncio.get_running_loop().time()

    @property
    def in_transaction(self) -> bool:
        return bool(self._driver.get_transaction_status())

    async def execute(self, sql: str | bytes, seconds: float | None = None) -> Answer:
        """Run one statement. Raises errors.BackendError, or errors.BackendLost when no answer came in time.

        ``seconds``: None stands for STATEMENT_SECONDS.
        """
        try:
            async with asyncio.timeout(STATEMENT_SECONDS if seconds is None else seconds):
                await self._driver.query(sql if isinstance(sql, bytes) else sql.encode())
        except _FAILURES as error:
            raise _translated(self.data_source, error) from error
        result = self._driver._result
        rows = [list(row) for row in result.rows or ()]
        return Answer(rows, result.affected_rows, result.insert_id or 0, result.warning_count)

    async def execute_all(
        self, statements: Sequence[bytes], seconds: float | None = None
    ) -> list[Answer | BackendError]:
        """One statement after the other, each whatever has become of those before it."""
        answers: list[Answer | BackendError] = []
        for statement in statements:
            try:
                answers.append(await self.execute(statement, seconds))
            except BackendError as error:
                answers.append(error)
        return answers

    def close(self) -> None:
        self._driver.close()


def _translated(data_source: str, error: BaseException) -> BackendError | BackendLost:
    arguments = error.args
    if isinstance(error, DriverError) and len(arguments) > 1 and isinstance(arguments[0], int):
        number = arguments[0]
        if not 2000 <= number < 3000 and number != 0:
            return BackendError(number, _STATES.get(number, "HY000"), str(arguments[1]))
    return BackendLost(data_source, True, str(error) or "no answer in time")


async def dial(source: DataSource) -> Link:
    """A new link. Raises errors.BackendLost (not started) when the server does not answer or refuses the login."""
    try:
        driver = _driver(source)
    except OSError as error:  # a certificate's file
        raise BackendLost(source.name, False, str(error)) from error
    try:
        async with asyncio.timeout(source.pool.connect_timeout + 1):
            await driver.connect()
            notice_death(driver.socket)
            link = Link(source.name, driver)
            for statement in _SESSION:
                await link.execute(statement)
    except (*_FAILURES, BackendError, BackendLost) as error:
        driver.close()
        raise BackendLost(source.name, False, str(error)) from error
    return link


def _driver(source: DataSource) -> TlsLogin:
    return TlsLogin(
        host=source.host or None,
        port=source.port,
        unix_socket=source.socket,
        user=source.user,
        password=source.password,
        database=source.schema,
        charset="utf8mb4",
        conv={},
        use_unicode=False,
        autocommit=None,
        client_flag=_FOUND_ROWS,
        connect_timeout=max(1, round(source.pool.connect_timeout)),
        tls=source.tls,
    )


class Links:
    """Links by data source, a few kept idle each."""

    def __init__(self, data_sources: Mapping[str, DataSource], keep: int = 4) -> None:
        self.data_sources = data_sources
        self._keep = keep
        self._idle: dict[str, list[Link]] = {}

    def schema(self, data_source: str) -> str:
        return self._source(data_source).schema

    def _source(self, name: str) -> DataSource:
        source = self.data_sources.get(name)
        if source is None:
            raise BackendLost(name, False, "it is not in the rules any more")
        return source

    @asynccontextmanager
    async def link(self, data_source: str) -> AsyncIterator[Link]:
        """A link for the block's time. It is kept for others unless it was lost or left inside a transaction."""
        idle = self._idle.setdefault(data_source, [])
        link = await self._living(idle) or await dial(self._source(data_source))
        clean = False
        try:
            yield link
            clean = True
        except BackendError:
            clean = True
            raise
        finally:
            if clean and not link.in_transaction and len(idle) < self._keep:
                link.used = asyncio.get_running_loop().time()
                idle.append(link)
            else:
                link.close()

    async def _living(self, idle: list[Link]) -> Link | None:
        while idle:
            link = idle.pop()
            if asyncio.get_running_loop().time() - link.used < _TRUSTED_SECONDS:
                return link
            try:
                await link.execute("DO 0", 1.0)
            except (BackendError, BackendLost):
                link.close()
            else:
                return link
        return None

    async def execute(self, data_source: str, sql: str) -> Answer:
        """One statement in autocommit."""
        async with self.link(data_source) as link:
            return await link.execute(sql)

    async def ask(self, data_source: str, sql: str) -> Answer:
        """A question that changes nothing: once more, on a new link, when an idle one had been lost."""
        try:
            return await self.execute(data_source, sql)
        except BackendLost:
            idle = self._idle.get(data_source, [])
            while idle:
                idle.pop().close()
            return await self.execute(data_source, sql)

    async def close(self) -> None:
        for idle in self._idle.values():
            while idle:
                idle.pop().close()
        for _ in range(3):  # the loop's next turns end their sockets
            await asyncio.sleep(0)
