"""What has to be held in memory: ORDER BY on what exists only after merging, and DISTINCT without an order."""

from __future__ import annotations

from operator import itemgetter

from dbmesh.errors import OutOfSortMemory
from dbmesh.merge.key import Key, KeyReader
from dbmesh.merge.order import Pairs

_ROW_BYTES = 200  # the objects around a short key and its row, beside the row itself
_MORE = 1024  # rows gathered between two cuts back to the limit


class Budget:
    """Bytes that a merge may still hold."""

    __slots__ = ("_free", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._free = size

    def take(self, payload: bytes) -> None:
        """Account for one more row. Raises OutOfSortMemory."""
        self._free -= len(payload) + _ROW_BYTES
        if self._free < 0:
            raise OutOfSortMemory(
                f"The merge of the data nodes' rows needs more than {self._size} bytes of memory: "
                "add a LIMIT or a narrower WHERE, order by the columns of GROUP BY, or raise the merge budget"
            )

    def give_back(self, payload: bytes) -> None:
        """The row is held no more."""
        self._free += len(payload) + _ROW_BYTES


class Seen:
    """Shows rows with equal keys once, wherever they come."""

    __slots__ = ("_budget", "_keys", "_reader")

    def __init__(self, reader: KeyReader, budget: Budget) -> None:
        self._reader = reader
        self._budget = budget
        self._keys: set[Key] = set()

    def add(self, rows: list[bytes]) -> list[bytes]:
        """The rows that are new."""
        new: list[bytes] = []
        for key, payload in self._reader.pairs(rows):
            if key not in self._keys:
                self._budget.take(payload)
                self._keys.add(key)
                new.append(payload)
        return new


class Sorting:
    """Gathers all rows, or with ``wanted`` only so many of the first ones."""

    __slots__ = ("_budget", "_pairs", "_reader", "_wanted")

    def __init__(self, reader: KeyReader, wanted: int | None, budget: Budget) -> None:
        self._reader = reader
        self._wanted = wanted
        self._budget = budget
        self._pairs: Pairs = []

    def add(self, rows: list[bytes]) -> None:
        """Raises OutOfSortMemory."""
        for pair in self._reader.pairs(rows):
            self._budget.take(pair[1])
            self._pairs.append(pair)
            if self._wanted is not None and len(self._pairs) >= self._wanted + _MORE:
                self._cut(self._wanted)

    def end(self) -> list[bytes]:
        """The rows in order."""
        if self._wanted is not None:
            self._cut(self._wanted)
        else:
            self._pairs.sort(key=itemgetter(0))
        return [payload for _, payload in self._pairs]

    def _cut(self, wanted: int) -> None:
        self._pairs.sort(key=itemgetter(0))
        for _, payload in self._pairs[wanted:]:
            self._budget.give_back(payload)
        del self._pairs[wanted:]
