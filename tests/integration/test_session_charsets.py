"""Clients of other character sets: their bytes are read as characters, and come back as they were sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection
from pymysql.constants import COMMAND

from dbmesh.sandbox import Server
from tests.integration.conftest import PERSON, Town

# 誠 ends in a backslash's byte in GBK, 乣 in a back-tick's, 亅 in a '|', 乗 in a '\\' again.
STATEMENTS = {
    "utf8mb4": [
        "INSERT INTO person (id, name) VALUES (1, '誠 \\' é 😀'), (2, '乣'), (3, 'x')",
        "SELECT id, name, HEX(name) FROM person ORDER BY id",
        "SELECT name AS `größe 誠`, '😀' FROM person WHERE name = '乣'",
        "SELECT '誠' AS \"乣\", _latin1'\\'' , N'é', @größe := '誠'",
        "SELECT @größe",
    ],
    "gbk": [
        "INSERT INTO person (id, name) VALUES (1, '誠'), (2, '乣誠'), (3, '誠''x'), (4, '\\'誠\\\\')",
        "SELECT id, name, HEX(name) FROM person ORDER BY id",
        "SELECT id FROM person WHERE name = '誠' OR id = 4 ORDER BY id",
        "SELECT name AS `誠` FROM person WHERE id = 1",
        "SELECT name AS `乣` FROM person WHERE id = 2 -- 誠",
        "SELECT '誠' /* 誠*/, \"誠\", '乗\\n'",
        "UPDATE person SET name = CONCAT(name, '誠') WHERE id IN (1, 2)",
        "SELECT HEX(name), name FROM person WHERE name LIKE '%誠' ORDER BY name DESC",
        "SET @a = '誠'",
        "SELECT @a, HEX(@a), CHARSET(@a), CHARSET('誠')",
        "SELECT 誠.id FROM person AS 誠 WHERE 誠.id = 3",
    ],
    "latin1": [
        "INSERT INTO person (id, name) VALUES (1, 'é'), (2, 'ÿ\\'€'), (3, 'ß')",
        "SELECT id, name, HEX(name) FROM person ORDER BY id",
        "SELECT name AS größe, `name` AS `é` FROM person WHERE name = 'é'",
        "SELECT 'é', HEX('é'), CHARSET('é'), @ü := 'ü'",
        "SELECT MAX(name), COUNT(*) FROM person",
        "SELECT @ü",
    ],
    "binary": [
        "INSERT INTO person (id, name) VALUES (1, 'é'), (2, '誠'), (3, 'a\\\\b')",
        "SELECT id, name, HEX(name) FROM person ORDER BY id",
        "SELECT HEX('é'), CHARSET('é'), LENGTH('誠')",
        "SELECT id FROM person WHERE name = 'é'",
    ],
}


@pytest.fixture
def plain(plain_server: Server) -> Server:
    plain_server.script(["DROP DATABASE IF EXISTS town", "CREATE DATABASE town"])
    plain_server.script([f"CREATE TABLE person {PERSON}"], "town")
    return plain_server


def packets(connection: Connection[Any], sql: bytes) -> list[bytes]:
    """The names of the columns and the rows, or the whole OK packet, or the error's number: all as they came."""
    connection._execute_command(COMMAND.COM_QUERY, sql)
    try:
        first = connection._read_packet()
        if first.is_ok_packet():
            return [bytes(first._data)]
        names = []
        for _ in range(first._data[0]):
            column = connection._read_packet()
            parts = [column.read_length_coded_string() for _ in range(6)]
            names.append(parts[4] + b" %d" % int.from_bytes(column.read(3)[1:], "little"))
        connection._read_packet()
        rows = []
        while not (packet := connection._read_packet()).is_eof_packet():
            rows.append(bytes(packet._data))
        return [*names, *rows]
    except pymysql.MySQLError as error:
        return [b"error %d" % error.args[0]]


def codec(charset: str) -> str:
    return {"utf8mb4": "utf-8", "binary": "utf-8", "latin1": "cp1252"}.get(charset, charset)


def sides(town: Town, plain: Server, charset: str, names: bool) -> Iterator[Connection[Any]]:
    for connect in (town.connect, plain.connection):
        connection = connect(database="town", charset="utf8mb4" if names else charset)
        if names:
            packets(connection, f"SET NAMES {charset}".encode())
        yield connection


@pytest.mark.parametrize(
    ("charset", "names"),
    [(charset, names) for charset in STATEMENTS for names in (False, True) if names or charset != "binary"],
)
def test_bytes_are_answered_as_by_a_plain_server(town: Town, plain: Server, charset: str, names: bool) -> None:
    mesh, other = sides(town, plain, charset, names)
    with closing(mesh), closing(other):
        for sql in STATEMENTS[charset]:
            text = sql.encode(codec(charset))
            for _ in range(2 if sql.startswith("SELECT") else 1):  # the second time it is hot
                assert packets(mesh, text) == packets(other, text), sql


def test_bytes_that_are_no_text_are_refused_where_they_could_hide_a_quote(town: Town) -> None:
    with closing(town.connect(charset="gbk")) as connection:
        assert packets(connection, b"SELECT '\xbf\x27 OR 1=1") == [b"error 1235"]
        assert packets(connection, b"SELECT 'fine'")[1:] == [b"\x04fine"]


def test_a_user_variable_keeps_its_character_set_and_collation(town: Town, plain: Server) -> None:
    with closing(town.connect()) as mesh, closing(plain.connection("town")) as other:
        for sql in (
            "SET NAMES latin1",
            "SET @l = 'é', @a = 'a', @e = CONCAT('é', 'x')",
            "SET NAMES gbk",
            "SET @g = '\\'' '誠'",
            "SET NAMES utf8mb4 COLLATE utf8mb4_bin",
            "SET @u = 'U', @größe = 1",
            "SET NAMES gbk",
            "SELECT CHARSET(@l), CHARSET(@a), CHARSET(@e), CHARSET(@g), CHARSET(@u), COLLATION(@u), @u = 'u', @l, @g",
            "SET NAMES binary",
            "SELECT HEX(@l), HEX(@a), HEX(@e), HEX(@g), HEX(@u)",
            "SET NAMES utf8mb4",
            "SELECT @l, @a, @e, @u, @u = 'u', @größe",
        ):
            text = sql.encode("gbk" if "誠" in sql else "latin1" if "@l = " in sql else "utf-8")
            assert packets(mesh, text) == packets(other, text), sql
    with closing(town.connect()) as third:
        assert packets(third, "SELECT @größe, @l".encode())[2:] == [b"\xfb\xfb"]
