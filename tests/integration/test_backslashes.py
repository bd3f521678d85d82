r"""sql_mode NO_BACKSLASH_ESCAPES through the mesh: texts, tables and prepared statements compared with one server."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection
from pymysql.constants import CLIENT

from dbmesh.protocol import Status
from dbmesh.sandbox import Server
from tests.integration.conftest import PERSON, Town

STATEMENTS = [
    r"SELECT 'a\nb', 'c\', 'it''s \''', ' OR 1 = 1 -- \'",
    r"INSERT INTO person (id, name) VALUES (1, 'x\'), (2, '\%'), (3, 'a_b'), (4, 'it\''s')",
    r"INSERT INTO person (id, name) VALUES (5, 'one\'), (6, CONCAT('\', 'n'))",
    r"SELECT id, name FROM person WHERE name LIKE '%\' ORDER BY id",
    r"SELECT id, name FROM person WHERE name LIKE '\%' ORDER BY id",
    r"SELECT id FROM person WHERE name LIKE 'a\_b' ORDER BY id",
    r"SELECT id FROM person WHERE name LIKE 'a|_b' ESCAPE '|'",
    r"SELECT name, COUNT(*) FROM person WHERE name <> '\' GROUP BY name ORDER BY name",
    r"SELECT name FROM person WHERE id = 1 AND name = 'x\'",
    r"SELECT a.id FROM person a JOIN person b ON a.name = b.name AND b.name <> '\' ORDER BY a.id",
    r"UPDATE person SET mail = 'm\' WHERE name = 'x\'",
    r"SELECT mail, QUOTE(mail), LENGTH(mail) FROM person WHERE mail = 'm\'",
    r"SET @v = 'a\b\'",
    "SELECT @v, LENGTH(@v)",
    r"""PREPARE s FROM 'SELECT ''\'', id FROM person WHERE name = ? AND mail = ''m\'''""",
    r"SET @n = 'x\'",
    "EXECUTE s USING @n",
    r"DELETE FROM person WHERE name IN ('x\', 'one\')",
    "SELECT id, name FROM person ORDER BY id",
    "SELECT 'open\\",
    r"SELECT 'a\' bad 'b'",
    "SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'",
    r"""SELECT 'a\' AS "x" FROM person WHERE "id" = 2""",
    "SET sql_mode = DEFAULT",
    r"SELECT 'a\'b', @v",
    "SELECT id, name FROM person ORDER BY id",
]


def told(connection: Connection[Any], sql: str) -> object:
    with connection.cursor() as cursor:
        try:
            cursor.execute(sql)
        except pymysql.MySQLError as error:
            return error.args
        names = [column[0] for column in cursor.description or ()]
        return names, cursor.fetchall(), bool(connection.server_status & Status.NO_BACKSLASH_ESCAPES)


@pytest.mark.parametrize("charset", ["utf8mb4", "gbk"])
def test_strings_without_escapes_mean_what_they_mean_on_one_server(
    town: Town, plain_server: Server, charset: str
) -> None:
    plain_server.script(["DROP DATABASE IF EXISTS town", "CREATE DATABASE town"])
    plain_server.script([f"CREATE TABLE person {PERSON}"], "town")
    with (
        closing(town.connect(charset=charset)) as mesh,
        closing(plain_server.connection("town", charset=charset)) as plain,
    ):
        for sql in ("SET sql_mode = 'NO_BACKSLASH_ESCAPES'", *STATEMENTS):
            assert told(mesh, sql) == told(plain, sql), sql
    with closing(town.connect()) as other:
        assert told(other, r"SELECT 'a\'b'") == (["a'b"], (("a'b",),), False)


def test_several_statements_are_parted_by_the_mode(town: Town) -> None:
    with closing(town.connect(client_flag=CLIENT.MULTI_STATEMENTS)) as mesh:
        told(mesh, "SET sql_mode = 'NO_BACKSLASH_ESCAPES'")
        assert told(mesh, r"SELECT ';\'; SELECT '\;'") == ([";\\"], ((";\\",),), True)
        told(mesh, "SET sql_mode = DEFAULT")
        with mesh.cursor() as cursor:
            cursor.execute(r"SET sql_mode = 'NO_BACKSLASH_ESCAPES'; SELECT '\'';'")
            with pytest.raises(pymysql.Error, match="send them one by one"):
                cursor.nextset()
        assert told(mesh, r"SELECT '\'") == (["\\"], (("\\",),), True)
