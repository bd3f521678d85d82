"""Global locks: the primary key and every unique tuple of a changed row, so that its compensation finds them free."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from dbmesh.saga.images import Row
from dbmesh.schema import Index

_KEY_TEXT_LENGTH = 255


@dataclass(frozen=True, slots=True, order=True)
class LockKey:
    """``digest``: SHA-256 over schema, table, index and the key's normalised parts. ``text``: for people."""

    digest: bytes
    schema: str
    table: str
    text: str


def lock_keys(schema: str, table: str, indexes: Iterable[Index], rows: Iterable[Row]) -> set[LockKey]:
    """The keys of the rows. A tuple with a NULL is never unique and needs no lock."""
    found: set[LockKey] = set()
    indexes = tuple(indexes)
    for row in rows:
        weights = {name.lower(): weight for name, weight in row.weights.items()}
        shown = {name.lower(): value.text for name, value in row.values.items()}
        for index in indexes:
            parts = [weights[name.lower()] for name in index.columns]
            if None not in parts:
                names = [str(shown.get(name.lower(), "?")) for name in index.columns]
                found.add(_lock_key(schema, table, index.name, [p for p in parts if p is not None], names))
    return found


def _lock_key(schema: str, table: str, index: str, parts: list[str], names: list[str]) -> LockKey:
    digest = hashlib.sha256()
    for part in (schema, table, index, *parts):
        raw = part.encode()
        digest.update(len(raw).to_bytes(4, "big") + raw)
    shown = f"{index}({','.join(names)})"[:_KEY_TEXT_LENGTH]
    return LockKey(digest.digest(), schema, table, shown)
