"""Expressions over merged rows, evaluated by a backend: HAVING, select items and sort keys made of aggregates."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from copy import copy

from dbmesh.errors import MeshError, NotSupported
from dbmesh.merge.event import Evaluate, Evaluated, Reply
from dbmesh.merge.literal import literal
from dbmesh.merge.spec import Finish, Item, Pass
from dbmesh.protocol import Collation, ColumnDefinition, FieldFlag, FieldType, decode_text_row, encode_text_row
from dbmesh.schema import Column

BATCH_ROWS = 256
BATCH_BYTES = 256 << 10  # of literals; a single longer row still goes, alone


class Finishing:
    """Turns merged rows into finished rows. ``columns``: definitions of the merged row."""

    __slots__ = ("_columns", "_evaluated", "_finish", "_literals", "_numbers")

    def __init__(self, finish: Finish, columns: Sequence[ColumnDefinition]) -> None:
        self._finish = finish
        self._columns = columns
        self._numbers = [wanted.column % len(columns) for wanted in finish.inputs]
        self._literals = [literal(wanted, columns[n]) for wanted, n in zip(finish.inputs, self._numbers, strict=True)]
        self._evaluated: Sequence[ColumnDefinition] | None = None

    def definitions(self) -> Generator[Evaluate, Reply, list[ColumnDefinition]]:
        """Definitions of the finished row; asks a backend when nothing was evaluated yet."""
        if self._evaluated is None:
            yield from self._ask(self._sql([self._first_select([None] * len(self._columns))]) + " LIMIT 0")
        assert self._evaluated is not None
        items = iter(self._evaluated[self._first_item :])
        return [self._definition(output, items) for output in self._finish.output]

    def rows(self, merged: Sequence[bytes]) -> Generator[Evaluate, Reply, list[bytes]]:
        """The finished rows of these merged rows, in their order, without those that HAVING drops."""
        finished: list[bytes] = []
        batch: list[list[bytes | None]] = []
        selects: list[str] = []
        size = 0
        for payload in merged:
            row = decode_text_row(payload)
            values = self._values(row)
            if batch and (len(batch) == BATCH_ROWS or size + len(values) > BATCH_BYTES):
                finished += yield from self._batch(batch, selects)
                batch, selects, size = [], [], 0
            selects.append(f"SELECT {len(batch)}, {values}" if batch else self._first_select(row))
            batch.append(row)
            size += len(values)
        if batch:
            finished += yield from self._batch(batch, selects)
        return finished

    @property
    def _first_item(self) -> int:
        """Columns of the evaluation before the items: the row's number and HAVING."""
        return 1 if self._finish.having is None else 2

    def _batch(self, batch: list[list[bytes | None]], selects: list[str]) -> Generator[Evaluate, Reply, list[bytes]]:
        answer = yield from self._ask(self._sql(selects))
        values: dict[int, Sequence[bytes | None]] = {int(row[0] or 0): row for row in answer.rows}
        if sorted(values) != list(range(len(batch))):
            raise MeshError("the evaluation of a merged result came back with other rows than were sent")
        return [
            self._finished(row, values[n])
            for n, row in enumerate(batch)
            if self._finish.having is None or values[n][1] == b"1"
        ]

    def _ask(self, sql: str) -> Generator[Evaluate, Reply, Evaluated]:
        answer = yield Evaluate(sql)
        assert answer is not None
        assert not isinstance(answer, list)
        if self._evaluated is None:
            self._evaluated = answer.columns
        return answer

    def _sql(self, selects: list[str]) -> str:
        having = [] if self._finish.having is None else [f"({self._finish.having}) IS TRUE"]
        items = [output.sql for output in self._finish.output if isinstance(output, Item)]
        return f"SELECT {', '.join(['dm.n', *having, *items])} FROM ({' UNION ALL '.join(selects)}) AS dm"

    def _values(self, row: Sequence[bytes | None]) -> str:
        return ", ".join([write(row[n]) for write, n in zip(self._literals, self._numbers, strict=True)])

    def _first_select(self, row: Sequence[bytes | None]) -> str:
        """The select that names the columns of the derived table."""
        pairs = zip(self._literals, self._numbers, strict=True)
        return f"SELECT {', '.join(['0 AS n', *[f'{write(row[n])} AS a{k}' for k, (write, n) in enumerate(pairs)]])}"

    def _finished(self, row: Sequence[bytes | None], evaluated: Sequence[bytes | None]) -> bytes:
        items = iter(evaluated[self._first_item :])
        return encode_text_row(
            [row[output.column] if isinstance(output, Pass) else next(items) for output in self._finish.output]
        )

    def _definition(self, output: Pass | Item, items: Iterator[ColumnDefinition]) -> ColumnDefinition:
        if isinstance(output, Pass):
            return self._columns[output.column]
        definition = copy(next(items))
        definition.name = output.label
        if output.column is not None:
            describe_as(definition, output.column)
        return definition


_FAMILIES = (
    {"tinyint": FieldType.TINY, "smallint": FieldType.SHORT, "mediumint": FieldType.INT24, "int": FieldType.LONG,
     "bigint": FieldType.LONGLONG},
    {"timestamp": FieldType.TIMESTAMP, "datetime": FieldType.DATETIME},
    {"char": FieldType.STRING, "varchar": FieldType.VAR_STRING, "text": FieldType.BLOB,
     "mediumtext": FieldType.MEDIUM_BLOB, "longtext": FieldType.LONG_BLOB, "binary": FieldType.STRING,
     "varbinary": FieldType.VAR_STRING, "blob": FieldType.BLOB, "mediumblob": FieldType.MEDIUM_BLOB,
     "longblob": FieldType.LONG_BLOB},
)  # fmt: skip
_WITHOUT_SIGN = frozenset(_FAMILIES[0]) | frozenset(_FAMILIES[1])


def describe_as(definition: ColumnDefinition, column: Column) -> None:
    """Give it the type of ``column``, whose values have the same text. Raises NotSupported where that cannot be."""
    for family in _FAMILIES:
        if column.type in family and definition.type in family.values():
            definition.type = family[column.type]
    if column.type in _WITHOUT_SIGN and column.unsigned:
        definition.flags |= FieldFlag.UNSIGNED
    binary = column.collation in (None, "binary")
    if column.type in _FAMILIES[2] and binary != (definition.charset == Collation.BINARY):
        raise NotSupported("binary and character strings in one expression over aggregates, over several data nodes")
