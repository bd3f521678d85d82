"""The lists of SHOW as SELECTs from information_schema, which the mesh answers in logical names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbmesh.backend.connection import Result
from dbmesh.frontend import planned
from dbmesh.frontend.asks import ask
from dbmesh.frontend.show_names import share_of
from dbmesh.frontend.show_rows import codec
from dbmesh.plan.logical_rows import text
from dbmesh.rewrite import quoted

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session

_PROGRAMMED = {
    "character_set_client": "CHARACTER_SET_CLIENT",
    "collation_connection": "COLLATION_CONNECTION",
    "Database Collation": "DATABASE_COLLATION",
}
_STATUS = {
    "Name": "TABLE_NAME", "Engine": "ENGINE", "Version": "VERSION", "Row_format": "ROW_FORMAT", "Rows": "TABLE_ROWS",
    "Avg_row_length": "AVG_ROW_LENGTH", "Data_length": "DATA_LENGTH", "Max_data_length": "MAX_DATA_LENGTH",
    "Index_length": "INDEX_LENGTH", "Data_free": "DATA_FREE", "Auto_increment": "AUTO_INCREMENT",
    "Create_time": "CREATE_TIME", "Update_time": "UPDATE_TIME", "Check_time": "CHECK_TIME",
    "Collation": "TABLE_COLLATION", "Checksum": "CHECKSUM", "Create_options": "CREATE_OPTIONS",
    "Comment": "TABLE_COMMENT",
}  # fmt: skip
_STATUS_MARIADB = _STATUS | {"Max_index_length": "MAX_INDEX_LENGTH", "Temporary": "TEMPORARY"}
_TRIGGERS = {
    "Trigger": "TRIGGER_NAME", "Event": "EVENT_MANIPULATION", "Table": "EVENT_OBJECT_TABLE",
    "Statement": "ACTION_STATEMENT", "Timing": "ACTION_TIMING", "Created": "CREATED", "sql_mode": "SQL_MODE",
    "Definer": "DEFINER",
} | _PROGRAMMED  # fmt: skip
_EVENTS = {
    "Db": "EVENT_SCHEMA", "Name": "EVENT_NAME", "Definer": "DEFINER", "Time zone": "TIME_ZONE", "Type": "EVENT_TYPE",
    "Execute at": "EXECUTE_AT", "Interval value": "INTERVAL_VALUE", "Interval field": "INTERVAL_FIELD",
    "Starts": "STARTS", "Ends": "ENDS", "Status": "STATUS", "Originator": "ORIGINATOR",
} | _PROGRAMMED  # fmt: skip
_PROGRAMS = {
    "Db": "ROUTINE_SCHEMA", "Name": "ROUTINE_NAME", "Type": "ROUTINE_TYPE", "Definer": "DEFINER",
    "Modified": "LAST_ALTERED", "Created": "CREATED", "Security_type": "SECURITY_TYPE", "Comment": "ROUTINE_COMMENT",
} | _PROGRAMMED  # fmt: skip

_PROGRAMS_MYSQL_9 = {
    label: column
    for known, name in _PROGRAMS.items()
    for label, column in ([("Language", "EXTERNAL_LANGUAGE")] if known == "Definer" else []) + [(known, name)]
}


async def databases(session: Session) -> Result:
    return await _rows(session, "SELECT SCHEMA_NAME AS `Database` FROM information_schema.SCHEMATA ORDER BY 1")


async def tables(session: Session, database: str, full: bool) -> Result:
    kind = ", TABLE_TYPE AS Table_type" if full else ""
    heading = quoted(f"Tables_in_{database}")
    return await _rows(session, f"SELECT TABLE_NAME AS {heading}{kind} {_of('TABLES', 'TABLE_SCHEMA', database)}")


async def table_status(session: Session, database: str, full: bool) -> Result:
    columns = _STATUS if session.mesh.is_mysql else _STATUS_MARIADB
    return await _rows(session, f"SELECT {_items(columns)} {_of('TABLES', 'TABLE_SCHEMA', database)}")


async def triggers(session: Session, database: str, full: bool) -> Result:
    order = "EVENT_OBJECT_TABLE, EVENT_MANIPULATION, ACTION_TIMING, ACTION_ORDER"
    return await _rows(session, f"SELECT {_items(_TRIGGERS)} {_of('TRIGGERS', 'TRIGGER_SCHEMA', database, order)}")


async def events(session: Session, database: str, full: bool) -> Result:
    return await _rows(session, f"SELECT {_items(_EVENTS)} {_of('EVENTS', 'EVENT_SCHEMA', database, 'EVENT_NAME')}")


async def open_tables(session: Session, database: str, full: bool) -> Result:
    """What the servers' table caches hold; a table is in use as often as its data nodes are."""
    logical = session.rules.databases[database]
    uses: dict[str, list[int]] = {}
    result = Result()
    for source in logical.data_sources:
        share = share_of(logical, source)
        result = await ask(session, f"SHOW OPEN TABLES FROM {quoted(share.schema)}", source)
        for _, actual, in_use, locked in result.rows:
            name = (actual or b"").decode(codec(session), "surrogateescape")
            if name in share.nodes or share.rest:
                counts = uses.setdefault(share.nodes.get(name, name), [0, 0])
                counts[:] = counts[0] + int(in_use or 0), counts[1] + int(locked or 0)
    result.rows = [
        [str(cell).encode(codec(session), "replace") for cell in (database, name, *n)]
        for name, n in sorted(uses.items())
    ]
    return result


async def programs(session: Session, kind: str) -> Result:
    """``kind``: FUNCTION, PROCEDURE, PACKAGE …"""
    columns = _PROGRAMS
    major = session.mesh.server_version.partition(".")[0]
    if "MariaDB" not in session.mesh.server_version and major.isdigit() and int(major) >= 9:
        columns = _PROGRAMS_MYSQL_9
    found = f"FROM information_schema.ROUTINES WHERE ROUTINE_TYPE = {text(kind)} ORDER BY 1, 2"
    return await _rows(session, f"SELECT {_items(columns)} {found}")


def _of(name: str, column: str, database: str, order: str = "1") -> str:
    literal = "'" + database.replace("\\", "\\\\").replace("'", "''") + "'"
    return f"FROM information_schema.{name} WHERE {column} = {literal} ORDER BY {order}"


def _items(columns: dict[str, str]) -> str:
    return ", ".join(f"{column} AS {quoted(label)}" for label, column in columns.items())


async def _rows(session: Session, sql: str) -> Result:
    plan, shape = await planned.plan_of(session, sql)
    [unit] = (await planned.bind(session, plan, shape)).units
    return await ask(session, unit.sql, unit.data_source)
