"""``python -m tests.differential.faulty FAULT serve …``: the mesh with a fault planted in its merge.

The merge's own checks (streams out of order, strings compared as bytes) would have refused; each fault takes those it
would meet away, too, so that only a comparison of answers can tell.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from dbmesh.cli import main
from dbmesh.merge import group, key, order, sort
from dbmesh.plan import derive


def _distinct_dropped() -> None:
    group.Distinct.add = lambda self, pairs: [row for _, row in pairs]  # type: ignore[method-assign]
    sort.Seen.add = lambda self, rows: rows  # type: ignore[method-assign]


def _unchecked(pairs: Any, before: Any) -> None:
    pass


def _collation_ignored() -> None:
    derive._TEXTS = frozenset()
    key._is_binary_string = lambda column: column.type in key.STRING_TYPES
    order._check_order = _unchecked


def _nulls_last() -> None:
    key._FIRST, key._LAST = key._LAST, key._FIRST
    plain, turned = key._ascending_bytes, key._descending_bytes
    key._ascending_bytes = lambda value: b"\xff" if value is None else plain(value)
    key._descending_bytes = lambda value: b"" if value is None else turned(value)
    order._check_order = _unchecked


FAULTS: dict[str, Callable[[], None]] = {
    "DISTINCT dropped": _distinct_dropped,
    "collation ignored": _collation_ignored,
    "NULLs last": _nulls_last,
}

if __name__ == "__main__":
    FAULTS[sys.argv.pop(1)]()
    main()
