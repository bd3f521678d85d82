from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import NotSupported
from dbmesh.merge import SortKey
from dbmesh.merge.group import Distinct
from dbmesh.merge.key import KeyReader, converter, cut, read_fields, time_value
from dbmesh.protocol import ColumnDefinition, FieldFlag, FieldType, encode_text_row

_INT = ColumnDefinition(b"i", FieldType.LONG, 63, 11)
_BINARY = ColumnDefinition(b"b", FieldType.VAR_STRING, 63, 255, FieldFlag.BINARY)
_WEIGHTS = st.one_of(st.none(), st.text("\t\n a b~", max_size=6).map(lambda s: s.encode("utf-16-be")))
_VALUES = st.one_of(
    st.none(), st.binary(max_size=4), st.text("\x00\x01\xff", max_size=4).map(lambda s: s.encode("latin1"))
)


def _null_first(value: bytes | None) -> tuple[bool, bytes]:
    return (value is not None, value or b"")


@given(st.lists(_VALUES, max_size=12), st.booleans())
def test_bytes_sort_as_bytes_nulls_first_or_last(values: list[bytes | None], descending: bool) -> None:
    convert = converter(SortKey(0, descending), _BINARY)
    assert sorted(values, key=convert) == sorted(values, key=_null_first, reverse=descending)


@given(st.lists(_WEIGHTS, max_size=12), st.booleans())
def test_weights_sort_as_if_continued_by_spaces(values: list[bytes | None], descending: bool) -> None:
    convert = converter(SortKey(0, descending, b"\0 "), _BINARY)

    def continued(value: bytes | None) -> tuple[bool, bytes]:
        return (value is not None, (value or b"").ljust(20, b"!").replace(b"!!", b"\0 "))

    expected = [continued(v) for v in sorted(values, key=continued, reverse=descending)]
    assert [continued(v) for v in sorted(values, key=convert)] == expected
    for a in values:
        for b in values:
            assert (convert(a) == convert(b)) == (continued(a) == continued(b))
            if convert(a) == convert(b):
                assert hash(convert(a)) == hash(convert(b))


@given(st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**64 - 1)), max_size=9), st.booleans())
def test_integers_sort_as_numbers(values: list[int | None], descending: bool) -> None:
    texts = [None if v is None else b"%d" % v for v in values]
    convert = converter(SortKey(0, descending), _INT)
    expected = sorted(values, key=lambda v: (v is not None, v or 0), reverse=descending)
    assert sorted(texts, key=convert) == [None if v is None else b"%d" % v for v in expected]


def test_times_are_longer_than_a_day_and_less_than_zero() -> None:
    texts = [b"-838:59:59", b"-00:00:00.5", b"00:00:00.000001", b"09:00:00", b"100:00:00", b"838:59:59"]
    shuffled = [texts[n] for n in (3, 0, 5, 1, 4, 2)]
    assert sorted(shuffled, key=time_value) == texts


@pytest.mark.parametrize(
    "column",
    [
        ColumnDefinition(b"s", FieldType.VAR_STRING, 45, 40),
        ColumnDefinition(b"f", FieldType.FLOAT, 63, 12, 0, 31),
        ColumnDefinition(b"d", FieldType.DOUBLE, 63, 12, 0, 2),
        ColumnDefinition(b"e", FieldType.STRING, 63, 12, FieldFlag.ENUM),
        ColumnDefinition(b"t", FieldType.TIMESTAMP, 63, 19),
        ColumnDefinition(b"j", FieldType.JSON, 63, 19),
        ColumnDefinition(b"g", FieldType.GEOMETRY, 63, 19),
    ],
)
def test_a_text_that_is_not_the_value_is_refused_as_a_key(column: ColumnDefinition) -> None:
    with pytest.raises(NotSupported):
        converter(SortKey(0), column)


_FIELDS = st.lists(
    st.one_of(st.none(), st.binary(max_size=3), st.integers(249, 300).map(bytes), st.just(bytes(70_000))),
    min_size=1,
    max_size=6,
)


@given(_FIELDS, st.data())
def test_fields_are_read_without_decoding_the_row(values: list[bytes | None], data: st.DataObject) -> None:
    wanted = sorted(data.draw(st.sets(st.integers(0, len(values) - 1))))
    payload = encode_text_row(values)
    assert read_fields(payload, wanted) == [values[n] for n in wanted]
    for count in range(len(values) + 1):
        assert cut(payload, count) == encode_text_row(values[:count])


def test_several_keys_make_a_tuple_in_the_order_of_the_keys() -> None:
    reader = KeyReader([SortKey(-1), SortKey(0, descending=True), SortKey(-1)], [_INT, _BINARY, _INT])
    assert reader.key(encode_text_row([b"7", b"x", b"3"])) == (3, -7, 3)


_COLLATIONS = [
    ("utf8mb4_general_ci", True),
    ("utf8mb4_unicode_ci", True),
    ("utf8mb4_unicode_520_ci", True),
    ("utf8mb4_bin", True),
    ("utf8mb4_general_nopad_ci", False),
    ("utf8mb4_nopad_bin", False),
    ("utf8mb4_german2_ci", True),
    ("utf8mb4_swedish_ci", True),
    ("utf8mb4_uca1400_ai_ci", True),
    ("utf8mb4_uca1400_nopad_ai_ci", False),
]


@pytest.mark.parametrize(("collation", "padded"), _COLLATIONS)
def test_keys_of_weight_strings_order_as_the_server_does(ask: Any, collation: str, padded: bool) -> None:
    source = random.Random(1)
    texts = ["".join(source.choices("aAbB ä ßz\t\x01é😀-", k=source.randint(0, 5))) for _ in range(150)]
    values = "),(".join(f"_utf8mb4 x'{text.encode().hex()}'" for text in texts)
    ask.do(f"CREATE TEMPORARY TABLE t (s VARCHAR(20) COLLATE {collation})", f"INSERT INTO t VALUES ({values}),(NULL)")
    pad = ask(f"SELECT WEIGHT_STRING(_utf8mb4' ' COLLATE {collation})").rows[0][0] if padded else None
    answer = ask("SELECT s, WEIGHT_STRING(s), DENSE_RANK() OVER (ORDER BY s) FROM t")
    convert = converter(SortKey(1, pad=pad), answer.columns[1])
    for _, weight, rank in answer.rows:
        for _, other_weight, other in answer.rows:
            mine, others = convert(weight), convert(other_weight)
            assert ((mine > others) - (mine < others)) == ((int(rank) > int(other)) - (int(rank) < int(other)))


def test_the_first_distinct_value_may_have_a_weight_below_the_pad() -> None:
    convert = converter(SortKey(0, False, b"\0 "), _BINARY)
    values = [b"\0\t", b"\0\t\0 ", b"\0a"]
    assert Distinct().add([(convert(value), value) for value in values]) == [b"\0\t", b"\0a"]
