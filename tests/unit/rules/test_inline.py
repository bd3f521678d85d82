from __future__ import annotations

import datetime
from decimal import Decimal

import pytest

from dbmesh.rules.inline import BadExpression, Inline
from dbmesh.rules.keys import Between, KeyType, KeyValue, UnsuitableKey


@pytest.mark.parametrize(
    ("template", "values", "name"),
    [
        ("t_{user_id % 4}", (6, 0), "t_2"),
        ("ds_{user_id % 2}.t_{user_id // 2 % 4:02d}", (7, 0), "ds_1.t_03"),
        ("t_{-(user_id + 3) * 2 - 1}", (1, 0), "t_-9"),
        ("t_{crc32(code) % 10}", (0, "MySQL"), "t_6"),
        ("t_{lower(code[:2])}", (0, "DEU"), "t_de"),
        ("t_{code[-1]}", (0, "DEU"), "t_U"),
        ("t_{code}", (0, b"x"), "t_x"),
        ("t_{user_id}", (Decimal("5.00"), 0), "t_5"),
        ("t_{int(code) % 3}", (0, "17"), "t_2"),
        ("t_{year(code)}_{month(code):02d}_{day(code)}", (0, datetime.date(2024, 3, 9)), "t_2024_03_9"),
        ("t_{code:%Y%m}", (0, datetime.datetime(2024, 3, 9, 1)), "t_202403"),
        ("{{{USER_ID}}}", (5, 0), "{5}"),
    ],
)
def test_template_names_the_node(template: str, values: tuple[KeyValue, ...], name: str) -> None:
    assert Inline(template, ("user_id", "code"), {}).name(values) == name


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("t_order", "contains no {expression}"),
        ("t_{", "is no template"),
        ("t_{user_id % }", "syntax error"),
        ("t_{usr_id % 2}", "uses 'usr_id', which is no column"),
        ("t_{crc(user_id)}", "unknown function 'crc'"),
        ("t_{user_id ** 9}", "may not contain 'user_id ** 9'"),
        ("t_{user_id / 2}", "may not contain 'user_id / 2'"),
        ("t_{user_id.real}", "may not contain"),
        ("t_{[x for x in user_id]}", "may not contain"),
        ("t_{__import__('os')}", "unknown function '__import__'"),
        ("t_{(lambda: 1)()}", "syntax error"),
        ("t_{user_id if user_id else 1}", "may not contain"),
        ("t_{True}", "may not contain"),
        ("t_{1.5}", "may not contain"),
        ("t_{code[user_id]}", "constant positions"),
        ("t_{code[::2]}", "constant positions"),
        ("t_{user_id!r}", "only a format"),
        ("t_{user_id:{code}}", "only a format"),
        ("t_{code[:2]}{code % 2}", "both as string and as integer"),
        ("t_{" + "1+" * 200 + "user_id}", "more than 200 characters"),
    ],
)
def test_expression_beyond_the_safe_ones_is_refused(template: str, message: str) -> None:
    with pytest.raises(BadExpression) as refused:
        Inline(template, ("user_id", "code"), {})
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("template", "value"),
    [("t_{k % 0}", 5), ("t_{k % 2}", "5"), ("t_{k:d}", "x"), ("t_{year(k)}", 5), ("t_{int(k)}", "x1"), ("t_{k[0]}", 5)],
)
def test_value_that_does_not_fit_is_unsuitable(template: str, value: KeyValue) -> None:
    with pytest.raises(UnsuitableKey):
        Inline(template, ("k",), {}).home((value,))


def test_columns_types_are_read_off_the_expression() -> None:
    inline = Inline("{a % 2}{b[:1]}{year(c)}{crc32(d)}", ("a", "b", "c", "d"), {})
    assert inline.key_types == (KeyType.INTEGER, KeyType.STRING, KeyType.TEMPORAL, KeyType.ANY)


def test_short_range_is_computed_and_a_long_one_asks_every_node() -> None:
    inline = Inline("t_{k // 10}", ("k",), {"t_0": 0, "t_1": 1, "t_2": 2})
    assert inline.between(Between(5, 12)) == {0, 1}
    assert inline.between(Between(0, 1_000_000)) is None
    assert inline.between(Between(0, None)) is None
