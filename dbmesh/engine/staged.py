"""Staged writes: rows gathered and locked, one server does the statement on scratch tables, the shards do the same.

What the shards do is an ordinary write of several route units, so that transactions of every mode run, undo and look
at it as at any other.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dbmesh.backend.connection import Connection
from dbmesh.engine.caller import Caller, Outcome, WarningRow
from dbmesh.engine.collector import Collector, outcome_of
from dbmesh.engine.federate import WRITING, gather_in
from dbmesh.engine.generation import Generation
from dbmesh.engine.lanes import MOST_WARNINGS
from dbmesh.engine.write import write
from dbmesh.errors import BackendError, MeshError, NotSupported, ReadOnlyTransaction
from dbmesh.plan.model import Bound, Effect, Effects, Staging
from dbmesh.protocol.resultset import decode_text_row
from dbmesh.rewrite import quoted
from dbmesh.rules.generators import ClockBehind
from dbmesh.transaction.local import LocalTransaction

_READING = WRITING.with_charsets("utf8mb4", "utf8mb4_general_ci", None)
_CELL = 64  # bytes that a value takes in memory beside its own
_LONGEST_CLOCK_WAIT = 5.0  # seconds for a key generator whose clock stepped back
_ONLY_ON_SHARDS = frozenset({1062, 1216, 1217, 1451, 1452, 3819, 4025})  # unique and foreign keys, checks
_DEPRECATED = b"1287"
_REFERENCED, _UNKNOWN_COLUMN = 1451, 1054
_DUPLICATES = re.compile(rb"Duplicates: (\d+)")


class NotAtomic(NotSupported):
    """The transaction's COMMIT may die half-way. Nothing has been done."""

    def __init__(self) -> None:
        super().__init__(
            "an UPDATE that moves rows to other data sources in a local transaction: a crash between two COMMITs would"
            " lose or double them",
            "use SET dbmesh_transaction='xa', or the statement alone",
        )


@dataclass(frozen=True, slots=True)
class Staged:
    """What is left to do. ``bound``: on the shards, for ``caller``; ``outcome``: what the scratch server said."""

    staging: Staging
    bound: Bound
    caller: Caller
    outcome: Outcome
    moves: bool
    given_ids: bool

    def failed(self, error: MeshError) -> MeshError:
        """A shard's error as the statement's."""
        if not isinstance(error, BackendError):
            return error
        if self.staging.ignore and self.staging.counted == "scratch" and error.errno in _ONLY_ON_SHARDS:
            return NotSupported(f"IGNORE of what only a data node finds ({error.message})", "leave IGNORE out")
        if self.staging.as_client and error.errno == _UNKNOWN_COLUMN:
            return NotSupported(f"ON DUPLICATE KEY UPDATE with what was selected, over data nodes ({error.message})")
        if self.moves and error.errno == _REFERENCED:
            return NotSupported(f"a row that others refer to would have to be replaced ({error.message})")
        return error

    def told(self, outcome: Outcome) -> Outcome:
        """The whole statement's answer. ``outcome``: the shards'."""
        first = self.outcome
        if self.staging.counted == "scratch":
            return first
        if not self.staging.ignore and not self.staging.as_client:
            # a value that is stored already right may be warned of once more, as the error value of an ENUM is
            outcome = replace(outcome, warnings=0, warning_rows=[])
        elif outcome.warning_rows:
            # each server says so of the text, one server would once
            kept = [row for row in outcome.warning_rows if row[1] != _DEPRECATED]
            once = [row for row in outcome.warning_rows if row[1] == _DEPRECATED][:1]
            less = len(outcome.warning_rows) - len(kept) - len(once)
            outcome = replace(outcome, warnings=outcome.warnings - less, warning_rows=[*once, *kept])
        warnings = first.warnings + outcome.warnings
        rows = [*first.warning_rows, *outcome.warning_rows][:MOST_WARNINGS]
        told = replace(outcome, warnings=warnings, warning_rows=rows)
        duplicates = self._duplicates(outcome)
        told.info = b"Records: %d  Duplicates: %d  Warnings: %d" % (first.affected, duplicates, warnings)
        told.given_ids = self.given_ids
        if self.given_ids and not outcome.affected:
            told.last_insert_id = 0  # none of the ids was stored
        return told

    def _duplicates(self, outcome: Outcome) -> int:
        """Of an INSERT's rows; a server does not tell them of a statement with one row alone."""
        found = _DUPLICATES.search(outcome.info)
        if found is not None or not self.bound.units:
            return int(found[1]) if found is not None else 0
        return 1 - outcome.affected if self.staging.ignore else max(0, outcome.affected - 1)


async def run_staged(
    bound: Bound, generation: Generation, caller: Caller, transaction: LocalTransaction, *, guard: bool
) -> Outcome:
    """The statement in a local transaction. ``guard``: as `engine.write` has it."""
    staged = await stage(bound, generation, caller, transaction, atomic=transaction.atomic)
    try:
        return staged.told(await write(staged.bound, transaction, staged.caller, guard=guard))
    except MeshError as error:
        raise staged.failed(error) from error


