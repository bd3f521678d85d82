"""What a session says of itself, statement by statement: the mesh's answers and one plain MariaDB's are the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from dbmesh.backend.dial import PATIENCE
from dbmesh.sandbox import Server
from tests.flavour import MYSQL
from tests.integration.conftest import PERSON, Town

TABLES = {
    "person": PERSON,
    "note": "(note_id BIGINT PRIMARY KEY, body TEXT)",
    "street": "(id INT PRIMARY KEY, name VARCHAR(40))",
    "diary": "(id INT AUTO_INCREMENT PRIMARY KEY, line VARCHAR(40))",
}


def scripts() -> dict[str, list[str]]:
    """Title → statements, one per line."""
    found: dict[str, list[str]] = {}
    for line in (Path(__file__).parent / "session_statements.sql").read_text().splitlines():
        if line.startswith("# "):
            statements = found[line[2:]] = []
        elif line:
            statements.append(line)
    return found


@pytest.fixture
def plain(plain_server: Server) -> Iterator[Connection[Any]]:
    plain_server.script(["DROP DATABASE IF EXISTS town", "CREATE DATABASE town"])
    plain_server.script([f"CREATE TABLE {name} {columns}" for name, columns in TABLES.items()], "town")
    # As every connection of the mesh has it, since clients may be slow.
    patient = f"SET net_write_timeout = {PATIENCE}"
    with closing(plain_server.connection("town", autocommit=True, init_command=patient)) as connection:
        yield connection


def outcome(connection: Connection[Any], sql: str) -> object:
    """All that a client can see: rows, names and types, counts, warnings, and the flags of an OK packet."""
    with connection.cursor() as cursor:
        try:
            affected = cursor.execute(sql)
        except pymysql.MySQLError as error:
            return type(error).__name__, *error.args
        result = cursor._result
        assert result is not None
        # MySQL finds fault with much that the mesh answers itself: FOUND_ROWS(), utf8mb3, incomplete sql_modes
        warnings = None if MYSQL and re.match(r"SET\b|.*FOUND_ROWS", sql) else result.warning_count
        if cursor.description is None:
            return affected, cursor.lastrowid, warnings, result.server_status & 3
        return affected, cursor.fetchall(), [column[:2] for column in cursor.description], warnings


@pytest.mark.parametrize("title", scripts())
def test_a_session_is_the_servers_own(town: Town, plain: Connection[Any], title: str) -> None:
    with closing(town.connect(autocommit=True)) as connection:
        for number, sql in enumerate(scripts()[title]):
            assert outcome(connection, sql) == outcome(plain, sql), f"{number}: {sql}"


def test_a_tools_name_before_a_statement_changes_nothing(town: Town) -> None:
    with closing(town.connect(autocommit=True)) as connection, connection.cursor() as cursor:
        for sql in ("SHOW TABLES LIKE 'person'", "USE town", "BEGIN", "SAVEPOINT a", "ROLLBACK TO a",
                    "COMMIT AND CHAIN", "ROLLBACK", "SHOW PROCESSLIST", "DESCRIBE person", "SET @a = 1",
                    "SELECT 1"):  # fmt: skip
            cursor.execute(f"/* ApplicationName=DBeaver 24.1 */ {sql} -- end")


def test_read_only_transactions_of_base_sessions_write_nothing(town: Town) -> None:
    with closing(town.connect(autocommit=True)) as connection, connection.cursor() as cursor:
        cursor.execute("SET dbmesh_transaction = 'base'")
        for begin in (["START TRANSACTION READ ONLY"], ["SET TRANSACTION READ ONLY", "BEGIN"]):
            for sql in begin:
                cursor.execute(sql)
            cursor.execute("SELECT COUNT(*) FROM person")
            with pytest.raises(pymysql.MySQLError) as raised:
                cursor.execute("INSERT INTO person (id) VALUES (1), (2)")
            assert raised.value.args[0] == 1792
            cursor.execute("ROLLBACK")
        cursor.execute("SET dbmesh_base_mode = 'eager'")
        with pytest.raises(pymysql.MySQLError) as raised:
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        assert raised.value.args[0] == 1235
        cursor.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        with pytest.raises(pymysql.MySQLError) as raised:
            cursor.execute("BEGIN")
        assert raised.value.args[0] == 1235
    assert town.persons() == {}


def test_a_set_takes_one_value_and_no_clauses(town: Town) -> None:
    with closing(town.connect(autocommit=True)) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO person (id) VALUES (1), (2), (3)")
        for sql, errno in {
            "SET @a = 1 FROM person": 1064,
            "SET @a = 1 LIMIT 1": 1064,
            "SET @a = (SELECT id FROM person)": 1242,
            "SET @a = nosuch": 1054,
        }.items():
            with pytest.raises(pymysql.MySQLError) as raised:
                cursor.execute(sql)
            assert raised.value.args[0] == errno
        cursor.execute("SELECT 1")  # and none of them has been kept


def test_a_variable_keeps_its_character_set(town: Town, plain: Connection[Any]) -> None:
    with closing(town.connect(autocommit=True)) as connection:
        for sql in ("SET NAMES latin1", "SET @y = CONCAT('Ã', '¤')", "SELECT HEX(@y), CHARSET(@y), COLLATION(@y)",
                    "SET NAMES utf8mb4", "SELECT HEX(@y), @y = 'Ã¤'",
                    "SET @z = CONCAT(_utf8mb3'Łódź' COLLATE utf8mb3_polish_ci)",
                    "SELECT HEX(@z), COLLATION(@z)"):  # fmt: skip
            assert outcome(connection, sql) == outcome(plain, sql), sql
