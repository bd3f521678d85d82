"""One write on one data source with the keys, and if wanted the images, of the rows that it changes.

The client's own clauses run on the client's own connection, inside its open local transaction; everything around them
is ASCII and independent of the session's state (see `saga.writes`).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dbmesh.errors import BackendError, NotSupported
from dbmesh.saga.images import Row
from dbmesh.saga.lock_keys import LockKey, lock_keys
from dbmesh.saga.undo import Numbers, UndoRecord, commutes, pairs_of, undo_records
from dbmesh.saga.upserts import effect, explains
from dbmesh.saga.values import CONSTANT, quoted
from dbmesh.saga.writes import Recording
from dbmesh.schema import Column
from dbmesh.transaction.failpoints import step
from dbmesh.transaction.failures import TooManyRows
from dbmesh.transaction.ports import Cells, Connection, Result, WriteResult

MOST_ROWS = 10_000
MOST_BYTES = 64 << 20
_TOO_LONG = b"1301"
_GENERATED = frozenset(("NULL", "DEFAULT", "0"))
_DUPLICATES = re.compile(rb"Duplicates: (\d+)")
_CHANGED = re.compile(rb"Changed: (\d+)")


@dataclass(slots=True)
class Imager:
    """Runs writes and keeps what it has learnt of them. ``encoding``: Python codec of the client's character set.

    ``returning``: the server has INSERT … RETURNING. ``safe_updates``: the session's sql_safe_updates, None while it
    has not been asked. ``on_locked``: told the keys of rows that are about to be written, once the server's row locks
    are held, where no other keys can come of the write. ``passed``: keys whose locks have to be free of others, but are
    not taken.
    """

    connection: Connection
    data_source: str
    schema: str
    numbers: Numbers
    encoding: str
    returning: bool
    result: WriteResult = field(default_factory=WriteResult)
    undo: list[UndoRecord] = field(default_factory=list)
    locks: set[LockKey] = field(default_factory=set)
    passed: set[LockKey] = field(default_factory=set)
    versions: list[int] = field(default_factory=list)
    safe_updates: bool | None = None
    on_locked: Callable[[set[LockKey]], None] = field(default=lambda keys: None)

    async def send(self, name: str, sql: str) -> Result:
        """Run a statement. ``name``: its failpoint."""
        raw = sql.encode(self.encoding, "surrogateescape")
        return await step(name, self.data_source, lambda: self.connection.execute(raw))

    async def send_all(self, *statements: str) -> list[Result]:
        """Run a write and what looks at its effects, sent at once; its error counts before the others'."""
        raw = [sql.encode(self.encoding, "surrogateescape") for sql in statements]

        async def image() -> Sequence[Result | BackendError]:
            return await step("image", self.data_source, lambda: self.connection.execute_all(raw))

        answers = await step("dml", self.data_source, image)
        results = []
        for answer in answers:
            if isinstance(answer, BackendError):
                raise answer
            results.append(answer)
        return results

    async def write(self, record: Recording) -> WriteResult:
        """Run one write; its own part of ``result``. Raises NotSupported, TooManyRows and the server's errors."""
        op = record.write.op
        pairs: Sequence[tuple[Row | None, Row | None]] | None = None
        if record.candidates:
            before, after, pairs, part = await self._upsert(record)
        elif op == "I":
            before = []
            after, part = await self._insert(record)
        else:
            before, after, part = await self._change(record)
        part.op = op
        if not record.keys_only:
            self.versions.append(zlib.crc32(repr(record.table).encode()))
            made = undo_records(
                record, self.schema, pairs_of(record, before, after) if pairs is None else pairs, self.numbers
            )
            part.affected = len(made) if pairs is None else part.affected
            self.undo += made
        self.result.add(part)
        if record.keys_only or made:
            keys = lock_keys(self.schema, record.table.name, record.locked, [*before, *after])
            if not record.keys_only and all(commutes(undo) for undo in made):
                self.passed |= keys
            else:
                self.locks |= keys
        return part

    async def _change(self, record: Recording) -> tuple[list[Row], list[Row], WriteResult]:
        """UPDATE or DELETE: snapshot, the write pinned to the snapshot's rows, after image."""
        found = await self.send("snapshot", record.snapshot(MOST_ROWS))
        if len(found.rows) > MOST_ROWS:
            raise TooManyRows(f"{MOST_ROWS} rows")
        before = await self._read(record, found)
        if found.rows:
            self.safe_updates = found.rows[0][-1] == b"1"
        rehearsed = await self._rehearse(record) if found.warnings or await self._is_careful() else None
        if rehearsed is not None and not before:
            return before, [], rehearsed
        if before and record.keeps_keys:
            self.on_locked(lock_keys(self.schema, record.table.name, record.locked, before))
        deletes = record.write.op == "D"
        looks = bool(before) and (record.write.ignore if deletes else record.needs_after)
        if looks:
            # SHOW WARNINGS comes along: the after image would clear them
            done, warned, image = await self.send_all(record.pinned(before), "SHOW WARNINGS", record.after(before))
            part = rehearsed or WriteResult(warnings=done.warnings, warning_rows=warned.rows)
        else:
            done = await self.send("dml", record.pinned(before))
            part = rehearsed or WriteResult(warnings=done.warnings, warning_rows=await self._warnings(done))
        part.matched = len(before)
        part.affected = _changed(done)
        part.last_insert_id = done.last_insert_id
        if deletes and done.affected != len(before) and not record.write.ignore:
            raise _unexpected(record, len(before), done.affected)
        if not looks:
            return before, [], part
        after = await self._read(record, image)
        if deletes:
            kept = set(map(record.key_of, after))
            return [row for row in before if record.key_of(row) not in kept], [], part
        if sorted(map(record.key_of, after)) != sorted(map(record.key_of, before)):
            raise _unexpected(record, len(before), len(after))
        return before, after, part

    async def _is_careful(self) -> bool:
        """With sql_safe_updates the server refuses by the form of the client's WHERE, which a pinned write has not."""
        if self.safe_updates is None:
            self.safe_updates = (await self.send("snapshot", "SELECT @@sql_safe_updates")).rows[0][0] == b"1"
        return self.safe_updates

    async def _rehearse(self, record: Recording) -> WriteResult:
        """The warnings of the client's own WHERE, or its error: in strict mode a write fails where a SELECT warns."""
        await self.send("dml", "SAVEPOINT dbmesh_rehearsal")
        done = await self.send("dml", record.whole)
        part = WriteResult(warnings=done.warnings, warning_rows=await self._warnings(done))
        await self.send("dml", "ROLLBACK TO SAVEPOINT dbmesh_rehearsal")
        return part

    async def _insert(self, record: Recording) -> tuple[list[Row], WriteResult]:
        if not self.returning:
            require_rows(record)
        if len(record.write.insert_rows) > MOST_ROWS:
            raise TooManyRows(f"{MOST_ROWS} rows")
        if self.returning:
            done = await self.send("dml", f"{record.write.head}\nRETURNING {record.capture.select_list}")
            warned, answer = await self._warnings(done), done
        else:
            given = given_keys(record)
            done = await self.send("dml", record.write.head)
            warned = await self._warnings(done)
            answer = await self.send("image", await self._find_inserted(record, given, done))
        rows = await self._read(record, answer)
        if len(rows) > MOST_ROWS:
            raise TooManyRows(f"{MOST_ROWS} rows")
        if record.write.insert_rows and len(rows) != len(record.write.insert_rows):
            raise _unexpected(record, len(record.write.insert_rows), len(rows))
        part = WriteResult(affected=len(rows), matched=len(rows), records=len(rows), warnings=done.warnings)
        part.warning_rows = warned
        part.selected = not record.write.insert_rows
        part.last_insert_id = _last_insert_id(record, rows) if self.returning else done.last_insert_id
        return rows, part

    async def _upsert(
        self, record: Recording
    ) -> tuple[list[Row], list[Row], Sequence[tuple[Row | None, Row | None]], WriteResult]:
        """A write that may meet rows: those are read before and after it."""
        before = await self._candidates(record, record.candidates)
        done = await self.send("dml", record.write.head)
        part = WriteResult(affected=done.affected, matched=done.affected, warnings=done.warnings)
        part.warning_rows = await self._warnings(done)
        part.last_insert_id = done.last_insert_id
        part.records = len(record.write.insert_rows)
        part.duplicates = _duplicates(record, done)
        where = record.candidates + (f" OR {record.rows_condition(before)}" if before else "")
        after = await self._candidates(record, where)
        found = effect([(record.key_of(row), row) for row in before], [(record.key_of(row), row) for row in after])
        if record.keys_only:
            return before, after, (), part
        found_rows = self.connection.capabilities.found_rows
        if not explains(found, record.kind, part.records, done.affected, found_rows):
            raise NotSupported(
                f"the new rows of {record.write.table} meet each other, or rows that somebody has just written, or are"
                " stored otherwise than they were given: what was changed cannot be told",
                "write them one by one, exactly as they are stored, or use SET dbmesh_transaction='local'",
            )
        if record.kind == "update":
            part.affected = found.new + 2 * found.changed
        return before, after, found.pairs, part

    async def _candidates(self, record: Recording, where: str) -> list[Row]:
        answer = await self.send(
            "snapshot",
            f"SELECT {record.capture.select_list} FROM {quoted(record.write.table)} WHERE {where}"
            f" LIMIT {MOST_ROWS + 1} FOR UPDATE",
        )
        if len(answer.rows) > MOST_ROWS:
            raise TooManyRows(f"{MOST_ROWS} rows")
        return await self._read(record, answer)

    async def _read(self, record: Recording, answer: Result) -> list[Row]:
        """The rows of an image. A server sends NULL for a value that is too long to be written as digits, and warns."""
        if any(row[1] == _TOO_LONG for row in await self._warnings(answer)):
            raise NotSupported(
                f"a value of {record.write.table} is longer than half the server's max_allowed_packet, so that it could"
                " not be restored",
                "make max_allowed_packet larger, or use SET dbmesh_transaction='local'",
            )
        return [record.capture.read(row) for row in _bounded(answer.rows)]

    async def _find_inserted(self, record: Recording, given: Sequence[str] | None, done: Result) -> str:
        """Where a server has no RETURNING: the new rows by their keys, constants or consecutive numbers."""
        if given is not None:
            where = " OR ".join(f"({condition})" for condition in given)
        else:
            increment = int((await self.send("image", "SELECT @@auto_increment_increment")).rows[0][0] or 1)
            first, count = done.last_insert_id, len(record.write.insert_rows)
            ids = ", ".join(str(first + n * increment) for n in range(count))
            where = f"{quoted(record.key.columns[0])} IN ({ids})"
        return (
            f"SELECT {record.capture.select_list} FROM {quoted(record.write.table)} WHERE {where}"
            f" ORDER BY {', '.join(quoted(c) for c in record.key.columns)} LIMIT {MOST_ROWS} FOR UPDATE"
        )

    async def _warnings(self, done: Result) -> list[Cells]:
        return (await self.send("image", "SHOW WARNINGS")).rows if done.warnings else []


