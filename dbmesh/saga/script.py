"""Reverse SQL as a script that an operator reads, and runs with the mysql client when the mesh cannot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dbmesh.saga.undo import UndoRecord, exact
from dbmesh.saga.values import exactly, literal, quoted, string_literal

SESSION = (
    "SET NAMES utf8mb4;",
    "SET SESSION time_zone='+00:00', sql_mode='NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES', autocommit=1,"
    " foreign_key_checks=1, unique_checks=1, sql_safe_updates=0;",
)

_ADVICE = (
    "-- The mysql client runs it in batch mode and stops at error 1242: a guard does not hold, nothing is committed.",
    "-- Typed by hand: at error 1242 ROLLBACK.",
)

# Two rows where one is asked for are error 1242: a client that reads a script stops there, before its COMMIT.
_CHECK = "SET @holds = (SELECT n FROM (SELECT 1 AS n UNION ALL SELECT 2) AS rows_ WHERE n = 1 OR @guard IS NOT TRUE);"


def reverse_script(
    gtrid: str, data_source: str, schema: str, records: Sequence[UndoRecord], branch: str, row_lock: str
) -> list[str]:
    """The lines for one data source; it ends with error 1242 before its COMMIT where a row is not as it was left.

    ``records``: the last first; ``branch``, ``row_lock``: full table names.
    """
    lines = [f"-- global transaction {gtrid}, data source {data_source}, schema {schema}", *_ADVICE, *SESSION, "BEGIN;"]
    bseqs = sorted({record.bseq for record in records})
    which = f"gtrid={string_literal(gtrid)} AND ds={string_literal(data_source)}"
    todo = "state IN ('COMMITTED','PARKED')"
    for bseq in bseqs:
        found = f"FROM {branch} WHERE {which} AND bseq={bseq} AND {todo} FOR UPDATE"
        lines.append(f"-- guard: branch {bseq} is not undone yet")
        lines.append(f"SET @guard = (SELECT COUNT(*) = 1 {found});")
        lines.append(_CHECK)
    for record in records:
        lines += _with_comments(gtrid, data_source, record)
    for bseq in bseqs:
        lines.append(
            f"UPDATE {branch} SET state='COMPENSATED', ended_at=NOW(6), note='by hand'"
            f" WHERE {which} AND bseq={bseq} AND {todo};"
        )
        lines.append(f"DELETE FROM {row_lock} WHERE {which} AND bseq={bseq};")
    return [*lines, "COMMIT;"]


def _with_comments(gtrid: str, data_source: str, record: UndoRecord) -> Iterable[str]:
    origin = f"  from: {_one_line(record.original)}" if record.original else ""
    yield (
        f"-- {gtrid}  {data_source}  seq {record.seq}  {record.op}  {record.schema}.{record.table}"
        f"  {_one_line(record.row_condition)}{origin}"
    )
    if record.after is None:
        yield "-- guard: there must be no such row"
        guards = ""
    else:
        guarded = exact(record.after, record.delta)
        after = ", ".join(f"{name}: {literal(value)}" for name, value in guarded.items())
        yield f"-- guard: the row must be {{{_one_line(after)}}}"
        guards = "".join(f" AND {exactly(quoted(name), value)}" for name, value in guarded.items())
    expected = 0 if record.after is None else 1
    found = f"FROM {record.name} WHERE {record.row_condition}{guards} FOR UPDATE"
    yield f"SET @guard = (SELECT COUNT(*) = {expected} {found});"
    yield _CHECK
    yield f"{record.reverse_sql};"
    yield "-- guard: exactly one row was restored"
    yield "SET @guard = (ROW_COUNT() = 1);"
    yield _CHECK


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())
