"""What a constant expression is worth, and that whatever is in doubt is worth nothing."""

from __future__ import annotations

import pytest

from dbmesh.sql.placeholders import Argument, Placeholders
from dbmesh.sql.predicate import OneOf, predicate
from dbmesh.sql.statement import parse

NOTHING = ("", False)


def worth(expression: str) -> tuple[str, bool] | None:
    text = f"SELECT * FROM t WHERE k = {expression}"
    statement = parse(text)
    said = predicate(statement, statement.tree.args["where"].this)
    if not isinstance(said, OneOf):
        return None
    literals = [text[start:end] for start, end in statement.literals]
    return said.values[0].spelled(literals)


@pytest.mark.parametrize(
    ("expression", "token", "negative"),
    [
        ("2 + 3", "5", False),
        ("2 - 3 * 4", "10", True),
        ("(2 - 3) * -4", "4", False),
        ("-(-5)", "5", False),
        ("CAST('-5' AS SIGNED)", "", False),
        ("CAST('5' AS SIGNED) + 1", "6", False),
        ("CONVERT(7, SIGNED)", "7", False),
        ("9223372036854775806 + 1", "9223372036854775807", False),
        ("DATE '2021-3-5'", "'2021-03-05'", False),
        ("CAST('2021-03-05' AS DATE)", "'2021-03-05'", False),
        ("TIMESTAMP '2021-03-05 10:00:00'", "'2021-03-05 10:00:00'", False),
        ("DATE '2021-01-31' + INTERVAL 1 MONTH", "'2021-02-28'", False),
        ("'2020-02-29' + INTERVAL '1' YEAR", "'2021-02-28'", False),
        ("'2021-01-01' - INTERVAL 2 WEEK", "'2020-12-18'", False),
        ("'2021-01-01' - INTERVAL 1 QUARTER", "'2020-10-01'", False),
        ("'2021-01-01' + INTERVAL 400 DAY", "'2022-02-05'", False),
    ],
)
def test_worth(expression: str, token: str, negative: bool) -> None:
    assert worth(expression) == (token, negative)


@pytest.mark.parametrize(
    "expression",
    [
        "9223372036854775807 + 1", "'2' + 3", "2.5 + 1", "1e0 + 1", "NULL + 1", "CAST('5x' AS SIGNED)",
        "DATE '2021-02-30'", "CAST('2021-03-05 10:00:00' AS DATE)", "CAST(20210305 AS DATE)",
        "'9999-12-31' + INTERVAL 1 DAY", "'2021-01-01 10:00:00' + INTERVAL 1 DAY", "'2021-01-01' + INTERVAL 1.5 DAY",
        "DATE '2021-01-01' + 1",
    ],
)  # fmt: skip
def test_what_is_in_doubt_is_worth_nothing(expression: str) -> None:
    assert worth(expression) == NOTHING


@pytest.mark.parametrize(
    "expression",
    ["'2021-01-01' + INTERVAL 1 HOUR", "'2021-01-01' + INTERVAL (1) DAY", "CAST('5' AS CHAR)",
     "CAST(5 AS DECIMAL(3,1))", "CAST('2021-01-01' AS DATETIME)", "2 / 1", "5 DIV 1", "1 + x"],
)  # fmt: skip
def test_other_expressions_are_no_constants(expression: str) -> None:
    assert worth(expression) is None


def test_a_parameter_that_is_a_date_is_one() -> None:
    text = Placeholders("SELECT * FROM t WHERE k = ? + INTERVAL 1 DAY").spelled([Argument("t", "'2021-03-05'")])
    statement = parse(text)
    said = predicate(statement, statement.tree.args["where"].this)
    assert isinstance(said, OneOf)
    assert said.values[0].dated
    assert said.values[0].spelled(["'2021-03-05'", "1"]) == ("'2021-03-06'", False)
