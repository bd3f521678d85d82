"""A statement that is kept prepared for one connection, and the kinds of values that MySQL has read it for."""

from __future__ import annotations

import pytest

from dbmesh.backend.statements import ServerStatement, ServerStatements
from dbmesh.protocol.constants import FieldType

UNSIGNED = 0x80
TINY, BIG, DOUBLE = (bytes((code, 0)) for code in (FieldType.TINY, FieldType.LONGLONG, FieldType.DOUBLE))
BIG_UNSIGNED = bytes((FieldType.LONGLONG, UNSIGNED))
TEXT, STRING, BLOB = (bytes((code, 0)) for code in (FieldType.VAR_STRING, FieldType.STRING, FieldType.BLOB))
NULL, DATE = bytes((FieldType.NULL, 0)), bytes((FieldType.DATE, 0))


@pytest.mark.parametrize(
    ("first", "then", "same"),
    [
        ([BIG], TINY, True),
        ([BIG], BIG_UNSIGNED, False),
        ([BIG], TEXT, False),
        ([TEXT], STRING, True),
        ([TEXT], BLOB, False),
        ([DOUBLE], BIG, False),
        ([NULL], TEXT, True),
        ([NULL, BIG], TEXT, False),
        ([BIG, NULL], TEXT, False),
        ([BIG, NULL], TINY, True),
        ([DATE], TEXT, False),
        ([BIG + TEXT, NULL + TEXT], BIG + TEXT, True),
        ([BIG + NULL, NULL + TEXT], BIG + BLOB, False),
    ],
)
def test_values_of_other_kinds_need_another_statement(first: list[bytes], then: bytes, same: bool) -> None:
    statement = ServerStatement(1, [], [])
    for types in first:
        assert statement.takes(types)
        statement.types = types
    assert statement.takes(then) is same


def test_what_has_been_run_does_not_tell_how_a_new_one_would_be_read() -> None:
    statement = ServerStatement(1, [], [])
    assert statement.takes(b"")
    assert statement.takes(BIG)
    statement.types = BIG
    assert not statement.takes(b"")


def test_a_statement_that_takes_another_s_place_has_it_closed() -> None:
    kept = ServerStatements()
    one, two = ServerStatement(1, [], []), ServerStatement(2, [], [])
    assert kept.put((None, "DO ?"), one) == []
    assert kept.put((None, "DO ?"), two) == [one]
    assert kept.get((None, "DO ?")) is two
