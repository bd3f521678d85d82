"""The conversation between a merge and whoever runs it: events out, replies in; no IO here.

==============  =========================================================================
event           reply sent into the generator
==============  =========================================================================
``Need``        ``list[bytes]``, the next rows of that stream (never empty), or None at its end
``Evaluate``    an :class:`Evaluated`: the backend's answer to that SELECT
``Columns``     None; comes exactly once, before any rows
``Rows``        None
==============  =========================================================================

Rows are payloads of protocol text rows, without the packet header. When the generator returns before a stream
has ended (LIMIT is reached), the rest of the stream is not wanted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from dbmesh.protocol import ColumnDefinition


@dataclass(frozen=True, slots=True)
class Need:
    """More rows of stream number ``stream`` are needed."""

    stream: int


@dataclass(frozen=True, slots=True)
class Evaluate:
    """A SELECT without tables, to be run on any backend under the client's session state."""

    sql: str


@dataclass(frozen=True, slots=True)
class Columns:
    """The definitions of the result's columns."""

    columns: list[ColumnDefinition]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of the result, in order; never empty."""

    rows: list[bytes]


class Evaluated(Protocol):
    """A backend's result, decoded: ``backend.Result`` fits."""

    @property
    def columns(self) -> Sequence[ColumnDefinition]: ...

    @property
    def rows(self) -> Sequence[Sequence[bytes | None]]: ...


Event: TypeAlias = Need | Evaluate | Columns | Rows
Reply: TypeAlias = list[bytes] | Evaluated | None
