"""DDL: the same statement on every data node, and what is refused."""

from __future__ import annotations

import pytest

from dbmesh.errors import NotSupported
from dbmesh.plan.model import RouteKind
from dbmesh.rules.model import Grant
from tests.unit.plan.shop import bind, plan, sent


def test_a_sharded_table_is_created_on_every_node() -> None:
    sql = "CREATE TABLE IF NOT EXISTS shop.t_log (id INT DEFAULT 5 COMMENT 'SELECT', KEY (id)) ENGINE=InnoDB;"
    bound = bind(sql)
    assert bound.route_kind is RouteKind.SCATTER
    assert [(u.data_source, u.table) for u in bound.units] == [
        ("ds_0", "t_log_0"), ("ds_0", "t_log_1"), ("ds_1", "t_log_0"), ("ds_1", "t_log_1"),
    ]  # fmt: skip
    assert bound.units[1].sql == (
        "CREATE TABLE IF NOT EXISTS `t_log_1` (id INT DEFAULT 5 COMMENT 'SELECT', KEY (id)) ENGINE=InnoDB"
    )
    made = plan(sql)
    assert made.writes
    assert made.grants == {Grant.DDL}


@pytest.mark.parametrize(
    ("sql", "last"),
    [
        (
            "alter table t_order add column x int, add key (x)",
            "ds_1: alter table `t_order_1` add column x int, add key (x)",
        ),
        ("ALTER TABLE t_order NOWAIT DROP INDEX user_id", "ds_1: ALTER TABLE `t_order_1` NOWAIT DROP INDEX user_id"),
        ("truncate t_order", "ds_1: truncate `t_order_1`"),
        ("CREATE UNIQUE INDEX i ON t_order (note(10))", "ds_1: CREATE UNIQUE INDEX i ON `t_order_1` (note(10))"),
        ("DROP INDEX `on` ON t_order", "ds_1: DROP INDEX `on` ON `t_order_1`"),
        ("DROP TABLE IF EXISTS t_order, t_item CASCADE", "ds_1: DROP TABLE IF EXISTS `t_item_1` CASCADE"),
        ("CREATE TABLE t_order LIKE t_item", "ds_1: CREATE TABLE `t_order_1` LIKE `t_item_1`"),
        (
            "CREATE TABLE t_item (a INT, FOREIGN KEY (a) REFERENCES t_order (a), "
            "FOREIGN KEY (b) REFERENCES t_item (a))",
            "ds_1: CREATE TABLE `t_item_1` (a INT, FOREIGN KEY (a) REFERENCES `t_order_1` (a), "
            "FOREIGN KEY (b) REFERENCES `t_item_1` (a))",
        ),
        (
            "CREATE TABLE t_token (c INT, CONSTRAINT fk FOREIGN KEY (c) REFERENCES country (id))",
            "ds_1: CREATE TABLE `t_token` (c INT, CONSTRAINT fk FOREIGN KEY (c) REFERENCES `country` (id))",
        ),
        ("ALTER TABLE country ADD x INT", "ds_1: ALTER TABLE `country` ADD x INT"),
    ],
)
def test_names_are_replaced_by_those_of_the_node(sql: str, last: str) -> None:
    units = sent(sql)
    assert units[-1] == last
    assert len(units) in (2, 4, 8)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (
            "CREATE TABLE fresh (id INT REFERENCES plain (id))",
            "ds_0: CREATE TABLE `fresh` (id INT REFERENCES `plain` (id))",
        ),
        ("CREATE TABLE fresh AS SELECT * FROM plain p", "ds_0: CREATE TABLE `fresh` AS SELECT * FROM `plain` p"),
        ("RENAME TABLE plain TO b, b TO c", "ds_0: RENAME TABLE `plain` TO `b`, `b` TO `c`"),
        ("ALTER TABLE plain ADD z INT, RENAME TO b", "ds_0: ALTER TABLE `plain` ADD z INT, RENAME TO `b`"),
        ("ALTER TABLE plain RENAME b", "ds_0: ALTER TABLE `plain` RENAME `b`"),
        ("DROP TABLE plain, fresh", "ds_0: DROP TABLE `plain`, `fresh`"),
        ("ALTER TABLE setting MODIFY k INT", "ds_1: ALTER TABLE `setting` MODIFY k INT"),
    ],
)
def test_a_single_table_is_changed_where_it_is(sql: str, expected: str) -> None:
    assert sent(sql) == [expected]


