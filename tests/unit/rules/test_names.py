from __future__ import annotations

import pytest

from dbmesh.rules.names import data_nodes, expand


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("t", ["t"]),
        ("t_{0..2}", ["t_0", "t_1", "t_2"]),
        ("t_{08..10}", ["t_08", "t_09", "t_10"]),
        ("t_{a, b}x", ["t_ax", "t_bx"]),
        ("{0..1}.{0..1}", ["0.0", "0.1", "1.0", "1.1"]),
    ],
)
def test_expression_expands_left_most_slowest(expression: str, names: list[str]) -> None:
    assert expand(expression) == names


@pytest.mark.parametrize("expression", ["{", "a}", "{}", "{a,}", "{1..}", "{2..1}", "{0..99}{0..999}"])
def test_expression_that_cannot_be_expanded(expression: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        expand(expression)


@pytest.mark.parametrize("expression", ["ds_0", "ds_0.", ".t", "a.b.c"])
def test_data_node_is_data_source_dot_table(expression: str) -> None:
    with pytest.raises(ValueError, match="must be written"):
        data_nodes([expression])
