"""Undo records: one changed row, its images, and the SQL that restores it, as stored in ``undo_record``."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

from dbmesh.saga.images import Image, Row
from dbmesh.saga.values import Value, condition, guard, literal, quoted
from dbmesh.saga.writes import Recording

Op = Literal["I", "U", "D"]


@dataclass(frozen=True, slots=True)
class UndoRecord:
    """One row's change. ``seq`` counts within the global transaction; ``touched``: columns to check and to restore."""

    seq: int
    bseq: int
    stmt_no: int
    op: Op
    schema: str
    table: str
    key: Image
    before: Image | None
    after: Image | None
    touched: tuple[str, ...]
    reverse_sql: str
    original: str | None = None

    @property
    def name(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.table)}"

    @property
    def row_condition(self) -> str:
        """The row by its key, for the compensator's session."""
        return key_condition(self.key)

    @property
    def old_condition(self) -> str:
        """The row by the key that it had before, and has again once it is restored."""
        return key_condition({name: (self.before or {}).get(name, value) for name, value in self.key.items()})

    @property
    def crc(self) -> int:
        """CRC-32 over everything that the compensation relies on."""
        parts = (
            self.op,
            self.schema,
            self.table,
            encode_image(self.key),
            encode_image(self.before),
            encode_image(self.after),
            json.dumps(self.touched),
            self.reverse_sql,
        )
        return zlib.crc32("\0".join(str(part) for part in parts).encode("utf-8", "surrogatepass"))


def key_condition(key: Image) -> str:
    """The row by its key, readable, for the compensator's session."""
    parts = []
    for name, value in key.items():
        base = value.kind.partition(":")[0]
        readable = base in ("ts", "text")
        parts.append(f"{quoted(name)}={literal(value)}" if readable else condition(quoted(name), value))
    return " AND ".join(parts)


def encode_image(image: Image | None) -> str | None:
    """Typed JSON: ``{"column": [kind, text or null]}``. ASCII."""
    if image is None:
        return None
    return json.dumps({name: [value.kind, value.text] for name, value in image.items()}, separators=(",", ":"))


def decode_image(text: str | None) -> Image | None:
    if text is None:
        return None
    raw = cast(Mapping[str, Sequence[str | None]], json.loads(text))
    return {name: Value(str(pair[0]), pair[1]) for name, pair in raw.items()}


Pairs = Sequence[tuple[Row | None, Row | None]]


def undo_records(recording: Recording, schema: str, pairs: Pairs, numbers: Numbers) -> list[UndoRecord]:
    """One record per row that the write changed. ``pairs``: each row before and after."""
    return [_record(recording, schema, old, new, numbers) for old, new in pairs]


def pairs_of(recording: Recording, before: Sequence[Row], after: Sequence[Row]) -> Pairs:
    """The rows that a plain INSERT, UPDATE or DELETE has changed, in the order of the snapshot."""
    if recording.write.op == "D":
        return [(row, None) for row in before]
    if recording.write.op == "I":
        return [(None, row) for row in after]
    by_key = {recording.key_of(row): row for row in after}
    updates = [(row, by_key[recording.key_of(row)]) for row in before]
    return [(old, new) for old, new in updates if old.values != new.values]


@dataclass(slots=True)
class Numbers:
    """The running numbers of a global transaction's undo records."""

    seq: int
    bseq: int
    stmt_no: int
    original: str | None = None

    def next(self) -> int:
        self.seq += 1
        return self.seq


def _record(recording: Recording, schema: str, old: Row | None, new: Row | None, numbers: Numbers) -> UndoRecord:
    op: Op = "I" if old is None else "D" if new is None else "U"
    row = new or old  # by the key that it has now
    assert row is not None
    names = {name.lower(): name for name in row.values}
    key = {names[c.lower()]: row.values[names[c.lower()]] for c in recording.key.columns}
    touched = tuple(recording.touched)
    original, numbers.original = numbers.original, None
    record = UndoRecord(
        seq=numbers.next(),
        bseq=numbers.bseq,
        stmt_no=numbers.stmt_no,
        op=op,
        schema=schema,
        table=recording.table.name,
        key=key,
        before=_image(old, touched),
        after=_image(new, touched),
        touched=touched,
        reverse_sql="",
        original=original,
    )
    return replace(record, reverse_sql=reverse_sql(record))


def _image(row: Row | None, names: Sequence[str]) -> Image | None:
    return None if row is None else {name: row.values[name] for name in names}


def reverse_sql(record: UndoRecord) -> str:
    """The statement that restores the before image: literal, readable, runnable."""
    where = record.row_condition
    if record.op == "I":
        return f"DELETE FROM {record.name} WHERE {where} LIMIT 1"
    before = record.before
    assert before is not None
    if record.op == "D":
        columns = ", ".join(quoted(name) for name in before)
        values = ", ".join(literal(value) for value in before.values())
        return f"INSERT INTO {record.name} ({columns}) VALUES ({values})"
    assert record.after is not None
    changed = ", ".join(f"{quoted(name)}={literal(value)}" for name, value in before.items())
    guards = [guard(quoted(name), value) for name, value in record.after.items()]
    checks = "".join(f" AND {text}" for text in guards if text)
    return f"UPDATE {record.name} SET {changed} WHERE {where}{checks} LIMIT 1"