def require_rows(record: Recording) -> None:
    """Raise NotSupported where the new rows are not in the statement."""
    if not record.write.insert_rows:
        raise NotSupported(
            "INSERT … SELECT cannot be compensated on a server without INSERT … RETURNING",
            "read the rows and insert them, or use SET dbmesh_transaction='local'",
        )


def given_keys(record: Recording) -> list[str] | None:
    """Conditions on the new rows' keys; None when the server numbers all of them.

    Raises NotSupported when the keys cannot be known without INSERT … RETURNING.
    """
    conditions = [_inserted_key(record, values) for values in record.write.insert_rows]
    known = [condition for condition in conditions if condition is not None]
    if len(known) == len(conditions):
        return known
    if known or len(record.key.columns) != 1:
        raise _unknown_key(record)
    return None


def _inserted_key(record: Recording, values: Sequence[str]) -> str | None:
    """The condition of one new row's key; None when the server numbers it."""
    given = _given(record, values)
    parts = []
    for name in record.key.columns:
        value = given.get(name.lower(), "DEFAULT").strip()
        column = record.table.column(name)
        if column is not None and column.auto_increment and value.upper() in _GENERATED:
            return None
        if not CONSTANT.fullmatch(value):
            raise _unknown_key(record)
        parts.append(f"{quoted(name)} = {value}")
    return " AND ".join(parts)


