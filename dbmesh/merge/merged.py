"""The path of rows through a merge, stage by stage: this file reads like the picture in ``spec``."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from dbmesh.errors import MeshError
from dbmesh.merge.event import Columns, Event, Need, Reply, Rows
from dbmesh.merge.finish import Finishing
from dbmesh.merge.group import Distinct, Grouping
from dbmesh.merge.key import STRING_TYPES, KeyReader, cut
from dbmesh.merge.order import Pairs, in_order, one_after_another
from dbmesh.merge.sort import Budget, Seen, Sorting
from dbmesh.merge.spec import MergeSpec
from dbmesh.protocol import ColumnDefinition, FieldFlag, FieldType

_OUT_ROWS = 1024  # rows of one event when a whole sorted result leaves


def merged(spec: MergeSpec, streams: Sequence[Sequence[ColumnDefinition]]) -> Generator[Event, Reply, None]:
    """The merge of these streams, of each of which the column definitions (derived ones included) are given.

    See ``event`` for the conversation. Raises NotSupported, OutOfSortMemory, or MeshError when the data nodes' columns
    differ; also while it runs.
    """
    columns = _common(streams)
    stages = _Stages(spec, columns)
    if spec.finish is None or spec.limit == 0:
        yield from stages.open()
    reader = KeyReader(spec.order, columns) if spec.order else None
    source = in_order(len(streams), reader) if reader else one_after_another(len(streams))
    reply: Reply = None
    while not stages.full:
        try:
            event = source.send(reply)
        except StopIteration:
            yield from stages.end()
            return
        if isinstance(event, Need):
            reply = yield event
        else:
            reply = None
            yield from stages.add(event)


def check_alike(columns: Sequence[ColumnDefinition], others: Sequence[ColumnDefinition]) -> None:
    """Raises MeshError unless two data nodes sent columns whose values can stand in one result."""
    if _kinds(columns) != _kinds(others):
        raise MeshError(
            "The data nodes disagree about the columns of this result; make their tables alike "
            "(dbmesh check --live shows where they differ)"
        )


def _kinds(columns: Sequence[ColumnDefinition]) -> list[tuple[int, int, int, int]]:
    return [_kind(column) for column in columns]


def _kind(column: ColumnDefinition) -> tuple[int, int, int, int]:
    """Of a string only its charset counts. Whether MariaDB's optimiser took a temporary table decides the rest:
    0 or 39 decimals, VARCHAR or ENUM for MIN of an ENUM."""
    if column.type in STRING_TYPES:
        return FieldType.STRING, 0, column.charset, 0
    flags = FieldFlag.UNSIGNED | (FieldFlag.BINARY if column.type == FieldType.BIT else 0)
    return column.type, column.decimals, column.charset, column.flags & flags


def _common(streams: Sequence[Sequence[ColumnDefinition]]) -> list[ColumnDefinition]:
    """The columns that all streams share, each as wide as its widest."""
    shared = list(streams[0])
    for other in streams[1:]:
        check_alike(shared, other)
        shared = [mine if mine.length >= its.length else its for mine, its in zip(shared, other, strict=True)]
    return shared


class _Stages:
    """What happens to rows behind the merge by order."""

    def __init__(self, spec: MergeSpec, columns: list[ColumnDefinition]) -> None:
        self._spec = spec
        self._columns = columns
        self._group = Grouping(spec.group, len(spec.order), columns) if spec.group else None
        self._finish = Finishing(spec.finish, columns) if spec.finish else None
        neighbours = spec.distinct == spec.order != () and not spec.group and not spec.finish
        self._distinct = Distinct() if neighbours else None
        self._opened = False
        self._seen: Seen | None = None
        self._sort: Sorting | None = None
        self._derived = spec.derived if spec.finish is None else spec.finish.hidden
        self._visible = 0
        self._skip = spec.offset
        self._left = spec.limit

    @property
    def full(self) -> bool:
        """LIMIT is reached: no further row is wanted."""
        return self._left == 0

    def open(self) -> Generator[Event, Reply, None]:
        """Send the result's columns, unless that is done."""
        if self._opened:
            return
        self._opened = True
        spec = self._spec
        columns = self._columns if self._finish is None else (yield from self._finish.definitions())
        self._visible = len(columns) - self._derived
        budget = Budget(spec.budget)
        if spec.distinct and not self._distinct:
            self._seen = Seen(KeyReader(spec.distinct, columns), budget)
        if spec.sort:
            wanted = None if spec.limit is None else spec.offset + spec.limit
            self._sort = Sorting(KeyReader(spec.sort, columns), wanted, budget)
        yield Columns(columns[: self._visible])

    def add(self, batch: Pairs | list[bytes]) -> Generator[Event, Reply, None]:
        """Take rows in, let out what is ready. Rows come with their keys where there is an order."""
        pairs = [row if isinstance(row, tuple) else ((), row) for row in batch]
        if self._group:
            rows = self._group.add(pairs)
        elif self._distinct:
            rows = self._distinct.add(pairs)
        else:
            rows = [row for _, row in pairs]
        yield from self._pass_on(rows)

    def end(self) -> Generator[Event, Reply, None]:
        """All streams have ended."""
        if self._group:
            yield from self._pass_on(self._group.end())
        yield from self.open()
        if self._sort:
            rows = self._sort.end()
            for start in range(0, len(rows), _OUT_ROWS):
                yield from self._emit(rows[start : start + _OUT_ROWS])

    def _pass_on(self, rows: list[bytes]) -> Generator[Event, Reply, None]:
        if self._finish and rows:
            rows = yield from self._finish.rows(rows)
            yield from self.open()
        if self._seen:
            rows = self._seen.add(rows)
        if self._sort:
            self._sort.add(rows)
        else:
            yield from self._emit(rows)

    def _emit(self, rows: list[bytes]) -> Generator[Event, Reply, None]:
        if self._skip:
            skipped = min(self._skip, len(rows))
            self._skip -= skipped
            rows = rows[skipped:]
        if self._left is not None:
            rows = rows[: self._left]
            self._left -= len(rows)
        if rows:
            visible = self._visible
            yield Rows([cut(row, visible) for row in rows] if self._derived else rows)
