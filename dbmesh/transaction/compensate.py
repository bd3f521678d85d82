"""Compensation of one branch: reverse SQL in one local transaction, exactly once, by whichever proxy comes first.

The branch's state changes in the same local transaction as its rows, under a lock on the branch row: a second attempt,
a second proxy, or a repeat after an unanswered COMMIT finds it COMPENSATED and does nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from dbmesh.errors import BackendError, BackendLost, MeshError
from dbmesh.saga.commands import Dirty, Done, Failed
from dbmesh.saga.images import Image
from dbmesh.saga.states import TO_COMPENSATE, BranchState
from dbmesh.saga.undo import Op, UndoRecord, exact, taken_back
from dbmesh.saga.values import Value, capture, decode, literal, quoted
from dbmesh.transaction.branches import UNDO_COLUMNS, Shards, StoredUndo, stored_undo
from dbmesh.transaction.failpoints import step
from dbmesh.transaction.journal import mode_of
from dbmesh.transaction.link import Answer, Link
from dbmesh.transaction.log import text

LOCK_ERRORS = frozenset((1205, 1213))
_SERVER_ERRORS = frozenset((1040, 1053, 1129, 1152, 1290, 1317, 1836, 1927, 3100, 3101))
_IN_THE_WAY = frozenset((1062, 1451, 1452))  # another row of the same statement may have to go first
_TRIES = 3


class DirtyRow(Exception):
    """A row is not as the transaction left it, or cannot be restored; a human must look."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What has become of one undo record's row, for people. ``change``: from the current values to the restored."""

    seq: int
    op: Op
    row: str
    change: str

    def __str__(self) -> str:
        return f"seq {self.seq} {self.op} {self.row}: {self.change}"


@dataclass(slots=True)
class Compensation:
    """What was done, one item per undo record."""

    rows: list[Restored] = field(default_factory=list)

    def tell(self, record: UndoRecord, change: str) -> None:
        self.rows.append(Restored(record.seq, record.op, _row(record), change))


def retryable(error: BaseException) -> bool:
    """Whether the same compensation may succeed later without anybody's help."""
    if isinstance(error, BackendLost):
        return True
    return isinstance(error, BackendError) and error.errno in LOCK_ERRORS | _SERVER_ERRORS


async def compensate(shards: Shards, gtrid: str, data_source: str, bseq: int, epoch: int) -> Done | Dirty | Failed:
    """Undo a branch. Short troubles are retried here, long ones by the caller's schedule."""
    retrying = AsyncRetrying(
        retry=retry_if_exception(retryable),
        wait=wait_random_exponential(multiplier=0.2, max=2),
        stop=stop_after_attempt(_TRIES),
        reraise=True,
    )
    try:
        async for attempt in retrying:
            with attempt:
                await _once(shards, gtrid, data_source, bseq, epoch, dry=False)
                shards.counters.compensations += 1
    except MeshError as error:
        if retryable(error):
            lock = isinstance(error, BackendError) and error.errno in LOCK_ERRORS
            return Failed(error, retryable=not lock)
        detail = f"{data_source}: error {error.errno}: {error.message}"
        await shards.park(gtrid, data_source, bseq, detail)
        return Dirty(detail)
    except DirtyRow as dirty:
        detail = f"{data_source}: {dirty}"
        await shards.park(gtrid, data_source, bseq, detail)
        return Dirty(detail)
    return Done()


@dataclass(frozen=True, slots=True)
class Word:
    """What a human says of rows that others have changed. ``use``: 'current' leaves them, 'before' overwrites them.

    ``seqs``: of the undo records that it is about; empty for all of the branch.
    """

    use: str
    seqs: frozenset[int] = frozenset()

    def covers(self, seq: int) -> bool:
        return not self.seqs or seq in self.seqs


async def mend(shards: Shards, gtrid: str, data_source: str, bseq: int, epoch: int, word: Word) -> Compensation:
    """Undo a parked branch by a human's word; it becomes SKIPPED or FORCED. Raises DirtyRow, MeshError."""
    done = Compensation()
    async with shards.links.link(data_source) as link:
        await link.execute("BEGIN")
        try:
            if await lock_branch(shards, link, gtrid, data_source, bseq) in TO_COMPENSATE:
                await restore_all(shards, link, gtrid, data_source, bseq, done, word)
                state = BranchState.SKIPPED if word.use == "current" else BranchState.FORCED
                await _conclude(shards, link, gtrid, data_source, bseq, epoch, state)
        except (DirtyRow, BackendError):
            await link.execute("ROLLBACK")
            raise
        await link.execute("COMMIT")
    return done


