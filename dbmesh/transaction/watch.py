"""A local transaction's writes of tables that BASE transactions write, too: they look at the rows' global locks.

First the write, which takes the servers' row locks, then the look-up, then COMMIT: whoever comes later waits for the
row. The look-up uses a link of the mesh's own, since the transaction's own snapshot may be older than a lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from dbmesh.backend.connection import Connection, Request, Result
from dbmesh.errors import NotSupported
from dbmesh.saga import gates
from dbmesh.saga.lock_keys import LockKey
from dbmesh.saga.states import LockState
from dbmesh.saga.undo import Numbers
from dbmesh.saga.values import string_literal
from dbmesh.saga.writes import Recording, recording, tracing
from dbmesh.schema import Table
from dbmesh.transaction.failures import RowLocked, TooManyRows
from dbmesh.transaction.imaging import MOST_BYTES, MOST_ROWS, Imager, given_keys, require_rows
from dbmesh.transaction.journal import listed
from dbmesh.transaction.ports import Catalog, Cells, Unit
from dbmesh.transaction.recovery import Proxy
from dbmesh.transaction.waiting import Patience, becomes_free

HOLD_SECONDS = 0.2  # who holds row locks waits no longer than this for a global lock: its holder may need them

Based = Mapping[str, Collection[str]]  # data source → actual tables declared `base: true`


class Answer(NamedTuple):
    """One unit's answer. ``payloads``: rows as sent, of a write with RETURNING."""

    result: Result
    warning_rows: list[Cells]
    payloads: Sequence[bytes] = ()


async def answer_of(connection: Connection, request: Request) -> Answer:
    """Run one unit and keep the rows that RETURNING gives as they were sent. Raises TooManyRows."""
    stream = await connection.stream(request)
    payloads: list[bytes] = []
    size = 0
    while (batch := await stream.next_batch()) is not None:
        payloads += batch
        size += sum(map(len, batch))
        if size > MOST_BYTES:
            stream.close()
            raise TooManyRows(f"{MOST_BYTES >> 20} MB of RETURNING")
    ok = stream.reader.ok
    assert ok is not None
    result = Result(stream.columns, [], ok.affected, ok.last_insert_id, ok.status, ok.warnings, ok.info)
    return Answer(result, await connection.warnings() if ok.warnings else [], payloads)


@dataclass(frozen=True, slots=True)
class Task:
    """How one unit runs: ``record`` None: as it is. ``unrecorded``: why it could not be undone after its COMMIT."""

    record: Recording | None = None
    unrecorded: NotSupported | None = None
    tables: tuple[str, ...] = ()  # whose locks are looked at whole


class _Asked(NamedTuple):
    """A look-up under way. ``which``: the condition on ``row_lock`` for ``keys``."""

    data_source: str
    keys: set[LockKey]
    which: str
    holder: asyncio.Task[RowLocked | None]


def _forget(task: asyncio.Task[RowLocked | None]) -> None:
    if not task.cancelled():
        task.exception()


@dataclass(slots=True)
class WatchedStatement:
    """One statement of the client's. ``found_rows``: the client counts matched rows.

    ``holds``: what the transaction did before this statement would be lost by a new try, so it waits a little.
    """

    watch: Watch
    tasks: Mapping[int, Task]
    numbers: Numbers
    encoding: str
    found_rows: bool
    holds: bool
    imagers: dict[str, Imager] = field(default_factory=dict)
    tables: dict[str, set[str]] = field(default_factory=dict)
    unrecorded: dict[str, NotSupported] = field(default_factory=dict)
    asked: list[_Asked] = field(default_factory=list)
    data_sources: frozenset[str] = frozenset()

    @property
    def images(self) -> bool:
        return any(task.record is not None and not task.record.keys_only for task in self.tasks.values())

    async def run(self, unit: Unit, connection: Connection) -> Answer:
        """Raises TooManyRows, NotSupported and the server's errors."""
        task = self.tasks[id(unit)]
        name = unit.data_source
        if task.unrecorded is not None:
            self.unrecorded[name] = task.unrecorded
        if task.record is not None and not _is_too_large(task.record):
            return await self._imaged(task.record, unit, connection)
        self.tables.setdefault(name, set()).update(task.tables)
        return await self._as_it_is(unit, connection)

    async def _imaged(self, record: Recording, unit: Unit, connection: Connection) -> Answer:
        imager = self.imagers.get(unit.data_source)
        if imager is None:
            schema = self.watch.proxy.links.schema(unit.data_source)
            returning = "mariadb" in connection.server_version.lower()
            imager = Imager(connection, unit.data_source, schema, self.numbers, self.encoding, returning)
            imager.on_locked = partial(self._ask, unit.data_source)
            self.imagers[unit.data_source] = imager
        untold = _untold(record, imager)
        if untold is not None:
            if not record.keys_only:
                self.unrecorded[unit.data_source] = untold
                self.watch.check(self)
            self.tables.setdefault(unit.data_source, set()).add(record.table.name)
            return await self._as_it_is(unit, connection)
        try:
            part = await imager.write(record)
        except TooManyRows:
            if not record.keys_only:
                raise
            self.tables.setdefault(unit.data_source, set()).add(record.table.name)
            return await self._as_it_is(unit, connection)
        affected = part.matched if self.found_rows else part.affected
        result = Result([], [], affected, part.last_insert_id, warnings=part.warnings, info=part.info)
        return Answer(result, part.warning_rows)

    async def _as_it_is(self, unit: Unit, connection: Connection) -> Answer:
        return await answer_of(connection, unit.sql.encode(self.encoding, "surrogateescape"))

    def _ask(self, data_source: str, keys: set[LockKey]) -> None:
        """Look at the global locks while the rows are written: the server's locks are held already."""
        which = listed(keys)
        task = asyncio.ensure_future(self.watch.holder(data_source, which))
        self.asked.append(_Asked(data_source, keys, which, task))

    async def look_up(self) -> None:
        """Raise RowLocked when a row belongs to another global transaction, TooManyRows."""
        watch = self.watch
        watch.check(self)
        for asked in self.asked:
            await watch.require_free(asked.data_source, asked.which, self.holds, await asked.holder)
        for name, which in self._wanted():
            await watch.require_free(name, which, self.holds, await watch.holder(name, which))

    def close(self) -> None:
        """Forget the questions that nobody waits for any more."""
        for asked in self.asked:
            asked.holder.cancel()
            asked.holder.add_done_callback(_forget)

    def _wanted(self) -> list[tuple[str, str]]:
        found = []
        for name, imager in self.imagers.items():
            rest = imager.locks.difference(*(asked.keys for asked in self.asked if asked.data_source == name))
            if rest:
                found.append((name, listed(rest)))
        for name, tables in self.tables.items():
            if tables:
                found.append((name, of_tables(self.watch.proxy.links.schema(name), tables)))
        return found


