from __future__ import annotations

import pathlib

from dbmesh.rules import loader
from dbmesh.rules.difference import difference
from dbmesh.rules.model import MeshRules
from dbmesh.rules.summary import HEADINGS, overview, table_rows

RULES = pathlib.Path(__file__).parents[3] / "sharding-rules"


def changed(directory: pathlib.Path, *changes: tuple[str, str, str]) -> MeshRules:
    """The demo's rules with pieces of text replaced: (file, old, new)."""
    for name in ("mesh.yaml", "shop.yaml"):
        text = (RULES / name).read_text(encoding="utf-8")
        for file, old, new in changes:
            if file == name:
                assert old in text
                text = text.replace(old, new)
        (directory / name).write_text(text, encoding="utf-8")
    return loader.load(directory, {})


def test_same_rules_do_not_differ(tmp_path: pathlib.Path) -> None:
    assert difference(loader.load(RULES, {}), changed(tmp_path)) == []


def test_every_change_has_its_line(tmp_path: pathlib.Path) -> None:
    new = changed(
        tmp_path,
        ("mesh.yaml", "  size: 16", "  size: 8"),
        ("mesh.yaml", "deadline: 60", "deadline: 30"),
        ("mesh.yaml", "DBMESH_SHOP_PASSWORD:-shop", "DBMESH_SHOP_PASSWORD:-new"),
        ("mesh.yaml", "  report:", "  reader:"),
        ("mesh.yaml", "[ddl, admin, mesh_schema]", "[ddl]"),
        ("shop.yaml", "{column: email, algorithm: hash_mod}", "{column: id, algorithm: mod}"),
        ("shop.yaml", "default_data_source: ds_0", "default_data_source: ds_1"),
        ("shop.yaml", "  region: {}", "  country: {base: true}"),
    )
    assert difference(loader.load(RULES, {}), new) == [
        "~ mesh pools: size 16 → 8",
        "~ mesh transaction: deadline 60.0 → 30.0",
        "~ user admin: grants [admin, ddl, mesh_schema] → [ddl]",
        "+ user reader",
        "- user report",
        "~ user shop: password changed",
        *(f"~ data source ds_{at} pool: size 16 → 8" for at in range(4)),
        "~ database shop: default_data_source ds_0 → ds_1",
        "+ table shop.country: broadcast to ds_0.country, ds_1.country, ds_2.country, ds_3.country, base",
        "~ table shop.customer: sharded over ds_0.customer, ds_1.customer, ds_2.customer, ds_3.customer, "
        "hash_mod(4) by email → sharded over ds_0.customer, ds_1.customer, ds_2.customer, ds_3.customer, mod(4) by id",
        "- table shop.region",
    ]


def test_changed_backend_password_does_not_show(tmp_path: pathlib.Path) -> None:
    new = changed(tmp_path, ("shop.yaml", "DBMESH_SERVER_B_PASSWORD:-dbmesh", "DBMESH_SERVER_B_PASSWORD:-hush"))
    assert difference(loader.load(RULES, {}), new) == [
        "~ data source ds_2: password changed",
        "~ data source ds_3: password changed",
    ]


def test_database_that_comes_or_goes(tmp_path: pathlib.Path) -> None:
    rules = loader.load(RULES, {})
    (tmp_path / "crm.yaml").write_text("database: crm\ndata_sources: {crm_0: {host: a, schema: s, user: u}}\n")
    more = changed(tmp_path)
    assert difference(rules, more) == ["+ data source crm_0", "+ database crm"]
    assert difference(more, rules) == ["- data source crm_0", "- database crm"]


def test_rows_and_overview_describe_the_demo() -> None:
    rules = loader.load(RULES, {})
    rows = table_rows(rules)
    assert {len(row) for row in rows} == {len(HEADINGS)}
    order = next(row for row in rows if row[1] == "t_order")
    assert order[2:] == (
        "sharded",
        "mod(8) by user_id",
        "order_id (snowflake)",
        "no",
        "8 data nodes ds_0.t_order_0 … ds_3.t_order_1",
    )
    assert "database shop: 6 tables, bound t_order = t_order_item" in overview(rules)
