"""Whether a table still is as the catalog has it: DDL that bypassed the mesh must not make undo records incomplete."""

from __future__ import annotations

import asyncio
import zlib
from functools import reduce

from dbmesh.saga.values import string_literal
from dbmesh.schema import Table
from dbmesh.transaction.link import Links
from dbmesh.transaction.ports import Catalog

TRUSTED_SECONDS = 1.0


class Definitions:
    """Tables from a catalog, each compared with its server once a second while it is written."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._checked: dict[tuple[str, str], float] = {}

    async def table(self, catalog: Catalog, data_source: str, name: str) -> Table | None:
        """The table as it is now, or was a second ago. Raises what the catalog raises, and BackendLost."""
        table = await catalog.table(data_source, name)
        now = asyncio.get_running_loop().time()
        checked = self._checked.get((data_source, name))
        if table is None or (checked is not None and now - checked < TRUSTED_SECONDS):
            return table
        if await self._there(data_source, name) != fingerprint(table):
            catalog.invalidate(data_source, name)
            table = await catalog.table(data_source, name)
        self._checked[data_source, name] = now
        return table

    async def _there(self, data_source: str, name: str) -> tuple[int, int, int]:
        schema, table = string_literal(self._links.schema(data_source)), string_literal(name)
        answer = await self._links.execute(
            data_source,
            "SELECT COUNT(*), COALESCE(BIT_XOR(CRC32(CONCAT(COLUMN_NAME, ':', COLUMN_TYPE))), 0),"
            " (SELECT COUNT(*) FROM information_schema.TRIGGERS"
            f" WHERE EVENT_OBJECT_SCHEMA={schema} AND EVENT_OBJECT_TABLE={table})"
            f" FROM information_schema.COLUMNS WHERE TABLE_SCHEMA={schema} AND TABLE_NAME={table}",
        )
        count, crc, triggers = (int(value or 0) for value in answer.rows[0])
        return count, crc, triggers


def fingerprint(table: Table) -> tuple[int, int, int]:
    """Number of columns, XOR of the CRC-32 of their names and types, number of triggers."""
    sums = (zlib.crc32(f"{column.name}:{column.column_type}".encode()) for column in table.columns)
    return len(table.columns), reduce(lambda one, other: one ^ other, sums, 0), len(table.triggers)
