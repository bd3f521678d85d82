"""Commands about sessions: KILL in all its forms, COM_STATISTICS and its kind; rights that a reload takes away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection
from pymysql.constants import COMMAND

from dbmesh.sandbox import Sandbox, Server
from dbmesh.sandbox.endpoint import Account
from dbmesh.sandbox.mesh import Mesh
from tests.flavour import MYSQL, numbers
from tests.integration.conftest import EMPTY_RULES, MESH_RULES, TOWN_RULES, Town, write_rules


def errno(connection: Connection[Any], sql: str) -> int:
    """0 when it went well."""
    try:
        connection.query(sql)
    except pymysql.MySQLError as error:
        return int(error.args[0])
    return 0


def command(connection: Connection[Any], number: int, payload: bytes = b"") -> bytes:
    """The first packet of the answer."""
    connection._execute_command(number, payload)
    try:
        return bytes(connection._read_packet()._data)
    except pymysql.MySQLError as error:
        return b"\xff%d" % error.args[0]


def waited(condition: Callable[[], bool], seconds: float = 15.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def working(server: Server, text: str) -> int:
    """How many connections of a server run a statement with that text."""
    sql = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE info LIKE %s AND id <> CONNECTION_ID()"
    [[count]] = server.rows(sql, (f"%{text}%",))
    return int(count)


def test_a_command_that_nobody_knows_leaves_the_connection_alive(town: Town) -> None:
    with closing(town.connect()) as connection:
        for number in (0x00, 0x05, 0x07, 0x08, 0x0F, 0x1D, 0x99):
            assert command(connection, number) == b"\xff1047"
        assert errno(connection, "SELECT 1") == 0


def test_statistics_and_debug(town: Town) -> None:
    with closing(town.connect()) as connection, closing(town.connect("admin")) as admin:
        assert command(connection, COMMAND.COM_STATISTICS).startswith(b"Uptime: ")
        assert command(connection, COMMAND.COM_DEBUG) == b"\xff1227"
        assert command(admin, COMMAND.COM_DEBUG)[0] == 0xFE
        assert errno(admin, "SELECT 1") == 0
    assert "debug: session" in "".join(path.read_text() for path in town.mesh.folder.glob("*log*"))


def test_kill_by_command_and_by_statement(town: Town) -> None:
    with closing(town.connect()) as one, closing(town.connect()) as two, closing(town.connect("plain")) as stranger:
        number = one.thread_id().to_bytes(4, "little")
        assert command(stranger, COMMAND.COM_PROCESS_KILL, number) == b"\xff1095"
        assert command(two, COMMAND.COM_PROCESS_KILL, (1 << 30).to_bytes(4, "little")) == b"\xff1094"
        assert command(two, COMMAND.COM_PROCESS_KILL, number)[0] == 0
        assert errno(one, "SELECT 1") == 2013
        assert errno(two, f"KILL {stranger.thread_id()}") == 1095
        with closing(town.connect("admin")) as admin:
            assert errno(admin, f"KILL CONNECTION {stranger.thread_id()}") == 0
        assert errno(stranger, "SELECT 1") == 2013


def test_who_kills_itself_is_told_before_the_connection_ends(town: Town, plain_server: Server) -> None:
    with closing(town.connect()) as mesh, closing(plain_server.connection()) as plain:
        for connection in (mesh, plain):
            assert errno(connection, f"KILL {connection.thread_id()}") == (1317 if MYSQL else 1927)
            assert errno(connection, "SELECT 1") in (2006, 2013)


def test_release_closes_the_connection_after_its_answer(town: Town) -> None:
    with closing(town.connect()) as connection:
        assert errno(connection, "BEGIN") == 0
        assert errno(connection, "INSERT INTO person (id) VALUES (1)") == 0
        assert errno(connection, "COMMIT RELEASE") == 0
        assert errno(connection, "SELECT 1") in (2006, 2013)
    assert town.persons() == {1: None}


def test_killing_a_session_ends_its_work_on_the_server(town: Town) -> None:
    with closing(town.connect()) as victim, closing(town.connect()) as killer:
        got: list[int] = []
        thread = threading.Thread(target=lambda: got.append(errno(victim, "SELECT SLEEP(61)")))
        thread.start()
        assert waited(lambda: sum(working(server, "SLEEP(61)") for server in town.servers) == 1)
        assert errno(killer, f"KILL {victim.thread_id()}") == 0
        thread.join(10)
        assert got == [2013]
    assert waited(lambda: sum(working(server, "SLEEP(61)") for server in town.servers) == 0)


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        (f"SELECT REPEAT('x', 1000), seq FROM {numbers(10_000_000)}", "REPEAT('x', 1000)"),
        ("SELECT id, REPEAT('y', 150000) FROM person ORDER BY id", "REPEAT('y', 150000)"),
    ],
    ids=["relayed", "merged"],
)
def test_a_client_that_goes_in_the_middle_of_a_result_stops_the_servers(town: Town, sql: str, text: str) -> None:
    with closing(town.connect()) as connection:
        assert errno(connection, f"INSERT INTO person (id) VALUES {', '.join(f'({n})' for n in range(3000))}") == 0
    connection = town.connect()
    connection.query(sql, unbuffered=True)
    result: Any = connection._result
    assert result._read_rowdata_packet_unbuffered() is not None
    result.unbuffered_active = False
    connection._force_close()
    assert waited(lambda: sum(working(server, text) for server in town.servers) == 0)
    with closing(town.connect("admin")) as admin, admin.cursor() as cursor:

        def in_use() -> int:
            cursor.execute("SHOW MESH POOLS")
            return sum(int(row[2]) for row in cursor.fetchall())

        assert waited(lambda: in_use() == 0)


def test_a_statement_that_takes_too_long_ends_with_the_servers_error(town: Town) -> None:
    with closing(town.connect()) as connection:
        assert errno(connection, "INSERT INTO diary (line) VALUES ('x')") == 0
        assert errno(connection, "SET max_execution_time = 200" if MYSQL else "SET max_statement_time = 0.2") == 0
        began = time.monotonic()
        assert errno(connection, "SELECT SLEEP(20) FROM diary") == (3024 if MYSQL else 1969)
        assert time.monotonic() - began < 10
        assert errno(connection, "SELECT id FROM diary") == 0
        assert working(town.servers[1], "SLEEP(20)") == 0


def test_ddl_that_is_killed_tells_where_it_is_done(town: Town) -> None:
    with closing(town.connect()) as holder, closing(town.connect()) as victim, closing(town.connect()) as killer:
        # who reads on the second server keeps the DDL waiting there
        assert errno(holder, "BEGIN") == 0
        assert errno(holder, "SELECT * FROM person WHERE id = 3") == 0
        assert errno(holder, "SELECT * FROM person WHERE id = 1") == 0
        got: list[Any] = []

        def alter() -> None:
            try:
                victim.query("ALTER TABLE person ADD COLUMN extra INT")
            except pymysql.MySQLError as error:
                got.append(error.args)

        thread = threading.Thread(target=alter)
        thread.start()
        assert waited(lambda: sum(working(server, "ADD COLUMN extra") for server in town.servers) == 1)
        assert errno(killer, f"KILL QUERY {victim.thread_id()}") == 0
        thread.join(10)
        assert got
        assert got[0][0] == 1317
        assert "perhaps on ds_" in got[0][1]
        assert errno(victim, "SELECT 1") == 0
        assert errno(holder, "ROLLBACK") == 0
    for number, server in enumerate(town.servers):
        schema = f"town_{number}"
        changed = server.rows(
            "SELECT TABLE_NAME FROM information_schema.COLUMNS WHERE COLUMN_NAME = 'extra' AND TABLE_SCHEMA = %s",
            (schema,),
        )
        server.script([f"ALTER TABLE {table} DROP COLUMN extra" for (table,) in changed], database=schema)


def test_user_variables_are_bounded(town: Town) -> None:
    with closing(town.connect()) as connection:
        assert errno(connection, f"SET @big = REPEAT('x', {900 << 10})") == 0
        assert errno(connection, f"SET @more = REPEAT('x', {900 << 10})") == 1235
        assert errno(connection, "SET @big = NULL") == 0
        assert errno(connection, f"SET @more = '{'x' * (900 << 10)}'") == 0
        assert errno(connection, "SET @more = NULL") == 0
        for start in range(0, 900, 100):
            names = ", ".join(f"@v{n} = {n}" for n in range(start, start + 100))
            assert errno(connection, f"SET {names}") == 0
        names = ", ".join(f"@w{n} = {n}" for n in range(200))
        assert errno(connection, f"SET {names}") == 1235


def test_an_open_session_loses_the_rights_that_a_reload_takes_away(town: Town, sandbox: Sandbox) -> None:
    rules = write_rules(sandbox.folder / "rights", town.servers, mesh=MESH_RULES, town=TOWN_RULES, empty=EMPTY_RULES)
    mesh = Mesh(sandbox.folder / "rights_mesh", rules, Account("app", "secret"))
    mesh.start()
    try:
        with closing(mesh.connection("town")) as app, closing(mesh.connection("town", user="plain")) as plain:
            for connection in (app, plain):
                for _ in range(3):  # hot by now
                    assert errno(connection, "SELECT name FROM person WHERE id = 1") == 0
            text = MESH_RULES.replace("databases: [town], grants: [ddl]}", "databases: [town], access: read-only}")
            write_rules(rules, town.servers, mesh=text.replace("  plain: {password: secret, databases: [town]}\n", ""))
            with closing(mesh.connection("town", user="admin")) as admin:
                assert errno(admin, "RELOAD MESH RULES") == 0
            assert errno(app, "SELECT name FROM person WHERE id = 1") == 0
            assert errno(app, "INSERT INTO person (id) VALUES (1)") == 1142
            assert errno(app, "ALTER TABLE person ADD COLUMN extra INT") == 1142
            assert errno(plain, "SELECT name FROM person WHERE id = 1") == 1044
            assert errno(plain, "SELECT 1") == 0
    finally:
        mesh.close()
