"""Undo records: one changed row, its images, and the SQL that restores it, as stored in ``undo_record``."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from typing import Literal, cast

from dbmesh.saga.images import Image, Row
from dbmesh.saga.values import Value, condition, guard, literal, quoted
from dbmesh.saga.writes import Recording

Op = Literal["I", "U", "D"]
_DIGITS = 200  # more than a DECIMAL has


@dataclass(frozen=True, slots=True)
class UndoRecord:
    """One row's change. ``seq`` counts within the global transaction; ``touched``: columns to check and to restore.

    ``delta``: those of them that others may change meanwhile: their difference is taken back.
    """

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
    delta: tuple[str, ...] = ()

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
            encode_touched(self),
            self.reverse_sql,
        )
        return zlib.crc32("\0".join(str(part) for part in parts).encode("utf-8", "surrogatepass"))


def encode_touched(record: UndoRecord) -> str:
    """JSON: a list of columns, or an object with the columns and those that are deltas."""
    return json.dumps({"columns": record.touched, "delta": record.delta} if record.delta else record.touched)


def decode_touched(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The touched columns, and those of them that are deltas."""
    found = json.loads(text)
    return (tuple(found["columns"]), tuple(found["delta"])) if isinstance(found, dict) else (tuple(found), ())


def exact(image: Image, delta: Sequence[str]) -> Image:
    """What of an image nobody else may have changed."""
    return {name: value for name, value in image.items() if name not in delta}


def commutes(record: UndoRecord) -> bool:
    """Whether it has changed nothing but deltas: others may change the row meanwhile, and it needs no global lock."""
    if record.before is None or record.after is None or not record.delta:
        return False
    return exact(record.before, record.delta) == exact(record.after, record.delta)


def taken_back(record: UndoRecord, current: Image) -> Image:
    """The row as it has to be once its change is taken back. ``current``: as it is."""
    before, after = record.before or {}, record.after or {}
    changed = {name: _sum(current[name], _difference(before[name], after[name])) for name in record.delta}
    return {**before, **changed}


def _difference(before: Value, after: Value) -> Decimal:
    with localcontext(prec=_DIGITS):
        return Decimal(before.text or 0) - Decimal(after.text or 0)


def _sum(value: Value, difference: Decimal) -> Value:
    if value.text is None:
        return value
    with localcontext(prec=_DIGITS):
        return Value(value.kind, format(Decimal(value.text) + difference, "f"))


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
        delta=_deltas(recording, old, new, touched),
    )
    return replace(record, reverse_sql=reverse_sql(record))


def _deltas(recording: Recording, old: Row | None, new: Row | None, touched: Sequence[str]) -> tuple[str, ...]:
    """The columns whose difference is known: neither value is NULL."""
    if old is None or new is None:
        return ()
    numbers = [name for name in touched if name.lower() in recording.deltas]
    return tuple(name for name in numbers if None not in (old.values[name].text, new.values[name].text))


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
    changed = ", ".join(f"{quoted(name)}={_restoring(record, name, value)}" for name, value in before.items())
    guards = [guard(quoted(name), value) for name, value in exact(record.after, record.delta).items()]
    checks = "".join(f" AND {text}" for text in guards if text)
    return f"UPDATE {record.name} SET {changed} WHERE {where}{checks} LIMIT 1"


def _restoring(record: UndoRecord, name: str, value: Value) -> str:
    if name not in record.delta:
        return literal(value)
    assert record.after is not None
    difference = _difference(value, record.after[name])
    return f"{quoted(name)}{'-' if difference < 0 else '+'}{format(abs(difference), 'f')}"
