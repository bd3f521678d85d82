"""What the servers define now: tables, which DDL may have changed behind the mesh's back, and stored functions.

Undo records must not be incomplete because the catalog is out of date, and a stored function may write what no undo
record knows of.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from functools import reduce

from dbmesh.errors import NotSupported
from dbmesh.saga.gates import LOCAL_INSTEAD
from dbmesh.saga.values import string_literal
from dbmesh.schema import Table
from dbmesh.transaction.link import Links
from dbmesh.transaction.ports import Catalog

TRUSTED_SECONDS = 1.0
_CALL = re.compile(r"(`[^`]+`|[\w$]+)\s*\(")


class Definitions:
    """Tables from a catalog, each compared with its server once a second while it is written."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._checked: dict[tuple[str, str], float] = {}
        self._functions: dict[str, tuple[float, frozenset[str]]] = {}

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

    async def refuse_functions(self, data_source: str, sql: str) -> None:
        """Raise NotSupported when the statement calls a stored function of the data source's schema."""
        called = {name.strip("`").lower() for name in _CALL.findall(sql)}
        if called and (found := called & await self._stored_functions(data_source)):
            raise NotSupported(f"stored function {min(found)} may write what BASE cannot undo", LOCAL_INSTEAD)

    async def _stored_functions(self, data_source: str) -> frozenset[str]:
        now = asyncio.get_running_loop().time()
        checked, names = self._functions.get(data_source, (None, frozenset()))
        if checked is None or now - checked >= TRUSTED_SECONDS:
            answer = await self._links.ask(
                data_source,
                "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_TYPE='FUNCTION'"
                f" AND ROUTINE_SCHEMA={string_literal(self._links.schema(data_source))}",
            )
            names = frozenset((row[0] or b"").decode().lower() for row in answer.rows)
            self._functions[data_source] = now, names
        return names

    async def _there(self, data_source: str, name: str) -> tuple[int, int, int]:
        schema, table = string_literal(self._links.schema(data_source)), string_literal(name)
        answer = await self._links.ask(
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
