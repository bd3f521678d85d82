from __future__ import annotations

import datetime
from datetime import date as Date  # noqa: N812
from datetime import datetime as DateTime  # noqa: N812
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.rules.algorithms import HashMod, ListOfValues, Mod, Range, canonical, widened
from dbmesh.rules.dates import DateInterval
from dbmesh.rules.inline import Inline
from dbmesh.rules.keys import Between, KeyType, KeyValue, UnsuitableKey
from dbmesh.rules.sharding import Algorithm

INTEGERS = st.integers(-(2**63), 2**64) | st.integers(-50, 50)
NUMBERS = INTEGERS | st.decimals(-100, 100, places=2)
MOMENTS = st.datetimes(DateTime(2019, 1, 1), DateTime(2031, 1, 1)) | st.dates(Date(2019, 1, 1), Date(2031, 1, 1))

INTEGER_ALGORITHMS: list[Algorithm] = [
    Mod(1),
    Mod(7),
    HashMod(4),
    Range((-10, 0, 30), KeyType.NUMBER),
    Range((-10, 0, 30), KeyType.NUMBER, low_open=False, high_open=False),
    ListOfValues({5: 0, -7: 1, 2: 1}, KeyType.INTEGER, 3, default=2),
    ListOfValues({5: 0, -7: 1, 2: 1}, KeyType.INTEGER, 2),
    Inline("t_{k % 4}", ("k",), {f"t_{n}": n for n in range(4)}),
    Inline("t_{k // 20}", ("k",), {"t_0": 0, "t_1": 1}),
]
DATE_ALGORITHMS = [
    DateInterval(unit, step, DateTime(2024, 7, 1), 5, cycle)
    for unit in ("year", "month", "day", "hour")
    for step in (1, 3)
    for cycle in (False, True)
]


def holds(condition: Between, value: object) -> bool:
    low, high = condition.low, condition.high
    above = low is None or (value >= low if condition.low_inclusive else value > low)  # type: ignore[operator]
    below = high is None or (value <= high if condition.high_inclusive else value < high)  # type: ignore[operator]
    return above and below


def assert_never_missed(algorithm: Algorithm, condition: Between, value: KeyValue) -> None:
    places, home = algorithm.between(condition), algorithm.home((value,))
    assert places is None or home is None or home in places


@pytest.mark.parametrize("algorithm", INTEGER_ALGORITHMS, ids=lambda a: a.describe())
@given(value=INTEGERS, low=st.none() | NUMBERS, high=st.none() | NUMBERS, low_inclusive=..., high_inclusive=...)
def test_range_of_numbers_names_the_home_of_each_member(
    algorithm: Algorithm,
    value: int,
    low: int | Decimal | None,
    high: int | Decimal | None,
    low_inclusive: bool,
    high_inclusive: bool,
) -> None:
    condition = Between(low, high, low_inclusive, high_inclusive)
    if holds(condition, value):
        assert_never_missed(algorithm, condition, value)


@pytest.mark.parametrize("algorithm", DATE_ALGORITHMS, ids=lambda a: a.describe())
@given(value=MOMENTS, low=st.none() | MOMENTS, high=st.none() | MOMENTS, low_inclusive=..., high_inclusive=...)
def test_range_of_dates_names_the_home_of_each_member(
    algorithm: DateInterval,
    value: Date,
    low: Date | None,
    high: Date | None,
    low_inclusive: bool,
    high_inclusive: bool,
) -> None:
    condition = Between(as_moment(low), as_moment(high), low_inclusive, high_inclusive)
    if holds(condition, as_moment(value)):
        assert_never_missed(algorithm, Between(low, high, low_inclusive, high_inclusive), value)


def as_moment(value: Date | None) -> DateTime | None:
    if value is None or isinstance(value, DateTime):
        return value
    return DateTime.combine(value, datetime.time())


