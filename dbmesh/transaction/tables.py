"""The mesh's own tables, on every data source and in the coordinator log; created at start-up where they are missing.

They live in a schema of their own (``_dbmesh``), or, where the account may not create one, in the data source's schema
under the prefix ``_dbmesh_``.
"""

from __future__ import annotations

from dataclasses import dataclass

from dbmesh.errors import BackendError, MeshError
from dbmesh.saga.values import quoted, string_literal
from dbmesh.transaction.link import Link

_NO_RIGHT = frozenset((1044, 1142, 1227))
_OPTIONS = "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"

BRANCH_TABLES = {
    "branch": """
  gtrid VARBINARY(48) NOT NULL, ds VARBINARY(64) NOT NULL, bseq INT NOT NULL DEFAULT 0,
  state ENUM('COMMITTED','ABORTED','COMPENSATED','DONE','PARKED','SKIPPED','FORCED') NOT NULL,
  mode ENUM('deferred','eager','xa') NOT NULL, schema_ver BIGINT NOT NULL, owner VARBINARY(32), epoch BIGINT NOT NULL,
  created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), ended_at DATETIME(6), note VARCHAR(1000),
  PRIMARY KEY (gtrid, ds, bseq), KEY (state, created_at)""",
    "gate": """
  gtrid VARBINARY(48) NOT NULL, ds VARBINARY(64) NOT NULL, state ENUM('OPEN','CLOSED') NOT NULL,
  created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), PRIMARY KEY (gtrid, ds)""",
    "undo_record": """
  gtrid VARBINARY(48) NOT NULL, ds VARBINARY(64) NOT NULL, seq BIGINT NOT NULL, part INT NOT NULL DEFAULT 0,
  bseq INT NOT NULL, stmt_no INT NOT NULL, op ENUM('I','U','D') NOT NULL,
  db VARCHAR(64) NOT NULL, tbl VARCHAR(64) NOT NULL, pk LONGTEXT NOT NULL, before_img LONGTEXT, after_img LONGTEXT,
  touched LONGTEXT NOT NULL, reverse_sql LONGTEXT NOT NULL, orig_sql MEDIUMTEXT, crc INT UNSIGNED NOT NULL,
  PRIMARY KEY (gtrid, ds, seq, part), KEY k_row (db, tbl, gtrid)""",
    "row_lock": """
  lock_key BINARY(32) NOT NULL PRIMARY KEY, gtrid VARBINARY(48) NOT NULL, ds VARBINARY(64) NOT NULL,
  bseq INT NOT NULL, db VARCHAR(64) NOT NULL, tbl VARCHAR(64) NOT NULL, key_text VARCHAR(255),
  state ENUM('HELD','ROLLING_BACK') NOT NULL DEFAULT 'HELD',
  created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), KEY (gtrid, ds, bseq), KEY (db, tbl)""",
}

LOG_TABLES = {
    "g_tx": """
  gtrid VARBINARY(48) NOT NULL PRIMARY KEY, mode ENUM('deferred','eager','xa') NOT NULL,
  state ENUM('ACTIVE','COMMITTING','COMMITTED','ROLLING_BACK','ROLLED_BACK','PARKED','FORCED_COMMIT',
             'FORCED_ROLLBACK') NOT NULL,
  participants LONGTEXT NOT NULL, owner VARBINARY(32) NOT NULL, epoch BIGINT NOT NULL, deadline DATETIME(6),
  attempts INT NOT NULL DEFAULT 0, next_try_at DATETIME(6), last_error TEXT, client VARCHAR(255), label VARCHAR(128),
  created_at DATETIME(6) NOT NULL, decided_at DATETIME(6), ended_at DATETIME(6),
  KEY (state, next_try_at), KEY (owner, state), KEY (ended_at)""",
    "g_event": """
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, gtrid VARBINARY(48), at DATETIME(6) NOT NULL, actor VARCHAR(64),
  kind VARCHAR(32), detail LONGTEXT, KEY (gtrid), KEY (at)""",
    "proxy": """
  instance VARBINARY(32) NOT NULL PRIMARY KEY, epoch BIGINT NOT NULL, lease_until DATETIME(6) NOT NULL,
  host VARCHAR(255), version VARCHAR(32)""",
    "mesh": """
  one TINYINT NOT NULL PRIMARY KEY, id VARBINARY(16) NOT NULL""",
    "worker_id": """
  id SMALLINT UNSIGNED NOT NULL PRIMARY KEY, instance VARBINARY(32) NOT NULL, lease_until DATETIME(6) NOT NULL""",
    "lock_wait": """
  name VARBINARY(64) NOT NULL PRIMARY KEY, threads LONGTEXT NOT NULL, seen_at DATETIME(6) NOT NULL""",
    "ddl_job": """
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, state ENUM('OPEN','DONE','FORGOTTEN') NOT NULL DEFAULT 'OPEN',
  db VARCHAR(64) NOT NULL, statement LONGTEXT NOT NULL, settings LONGTEXT NOT NULL, account VARCHAR(255) NOT NULL,
  note TEXT, created_at DATETIME(6) NOT NULL, ended_at DATETIME(6), KEY (state)""",
    "ddl_step": """
  job BIGINT NOT NULL, number INT NOT NULL, ds VARCHAR(64) NOT NULL, tbl VARCHAR(64) NOT NULL,
  sql_text LONGBLOB NOT NULL, state ENUM('WAITING','RUNNING','DONE') NOT NULL DEFAULT 'WAITING', before_ddl LONGTEXT,
  thread BIGINT UNSIGNED, error TEXT, changed_at DATETIME(6), PRIMARY KEY (job, number)""",
}


