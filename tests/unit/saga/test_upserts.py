"""Which rows an INSERT that may meet others can meet, and whether what was seen explains the server's count."""

from __future__ import annotations

import pytest

from dbmesh.errors import NotSupported
from dbmesh.saga.images import Row
from dbmesh.saga.upserts import Effect, candidates, effect, explains
from dbmesh.saga.values import Value
from dbmesh.schema import Column, Index, Table

COLUMNS = (
    Column("id", "int", nullable=False, auto_increment=True),
    Column("name", "varchar", default="NULL"),
    Column("place", "int", nullable=False, default="7"),
    Column("at", "timestamp", nullable=False, default="current_timestamp()"),
)
TABLE = Table("t", COLUMNS, ("id",), (Index("name", ("name",)), Index("spot", ("place", "name"))))


@pytest.mark.parametrize(
    ("names", "row", "condition"),
    [
        (("id",), ("5",), "(`id` = 5)"),
        (("id", "name"), ("NULL", "'x'"), "(`name` = 'x') OR (`place` = DEFAULT(`place`) AND `name` = 'x')"),
        (("NAME", "place"), ("'it''s'", "-3"), "(`name` = 'it''s') OR (`place` = -3 AND `name` = 'it''s')"),
        (("id", "name"), ("x'05'", "NULL"), "(`id` = x'05')"),
        ((), ("5", "NULL", "1", "NULL"), "(`id` = 5)"),
    ],
)
def test_candidates_are_found_by_every_unique_value(
    names: tuple[str, ...], row: tuple[str, ...], condition: str
) -> None:
    assert candidates(TABLE, names, [row]) == condition


@pytest.mark.parametrize(
    ("names", "row", "reason"),
    [
        (("id", "name"), ("1 + 1", "'x'"), "expression"),
        (("id", "name"), ("1", "UUID()"), "expression"),
        (("id", "name"), ("1", "'a\\b'"), "expression"),
        (("id", "place"), ("DEFAULT", "4"), "no unique value"),
        (("name", "place"), ("'x'", "NULL"), "becomes something else"),
    ],
)
def test_what_cannot_be_found_again_is_refused(names: tuple[str, ...], row: tuple[str, ...], reason: str) -> None:
    with pytest.raises(NotSupported, match=reason):
        candidates(TABLE, names, [row])


def rows(**values: str) -> list[tuple[object, Row]]:
    return [(key, Row({"v": Value("num", value)}, {})) for key, value in values.items()]


def test_the_effect_is_the_difference() -> None:
    found = effect(rows(a="1", b="2", c="3"), rows(b="2", c="4", d="5"))
    assert [pair[0] is None for pair in found.pairs] == [False, False, True]
    assert (found.new, found.changed, found.unchanged) == (0, 2, 1)


@pytest.mark.parametrize(
    ("kind", "before", "after", "count", "affected", "found_rows", "explained"),
    [
        ("ignore", {"a": "1"}, {"a": "1", "b": "1"}, 2, 1, False, True),
        ("ignore", {"a": "1"}, {"a": "1", "b": "1"}, 2, 2, False, False),
        ("ignore", {"a": "1"}, {"a": "2"}, 1, 0, False, False),
        ("update", {"a": "1"}, {"a": "2", "b": "1"}, 2, 3, False, True),
        ("update", {"a": "1"}, {"a": "1"}, 1, 0, False, True),
        ("update", {"a": "1"}, {"a": "1"}, 1, 1, True, True),
        ("update", {}, {"b": "1"}, 1, 2, False, False),  # somebody else's row, written meanwhile
        ("update", {}, {"b": "2"}, 2, 3, False, False),  # its rows meet each other
        ("update", {"a": "1"}, {}, 1, 2, True, False),  # a row got a key by which it was not found again
        ("update", {"a": "1"}, {"b": "1"}, 2, 3, True, False),
        ("replace", {"a": "1", "b": "1"}, {"c": "1"}, 1, 3, False, True),
        ("replace", {"a": "1"}, {"a": "1"}, 1, 1, False, True),
        ("replace", {"a": "1"}, {"a": "1"}, 1, 2, False, True),
        ("replace", {}, {"a": "1"}, 1, 2, False, False),
    ],
)
def test_only_what_explains_the_servers_count_is_accepted(
    kind: str,
    before: dict[str, str],
    after: dict[str, str],
    count: int,
    affected: int,
    found_rows: bool,
    explained: bool,
) -> None:
    found: Effect = effect(rows(**before), rows(**after))
    assert explains(found, kind, count, affected, found_rows) is explained