STRINGS = st.text(st.sampled_from("ab \t!\x01~é€"), max_size=4).map(lambda text: text.rstrip(" "))
CHARSETS = ("utf-8", "cp1252")


@given(value=STRINGS, low=STRINGS, high=STRINGS, charset=st.sampled_from(CHARSETS), padded=st.booleans())
def test_range_of_strings_names_the_home_of_each_member_padded_or_not_in_any_charset(
    value: str, low: str, high: str, charset: str, padded: bool
) -> None:
    algorithm = Range(("\t", "a", "a b", "b", "~"), KeyType.STRING)

    def weight(text: str) -> bytes:
        return (text.ljust(8) if padded else text).encode(charset)

    if weight(low) <= weight(value) <= weight(high):
        assert_never_missed(algorithm, Between(low, high), value)


def test_widened_bounds_reach_over_characters_below_a_space() -> None:
    assert widened(Between("a \tb", "c")) == ("a", "c!")
    assert widened(Between(None, b"c")) == (None, "c!")


@pytest.mark.parametrize(
    ("algorithm", "value", "home"),
    [
        (Mod(4), -1, 3),
        (Mod(4), Decimal("5.00"), 1),
        (Mod(4), 2**64 + 1, 1),
        (Range((10, 20), KeyType.NUMBER), 9, 0),
        (Range((10, 20), KeyType.NUMBER), Decimal("19.99"), 1),
        (Range((10, 20), KeyType.NUMBER), 20, 2),
        (Range((0, 10, 20), KeyType.NUMBER, False, False), -1, None),
        (Range((0, 10, 20), KeyType.NUMBER, False, False), 0, 0),
        (Range((0, 10, 20), KeyType.NUMBER, False, False), 20, None),
        (Range(("h", "p"), KeyType.STRING), b"milk", 1),
        (Range((DateTime(2024, 1, 1),), KeyType.TEMPORAL), Date(2023, 12, 31), 0),
        (ListOfValues({"DE": 0, "FR": 1}, KeyType.STRING, 2), "FR", 1),
        (ListOfValues({"DE": 0, "FR": 1}, KeyType.STRING, 2), "IT", None),
        (ListOfValues({"DE": 0, "FR": 1}, KeyType.STRING, 2, 0), "IT", 0),
        (DateInterval("month", 1, DateTime(2024, 1, 1), 3), DateTime(2024, 3, 31, 23, 59), 2),
        (DateInterval("month", 1, DateTime(2024, 1, 1), 3), Date(2024, 4, 1), None),
        (DateInterval("month", 1, DateTime(2024, 1, 1), 3), Date(2023, 12, 31), None),
        (DateInterval("month", 1, DateTime(2024, 1, 1), 3, cycle=True), Date(2024, 4, 1), 0),
        (DateInterval("month", 1, DateTime(2024, 1, 1), 3, cycle=True), Date(2023, 12, 1), 2),
        (DateInterval("year", 1, DateTime(2024, 7, 1), 3), Date(2025, 6, 30), 0),
        (DateInterval("year", 1, DateTime(2024, 7, 1), 3), Date(2025, 7, 1), 1),
        (DateInterval("day", 7, DateTime(2024, 1, 1), 53), Date(2024, 1, 8), 1),
        (DateInterval("hour", 6, DateTime(2024, 1, 1), 4, cycle=True), DateTime(2024, 1, 1, 19), 3),
    ],
)
def test_home_of_a_value(algorithm: Algorithm, value: KeyValue, home: int | None) -> None:
    assert algorithm.home((value,)) == home


