"""The capability IGNORE_SPACE: a blank before the bracket of a built-in function."""

from __future__ import annotations

from contextlib import closing

import pymysql
import pytest
from pymysql.constants import CLIENT

from tests.integration.conftest import Town


def test_a_client_that_asks_for_it_may_write_a_blank_and_keeps_the_rest_of_the_mode(town: Town) -> None:
    with closing(town.connect(client_flag=CLIENT.IGNORE_SPACE)) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO person (id, age) VALUES (1, 10), (2, 20), (3, 30)")
        cursor.execute("SELECT COUNT (*), MAX (age) FROM person")
        assert cursor.fetchall() == ((3, 30),)
        cursor.execute("SELECT @@sql_mode")
        modes = set(str((cursor.fetchone() or [""])[0]).split(","))
    [(default,)] = town.servers[0].rows("SELECT @@GLOBAL.sql_mode")
    assert modes == {*default.split(","), "IGNORE_SPACE"}


def test_without_it_the_blank_is_the_error_that_a_server_makes_of_it(town: Town) -> None:
    with closing(town.connect()) as connection, connection.cursor() as cursor:
        with pytest.raises(pymysql.err.MySQLError) as refused:
            cursor.execute("SELECT COUNT (*) FROM person")
        with pytest.raises(pymysql.err.MySQLError) as plain:
            town.servers[0].rows("SELECT COUNT (*) FROM person_0", database="town_0")
    assert refused.value.args[0] == plain.value.args[0]
