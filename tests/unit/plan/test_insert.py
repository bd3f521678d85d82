"""INSERT and REPLACE: rows to their data nodes, generated keys, and what is refused."""

from __future__ import annotations

import pytest

from dbmesh.errors import NoDataNode, NotSupported, UnknownTable
from dbmesh.plan.model import RouteKind, TableName
from tests.unit.plan.shop import OneCall, bind, plan, sent


def test_rows_are_parted_by_sharding_key_and_keep_their_text_and_order() -> None:
    bound = bind("INSERT INTO t_order (order_id, user_id, note) VALUES (5,3,'a'), (6, 2, 'b;'),(7,-1,NULL)")
    assert [unit.sql for unit in bound.units] == [
        "INSERT INTO `t_order_0` (order_id, user_id, note) VALUES (6, 2, 'b;')",
        "INSERT INTO `t_order_1` (order_id, user_id, note) VALUES (5,3,'a'), (7,-1,NULL)",
    ]
    assert bound.route_kind is RouteKind.MULTI
    assert bound.last_insert_id is None
    assert bound.affected == "sum"


def test_rows_of_returning_come_back_in_the_order_of_values() -> None:
    bound = bind("INSERT INTO t_order (order_id,user_id) VALUES (5,3),(6,2),(7,-1) RETURNING order_id")
    assert [unit.sql for unit in bound.units] == [
        "INSERT INTO `t_order_0` (order_id,user_id) VALUES (6,2) RETURNING order_id",
        "INSERT INTO `t_order_1` (order_id,user_id) VALUES (5,3), (7,-1) RETURNING order_id",
    ]
    assert bound.returned == (1, 0, 1)
    assert bind("INSERT INTO t_order (order_id,user_id) VALUES (5,3),(7,-1) RETURNING order_id").returned == ()


def test_rows_for_one_node_stay_the_clients_text() -> None:
    sql = "insert  into t_order(order_id,user_id) values /* first */ (1,3) , (2,7) ; "
    assert sent(sql) == ["ds_1: insert  into `t_order_1`(order_id,user_id) values /* first */ (1,3) , (2,7)"]


def test_percent_signs_and_backslashes_survive() -> None:
    sql = r"INSERT INTO t_order (order_id,user_id,note) VALUES (1,3,'100%s\'%%'),(2,2,'%d')"
    assert sent(sql) == [
        "ds_1: INSERT INTO `t_order_0` (order_id,user_id,note) VALUES (2,2,'%d')",
        r"ds_1: INSERT INTO `t_order_1` (order_id,user_id,note) VALUES (1,3,'100%s\'%%')",
    ]


def test_one_row_is_relayed() -> None:
    made = plan("INSERT INTO t_log (id,text) VALUES (3,'a')")
    assert made.relay(("6", "'b'")) == ("ds_1", "INSERT INTO `t_log_0` (id,text) VALUES (6,'b')")
    assert made.relay(("0", "'b'")) is None
    assert made.writes
    assert made.tables == (TableName("shop", "t_log"),)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("INSERT INTO t_order (user_id) VALUES (3)", "INSERT INTO `t_order_1` (user_id, `order_id`) VALUES (3, 101)"),
        ("INSERT INTO t_order VALUES (NULL,3,'a',now())", "INSERT INTO `t_order_1` VALUES (101,3,'a',now())"),
        ("REPLACE t_order SET user_id = 3", "REPLACE `t_order_1` SET user_id = 3, `order_id` = 101"),
        (
            "INSERT INTO t_order (order_id,user_id) VALUES (DEFAULT,3)",
            "INSERT INTO `t_order_1` (order_id,user_id) VALUES (101,3)",
        ),
        (
            "INSERT INTO t_order (order_id,user_id) VALUES (0,3)",
            "INSERT INTO `t_order_1` (order_id,user_id) VALUES (101,3)",
        ),
        ("INSERT t_order SET order_id='0',user_id=3", "INSERT `t_order_1` SET order_id=101,user_id=3"),
        ("INSERT INTO t_log () VALUES ()", "INSERT INTO `t_log_1` (`id`) VALUES (101)"),
    ],
)
def test_a_missing_key_is_generated(sql: str, expected: str) -> None:
    bound = bind(sql)
    assert [unit.sql for unit in bound.units] == [expected]
    assert bound.last_insert_id == 101


def test_the_first_generated_key_is_the_last_insert_id() -> None:
    bound = bind("INSERT INTO t_order (order_id,user_id) VALUES (9,3),(NULL,2),(NULL,3)")
    assert bound.last_insert_id == 101
    assert [unit.sql for unit in bound.units] == [
        "INSERT INTO `t_order_0` (order_id,user_id) VALUES (101,2)",
        "INSERT INTO `t_order_1` (order_id,user_id) VALUES (9,3), (102,3)",
    ]


