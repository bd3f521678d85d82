"""Staged writes: what is gathered, and which writes of the shards come of what has become different."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dbmesh.errors import NotSupported
from dbmesh.plan.model import Bound, Effects, Staging
from tests.unit.plan.shop import bind

Rows = list[list[bytes | None]]


def staged(sql: str) -> tuple[Bound, Staging]:
    bound = bind(sql)
    assert bound.staging is not None
    return bound, bound.staging


def done(sql: str, rows: Rows) -> Effects:
    [effect] = staged(sql)[1].effects
    return effect.effects(rows)


def texts(effects: Effects) -> Sequence[str]:
    return [f"{unit.data_source}: {unit.sql}" for unit in effects.units]


def test_each_node_gives_its_own_first_rows_and_locks_them() -> None:
    bound, staging = staged("DELETE FROM t_order WHERE t_order.note='x' ORDER BY t_order.made DESC LIMIT 3")
    assert bound.units[3].sql == (
        "SELECT `order_id`, `note`, `made`, NULL, 3 FROM `t_order_1` AS `t_order` WHERE (t_order.note='x')"
        " ORDER BY t_order.made DESC LIMIT 3 FOR UPDATE"
    )
    assert staging.federation.sql == (
        "DELETE FROM `dm_scratch_0` WHERE `dm_scratch_0`.note='x' ORDER BY `dm_scratch_0`.made DESC LIMIT 3"
    )


def test_a_condition_that_may_say_something_else_is_asked_once_only() -> None:
    bound, _ = staged("DELETE FROM t_order WHERE note='x' AND RAND() < 0.5 ORDER BY made LIMIT 3")
    assert bound.units[0].sql.endswith("WHERE (note='x') LIMIT 1000001 FOR UPDATE")


def test_numbers_that_follow_one_another_are_not_begun_anew_on_each_node() -> None:
    assert staged("UPDATE t_item SET price = RAND(3)")[1].federation.sql.endswith("SET price = RAND(3)")
    assert bind("UPDATE t_item SET price = RAND()").staging is None


def test_tables_that_are_only_read_are_locked_against_writers() -> None:
    bound, _ = staged("UPDATE t_order o JOIN setting s ON s.k=o.note SET o.note='y' WHERE s.v=1")
    assert bound.units[-1].sql == "SELECT `k`, `v` FROM `setting` AS `s` WHERE (s.v=1) LIMIT 1000001 LOCK IN SHARE MODE"


def test_deleted_rows_are_deleted_by_key_on_their_nodes() -> None:
    effects = done("DELETE FROM t_order LIMIT 3", [[b"0", b"11"], [b"3", b"12"], [b"0", b"13"]])
    assert texts(effects) == [
        "ds_0: DELETE FROM `t_order_0` WHERE `order_id` IN (11, 13)",
        "ds_1: DELETE FROM `t_order_1` WHERE `order_id` IN (12)",
    ]
    write = effects.units[0].write
    assert write is not None
    assert (write.op, write.head, write.where) == ("D", "DELETE FROM `t_order_0`", "`order_id` IN (11, 13)")


def test_rows_with_the_same_new_values_are_updated_together() -> None:
    rows: Rows = [[b"0", b"0", str(key).encode(), b"x", None] for key in range(11, 16)]
    assert texts(done("UPDATE t_order SET note='x', made=made LIMIT 5", rows)) == [
        "ds_0: UPDATE `t_order_0` SET `note` = x'78', `made` = NULL WHERE `order_id` IN (11, 12, 13, 14, 15)"
    ]


def test_rows_with_values_of_their_own_are_told_apart_by_their_keys() -> None:
    rows: Rows = [
        [b"0", b"0", b"11", b"x", None], [b"0", b"0", b"12", b"x", b"2026-01-01 00:00:00"],
        [b"1", b"0", b"13", b"y", None],
    ]  # fmt: skip
    assert texts(done("UPDATE t_order SET note='x', made=made LIMIT 3", rows)) == [
        "ds_0: UPDATE `t_order_0` SET `note` = x'78', `made` = CASE WHEN `order_id` = 11 THEN NULL"
        " WHEN `order_id` = 12 THEN '2026-01-01 00:00:00' END WHERE `order_id` IN (11, 12)",
        "ds_0: UPDATE `t_order_1` SET `note` = x'79', `made` = NULL WHERE `order_id` IN (13)",
    ]


def test_a_row_whose_sharding_key_is_another_one_moves() -> None:
    sql = "UPDATE t_order SET user_id=user_id+1"
    stays = done(sql, [[b"1", b"0", b"11", b"11", b"5", b"a", None, None]])
    assert texts(stays) == ["ds_0: UPDATE `t_order_1` SET `user_id` = 5, `made` = NULL WHERE `order_id` IN (11)"]
    assert not stays.moves
    moved = done(sql, [[b"1", b"0", b"11", b"11", b"6", b"a", None, None]])
    assert texts(moved) == [
        "ds_0: DELETE FROM `t_order_1` WHERE `order_id` IN (11)",
        "ds_1: INSERT INTO `t_order_0` (`order_id`, `user_id`, `note`, `made`, `secret`)"
        " VALUES (11, 6, x'61', NULL, NULL)",
    ]
    assert moved.moves
    write = moved.units[1].write
    assert write is not None
    assert write.insert_rows == (("11", "6", "x'61'", "NULL", "NULL"),)


def test_rows_that_may_exchange_unique_values_are_deleted_first() -> None:
    sql = "UPDATE t_order SET order_id=order_id+1 ORDER BY order_id DESC LIMIT 2"
    rows: Rows = [
        [b"0", b"1", b"11", b"12", b"4", None, None, None], [b"0", b"1", b"12", b"13", b"4", None, None, None]
    ]  # fmt: skip
    assert texts(done(sql, rows)) == [
        "ds_0: DELETE FROM `t_order_0` WHERE `order_id` IN (11, 12)",
        "ds_0: INSERT INTO `t_order_0` (`order_id`, `user_id`, `note`, `made`, `secret`)"
        " VALUES (12, 4, NULL, NULL, NULL), (13, 4, NULL, NULL, NULL)",
    ]


def test_copies_of_a_broadcast_table_get_the_same_values() -> None:
    effects = done("UPDATE country SET code=UUID() WHERE id=3", [[b"0", b"0", b"3", b"ab", b"1767225600"]])
    assert texts(effects) == [
        f"{name}: UPDATE `country` SET `code` = x'6162', `changed` = '2026-01-01 00:00:00' WHERE `id` IN (3)"
        for name in ("ds_0", "ds_1")
    ]


def test_text_keys_are_looked_up_as_their_column_compares() -> None:
    effects = done("UPDATE setting s, t_order o SET s.v=o.user_id WHERE o.note=s.k", [[b"0", b"0", b"\xc3\xa9", b"1"]])
    assert texts(effects) == ["ds_1: UPDATE `setting` SET `v` = 1 WHERE `k` IN (_utf8mb4 x'c3a9' COLLATE utf8mb4_bin)"]


def test_an_insert_fills_a_table_declared_as_the_written_one() -> None:
    _, staging = staged(
        "INSERT INTO t_item (t_item.user_id, id) SELECT order_id, order_id FROM t_order WHERE user_id=5"
    )
    assert staging.federation.sql == (
        "INSERT INTO `dm_target` (`user_id`, `id`) SELECT order_id, order_id"
        " FROM `dm_scratch_0` AS `t_order` WHERE user_id=5"
    )
    [effect] = staging.effects
    assert effect.before == (
        "CREATE TEMPORARY TABLE `dm_target` (`id` bigint NULL, `user_id` bigint NULL DEFAULT (7),"
        " `price` decimal NULL, `dm_row` bigint NOT NULL AUTO_INCREMENT, KEY (dm_row)) ENGINE=InnoDB",
    )


def test_new_rows_go_where_their_stored_keys_say() -> None:
    sql = "REPLACE INTO t_item SELECT order_id, order_id, user_id FROM t_order"
    effects = done(sql, [[b"1", b"6", b"1.50"], [b"2", b"4", None], [b"3", b"6", None]])
    assert texts(effects) == [
        "ds_0: REPLACE INTO `t_item_0` (`id`, `user_id`, `price`) VALUES (2, 4, NULL)",
        "ds_1: REPLACE INTO `t_item_0` (`id`, `user_id`, `price`) VALUES (1, 6, 1.50), (3, 6, NULL)",
    ]
    assert (effects.last_insert_id, effects.given_ids) == (3, True)


def test_missing_keys_are_generated_row_by_row() -> None:
    sql = "INSERT INTO t_log (text) SELECT note FROM t_order"
    effects = done(sql, [[None, b"a"], [None, b"b"]])
    assert texts(effects) == [
        "ds_0: INSERT INTO `t_log_1` (`id`, `text`) VALUES (101, x'61')",
        "ds_1: INSERT INTO `t_log_0` (`id`, `text`) VALUES (102, x'62')",
    ]
    assert (effects.last_insert_id, effects.given_ids) == (101, False)


def test_data_nodes_do_not_count_for_themselves() -> None:
    with pytest.raises(NotSupported, match="each data node would count"):
        done("INSERT INTO t_item (user_id) SELECT user_id FROM t_order", [[None, b"1", None]])


def test_what_follows_the_rows_speaks_of_the_actual_table() -> None:
    sql = "INSERT INTO t_item (id, user_id) SELECT order_id, 1 FROM t_order ON DUPLICATE KEY UPDATE t_item.price=NOW()"
    [unit] = done(sql, [[b"1", b"1", None]]).units
    assert unit.sql == (
        "INSERT INTO `t_item_1` (`id`, `user_id`, `price`) VALUES (1, 1, NULL)"
        " ON DUPLICATE KEY UPDATE `t_item_1`.price=(FROM_UNIXTIME(FLOOR(1767225600.123456)))"
    )


def test_copies_of_a_broadcast_table_get_the_same_rows() -> None:
    bound, _ = staged("INSERT INTO country (id, code) SELECT user_id, 'x' FROM t_order")
    assert bound.affected == "first"
    effects = done("INSERT INTO country (id, code) SELECT user_id, 'x' FROM t_order", [[b"1", b"x", b"1767225600"]])
    assert texts(effects) == [
        f"{name}: INSERT INTO `country` (`id`, `code`, `changed`) VALUES (1, x'78', '2026-01-01 00:00:00')"
        for name in ("ds_0", "ds_1")
    ]
