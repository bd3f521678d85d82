"""What a branch leaves on its shard beside the change: its row, its undo records and its global locks.

They are written on the client's own connection, in the local transaction of the change: they commit with it or not at
all. All text is ASCII and independent of the session's state.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dbmesh.saga.coordinator import DEFERRED
from dbmesh.saga.lock_keys import LockKey
from dbmesh.saga.states import LockState
from dbmesh.saga.undo import UndoRecord, encode_image, encode_touched
from dbmesh.saga.values import string_literal
from dbmesh.transaction.failpoints import step
from dbmesh.transaction.failures import RowLocked, TooManyRows
from dbmesh.transaction.log import text
from dbmesh.transaction.ports import Result, Runs
from dbmesh.transaction.tables import Place


def mode_of(bseq: int) -> str:
    """What ``branch.mode`` says of a branch with this number."""
    return "deferred" if bseq == DEFERRED else "eager"


def listed(keys: Iterable[LockKey]) -> str:
    """A condition on ``row_lock`` for exactly these keys."""
    digests = ", ".join(f"x'{key.digest.hex()}'" for key in keys)
    return f"lock_key IN ({digests})"


@dataclass(frozen=True, slots=True)
class Journal:
    """The branch ``bseq`` of one global transaction on one data source. ``patience``: seconds for each statement."""

    connection: Runs
    place: Place
    gtrid: str
    data_source: str
    bseq: int
    owner: str
    epoch: int
    encoding: str
    patience: float | None = None

    async def write(self, undo: Sequence[UndoRecord], locks: Iterable[LockKey], versions: Sequence[int]) -> None:
        """Raises RowLocked, TooManyRows, MeshError."""
        await self.lock(sorted(locks))
        await self._insert_branch(versions)
        await self._insert_undo(undo)

    async def _send(self, name: str, sql: str) -> Result:
        raw = sql.encode(self.encoding, "surrogateescape")
        return await step(name, self.data_source, lambda: self.connection.execute(raw, self.patience))

    async def lock(self, keys: Sequence[LockKey], state: LockState = LockState.HELD) -> None:
        """Take the rows' global locks; those that the transaction already has stay with their first branch."""
        table = self.place.name("row_lock")
        rest = f"{text(self.gtrid)}, {text(self.data_source)}, {self.bseq}, '{state}'"
        rows = [f"(x'{k.digest.hex()}', {rest}, {text(k.schema)}, {text(k.table)}, {text(k.text)})" for k in keys]
        for first, batch in _batches(rows, self.place.max_packet):
            head = f"INSERT IGNORE INTO {table} (lock_key, gtrid, ds, bseq, state, db, tbl, key_text) VALUES "
            done = await self._send("lock", head + ", ".join(batch))
            if done.affected != len(batch):
                await self._check_holders(table, listed(keys[first : first + len(batch)]))

    async def require_free(self, keys: Iterable[LockKey]) -> None:
        """Raise RowLocked when another global transaction has one of the locks, which are not taken."""
        wanted = listed(sorted(keys))
        if wanted != listed(()):
            await self._check_holders(self.place.name("row_lock"), wanted)

    async def _check_holders(self, table: str, which: str) -> None:
        found = await self._send(
            "lock",
            f"SELECT gtrid, state FROM {table} WHERE {which} AND gtrid <> {text(self.gtrid)} LIMIT 1000 FOR UPDATE",
        )
        if found.rows:
            states = [LockState((row[1] or b"").decode()) for row in found.rows]
            worst = LockState.ROLLING_BACK if LockState.ROLLING_BACK in states else LockState.HELD
            holder = (found.rows[states.index(worst)][0] or b"").decode()
            raise RowLocked(holder, worst, self.data_source, which)

    async def _insert_branch(self, versions: Sequence[int]) -> None:
        version = zlib.crc32(repr(list(versions)).encode())
        await self._send(
            "branch",
            f"INSERT INTO {self.place.name('branch')} (gtrid, ds, bseq, state, mode, schema_ver, owner, epoch)"
            f" VALUES ({text(self.gtrid)}, {text(self.data_source)}, {self.bseq}, 'COMMITTED', '{mode_of(self.bseq)}',"
            f" {version}, {text(self.owner)}, {self.epoch})",
        )

    async def _insert_undo(self, undo: Sequence[UndoRecord]) -> None:
        head = (
            f"INSERT INTO {self.place.name('undo_record')} (gtrid, ds, seq, bseq, stmt_no, op, db, tbl, pk,"
            " before_img, after_img, touched, reverse_sql, orig_sql, crc) VALUES "
        )
        rows = [self._undo_values(record) for record in undo]
        for _, batch in _batches(rows, self.place.max_packet):
            await self._send("undo", head + ", ".join(batch))

    def _undo_values(self, record: UndoRecord) -> str:
        values = (
            text(self.gtrid),
            text(self.data_source),
            str(record.seq),
            str(record.bseq),
            str(record.stmt_no),
            text(record.op),
            text(record.schema),
            text(record.table),
            text(encode_image(record.key)),
            text(encode_image(record.before)),
            text(encode_image(record.after)),
            text(encode_touched(record)),
            string_literal(record.reverse_sql),
            text(record.original),
            str(record.crc),
        )
        return f"({', '.join(values)})"


def _batches(rows: Sequence[str], max_packet: int) -> Iterable[tuple[int, list[str]]]:
    """Rows of a multi-row INSERT in packets of less than half the server's limit."""
    batch: list[str] = []
    size = first = 0
    for number, row in enumerate(rows):
        length = len(row) if row.isascii() else len(row.encode())
        if length > max_packet - 4096:
            raise TooManyRows(f"{max_packet} bytes for one row's undo record, from the server's max_allowed_packet")
        if batch and size + length > max_packet // 2:
            yield first, batch
            batch, size, first = [], 0, number
        batch.append(row)
        size += length + 2
    if batch:
        yield first, batch
