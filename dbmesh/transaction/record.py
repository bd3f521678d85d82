"""One statement's writes on one data source, recorded: a local transaction on the client's own connection, left open.

The business change, the gate check, the branch row, the undo records and the row locks commit together or not at all.
Everything but the client's own clauses is ASCII and independent of the session's state (see `saga.writes`).
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dbmesh.errors import BackendError, MeshError, NotSupported
from dbmesh.saga import gates
from dbmesh.saga.images import Row
from dbmesh.saga.lock_keys import LockKey, lock_keys
from dbmesh.saga.states import LockState
from dbmesh.saga.undo import Numbers, UndoRecord, encode_image, undo_records
from dbmesh.saga.values import quoted, string_literal
from dbmesh.saga.writes import Recording, recording
from dbmesh.schema import Column, Table
from dbmesh.transaction.failpoints import step
from dbmesh.transaction.log import text
from dbmesh.transaction.ports import Cells, Connection, Result, Unit, WriteResult
from dbmesh.transaction.tables import Place

MOST_ROWS = 10_000
MOST_BYTES = 64 << 20
_DUPLICATE = 1062
_GENERATED = frozenset(("NULL", "DEFAULT", "0"))
_CONSTANT = re.compile(r"\s*([-+]?[0-9][0-9.eE+-]*|'(?:[^'\\]|'')*'|0[xX][0-9a-fA-F]+|[xX]'[0-9a-fA-F]*')\s*")


class TooManyRows(MeshError):
    """ER_UNKNOWN_ERROR with the limit named: a statement changes more than BASE can keep undo records of."""

    def __init__(self, limit: str) -> None:
        super().__init__(f"statement changes too many rows for a BASE transaction (limit {limit}); write in batches")


class GateClosed(Exception):
    """The outcome of the global transaction was decided elsewhere."""


class RowLocked(Exception):
    """A row belongs to another global transaction. ``digests``: the locked keys."""

    def __init__(self, holder: str, state: LockState, digests: list[bytes]) -> None:
        super().__init__(holder)
        self.holder = holder
        self.state = state
        self.digests = digests


@dataclass(slots=True)
class Recorder:
    """Runs and records the units of one branch. ``encoding``: the Python codec of the client's character set."""

    connection: Connection
    place: Place
    schema: str
    gtrid: str
    data_source: str
    numbers: Numbers
    owner: str
    epoch: int
    encoding: str
    returning: bool
    result: WriteResult = field(default_factory=WriteResult)
    undo: list[UndoRecord] = field(default_factory=list)
    locks: set[LockKey] = field(default_factory=set)
    versions: list[int] = field(default_factory=list)
    safe_updates: bool | None = None

    async def run(self, gate_exists: bool, work: Sequence[tuple[Unit, Table]]) -> None:
        """Everything up to, not including, COMMIT. Raises GateClosed, RowLocked, MeshError."""
        await self._send("begin", "START TRANSACTION")
        await self._pass_gate(gate_exists)
        for unit, table in work:
            await self._write(unit, table)
        if self.undo:
            await self._lock()
            await self._insert_branch()
            await self._insert_undo()

    async def _send(self, name: str, sql: str) -> Result:
        raw = sql.encode(self.encoding, "surrogateescape")
        return await step(name, self.data_source, lambda: self.connection.execute(raw))

    async def _pass_gate(self, exists: bool) -> None:
        table = self.place.name("gate")
        keys = f"{text(self.gtrid)}, {text(self.data_source)}"
        if not exists:
            try:
                await self._send("gate", f"INSERT INTO {table} (gtrid, ds, state) VALUES ({keys}, 'OPEN')")
                return
            except BackendError as error:
                if error.errno != _DUPLICATE:
                    raise
        found = await self._send(
            "gate", f"SELECT state, @@sql_safe_updates FROM {table} WHERE (gtrid, ds) = ({keys}) LIMIT 1 FOR UPDATE"
        )
        if not found.rows or found.rows[0][0] != b"OPEN":
            raise GateClosed
        self.safe_updates = found.rows[0][1] == b"1"

    async def _write(self, unit: Unit, table: Table) -> None:
        assert unit.write is not None
        gates.check(unit.write, table)
        record = recording(unit.write, table)
        self.versions.append(zlib.crc32(repr(table).encode()))
        if unit.write.op == "I":
            before: list[Row] = []
            after, part = await self._insert(record)
        else:
            before, after, part = await self._change(record)
        part.op = unit.write.op
        made = undo_records(record, self.schema, before, after, self.numbers)
        part.affected = len(made)
        self.result.add(part)
        self.undo += made
        changed = {record.key_of(row) for row in before} if unit.write.op == "D" else None
        rows = before if changed is not None else [*_changed(before, after), *after]
        if made:
            self.locks |= lock_keys(self.schema, table.name, record.locked, rows)
        if len(self.undo) > MOST_ROWS:
            raise TooManyRows(f"{MOST_ROWS} rows")

    async def _change(self, record: Recording) -> tuple[list[Row], list[Row], WriteResult]:
        """UPDATE or DELETE: snapshot, the write pinned to the snapshot's rows, after image."""
        found = await self._send("snapshot", record.snapshot(MOST_ROWS))
        if len(found.rows) > MOST_ROWS:
            raise TooManyRows(f"{MOST_ROWS} rows")
        before = [record.capture.read(row) for row in _bounded(found.rows)]
        rehearsed = await self._rehearse(record) if found.warnings or await self._is_careful() else None
        if rehearsed is not None and not before:
            return before, [], rehearsed
        done = await self._send("dml", record.pinned(before))
        part = rehearsed or WriteResult(warnings=done.warnings, warning_rows=await self._warnings(done))
        part.matched = len(before)
        if record.write.op == "D" or not before:
            if record.write.op == "D" and done.affected != len(before):
                raise _unexpected(record, len(before), done.affected)
            return before, [], part
        answer = await self._send("image", record.after(before))
        after = [record.capture.read(row) for row in _bounded(answer.rows)]
        if {record.key_of(row) for row in after} != {record.key_of(row) for row in before}:
            raise _unexpected(record, len(before), len(after))
        return before, after, part

    async def _is_careful(self) -> bool:
        """With sql_safe_updates the server refuses by the form of the client's WHERE, which a pinned write has not."""
        if self.safe_updates is None:
            self.safe_updates = (await self._send("snapshot", "SELECT @@sql_safe_updates")).rows[0][0] == b"1"
        return self.safe_updates

    async def _rehearse(self, record: Recording) -> WriteResult:
        """The warnings of the client's own WHERE, or its error: in strict mode a write fails where a SELECT warns."""
        await self._send("dml", "SAVEPOINT dbmesh_rehearsal")
        done = await self._send("dml", record.whole)
        part = WriteResult(warnings=done.warnings, warning_rows=await self._warnings(done))
        await self._send("dml", "ROLLBACK TO SAVEPOINT dbmesh_rehearsal")
        return part

    async def _insert(self, record: Recording) -> tuple[list[Row], WriteResult]:
        if not record.write.insert_rows:
            raise NotSupported(
                "only INSERT … VALUES can be compensated in a BASE transaction", "use SET dbmesh_transaction='local'"
            )
        if len(record.write.insert_rows) > MOST_ROWS:
            raise TooManyRows(f"{MOST_ROWS} rows")
        if self.returning:
            done = await self._send("dml", f"{record.write.head}\nRETURNING {record.capture.select_list}")
            answer: Result = done
        else:
            done = await self._send("dml", record.write.head)
            answer = await self._send("image", await self._find_inserted(record, done))
        rows = [record.capture.read(row) for row in _bounded(answer.rows)]
        if len(rows) != len(record.write.insert_rows):
            raise _unexpected(record, len(record.write.insert_rows), len(rows))
        part = WriteResult(matched=len(rows), records=len(rows), warnings=done.warnings)
        part.warning_rows = await self._warnings(done)
        part.last_insert_id = _last_insert_id(record, rows) if self.returning else done.last_insert_id
        return rows, part

    async def _find_inserted(self, record: Recording, done: Result) -> str:
        """Where a server has no RETURNING: the new rows by their keys, constants or consecutive numbers."""
        conditions = [self._inserted_key(record, values) for values in record.write.insert_rows]
        if all(condition is not None for condition in conditions):
            where = " OR ".join(f"({condition})" for condition in conditions)
        elif all(condition is None for condition in conditions) and len(record.key.columns) == 1:
            increment = int((await self._send("image", "SELECT @@auto_increment_increment")).rows[0][0] or 1)
            first, count = done.last_insert_id, len(conditions)
            ids = ", ".join(str(first + n * increment) for n in range(count))
            where = f"{quoted(record.key.columns[0])} IN ({ids})"
        else:
            raise _unknown_key(record)
        return (
            f"SELECT {record.capture.select_list} FROM {quoted(record.write.table)} WHERE {where}"
            f" ORDER BY {', '.join(quoted(c) for c in record.key.columns)} LIMIT {MOST_ROWS} FOR UPDATE"
        )

    def _inserted_key(self, record: Recording, values: Sequence[str]) -> str | None:
        """The condition of one new row's key; None when the server numbered it."""
        given = _given(record, values)
        parts = []
        for name in record.key.columns:
            value = given.get(name.lower(), "DEFAULT").strip()
            column = record.table.column(name)
            if column is not None and column.auto_increment and value.upper() in _GENERATED:
                return None
            if not _CONSTANT.fullmatch(value):
                raise _unknown_key(record)
            parts.append(f"{quoted(name)} = {value}")
        return " AND ".join(parts)

    async def _warnings(self, done: Result) -> list[Cells]:
        return (await self._send("image", "SHOW WARNINGS")).rows if done.warnings else []

    async def _lock(self) -> None:
        """Take the rows' global locks; those that the transaction already has stay with their first branch."""
        table = self.place.name("row_lock")
        keys = sorted(self.locks)
        rest = f"{text(self.gtrid)}, {text(self.data_source)}, {self.numbers.bseq}"
        rows = [f"(x'{k.digest.hex()}', {rest}, {text(k.schema)}, {text(k.table)}, {text(k.text)})" for k in keys]
        for first, batch in _batches(rows, self.place.max_packet):
            head = f"INSERT IGNORE INTO {table} (lock_key, gtrid, ds, bseq, db, tbl, key_text) VALUES "
            done = await self._send("lock", head + ", ".join(batch))
            if done.affected != len(batch):
                await self._check_holders(table, keys[first : first + len(batch)])

    async def _check_holders(self, table: str, keys: Sequence[LockKey]) -> None:
        listed = ", ".join(f"x'{key.digest.hex()}'" for key in keys)
        found = await self._send(
            "lock",
            f"SELECT HEX(lock_key), gtrid, state FROM {table} WHERE lock_key IN ({listed})"
            f" AND gtrid <> {text(self.gtrid)} LIMIT 1000 FOR UPDATE",
        )
        if found.rows:
            states = [LockState((row[2] or b"").decode()) for row in found.rows]
            worst = LockState.ROLLING_BACK if LockState.ROLLING_BACK in states else LockState.HELD
            holder = (found.rows[states.index(worst)][1] or b"").decode()
            raise RowLocked(holder, worst, [bytes.fromhex((row[0] or b"").decode()) for row in found.rows])

    async def _insert_branch(self) -> None:
        version = zlib.crc32(repr(self.versions).encode())
        await self._send(
            "branch",
            f"INSERT INTO {self.place.name('branch')} (gtrid, ds, bseq, state, mode, schema_ver, owner, epoch)"
            f" VALUES ({text(self.gtrid)}, {text(self.data_source)}, {self.numbers.bseq}, 'COMMITTED', 'eager',"
            f" {version}, {text(self.owner)}, {self.epoch})",
        )

    async def _insert_undo(self) -> None:
        head = (
            f"INSERT INTO {self.place.name('undo_record')} (gtrid, ds, seq, bseq, stmt_no, op, db, tbl, pk,"
            " before_img, after_img, touched, reverse_sql, orig_sql, crc) VALUES "
        )
        rows = [self._undo_values(record) for record in self.undo]
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
            text(json.dumps(record.touched)),
            string_literal(record.reverse_sql),
            text(record.original),
            str(record.crc),
        )
        return f"({', '.join(values)})"


