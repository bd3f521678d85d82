from __future__ import annotations

import random
import struct
from decimal import Decimal
from math import isfinite
from typing import Any

import pytest

from dbmesh.merge.arithmetic import EXACT, decimal_text, double_text, quotient


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, b"0"),
        (-0.0, b"0"),
        (0.1, b"0.1"),
        (0.1 + 0.2, b"0.30000000000000004"),
        (1e14, b"100000000000000"),
        (1e15, b"1e15"),
        (-1.5e20, b"-1.5e20"),
        (2156551801020145.8, b"2156551801020145.8"),
        (1e-15, b"0.000000000000001"),
        (1e-16, b"1e-16"),
        (5e-324, b"5e-324"),
    ],
)
def test_a_double_is_printed_as_mysql_prints_it(value: float, text: bytes) -> None:
    assert double_text(value) == text


def test_a_double_with_a_scale_has_all_its_decimals() -> None:
    assert double_text(1.25, 1) == b"1.2"
    assert double_text(-3.0, 2) == b"-3.00"


def test_thousands_of_doubles_are_printed_as_a_server_prints_them(ask: Any) -> None:
    source = random.Random(7)
    values: list[float] = []
    while len(values) < 4000:
        bits = struct.unpack("d", source.randbytes(8))[0]
        if isfinite(bits):
            values.append(bits)
        values.append(source.randint(-(10**18), 10**18) / 10 ** source.randint(0, 30))
        values.append(round(source.uniform(-1e6, 1e6), 3))
    for start in range(0, len(values), 500):
        part = values[start : start + 500]
        literals = [text if "e" in (text := repr(value)) else text + "e0" for value in part]
        assert ask(f"SELECT {', '.join(literals)}").rows[0] == tuple(map(double_text, part))


def test_decimals_are_rounded_half_away_from_zero() -> None:
    assert decimal_text(Decimal("2.345"), 2) == b"2.35"
    assert decimal_text(Decimal("-2.345"), 2) == b"-2.35"
    assert decimal_text(Decimal(10) ** 64, 2) == b"1" + b"0" * 64 + b".00"


def test_the_digits_of_an_average_are_cut_off_where_the_server_cuts_them(ask: Any) -> None:
    for scale in range(28):
        for numbers in (("1", "1", "0"), ("2", "0", "0"), ("-7.1", "3", "0.5"), ("1", "0", "0", "0", "0", "0", "0")):
            rows = " UNION ALL ".join(f"SELECT CAST({number} AS DECIMAL(38,{scale})) AS x" for number in numbers)
            answer = ask(f"SELECT SUM(x), AVG(x) FROM ({rows}) t")
            total = Decimal(answer.rows[0][0].decode())
            average = quotient(total, len(numbers), scale, answer.columns[1].decimals)
            assert decimal_text(average, answer.columns[1].decimals) == answer.rows[0][1], (scale, numbers)


def test_sums_of_the_widest_decimals_stay_exact() -> None:
    total = Decimal("9" * 65)
    for _ in range(10):
        total = EXACT.add(total, Decimal("9" * 35 + "." + "9" * 30))
    assert decimal_text(total, 30).endswith(b"." + b"9" * 28 + b"90")
