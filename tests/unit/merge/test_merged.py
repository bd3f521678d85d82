from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbmesh.errors import MeshError, NotSupported, OutOfSortMemory
from dbmesh.merge import Aggregate, AggregateKind, Group, MergeSpec, SortKey
from dbmesh.protocol import ColumnDefinition, FieldFlag, FieldType

ID = ColumnDefinition(b"id", FieldType.LONG, 63, 11)
NAME = ColumnDefinition(b"name", FieldType.VAR_STRING, 63, 40)
COUNT = ColumnDefinition(b"COUNT(*)", FieldType.LONGLONG, 63, 21)
SUM = ColumnDefinition(b"SUM(x)", FieldType.NEWDECIMAL, 63, 33, 0, 1)
MIN = ColumnDefinition(b"MIN(x)", FieldType.LONG, 63, 11)

_NUMBERS = st.one_of(st.none(), st.integers(-3, 3))
_TABLE = st.lists(st.lists(st.tuples(_NUMBERS, st.integers(0, 9)), max_size=12), min_size=1, max_size=4)
_quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)


def text(value: int | None) -> bytes | None:
    return None if value is None else b"%d" % value


def order(value: int | None) -> tuple[bool, int]:
    return (value is not None, value or 0)


@_quick
@given(_TABLE, st.booleans(), st.integers(0, 4), st.one_of(st.none(), st.integers(0, 9)))
def test_sorted_streams_merge_to_the_sorted_union(
    run_merge: Any, shards: list[list[tuple[int | None, int]]], descending: bool, offset: int, limit: int | None
) -> None:
    streams = [
        ([ID, COUNT], [(text(a), text(b)) for a, b in sorted(rows, key=lambda r: order(r[0]), reverse=descending)])
        for rows in shards
    ]
    spec = MergeSpec(order=(SortKey(0, descending),), offset=offset, limit=limit)
    answer = run_merge(spec, *streams)
    union = [row for rows in shards for row in rows]
    keys = sorted((row[0] for row in union), key=order, reverse=descending)
    end = None if limit is None else offset + limit
    assert [row[0] for row in answer.rows] == [text(key) for key in keys[offset:end]]
    if limit is None and not offset:
        assert sorted(answer.rows, key=repr) == sorted([(text(a), text(b)) for a, b in union], key=repr)


@_quick
@given(_TABLE)
def test_groups_equal_those_of_one_table(run_merge: Any, shards: list[list[tuple[int | None, int]]]) -> None:
    kinds = (AggregateKind.COUNT, AggregateKind.SUM, AggregateKind.MIN)
    spec = MergeSpec(
        order=(SortKey(0),),
        group=Group(1, tuple(Aggregate(kind, n + 1) for n, kind in enumerate(kinds))),
    )

    def grouped(rows: list[tuple[int | None, int]]) -> list[tuple[bytes | None, ...]]:
        groups: dict[int | None, list[int]] = defaultdict(list)
        for key, value in rows:
            groups[key].append(value)
        return [
            (text(key), text(len(values)), b"%d.0" % sum(values), text(min(values)))
            for key, values in sorted(groups.items(), key=lambda item: order(item[0]))
        ]

    answer = run_merge(spec, *[([ID, COUNT, SUM, MIN], grouped(rows)) for rows in shards])
    assert answer.rows == grouped([row for rows in shards for row in rows])


@_quick
@given(_TABLE, st.booleans())
def test_equal_rows_are_shown_once(run_merge: Any, shards: list[list[tuple[int | None, int]]], streaming: bool) -> None:
    keys = (SortKey(0), SortKey(1))
    spec = MergeSpec(order=keys if streaming else (), distinct=keys)
    streams = [
        ([ID, COUNT], [(text(a), text(b)) for a, b in sorted(set(rows), key=lambda r: (order(r[0]), r[1]))])
        for rows in shards
    ]
    answer = run_merge(spec, *streams)
    union = {(text(a), text(b)) for rows in shards for a, b in rows}
    assert len(answer.rows) == len(union)
    assert set(answer.rows) == union


