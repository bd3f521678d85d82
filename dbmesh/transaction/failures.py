"""What ends a recorded statement: too many rows, a closed gate, a row of another global transaction."""

from __future__ import annotations

from dbmesh.errors import MeshError
from dbmesh.saga.states import LockState


class TooManyRows(MeshError):
    """ER_UNKNOWN_ERROR with the limit named: a statement changes more than BASE can keep undo records of."""

    def __init__(self, limit: str) -> None:
        super().__init__(f"statement changes too many rows for a BASE transaction (limit {limit}); write in batches")


class GateClosed(Exception):
    """The outcome of the global transaction was decided elsewhere."""


class RowLocked(Exception):
    """A row belongs to another global transaction. ``keys``: what to ask for until it is free."""

    def __init__(self, holder: str, state: LockState, data_source: str, keys: str) -> None:
        super().__init__(holder)
        self.holder = holder
        self.state = state
        self.data_source = data_source
        self.keys = keys
