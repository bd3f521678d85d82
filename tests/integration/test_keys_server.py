"""Sharding keys against a real server: a row that the server finds is never where the mesh does not look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import pymysql
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbmesh.errors import NotSupported
from dbmesh.route.keys import NOTHING, UNKNOWN, key_bound, key_value, stored_value
from dbmesh.sandbox import Server
from dbmesh.schema import Column
from tests.flavour import MYSQL

NUMBERS = [
    "0", "1", "5", "-5", "-0", "007", "127", "128", "300", "-129", "65536", "9007199254740991", "9007199254740992",
    "9007199254740993", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
    "-9223372036854775809", "18446744073709551615", "18446744073709551616", "99999999999999999999999999", "5.0",
    "5.5", "-5.5", "2.5", "-2.5", "5.49", "0.004", "-0.4", ".5", "5.", "9007199254740993.0", "123456789012345678.5",
    "999.995", "1e0", "1.5e0", "2.5e0", "-2.5e0", "5e-1", "1e2", "1E+2", "1e20", "-1e20", "9007199254740993e0",
    "1e17", "1.8446744073709551615e19", "1e300", "0x35", "0x3539", "0x6162", "0xFFFFFFFFFFFFFFFF", "x'35'",
    "X'6162'", "x'61620000'", "x'6120'", "b'101'", "0b101", "TRUE", "false", "NULL", "20260105", "20260105100000",
    "20260230", "260105", "2026", "26", "1900", "2156",
]  # fmt: skip
STRINGS = [
    "'5'", "'05'", "' 5'", "'5 '", "'5abc'", "''", "'abc'", "'5.5'", "'2.5'", "'-2.5'", "'-5'", "'+5'", "'5.0'",
    "'1e2'", "'5e-1'", "'1e400'", "'0x35'", "'.5e1'", "'5e'", "'1.e1'", "'\\t5'", "'9007199254740993'",
    "'9007199254740993e0'", "'9223372036854775808'", "'18446744073709551615'", "'Ab'", "'aB'", "'ab'", "'ab  '",
    "' ab'", '"ab"', "N'AB'", "'a\\0b'", "'a\\tb'", "'a\\%b'", "'a\\_b'", "'it''s'", "'it\\'s'", "\"it's\"",
    "'a\\\\b'", "'a\\\\\\'b'", "'a\\qb'", "'-'", "'a-b'", "'a_b'", "'a\\Zb'", "'~'", "'abcdefgh'", "'abcdefgh  '",
    "'abcde   '", "'5 x'", "'é'", "'e'", "'É'", "'ß'", "'ss'", "'2026-01-05'", "'2026-1-5'", "'20260105'",
    "'2026-01-05 10:00:00'", "'2026-01-05T10:00'", "'2026-01-05 00:00:00'", "'2026-01-05 23:59:59.9'",
    "'2026-01-05 23:59:59.96'", "'2026-01-05 10:00:00.500000'", "'20260105100000'", "'26-01-05'", "'2026/01/05'",
    "'2026-02-30'", "'0000-00-00'", "'2026-00-00'", "'2026-01-05x'", "' 2026-01-05'", "'2026'", "'26'",
    "'9999-12-31 23:59:59.9'",
]  # fmt: skip
COLUMNS = {
    "tinyint": "TINYINT",
    "tinyint_unsigned": "TINYINT UNSIGNED",
    "smallint": "SMALLINT",
    "mediumint": "MEDIUMINT UNSIGNED",
    "int": "INT",
    "int_required": "INT NOT NULL",
    "int_zerofill": "INT(5) ZEROFILL",
    "bigint": "BIGINT",
    "bigint_unsigned": "BIGINT UNSIGNED",
    "decimal": "DECIMAL(5,2)",
    "decimal_unsigned": "DECIMAL(5,2) UNSIGNED",
    "decimal_whole": "DECIMAL(20,0)",
    "decimal_long": "DECIMAL(40,20)",
    "year": "YEAR",
    "date": "DATE",
    "datetime": "DATETIME",
    "datetime_1": "DATETIME(1)",
    "datetime_6": "DATETIME(6)",
    "varchar_general_ci": "VARCHAR(6) COLLATE utf8mb4_general_ci",
    "varchar_required": "VARCHAR(6) COLLATE utf8mb4_general_ci NOT NULL",
    "varchar_unicode_ci": "VARCHAR(6) COLLATE utf8mb4_unicode_ci",
    "varchar_520_ci": "VARCHAR(6) COLLATE utf8mb4_unicode_520_ci",
    "varchar_latin1": "VARCHAR(6) CHARACTER SET latin1 COLLATE latin1_swedish_ci",
    "varchar_latin1_bin": "VARCHAR(6) CHARACTER SET latin1 COLLATE latin1_bin",
    "varchar_gbk_bin": "VARCHAR(6) CHARACTER SET gbk COLLATE gbk_bin",
    "varchar_bin": "VARCHAR(6) COLLATE utf8mb4_bin",
    "char_ci": "CHAR(6) COLLATE utf8mb4_general_ci",
    "char_bin": "CHAR(6) COLLATE utf8mb4_bin",
    "binary": "BINARY(4)",
    "binary_required": "BINARY(4) NOT NULL",
    "varbinary": "VARBINARY(6)",
}
COLUMNS |= (
    {
        "varchar_0900_ai_ci": "VARCHAR(6) COLLATE utf8mb4_0900_ai_ci",
        "varchar_0900_as_ci": "VARCHAR(6) COLLATE utf8mb4_0900_as_ci",
        "varchar_0900_as_cs": "VARCHAR(6) COLLATE utf8mb4_0900_as_cs",
        "varchar_0900_bin": "VARCHAR(6) COLLATE utf8mb4_0900_bin",
        "char_0900_bin": "CHAR(6) COLLATE utf8mb4_0900_bin",
        "char_0900_ai_ci": "CHAR(6) COLLATE utf8mb4_0900_ai_ci",
    }
    if MYSQL
    else {
        "varchar_1400_ai_ci": "VARCHAR(6) COLLATE utf8mb4_uca1400_ai_ci",
        "varchar_1400_nopad": "VARCHAR(6) COLLATE utf8mb4_uca1400_nopad_as_ci",
        "varchar_1400_as_cs": "VARCHAR(6) COLLATE utf8mb4_uca1400_as_cs",
        "varchar_nopad_bin": "VARCHAR(6) COLLATE utf8mb4_nopad_bin",
        "char_nopad": "CHAR(6) COLLATE utf8mb4_nopad_bin",
    }
)
MODES = ("STRICT_TRANS_TABLES", "")


class Bench:
    """One connection to the server, and what the mesh and the server say of the rows of one table."""

    def __init__(self, connection: Any) -> None:
        self.cursor = connection.cursor()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        self.cursor.execute(sql)
        return list(self.cursor.fetchall())

    def column(self, table: str) -> Column:
        found = self.rows(
            "SELECT data_type, column_type, is_nullable, character_maximum_length, numeric_precision,"
            " COALESCE(numeric_scale, datetime_precision), character_set_name, collation_name"
            " FROM information_schema.columns"
            f" WHERE table_schema = 'keys' AND table_name = '{table}' AND column_name = 'k'"
        )
        kind, full, nullable, length, precision, scale, charset, collation = found[0]
        return Column(
            "k", kind, full, "unsigned" in full, nullable == "YES", length, precision, scale, charset, collation
        )

    def store(self, table: str, column: Column, literals: Sequence[str], mode: str) -> dict[int, Any]:
        """Write each literal that the mesh would write: row id → what the mesh takes the stored value to be."""
        self.rows(f"SET sql_mode = '{mode}'")
        stored = {}
        for literal in literals:
            try:
                value = stored_value(*signed(literal), column, strict=bool(mode))
            except NotSupported:
                continue
            try:
                self.rows(f"INSERT INTO `{table}` (k) VALUES ({literal})")
            except pymysql.err.Error:
                continue
            stored[self.cursor.lastrowid] = value
        return stored

    def check(self, table: str, column: Column, literals: Sequence[str], stored: dict[int, Any]) -> None:
        """Ask the server for every literal and operator which rows it finds."""
        for literal in literals:
            looked = key_value(*signed(literal), column)
            for condition in (f"k = {literal}", f"k IN ({literal})"):
                for row in self.found(table, condition):
                    assert looked is UNKNOWN or same(looked, stored[row]), (condition, looked, stored[row], column)
            low = key_bound(*signed(literal), column, high=False)
            high = key_bound(*signed(literal), column, high=True)
            for operator in ("<", "<=", ">", ">="):
                bound = high if operator.startswith("<") else low
                for row in self.found(table, f"k {operator} {literal}"):
                    assert bound is UNKNOWN or within(stored[row], operator, bound), (operator, bound, stored[row])

    def found(self, table: str, condition: str) -> list[int]:
        try:
            return [row for (row,) in self.rows(f"SELECT id FROM `{table}` WHERE {condition}")]
        except pymysql.err.Error:
            return []


def signed(literal: str) -> tuple[str, bool]:
    return (literal[1:], True) if literal.startswith("-") else (literal, False)


def same(one: Any, other: Any) -> bool:
    return one is not NOTHING and type(one) is type(other) and bool(one == other) and str(one) == str(other)


def within(value: Any, operator: str, bound: Any) -> bool:
    if bound is NOTHING or value is None:
        return False
    return bool({"<": value < bound, "<=": value <= bound, ">": value > bound, ">=": value >= bound}[operator])


@pytest.fixture(scope="module")
def bench(plain_server: Server) -> Iterator[Bench]:
    plain_server.script(["CREATE DATABASE `keys` CHARACTER SET utf8mb4"])
    with closing(plain_server.connection("keys", charset="utf8mb4")) as connection:
        yield Bench(connection)
    plain_server.script(["DROP DATABASE `keys`"])


@pytest.mark.filterwarnings("ignore::Warning")
@pytest.mark.parametrize("mode", MODES, ids=["strict", "lenient"])
@pytest.mark.parametrize("name", COLUMNS)
def test_no_row_is_missed_by_any_literal(bench: Bench, name: str, mode: str) -> None:
    literals = [*NUMBERS, *STRINGS]
    bench.rows(f"DROP TABLE IF EXISTS `{name}`")
    bench.rows(f"CREATE TABLE `{name}` (id INT AUTO_INCREMENT PRIMARY KEY, k {COLUMNS[name]})")
    column = bench.column(name)
    stored = bench.store(name, column, literals, mode)
    assert stored
    bench.check(name, column, literals, stored)


integers = st.one_of(st.integers(-300, 300), st.integers(-(2**64), 2**65), st.sampled_from([2**53, 2**63, 2**64]))
numbers = st.one_of(
    integers.map(str),
    st.tuples(st.integers(-1000, 1000), st.integers(0, 10**6)).map(lambda pair: f"{pair[0]}.{pair[1]}"),
    st.floats(-1e25, 1e25, allow_nan=False).map(lambda value: f"{value:e}"),
)
texts = st.text(st.sampled_from("aAbBzZ019 -_.+eE~\\'\"%é"), max_size=7).map(
    lambda text: "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
)
dates = st.datetimes().map(lambda moment: f"'{moment}'") | st.dates().map(lambda day: f"'{day:%Y%m%d}'")
LITERALS = st.lists(
    st.one_of(numbers, numbers.map(lambda number: f"'{number}'"), texts, dates), min_size=2, max_size=12
)


@pytest.mark.filterwarnings("ignore::Warning")
@given(name=st.sampled_from(sorted(COLUMNS)), mode=st.sampled_from(MODES), literals=LITERALS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_row_is_missed_by_generated_literals(bench: Bench, name: str, mode: str, literals: list[str]) -> None:
    bench.rows(f"CREATE TABLE IF NOT EXISTS `{name}` (id INT AUTO_INCREMENT PRIMARY KEY, k {COLUMNS[name]})")
    bench.rows(f"DELETE FROM `{name}`")
    column = bench.column(name)
    bench.check(name, column, literals, bench.store(name, column, literals, mode))