def test_a_scalar_aggregate_of_nothing_is_one_row(run_merge: Any) -> None:
    aggregates = (Aggregate(AggregateKind.COUNT, 1), Aggregate(AggregateKind.SUM, 2), Aggregate(AggregateKind.MIN, 3))
    spec = MergeSpec(group=Group(0, aggregates))
    assert run_merge(spec, ([ID, COUNT, SUM, MIN], [])).rows == [(None, b"0", None, None)]


def test_derived_columns_are_cut_off(run_merge: Any) -> None:
    spec = MergeSpec(derived=1, order=(SortKey(-1),))
    answer = run_merge(spec, ([NAME, ID], [(b"b", b"1")]), ([NAME, ID], [(b"a" * 300, b"2")]))
    assert [column.name for column in answer.columns] == [b"name"]
    assert answer.rows == [(b"b",), (b"a" * 300,)]


def test_arguments_of_a_distinct_count_are_counted_once_for_all_streams(run_merge: Any) -> None:
    count = Aggregate(AggregateKind.COUNT, 1, distinct=True)
    spec = MergeSpec(
        derived=1, order=(SortKey(0), SortKey(-1)), group=Group(1, (count, Aggregate(AggregateKind.COUNT, 2)))
    )
    columns = [ID, COUNT, COUNT, MIN]
    first = (columns, [(b"1", b"0", b"4", None), (b"1", b"1", b"2", b"7"), (b"2", b"1", b"1", b"7")])
    second = (columns, [(b"1", b"1", b"1", b"7"), (b"1", b"1", b"1", b"8")])
    assert run_merge(spec, first, second).rows == [(b"1", b"2", b"8"), (b"2", b"1", b"1")]


def test_a_scalar_distinct_count_needs_no_group(run_merge: Any) -> None:
    spec = MergeSpec(
        derived=1, order=(SortKey(-1),), group=Group(0, (Aggregate(AggregateKind.COUNT, 0, distinct=True),))
    )
    streams = [([COUNT, MIN], [(b"1", b"%d" % n) for n in range(start, start + 5)]) for start in (0, 3)]
    assert run_merge(spec, *streams).rows == [(b"8",)]
    assert run_merge(spec, ([COUNT, MIN], [])).rows == [(b"0",)]


def test_any_value_comes_from_a_shard_that_has_rows(run_merge: Any) -> None:
    aggregates = (Aggregate(AggregateKind.ANY, 0, count=-1), Aggregate(AggregateKind.COUNT, -1))
    spec = MergeSpec(derived=1, group=Group(0, aggregates))
    streams = [([NAME, COUNT], [row]) for row in ((None, b"0"), (b"b", b"2"), (b"c", b"1"))]
    assert run_merge(spec, *streams).rows == [(b"b",)]


def test_bits_of_all_streams_are_joined(run_merge: Any) -> None:
    kinds = (AggregateKind.BIT_AND, AggregateKind.BIT_OR, AggregateKind.BIT_XOR)
    spec = MergeSpec(group=Group(0, tuple(Aggregate(kind, n) for n, kind in enumerate(kinds))))
    columns = [COUNT] * 3
    answer = run_merge(spec, (columns, [(b"6", b"1", b"5")]), (columns, [(b"3", b"8", b"1")]))
    assert answer.rows == [(b"2", b"9", b"4")]
    assert run_merge(spec, (columns, [])).rows == [(b"18446744073709551615", b"0", b"0")]


def test_groups_are_sorted_by_their_aggregates_within_the_limit(run_merge: Any) -> None:
    spec = MergeSpec(
        order=(SortKey(0),),
        group=Group(1, (Aggregate(AggregateKind.COUNT, 1),)),
        sort=(SortKey(1, descending=True), SortKey(0)),
        offset=1,
        limit=3,
    )
    columns = [ID, COUNT]
    streams = [(columns, [(text(n), text(n % 7)) for n in range(5000)]) for _ in range(2)]
    assert run_merge(spec, *streams).rows == [(b"13", b"12"), (b"20", b"12"), (b"27", b"12")]


