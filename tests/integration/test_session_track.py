"""What OK packets tell a client with CLIENT_SESSION_TRACK, compared with a plain server's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from pymysql.connections import Connection
from pymysql.constants import COMMAND

from dbmesh.protocol.constants import Capability, Status
from dbmesh.protocol.lenenc import read_int, read_string
from dbmesh.protocol.response import Change as Response
from dbmesh.sandbox import Server
from tests.integration.conftest import PERSON, Town

Change = tuple[int, tuple[bytes, ...]]
_FLAG = {"client_flag": Capability.SESSION_TRACK}


@pytest.fixture
def pair(town: Town, plain_server: Server) -> Iterator[tuple[Connection[Any], Connection[Any]]]:
    plain_server.script(["DROP DATABASE IF EXISTS town", "CREATE DATABASE town"])
    plain_server.script([f"CREATE TABLE person {PERSON}"], "town")
    with closing(town.connect(**_FLAG)) as mesh, closing(plain_server.connection("town", **_FLAG)) as plain:
        yield mesh, plain


def told(connection: Connection[Any], sql: str) -> list[Change]:
    """The changes in the OK packet of a statement without a result set."""
    connection._execute_command(COMMAND.COM_QUERY, sql)
    payload = connection._read_packet()._data
    assert payload[0] == 0, payload
    _, at = read_int(payload, 1)
    _, at = read_int(payload, at)
    status = int.from_bytes(payload[at : at + 2], "little")
    at += 4
    if not status & Status.SESSION_STATE_CHANGED:
        assert len(payload) == at or read_string(payload, at)[1] == len(payload)
        return []
    _, at = read_string(payload, at)
    changes, at = read_string(payload, at)
    assert at == len(payload)
    return sorted(set(parted(changes)))


def parted(changes: bytes) -> Iterator[Change]:
    at = 0
    while at < len(changes):
        kind = changes[at]
        data, at = read_string(changes, at + 1)
        values, inner = [], 0
        if kind == Response.STATE:
            inner = len(data)
        while inner < len(data):
            value, inner = read_string(data, inner)
            values.append(value)
        yield kind, tuple(values)


SAME = [
    "USE town",
    "SET autocommit = 0",
    "SET autocommit = 1",
    "SET time_zone = '+03:00'",
    "SET NAMES latin1",
    "SET NAMES utf8mb4",
    "SET @a = 5",
    "SET sql_mode = ''",
    "SET SESSION lock_wait_timeout = 7",
    "INSERT INTO person (id) VALUES (1)",
    "UPDATE person SET name = 'x'",
    "DO 1",
    "SET session_track_system_variables = 'lock_wait_timeout,sql_mode'",
    "SET SESSION lock_wait_timeout = 8",
    "SET sql_mode = 'STRICT_TRANS_TABLES', time_zone = '+01:00'",
    "SET session_track_schema = 0",
    "USE town",
    "SET session_track_state_change = 1",
    "SET @b = 1",
    "SET session_track_state_change = 0",
    "SET session_track_transaction_info = 'STATE'",
    "BEGIN",
    "INSERT INTO person (id) VALUES (2)",
    "COMMIT",
    "START TRANSACTION READ ONLY",
    "ROLLBACK",
    "SET session_track_transaction_info = 'CHARACTERISTICS'",
    "START TRANSACTION READ ONLY",
    "COMMIT",
    "BEGIN",
    "INSERT INTO person (id) VALUES (3)",
    "ROLLBACK",
    "SET session_track_transaction_info = 'OFF'",
    "SET session_track_transaction_info = 'CHARACTERISTICS'",
]


def test_changes_of_the_session_are_told_as_a_server_tells_them(
    pair: tuple[Connection[Any], Connection[Any]],
) -> None:
    mesh, plain = pair
    wrong = {sql: (mine, theirs) for sql in SAME if (mine := told(mesh, sql)) != (theirs := told(plain, sql))}
    assert not wrong


def test_a_client_without_the_capability_is_told_nothing(town: Town) -> None:
    with closing(town.connect()) as connection:
        assert told(connection, "USE town") == []
        assert told(connection, "SET time_zone = '+03:00'") == []