class WrongEngine(MeshError):
    """ER_CHECK_NOT_IMPLEMENTED: a table of the mesh's own is not transactional."""

    errno = 1178
    sqlstate = "42000"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the mesh's tables are on one data source. ``max_packet``: the server's max_allowed_packet, bytes."""

    schema: str
    prefix: str
    max_packet: int

    def name(self, table: str) -> str:
        """A table's full name as it stands in SQL."""
        return f"{quoted(self.schema)}.{quoted(self.prefix + table)}"


class NoTables(MeshError):
    """ER_NO_SUCH_TABLE: the mesh has not been started on this data source yet."""

    errno = 1146
    sqlstate = "42S02"


async def prepare_tables(link: Link, own_schema: str, mesh_schema: str, log: bool, create: bool = True) -> Place:
    """Find or create the tables of a data source; with ``log`` the coordinator log's too.

    Raises NoTables when they are missing and must not be created, WrongEngine, errors of the server.
    """
    wanted = BRANCH_TABLES | (LOG_TABLES if log else {})
    packet = int((await link.execute("SELECT @@max_allowed_packet")).rows[0][0] or 0)
    apart = Place(mesh_schema, "", packet)
    inside = Place(own_schema, mesh_schema + "_", packet)
    for place in (apart, inside):
        if await _missing(link, place, wanted) == []:
            if create:
                await _upgrade(link, place)
            return place
    if not create:
        raise NoTables(f"The mesh has no tables on data source '{link.data_source}' yet")
    try:
        await link.execute(f"CREATE DATABASE IF NOT EXISTS {quoted(mesh_schema)} CHARACTER SET utf8mb4")
        await _create(link, apart, wanted)
    except BackendError as error:
        if error.errno not in _NO_RIGHT:
            raise
        await _create(link, inside, wanted)
        return inside
    return apart


async def _create(link: Link, place: Place, wanted: dict[str, str]) -> None:
    for table, columns in wanted.items():
        await link.execute(f"CREATE TABLE IF NOT EXISTS {place.name(table)} ({columns}) {_OPTIONS}")
    await _missing(link, place, wanted)
    await _upgrade(link, place)


async def _upgrade(link: Link, place: Place) -> None:
    """Tables of a mesh that knew no XA transactions."""
    mode = await link.execute(
        "SELECT COLUMN_TYPE FROM information_schema.COLUMNS WHERE COLUMN_NAME = 'mode'"
        f" AND TABLE_SCHEMA = {string_literal(place.schema)} AND TABLE_NAME = {string_literal(place.prefix + 'branch')}"
    )
    if mode.rows and b"'xa'" not in (mode.rows[0][0] or b""):
        await link.execute(f"ALTER TABLE {place.name('branch')} MODIFY mode ENUM('deferred','eager','xa') NOT NULL")


async def _missing(link: Link, place: Place, wanted: dict[str, str]) -> list[str]:
    names = ", ".join(string_literal(place.prefix + table) for table in wanted)
    answer = await link.execute(
        "SELECT TABLE_NAME, ENGINE FROM information_schema.TABLES"
        f" WHERE TABLE_SCHEMA = {string_literal(place.schema)} AND TABLE_NAME IN ({names})"
    )
    found = {(row[0] or b"").decode(): (row[1] or b"").decode() for row in answer.rows}
    for name, engine in found.items():
        if engine.lower() != "innodb":
            raise WrongEngine(f"Table {place.schema}.{name} of the mesh has engine {engine}; it must be InnoDB")
    return [table for table in wanted if place.prefix + table not in found]
