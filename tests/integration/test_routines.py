"""Stored programs where one data source has the whole logical database: answers are those of a plain server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from dbmesh.protocol import Capability, Command, Status
from dbmesh.protocol.binary import RowCodec
from dbmesh.sandbox import Server
from tests.binary_client import BinaryClient, execute_payload, integer
from tests.integration.conftest import Town

SCRIPT = """
CREATE TABLE parcel (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(20), weight INT) ENGINE=InnoDB
CREATE TABLE journal (parcel INT, line VARCHAR(40)) ENGINE=InnoDB
CREATE PROCEDURE foo () BEGIN SELECT 1; END
CALL foo()
call `foo`
CREATE PROCEDURE pack (IN a VARCHAR(20), OUT b INT, INOUT c INT) BEGIN
  DECLARE n INT DEFAULT 0;
  INSERT INTO parcel (what, weight) VALUES (a, c), ('with it', 1);
  SELECT p.what, p.weight FROM parcel p WHERE p.weight >= c ORDER BY p.id;
  SELECT COUNT(*) INTO b FROM parcel;
  IF b > 1 THEN SET c = c + b; ELSE SET c = 0; END IF;
  SELECT 'last' AS word;
END
SET @c = 5
CALL pack('apple', @b, @c)
SELECT @b, @c, LAST_INSERT_ID(), FOUND_ROWS()
CALL pack(CONCAT('p', 'ear'), @b, @c)
SELECT @b, @c, LAST_INSERT_ID(), ROW_COUNT()
CALL pack('apple', 1, @c)
CALL nothing()
CREATE FUNCTION heaviest () RETURNS INT READS SQL DATA RETURN (SELECT MAX(p.weight) FROM parcel p)
SELECT heaviest(), heaviest() + 1
CREATE TRIGGER noted AFTER INSERT ON parcel FOR EACH ROW BEGIN
  INSERT INTO journal VALUES (NEW.id, CONCAT('new; ', NEW.what));
  SET @seen = NEW.what;
END
INSERT INTO parcel (what, weight) VALUES ('fig', 2)
SELECT line FROM journal
CREATE PROCEDURE child () INSERT INTO journal VALUES (LAST_INSERT_ID(), 'child')
INSERT INTO parcel (what, weight) VALUES ('plum', 9)
CALL child()
SELECT j.parcel = MAX(p.id) FROM journal j, parcel p WHERE j.line = 'child' GROUP BY j.parcel
CREATE PROCEDURE opens () BEGIN START TRANSACTION; DELETE FROM journal; END
CALL opens()
SELECT COUNT(*) FROM journal
SELECT @@in_transaction
ROLLBACK
SELECT COUNT(*) FROM journal
CREATE PROCEDURE closes () COMMIT
BEGIN
DELETE FROM journal
CALL closes()
ROLLBACK
SELECT COUNT(*) FROM journal
CREATE PROCEDURE sets () BEGIN SET @x = 'as;df', @y = 1.50; SET SESSION div_precision_increment = 7; END
CALL sets()
SELECT @x, @y, @@div_precision_increment, 1/3
SET div_precision_increment = 2
SELECT 1/3
CALL sets()
SELECT 1/3
CREATE PROCEDURE counts () SELECT COUNT(*) INTO @many FROM parcel
CALL counts()
SELECT @many
CREATE PROCEDURE basket () BEGIN CREATE TEMPORARY TABLE bag (a INT); INSERT INTO bag VALUES (1), (2); END
CALL basket()
SELECT SUM(a) FROM bag
DROP TEMPORARY TABLE bag
CREATE PROCEDURE fails () BEGIN SELECT 2; SET @late = 1; INSERT INTO absent VALUES (1); END
CALL fails()
SELECT @late
CREATE PROCEDURE warns () BEGIN DECLARE n TINYINT; SET SESSION sql_mode = ''; SET n = 999; SELECT n; END
CALL warns()
SHOW WARNINGS
CREATE PROCEDURE waits () BEGIN SET autocommit = 0; END
CALL waits()
SELECT @@autocommit
DELETE FROM parcel
ROLLBACK
SELECT COUNT(*) FROM parcel
SET autocommit = 1
CREATE VIEW light AS SELECT p.id, p.what FROM parcel p LEFT JOIN journal j ON j.parcel = p.id WHERE p.weight < 5
SELECT what FROM light ORDER BY what
ALTER PROCEDURE foo COMMENT 'x'
DROP PROCEDURE foo
CALL foo()
DROP FUNCTION heaviest
SELECT heaviest()
DROP TRIGGER noted
"""


def statements() -> list[str]:
    """One for each line; indented ones, and END, go on with the one before."""
    found: list[str] = []
    for line in SCRIPT.strip().splitlines():
        if line.startswith((" ", "END")):
            found[-1] += "\n" + line
        else:
            found.append(line)
    return found


def answers(connection: Connection[Any], sql: str) -> object:
    """All results of a statement; of an error, its number, and whether a transaction is open."""
    with connection.cursor() as cursor:
        found: list[object] = []
        try:
            cursor.execute(sql)
            while True:
                columns = [column[:2] for column in cursor.description or ()]
                found.append((columns, cursor.fetchall(), 0 if columns else cursor.rowcount))
                if not cursor.nextset():
                    break
        except pymysql.MySQLError as error:
            found.append(error.args[0])
        flags = connection.server_status & (Status.AUTOCOMMIT | Status.IN_TRANS)
        return found, flags if found and isinstance(found[-1], tuple) else None


@pytest.fixture
def empty(town: Town, plain_server: Server) -> Iterator[Town]:
    plain_server.script(["DROP DATABASE IF EXISTS `empty`", "CREATE DATABASE `empty`"])
    yield town
    town.servers[0].script(["DROP DATABASE town_empty", "CREATE DATABASE town_empty"])


def test_stored_programs_do_what_they_do_on_one_server(empty: Town, plain_server: Server) -> None:
    with closing(empty.connect("admin", "empty")) as mesh, closing(plain_server.connection("empty")) as plain:
        for sql in statements():
            assert answers(mesh, sql) == answers(plain, sql), sql
        with closing(empty.connect("admin", "empty")) as other, other.cursor() as cursor:
            cursor.execute("CALL counts()")
            cursor.execute("SELECT @many")
            assert cursor.fetchall()[0][0] > 0
            cursor.execute("SHOW MESH SESSIONS")
            kept = [row[7] for row in cursor.fetchall() if row[7]]
            assert len(kept) == 1  # `counts` has left user variables only, the other session's `sets` has set more
            assert "CALL sets" in kept[0]


def results(client: BinaryClient, payload: bytes) -> list[object]:
    """Each result's rows, its status flags, until there are no more."""
    client.command(Command.STMT_EXECUTE, payload)
    found: list[object] = []
    while True:
        answer = client.answer()
        codec = RowCodec(answer.columns)
        flags = answer.ok.status & (Status.MORE_RESULTS | Status.PS_OUT_PARAMS)
        found.append(([column.name for column in answer.columns], list(map(codec.decode, answer.rows)), flags))
        if not answer.ok.status & Status.MORE_RESULTS:
            return found


