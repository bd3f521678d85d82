"""A table's alias taken out of a statement."""

from __future__ import annotations

import pytest

from dbmesh.rewrite.unaliased import without_alias


@pytest.mark.parametrize(
    ("sql", "bare"),
    [
        ("SELECT `t`.a, T.b, x FROM `t_1` AS `t` WHERE t.a = 't.a'",
         "SELECT `t_1`.a, `t_1`.b, x FROM `t_1` WHERE `t_1`.a = 't.a'"),
        ("UPDATE `t_1` t SET t.a = 1 ORDER BY t.b", "UPDATE `t_1` SET `t_1`.a = 1 ORDER BY `t_1`.b"),
        ("SELECT 1 FROM `t_1` AS `other` WHERE t.a", "SELECT 1 FROM `t_1` AS `other` WHERE t.a"),
        ("INSERT INTO `t_1` (t) VALUES (1)", "INSERT INTO `t_1` (t) VALUES (1)"),
        ("SELECT s.t.a FROM `t_1` /* t */ t -- t.a", "SELECT s.t.a FROM `t_1` -- t.a"),
        ("SELECT 1", "SELECT 1"),
    ],
)  # fmt: skip
def test_the_table_is_called_by_its_own_name(sql: str, bare: str) -> None:
    assert without_alias(sql, "t_1", "t") == bare
