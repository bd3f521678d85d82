"""Writes to one or more shards inside a local transaction: every branch's answer becomes one.

Branches run one after the other, in the order of the route units: two statements that write the same shards then
wait for each other on the first of them, instead of each holding what the other needs.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence

from dbmesh.backend.connection import Connection, Result
from dbmesh.engine.caller import Caller, Outcome
from dbmesh.engine.generation import Generation
from dbmesh.engine.lanes import MOST_WARNINGS
from dbmesh.engine.leavings import read_back
from dbmesh.errors import BackendError, BackendLost, MeshError, NotSupported
from dbmesh.plan.model import Bound, RouteUnit
from dbmesh.protocol import ColumnDefinition
from dbmesh.transaction.failures import RowLocked
from dbmesh.transaction.local import INTERRUPTED, LocalTransaction
from dbmesh.transaction.uninterrupted import uninterrupted
from dbmesh.transaction.watch import Answer, WatchedStatement, answer_of

_COUNTER = re.compile(rb"(\w[\w ]*): (\d+)")
_NO_ROWS = b"Rows matched: 0  Changed: 0  Warnings: 0"
_SAVEPOINT = "`dbmesh statement`"


class Displaced(MeshError):
    """A row was found where there should be none; the statement has been undone."""

    def __init__(self, refusal: NotSupported) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


async def in_own_transaction(
    generation: Generation, caller: Caller, run: Callable[[LocalTransaction], Awaitable[Outcome]]
) -> Outcome:
    """An autocommit statement in a local transaction that has nothing but this statement."""
    patience = generation.rules.transaction.commit_timeout
    own = LocalTransaction(generation.lender, caller.capabilities, generation.deadlocks, patience=patience)
    try:
        outcome = await run(own)
        await uninterrupted(own.commit())
    except MeshError:
        await own.rollback()
        raise
    finally:
        own.discard()
    return outcome


async def write(
    bound: Bound,
    transaction: LocalTransaction,
    caller: Caller,
    *,
    guard: bool,
    watched: WatchedStatement | None = None,
) -> Outcome:
    """Run all units; an error undoes the statement on every shard, and a deadlock the whole transaction.

    ``guard``: False for a transaction that has nothing but this statement, and is rolled back when it fails.
    ``watched``: who runs the units and looks at global locks, see `engine.watched`; RowLocked undoes nothing.
    """
    names = list(dict.fromkeys(unit.data_source for unit in bound.units))
    await transaction.enlist(names, caller.state)
    guarded = names if guard else []
    idle = all(unit.sentry for unit in bound.units)
    outcome = Outcome(last_insert_id=bound.last_insert_id or 0, info=_NO_ROWS if idle else b"")
    returned: list[Sequence[bytes]] = []
    columns: list[ColumnDefinition] = []
    try:
        for name in guarded:
            await transaction.branches[name].execute(f"SAVEPOINT {_SAVEPOINT}")
        for number, unit in enumerate(bound.units):
            connection = transaction.branches[unit.data_source]
            if unit.sentry is not None:
                await _stand_sentry(unit, unit.sentry, connection, caller)
                continue
            running = _run(unit, connection, caller, bound) if watched is None else watched.run(unit, connection)
            answer = await running
            if bound.leaves:
                await read_back(connection, bound.leaves, outcome if number == bound.leaving else Outcome())
            returned.append(answer.payloads)
            columns = answer.result.columns
            _take(answer, unit, number, bound, outcome)
        if watched is not None:
            await watched.look_up()
        for name in guarded:
            await transaction.branches[name].execute(f"RELEASE SAVEPOINT {_SAVEPOINT}")
    except RowLocked:
        raise
    except MeshError as error:
        await uninterrupted(_undo(error, transaction, names, guarded))
        raise
    except BaseException:
        await transaction.abort(INTERRUPTED)
        raise
    if columns:  # a write with RETURNING
        rows = _in_order(returned, bound.returned)
        caller.columns(columns)
        caller.rows(rows)
        outcome.rows = len(rows)
        outcome.set_last_insert_id = bound.last_insert_id
    return outcome


def _in_order(returned: Sequence[Sequence[bytes]], places: Sequence[int]) -> Sequence[bytes]:
    """The rows that the units gave, in the order of the statement's own rows."""
    if not places:
        return returned[0]
    following = [iter(rows) for rows in returned]
    return [next(following[place]) for place in places]


async def _stand_sentry(unit: RouteUnit, refusal: NotSupported, connection: Connection, caller: Caller) -> None:
    if (await connection.execute(caller.request(unit.sql))).rows:
        raise Displaced(refusal)


async def _run(unit: RouteUnit, connection: Connection, caller: Caller, bound: Bound) -> Answer:
    try:
        if bound.returned:
            return await answer_of(connection, caller.request(unit.sql))
        if unit.file is None:
            result = await connection.execute(caller.request(unit.sql))
        else:
            sql = unit.sql.encode(caller.encoding, "surrogateescape")
            result = await connection.load(sql, unit.file.chunks())
    except BackendError:
        if bound.leaves:
            await read_back(connection, bound.leaves, Outcome())  # for the connection's state to be known
        raise
    return Answer(result, await connection.warnings() if result.warnings else [])


def _take(answer: Answer, unit: RouteUnit, number: int, bound: Bound, outcome: Outcome) -> None:
    result = answer.result
    if bound.affected == "sum" or unit.data_source == bound.units[0].data_source:
        alone = len(bound.units) == 1
        _add(outcome, result, result.info or (b"" if alone else _single_row_info(unit, result)))
        outcome.warning_rows.extend(answer.warning_rows[: MOST_WARNINGS - len(outcome.warning_rows)])
    if bound.last_insert_id is None and outcome.last_insert_id == 0:
        outcome.last_insert_id = result.last_insert_id


def _add(outcome: Outcome, result: Result, info: bytes) -> None:
    outcome.affected += result.affected
    outcome.warnings += result.warnings
    outcome.info = add_info(outcome.info, info)


def _single_row_info(unit: RouteUnit, result: Result) -> bytes:
    """What a server would have said of this row among others: an INSERT of one row alone has no info string."""
    write = unit.write
    if write is None or write.op != "I":
        return b""
    duplicates = 1 - result.affected if write.ignore else max(0, result.affected - 1)
    return b"Records: 1  Duplicates: %d  Warnings: %d" % (duplicates, result.warnings)


def add_info(one: bytes, other: bytes) -> bytes:
    """The sum of two info strings: ``Records: 3  Duplicates: 0  Warnings: 0``, ``Rows matched: …``."""
    if not one or not other:
        return one or other
    counts = dict(_COUNTER.findall(one))
    added = {name: int(count) + int(counts.get(name, 0)) for name, count in _COUNTER.findall(other)}
    return b"  ".join(b"%b: %d" % item for item in added.items())


async def _undo(error: MeshError, transaction: LocalTransaction, names: Sequence[str], guarded: Sequence[str]) -> None:
    if isinstance(error, BackendLost):
        await transaction.abort(error.message)
        return
    if isinstance(error, BackendError):
        await transaction.settle(names)
    for name in guarded:
        connection = transaction.branches.get(name)
        if connection is None:
            continue
        try:
            await connection.execute(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
        except MeshError as failure:
            await transaction.abort(f"a statement could not be undone on data source '{name}': {failure.message}")
