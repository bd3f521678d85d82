"""Several statements in one text: every answer in its order, as a plain server gives them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection
from pymysql.constants import CLIENT, COMMAND

from dbmesh.sandbox import Server
from tests.integration.conftest import PERSON, Town

DIARY = "(id INT AUTO_INCREMENT PRIMARY KEY, line VARCHAR(40))"


@pytest.fixture
def pair(town: Town, plain_server: Server) -> Iterator[tuple[Connection[Any], Connection[Any]]]:
    """A client of the mesh and one of a plain server with the same tables."""
    tables = [f"CREATE TABLE person {PERSON}", f"CREATE TABLE diary {DIARY}"]
    plain_server.script(["DROP DATABASE IF EXISTS several", "CREATE DATABASE several"])
    plain_server.script(tables, "several")
    several = {"client_flag": CLIENT.MULTI_STATEMENTS}
    with closing(town.connect(**several)) as mesh, closing(plain_server.connection("several", **several)) as plain:
        yield mesh, plain


def answers(connection: Connection[Any], text: str) -> list[Any]:
    """Each answer: rows with their columns, or the numbers of an OK; the last may be an error's number."""
    found: list[Any] = []
    try:
        connection.query(text)
        while True:
            result: Any = connection._result
            if result.description:
                found.append(([column[0] for column in result.description], result.rows, result.has_next))
            else:
                found.append((result.affected_rows, result.insert_id, result.has_next))
            if not result.has_next:
                return found
            connection.next_result()
    except pymysql.MySQLError as error:
        found.append(error.args[0])
    return found


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1; SELECT 2 AS two; SELECT 'a;b'",
        "INSERT INTO person (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c'); SELECT COUNT(*) FROM person;"
        " UPDATE person SET name = 'x' WHERE id < 3; SELECT id, name FROM person ORDER BY id",
        "SELECT 1; SELECT no_such_column FROM person; SELECT 3",
        "INSERT INTO person (id, name) VALUES (7, 'kept'); INSERT INTO person (id, name) VALUES (7, 'twice'); DO 1",
        "BEGIN; INSERT INTO person (id) VALUES (1), (2); ROLLBACK; SELECT COUNT(*) FROM person",
        "SET @a = 5; SELECT @a; SET @a = @a + 1; SELECT @a",
        "INSERT INTO diary (line) VALUES ('x'); SELECT LAST_INSERT_ID(); SELECT ROW_COUNT()",
        "SELECT 1;",
        "SELECT 1;;;  ",
        "SELECT 1; ; SELECT 2",
        ";SELECT 1",
        "SELECT 1; -- only a comment",
        "SELECT 1; /* a comment */ SELECT 2 /* ; */; SELECT 3 # ;",
        "/*! SELECT 1; SELECT 2 */; SELECT 3",
        "SELECT 1; SELEC 2; SELECT 3",
        "SELECT id, name FROM person WHERE id = 4; SELECT id FROM person WHERE id IN (4, 5) ORDER BY id",
        "SELECT SQL_NO_CACHE 1; SHOW WARNINGS; SELECT 1/0; SHOW COUNT(*) WARNINGS",
    ],
)
def test_each_statement_is_answered_in_its_order(pair: tuple[Connection[Any], Connection[Any]], text: str) -> None:
    mesh, plain = pair
    assert answers(mesh, text) == answers(plain, text)
    assert answers(mesh, "SELECT 'alive'") == answers(plain, "SELECT 'alive'")


def test_rows_of_several_shards_and_of_one_can_stand_in_one_answer(
    pair: tuple[Connection[Any], Connection[Any]],
) -> None:
    values = ", ".join(f"({n}, 'name {n}')" for n in range(2000))
    text = (
        f"INSERT INTO person (id, name) VALUES {values}; SELECT id, name FROM person ORDER BY id;"
        "SELECT name FROM person WHERE id = 17; SELECT MAX(id), COUNT(*) FROM person"
    )
    mesh, plain = pair
    assert answers(mesh, text) == answers(plain, text)


def test_without_the_capability_a_second_statement_is_a_syntax_error(town: Town) -> None:
    with closing(town.connect()) as connection:
        assert answers(connection, "INSERT INTO person (id) VALUES (1); SELECT 2") == [1064]
        assert town.persons() == {}
        set_option(connection, 0)
        assert len(answers(connection, "INSERT INTO person (id) VALUES (1); SELECT 2")) == 2
        set_option(connection, 1)
        assert answers(connection, "SELECT 1; SELECT 2") == [1064]
    assert town.persons() == {1: None}


def set_option(connection: Connection[Any], option: int) -> None:
    connection._execute_command(COMMAND.COM_SET_OPTION, option.to_bytes(2, "little"))
    assert connection._read_packet().is_eof_packet()


def test_a_body_with_semicolons_is_one_statement(town: Town) -> None:
    body = "CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END"
    with closing(town.connect(client_flag=CLIENT.MULTI_STATEMENTS)) as connection:
        assert answers(connection, f"SELECT 1; {body}; SELECT 2")[1:] == [1235]