def test_sorting_ends_with_an_error_at_the_budget(run_merge: Any) -> None:
    columns = [ID, COUNT]
    group = Group(1, (Aggregate(AggregateKind.COUNT, 1),))
    rows = [(text(n), b"1") for n in range(10_000)]
    spec = MergeSpec(order=(SortKey(0),), group=group, sort=(SortKey(1),), budget=1 << 20)
    with pytest.raises(OutOfSortMemory, match="add a LIMIT"):
        run_merge(spec, (columns, rows))
    limited = MergeSpec(order=(SortKey(0),), group=group, sort=(SortKey(1),), budget=1 << 20, limit=5)
    assert len(run_merge(limited, (columns, rows)).rows) == 5


def test_distinct_rows_without_order_end_with_an_error_at_the_budget(run_merge: Any) -> None:
    rows = [(text(n),) for n in range(10_000)]
    with pytest.raises(OutOfSortMemory):
        run_merge(MergeSpec(distinct=(SortKey(0),), budget=1 << 20), ([ID], rows))


def test_nothing_more_is_asked_when_the_limit_is_reached(run_merge: Any) -> None:
    rows = [(text(n),) for n in range(100)]
    assert len(run_merge(MergeSpec(limit=4), ([ID], rows), ([ID], rows)).rows) == 4
    assert run_merge.needs == [0, 0]


def test_limit_0_sends_the_columns_alone(run_merge: Any) -> None:
    answer = run_merge(MergeSpec(limit=0), ([ID], [(b"1",)]))
    assert (answer.columns, answer.rows, run_merge.needs) == ([ID], [], [])


def test_a_stream_out_of_order_is_no_result_in_no_order(run_merge: Any) -> None:
    streams = [([ID], [(text(n),) for n in numbers]) for numbers in ((9, 1, 2, 3), (4, 5, 6))]
    with pytest.raises(NotSupported, match="max_sort_length"):
        run_merge(MergeSpec(order=(SortKey(0),)), *streams)


def test_a_stream_out_of_order_tears_no_group(run_merge: Any) -> None:
    spec = MergeSpec(order=(SortKey(0),), group=Group(1, (Aggregate(AggregateKind.COUNT, 1),)))
    columns = [ID, COUNT]
    for rows in ([(b"2", b"1"), (b"1", b"1")], [(text(n), b"1") for n in (1, 2, 5, 4)]):
        with pytest.raises(NotSupported, match="max_sort_length"):
            run_merge(spec, (columns, rows))


def test_streams_with_other_columns_are_an_error(run_merge: Any) -> None:
    with pytest.raises(MeshError, match="disagree"):
        run_merge(MergeSpec(), ([ID], []), ([NAME], []))
    with pytest.raises(MeshError, match="disagree"):
        run_merge(MergeSpec(), ([ID], []), ([ID, ID], []))


def test_strings_that_differ_by_their_execution_alone_make_one_column(run_merge: Any) -> None:
    other = ColumnDefinition(b"name", FieldType.STRING, 63, 40, FieldFlag.ENUM, 39)
    assert run_merge(MergeSpec(), ([NAME], [(b"a",)]), ([other], [(b"b",)])).rows == [(b"a",), (b"b",)]


def test_the_widest_of_the_streams_columns_is_announced(run_merge: Any) -> None:
    wide = ColumnDefinition(b"name", FieldType.VAR_STRING, 63, 80)
    assert run_merge(MergeSpec(), ([NAME], []), ([wide], [])).columns == [wide]


def test_rounded_doubles_are_not_summed(run_merge: Any) -> None:
    rounded = ColumnDefinition(b"SUM(d)", FieldType.DOUBLE, 63, 19, 0, 2)
    spec = MergeSpec(group=Group(0, (Aggregate(AggregateKind.SUM, 0),)))
    with pytest.raises(NotSupported):
        run_merge(spec, ([rounded], [(b"1.00",)]))
    whole = ColumnDefinition(b"SUM(d)+0e0", FieldType.DOUBLE, 63, 19, 0, 31)
    derived = MergeSpec(derived=1, group=Group(0, (Aggregate(AggregateKind.SUM, 0, sum=-1),)))
    streams = [([rounded, whole], [(b"0.00", b"0.004")])] * 2
    assert run_merge(derived, *streams).rows == [(b"0.01",)]
