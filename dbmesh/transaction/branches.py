"""Branches, gates, locks and undo records on the shards, reached by the mesh's own links."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from dbmesh.errors import BackendError, BackendLost
from dbmesh.saga.commands import Branches, Done, Existed
from dbmesh.saga.states import BranchState, LockState
from dbmesh.saga.undo import Op, UndoRecord, decode_image, decode_touched
from dbmesh.transaction.failpoints import step
from dbmesh.transaction.failures import RowLocked
from dbmesh.transaction.journal import mode_of
from dbmesh.transaction.link import Answer, Link, Links
from dbmesh.transaction.log import text
from dbmesh.transaction.meters import Counters
from dbmesh.transaction.ports import Cells
from dbmesh.transaction.tables import Place

_DUPLICATE = 1062
_PATIENCE = 1.0  # seconds that a gate or a tombstone waits before whoever blocks it is killed
# Whoever has a lock that connection {} waits for, and is of the mesh's own account.
_BLOCKERS_MARIADB = (
    "SELECT DISTINCT w.blocking_pid FROM sys.innodb_lock_waits w JOIN information_schema.PROCESSLIST p"
    " ON p.ID = w.blocking_pid WHERE w.waiting_pid = {} AND p.USER = SUBSTRING_INDEX(CURRENT_USER(), '@', 1)"
)
# By transaction: data_lock_waits takes the waiting thread for the owner of a lock that it had to make explicit itself.
_BLOCKERS_MYSQL = (
    "SELECT DISTINCT h.trx_mysql_thread_id FROM performance_schema.data_lock_waits w"
    " JOIN information_schema.INNODB_TRX r ON r.trx_id = w.REQUESTING_ENGINE_TRANSACTION_ID"
    " JOIN information_schema.INNODB_TRX h ON h.trx_id = w.BLOCKING_ENGINE_TRANSACTION_ID"
    " JOIN performance_schema.threads t ON t.PROCESSLIST_ID = h.trx_mysql_thread_id"
    " WHERE r.trx_mysql_thread_id = {} AND t.PROCESSLIST_USER = SUBSTRING_INDEX(CURRENT_USER(), '@', 1)"
)
Meanwhile = Callable[[], Awaitable[object]]
UNDO_COLUMNS = "seq, bseq, stmt_no, op, db, tbl, pk, before_img, after_img, touched, reverse_sql, orig_sql, crc"


@dataclass(frozen=True, slots=True)
class Branch:
    """A row of ``branch``."""

    data_source: str
    bseq: int
    state: BranchState
    created_at: str
    ended_at: str | None
    note: str | None


@dataclass(frozen=True, slots=True)
class BranchRow:
    """A branch of any transaction."""

    gtrid: str
    bseq: int
    state: BranchState


@dataclass(frozen=True, slots=True)
class RowChange:
    """One recorded change of a row, and what has become of it. ``at``: by the shard's clock, UTC."""

    data_source: str
    at: str
    gtrid: str
    state: BranchState
    record: UndoRecord


@dataclass(frozen=True, slots=True)
class StoredUndo:
    """An undo record as read back; ``intact``: its checksum holds."""

    record: UndoRecord
    intact: bool


