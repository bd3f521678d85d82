from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh import errors
from dbmesh.rules.algorithms import HashMod, ListOfValues, Mod, Range
from dbmesh.rules.keys import Between, Equal, KeyCondition, KeyType, KeyValue
from dbmesh.rules.model import DataNode, LogicalDatabase, ShardedTable, SingleTable
from dbmesh.rules.sharding import OneStep, Sharding, Step, TwoStep


def table(sharding: Sharding, count: int) -> ShardedTable:
    nodes = tuple(DataNode("ds_0", f"t_{at}") for at in range(count))
    return ShardedTable("t", nodes, sharding, sharding.columns, sharding.key_types)


BY_MOD = table(OneStep(Step(Mod(8), ("k",), 8)), 8)
BY_LIST = table(OneStep(Step(ListOfValues({1: 1, 2: 0}, KeyType.INTEGER, 2), ("k",), 2)), 2)
COMPOSITE = table(OneStep(Step(HashMod(8, 2), ("a", "b"), 8)), 8)
TWO_STEP = table(TwoStep(Step(Mod(3), ("a",), 3), Step(Mod(4), ("b",), 4)), 12)
SAME_KEY = table(TwoStep(Step(Mod(3), ("k",), 3), Step(Mod(4), ("k",), 4)), 12)

SMALL = st.integers(-20, 20)


def test_equal_values_go_to_their_homes_and_no_further() -> None:
    assert BY_MOD.nodes_for({"k": Equal((3, 11, 4))}) == (3, 4)
    assert BY_MOD.node_for((11,)) == 3
    assert BY_MOD.integer_only
    assert not COMPOSITE.integer_only


def test_conditions_on_other_columns_ask_every_node() -> None:
    assert BY_MOD.nodes_for({"other": Equal((3,))}) == tuple(range(8))
    assert BY_MOD.nodes_for({}) == tuple(range(8))


def test_null_lives_on_the_first_node() -> None:
    assert BY_MOD.node_for((None,)) == 0
    assert BY_MOD.nodes_for({"k": Equal((None,))}) == (0,)
    assert COMPOSITE.node_for((5, None)) == 0
    assert COMPOSITE.nodes_for({"a": Equal((5,)), "b": Equal((None,))}) == (0,)
    assert TWO_STEP.node_for((5, None)) == 2 * 4


def test_value_without_a_home_fails_an_insert_and_finds_nothing() -> None:
    with pytest.raises(errors.NoDataNode, match="Table 't' has no data node for sharding key k=9") as raised:
        BY_LIST.node_for((9,))
    assert raised.value.errno == 1526
    assert BY_LIST.nodes_for({"k": Equal((9,))}) == ()
    assert BY_LIST.nodes_for({"k": Equal((9, 1))}) == (1,)


def test_value_of_another_type_fails_an_insert_and_asks_every_node() -> None:
    with pytest.raises(errors.NoDataNode, match="must be an integer, not a string"):
        BY_MOD.node_for(("x",))
    assert BY_MOD.nodes_for({"k": Equal(("x", 1))}) == tuple(range(8))
    assert BY_MOD.nodes_for({"k": Between("x", "y")}) == tuple(range(8))


def test_composite_key_needs_all_its_columns() -> None:
    assert COMPOSITE.nodes_for({"a": Equal((5,))}) == tuple(range(8))
    assert COMPOSITE.nodes_for({"a": Equal((5,)), "b": Equal((6,))}) == (COMPOSITE.node_for((5, 6)),)
    many = Equal(tuple(range(100)))
    assert COMPOSITE.nodes_for({"a": many, "b": many}) == tuple(range(8))


def test_two_steps_narrow_apart() -> None:
    assert TWO_STEP.node_for((4, 6)) == 1 * 4 + 2
    assert TWO_STEP.nodes_for({"a": Equal((4,))}) == (4, 5, 6, 7)
    assert TWO_STEP.nodes_for({"b": Equal((6,))}) == (2, 6, 10)
    assert TWO_STEP.nodes_for({"a": Equal((4,)), "b": Between(1, 2)}) == (5, 6)


def test_two_steps_on_one_column_keep_pairs_together() -> None:
    assert SAME_KEY.key_columns == ("k",)
    assert SAME_KEY.nodes_for({"k": Equal((4, 5))}) == (1 * 4 + 0, 2 * 4 + 1)


CONDITIONS = (
    st.none()
    | st.lists(SMALL, min_size=1, max_size=4).map(lambda v: Equal(tuple(v)))
    | st.builds(Between, st.none() | SMALL, st.none() | SMALL, st.booleans(), st.booleans())
)


def matches(condition: KeyCondition | None, value: int) -> bool:
    if condition is None:
        return True
    if isinstance(condition, Equal):
        return value in condition.values
    low, high = condition.low, condition.high
    assert low is None or isinstance(low, int | Decimal)
    assert high is None or isinstance(high, int | Decimal)
    above = low is None or low < value or (low == value and condition.low_inclusive)
    return above and (high is None or value < high or (high == value and condition.high_inclusive))


@given(a=SMALL, b=SMALL, first=CONDITIONS, second=CONDITIONS, which=st.sampled_from([COMPOSITE, TWO_STEP]))
def test_no_matching_row_is_missed_by_several_columns(
    a: int, b: int, first: KeyCondition | None, second: KeyCondition | None, which: ShardedTable
) -> None:
    conditions = {column: found for column, found in (("a", first), ("b", second)) if found is not None}
    if matches(first, a) and matches(second, b):
        assert which.node_for((a, b)) in which.nodes_for(conditions)


RANGE = table(OneStep(Step(Range((-5, 5), KeyType.NUMBER), ("k",), 3)), 3)


@given(k=SMALL, condition=CONDITIONS, which=st.sampled_from([BY_MOD, SAME_KEY, RANGE]))
def test_no_matching_row_is_missed_by_one_column(k: int, condition: KeyCondition | None, which: ShardedTable) -> None:
    values: tuple[KeyValue, ...] = (k,)
    if matches(condition, k):
        assert which.node_for(values) in which.nodes_for({} if condition is None else {"k": condition})


def test_table_without_a_rule_is_single_in_the_default_data_source() -> None:
    database = LogicalDatabase("shop", {}, {"t": BY_MOD}, (frozenset({"t", "u"}),), "ds_0")
    assert database.table("t") is BY_MOD
    assert database.table("T") == SingleTable("T", DataNode("ds_0", "T"))
    assert database.bound("t", "u")
    assert not database.bound("t", "v")
    assert LogicalDatabase("shop", {}, {}).table("t") is None


def test_a_part_of_a_table_is_no_table() -> None:
    database = LogicalDatabase("shop", {}, {"t": BY_MOD}, default_data_source=BY_MOD.nodes[0].data_source)
    assert database.table(BY_MOD.nodes[0].table) is None
    assert database.table("other") is not None
