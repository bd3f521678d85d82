"""Whatever happens to a statement, its backend connections come back to their pools."""

from __future__ import annotations

import time
from contextlib import closing

import pymysql
import pytest

from tests.integration.conftest import Town


def in_use(town: Town) -> dict[str, int]:
    """Connections that are not in their pool, by data source; the asking session needs none."""
    with closing(town.connect("admin")) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW MESH POOLS")
        return {row[0]: int(row[2]) for row in cursor.fetchall()}


def settled(town: Town, seconds: float = 5.0) -> dict[str, int]:
    """What is still in use when all has been given back, or when the time is over."""
    end = time.monotonic() + seconds
    while any((found := in_use(town)).values()) and time.monotonic() < end:
        time.sleep(0.02)
    return {name: number for name, number in found.items() if number}


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO note (body) VALUES (nosuch)",  # a generated key: the mesh answers in the server's stead
        "INSERT INTO note (note_id, body) VALUES (7, 'again')",
        "SELECT nosuch FROM person WHERE id = 1",
        "SELECT nosuch FROM person",
        "SELECT nosuch FROM diary",
        "SET sql_mode = 'nosuch'",
        "UPDATE person SET nosuch = 1",
        "SHOW TABLES WHERE nosuch = 1",
    ],
)
def test_a_statement_that_fails_gives_its_connection_back(town: Town, sql: str) -> None:
    with closing(town.connect(autocommit=True)) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO note (note_id, body) VALUES (7, 'first')")
        for _ in range(8):  # more often than the pool is large
            with pytest.raises(pymysql.MySQLError):
                cursor.execute(sql)
    assert settled(town) == {}