@pytest.mark.parametrize("flags", [Capability.PS_MULTI_RESULTS, 0], ids=["out parameters", "none"])
@pytest.mark.parametrize("eof", [0, Capability.DEPRECATE_EOF], ids=["eof", "deprecate_eof"])
def test_a_prepared_call_has_out_parameters(empty: Town, plain_server: Server, flags: int, eof: int) -> None:
    create = "CREATE PROCEDURE twice (IN a INT, {} b INT) BEGIN SELECT a; SELECT a, 'x'; SET b = 2 * a; END"
    create = create.format("OUT" if flags else "IN")
    plain_server.script([create], "empty")
    empty.servers[0].script([create], "town_empty")
    account = plain_server.account
    found = []
    for port, user, password in (
        (empty.mesh.port, "admin", "secret"),
        (plain_server.port, account.user, account.password),
    ):
        with BinaryClient(port, user, password, "empty", flags | eof | Capability.MULTI_RESULTS) as client:
            statement = client.prepare("CALL twice(?, ?)")
            executions = [
                results(client, execute_payload(statement.id, arguments))
                for arguments in ((integer(3), integer(0)), (integer(4), integer(0)))
            ]
            found.append((len(statement.parameters), statement.columns, executions))
            client.query("SELECT 1")
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE PROCEDURE p () SELECT * FROM mysql.user",
        "CREATE PROCEDURE p () BEGIN SELECT a.b FROM c a ORDER BY a.b; DELETE x FROM other.t x; END",
        "CREATE PROCEDURE p () SELECT 1 FROM a JOIN b ON a.x = b.x, other.t",
        "CREATE PROCEDURE p () SELECT 1 FROM (a, other.t)",
        "CREATE FUNCTION f () RETURNS INT RETURN other.g()",
        "CREATE TRIGGER r BEFORE INSERT ON other.t FOR EACH ROW SET NEW.a = 1",
        "CREATE VIEW v AS SELECT * FROM other.t",
        "CREATE PROCEDURE p () BEGIN PREPARE s FROM 'SELECT 1'; EXECUTE s; END",
        "CREATE PROCEDURE p () EXECUTE IMMEDIATE 'SELECT 1'",
        "CREATE PROCEDURE p () GRANT ALL ON *.* TO me",
        "CREATE PROCEDURE p () BEGIN SET GLOBAL max_connections = 1; END",
        "CREATE PROCEDURE p () CREATE USER me",
        "CREATE PROCEDURE p () SHOW DATABASES",
        "CREATE PROCEDURE p () FLUSH TABLES",
        "CREATE PROCEDURE p () DO GET_LOCK('a', 1)",
        "CREATE EVENT e ON SCHEDULE EVERY 1 HOUR DO DELETE FROM t",
        "CALL other.p()",
        "CALL p(other.f())",
    ],
)
def test_what_would_reach_past_the_database_is_refused(empty: Town, sql: str) -> None:
    with closing(empty.connect("admin", "empty")) as mesh:
        assert answers(mesh, sql) == ([1235], None)


def test_a_procedure_may_not_touch_parts_of_tables(town: Town) -> None:
    with closing(town.connect("admin")) as mesh:
        for sql in ("CREATE PROCEDURE p () SELECT 1", "CALL p()", "DROP PROCEDURE p"):
            assert answers(mesh, sql) == ([1235], None)
    town.servers[0].script(["CREATE PROCEDURE p () SELECT 1"], "town_empty")
    with closing(town.connect("stranger", "empty")) as mesh:
        assert answers(mesh, "CREATE PROCEDURE q () SELECT 1") == ([1142], None)
        assert answers(mesh, "CALL p()") == answers(mesh, "CALL `empty`.p()")
        with mesh.cursor() as cursor:
            cursor.execute("SET dbmesh_transaction = 'base'")
            cursor.execute("BEGIN")
        assert answers(mesh, "CALL p()") == ([1235], None)
    town.servers[0].script(["DROP PROCEDURE p"], "town_empty")