class Shards:
    """The mesh's tables on every data source. ``places``: filled at start-up. ``counters``: of what is done there."""

    def __init__(self, links: Links, places: dict[str, Place], counters: Counters) -> None:
        self.links = links
        self.places = places
        self.counters = counters

    def place(self, data_source: str) -> Place:
        """Raises errors.BackendLost while a data source has not answered since the start."""
        place = self.places.get(data_source)
        if place is None:
            raise BackendLost(data_source, False, "its mesh tables have not been found yet")
        return place

    async def plant(
        self,
        gtrid: str,
        data_source: str,
        bseq: int,
        epoch: int,
        mode: str | None = None,
        meanwhile: Meanwhile | None = None,
    ) -> Done | Existed:
        """A tombstone in a branch's place: Done when the branch can never commit, Existed when it has.

        ``meanwhile``: see `insist`.
        """
        table = self.place(data_source).name("branch")
        sql = (
            f"INSERT INTO {table} (gtrid, ds, bseq, state, mode, schema_ver, epoch, ended_at) VALUES"
            f" ({text(gtrid)}, {text(data_source)}, {bseq}, 'ABORTED', '{mode or mode_of(bseq)}', 0, {epoch},"
            " NOW(6))"
        )
        try:
            await step("plant", data_source, lambda: self.insist(data_source, sql, meanwhile))
        except BackendError as error:
            if error.errno != _DUPLICATE:
                raise
            states = dict((await self.branches(gtrid, data_source)).branches)
            return Done() if states.get(bseq) is BranchState.ABORTED else Existed()
        return Done()

    async def close_gate(self, gtrid: str, data_source: str) -> Done:
        """Waits for a statement in flight, and kills its connection when that takes longer than a second."""
        sql = (
            f"INSERT INTO {self.place(data_source).name('gate')} (gtrid, ds, state) VALUES"
            f" ({text(gtrid)}, {text(data_source)}, 'CLOSED') ON DUPLICATE KEY UPDATE state='CLOSED'"
        )
        await step("close_gate", data_source, lambda: self.insist(data_source, sql))
        return Done()

    async def insist(self, data_source: str, sql: str, meanwhile: Meanwhile | None = None) -> Answer:
        """Run a statement on the mesh's own rows; whoever still blocks it after a second loses its connection.

        ``meanwhile``: what else may end the blocker, tried after that.
        """
        async with self.links.link(data_source) as link:
            running = asyncio.ensure_future(link.execute(sql))
            try:
                while not (await asyncio.wait([running], timeout=_PATIENCE))[0]:
                    with suppress(BackendError, BackendLost):
                        await self._kill_blockers(data_source, link)
                        if meanwhile is not None:
                            await meanwhile()
                return await running
            finally:
                if not running.done():
                    running.cancel()
                    await asyncio.wait([running])

    async def _kill_blockers(self, data_source: str, waiting: Link) -> None:
        """Ask the server who blocks: a stored connection id could by now be an innocent's."""
        async with self.links.link(data_source) as link:
            answer = await link.execute(blockers(waiting))
            for row in answer.rows:
                await link.execute(f"KILL {int(row[0] or 0)}")

    async def mark_locks(self, gtrid: str, data_source: str) -> Done:
        sql = (
            f"UPDATE {self.place(data_source).name('row_lock')} SET state='ROLLING_BACK'"
            f" WHERE gtrid={text(gtrid)} AND ds={text(data_source)}"
        )
        await step("mark_locks", data_source, lambda: self.links.execute(data_source, sql))
        return Done()

    async def branches(self, gtrid: str, data_source: str) -> Branches:
        return Branches([(b.bseq, b.state) for b in await self.list_branches(gtrid, data_source)])

    async def list_branches(self, gtrid: str, data_source: str) -> list[Branch]:
        """The branches on a data source, in order."""
        sql = (
            f"SELECT bseq, state, created_at, ended_at, note FROM {self.place(data_source).name('branch')}"
            f" WHERE gtrid={text(gtrid)} AND ds={text(data_source)} ORDER BY bseq"
        )
        answer = await step("read_branches", data_source, lambda: self.links.execute(data_source, sql))
        return [_branch(data_source, row) for row in answer.rows]

    async def all_branches(self, data_source: str) -> list[BranchRow]:
        """The branches of all transactions that the data source knows of."""
        answer = await self.links.execute(
            data_source,
            f"SELECT gtrid, bseq, state FROM {self.place(data_source).name('branch')} WHERE ds={text(data_source)}",
        )
        return [BranchRow(_str(row[0]), int(row[1] or 0), BranchState(_str(row[2]))) for row in answer.rows]

    async def open_records(self, data_source: str) -> list[tuple[str, StoredUndo]]:
        """(gtrid, undo record) of branches that may still have to be undone, at most 10,000."""
        place = self.place(data_source)
        columns = ", ".join(f"u.{name.strip()}" for name in UNDO_COLUMNS.split(","))
        answer = await self.links.execute(
            data_source,
            f"SELECT u.gtrid, {columns} FROM {place.name('branch')} b JOIN {place.name('undo_record')} u"
            " ON (u.gtrid, u.ds, u.bseq) = (b.gtrid, b.ds, b.bseq)"
            f" WHERE b.ds={text(data_source)} AND b.state IN ('COMMITTED', 'PARKED') LIMIT 10000",
        )
        return [(_str(row[0]), stored_undo(row[1:])) for row in answer.rows]

    async def changes(self, data_source: str, table: str, most: int) -> list[RowChange]:
        """What transactions have changed in an actual table, the newest first."""
        place = self.place(data_source)
        columns = ", ".join(f"u.{name.strip()}" for name in UNDO_COLUMNS.split(","))
        answer = await self.links.ask(
            data_source,
            f"SELECT b.created_at, u.gtrid, b.state, {columns} FROM {place.name('undo_record')} u"
            f" JOIN {place.name('branch')} b ON (b.gtrid, b.ds, b.bseq) = (u.gtrid, u.ds, u.bseq)"
            f" WHERE u.db={text(self.links.schema(data_source))} AND u.tbl={text(table)} AND u.ds={text(data_source)}"
            f" ORDER BY b.created_at DESC, u.gtrid DESC, u.seq DESC LIMIT {most}",
        )
        return [
            RowChange(data_source, _str(row[0]), _str(row[1]), BranchState(_str(row[2])), stored_undo(row[3:]).record)
            for row in answer.rows
        ]

    async def undo_records(self, gtrid: str, data_source: str) -> list[StoredUndo]:
        """All undo records of a transaction on a data source, the last first."""
        table = self.place(data_source).name("undo_record")
        answer = await self.links.execute(
            data_source,
            f"SELECT {UNDO_COLUMNS} FROM {table} WHERE gtrid={text(gtrid)} AND ds={text(data_source)}"
            " ORDER BY seq DESC",
        )
        return [stored_undo(row) for row in answer.rows]

    async def locks(self, gtrid: str, data_source: str) -> list[tuple[str, str, str]]:
        """(table, key, state) of the row locks that a transaction holds."""
        table = self.place(data_source).name("row_lock")
        answer = await self.links.execute(
            data_source,
            f"SELECT tbl, key_text, state FROM {table} WHERE gtrid={text(gtrid)} AND ds={text(data_source)}"
            " ORDER BY tbl, key_text",
        )
        return [(_str(row[0]), _str(row[1]), _str(row[2])) for row in answer.rows]

    async def all_locks(self, data_source: str, table: str | None = None) -> list[dict[str, str]]:
        """All global locks of a data source, the oldest first, at most 10,000."""
        only = "" if table is None else f" AND tbl={text(table)}"
        answer = await self.links.ask(
            data_source,
            f"SELECT ds, db, tbl, key_text, state, gtrid, created_at FROM {self.place(data_source).name('row_lock')}"
            f" WHERE ds={text(data_source)}{only} ORDER BY created_at, lock_key LIMIT 10000",
        )
        names = ("data_source", "schema", "table", "key", "state", "gtrid", "created_at")
        return [dict(zip(names, map(_str, row), strict=True)) for row in answer.rows]

    async def holder(self, data_source: str, keys: str, gtrid: str) -> RowLocked | None:
        """Who else than ``gtrid`` holds one of the locks, None when they are free. ``keys``: a condition."""
        sql = (
            f"SELECT gtrid, state FROM {self.place(data_source).name('row_lock')} WHERE {keys}"
            f" AND gtrid <> {text(gtrid)} ORDER BY state DESC LIMIT 1"
        )
        answer = await step("look_up", data_source, lambda: self.links.ask(data_source, sql))
        if not answer.rows:
            return None
        return RowLocked(_str(answer.rows[0][0]), LockState(_str(answer.rows[0][1])), data_source, keys)

    async def release(self, gtrid: str, data_source: str) -> Done:
        """After COMMITTED: the locks go, the branches are DONE."""
        place = self.place(data_source)
        which = f"gtrid={text(gtrid)} AND ds={text(data_source)}"
        free = f"DELETE FROM {place.name('row_lock')} WHERE {which}"
        done = f"UPDATE {place.name('branch')} SET state='DONE', ended_at=NOW(6) WHERE {which} AND state='COMMITTED'"
        await step("release", data_source, lambda: self.links.execute(data_source, free))
        await self.links.execute(data_source, done)
        return Done()

    async def park(self, gtrid: str, data_source: str, bseq: int, note: str) -> None:
        await self.links.execute(
            data_source,
            f"UPDATE {self.place(data_source).name('branch')} SET state='PARKED', note={text(note[:1000])}"
            f" WHERE gtrid={text(gtrid)} AND ds={text(data_source)} AND bseq={bseq}"
            " AND state IN ('COMMITTED', 'PARKED')",
        )
        self.counters.parkings += 1

    async def forget(self, gtrids: Sequence[str], data_source: str) -> None:
        """Remove what is kept of ended transactions."""
        place = self.place(data_source)
        listed = ", ".join(text(gtrid) for gtrid in gtrids)
        for table in ("undo_record", "row_lock", "branch", "gate"):
            await self.links.execute(data_source, f"DELETE FROM {place.name(table)} WHERE gtrid IN ({listed})")