async def dry_run(
    shards: Shards, gtrid: str, data_source: str, bseqs: list[int], word: Word | None = None
) -> Compensation:
    """Undo branches, the last first, in one local transaction that is rolled back. Raises DirtyRow, MeshError."""
    done = Compensation()
    async with shards.links.link(data_source) as link:
        await link.execute("BEGIN")
        try:
            for bseq in sorted(bseqs, reverse=True):
                if await lock_branch(shards, link, gtrid, data_source, bseq) in TO_COMPENSATE:
                    await restore_all(shards, link, gtrid, data_source, bseq, done, word)
        finally:
            await link.execute("ROLLBACK")
    return done


async def _once(shards: Shards, gtrid: str, data_source: str, bseq: int, epoch: int, dry: bool) -> None:
    async with shards.links.link(data_source) as link:
        await step("compensate_begin", data_source, lambda: link.execute("BEGIN"))
        try:
            state = await lock_branch(shards, link, gtrid, data_source, bseq)
            if state is None:
                await _entomb(shards, link, gtrid, data_source, bseq, epoch)
            elif state in TO_COMPENSATE:
                await restore_all(shards, link, gtrid, data_source, bseq, Compensation())
                await _conclude(shards, link, gtrid, data_source, bseq, epoch)
        except (DirtyRow, BackendError):
            await link.execute("ROLLBACK")
            raise
        await step("compensate_commit", data_source, lambda: link.execute("COMMIT"))


async def lock_branch(shards: Shards, link: Link, gtrid: str, data_source: str, bseq: int) -> BranchState | None:
    """A branch's state, which nobody else changes until the link's transaction ends; None when there is no row."""
    sql = (
        f"SELECT state FROM {shards.place(data_source).name('branch')} WHERE gtrid={text(gtrid)}"
        f" AND ds={text(data_source)} AND bseq={bseq} FOR UPDATE"
    )
    rows = (await step("compensate_read", data_source, lambda: link.execute(sql))).rows
    return BranchState((rows[0][0] or b"").decode()) if rows else None


async def _entomb(shards: Shards, link: Link, gtrid: str, data_source: str, bseq: int, epoch: int) -> None:
    await link.execute(
        f"INSERT INTO {shards.place(data_source).name('branch')}"
        " (gtrid, ds, bseq, state, mode, schema_ver, epoch, ended_at) VALUES"
        f" ({text(gtrid)}, {text(data_source)}, {bseq}, 'ABORTED', '{mode_of(bseq)}', 0, {epoch}, NOW(6))"
    )


async def _conclude(
    shards: Shards,
    link: Link,
    gtrid: str,
    data_source: str,
    bseq: int,
    epoch: int,
    state: BranchState = BranchState.COMPENSATED,
) -> None:
    place = shards.place(data_source)
    which = f"gtrid={text(gtrid)} AND ds={text(data_source)} AND bseq={bseq}"
    values = f"state='{state}', ended_at=NOW(6), note=NULL, epoch={epoch}"
    changed = f"UPDATE {place.name('branch')} SET {values} WHERE {which}"
    await step("compensate_state", data_source, lambda: link.execute(changed))
    await link.execute(f"DELETE FROM {place.name('row_lock')} WHERE {which}")


async def restore_all(
    shards: Shards,
    link: Link,
    gtrid: str,
    data_source: str,
    bseq: int,
    done: Compensation,
    word: Word | None = None,
) -> None:
    """Undo all records of a branch in the link's transaction. Raises DirtyRow, BackendError, BackendLost."""
    stored = await branch_records(shards, link, gtrid, data_source, bseq)
    for _, statement in groupby(stored, key=lambda item: item.record.stmt_no):
        await _restore_statement(link, data_source, list(statement), done, word)


async def branch_records(shards: Shards, link: Link, gtrid: str, data_source: str, bseq: int) -> list[StoredUndo]:
    """The undo records of a committed branch, the last first. Raises DirtyRow when there are none."""
    answer = await link.execute(
        f"SELECT {UNDO_COLUMNS} FROM {shards.place(data_source).name('undo_record')} WHERE gtrid={text(gtrid)}"
        f" AND ds={text(data_source)} AND bseq={bseq} ORDER BY seq DESC, part"
    )
    if not answer.rows:
        raise DirtyRow(f"branch {bseq} has no undo records although it was committed")
    return [stored_undo(row) for row in answer.rows]


async def _restore_statement(
    link: Link, data_source: str, waiting: list[StoredUndo], done: Compensation, word: Word | None
) -> None:
    """Rows of one statement may stand in each other's way (unique keys, foreign keys): those that cannot go yet go in
    a later round."""
    while waiting:
        left, error = await _round(link, data_source, waiting, done, word)
        if error is not None and len(left) == len(waiting):
            raise error
        waiting = left