def test_zero_is_a_value_under_no_auto_value_on_zero() -> None:
    sql = "INSERT INTO t_order (order_id,user_id) VALUES (0,3)"
    assert sent(sql, OneCall(zero_asks=False)) == ["ds_1: INSERT INTO `t_order_1` (order_id,user_id) VALUES (0,3)"]


def test_a_generated_sharding_key_decides_the_node() -> None:
    assert sent("INSERT INTO t_log (text) VALUES ('a'),('b')") == [
        "ds_0: INSERT INTO `t_log_1` (text, `id`) VALUES ('a', 101)",
        "ds_1: INSERT INTO `t_log_0` (text, `id`) VALUES ('b', 102)",
    ]


def test_a_generated_uuid_is_a_string_and_no_last_insert_id() -> None:
    bound = bind("INSERT INTO t_token (n) VALUES (1)")
    assert bound.units[0].sql == "INSERT INTO `t_token` (n, `token`) VALUES (1, 'key-101')"
    assert bound.last_insert_id is None


def test_where_the_servers_can_tell_whether_a_generated_key_was_used_they_do() -> None:
    assert bind("INSERT IGNORE INTO t_order (user_id) VALUES (3)").last_insert_id is None
    assert bind("INSERT INTO t_order (user_id) VALUES (3) ON DUPLICATE KEY UPDATE note='x'").last_insert_id is None
    staging = bind("INSERT INTO t_log (text) VALUES ('a') ON DUPLICATE KEY UPDATE text='b'").staging
    assert staging is not None
    with pytest.raises(NotSupported, match="whose keys are generated"):
        staging.effects[0].effects([[None, b"a"]])


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t_order (order_id,user_id) VALUES (1,1+1)",
        "INSERT INTO t_order (order_id,user_id) VALUES (uuid_short(),1)",
        "INSERT INTO country (id,code,changed) VALUES (1,uuid(),now())",
        "INSERT INTO t_order (order_id,user_id,note) VALUES (1,2,(SELECT MAX(code) FROM country)),(2,3,'x')",
    ],
)
def test_values_that_only_a_server_can_tell_are_staged(sql: str) -> None:
    assert bind(sql).staging is not None
    with pytest.raises(NotSupported):
        bind(sql, offline=True)


def test_a_subquery_among_the_values_of_one_data_node_is_its_own() -> None:
    assert sent("INSERT INTO setting VALUES ('a',(SELECT 1))") == [
        "ds_1: INSERT INTO `setting` VALUES ('a',(SELECT 1))"
    ]


def test_ids_that_the_client_gives_are_not_the_last_insert_id() -> None:
    assert bind("INSERT INTO plain (id) VALUES (5)").given_ids
    assert not bind("INSERT INTO plain (id) VALUES (5),(NULL)").given_ids
    assert not bind("INSERT INTO plain (v) VALUES (5)").given_ids
    assert not bind("INSERT INTO plain (id) VALUES (1+1)").given_ids
    assert not bind("INSERT INTO plain (id) VALUES (1) ON DUPLICATE KEY UPDATE id=LAST_INSERT_ID(id)").given_ids
    assert bind("INSERT INTO t_order (order_id,user_id) VALUES (1,3)").given_ids
    assert bind("INSERT INTO plain (id) SELECT 5").unsure_ids


def test_an_omitted_sharding_key_is_its_default() -> None:
    assert sent("INSERT INTO t_item (id) VALUES (1)") == ["ds_1: INSERT INTO `t_item_1` (id) VALUES (1)"]
    assert sent("INSERT INTO t_item (id,user_id) VALUES (1,DEFAULT)")[0].startswith("ds_1: INSERT INTO `t_item_1`")
    assert sent("INSERT INTO t_order (order_id) VALUES (1)")[0].startswith("ds_0: INSERT INTO `t_order_0`")


def test_a_key_of_two_columns() -> None:
    assert [(u.data_source, u.table) for u in bind("INSERT INTO t_pair VALUES (1,2,3),(2,3,4),(1,4,5)").units] == [
        ("ds_0", "t_pair_1"),
        ("ds_1", "t_pair_0"),
    ]


def test_the_stored_value_decides_not_the_written_one() -> None:
    assert sent("INSERT INTO t_order (order_id,user_id) VALUES (1,2.5)")[0].startswith("ds_1: INSERT INTO `t_order_1`")
    assert sent("INSERT INTO t_order (order_id,user_id) VALUES (1,' 3')")[0].startswith("ds_1: INSERT INTO `t_order_1`")


