"""What a literal is as a sharding key, column by column."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import NotSupported
from dbmesh.route.keys import NOTHING, UNKNOWN, check_key_column, key_bound, key_value, stored_value
from dbmesh.route.literals import text_value
from dbmesh.schema import Column

BIGINT = Column("k", "bigint")
UNSIGNED = Column("k", "bigint", unsigned=True)
TINY = Column("k", "tinyint")
PRICE = Column("k", "decimal", precision=5, scale=2)
CASELESS = Column("k", "varchar", length=6, charset="utf8mb4", collation="utf8mb4_general_ci")
EXACT = Column("k", "varchar", length=6, charset="utf8mb4", collation="utf8mb4_bin")
NO_PAD = Column("k", "varchar", length=6, charset="utf8mb4", collation="utf8mb4_0900_bin")
CHAR = Column("k", "char", length=6, charset="utf8mb4", collation="utf8mb4_bin")
TURKISH = Column("k", "varchar", length=6, charset="utf8mb4", collation="utf8mb4_turkish_ci")
BINARY = Column("k", "binary", length=4)
DAY = Column("k", "date")
MOMENT = Column("k", "datetime", scale=0)


def compared(literal: str, column: Column | None) -> Any:
    return key_value(literal.removeprefix("-"), literal.startswith("-"), column)


def stored(literal: str, column: Column | None, strict: bool = True) -> Any:
    return stored_value(literal.removeprefix("-"), literal.startswith("-"), column, strict)


@pytest.mark.parametrize(
    ("literal", "column", "value"),
    [
        ("5", BIGINT, 5),
        ("-5", BIGINT, -5),
        ("18446744073709551615", UNSIGNED, 2**64 - 1),
        ("18446744073709551616", UNSIGNED, NOTHING),
        ("5.0", BIGINT, 5),
        ("5.5", BIGINT, UNKNOWN),
        ("1e0", BIGINT, 1),
        ("1e20", BIGINT, UNKNOWN),
        ("'05'", BIGINT, 5),
        ("'5abc'", BIGINT, 5),
        ("''", BIGINT, 0),
        ("'1234567890123456789'", BIGINT, 1234567890123456789),
        ("0x35", BIGINT, 0x35),
        ("x'35'", BIGINT, UNKNOWN),
        ("TRUE", BIGINT, 1),
        ("NULL", BIGINT, NOTHING),
        ("5.50", PRICE, Decimal("5.50")),
        ("5.555", PRICE, UNKNOWN),
        ("'5.5'", PRICE, UNKNOWN),
        ("'aB  '", CASELESS, "ab"),
        ("'é'", CASELESS, UNKNOWN),
        ("5", CASELESS, UNKNOWN),
        ("'aB '", EXACT, "aB"),
        ("'é'", EXACT, "é"),
        ("'aB '", NO_PAD, "aB "),
        ("'i'", TURKISH, UNKNOWN),
        ("x'61620000'", BINARY, b"ab\0\0"),
        ("'ab'", BINARY, NOTHING),
        ("'2026-1-5'", DAY, datetime.date(2026, 1, 5)),
        ("20260105", DAY, datetime.date(2026, 1, 5)),
        ("'2026-01-05 10:00'", DAY, UNKNOWN),
        ("'2026-01-05T10:00'", MOMENT, datetime.datetime(2026, 1, 5, 10)),
        ("'2026-02-30'", DAY, UNKNOWN),
        ("'0000-00-00'", DAY, UNKNOWN),
        ("1.5", Column("k", "double"), UNKNOWN),
        ("5", None, 5),
        ("'a'", None, "a"),
        ("1e0", None, UNKNOWN),
    ],
)
def test_a_literal_compares_as_its_column_does(literal: str, column: Column | None, value: Any) -> None:
    assert compared(literal, column) == value
    assert type(compared(literal, column)) is type(value)


@pytest.mark.parametrize(
    ("literal", "column", "value"),
    [
        ("5.5", BIGINT, 6),
        ("2.5e0", BIGINT, 2),
        ("'2.5'", BIGINT, 3),
        ("300", TINY, 127),
        ("-5", UNSIGNED, 0),
        ("5.555", PRICE, Decimal("5.56")),
        ("1000", PRICE, Decimal("999.99")),
        ("-0.001", PRICE, Decimal("0.00")),
        ("5", EXACT, "5"),
        (".5", EXACT, "0.5"),
        ("'abcdefgh'", EXACT, "abcdef"),
        ("'ab '", CHAR, "ab"),
        ("'ab'", BINARY, b"ab\0\0"),
        ("'2026-01-05 10:00'", DAY, datetime.date(2026, 1, 5)),
        ("NULL", BIGINT, None),
        ("'abc'", DAY, None),
    ],
)
def test_a_literal_is_stored_as_its_column_does(literal: str, column: Column, value: Any) -> None:
    assert stored(literal, column) == value
    assert type(stored(literal, column)) is type(value)


@pytest.mark.parametrize(
    ("literal", "column"),
    [
        ("x'35'", BIGINT),
        ("1e20", BIGINT),
        ("-0.4", UNSIGNED),
        ("1e0", EXACT),
        ("'é'", CASELESS),
        ("'\U0001f600'", Column("k", "varchar", length=6, charset="utf8mb3", collation="utf8mb3_bin")),
        ("'i'", TURKISH),
        ("'2026-02-30'", DAY),
        ("'2026-01-05 10:00:00.5'", MOMENT),
        ("0", Column("k", "year")),
        ("5", Column("k", "double")),
        ("5", Column("k", "int", generated=True)),
    ],
)
def test_what_the_column_would_store_is_not_guessed(literal: str, column: Column) -> None:
    with pytest.raises(NotSupported, match="sharding key column 'k'"):
        stored(literal, column)


def test_null_in_a_required_column_becomes_its_types_default_without_strict_mode() -> None:
    assert stored("NULL", Column("k", "int", nullable=False), strict=False) == 0
    assert stored("NULL", Column("k", "int", nullable=False)) is None
    assert stored("NULL", Column("k", "binary", length=2, nullable=False), strict=False) == b"\0\0"


@pytest.mark.parametrize(
    ("literal", "column", "low", "high"),
    [
        ("5", BIGINT, 5, 5),
        ("5.5", BIGINT, 5, 6),
        ("-5.5", BIGINT, -6, -5),
        ("'5abc'", BIGINT, 5, 5),
        ("1e20", BIGINT, UNKNOWN, UNKNOWN),
        ("99999999999999999999", BIGINT, UNKNOWN, UNKNOWN),
        ("NULL", BIGINT, NOTHING, NOTHING),
        ("5.555", PRICE, Decimal("5.555"), Decimal("5.555")),
        ("'b'", CASELESS, UNKNOWN, UNKNOWN),
        ("'b'", EXACT, UNKNOWN, UNKNOWN),
        ("'b'", NO_PAD, "b", "b"),
        ("'2026-01-05'", DAY, datetime.date(2026, 1, 5), datetime.date(2026, 1, 5)),
        ("'2026-01-05 10:00'", DAY, datetime.date(2026, 1, 5), datetime.date(2026, 1, 6)),
    ],
)
def test_a_bound_is_rounded_outwards(literal: str, column: Column, low: Any, high: Any) -> None:
    token, negative = literal.removeprefix("-"), literal.startswith("-")
    assert key_bound(token, negative, column, high=False) == low
    assert key_bound(token, negative, column, high=True) == high


@pytest.mark.parametrize("kind", ["float", "double", "timestamp", "time", "json", "text", "blob", "enum", "set", "bit"])
def test_a_type_that_cannot_be_a_key_is_refused_by_name(kind: str) -> None:
    with pytest.raises(NotSupported, match=f"type {kind}; use an integer"):
        check_key_column(Column("k", kind))


@pytest.mark.parametrize(
    ("token", "text"),
    [
        ("'it''s'", "it's"),
        ("'it\\'s'", "it's"),
        ('"it\'s"', "it's"),
        ('"a""b"', 'a"b'),
        ("'\\0\\b\\n\\r\\t\\Z\\\\'", "\0\b\n\r\t\x1a\\"),
        ("'\\%\\_\\q'", "\\%\\_q"),
        ("'a\\\\''b'", "a\\'b"),
        ("N'a'", "a"),
        ("_latin1'a'", "a"),
        ("_latin1'é'", None),
        ("_ucs2'ab'", None),
        ("x'61'", None),
        ("5", None),
    ],
)
def test_a_string_reads_as_the_server_lexes_it(token: str, text: str | None) -> None:
    assert text_value(token) == text


@given(st.integers(-(2**63), 2**64 - 1))
def test_an_integer_is_the_same_key_stored_and_compared(value: int) -> None:
    column = UNSIGNED if value > 0 else BIGINT
    assert stored(str(value), column) == compared(str(value), column) == value


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=6))
def test_a_string_is_the_same_key_stored_and_compared(text: str) -> None:
    literal = "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
    assert stored(literal, EXACT) == compared(literal, EXACT) == text.rstrip(" ")