async def _round(
    link: Link, data_source: str, waiting: list[StoredUndo], done: Compensation, word: Word | None
) -> tuple[list[StoredUndo], BackendError | None]:
    left: list[StoredUndo] = []
    first: BackendError | None = None
    for stored in waiting:
        if not stored.intact:
            raise DirtyRow(f"undo record {stored.record.seq} is damaged (its checksum is wrong)")
        try:
            await _restore(link, data_source, stored.record, done, word)
        except BackendError as error:
            if error.errno not in _IN_THE_WAY:
                raise
            first = first or error
            left.append(stored)
    return left, first


async def _restore(link: Link, data_source: str, record: UndoRecord, done: Compensation, word: Word | None) -> None:
    current = await found_image(link, record)
    sql = record.reverse_sql
    try:
        ours = still_ours(record, current)
    except DirtyRow as dirty:
        if word is None or not word.covers(record.seq):
            raise
        if word.use == "current":
            done.tell(record, f"left as it is: {dirty}")
            return
        ours, sql = True, overwriting_sql(record, current is not None)
    if not ours:
        done.tell(record, "already restored")
        return
    answer: Answer = await step("compensate_row", data_source, lambda: link.execute(sql))
    restored = await current_image(link, record, old=True)
    forced = word is not None and sql != record.reverse_sql
    wanted = record.before if forced or not record.delta or current is None else taken_back(record, current)
    if answer.affected != 1 or restored != wanted:
        raise DirtyRow(
            f"{_row(record)} could not be restored exactly (affected {answer.affected}): {difference(wanted, restored)}"
        )
    done.tell(record, difference(current, restored))


def overwriting_sql(record: UndoRecord, exists: bool) -> str:
    """Restores the before image whatever the row is now. Raises DirtyRow when not all of the row is known."""
    before = record.before
    if before is None:
        return f"DELETE FROM {record.name} WHERE {record.row_condition} LIMIT 1"
    if not exists and record.op == "U":
        raise DirtyRow(f"{_row(record)} does not exist any more, and only the changed columns are known")
    values = {quoted(name): literal(value) for name, value in before.items()}
    if not exists:
        return f"INSERT INTO {record.name} ({', '.join(values)}) VALUES ({', '.join(values.values())})"
    assigned = ", ".join(f"{name}={value}" for name, value in values.items())
    return f"UPDATE {record.name} SET {assigned} WHERE {record.row_condition} LIMIT 1"


def still_ours(record: UndoRecord, current: Image | None) -> bool:
    """True: the row is as the transaction left it; False: it already is as before. Raises DirtyRow otherwise."""
    if record.delta and current is not None and record.after is not None:
        there = all(current[name].text is not None for name in record.delta)
        if there and exact(current, record.delta) == exact(record.after, record.delta):
            return True
    elif current == record.after:
        return True
    elif current == record.before:
        return False
    raise DirtyRow(f"{_row(record)} was changed by others: {difference(record.after, current)}")


async def found_image(link: Link, record: UndoRecord, lock: bool = True) -> Image | None:
    """The row as it is now, by the key that the transaction gave it, else by the one that it had before."""
    image = await current_image(link, record, lock)
    if image is None and record.old_condition != record.row_condition:
        image = await current_image(link, record, lock, old=True)
    return image


async def current_image(link: Link, record: UndoRecord, lock: bool = True, old: bool = False) -> Image | None:
    """The row's touched columns as they are now, locked; None when the row does not exist.

    ``old``: the row with the key that it had before the transaction.
    """
    shape = record.after if record.after is not None else record.before
    assert shape is not None
    clause = " FOR UPDATE" if lock else ""
    where = record.old_condition if old else record.row_condition
    expressions = [e for name, value in shape.items() for e in capture(value.kind, quoted(name))]
    answer = await link.execute(f"SELECT {', '.join(expressions)} FROM {record.name} WHERE {where} LIMIT 2{clause}")
    if not answer.rows:
        return None
    if len(answer.rows) > 1:
        raise DirtyRow(f"{_row(record)} is not one row any more")
    image: dict[str, Value] = {}
    at = 0
    for name, value in shape.items():
        width = len(capture(value.kind, ""))
        image[name] = decode(value.kind, answer.rows[0][at : at + width])
        at += width
    return image


def difference(one: Image | None, other: Image | None) -> str:
    """What changed from one image to the other, for people."""
    if one is None or other is None:
        return f"{'no row' if one is None else 'row'} → {'no row' if other is None else 'row'}"
    changed = [
        f"{name} {_shown(value)} → {_shown(other[name])}"
        for name, value in one.items()
        if name in other and other[name] != value
    ]
    return ", ".join(changed) or "no difference"


def _shown(value: Value) -> str:
    shown = literal(value)
    return shown if len(shown) <= 80 else shown[:77] + "…"


def _row(record: UndoRecord) -> str:
    return f"{record.name} {record.row_condition}"