def test_a_write_describes_itself_for_a_saga() -> None:
    write = bind("INSERT INTO t_order (user_id, note) VALUES (3, concat('a', 'b')), (7, -1)").units[0].write
    assert write is not None
    assert (write.op, write.table, write.source) == ("I", "t_order_1", "`t_order_1`")
    assert write.insert_columns == ("user_id", "note", "order_id")
    assert write.insert_rows == (("3", "concat('a', 'b')", "101"), ("7", "-1", "102"))
    assert write.head == bind("INSERT INTO t_order (user_id, note) VALUES (3, concat('a', 'b')), (7, -1)").units[0].sql
    flags = bind("INSERT IGNORE INTO t_order (order_id,user_id) VALUES (1,3)").units[0].write
    assert flags is not None
    assert flags.ignore


def test_several_rows_have_one_instant() -> None:
    units = bind("INSERT INTO t_order (order_id,user_id,made) VALUES (1,2,now()),(2,3,now())").units
    assert len(units) == 2
    assert all("1767225600" in unit.sql for unit in units)


def test_session_functions_are_answered_by_the_session() -> None:
    assert sent("INSERT INTO setting VALUES (DATABASE(), LAST_INSERT_ID())") == [
        "ds_1: INSERT INTO `setting` VALUES ('shop', (42|0))"
    ]


def test_the_idiom_of_last_insert_id_with_an_argument_is_passed_on_to_one_node() -> None:
    sql = "INSERT INTO plain (id) VALUES (1) ON DUPLICATE KEY UPDATE id=LAST_INSERT_ID(id)"
    assert sent(sql) == ["ds_0: " + sql.replace("plain", "`plain`")]


def test_a_broadcast_table_is_written_everywhere_and_counted_once() -> None:
    bound = bind("INSERT INTO country (id,code,changed) VALUES (1,'de','2026-01-01')")
    assert bound.route_kind is RouteKind.BROADCAST
    assert bound.affected == "first"
    assert [unit.data_source for unit in bound.units] == ["ds_0", "ds_1"]


def test_copies_of_a_broadcast_table_get_one_instant_for_a_default() -> None:
    first, second = bind("INSERT INTO country (id,code) VALUES (1,'de')").units
    assert first.sql == second.sql
    assert "(id,code, `changed`) VALUES (1,'de', (FROM_UNIXTIME(FLOOR(1767225600.123456))))" in first.sql


def test_qualified_columns_get_the_actual_table() -> None:
    sql = "INSERT shop.t_order (t_order.order_id, user_id) VALUES (1,3) ON DUPLICATE KEY UPDATE shop.t_order.note='x'"
    assert sent(sql) == [
        "ds_1: INSERT `t_order_1` (`t_order_1`.order_id, user_id) VALUES (1,3) "
        "ON DUPLICATE KEY UPDATE `t_order_1`.note='x'"
    ]


def test_a_wrong_number_of_values_is_left_to_a_servers_own_error() -> None:
    assert sent("INSERT INTO t_order (user_id) VALUES (3),(1,2)") == [
        "ds_0: INSERT INTO `t_order_0` (user_id) VALUES (3),(1,2)"
    ]


def test_the_sharding_key_may_be_assigned_its_own_value_on_duplicate() -> None:
    for value in ("VALUES(user_id)", "user_id", "t_order.user_id"):
        sql = f"INSERT INTO t_order (order_id,user_id) VALUES (1,3) ON DUPLICATE KEY UPDATE user_id={value}"
        assert len(sent(sql)) == 1
    assert len(
        sent("INSERT INTO t_order (order_id,user_id) VALUES (1,3) AS n ON DUPLICATE KEY UPDATE user_id=n.user_id")
    )


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("INSERT INTO t_order (order_id,user_id) VALUES (1,1) ON DUPLICATE KEY UPDATE user_id=2", "ON DUPLICATE KEY"),
        ("INSERT INTO t_pair VALUES (1,1,1) ON DUPLICATE KEY UPDATE a=VALUES(a)", "ON DUPLICATE KEY"),
        ("INSERT INTO t_item (user_id) VALUES (1)", "each data node would count"),
        ("INSERT INTO t_item (id,user_id) VALUES (NULL,1)", "each data node would count"),
        ("INSERT INTO country (code) VALUES ('de')", "each copy would count alone"),
        ("INSERT INTO country (id,code) VALUES (0,'de')", "each copy would count"),
        ("INSERT INTO country (id,code,changed) VALUES (1,f(),now())", "a stored function"),
        ("INSERT INTO country VALUES (1,'de','2026-01-01') RETURNING id", "RETURNING"),
        ("INSERT IGNORE INTO t_order (order_id,user_id) VALUES (1,1),(2,2) RETURNING order_id", "RETURNING"),
        ("REPLACE INTO t_order (order_id,user_id) VALUES (1,1),(2,2) RETURNING order_id", "RETURNING"),
        ("INSERT INTO t_order (order_id,user_id) VALUES (1,1),(2,2) RETURNING f(order_id)", "a stored function"),
        ("INSERT INTO t_order (order_id,user_id,note) VALUES (1,1,f()),(2,2,f())", "a stored function"),
        ("INSERT INTO t_token VALUES ('ü',1),('\udce4',2)", "printable ASCII"),
        ("INSERT INTO t_day VALUES ('2026-02-30',1)", "write 'YYYY-MM-DD'"),
        ("INSERT INTO setting VALUES ('a',1); DELETE FROM setting", "several statements"),
        ("INSERT INTO setting VALUES (get_lock('a',1),1)", "GET_LOCK"),
    ],
)
def test_what_cannot_be_right_is_refused(sql: str, why: str) -> None:
    with pytest.raises(NotSupported, match=why):
        bind(sql)


