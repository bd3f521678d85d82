"""The tables of statements once more, by clients that are set up otherwise."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from pymysql.connections import Connection

from tests.differential.check import likeness
from tests.differential.outcome import difference, run
from tests.differential.statements import Statement, read
from tests.differential.world import World, raw_connection

_READ = [
    statement
    for name in ("scatter", "groups", "joins")
    for statement in read(name)
    if not {"refused", "differs"} & statement.remarks.keys() and "NOW(" not in statement.sql
]
_SETTINGS = {
    "in a transaction": ("BEGIN",),
    "without autocommit": ("SET autocommit = 0",),
    "in another time zone": ("SET time_zone = '+05:30'",),
    "with all groups spelled out": ("SET sql_mode = 'ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES'",),
    "without strict mode": ("SET sql_mode = ''",),
    "with another collation": ("SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci",),
    "with four more digits": ("SET div_precision_increment = 8",),
    "with short sort keys": ("SET max_sort_length = 64",),
    "with little memory on the servers": ("SET tmp_table_size = 1024, sort_buffer_size = 65536",),
}
# Quotients of more than nine digits are rounded or not before they are summed, as a server takes a temporary table or
# sorts: one server's answers differ, too.
_AS_IT_HAPPENS = {"SET div_precision_increment = 8": ("SUM(price / 7)",)}


@pytest.mark.parametrize("setting", _SETTINGS.values(), ids=_SETTINGS)
def test_answers_do_not_depend_on_the_clients_settings(world: World, setting: tuple[str, ...]) -> None:
    mesh, plain = world.connect()
    with closing(mesh), closing(plain):
        for sql in setting:
            first, second = run(mesh, sql), run(plain, sql)
            assert (first.errno, second.errno) == (0, 0), f"{sql}: {first.message} {second.message}"
        found = [_wrong(statement, mesh, plain) for statement in _READ]
    found = [
        text for text in found if text and not any(reason in text for reason in _AS_IT_HAPPENS.get(setting[0], ()))
    ]
    assert not found, "\n".join(filter(None, found))


def _wrong(statement: Statement, mesh: Connection[Any], plain: Connection[Any]) -> str | None:
    found = difference(run(mesh, statement.sql), run(plain, statement.sql), likeness(statement, plain))
    return f"{statement}: {statement.sql}\n    {found}" if found else None


def test_a_client_of_latin1_gets_what_one_server_would_send(world: World) -> None:
    mesh, plain = (raw_connection(endpoint, charset="latin1") for endpoint in (world.mesh, world.plain))
    with closing(mesh), closing(plain):
        found = [_wrong(statement, mesh, plain) for statement in _READ if statement.sql.isascii()]
    lost = "may be lost in this character set"  # a string of utf8mb4 in an expression over merged rows
    assert not any(found := [text for text in found if text and lost not in text]), "\n".join(found)
