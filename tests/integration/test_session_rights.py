"""Users share the account that the mesh has on the servers: what one may see and do is decided here."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pymysql
import pytest

from tests.integration.conftest import Town
from tests.integration.test_session import Execute

SECRET = "(SELECT word FROM elsewhere.secret)"


@pytest.fixture
def elsewhere(town: Town) -> None:
    """A schema on the first server that no rule mentions."""
    town.servers[0].script(
        [
            "CREATE DATABASE IF NOT EXISTS elsewhere",
            "DROP TABLE IF EXISTS elsewhere.secret",
            "CREATE TABLE elsewhere.secret (word VARCHAR(20))",
            "INSERT INTO elsewhere.secret VALUES ('s3cret')",
        ]
    )


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    "sql",
    [
        "SHOW DATABASES UNION SELECT word FROM elsewhere.secret",
        "SHOW DATABASES WHERE 1 UNION SELECT user FROM mysql.user",
        f"SHOW DATABASES WHERE {SECRET} = 's3cret'",
        "SHOW TABLES WHERE 1 UNION SELECT LOAD_FILE('/etc/hostname')",
        "SHOW TABLES WHERE LOAD_FILE('/etc/hostname') IS NOT NULL",
        "SHOW TABLES WHERE elsewhere.f() = 1",
        "SHOW TABLES WHERE SLEEP(1) = 0",
        "SHOW TABLES /* x */ WHERE (/* y */SELECT 1)",
        f"SHOW VARIABLES WHERE Variable_name = 'version' AND {SECRET} = 's3cret'",
        f"SHOW COLLATION WHERE {SECRET} = 's3cret'",
        f"SHOW COLUMNS FROM person WHERE {SECRET} = 's3cret'",
        f"SHOW INDEX FROM person WHERE {SECRET} = 's3cret'",
        "SHOW GRANTS FOR root@localhost",
        f"DESCRIBE person {SECRET}",
    ],
)
def test_a_show_reads_nothing_but_what_it_shows(town: Town, sql: str) -> None:
    for _ in range(4):  # whichever server is asked
        with closing(town.connect("plain")) as connection, connection.cursor() as cursor:
            with pytest.raises(pymysql.MySQLError) as raised:
                cursor.execute(sql)
            assert raised.value.args[0] == 1235


def test_a_show_writes_no_file(town: Town, tmp_path: Path) -> None:
    with closing(town.connect("plain")) as connection, connection.cursor() as cursor:
        for form in ("INTO OUTFILE", "WHERE 1 INTO OUTFILE", "LIKE '%' INTO DUMPFILE"):
            with pytest.raises(pymysql.MySQLError) as raised:
                cursor.execute(f"SHOW TABLES {form} '{tmp_path}/out'")
            assert raised.value.args[0] == 1235
    assert list(tmp_path.iterdir()) == []


def test_the_usual_conditions_of_a_show_are_the_servers(execute: Execute) -> None:
    assert execute("SHOW TABLES LIKE 'per%'") == [("person",)]
    assert execute("SHOW FULL TABLES WHERE Table_type = 'BASE TABLE' AND Tables_in_town IN ('person', 'x')") == [
        ("person", "BASE TABLE")
    ]
    assert execute("SHOW DATABASES WHERE LOWER(`Database`) = 'town'") == [("town",)]
    assert [row[0] for row in execute("SHOW COLUMNS FROM person WHERE Field LIKE 'n%' OR `Key` = 'PRI'")] == [
        "id",
        "name",
    ]
    assert execute("SHOW VARIABLES WHERE Variable_name = 'autocommit' AND Value <> 'x'")[0][0] == "autocommit"
    assert len(execute("DESCRIBE person name")) == 1
    assert len(execute("SHOW GRANTS FOR CURRENT_USER()")) == 1


def test_analyze_does_not_write_beside_the_transaction(town: Town) -> None:
    with closing(town.connect("plain")) as connection, connection.cursor() as cursor:
        for sql in ("ANALYZE UPDATE diary SET line = 'x'", "ANALYZE FORMAT=JSON DELETE FROM person WHERE id = 1"):
            with pytest.raises(pymysql.MySQLError) as raised:
                cursor.execute(sql)
            assert raised.value.args[0] == 1235


def test_bytes_that_hide_a_quote_are_refused(town: Town) -> None:
    """To a server in gbk 0xFE5C is one character; to who does not know it, a backslash that escapes the quote."""
    with closing(town.connect("plain", autocommit=True)) as connection, connection.cursor() as cursor:
        cursor.execute("SET NAMES gbk")
        connection._execute_command(0x03, b"SELECT '\xfe\x5c', 1 -- '")  # type: ignore[attr-defined]
        with pytest.raises(pymysql.MySQLError) as raised:
            connection._read_query_result()  # type: ignore[attr-defined]
        assert raised.value.args[0] == 1235
        cursor.execute("SELECT 5")
        assert cursor.fetchall() == ((5,),)
