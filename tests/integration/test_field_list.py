"""COM_FIELD_LIST, as the command line client sends it to complete names."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from tests.integration.schema_world import SchemaWorld

FIELD_LIST = 0x04


def fields(connection: Connection[Any], table: bytes, pattern: bytes = b"") -> list[bytes]:
    """The packets of the answer but the last."""
    connection._execute_command(FIELD_LIST, table + b"\0" + pattern)  # type: ignore[attr-defined]
    found = []
    while not (packet := connection._read_packet()).is_eof_packet():  # type: ignore[attr-defined]
        found.append(packet.get_all_data())
    return found


@pytest.mark.parametrize("table", [b"book", b"loan", b"genre", b"staff", b"notice", b"latest"])
@pytest.mark.parametrize("pattern", [b"", b"%", b"t%", b"id"])
@pytest.mark.parametrize("charset", ["utf8mb4", "latin1"])
def test_columns_and_defaults_are_those_of_one_server(
    lending: SchemaWorld, table: bytes, pattern: bytes, charset: str
) -> None:
    mesh, plain = lending.both(charset=charset)
    with closing(mesh), closing(plain):
        assert fields(mesh, table, pattern) == fields(plain, table, pattern)
        with mesh.cursor() as cursor:
            cursor.execute("SELECT 1")
            assert cursor.fetchall() == ((1,),)


@pytest.mark.parametrize(("database", "table", "errno"), [("lending", b"nosuch", 1146), (None, b"book", 1046)])
def test_errors_are_those_of_one_server(lending: SchemaWorld, database: str | None, table: bytes, errno: int) -> None:
    mesh, plain = lending.both(database=database)
    with closing(mesh), closing(plain):
        told = []
        for connection in (mesh, plain):
            with pytest.raises(pymysql.MySQLError) as raised:
                fields(connection, table)
            told.append(raised.value.args)
        assert told[0] == told[1]
        assert told[0][0] == errno