async def stage(
    bound: Bound, generation: Generation, caller: Caller, transaction: LocalTransaction, *, atomic: bool
) -> Staged:
    """Gather, do it on the scratch tables, and see what has become different.

    ``atomic``: whether the transaction's COMMIT is whole, over several data sources. Raises NotAtomic for rows that
    move where it is not.
    """
    staging = bound.staging
    assert staging is not None
    _check_safe(caller)
    if any("READ ONLY" in statement for statement in transaction.begin):
        raise ReadOnlyTransaction()
    federation = staging.federation
    sources = list(dict.fromkeys(unit.data_source for unit in bound.units))
    [scratch] = await generation.cluster.acquire([federation.data_source], caller.capabilities, caller.state)
    clean = False
    try:
        warned = _refuse_warnings if staging.ignore or not staging.strict else _raise_warning
        await gather_in(transaction, sources, federation, scratch, caller, warned)
        try:
            outcome = await _done(staging, scratch, caller)
        except BackendError as error:
            raise BackendError(error.errno, error.sqlstate, _renamed(error.message, staging.names)) from error
        await scratch.apply(_READING)
        made = [await _effects(effect, scratch, staging.most_held) for effect in staging.effects]
        dropped = [shipment.table for shipment in federation.shipments]
        dropped += [name for effect in staging.effects for name in effect.tables]
        await scratch.execute(f"DROP TEMPORARY TABLE {', '.join(map(quoted, dropped))}")
        clean = True
    finally:
        generation.cluster.release(scratch, reusable=clean)
    if not atomic and any(effects.moves for effects in made):
        raise NotAtomic()
    transaction.will_write({unit.data_source for effects in made for unit in effects.units})
    return _staged(bound, staging, made, outcome, caller)


def _check_safe(caller: Caller) -> None:
    if dict(caller.state.variables).get("sql_safe_updates", "0") != "0":
        raise NotSupported(
            "sql_safe_updates asks for an index that the data nodes have, not the scratch tables",
            "SET sql_safe_updates = 0",
        )


async def _raise_warning(reader: Connection) -> None:
    """In strict mode a write fails where the SELECT that looks for its rows warns."""
    [[_, code, message], *_] = await reader.warnings()
    raise BackendError(int(code or 0), "22007", (message or b"").decode("utf-8", "replace"))


async def _refuse_warnings(reader: Connection) -> None:
    [[_, _, message], *_] = await reader.warnings()
    text = (message or b"").decode("utf-8", "replace")
    raise NotSupported(f"its conditions warn ({text}) while rows are looked for, of whom cannot be told")


async def _done(staging: Staging, scratch: Connection, caller: Caller) -> Outcome:
    """The client's text, in the client's state."""
    await scratch.apply(WRITING)
    for effect in staging.effects:
        for statement in effect.before:
            await scratch.execute(statement)
    await scratch.apply(caller.state)
    sql = caller.written(staging.federation.sql).encode(caller.encoding, "surrogateescape")
    outcome = outcome_of(await scratch.execute(sql))
    if outcome.warnings:
        outcome.warning_rows = [_as_client(row, staging.names) for row in await scratch.warnings()]
    return outcome


def _as_client(row: WarningRow, names: Mapping[str, str]) -> WarningRow:
    message = (row[2] or b"").decode("utf-8", "surrogateescape")
    return [*row[:2], _renamed(message, names).encode("utf-8", "surrogateescape")]


def _renamed(message: str, names: Mapping[str, str]) -> str:
    for scratch, name in names.items():
        message = re.sub(rf"\b{scratch}\b", name.replace("\\", r"\\"), message)
    return message


async def _effects(effect: Effect, scratch: Connection, most: int) -> Effects:
    rows: list[list[bytes | None]] = []
    size = 0
    stream = await scratch.stream(effect.read)
    try:
        while (batch := await stream.next_batch()) is not None:
            size += sum(map(len, batch)) + len(batch) * len(stream.columns) * _CELL
            if size > most:
                raise NotSupported(
                    f"it would change more than {most >> 20} MiB of rows at once",
                    "change them in parts, or raise merge_memory in the mesh's rules",
                )
            rows += map(decode_text_row, batch)
    except BaseException:
        stream.close()
        raise
    waited = 0.0
    while True:
        try:
            return effect.effects(rows)
        except ClockBehind as behind:
            waited += behind.wait_ms / 1000
            if waited > _LONGEST_CLOCK_WAIT:
                raise
            await asyncio.sleep(behind.wait_ms / 1000)


def _staged(bound: Bound, staging: Staging, made: Sequence[Effects], outcome: Outcome, caller: Caller) -> Staged:
    units = tuple([unit.rewritten(caller.written) for effects in made for unit in effects.units])
    last = made[-1]
    following = Bound(bound.kind, bound.route_kind, units, last_insert_id=last.last_insert_id, affected=bound.affected)
    state = caller.state
    if staging.as_client:
        state = state.with_variables({"time_zone": "'+00:00'"}) if staging.in_utc else state
    else:
        state = state.with_variables(dict(WRITING.variables)).with_charsets("utf8mb4", "utf8mb4_general_ci", "utf8mb4")
    moves = any(effects.moves for effects in made)
    return Staged(staging, following, Collector(state, caller.capabilities), outcome, moves, last.given_ids)
