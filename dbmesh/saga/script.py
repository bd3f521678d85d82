"""Reverse SQL as a script that an operator reads, and runs with the mysql client when the mesh cannot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dbmesh.saga.undo import UndoRecord
from dbmesh.saga.values import literal, string_literal

SESSION = (
    "SET NAMES utf8mb4;",
    "SET SESSION time_zone='+00:00', sql_mode='NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES', autocommit=1,"
    " foreign_key_checks=1, unique_checks=1, sql_safe_updates=0;",
)


def reverse_script(
    gtrid: str, data_source: str, schema: str, records: Sequence[UndoRecord], branch: str, row_lock: str
) -> list[str]:
    """The lines for one data source. ``records``: the last first; ``branch``, ``row_lock``: full table names."""
    lines = [f"-- global transaction {gtrid}, data source {data_source}, schema {schema}", *SESSION, "BEGIN;"]
    for record in records:
        lines += _with_comments(gtrid, data_source, record)
    bseqs = sorted({record.bseq for record in records})
    which = f"gtrid={string_literal(gtrid)} AND ds={string_literal(data_source)}"
    for bseq in bseqs:
        lines.append(
            f"UPDATE {branch} SET state='COMPENSATED', ended_at=NOW(6), note='by hand'"
            f" WHERE {which} AND bseq={bseq} AND state IN ('COMMITTED','PARKED');"
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
    else:
        after = ", ".join(f"{name}: {literal(value)}" for name, value in record.after.items())
        yield f"-- guard: the row must be {{{_one_line(after)}}}"
    yield f"{record.reverse_sql};"


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())
