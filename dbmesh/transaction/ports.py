"""What a saga needs of the proxy around it: connections in the client's session state, route units, a catalog."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dbmesh.backend.pool import Capabilities
from dbmesh.errors import BackendError
from dbmesh.saga.writes import Write
from dbmesh.schema import Table

Cells = list[bytes | None]


class Result(Protocol):
    """A server's answer to one statement. ``rows``: text protocol values."""

    @property
    def rows(self) -> list[Cells]: ...
    @property
    def affected(self) -> int: ...
    @property
    def last_insert_id(self) -> int: ...
    @property
    def warnings(self) -> int: ...
    @property
    def info(self) -> bytes: ...


class Runs(Protocol):
    """What runs statements. ``time_limit``: in seconds, None for as long as it takes.

    Raises errors.BackendError, and errors.BackendLost also when the time is over.
    """

    async def execute(self, sql: bytes, time_limit: float | None = None, /) -> Result: ...
    async def execute_all(
        self, statements: Sequence[bytes], time_limit: float | None = None, /
    ) -> Sequence[Result | BackendError]:
        """The answers of statements that are sent at once; each runs whatever has become of those before it."""


class Connection(Runs, Protocol):
    """A backend connection."""

    @property
    def server_version(self) -> str: ...
    @property
    def capabilities(self) -> Capabilities: ...
    @property
    def thread_id(self) -> int: ...
    @property
    def busy(self) -> bool: ...
    def give_way(self) -> None: ...


class Connections(Protocol):
    """Pooled connections that carry the state of one client's session."""

    async def acquire(self, data_sources: Sequence[str]) -> Sequence[Connection]:
        """One connection per data source, all or none, the session's state applied, no transaction open."""

    def release(self, connection: Connection, reusable: bool) -> None: ...


class Unit(Protocol):
    """A route unit (``plan.model.RouteUnit``)."""

    @property
    def data_source(self) -> str: ...
    @property
    def table(self) -> str: ...
    @property
    def sql(self) -> str: ...
    @property
    def write(self) -> Write | None: ...


class Catalog(Protocol):
    """What the servers say of their tables (``plan.model.Catalog``)."""

    async def table(self, data_source: str, actual_table: str) -> Table | None: ...
    def invalidate(self, data_source: str, actual_table: str) -> None: ...


@dataclass(slots=True)
class WriteResult:
    """One logical statement's answer. ``matched`` is what a client with FOUND_ROWS is told, ``affected`` the others.

    ``last_insert_id``: 0 without an AUTO_INCREMENT column. ``selected``: an INSERT … SELECT, which counts its records
    even if they are none. ``warning_rows``: as SHOW WARNINGS has them.
    """

    affected: int = 0
    matched: int = 0
    last_insert_id: int = 0
    records: int = 0
    duplicates: int = 0
    warnings: int = 0
    op: str = ""
    selected: bool = False
    warning_rows: list[Cells] = field(default_factory=list)

    def add(self, other: WriteResult) -> None:
        """Take another data node's part in."""
        self.op = self.op or other.op
        self.selected = self.selected or other.selected
        self.affected += other.affected
        self.matched += other.matched
        self.records += other.records
        self.duplicates += other.duplicates
        self.warnings += other.warnings
        self.warning_rows += other.warning_rows
        self.last_insert_id = self.last_insert_id or other.last_insert_id

    @property
    def info(self) -> bytes:
        """The info string of MySQL's OK packet."""
        if self.op == "U":
            return b"Rows matched: %d  Changed: %d  Warnings: %d" % (self.matched, self.affected, self.warnings)
        if self.op == "I" and (self.records > 1 or self.selected):
            return b"Records: %d  Duplicates: %d  Warnings: %d" % (self.records, self.duplicates, self.warnings)
        return b""