def test_views_and_routines_where_one_data_source_has_the_whole_database() -> None:
    assert sent("CREATE VIEW v AS SELECT 'a' FROM x", database="other") == ["ds_9: CREATE VIEW v AS SELECT 'a' FROM x"]
    for sql in (
        "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DELETE FROM x",
        "CREATE FUNCTION f RETURNS INT SONAME 'x.so'",
    ):
        with pytest.raises(NotSupported):
            plan(sql, database="other")


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("CREATE TABLE t_order (a INT, CONSTRAINT fk FOREIGN KEY (a) REFERENCES country (id))", "would exist twice"),
        ("CREATE TABLE t_order LIKE plain", "is not on data source 'ds_1'"),
        ("CREATE TABLE t_order (a INT REFERENCES t_log (id))", "not sharded alike"),
        ("CREATE TABLE fresh SELECT * FROM t_order", "is not on data source"),
        ("CREATE TABLE t_order SELECT * FROM plain", "several data nodes"),
        ("CREATE TEMPORARY TABLE t_order (a INT)", "temporary table"),
        ("CREATE TEMPORARY TABLE t_order_0 (a INT)", "rows of another table"),
        ("DROP TABLE t_order_0", "rows of another table"),
        ("CREATE TEMPORARY TABLE fresh AS SELECT * FROM t_order", "not on data source"),
        ("DROP TEMPORARY TABLE t_order", "temporary table"),
        ("ALTER TABLE t_order MODIFY COLUMN user_id INT", "sharding key column 'user_id'"),
        ("ALTER TABLE t_order NOWAIT CHANGE `USER_ID` u INT", "sharding key column 'user_id'"),
        ("ALTER TABLE t_order ADD x INT, DROP user_id", "sharding key column 'user_id'"),
        ("ALTER TABLE t_order RENAME COLUMN user_id TO u", "sharding key column 'user_id'"),
        ("ALTER TABLE t_token CONVERT TO CHARACTER SET latin1", "changes how the sharding key compares"),
        ("ALTER TABLE t_order RENAME t_x", "renamed in the rules"),
        ("ALTER TABLE setting RENAME x", "another data source"),
        ("RENAME TABLE t_order TO x", "renamed in the rules"),
        ("ALTER TABLE plain EXCHANGE PARTITION p WITH TABLE x", "EXCHANGE"),
        ("CREATE DATABASE x", "named in the rules"),
        ("CREATE VIEW v AS SELECT 1", "VIEW DDL"),
        ("CREATE SEQUENCE s", "SEQUENCE DDL"),
        ("TRUNCATE t_order; DROP TABLE t_item", "several statements"),
    ],
)
def test_what_cannot_be_right_is_refused(sql: str, why: str) -> None:
    with pytest.raises(NotSupported, match=why):
        bind(sql)


def test_a_table_of_another_database() -> None:
    assert sent("CREATE TABLE other.fresh (a INT)") == ["ds_9: CREATE TABLE `fresh` (a INT)"]


def test_a_temporary_table_belongs_to_the_session_and_needs_no_grant() -> None:
    assert sent("CREATE TEMPORARY TABLE fresh (a INT)") == ["ds_0: CREATE TEMPORARY TABLE `fresh` (a INT)"]
    assert sent("DROP TEMPORARY TABLE fresh") == ["ds_0: DROP TEMPORARY TABLE `fresh`"]
