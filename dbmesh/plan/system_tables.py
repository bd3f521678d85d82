"""The servers' own tables: which of them speak of schemas and tables, in which columns, and what a client may read.

MariaDB Knowledge Base "Information Schema Tables"; MySQL 8.4 Reference Manual 28 "INFORMATION_SCHEMA Tables".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

INFORMATION_SCHEMA = "information_schema"
PERFORMANCE_SCHEMA = "performance_schema"


@dataclass(frozen=True, slots=True)
class Names:
    """Where the rows of a table name things, all in upper case.

    ``schema``: the column with the schema that a row belongs to; ``table``: with its table, '' where rows belong to a
    schema as a whole. ``schemas`` and ``tables``: further columns with such names. ``constraints``: names that a server
    derives from the table's. ``definitions``: SQL text in which the server qualifies names with the schema.
    ``sums``: numbers of one node each, which only together are the logical table's. ``own``: information_schema itself
    is spoken of too.
    """

    schema: str
    table: str = ""
    schemas: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    definitions: tuple[str, ...] = ()
    sums: tuple[str, ...] = ()
    own: bool = False


_SIZES = ("TABLE_ROWS", "DATA_LENGTH", "INDEX_LENGTH", "DATA_FREE", "AVG_ROW_LENGTH", "AUTO_INCREMENT", "CREATE_TIME",
          "UPDATE_TIME", "CHECK_TIME", "CHECKSUM")  # fmt: skip

LOGICAL: Mapping[str, Names] = {
    "SCHEMATA": Names("SCHEMA_NAME", own=True),
    "SCHEMATA_EXTENSIONS": Names("SCHEMA_NAME", own=True),
    "TABLES": Names("TABLE_SCHEMA", "TABLE_NAME", sums=_SIZES, own=True),
    "TABLES_EXTENSIONS": Names("TABLE_SCHEMA", "TABLE_NAME", own=True),
    "COLUMNS": Names("TABLE_SCHEMA", "TABLE_NAME", own=True),
    "COLUMNS_EXTENSIONS": Names("TABLE_SCHEMA", "TABLE_NAME", own=True),
    "STATISTICS": Names("TABLE_SCHEMA", "TABLE_NAME", schemas=("INDEX_SCHEMA",)),
    "KEY_COLUMN_USAGE": Names(
        "TABLE_SCHEMA",
        "TABLE_NAME",
        schemas=("CONSTRAINT_SCHEMA", "REFERENCED_TABLE_SCHEMA"),
        tables=("REFERENCED_TABLE_NAME",),
        constraints=("CONSTRAINT_NAME",),
    ),
    "TABLE_CONSTRAINTS": Names(
        "TABLE_SCHEMA", "TABLE_NAME", schemas=("CONSTRAINT_SCHEMA",), constraints=("CONSTRAINT_NAME",)
    ),
    "TABLE_CONSTRAINTS_EXTENSIONS": Names("CONSTRAINT_SCHEMA", "TABLE_NAME", constraints=("CONSTRAINT_NAME",)),
    "REFERENTIAL_CONSTRAINTS": Names(
        "CONSTRAINT_SCHEMA",
        "TABLE_NAME",
        schemas=("UNIQUE_CONSTRAINT_SCHEMA",),
        tables=("REFERENCED_TABLE_NAME",),
        constraints=("CONSTRAINT_NAME",),
    ),
    "CHECK_CONSTRAINTS": Names("CONSTRAINT_SCHEMA", "TABLE_NAME", constraints=("CONSTRAINT_NAME",)),
    "VIEWS": Names("TABLE_SCHEMA", "TABLE_NAME", definitions=("VIEW_DEFINITION",)),
    "TRIGGERS": Names("EVENT_OBJECT_SCHEMA", "EVENT_OBJECT_TABLE", schemas=("TRIGGER_SCHEMA",)),
    "PARTITIONS": Names("TABLE_SCHEMA", "TABLE_NAME", sums=_SIZES),
    "GEOMETRY_COLUMNS": Names("F_TABLE_SCHEMA", "F_TABLE_NAME", schemas=("G_TABLE_SCHEMA",), tables=("G_TABLE_NAME",)),
    "ST_GEOMETRY_COLUMNS": Names("TABLE_SCHEMA", "TABLE_NAME"),
    "ROUTINES": Names("ROUTINE_SCHEMA"),
    "PARAMETERS": Names("SPECIFIC_SCHEMA"),
    "EVENTS": Names("EVENT_SCHEMA"),
}

# Told by the mesh: its users, not the servers'.
PRIVILEGES = frozenset({"USER_PRIVILEGES", "SCHEMA_PRIVILEGES", "PROCESSLIST"})

# Nothing in them belongs to a logical database: a server would show an ordinary user no rows either.
WITHOUT_ROWS = frozenset(
    {"FILES", "TABLESPACES", "TABLESPACES_EXTENSIONS", "COLUMN_STATISTICS", "TABLE_PRIVILEGES", "COLUMN_PRIVILEGES",
     "APPLICABLE_ROLES", "ENABLED_ROLES", "ADMINISTRABLE_ROLE_AUTHORIZATIONS", "ROLE_TABLE_GRANTS",
     "ROLE_COLUMN_GRANTS", "ROLE_ROUTINE_GRANTS", "VIEW_TABLE_USAGE", "VIEW_ROUTINE_USAGE", "USER_ATTRIBUTES",
     "PROFILING", "OPTIMIZER_TRACE", "USER_VARIABLES"}
)  # fmt: skip

# They read the same on every server, or tell of a server what SHOW VARIABLES and SHOW STATUS tell.
OPEN = {
    INFORMATION_SCHEMA: frozenset(
        {"CHARACTER_SETS", "COLLATIONS", "COLLATION_CHARACTER_SET_APPLICABILITY", "ENGINES", "KEYWORDS",
         "SQL_FUNCTIONS", "PLUGINS", "ALL_PLUGINS", "SPATIAL_REF_SYS", "ST_SPATIAL_REFERENCE_SYSTEMS",
         "ST_UNITS_OF_MEASURE", "SYSTEM_VARIABLES", "SESSION_VARIABLES", "GLOBAL_VARIABLES", "SESSION_STATUS",
         "GLOBAL_STATUS"}
    ),
    PERFORMANCE_SCHEMA: frozenset(
        {"SESSION_VARIABLES", "GLOBAL_VARIABLES", "SESSION_STATUS", "GLOBAL_STATUS"}
    ),
}  # fmt: skip


def may_be_read(database: str, table: str) -> bool:
    """Whether every user may read that table of a system database (in lower case), as the mesh shows it."""
    name = table.upper()
    if name in OPEN.get(database, ()):
        return True
    return database == INFORMATION_SCHEMA and is_logical(name)


def is_logical(name: str) -> bool:
    """Whether the mesh replaces that table of information_schema (in upper case) by rows of its own."""
    return name in LOGICAL or name in PRIVILEGES or name in WITHOUT_ROWS
