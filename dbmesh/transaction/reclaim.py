"""Before a committed transaction is undone: its rows are looked at as the compensation will, and locked once more.

The compensation is rehearsed in a local transaction of the shard and taken back; what is kept are global locks on the
keys and unique values of the rows, as they are and as they are going to be.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from dbmesh.errors import MeshError
from dbmesh.saga.commands import Dirty, Done, Failed, Locked, Unknown
from dbmesh.saga.images import Capture, capture_of, key_index, unique_indexes
from dbmesh.saga.lock_keys import LockKey, lock_keys
from dbmesh.saga.states import TO_COMPENSATE, LockState
from dbmesh.saga.undo import UndoRecord
from dbmesh.schema import Index, Table
from dbmesh.transaction.branches import Shards
from dbmesh.transaction.compensate import Compensation, DirtyRow, branch_records, lock_branch, restore_all
from dbmesh.transaction.failures import RowLocked
from dbmesh.transaction.journal import Journal
from dbmesh.transaction.link import Link

Tables = Callable[[str, str], Awaitable[Table | None]]  # data source, actual table
_SAVEPOINT = "dbmesh_reclaim"
Reclaimed = Done | Dirty | Locked | Failed | Unknown


async def reclaim(shards: Shards, gtrid: str, data_source: str, tables: Tables) -> Reclaimed:
    """Done when the rows of all branches are as they were left, and locked again. Raises BackendError, BackendLost."""
    async with shards.links.link(data_source) as link:
        await link.execute("BEGIN")
        try:
            await _reclaim(shards, link, gtrid, data_source, tables)
        except DirtyRow as dirty:
            await link.execute("ROLLBACK")
            return Dirty(f"{data_source}: {dirty}")
        except RowLocked as locked:
            await link.execute("ROLLBACK")
            return Locked(locked.holder, locked.state)
        except MeshError:
            await link.execute("ROLLBACK")
            raise
        await link.execute("COMMIT")
    return Done()


async def _reclaim(shards: Shards, link: Link, gtrid: str, data_source: str, tables: Tables) -> None:
    branches = (await shards.branches(gtrid, data_source)).branches
    todo = [bseq for bseq, state in branches if state in TO_COMPENSATE]
    found: dict[int, set[LockKey]] = {}
    await link.execute(f"SAVEPOINT {_SAVEPOINT}")
    for bseq in sorted(todo, reverse=True):
        if await lock_branch(shards, link, gtrid, data_source, bseq) not in TO_COMPENSATE:
            continue
        records = [stored.record for stored in await branch_records(shards, link, gtrid, data_source, bseq)]
        found[bseq] = await _keys(link, data_source, records, tables)
        await restore_all(shards, link, gtrid, data_source, bseq, Compensation())
        found[bseq] |= await _keys(link, data_source, records, tables)
    await link.execute(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
    for bseq in sorted(found):  # a lock belongs to the first branch that needs it: it is undone last
        journal = Journal(link, shards.place(data_source), gtrid, data_source, bseq, "", 0, "ascii")
        await journal.lock(sorted(found[bseq]), LockState.ROLLING_BACK)


async def _keys(link: Link, data_source: str, records: Sequence[UndoRecord], tables: Tables) -> set[LockKey]:
    """The lock keys of the records' rows as they are now."""
    keys: set[LockKey] = set()
    for record in records:
        table = await tables(data_source, record.table)
        if table is None:
            raise DirtyRow(f"nothing is known of table {record.name}")
        capture = _capture(table)
        where = " OR ".join({record.row_condition, record.old_condition})
        answer = await link.execute(f"SELECT {capture.select_list} FROM {record.name} WHERE {where} LIMIT 3 FOR UPDATE")
        rows = [capture.read(row) for row in answer.rows]
        keys |= lock_keys(record.schema, record.table, _with_key(table), rows)
    return keys


def _capture(table: Table) -> Capture:
    return capture_of(table, key_index(table).columns, _with_key(table))


def _with_key(table: Table) -> tuple[Index, ...]:
    """Every unique index, the one that names the rows among them."""
    key, indexes = key_index(table), unique_indexes(table)
    return indexes if any(index.name == key.name for index in indexes) else (key, *indexes)
