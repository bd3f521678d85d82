"""information_schema through the mesh says what one server with the same logical schema says."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from tests.integration.schema_world import SchemaWorld

Rows = list[tuple[Any, ...]]

# Of estimates, times and what a server works out for its own files two servers never say the same.
VOLATILE = {
    "TABLES": "TABLE_ROWS AVG_ROW_LENGTH DATA_LENGTH INDEX_LENGTH DATA_FREE CREATE_TIME UPDATE_TIME VERSION",
    "PARTITIONS": "TABLE_ROWS AVG_ROW_LENGTH DATA_LENGTH INDEX_LENGTH DATA_FREE CREATE_TIME UPDATE_TIME",
    "STATISTICS": "CARDINALITY",
    "TRIGGERS": "CREATED",
    "ROUTINES": "CREATED LAST_ALTERED",
    "EVENTS": "CREATED LAST_ALTERED",
}
SCHEMA_COLUMN = {
    "REFERENTIAL_CONSTRAINTS": "CONSTRAINT_SCHEMA",
    "CHECK_CONSTRAINTS": "CONSTRAINT_SCHEMA",
    "TRIGGERS": "TRIGGER_SCHEMA",
    "ROUTINES": "ROUTINE_SCHEMA",
    "PARAMETERS": "SPECIFIC_SCHEMA",
    "EVENTS": "EVENT_SCHEMA",
    "SCHEMATA": "SCHEMA_NAME",
}
TABLES = ["SCHEMATA", "TABLES", "COLUMNS", "STATISTICS", "KEY_COLUMN_USAGE", "TABLE_CONSTRAINTS",
          "REFERENTIAL_CONSTRAINTS", "CHECK_CONSTRAINTS", "VIEWS", "TRIGGERS", "PARTITIONS", "ROUTINES", "PARAMETERS",
          "EVENTS"]  # fmt: skip


def answer(connection: Connection[Any], sql: str) -> tuple[list[str], Rows]:
    """Names of the columns, and the rows."""
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return [column[0] for column in cursor.description], list(cursor.fetchall())


def both(lending: SchemaWorld, sql: str, **options: Any) -> tuple[tuple[list[str], Rows], tuple[list[str], Rows]]:
    mesh, plain = lending.both(**options)
    with closing(mesh), closing(plain):
        return answer(mesh, sql), answer(plain, sql)


@pytest.mark.parametrize("table", TABLES)
def test_every_column_of_every_row_is_that_of_one_server(lending: SchemaWorld, table: str) -> None:
    schema = SCHEMA_COLUMN.get(table, "TABLE_SCHEMA")
    mesh, plain = both(lending, f"SELECT * FROM information_schema.{table} WHERE {schema} = 'lending'")
    assert mesh[0] == plain[0]
    volatile = VOLATILE.get(table, "").split()
    kept = [at for at, name in enumerate(mesh[0]) if name not in volatile]
    rows = [sorted(([row[at] for at in kept] for row in side[1]), key=repr) for side in (mesh, plain)]
    assert rows[0] == rows[1]
    assert rows[0]


QUERIES = [
    # as drivers, ORMs and tools send them
    "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY table_name",
    "SELECT TABLE_NAME, TABLE_TYPE FROM INFORMATION_SCHEMA.TABLES"
    " WHERE TABLE_SCHEMA = 'lending' AND TABLE_NAME = 'book'",
    "SELECT column_name, data_type, column_key FROM information_schema.columns"
    " WHERE table_schema = SCHEMA() AND table_name = 'book' ORDER BY ordinal_position",
    "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'lending' AND table_name = 'BOOK'",
    "SELECT COUNT(*), MAX(ordinal_position) FROM information_schema.columns WHERE table_schema LIKE 'lend%'",
    "SELECT t.table_name, GROUP_CONCAT(c.column_name ORDER BY c.ordinal_position) AS list"
    " FROM information_schema.tables t JOIN information_schema.columns c USING (table_schema, table_name)"
    " WHERE t.table_schema = 'lending' AND t.table_type = 'BASE TABLE' GROUP BY 1 HAVING COUNT(*) > 2 ORDER BY 1",
    "SELECT rc.constraint_name, kcu.table_name, kcu.column_name, kcu.referenced_table_schema,"
    " kcu.referenced_table_name, kcu.referenced_column_name, rc.delete_rule"
    " FROM information_schema.referential_constraints rc JOIN information_schema.key_column_usage kcu"
    " ON rc.constraint_schema = kcu.constraint_schema AND rc.constraint_name = kcu.constraint_name"
    " AND rc.table_name = kcu.table_name WHERE rc.constraint_schema = 'lending' ORDER BY 1, 2",
    "SELECT table_name FROM information_schema.tables AS t WHERE table_schema = 'lending' AND EXISTS"
    " (SELECT 1 FROM information_schema.key_column_usage k WHERE k.table_schema = t.table_schema"
    " AND k.table_name = t.table_name AND k.referenced_table_name IS NOT NULL) ORDER BY 1",
    "SELECT DISTINCT index_name FROM information_schema.statistics WHERE table_schema = 'lending' AND non_unique = 0"
    " ORDER BY index_name DESC LIMIT 2",
    "(SELECT table_name AS n FROM information_schema.tables WHERE table_schema = 'lending')"
    " UNION (SELECT column_name FROM information_schema.columns WHERE table_schema = 'lending') ORDER BY n",
    "WITH c AS (SELECT * FROM information_schema.columns WHERE table_schema = 'lending')"
    " SELECT table_name, COUNT(*) FROM c GROUP BY table_name ORDER BY 1",
    "SELECT TABLES.TABLE_NAME, information_schema.TABLES.TABLE_TYPE FROM information_schema.TABLES"
    " WHERE TABLES.TABLE_SCHEMA = 'lending' ORDER BY 1",
    "SELECT table_name, CASE WHEN table_type = 'VIEW' THEN 1 ELSE 0 END FROM information_schema.tables"
    " WHERE table_schema IN ('lending', 'nowhere') ORDER BY 2, 1",
    "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'information_schema'",
    "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = 'INFORMATION_SCHEMA'",
    "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata"
    " WHERE schema_name = 'lending'",
    "SELECT * FROM information_schema.character_sets ORDER BY 1",
    "SELECT * FROM information_schema.collations ORDER BY 1",
    "SELECT * FROM information_schema.engines ORDER BY 1",
]  # fmt: skip


@pytest.mark.parametrize("sql", QUERIES)
@pytest.mark.parametrize("charset", ["utf8mb4", "latin1"])
def test_queries_of_any_shape_are_answered_by_a_server(lending: SchemaWorld, sql: str, charset: str) -> None:
    mesh, plain = both(lending, sql, charset=charset)
    assert mesh == plain


def test_after_use_information_schema_tables_need_no_schema(lending: SchemaWorld) -> None:
    for sql in (
        "SELECT table_name FROM tables WHERE table_schema = 'lending' ORDER BY 1",
        "SELECT DATABASE(), c.column_name FROM `COLUMNS` c"
        " WHERE c.table_name = 'loan' AND table_schema = 'lending' ORDER BY 2",
    ):
        mesh, plain = both(lending, sql, database="information_schema")
        assert mesh == plain
    with closing(lending.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("USE INFORMATION_SCHEMA")
        cursor.execute("SELECT COUNT(*) FROM SCHEMATA")
        assert cursor.fetchall() == ((3,),)
        cursor.execute("USE lending")
        cursor.execute("SELECT COUNT(*) FROM book")


def test_sizes_are_those_of_all_data_nodes(lending: SchemaWorld) -> None:
    with closing(lending.connect()) as connection:
        _, [(rows, length, average)] = answer(
            connection,
            "SELECT TABLE_ROWS, DATA_LENGTH, AVG_ROW_LENGTH FROM information_schema.TABLES"
            " WHERE TABLE_SCHEMA = 'lending' AND TABLE_NAME = 'book'",
        )
        nodes = [
            server.rows(
                "SELECT SUM(TABLE_ROWS), SUM(DATA_LENGTH) FROM information_schema.TABLES"
                f" WHERE TABLE_SCHEMA = 'lending_{n}' AND TABLE_NAME LIKE 'book%'"
            )[0]
            for n, server in enumerate(lending.servers)
        ]
    assert length == sum(node[1] for node in nodes) == 4 * 16384
    assert rows >= 0
    assert average == (length // rows if rows else 0)


def test_everyone_sees_his_own_databases_only(lending: SchemaWorld) -> None:
    for user, expected in (
        ("app", ["attic", "information_schema", "lending"]),
        ("stranger", ["attic", "information_schema"]),
    ):
        with closing(lending.connect(user, None)) as connection:
            _, rows = answer(connection, "SELECT schema_name FROM information_schema.schemata ORDER BY 1")
            assert [name for (name,) in rows] == expected
            _, rows = answer(connection, "SELECT DISTINCT table_schema FROM information_schema.columns ORDER BY 1")
            assert [name for (name,) in rows] == expected
    with closing(lending.connect("stranger", None)) as connection:
        for table in ("tables", "columns", "statistics", "key_column_usage", "table_constraints"):
            _, rows = answer(
                connection, f"SELECT COUNT(*) FROM information_schema.{table} WHERE table_schema = 'lending'"
            )
            assert rows == [(0,)]


def test_actual_tables_and_schemas_do_not_show(lending: SchemaWorld) -> None:
    with closing(lending.connect()) as connection:
        for table in TABLES:
            _, rows = answer(connection, f"SELECT * FROM information_schema.{table}")
            shown = repr(rows)
            for hidden in ("lending_0", "lending_1", "book_0", "book_1", "cellar", "wine", "_dbmesh"):
                assert hidden not in shown, (table, hidden)


def test_privileges_and_processes_are_those_of_the_mesh(lending: SchemaWorld) -> None:
    with closing(lending.connect("reader")) as connection:
        _, rows = answer(connection, "SELECT * FROM information_schema.schema_privileges")
        assert rows == [("'reader'@'%'", "def", "lending", "SELECT", "NO")]
        _, rows = answer(connection, "SELECT PRIVILEGE_TYPE FROM information_schema.user_privileges")
        assert rows == [("USAGE",)]
        _, rows = answer(connection, "SELECT ID, USER, DB, COMMAND FROM information_schema.processlist")
        assert rows == [(connection.thread_id(), "reader", "lending", "Query")]


@pytest.mark.parametrize(
    ("sql", "errno"),
    [
        ("SELECT * FROM information_schema.nosuch", 1109),
        ("SELECT nosuch FROM information_schema.tables", 1054),
        ("SELECT * FROM information_schema.innodb_trx", 1227),
        ("SELECT * FROM mysql.user", 1227),
        ("SELECT * FROM information_schema.tables JOIN book", 1235),
    ],
)
def test_what_is_not_there_or_not_allowed(lending: SchemaWorld, sql: str, errno: int) -> None:
    with closing(lending.connect()) as connection, connection.cursor() as cursor:
        with pytest.raises(pymysql.MySQLError) as raised:
            cursor.execute(sql)
        assert raised.value.args[0] == errno
