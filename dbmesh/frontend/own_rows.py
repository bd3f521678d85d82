"""Result sets that the mesh makes itself, without a server: they can be had when every connection is taken."""

from __future__ import annotations

from collections.abc import Sequence

from dbmesh.backend.connection import Result
from dbmesh.protocol import ColumnDefinition
from dbmesh.protocol.constants import FieldType

_UTF8MB4 = 45
_BINARY = 63


def table(headings: Sequence[str], rows: Sequence[Sequence[object]], integers: Sequence[str] = ()) -> Result:
    """A result set of text columns, but for the headings that are ``integers``."""
    columns = [_integer(heading) if heading in integers else _text(heading) for heading in headings]
    return Result(columns, [[None if cell is None else _encoded(cell) for cell in row] for row in rows])


def _text(heading: str) -> ColumnDefinition:
    return ColumnDefinition(heading.encode(), FieldType.VAR_STRING, _UTF8MB4, 4 * 1024, decimals=31)


def _integer(heading: str) -> ColumnDefinition:
    return ColumnDefinition(heading.encode(), FieldType.LONGLONG, _BINARY, 20)


def _encoded(cell: object) -> bytes:
    return str(cell).encode("utf-8", "replace")
