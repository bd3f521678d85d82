"""Hundreds of SELECTs: the mesh over eight data nodes says what one server says, or refuses with a reason."""

from __future__ import annotations

from typing import Any

import pytest
from pymysql.connections import Connection

from tests.differential.binary import Pair
from tests.differential.check import check, likeness
from tests.differential.statements import Statement, read

_FILES = ("scatter", "groups", "joins", "federate", "keys", "errors")


@pytest.mark.parametrize("statement", [s for name in _FILES for s in read(name)], ids=str)
def test_a_statement_is_answered_as_one_server_would(
    reading: tuple[Connection[Any], Connection[Any]], binary: Pair, statement: Statement
) -> None:
    check(statement, *reading)
    wrong = binary.disagreement(statement, likeness(statement, reading[1]))
    if wrong is None or "differs" not in statement.remarks:
        assert wrong is None, wrong


def test_the_table_of_statements_is_large_enough() -> None:
    answered = [s for name in _FILES for s in read(name) if s.refusal is None]
    scattered = [s for s in answered if s.file in ("scatter", "groups", "joins")]
    assert len(answered) > 500
    assert len(scattered) > 300