def of_tables(schema: str, tables: Collection[str]) -> str:
    """A condition on ``row_lock`` for all locks of these actual tables."""
    names = ", ".join(string_literal(table) for table in sorted(tables))
    return f"db = {string_literal(schema)} AND tbl IN ({names})"


def _is_too_large(record: Recording) -> bool:
    return record.keys_only and len(record.write.insert_rows) > MOST_ROWS


def _untold(record: Recording, imager: Imager) -> NotSupported | None:
    """Why the keys of new rows cannot be had; None where they can."""
    if record.write.op != "I" or imager.returning or record.candidates:
        return None
    try:
        require_rows(record)
        given_keys(record)
    except NotSupported as why:
        return why
    return None


class Watch:
    """What a transaction's statements have in common. ``gtrid``: of its own global transaction, '' without one."""

    records = False
    gtrid = ""

    def __init__(self, proxy: Proxy, catalog: Catalog) -> None:
        self.proxy = proxy
        self.catalog = catalog

    async def statement(
        self, units: Sequence[Unit], based: Based, encoding: str, original: str, found_rows: bool, holds: bool
    ) -> WatchedStatement:
        """The next statement. Raises NotSupported, before anything is done."""
        tasks = {id(unit): await self._task(unit, based.get(unit.data_source, ())) for unit in units}
        made = WatchedStatement(self, tasks, self._numbers(original), encoding, found_rows, holds)
        made.data_sources = frozenset(unit.data_source for unit in units)
        return made

    def _numbers(self, original: str) -> Numbers:
        return Numbers(0, 0, 0)

    async def _task(self, unit: Unit, based: Collection[str]) -> Task:
        write = unit.write
        if write is None:
            return Task(None, NotSupported("this form of write cannot be compensated", gates.LOCAL_INSTEAD), (*based,))
        if write.table not in based:
            return Task(None, undeclared(write.table))
        table = await self.proxy.definitions.table(self.catalog, unit.data_source, write.table)
        if table is None:
            return Task(None, NotSupported(f"nothing is known of {write.table}", gates.LOCAL_INSTEAD), (write.table,))
        why: NotSupported | None = None
        if self.records:
            try:
                gates.check(write, table)
                await self.proxy.definitions.refuse_functions(unit.data_source, unit.sql)
                return Task(recording(write, table, self.proxy.deltas(unit.data_source, table.name)))
            except NotSupported as refusal:
                why = refusal
        return Task(_traced(unit, table), why, (write.table,))

    async def holder(self, data_source: str, which: str) -> RowLocked | None:
        """Which other global transaction has one of the locks."""
        return await self.proxy.shards.holder(data_source, which, self.gtrid)

    async def require_free(self, data_source: str, which: str, holds: bool, locked: RowLocked | None) -> None:
        """Raise RowLocked when another global transaction has one of the locks. ``holds``: wait a little before."""
        if locked is None:
            return
        patient = holds and locked.state is LockState.HELD
        if not patient or not await becomes_free(self.proxy, locked, self.gtrid, Patience(HOLD_SECONDS)):
            raise locked

    def check(self, statement: WatchedStatement) -> None:
        """Raise TooManyRows when the transaction could not keep what the statement has changed."""

    def accept(self, statement: WatchedStatement) -> None:
        """The statement holds; only COMMIT or ROLLBACK may still decide over it."""


def _traced(unit: Unit, table: Table) -> Recording | None:
    assert unit.write is not None
    try:
        gates.check_keys(unit.write, table)
        return tracing(unit.write, table)
    except NotSupported:
        return None


def undeclared(table: str) -> NotSupported:
    """Why BASE cannot undo writes of a table without ``base: true``."""
    return NotSupported(
        f"table {table} is not declared for BASE transactions",
        "write base: true into its rule, or use SET dbmesh_transaction='local'",
    )
