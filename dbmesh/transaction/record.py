"""One statement of an eager saga on one data source: a local transaction on the client's own connection, left open.

The business change, the gate check, the branch row, the undo records and the row locks commit together or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dbmesh.errors import BackendError
from dbmesh.saga import gates
from dbmesh.saga.undo import UndoRecord
from dbmesh.saga.writes import recording
from dbmesh.schema import Table
from dbmesh.transaction.failures import GateClosed, TooManyRows
from dbmesh.transaction.imaging import MOST_ROWS, Imager
from dbmesh.transaction.journal import Journal
from dbmesh.transaction.log import text
from dbmesh.transaction.ports import Unit, WriteResult

_DUPLICATE = 1062
Work = tuple[Unit, Table, frozenset[str]]  # with the columns that are undone by their difference


@dataclass(slots=True)
class Recorder:
    """Runs and records the units of one branch."""

    imager: Imager
    journal: Journal

    @property
    def result(self) -> WriteResult:
        return self.imager.result

    @property
    def undo(self) -> list[UndoRecord]:
        return self.imager.undo

    async def run(self, gate_exists: bool, work: Sequence[Work]) -> None:
        """Everything up to, not including, COMMIT. Raises GateClosed, RowLocked, MeshError."""
        await self.imager.send("begin", "START TRANSACTION")
        await self._pass_gate(gate_exists)
        for unit, table, deltas in work:
            assert unit.write is not None
            gates.check(unit.write, table)
            await self.imager.write(recording(unit.write, table, deltas))
            if len(self.undo) > MOST_ROWS:
                raise TooManyRows(f"{MOST_ROWS} rows")
        if self.undo:
            await self.journal.write(self.undo, self.imager.locks, self.imager.versions)
            await self.journal.require_free(self.imager.passed - self.imager.locks)

    async def _pass_gate(self, exists: bool) -> None:
        journal = self.journal
        table = journal.place.name("gate")
        keys = f"{text(journal.gtrid)}, {text(journal.data_source)}"
        if not exists:
            try:
                await self.imager.send("gate", f"INSERT INTO {table} (gtrid, ds, state) VALUES ({keys}, 'OPEN')")
                return
            except BackendError as error:
                if error.errno != _DUPLICATE:
                    raise
        found = await self.imager.send(
            "gate", f"SELECT state FROM {table} WHERE (gtrid, ds) = ({keys}) LIMIT 1 FOR UPDATE"
        )
        if not found.rows or found.rows[0][0] != b"OPEN":
            raise GateClosed
