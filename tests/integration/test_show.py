"""SHOW and DESCRIBE through the mesh say what one server with the same logical schema says."""

from __future__ import annotations

import re
from contextlib import closing

import pymysql
import pytest

from tests.flavour import MYSQL
from tests.integration.schema_world import SchemaWorld
from tests.integration.test_information_schema import answer, both

ALIKE = """
SHOW TABLES
SHOW FULL TABLES
SHOW TABLES LIKE 'b%'
SHOW FULL TABLES WHERE Table_type = 'VIEW'
SHOW FULL TABLES FROM lending LIKE '%o%'
SHOW TABLES FROM `lending` WHERE Tables_in_lending > 'c'
SHOW TABLES IN information_schema LIKE 'TAB%'
SHOW DATABASES LIKE 'lend%'
SHOW SCHEMAS WHERE `Database` = 'lending'
SHOW COLUMNS FROM book
SHOW FULL COLUMNS FROM book
SHOW FULL FIELDS IN staff FROM lending LIKE 'n%'
SHOW COLUMNS FROM lending.notice WHERE Field = 'id'
SHOW COLUMNS FROM information_schema.TABLES
DESCRIBE book title
DESC lending.loan
DESC book 't%'
DESCRIBE information_schema.engines
EXPLAIN staff
SHOW CREATE TABLE book
SHOW CREATE TABLE loan
SHOW CREATE TABLE lending.staff
SHOW CREATE TABLE notice
SHOW CREATE TABLE `genre`
SHOW CREATE TABLE latest
SHOW CREATE VIEW latest
SHOW CREATE TABLE information_schema.engines
SHOW CREATE DATABASE lending
SHOW CREATE SCHEMA IF NOT EXISTS lending
SHOW CREATE FUNCTION twice
SHOW CREATE PROCEDURE lending.nothing
SHOW CREATE EVENT nightly
SHOW TRIGGERS FROM lending WHERE `Table` <> 'notice'
SHOW EVENTS LIKE 'n%'
SHOW TABLE STATUS WHERE Name IN ('latest') AND Comment IS NOT NULL
SHOW ENGINES
SHOW CHARACTER SET LIKE 'utf8%'
SHOW COLLATION WHERE Charset = 'latin1'
SHOW VARIABLES LIKE 'autocommit'
""".strip().splitlines()
if not MYSQL:
    ALIKE.append("SHOW PACKAGE STATUS WHERE Db = 'lending'")
# and which columns two servers never say the same of
VOLATILE = {
    "SHOW INDEX FROM loan": {"Cardinality"},
    "SHOW KEYS FROM staff IN lending WHERE `Table` = 'staff'": {"Cardinality"},
    "SHOW INDEXES FROM genre": {"Cardinality"},
    "SHOW INDEX FROM book WHERE Key_name = 'PRIMARY'": {"Cardinality"},
    "SHOW TRIGGERS": {"Created"},
    "SHOW TRIGGERS LIKE 'notice'": {"Created"},
    "SHOW CREATE TRIGGER shout": {"Created"},
    "SHOW FUNCTION STATUS WHERE Db = 'lending'": {"Created", "Modified"},
    "SHOW PROCEDURE STATUS LIKE 'noth%'": {"Created", "Modified"},
    "SHOW TABLE STATUS": {"Version", "Rows", "Avg_row_length", "Data_length", "Index_length", "Create_time",
                          "Update_time"},
    "SHOW TABLE STATUS FROM lending LIKE 'gen%'": {"Rows", "Avg_row_length", "Create_time", "Update_time"},
}  # fmt: skip


@pytest.mark.parametrize("sql", [*ALIKE, *VOLATILE])
@pytest.mark.parametrize("charset", ["utf8mb4", "latin1"])
def test_a_show_says_what_one_server_says(lending: SchemaWorld, sql: str, charset: str) -> None:
    mesh, plain = both(lending, sql, charset=charset)
    assert mesh[0] == plain[0]
    hidden = VOLATILE.get(sql, set())
    kept = [at for at, name in enumerate(mesh[0]) if name not in hidden]
    rows = [[[row[at] for at in kept] for row in side[1]] for side in (mesh, plain)]
    assert rows[0] == rows[1]


@pytest.mark.parametrize(
    ("sql", "errno"),
    [
        ("SHOW COLUMNS FROM nosuch", 1146),
        ("DESCRIBE lending.nosuch", 1146),
        ("SHOW INDEX FROM nosuch", 1146),
        ("SHOW CREATE TABLE nosuch", 1146),
        ("SHOW CREATE VIEW book", 1347),
        ("SHOW CREATE FUNCTION nosuch", 1305),
        ("SHOW TABLES WHERE nosuch = 1", 1054),
    ],
)
def test_errors_speak_of_logical_tables(lending: SchemaWorld, sql: str, errno: int) -> None:
    mesh, plain = lending.both()
    told = []
    for connection in (mesh, plain):
        with closing(connection), connection.cursor() as cursor:
            with pytest.raises(pymysql.MySQLError) as raised:
                cursor.execute(sql)
            told.append(raised.value.args)
    assert told[0] == told[1]
    assert told[0][0] == errno


def test_without_a_database_there_is_nothing_to_show(lending: SchemaWorld) -> None:
    with closing(lending.connect(database=None)) as connection, connection.cursor() as cursor:
        for sql, errno in (("SHOW TABLES", 1046), ("SHOW TABLES FROM cellar", 1044), ("SHOW TABLES FROM mysql", 1227)):
            with pytest.raises(pymysql.MySQLError) as raised:
                cursor.execute(sql)
            assert raised.value.args[0] == errno


def test_sizes_and_open_tables_are_those_of_all_data_nodes(lending: SchemaWorld) -> None:
    with closing(lending.connect()) as connection:
        columns, [row] = answer(connection, "SHOW TABLE STATUS LIKE 'book'")
        assert row[columns.index("Data_length")] == 4 * 16384
        columns, rows = answer(connection, "SHOW OPEN TABLES FROM lending")
        assert columns == ["Database", "Table", "In_use", "Name_locked"]
        assert {name for _, name, *_ in rows} <= {"book", "loan", "genre", "staff", "notice", "latest"}
        assert all(database == "lending" for database, *_ in rows)


def test_auto_increment_is_the_greatest_of_the_nodes(lending: SchemaWorld) -> None:
    for server, schema, number in ((lending.servers[0], "lending_0", 5), (lending.servers[1], "lending_1", 50)):
        server.script(["ALTER TABLE loan ADD COLUMN n INT NOT NULL AUTO_INCREMENT UNIQUE"], schema)
        server.script([f"ALTER TABLE loan AUTO_INCREMENT = {number}"], schema)
    try:
        with closing(lending.connect()) as connection:
            _, [(_, text)] = answer(connection, "SHOW CREATE TABLE loan")
        assert re.search(r"AUTO_INCREMENT=50\b", text)
    finally:
        for number, server in enumerate(lending.servers):
            server.script(["ALTER TABLE loan DROP COLUMN n"], f"lending_{number}")


def test_a_user_is_shown_his_own_grants(lending: SchemaWorld) -> None:
    with closing(lending.connect("reader")) as connection:
        for sql in ("SHOW GRANTS", "SHOW GRANTS FOR CURRENT_USER", "SHOW GRANTS FOR 'reader'@'%'"):
            heading, rows = answer(connection, sql)
            assert heading == ["Grants for reader@%"]
            assert rows == [("GRANT SELECT ON `lending`.* TO `reader`@`%`",)]
