"""A server's word on the client's whole statement, before the mesh parts or refuses it."""

from __future__ import annotations

import asyncio

import pytest

from dbmesh.errors import BackendError
from dbmesh.plan.build import build
from dbmesh.plan.model import Plan, Scope
from dbmesh.plan.session_functions import label_edits, spans_of
from dbmesh.rewrite import Edit
from dbmesh.sql.fingerprint import fingerprint
from dbmesh.sql.tokens import tokens
from tests.unit.plan.shop import RULES, KnownTables


class Judging(KnownTables):
    """Servers that find the same mistake in everything."""

    def __init__(self, errno: int, message: str) -> None:
        self.error = BackendError(errno, "42000", message)
        self.asked: list[str] = []

    async def check(self, data_source: str, sql: str) -> None:
        self.asked.append(sql)
        raise self.error


def planned(sql: str, servers: Judging) -> Plan:
    return asyncio.run(build(sql, fingerprint(sql), Scope(RULES.databases["shop"], RULES, servers)))


def test_a_statement_with_an_unknown_column_ends_with_the_servers_error() -> None:
    servers = Judging(1054, "Unknown column 'x' in 'HAVING'")
    with pytest.raises(BackendError, match="Unknown column 'x'"):
        planned("SELECT user_id, COUNT(*) FROM t_order GROUP BY user_id HAVING x > 1", servers)
    assert "`t_order_0` AS `t_order`" in servers.asked[0]
    assert "HAVING x > 1" in servers.asked[0]


def test_what_depends_on_the_session_is_left_to_the_data_nodes() -> None:
    planned("SELECT user_id, order_id FROM t_order GROUP BY user_id", Judging(1055, "not in GROUP BY"))


def test_a_read_by_key_asks_nobody() -> None:
    servers = Judging(1054, "Unknown column")
    planned("SELECT x FROM t_order WHERE user_id = 5", servers)
    assert not servers.asked


@pytest.mark.parametrize(
    ("item", "name"),
    [
        ("(SELECT MAX(n) FROM t)", " AS `(SELECT MAX(n) FROM t)`"),
        ("t + 1", " AS `t + 1`"),
        ("t.c", None),
        ("t + 1 AS x", None),
        ("t", " AS `t`"),
    ],
)
def test_an_item_whose_text_changes_keeps_its_label(item: str, name: str | None) -> None:
    text = f"SELECT {item} FROM u"
    found = tokens(text)
    changed = [Edit(t.start, t.end, ("other",)) for t in found if t.text == "t"]
    edits = label_edits(text, found, spans_of(found, changed))
    assert [edit.pieces for edit in edits] == ([] if name is None else [(name,)])
