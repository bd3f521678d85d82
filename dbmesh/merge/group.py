"""Groups out of ordered rows: equal neighbours become one row."""

from __future__ import annotations

from collections.abc import Sequence

from dbmesh.merge.aggregate import Accumulator, accumulator
from dbmesh.merge.key import Key
from dbmesh.merge.order import Pairs
from dbmesh.merge.spec import Group
from dbmesh.protocol import ColumnDefinition, decode_text_row, encode_text_row


class Distinct:
    """Shows equal neighbours once."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: Key = None

    def add(self, pairs: Pairs) -> list[bytes]:
        """The rows that are new."""
        rows: list[bytes] = []
        last = self._last
        for key, payload in pairs:
            if key != last:
                rows.append(payload)
                last = key
        self._last = last
        return rows


class Grouping:
    """Holds the group whose rows are still coming; the others leave as merged rows, derived columns included.

    A group of one backend row leaves as it came: what its backend calculated is the answer.
    """

    __slots__ = (
        "_accumulators", "_columns", "_first", "_group", "_key", "_makers", "_open", "_ordered_by", "_whole_key",
    )  # fmt: skip

    def __init__(self, group: Group, ordered_by: int, columns: Sequence[ColumnDefinition]) -> None:
        self._group = group
        self._ordered_by = ordered_by  # number of keys
        self._columns = columns
        self._makers = [accumulator(aggregate, columns) for aggregate in group.aggregates]
        self._open = False
        self._first = b""
        self._key: Key = None
        self._whole_key: Key = None
        self._accumulators: list[Accumulator] | None = None

    def add(self, pairs: Pairs) -> list[bytes]:
        """The groups that these rows complete."""
        keys = self._group.keys
        shorten = keys < self._ordered_by
        done: list[bytes] = []
        for whole_key, payload in pairs:
            key = whole_key if not shorten else whole_key[:keys] if keys else ()
            if not self._open or key != self._key:
                if self._open:
                    done.append(self._close())
                self._open = True
                self._first = payload
                self._key = key
            else:
                self._add_row(payload, whole_key != self._whole_key)
            self._whole_key = whole_key
        return done

    def end(self) -> list[bytes]:
        """The last group. Without GROUP BY there is always one."""
        if self._open:
            return [self._close()]
        return [] if self._group.keys else [self._nothing()]

    def _add_row(self, payload: bytes, other_arguments: bool) -> None:
        if self._accumulators is None:
            self._accumulators = [make() for make in self._makers]
            first = decode_text_row(self._first)
            for state in self._accumulators:
                state.add(first)
        row = decode_text_row(payload)
        for aggregate, state in zip(self._group.aggregates, self._accumulators, strict=True):
            if other_arguments or not aggregate.distinct:
                state.add(row)

    def _close(self) -> bytes:
        accumulators, self._accumulators = self._accumulators, None
        self._open = False
        return self._first if accumulators is None else self._printed(decode_text_row(self._first), accumulators)

    def _nothing(self) -> bytes:
        return self._printed([None] * len(self._columns), [make() for make in self._makers])

    def _printed(self, row: list[bytes | None], accumulators: list[Accumulator]) -> bytes:
        for aggregate, state in zip(self._group.aggregates, accumulators, strict=True):
            row[aggregate.column] = state.result()
        return encode_text_row(row)
