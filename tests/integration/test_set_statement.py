"""SET STATEMENT … FOR …, and a client's own wait_timeout."""

from __future__ import annotations

import time
from contextlib import closing

import pymysql
import pytest

from dbmesh.sandbox import Server
from tests.flavour import MYSQL
from tests.integration.conftest import Town
from tests.integration.test_session_pins import run

STATEMENTS = [
    "SET STATEMENT div_precision_increment = 9 FOR SELECT 1/3",
    "SELECT 1/3",
    "SET div_precision_increment = 2",
    "SET STATEMENT div_precision_increment = 1 + 5, sort_buffer_size = 65536 FOR SELECT 1/3, @@sort_buffer_size",
    "SELECT 1/3, @@sort_buffer_size = 65536",
    "SET STATEMENT max_statement_time = 0.1 FOR SELECT SLEEP(5)",
    "/* a */ set /* b */ statement max_statement_time = 9 for SELECT /* c */ 'FOR', (SELECT 2)",
    "SET STATEMENT nosuch = 1 FOR SELECT 1",
    "SET STATEMENT autocommit = 0 FOR SELECT 1",
    "SET STATEMENT max_statement_time = 1",
    "SET STATEMENT max_statement_time = 'a' FOR SELECT 1",
    "SET STATEMENT sql_mode = '' FOR INSERT INTO street VALUES (1, REPEAT('long', 20))",
    "INSERT INTO street VALUES (2, REPEAT('long', 20))",
    "SET STATEMENT max_statement_time = 9 FOR INSERT INTO street VALUES (3, 'c')",
    "SELECT id, LENGTH(name) FROM street ORDER BY id",
    "SET STATEMENT max_statement_time = 9 FOR SELECT id, @found := id FROM street WHERE id = 3",
    "SELECT @found",
]


def test_variables_for_one_statement(town: Town, plain_server: Server) -> None:
    plain_server.script(["DROP DATABASE IF EXISTS town", "CREATE DATABASE town"])
    plain_server.script(["CREATE TABLE street (id INT PRIMARY KEY, name VARCHAR(40))"], "town")
    with closing(town.connect()) as mesh, closing(plain_server.connection("town")) as plain:
        for sql in STATEMENTS[: 1 if MYSQL else None]:
            assert run(mesh, sql) == run(plain, sql), sql
        if not MYSQL:
            run(mesh, "INSERT INTO person (id, name) VALUES (1, 'a'), (2, 'b')")
            several = "SET STATEMENT div_precision_increment = 6 FOR SELECT SUM(id) / 7 AS a FROM person"
            assert str(run(mesh, several)) == "((Decimal('0.428571'),),)"
            assert run(mesh, "SET STATEMENT sql_mode = 'ANSI_QUOTES' FOR SELECT 1") == 1235


def test_a_client_may_shorten_its_own_time_out(town: Town) -> None:
    with closing(town.connect()) as short, closing(town.connect()) as other:
        assert run(short, "SET wait_timeout = 1") == ()
        assert run(short, "SELECT @@wait_timeout") == ((1,),)
        for _ in range(3):
            time.sleep(0.4)
            assert run(short, "SELECT COUNT(*) FROM person") == ((0,),)
        assert run(other, "SELECT @@wait_timeout > 1") == ((1,),)
        deadline = time.monotonic() + 20
        while len(town_sessions(town)) > 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        with pytest.raises(pymysql.OperationalError) as error:
            short.ping(reconnect=False)
        assert error.value.args[0] in (2006, 2013, 4031)
        assert run(other, "SELECT 1") == ((1,),)
        assert run(other, "SET wait_timeout = 'soon'") == 1232
        assert run(other, "SET wait_timeout = 1") == ()
        assert run(other, "SET wait_timeout = DEFAULT") == ()
        time.sleep(1.5)
        assert run(other, "SELECT 1") == ((1,),)


def town_sessions(town: Town) -> list[object]:
    """Who is connected, the one who asks included."""
    with closing(town.connect("admin")) as admin:
        rows = run(admin, "SHOW MESH SESSIONS")
        assert not isinstance(rows, int)
        return list(rows)
