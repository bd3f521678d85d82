"""UPDATE and DELETE: where they go, what a saga is told of them, and what is refused."""

from __future__ import annotations

import pytest

from dbmesh.errors import NotSupported
from dbmesh.plan.model import RouteKind
from tests.unit.plan.shop import bind, plan, sent


def test_an_update_by_key_is_relayed_to_its_node() -> None:
    made = plan("UPDATE t_order SET note='x' WHERE user_id=3")
    assert made.relay(("'y'", "6")) == ("ds_1", "UPDATE `t_order_0` AS `t_order` SET note='y' WHERE user_id=6")
    assert made.writes


def test_a_scattered_update_has_one_unit_per_node_and_one_instant() -> None:
    bound = bind("UPDATE t_order SET made=NOW() WHERE note='x'")
    assert bound.route_kind is RouteKind.SCATTER
    assert bound.affected == "sum"
    assert [(u.data_source, u.table) for u in bound.units] == [
        ("ds_0", "t_order_0"), ("ds_0", "t_order_1"), ("ds_1", "t_order_0"), ("ds_1", "t_order_1"),
    ]  # fmt: skip
    assert all("1767225600" in u.sql for u in bound.units)
    assert "NOW()" in sent("UPDATE t_order SET made=NOW() WHERE user_id=1")[0]


def test_several_keys_concern_their_nodes_only() -> None:
    assert [u.table for u in bind("DELETE FROM t_order WHERE user_id IN (2,3,6)").units] == ["t_order_0", "t_order_1"]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (
            "UPDATE IGNORE shop.t_order SET shop.t_order.note=database() WHERE shop.t_order.user_id=6;",
            "ds_1: UPDATE IGNORE `t_order_0` AS `t_order` SET t_order.note='shop' WHERE t_order.user_id=6",
        ),
        (
            "update low_priority t_order o set o.note=1 where o.user_id=3",
            "ds_1: update low_priority `t_order_1` o set o.note=1 where o.user_id=3",
        ),
        (
            "DELETE QUICK FROM t_order WHERE t_order.user_id=6 AND shop.t_order.note='a'",
            "ds_1: DELETE QUICK FROM `t_order_0` WHERE `t_order_0`.user_id=6 AND `t_order_0`.note='a'",
        ),
        (
            "DELETE o FROM t_order o JOIN t_item i ON o.user_id=i.user_id WHERE o.user_id=3",
            "ds_1: DELETE o FROM `t_order_1` o JOIN `t_item_1` i ON o.user_id=i.user_id WHERE o.user_id=3",
        ),
        (
            "DELETE FROM o, i USING t_order o, t_item i WHERE o.user_id=i.user_id AND o.user_id=3",
            "ds_1: DELETE FROM o, i USING `t_order_1` o, `t_item_1` i WHERE o.user_id=i.user_id AND o.user_id=3",
        ),
        (
            "UPDATE setting s JOIN t_order o ON o.note=s.k SET s.v=1 WHERE o.user_id=3",
            "ds_1: UPDATE `setting` s JOIN `t_order_1` o ON o.note=s.k SET s.v=1 WHERE o.user_id=3",
        ),
        ("UPDATE plain SET id=LAST_INSERT_ID(id+1)", "ds_0: UPDATE `plain` AS `plain` SET id=LAST_INSERT_ID(id+1)"),
        (
            "UPDATE t_order SET note=f(note) WHERE user_id=1",
            "ds_0: UPDATE `t_order_1` AS `t_order` SET note=f(note) WHERE user_id=1",
        ),
        (
            "UPDATE t_order SET note='x' WHERE user_id=1 LIMIT 3",
            "ds_0: UPDATE `t_order_1` AS `t_order` SET note='x' WHERE user_id=1 LIMIT 3",
        ),
        (
            "DELETE FROM t_order WHERE user_id=1 RETURNING note",
            "ds_0: DELETE FROM `t_order_1` WHERE user_id=1 RETURNING note",
        ),
    ],
)
def test_one_node_gets_the_clients_text(sql: str, expected: str) -> None:
    assert sent(sql) == [expected]


def test_rows_that_depend_on_a_binding_table_are_deleted_node_by_node() -> None:
    bound = bind("DELETE FROM t_item WHERE EXISTS (SELECT 1 FROM t_order o WHERE o.user_id=t_item.user_id)")
    assert bound.units[1].sql == (
        "DELETE FROM `t_item_1` WHERE EXISTS (SELECT 1 FROM `t_order_1` o WHERE o.user_id=`t_item_1`.user_id)"
    )
    assert len(bound.units) == 4


def test_an_update_in_parts_for_a_saga() -> None:
    write = (
        bind("UPDATE IGNORE t_order o SET o.note='x', made=now() WHERE o.user_id=3 ORDER BY made LIMIT 2")
        .units[0]
        .write
    )
    assert write is not None
    assert (write.op, write.table, write.source) == ("U", "t_order_1", "`t_order_1` o")
    assert write.head == "UPDATE IGNORE `t_order_1` o SET o.note='x', made=now()"
    assert (write.where, write.order_by, write.limit) == ("o.user_id=3", "made", "2")
    assert write.set_columns == ("note", "made")
    assert write.set_values == ("'x'", "now()")
    assert write.ignore