def test_offline_a_list_of_columns_is_needed() -> None:
    assert sent("INSERT INTO t_order (order_id,user_id) VALUES (1,3)", offline=True)[0].startswith("ds_1")
    with pytest.raises(NotSupported, match="name the columns"):
        plan("INSERT INTO t_order VALUES (1,3)", offline=True)


def test_unknown_table_and_unplaceable_key() -> None:
    with pytest.raises(UnknownTable):
        plan("INSERT INTO nosuch VALUES (1)")
    with pytest.raises(NoDataNode):
        bind("INSERT INTO t_order (order_id,user_id) VALUES (1,'x')", offline=True)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (
            "INSERT INTO t_item (id,user_id) SELECT order_id,user_id FROM t_order t WHERE user_id=5",
            "ds_0: INSERT INTO `t_item_1` (id,user_id) SELECT order_id,user_id FROM `t_order_1` t WHERE user_id=5",
        ),
        (
            "INSERT INTO t_item (id,user_id) SELECT order_id,8 FROM t_order WHERE user_id=5",
            "ds_0: INSERT INTO `t_item_0` (id,user_id) SELECT order_id,8 FROM `t_order_1` AS `t_order` WHERE user_id=5",
        ),
        ("INSERT INTO plain (v) SELECT v+1 FROM plain p", "ds_0: INSERT INTO `plain` (v) SELECT v+1 FROM `plain` p"),
        (
            "INSERT INTO setting SELECT code, id FROM country c ON DUPLICATE KEY UPDATE setting.v=1",
            "ds_1: INSERT INTO `setting` SELECT code, id FROM `country` c ON DUPLICATE KEY UPDATE `setting`.v=1",
        ),
    ],
)
def test_insert_select_runs_where_all_of_it_is(sql: str, expected: str) -> None:
    assert sent(sql) == [expected]


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("INSERT INTO t_item (id,user_id) SELECT order_id,user_id FROM t_order", "several data nodes"),
        ("INSERT INTO t_item (id,user_id) SELECT order_id,6 FROM t_order WHERE user_id=5", "several data nodes"),
        ("INSERT INTO t_item (id,user_id) SELECT order_id,order_id FROM t_order WHERE user_id=5", "several data nodes"),
        ("INSERT INTO t_order (user_id) SELECT user_id FROM t_item WHERE user_id=5", "generated keys"),
        ("INSERT INTO setting SELECT 'a', v FROM plain", "different data sources"),
        ("INSERT INTO country SELECT * FROM country", "into a broadcast table"),
    ],
)
def test_insert_select_over_several_nodes_is_staged_or_refused_without_a_server(sql: str, why: str) -> None:
    with pytest.raises(NotSupported, match=why):
        bind(sql, offline=True)
    assert bind(sql).staging is not None


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("INSERT INTO t_item (id,user_id) SELECT order_id,user_id FROM t_order RETURNING id", "RETURNING"),
        ("INSERT INTO t_item (id,user_id) SELECT LAST_INSERT_ID(order_id),user_id FROM t_order", "LAST_INSERT_ID"),
        ("INSERT INTO t_item PARTITION (p) (id,user_id) SELECT order_id,user_id FROM t_order", "PARTITION"),
        ("INSERT INTO t_item (id,user_id) SELECT f(order_id),user_id FROM t_order", "stored function"),
        (
            "INSERT INTO t_item (id,user_id) SELECT o.order_id,1 FROM t_order o ON DUPLICATE KEY UPDATE price=o.note",
            "with 'o', which the data nodes do not have",
        ),
    ],
)
def test_insert_select_that_no_server_could_do_for_all_is_refused(sql: str, why: str) -> None:
    with pytest.raises(NotSupported, match=why):
        bind(sql)


def test_a_thousand_rows_bind_in_one_pass() -> None:
    rows = ",".join(f"({number},{number},'n{number}')" for number in range(1, 1001))
    bound = bind(f"INSERT INTO t_order (order_id,user_id,note) VALUES {rows}")
    assert sum(unit.sql.count("'n") for unit in bound.units) == 1000
    assert bound.route_kind is RouteKind.SCATTER
