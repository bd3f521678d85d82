"""SHOW CREATE TABLE of an actual table, told as the logical one's."""

from __future__ import annotations

from dbmesh.plan.created import logical_text, next_number, with_next_number
from dbmesh.plan.logical_rows import Share

NODES = {"t_0": "t", "t_1": "t", "u": "u"}
SHARE = Share("ds_0", "shop_0", "shop", NODES, NODES, rest=False, home=True)
ACTUAL = """CREATE TABLE `t_0` (
  `t_0` int(11) NOT NULL AUTO_INCREMENT COMMENT 'in `t_0`, AUTO_INCREMENT=3',
  CONSTRAINT `t_0_ibfk_1` FOREIGN KEY (`t_0`) REFERENCES `t_1` (`id`),
  CONSTRAINT `t_0x` FOREIGN KEY (`t_0`) REFERENCES `shop_0`.`t_1` (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=7 COMMENT='`shop_0`.`t_0`'"""
LOGICAL = """CREATE TABLE `t` (
  `t_0` int(11) NOT NULL AUTO_INCREMENT COMMENT 'in `t_0`, AUTO_INCREMENT=3',
  CONSTRAINT `t_ibfk_1` FOREIGN KEY (`t_0`) REFERENCES `t` (`id`),
  CONSTRAINT `t_0x` FOREIGN KEY (`t_0`) REFERENCES `shop`.`t` (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=7 COMMENT='`shop_0`.`t_0`'"""


def test_names_of_tables_are_translated_and_nothing_else() -> None:
    assert logical_text(ACTUAL, SHARE) == LOGICAL


def test_a_view_names_its_tables_with_the_logical_database() -> None:
    actual = "CREATE VIEW `shop_0`.`v` AS select `shop_0`.`t_0`.`a` AS `shop_0` from `shop_0`.`t_0`"
    assert logical_text(actual, SHARE) == "CREATE VIEW `shop`.`v` AS select `shop`.`t`.`a` AS `shop_0` from `shop`.`t`"


def test_the_next_number_is_that_of_the_table_option() -> None:
    assert next_number(ACTUAL) == 7
    assert next_number("CREATE TABLE `t` (`a` int AUTO_INCREMENT) ENGINE=InnoDB") is None
    assert with_next_number(ACTUAL, 12) == ACTUAL.replace("INCREMENT=7", "INCREMENT=12")