def _changed(before: Sequence[Row], after: Sequence[Row]) -> Iterable[Row]:
    return before if after else ()


def _bounded(rows: list[Cells]) -> list[Cells]:
    if sum(len(value) for row in rows for value in row if value is not None) > MOST_BYTES:
        raise TooManyRows(f"{MOST_BYTES >> 20} MB of images")
    return rows


def _batches(rows: Sequence[str], max_packet: int) -> Iterable[tuple[int, list[str]]]:
    """Rows of a multi-row INSERT in packets of less than half the server's limit."""
    batch: list[str] = []
    size = first = 0
    for number, row in enumerate(rows):
        if len(row) > max_packet - 4096:
            raise TooManyRows(f"{max_packet} bytes for one row's undo record, from the server's max_allowed_packet")
        if batch and size + len(row) > max_packet // 2:
            yield first, batch
            batch, size, first = [], 0, number
        batch.append(row)
        size += len(row) + 2
    if batch:
        yield first, batch


def _given(record: Recording, values: Sequence[str]) -> dict[str, str]:
    names = record.write.insert_columns or tuple(c.name for c in record.table.columns if not c.invisible)
    return dict(zip([name.lower() for name in names], values, strict=False))


def _last_insert_id(record: Recording, rows: Sequence[Row]) -> int:
    """What MySQL's OK packet says: the first number that the server chose, else the last one given."""
    column = next((c for c in record.table.columns if c.auto_increment), None)
    if column is None or column.name not in rows[0].values:
        return 0
    numbers = [int(row.values[column.name].text or 0) for row in rows]
    for values, number in zip(record.write.insert_rows, numbers, strict=True):
        if _is_generated(record, column, values):
            return number
    return numbers[-1]


def _is_generated(record: Recording, column: Column, values: Sequence[str]) -> bool:
    return _given(record, values).get(column.name.lower(), "DEFAULT").strip().upper() in _GENERATED


def _unexpected(record: Recording, expected: int, found: int) -> NotSupported:
    return NotSupported(
        f"{found} rows of {record.write.table} came back where {expected} were expected: it could not be compensated",
        "use SET dbmesh_transaction='local' for it",
    )


def _unknown_key(record: Recording) -> NotSupported:
    return NotSupported(
        f"the key of a new row of {record.write.table} is an expression, and this server has no INSERT … RETURNING",
        "give the key as a constant or leave it to AUTO_INCREMENT for all rows",
    )
