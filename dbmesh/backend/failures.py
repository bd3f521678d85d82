"""Failures of a data source that are no answer of its server."""

from __future__ import annotations

from dbmesh.errors import BackendLost


class Unreachable(BackendLost):
    """No connection could be made; nothing was sent. ER_UNKNOWN_ERROR: 2003 belongs to client libraries."""

    def __init__(self, data_source: str, why: str) -> None:
        super().__init__(data_source, started=False)
        self.message = f"Can't connect to data source '{data_source}': {why}"
        self.args = (self.message,)
