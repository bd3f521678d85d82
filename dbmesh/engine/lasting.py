"""Scratch tables that one statement can read twice, which it cannot do with MySQL's temporary ones.

They are ordinary tables in the mesh's own schema, with a name that nobody makes again. Their connection holds a named
lock from before the first of them exists until the last is gone. So whoever finds such tables, and their lock free, has
found what a connection has left that was lost, and removes it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from contextlib import suppress

from dbmesh.backend.connection import Connection
from dbmesh.backend.pool import Capabilities
from dbmesh.backend.session_state import DEFAULT_STATE
from dbmesh.engine.generation import Generation
from dbmesh.errors import BackendError, MeshError, NotSupported
from dbmesh.plan.model import Shipment
from dbmesh.rewrite import quoted

_PREFIX = "scratch_"
_NAME = re.compile(rf"({_PREFIX}[0-9a-f]{{16}})_\d+")
_UNKNOWN_DATABASE = 1049
_ENDING_SECONDS = 10  # a connection that was ended mid-query may go on for a moment


class Lasting:
    """The ordinary tables of one statement. ``names``: one for each shipment. ``made``: whether there are any."""

    def __init__(self, connection: Connection, schema: str, shipments: Iterable[Shipment]) -> None:
        self.schema = schema
        self.token = _PREFIX + secrets.token_hex(8)
        self._connection = connection
        self._shipments = tuple(shipments)
        self.made = False
        self.names = [f"{self.token}_{at}" for at in range(len(self._shipments))]

    async def fill(self) -> None:
        """Make them of the temporary ones. Raises NotSupported when the server does not let us."""
        await self._out_of_binlog(True)
        await sweep(self._connection, self.schema)
        await self._connection.execute(f"SELECT GET_LOCK('{self.token}', 0)")
        self.made = True
        try:
            for shipment, table in zip(self._shipments, self._tables(), strict=True):
                await self._create(f"CREATE TABLE {table} LIKE {quoted(shipment.table)}")
                columns = ", ".join(map(quoted, shipment.columns))
                await self._connection.execute(
                    f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {quoted(shipment.table)}"
                )
            # Without statistics the server would plan as if they were empty.
            await self._connection.execute(f"ANALYZE NO_WRITE_TO_BINLOG TABLE {', '.join(self._tables())}")
        except BackendError as error:
            raise NotSupported(
                f"MySQL reads a WITH twice from ordinary tables only, and these cannot be made ({error.message})",
                f"let the servers' account create tables in {self.schema}, or write the WITH as derived tables",
            ) from error

    async def drop(self) -> None:
        await self._connection.execute(f"DROP TABLE {', '.join(self._tables())}")
        self.made = False
        await self._connection.execute(f"SELECT RELEASE_LOCK('{self.token}')")
        await self._out_of_binlog(False)

    def _tables(self) -> list[str]:
        return [f"{quoted(self.schema)}.{quoted(name)}" for name in self.names]

    async def _create(self, sql: str) -> None:
        try:
            await self._connection.execute(sql)
        except BackendError as error:
            if error.errno != _UNKNOWN_DATABASE:
                raise
            await self._connection.execute(f"CREATE DATABASE IF NOT EXISTS {quoted(self.schema)} CHARACTER SET utf8mb4")
            await self._connection.execute(sql)

    async def _out_of_binlog(self, out: bool) -> None:
        """Replicas have no use for them; an account that may not say so writes them there."""
        with suppress(BackendError):
            await self._connection.execute(f"SET SESSION sql_log_bin = {int(not out)}")


async def sweep(connection: Connection, schema: str, waiting_for: str = "") -> None:
    """Drop what lost connections have left. ``waiting_for``: a token whose connection may be ending just now."""
    found = await connection.execute(
        f"SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{schema}'"
        f" AND TABLE_NAME LIKE '{_PREFIX.replace('_', '|_')}%' ESCAPE '|'"
    )
    left: dict[str, list[str]] = {}
    for row in found.rows:
        if matched := _NAME.fullmatch((row[0] or b"").decode()):
            left.setdefault(matched[1], []).append(f"{quoted(schema)}.{quoted(matched[0])}")
    for token, tables in left.items():
        seconds = _ENDING_SECONDS if token == waiting_for else 0
        [[taken]] = (await connection.execute(f"SELECT GET_LOCK('{token}', {seconds})")).rows
        if taken == b"1":
            await connection.execute(f"DROP TABLE IF EXISTS {', '.join(tables)}")
            await connection.execute(f"SELECT RELEASE_LOCK('{token}')")


async def sweep_on(generation: Generation, data_source: str, waiting_for: str = "") -> None:
    """The same on a connection of the pool. What cannot be reached now is found by the next one who looks."""
    with suppress(MeshError):
        [connection] = await generation.cluster.acquire([data_source], Capabilities(), DEFAULT_STATE)
        try:
            await connection.apply(DEFAULT_STATE)
            await sweep(connection, generation.rules.transaction.schema, waiting_for)
        finally:
            generation.cluster.release(connection)
