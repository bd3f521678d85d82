"""What the last statement left behind: for SHOW WARNINGS and the functions that speak of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dbmesh.engine.caller import Outcome, WarningRow
from dbmesh.errors import MeshError


class Warnings(NamedTuple):
    """``rows``: of SHOW WARNINGS, the first ones where there were many; ``total``: how many there were."""

    rows: Sequence[WarningRow] = ()
    total: int = 0

    @property
    def errors(self) -> list[WarningRow]:
        return [row for row in self.rows if row[0] == b"Error"]


NO_WARNINGS = Warnings()


class Diagnostics:
    """MySQL's diagnostics area, LAST_INSERT_ID(), FOUND_ROWS() and ROW_COUNT() of one session."""

    __slots__ = ("found_rows", "last_insert_id", "row_count", "warnings")

    def __init__(self) -> None:
        self.last_insert_id = 0
        self.found_rows = 0
        self.row_count = -1
        self.warnings = NO_WARNINGS

    def remember(self, outcome: Outcome) -> None:
        """A statement has ended, well or with the error that a server has sent to the client itself."""
        self.warnings = Warnings(outcome.warning_rows, max(outcome.warnings, len(outcome.warning_rows)))
        if outcome.set_last_insert_id is not None:
            self.last_insert_id = outcome.set_last_insert_id
        if outcome.errno:
            self.row_count = -1
        elif outcome.rows is not None:
            self.found_rows = outcome.rows if outcome.found_rows is None else outcome.found_rows
            self.row_count = -1
        else:
            self.row_count = outcome.affected
            if outcome.last_insert_id:
                self.last_insert_id = outcome.last_insert_id

    def remember_relayed(self, rows: int, affected: int, last_insert_id: int) -> None:
        """The same for an answer without warnings that has passed undecoded; ``rows``: -1 without a result set. Hot."""
        self.warnings = NO_WARNINGS
        if rows >= 0:
            self.found_rows = rows
            self.row_count = -1
        else:
            self.row_count = affected
            if last_insert_id:
                self.last_insert_id = last_insert_id

    def remember_error(self, error: MeshError) -> None:
        self.row_count = -1
        row: WarningRow = [b"Error", str(error.errno).encode(), error.message.encode("utf-8", "replace")]
        self.warnings = Warnings([row], 1)
