"""Rows about actual tables become rows about logical ones, in the servers' own SQL."""

from __future__ import annotations

from dbmesh.plan.logical_rows import Share, no_rows, own_rows, rows_about, shipped, text
from dbmesh.plan.table_sums import TableSums
from dbmesh.protocol import ColumnDefinition
from dbmesh.protocol.constants import FieldFlag, FieldType

SHARE = Share("ds_0", "shop_0", "shop", {"item": "item"}, {"item": "item"}, rest=False, home=False)
RENAMED = Share("ds_0", "shop_0", "shop", {"t_0": "t"}, {"t_0": "t", "t_1": "t"}, rest=True, home=True)
EXACT = "CONVERT(TABLE_NAME USING utf8mb4) COLLATE utf8mb4_bin"


def test_names_that_are_the_same_stay_as_they_are() -> None:
    assert rows_about(SHARE, "COLUMNS", ["TABLE_NAME", "EXTRA"], ["TABLE_NAME", "EXTRA"], None) == (
        "SELECT `TABLE_NAME`, `EXTRA` FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = _utf8mb4'shop_0'"
        f" AND ({EXACT} IN (_utf8mb4'item'))"
    ).replace("`TABLE_NAME`,", "TABLE_NAME AS `TABLE_NAME`,")


def test_other_names_are_translated_by_the_server() -> None:
    sql = rows_about(RENAMED, "COLUMNS", ["TABLE_SCHEMA", "TABLE_NAME"], ["TABLE_SCHEMA", "TABLE_NAME"], None)
    assert sql == (
        "SELECT CASE TABLE_SCHEMA WHEN _utf8mb4'shop_0' THEN _utf8mb4'shop' ELSE TABLE_SCHEMA END AS `TABLE_SCHEMA`, "
        f"IFNULL(CASE {EXACT} WHEN _utf8mb4't_0' THEN _utf8mb4't' WHEN _utf8mb4't_1' THEN _utf8mb4't'"
        " ELSE TABLE_NAME END, TABLE_NAME) AS `TABLE_NAME`"
        " FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = _utf8mb4'shop_0'"
        f" AND ({EXACT} IN (_utf8mb4't_0') OR NOT {EXACT} IN (_utf8mb4't_0', _utf8mb4't_1'))"
    )


def test_one_table_that_is_asked_for_is_looked_up_by_its_name() -> None:
    sql = rows_about(SHARE, "STATISTICS", ["INDEX_NAME"], ["TABLE_NAME"], "item") or ""
    assert sql.endswith(f"TABLE_NAME = _utf8mb4'item' AND {EXACT} IN (_utf8mb4'item')")
    assert "NULL AS `INDEX_NAME`" in sql
    assert rows_about(SHARE, "STATISTICS", ["INDEX_NAME"], ["TABLE_NAME"], "other") is None


def test_what_belongs_to_a_database_is_told_once() -> None:
    assert rows_about(SHARE, "ROUTINES", ["ROUTINE_NAME"], ["ROUTINE_NAME"], None) is None
    assert rows_about(RENAMED, "ROUTINES", ["ROUTINE_NAME"], ["ROUTINE_NAME"], None) == (
        "SELECT `ROUTINE_NAME` FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = _utf8mb4'shop_0'"
    )


def test_check_constraints_without_a_table_are_found_by_their_names() -> None:
    sql = rows_about(SHARE, "CHECK_CONSTRAINTS", ["CHECK_CLAUSE"], ["CONSTRAINT_NAME", "CHECK_CLAUSE"], None) or ""
    assert "CONSTRAINT_NAME IN (SELECT CONSTRAINT_NAME FROM information_schema.TABLE_CONSTRAINTS" in sql


def test_rows_from_elsewhere_keep_their_types() -> None:
    columns = [
        ColumnDefinition(b"a", FieldType.VAR_STRING, 45, 64),
        ColumnDefinition(b"b", FieldType.LONGLONG, 63, 21, flags=FieldFlag.UNSIGNED),
        ColumnDefinition(b"c", FieldType.DATETIME, 63, 19),
    ]
    rows = [[b"it's", b"5", b"2020-01-02 03:04:05"], [None, None, None]]
    assert shipped(columns, rows, maria=True) == (
        f"VALUES (_utf8mb4 x'{b'it'.hex()}2773', CAST(5 AS UNSIGNED), CAST('2020-01-02 03:04:05' AS DATETIME)),"
        " (NULL, CAST(NULL AS UNSIGNED), CAST(NULL AS DATETIME))"
    )
    assert shipped(columns[:1], [[b"a"]], maria=False) == "VALUES ROW(_utf8mb4'a')"


def test_a_name_is_safe_under_any_sql_mode() -> None:
    assert text("a b") == "_utf8mb4'a b'"
    assert text("a\\' OR 1") == "_utf8mb4 x'" + b"a\\' OR 1".hex() + "'"
    assert text("é") == "_utf8mb4 x'c3a9'"


def test_what_information_schema_says_of_itself() -> None:
    assert own_rows("TABLES", ["TABLE_NAME"]) == (
        "SELECT `TABLE_NAME` FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'information_schema'"
    )
    assert no_rows("FILES", ["ENGINE"]) == "SELECT `ENGINE` FROM information_schema.FILES WHERE 1 = 0"


def test_sizes_of_nodes_are_summed() -> None:
    asked = ["TABLE_NAME", "AVG_ROW_LENGTH", "AUTO_INCREMENT", "CREATE_TIME", "CHECKSUM", "ENGINE"]
    sums = TableSums("TABLES", asked)
    assert sums.columns(asked) == [*asked, "TABLE_SCHEMA", "TABLE_ROWS", "DATA_LENGTH"]
    rows = [
        [b"t", b"8", b"9", b"2020-01-02", b"7", b"InnoDB", b"shop", b"2", b"16"],
        [b"t", b"0", b"10", b"2020-01-01", b"7", b"InnoDB", b"shop", b"6", b"64"],
        [b"u", None, None, None, None, b"InnoDB", b"shop", b"0", b"0"],
    ]
    assert sums.summed(rows, asked) == [
        [b"t", b"10", b"10", b"2020-01-01", None, b"InnoDB"],
        [b"u", b"0", None, None, None, b"InnoDB"],
    ]
    assert not TableSums("TABLES", ["TABLE_NAME"]).needed
