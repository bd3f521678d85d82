"""Values: captured independently of the session, restored exactly, readable."""

from __future__ import annotations

import pytest

from dbmesh.errors import NotSupported
from dbmesh.saga.values import (
    Value,
    capture,
    condition,
    decode,
    guard,
    kind_of,
    literal,
    string_literal,
    without_padding,
)
from dbmesh.schema import Column


def raw(*texts: str | None) -> list[bytes | None]:
    return [None if text is None else text.encode() for text in texts]


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (Column("c", "bigint"), "num"),
        (Column("c", "decimal"), "num"),
        (Column("c", "float"), "dbl"),
        (Column("c", "timestamp"), "ts"),
        (Column("c", "datetime"), "time"),
        (Column("c", "bit"), "bit"),
        (Column("c", "varchar", charset="latin1"), "text:latin1"),
        (Column("c", "longblob"), "hex"),
        (Column("c", "enum", charset="utf8mb4"), "enum:utf8mb4"),
        (Column("c", "set"), "set"),
        (Column("c", "json"), "json"),
        (Column("c", "multipolygon"), "hex"),
    ],
)
def test_each_type_has_a_kind(column: Column, kind: str) -> None:
    assert kind_of(column) == kind


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(NotSupported, match="of type hologram"):
        kind_of(Column("c", "hologram"))


@pytest.mark.parametrize(
    ("kind", "answer", "value", "sql"),
    [
        ("num", ("-12.50",), Value("num", "-12.50"), "-12.50"),
        ("num", (None,), Value("num", None), "NULL"),
        ("dbl", ("16777217",), Value("dbl", "16777217"), "16777217e0"),
        ("dbl", ("1e-38",), Value("dbl", "1e-38"), "1e-38"),
        ("bit", ("5",), Value("bit", "5"), "5"),
        ("ts", ("1793511000.25",), Value("ts", "2026-11-01 05:30:00.25"), "'2026-11-01 05:30:00.25'"),
        ("ts", ("0.000",), Value("ts", "0000-00-00 00:00:00.000"), "'0000-00-00 00:00:00.000'"),
        ("time", ("-838:59:59",), Value("time", "-838:59:59"), "'-838:59:59'"),
        ("hex", ("00FF",), Value("hex", "00FF"), "x'00FF'"),
        ("hex", ("",), Value("hex", ""), "x''"),
        ("text:utf8mb4", ("5A6FC3AB",), Value("text:utf8mb4", "Zoë"), "'Zoë'"),
        ("text:utf8mb4", ("6F27636C6F636B",), Value("text:utf8mb4", "o'clock"), "'o''clock'"),
        ("text:utf8mb4", ("615C",), Value("text:utf8mb4", "a\\"), "_utf8mb4 x'615C'"),
        ("text:utf8mb4", ("FF",), Value("chars:utf8mb4", "FF"), "_utf8mb4 x'FF'"),
        ("text:latin1", ("E9",), Value("chars:latin1", "E9"), "_latin1 x'E9'"),
        ("text:latin1", ("61",), Value("text:latin1", "a"), "'a'"),
        ("text:utf16", ("0061",), Value("chars:utf16", "0061"), "_utf16 x'0061'"),
        ("enum:utf8mb4", ("2", "62"), Value("enum:utf8mb4", "2:62"), "'b'"),
        ("enum:utf8mb4", ("0", ""), Value("enum:utf8mb4", "0:"), "0"),
        ("set", ("5",), Value("set", "5"), "5"),
        ("json", ("7B7D", "1"), Value("json", "{}"), "'{}'"),
        ("plain", ("::1",), Value("plain", "::1"), "'::1'"),
    ],
)
def test_what_the_server_answers_is_restored(kind: str, answer: tuple[str | None, ...], value: Value, sql: str) -> None:
    assert len(capture(kind, "`c`")) >= len(answer)
    assert decode(kind, raw(*answer)) == value
    assert literal(value) == sql


def test_json_that_text_cannot_restore_is_refused() -> None:
    with pytest.raises(NotSupported, match="DECIMAL or a DATETIME"):
        decode("json", raw("312E35", "0"))


@pytest.mark.parametrize(
    ("value", "sql"),
    [
        (Value("num", "5"), "`k` = 5"),
        (Value("ts", "2026-11-01 05:30:00.250"), "UNIX_TIMESTAMP(`k`) = 1793511000.250"),
        (Value("text:utf8mb4", "ë"), "`k` = _utf8mb4 x'C3AB'"),
        (Value("text:latin1", "it's"), "`k` = 'it''s'"),
        (Value("chars:gbk", "B0A1"), "`k` = _gbk x'B0A1'"),
        (Value("enum:utf8mb4", "2:62"), "`k` = 2"),
        (Value("dbl", "1.5"), "`k` = 1.5e0"),
        (Value("hex", "00"), "`k` = x'00'"),
    ],
)
def test_a_keys_condition_is_ascii_and_independent_of_the_session(value: Value, sql: str) -> None:
    assert condition("`k`", value) == sql
    assert sql.isascii()


def test_char_columns_lose_the_spaces_that_the_sql_mode_adds() -> None:
    assert without_padding("text:utf8mb4", Value("text:utf8mb4", "a  ")) == Value("text:utf8mb4", "a")
    assert without_padding("text:ucs2", Value("chars:ucs2", "006100200020")) == Value("chars:ucs2", "0061")
    assert without_padding("hex", Value("hex", "6120")) == Value("hex", "6120")


def test_guards_are_left_out_where_the_servers_comparison_could_mislead() -> None:
    assert guard("`c`", Value("num", "1.50")) == "`c`<=>1.50"
    assert guard("`c`", Value("json", "{}")) is None
    assert guard("`c`", Value("json", None)) == "`c` IS NULL"
    assert guard("`c`", Value("text:utf8mb4", "x" * 65)) is None


def test_string_literals_are_safe_in_every_sql_mode_and_character_set() -> None:
    assert string_literal("plain 'text'") == "'plain ''text'''"
    for text in ("back\\slash", "new\nline", "ü", "\x00"):
        assert string_literal(text) == f"_utf8mb4 x'{text.encode().hex().upper()}'"
