"""Range expressions: ``ds_{0..1}.t_order_{0..3}`` names eight data nodes, the left-most range turning slowest."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from dbmesh.rules.model import DataNode

MOST_NAMES = 10_000

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


def expand(expression: str) -> list[str]:
    """Every name of an expression with ``{0..3}``, ``{00..11}`` or ``{a,b,c}``. Raises ValueError."""
    parts = _BRACES.split(expression)
    if any(brace in literal for literal in parts[::2] for brace in "{}"):
        raise ValueError(f"has an unbalanced brace in '{expression}'")
    choices = [choose(part) if at % 2 else [part] for at, part in enumerate(parts)]
    total = 1
    for names in choices:
        total *= len(names)
    if total > MOST_NAMES:
        raise ValueError(f"'{expression}' names {total} nodes; at most {MOST_NAMES} are allowed")
    return ["".join(name) for name in itertools.product(*choices)]


def choose(inside: str) -> Sequence[str]:
    """What one pair of braces stands for."""
    bounds = _RANGE.fullmatch(inside.replace(" ", ""))
    if bounds is None:
        names = [name.strip() for name in inside.split(",")]
        if not all(names) or any(".." in name for name in names):
            raise ValueError(f"'{{{inside}}}' must be a range such as {{0..3}} or a list such as {{a,b}}")
        return names
    low, high = int(bounds[1]), int(bounds[2])
    if low > high:
        raise ValueError(f"'{{{inside}}}' runs backwards")
    if high - low >= MOST_NAMES:
        raise ValueError(f"'{{{inside}}}' has more than {MOST_NAMES} members")
    width = len(bounds[1]) if bounds[1].startswith("0") else 1
    return [f"{number:0{width}d}" for number in range(low, high + 1)]


def data_nodes(expressions: Sequence[str]) -> list[DataNode]:
    """The data nodes of several expressions, in order. Raises ValueError."""
    nodes = []
    for name in (name for expression in expressions for name in expand(expression.strip())):
        data_source, dot, table = name.partition(".")
        if not dot or not data_source or not table or "." in table:
            raise ValueError(f"'{name}' must be written data_source.table")
        nodes.append(DataNode(data_source, table))
    if not nodes:
        raise ValueError("names no data node")
    return nodes