def test_a_delete_in_parts_for_a_saga() -> None:
    write = bind("DELETE FROM t_order WHERE t_order.user_id=3").units[0].write
    assert write is not None
    assert (write.op, write.source, write.head) == ("D", "`t_order_1`", "DELETE FROM `t_order_1`")
    assert (write.where, write.order_by, write.limit) == ("`t_order_1`.user_id=3", "", "")


def test_forms_that_a_saga_cannot_record_have_no_parts() -> None:
    assert bind("DELETE o FROM t_order o JOIN t_item i ON o.user_id=i.user_id WHERE o.user_id=3").units[0].write is None
    assert bind("DELETE FROM t_order WHERE user_id=1 RETURNING note").units[0].write is None


def test_a_broadcast_table_is_changed_in_all_its_copies_with_one_instant() -> None:
    bound = bind("UPDATE country SET code='x', changed=NOW() WHERE id=3")
    assert bound.route_kind is RouteKind.BROADCAST
    assert bound.affected == "first"
    assert len({u.sql for u in bound.units}) == 1
    assert [u.data_source for u in bound.units] == ["ds_0", "ds_1"]


def test_the_sharding_key_may_be_assigned_the_value_it_was_found_by() -> None:
    assert len(sent("UPDATE t_order SET user_id=3, note='x' WHERE user_id='03'")) == 1
    assert len(sent("UPDATE t_order SET user_id=user_id WHERE note='x'")) == 4
    made = plan("UPDATE t_order SET user_id=3 WHERE user_id=3")
    assert made.relay(("4", "3")) is None


def test_a_key_that_all_rows_are_assigned_is_written_at_its_home_and_guarded_elsewhere() -> None:
    units = bind("UPDATE t_order SET user_id=3 WHERE order_id=9").units
    writing = [unit for unit in units if unit.sentry is None]
    assert [unit.sql for unit in writing] == [
        f"UPDATE `{writing[0].table}` AS `t_order` SET user_id=3 WHERE order_id=9"
    ]
    sentries = [unit for unit in units if unit.sentry is not None]
    assert len(sentries) == 3
    for unit in sentries:
        assert unit.sql == f"SELECT 1 FROM `{unit.table}` AS `t_order` WHERE order_id=9 LIMIT 1 FOR UPDATE"
        assert "sharding key column 'user_id'" in str(unit.sentry)


def test_rows_found_by_another_key_may_only_move_within_their_node() -> None:
    assert all(unit.sentry for unit in bind("UPDATE t_order SET user_id=4 WHERE user_id=3").units)


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("UPDATE t_order SET note=f(note)", "stored function"),
        ("UPDATE t_order SET order_id=LAST_INSERT_ID(5)", "LAST_INSERT_ID"),
        ("DELETE FROM t_order RETURNING note", "RETURNING"),
        ("DELETE FROM t_order WHERE user_id=3 AND note IN (SELECT t_order.note FROM t_order)", "give it an alias"),
        ("DELETE HISTORY FROM t_order", "DELETE of 'HISTORY'"),
        ("UPDATE mysql.user SET a=1", "servers' own tables"),
        ("DELETE FROM t_order WHERE user_id=3; DELETE FROM t_item", "several statements"),
        ("UPDATE t_pair SET c=1 LIMIT 3", "table 't_pair' has no primary key"),
        ("UPDATE IGNORE t_order SET user_id=user_id+1", "UPDATE IGNORE of a key"),
        ("UPDATE t_order a JOIN t_order b ON a.note=b.note SET a.made=1, b.made=2", "written under two names"),
    ],
)
def test_what_cannot_be_right_is_refused(sql: str, why: str) -> None:
    with pytest.raises(NotSupported, match=why):
        bind(sql)


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("UPDATE t_order SET t_order.USER_ID=user_id+1 WHERE user_id=3", "an UPDATE of the sharding key"),
        ("UPDATE t_order SET user_id=note=3 WHERE user_id=3", "an UPDATE of the sharding key"),
        ("UPDATE t_order SET note='x' LIMIT 3", "LIMIT over several data nodes"),
        ("UPDATE setting s JOIN t_order o ON o.note=s.k SET s.v=1", "is not|single table|not all of its tables"),
        ("DELETE FROM t_order WHERE note IN (SELECT note FROM t_item)", "several data nodes"),
        ("UPDATE country SET code=uuid(), changed=now()", "its copies would differ"),
        ("DELETE FROM country LIMIT 1", "its copies would differ"),
        ("UPDATE country c JOIN setting s ON s.k=c.code SET c.id=1, c.changed=now()", "not broadcast"),
    ],
)
def test_without_a_server_to_ask_nothing_is_staged(sql: str, why: str) -> None:
    with pytest.raises(NotSupported, match=why):
        bind(sql, offline=True)
    bound = bind(sql)
    assert bound.staging or bound.otherwise


def test_binding_tables_are_changed_together_by_each_of_their_nodes() -> None:
    units = bind("DELETE o FROM t_order o JOIN t_item i ON o.user_id=i.user_id").units
    assert [unit.sql for unit in units[:1]] == ["DELETE o FROM `t_order_0` o JOIN `t_item_0` i ON o.user_id=i.user_id"]
    assert len(units) == 4