def blockers(waiting: Link) -> str:
    """The question, for another link, which connections of the mesh's own account block this one."""
    question = _BLOCKERS_MARIADB if "MariaDB" in waiting.server_version else _BLOCKERS_MYSQL
    return question.format(waiting.thread_id)


def stored_undo(row: Cells) -> StoredUndo:
    """An undo record from a row of UNDO_COLUMNS."""
    cells = [None if value is None else value.decode() for value in row]
    op: Op = "I" if cells[3] == "I" else "U" if cells[3] == "U" else "D"
    touched, delta = decode_touched(cells[9] or "[]")
    record = UndoRecord(
        seq=int(cells[0] or 0),
        bseq=int(cells[1] or 0),
        stmt_no=int(cells[2] or 0),
        op=op,
        schema=cells[4] or "",
        table=cells[5] or "",
        key=decode_image(cells[6]) or {},
        before=decode_image(cells[7]),
        after=decode_image(cells[8]),
        touched=touched,
        delta=delta,
        reverse_sql=cells[10] or "",
        original=cells[11],
    )
    return StoredUndo(record, record.crc == int(cells[12] or 0))


def _branch(data_source: str, row: Cells) -> Branch:
    cells = [None if value is None else value.decode("utf-8", "replace") for value in row]
    return Branch(data_source, int(cells[0] or 0), BranchState(cells[1] or ""), cells[2] or "", cells[3], cells[4])


def _str(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", "replace")
