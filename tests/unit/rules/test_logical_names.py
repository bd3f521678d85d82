"""Servers speak of schemas and actual tables; clients are told of logical databases and tables."""

from __future__ import annotations

import pathlib

import pytest

from dbmesh.rules.loader import load
from dbmesh.rules.logical_names import LogicalNames
from dbmesh.rules.model import DataNode

SHOP = """
database: shop
data_sources:
  ds_0: {host: h, user: u, schema: shop_0}
  ds_1: {host: h, user: u, schema: shop_1}
tables:
  t_order:
    data_nodes: ds_{0..1}.t_order_{0..11}
    sharding: {column: id, algorithm: mod}
single_tables:
  diary: {data_source: ds_1}
default_data_source: ds_0
"""


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> LogicalNames:
    folder: pathlib.Path = tmp_path_factory.mktemp("rules")
    (folder / "mesh.yaml").write_text("users:\n  app: {password: secret, databases: [shop]}\n")
    (folder / "shop.yaml").write_text(SHOP)
    return LogicalNames(load(folder, {}))


@pytest.mark.parametrize(
    ("errno", "sent", "shown"),
    [
        (1146, "Table 'shop_0.nosuch' doesn't exist", "Table 'shop.nosuch' doesn't exist"),
        (1146, "Table 'shop_0.t_order_11' doesn't exist", "Table 'shop.t_order' doesn't exist"),
        (1050, "Table 't_order_1' already exists", "Table 't_order' already exists"),
        (1062, "Duplicate entry '5' for key 't_order_0.PRIMARY'", "Duplicate entry '5' for key 't_order.PRIMARY'"),
        (1062, "Duplicate entry 't_order_0' for key 'k'", "Duplicate entry 't_order_0' for key 'k'"),
        (1062, "Duplicate entry '' for key 't_order_0'", "Duplicate entry '' for key 't_order'"),
        (1292, "Truncated incorrect DOUBLE value: 'shop_0'", "Truncated incorrect DOUBLE value: 'shop_0'"),
        (
            1366,
            "Incorrect integer value: 'shop_0.t_order_1' for column `shop_0`.`t_order_1`.`n` at row 1",
            "Incorrect integer value: 'shop_0.t_order_1' for column `shop`.`t_order`.`n` at row 1",
        ),
        (
            1452,
            "a foreign key constraint fails (`shop_0`.`t_order_2`, CONSTRAINT `c` FOREIGN KEY (`a`) "
            "REFERENCES `t_order_10` (`id`))",
            "a foreign key constraint fails (`shop`.`t_order`, CONSTRAINT `c` FOREIGN KEY (`a`) "
            "REFERENCES `t_order` (`id`))",
        ),
        (1690, "value is out of range in '`shop_0`.`o`.`n` - 99'", "value is out of range in '`shop`.`o`.`n` - 99'"),
        (1305, "FUNCTION shop_0.f does not exist", "FUNCTION shop.f does not exist"),
        (1064, "near '`t_order_3` AS `t_order` WHERE 1' at line 1", "near 't_order WHERE 1' at line 1"),
        (
            1054,
            "Unknown column 'shop_00.t_order_100.x' in 'WHERE'",
            "Unknown column 'shop_00.t_order_100.x' in 'WHERE'",
        ),
        (1265, "Data truncated for column 'shop_0_name'", "Data truncated for column 'shop_0_name'"),
    ],
)
def test_a_message(names: LogicalNames, errno: int, sent: str, shown: str) -> None:
    assert names.message("ds_0", errno, sent) == shown


def test_another_data_sources_schema_is_not_ours(names: LogicalNames) -> None:
    assert names.message("ds_1", 1146, "Table 'shop_0.x' doesn't exist") == "Table 'shop_0.x' doesn't exist"
    assert names.message("nosuch", 1146, "Table 'shop_0.x' doesn't exist") == "Table 'shop_0.x' doesn't exist"


def test_a_node(names: LogicalNames) -> None:
    assert names.table(DataNode("ds_1", "t_order_4"), "?") == ("shop", "t_order")
    assert names.table(DataNode("ds_1", "other"), "?") == ("shop", "other")
    assert names.table(DataNode("nosuch", "other"), "schema") == ("schema", "other")