@pytest.mark.parametrize(
    ("algorithm", "condition", "places"),
    [
        (Mod(4), Between(5, 6), {1, 2}),
        (Mod(4), Between(5, 7, False, False), {2}),
        (Mod(4), Between(5, 8), None),
        (Mod(4), Between(5, None), None),
        (Mod(4), Between(7, 5), set()),
        (Mod(4), Between(Decimal("4.5"), Decimal("5.5")), {1}),
        (Range((10, 20), KeyType.NUMBER), Between(None, 10, high_inclusive=False), {0}),
        (Range((10, 20), KeyType.NUMBER), Between(None, 10), {0, 1}),
        (Range((10, 20), KeyType.NUMBER), Between(20, None), {2}),
        (Range((0, 10, 20), KeyType.NUMBER, False, False), Between(20, 99), set()),
        (Range((0, 10, 20), KeyType.NUMBER, False, False), Between(-9, -1), set()),
        (ListOfValues({1: 0, 5: 1}, KeyType.INTEGER, 3, 2), Between(4, None), {1, 2}),
        (ListOfValues({"a": 0}, KeyType.STRING, 1), Between("a", "b"), None),
        (HashMod(4), Between(1, 1), None),
        (
            DateInterval("month", 1, DateTime(2024, 1, 1), 12),
            Between(Date(2024, 3, 5), Date(2024, 5, 1), True, False),
            {2, 3},
        ),
        (DateInterval("month", 1, DateTime(2024, 1, 1), 12), Between(Date(2024, 11, 5), None), {10, 11}),
        (
            DateInterval("month", 1, DateTime(2024, 1, 1), 12, cycle=True),
            Between(Date(2024, 12, 5), Date(2025, 1, 5)),
            {11, 0},
        ),
    ],
)
def test_places_of_a_range(algorithm: Algorithm, condition: Between, places: set[int] | None) -> None:
    found = algorithm.between(condition)
    assert (None if found is None else set(found)) == places


@pytest.mark.parametrize(
    ("algorithm", "value"),
    [
        (Mod(4), "5"),
        (Mod(4), Decimal("5.5")),
        (Range((1,), KeyType.NUMBER), "5"),
        (Range(("a",), KeyType.STRING), 5),
        (ListOfValues({1: 0}, KeyType.INTEGER, 1), "1"),
        (ListOfValues({"1": 0}, KeyType.STRING, 1), 1),
        (DateInterval("day", 1, DateTime(2024, 1, 1), 3), "2024-01-01"),
        (Inline("t_{k % 2}", ("k",), {"t_0": 0, "t_1": 1}), "x"),
    ],
)
def test_value_of_another_type_has_no_place(algorithm: Algorithm, value: KeyValue) -> None:
    with pytest.raises(UnsuitableKey, match="sharding key"):
        algorithm.home((value,))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, b"5"),
        (-5, b"-5"),
        (Decimal("5.00"), b"5"),
        (Decimal("-0.0"), b"0"),
        (Decimal("1E+3"), b"1000"),
        (Decimal("10.50"), b"10.5"),
        ("Straße", "Straße".encode()),
        (b"\xff\x00", b"\xff\x00"),
        (Date(2024, 2, 29), b"2024-02-29"),
        (DateTime(2024, 2, 29, 1, 2, 3), b"2024-02-29 01:02:03"),
        (DateTime(2024, 2, 29, 1, 2, 3, 500000), b"2024-02-29 01:02:03.5"),
    ],
)
def test_canonical_text(value: KeyValue, text: bytes) -> None:
    assert canonical(value) == text


def test_hash_mod_is_mysqls_crc32() -> None:
    assert HashMod(1 << 32).home(("MySQL",)) == 3259397556  # the manual's example: SELECT CRC32('MySQL')


def test_hash_mod_of_several_columns_tells_their_border() -> None:
    hash_mod = HashMod(1 << 32, 2)
    assert hash_mod.home(("ab", "c")) != hash_mod.home(("a", "bc"))


def test_hash_mod_spreads_consecutive_keys() -> None:
    for count in range(2, 17):
        homes = [HashMod(count).home((key,)) for key in range(10_000)]
        for place in range(count):
            assert abs(homes.count(place) * count / 10_000 - 1) < 0.15