def _duplicates(record: Recording, done: Result) -> int:
    """As the info string has it; a single row has none."""
    found = _DUPLICATES.search(done.info)
    if found:
        return int(found[1])
    return 1 - done.affected if record.kind == "ignore" else max(0, done.affected - 1)


def _changed(done: Result) -> int:
    """How many rows an UPDATE has changed, also on a connection that counts the matched ones."""
    found = _CHANGED.search(done.info)
    return int(found[1]) if found else done.affected


def _bounded(rows: list[Cells]) -> list[Cells]:
    if sum(len(value) for row in rows for value in row if value is not None) > MOST_BYTES:
        raise TooManyRows(f"{MOST_BYTES >> 20} MB of images")
    return rows


def _given(record: Recording, values: Sequence[str]) -> dict[str, str]:
    names = record.write.insert_columns or tuple(c.name for c in record.table.columns if not c.invisible)
    return dict(zip([name.lower() for name in names], values, strict=False))


def _last_insert_id(record: Recording, rows: Sequence[Row]) -> int:
    """What MySQL's OK packet says: the first number that the server chose, else the last one given."""
    column = next((c for c in record.table.columns if c.auto_increment), None)
    if column is None or not rows or column.name not in rows[0].values:
        return 0
    if not record.write.insert_rows:
        given = column.name.lower() in {name.lower() for name in record.write.insert_columns}
        return int(rows[-1 if given else 0].values[column.name].text or 0)
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
