"""What a real server says of its tables becomes schema values."""

from __future__ import annotations

import pytest

from dbmesh.backend.catalog import ServerCatalog
from dbmesh.backend.cluster import Cluster
from dbmesh.backend.session_state import DEFAULT_STATE
from dbmesh.errors import UnknownTable
from dbmesh.rules.model import MeshRules
from dbmesh.sandbox import Server
from dbmesh.schema import Column, Index

TABLE = """
CREATE TABLE {name} (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  code CHAR(8) CHARACTER SET latin1 NOT NULL DEFAULT 'it''s',
  name VARCHAR(40) COLLATE utf8mb4_bin,
  raw VARBINARY(16),
  price DECIMAL(10,2) UNSIGNED,
  made DATETIME(3) DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  total DECIMAL(12,2) AS (price * 2) STORED,
  hidden INT INVISIBLE DEFAULT 7,
  kind ENUM('a','b'),
  UNIQUE KEY u_code (code, name), KEY k (price)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci
"""


@pytest.fixture
def catalog(cluster: Cluster) -> ServerCatalog:
    return ServerCatalog(cluster, MeshRules((), {}, {}, cluster.sources))


@pytest.fixture(scope="module")
def tables(server: Server, schema: str) -> None:
    server.script(
        [
            TABLE.format(name="goods"),
            "CREATE TABLE child (id INT PRIMARY KEY, g BIGINT UNSIGNED, "
            "CONSTRAINT fk_g FOREIGN KEY (g) REFERENCES goods (id) ON DELETE CASCADE)",
            "CREATE TRIGGER t_ins BEFORE INSERT ON goods FOR EACH ROW SET NEW.hidden = 1",
            "CREATE TABLE plain (a INT)",
            "CREATE TABLE `it's \\ ``näme` (a INT) ENGINE=Aria",
        ],
        schema,
    )


@pytest.mark.usefixtures("tables")
async def test_a_table_with_everything(catalog: ServerCatalog) -> None:
    table = await catalog.table("ds_0", "goods")
    assert table is not None
    found = {column.name: column for column in table.columns}
    assert found["id"] == Column("id", "bigint", "bigint(20) unsigned", True, False, None, 20, 0, auto_increment=True)
    assert found["code"] == Column(
        "code", "char", "char(8)", False, False, 8, None, None, "latin1", "latin1_swedish_ci", b" ", default="'it''s'"
    )
    assert found["name"].collation == "utf8mb4_bin"
    assert found["name"].pad == bytes.fromhex("000020")
    assert (found["raw"].type, found["raw"].length, found["raw"].charset) == ("varbinary", 16, None)
    assert (found["price"].precision, found["price"].scale, found["price"].unsigned) == (10, 2, True)
    assert (found["made"].type, found["made"].scale, found["made"].on_update) == ("datetime", 3, True)
    assert found["total"].generated
    assert (found["hidden"].invisible, found["hidden"].default) == (True, "7")
    assert found["kind"].column_type == "enum('a','b')"
    assert table.primary_key == ("id",)
    assert table.unique == (Index("PRIMARY", ("id",)), Index("u_code", ("code", "name")))
    assert (table.engine, table.triggers, table.cascades) == ("InnoDB", ("t_ins",), ("fk_g",))


@pytest.mark.usefixtures("tables")
async def test_a_name_with_quotes_and_backslashes(catalog: ServerCatalog) -> None:
    table = await catalog.table("ds_0", "it's \\ `näme")
    assert table is not None
    assert (table.engine, table.primary_key, table.unique) == ("Aria", (), ())


async def test_a_missing_table_is_error_1146_each_time(catalog: ServerCatalog) -> None:
    for _ in range(2):
        with pytest.raises(UnknownTable, match=r"backend_tests\.nothing"):
            await catalog.table("ds_0", "nothing")


async def test_a_table_is_asked_for_once_until_it_is_invalidated(
    catalog: ServerCatalog, server: Server, schema: str
) -> None:
    server.script(["CREATE TABLE changing (a INT)"], schema)
    before = await catalog.table("ds_0", "changing")
    server.script(["ALTER TABLE changing ADD b INT"], schema)
    assert await catalog.table("ds_0", "changing") is before
    catalog.invalidate("ds_0", "changing")
    after = await catalog.table("ds_0", "changing")
    assert after is not None
    assert [column.name for column in after.columns] == ["a", "b"]


@pytest.mark.usefixtures("tables")
async def test_the_items_of_a_select_have_their_true_types_and_collations(catalog: ServerCatalog) -> None:
    sql = (
        "SELECT id, code, name, raw, price, made, kind, COUNT(*), SUM(price), 'x', X'41', 1.5e0, NULL, "
        "CONCAT(name, 'x') COLLATE utf8mb4_nopad_bin, REPEAT('x', 300), TIME'10:00:00.25' "
        "FROM goods GROUP BY id LIMIT 0"
    )
    described = await catalog.describe("ds_0", sql, DEFAULT_STATE.for_types())
    assert described is not None
    assert [c.type for c in described] == [
        "bigint", "char", "varchar", "varbinary", "decimal", "datetime", "enum", "bigint", "decimal", "varchar",
        "varbinary", "double", "null", "varchar", "varchar", "time",
    ]  # fmt: skip
    assert [c.collation for c in described] == [
        None, "latin1_swedish_ci", "utf8mb4_bin", None, None, None, "utf8mb4_general_ci", None, None,
        "utf8mb4_general_ci", None, None, None, "utf8mb4_nopad_bin", "utf8mb4_general_ci", None,
    ]  # fmt: skip
    assert (described[0].unsigned, described[4].precision, described[4].scale, described[4].unsigned) == (
        True,
        10,
        2,
        True,
    )
    assert (described[1].length, described[1].pad, described[2].length) == (8, b" ", 40)
    assert (described[5].scale, described[15].scale) == (3, 2)
    assert described[13].pad is None


@pytest.mark.parametrize("name", ["utf8mb4_uca1400_as_ci", "utf8mb4_uca1400_nopad_ai_ci", "utf8mb4_unicode_ci"])
async def test_collations_that_the_wire_does_not_tell_apart(catalog: ServerCatalog, name: str) -> None:
    sql = f"WITH a AS (SELECT _utf8mb4'x' COLLATE {name} x, 1 y) SELECT x, y, CONCAT(x, x) FROM a LIMIT 0"
    described = await catalog.describe("ds_0", sql, DEFAULT_STATE.for_types())
    assert [column.collation for column in described] == [name, None, name]


async def test_types_follow_the_settings(catalog: ServerCatalog) -> None:
    state = DEFAULT_STATE.with_variables({"div_precision_increment": "8"})
    for asked, scale in ((DEFAULT_STATE, 4), (state, 8)):
        described = await catalog.under(asked).describe("ds_0", "SELECT 1 / 3 LIMIT 0")
        assert described is not None
        assert described[0].scale == scale
