"""Semi-join reduction: rows whose partners have been gathered already travel only if they have one.

The proof: where ``t.c = s.d`` has to be true of every row of the result that has a row of ``t`` (an equality among ANDs
of WHERE, of an inner join's ON, or of an outer join's for its inner side), a row of ``t`` whose ``c`` is in no row of
``s`` is in no row of the result, or NULLs stand for it anyway. So it is with ``t.c IN (SELECT s.d …)`` and ``t.c =
(SELECT s.d …)`` in WHERE. What has been gathered of ``s`` is all of it that matters, so that reductions may follow one
another. Only integers, which compare alike wherever they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from sqlglot import exp

from dbmesh.rewrite import quoted
from dbmesh.route.router import equalities
from dbmesh.rules.keys import Equal
from dbmesh.rules.model import ShardedTable, TableRule
from dbmesh.schema import Table
from dbmesh.sql.blocks import Block, Blocks
from dbmesh.sql.predicate import Predicate, column_name

_INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"})


class Reduction(NamedTuple):
    """Rows of reference ``target`` need a row of ``source`` with the same value."""

    source: int
    source_column: str
    target: int
    target_column: str


def reductions(blocks: Blocks, tables: Mapping[int, Table]) -> list[Reduction]:
    """All that the statement's equalities allow."""
    columns = {index: tuple(column.name.lower() for column in table.columns) for index, table in tables.items()}
    found: dict[Reduction, None] = {}
    for block in blocks.blocks:
        for equality in (*_joined(blocks, block, columns), *_selected(blocks, block, columns)):
            if _is_integer(tables, equality.source, equality.source_column) and _is_integer(
                tables, equality.target, equality.target_column
            ):
                found[equality] = None
    return list(found)


Columns = dict[int, tuple[str, ...]]


def _joined(blocks: Blocks, block: Block, columns: Columns) -> Iterator[Reduction]:
    for condition, targets, apart in _conditions(blocks, block):
        for same in equalities([condition]):
            left, right = (blocks.owner(block, column, columns) for column in (same.left, same.right))
            if left is None or right is None or left == right:
                continue
            for source, one, target, other in (
                (left, same.left.name, right, same.right.name),
                (right, same.right.name, left, same.left.name),
            ):
                if target in targets and source not in apart:
                    yield Reduction(source, one, target, other)


def _conditions(blocks: Blocks, block: Block) -> Iterator[tuple[Predicate, Collection[int], Collection[int]]]:
    """Conditions of a block, whose rows they may leave out, and whose rows do not tell that."""
    own = {r.index for r in blocks.references if r.block == block.index}
    kept = {index for index in own if not blocks.references[index].null_supplied}
    yield block.where, own, ()
    for join in block.joins:
        if join.side == "":
            yield join.condition, kept, ()
        elif join.side == "LEFT" and join.right is not None:
            yield join.condition, {join.right}, ()
        elif join.side == "RIGHT":
            earlier = set(join.earlier) & own
            yield join.condition, earlier, earlier


def _selected(blocks: Blocks, block: Block, columns: Columns) -> Iterator[Reduction]:
    """``c IN (SELECT d …)`` and ``c = (SELECT d …)`` among the ANDs of WHERE."""
    where = block.node.args.get("where")
    if where is None or blocks.statement.traps:
        return
    for part in where.this.flatten() if isinstance(where.this, exp.And) else [where.this]:
        query = part.args.get("query") if isinstance(part, exp.In) else None
        if isinstance(part, exp.EQ) and isinstance(part.expression, exp.Subquery):
            query = part.expression
        inner = next((b for b in blocks.blocks if query is not None and b.node is query.unnest()), None)
        if inner is None or len(inner.node.expressions) != 1:
            continue
        outer_column, column = column_name(part.this), column_name(inner.node.expressions[0].unalias())
        if outer_column is None or column is None:
            continue
        target, source = blocks.owner(block, outer_column, columns), blocks.owner(inner, column, columns)
        if target is not None and source is not None and blocks.references[target].block == block.index != inner.index:
            yield Reduction(source, column.name, target, outer_column.name)


def _is_integer(tables: Mapping[int, Table], index: int, name: str) -> bool:
    column = tables[index].column(name)
    return column is not None and column.type in _INTEGERS


def order_of(
    count: int, limited: Collection[int], found: Sequence[Reduction]
) -> tuple[tuple[int, ...], tuple[Reduction, ...]]:
    """In which order to gather the references, and the reductions that follow: those by what is less than a table."""
    order = list(limited)
    used: list[Reduction] = []
    small = set(order)
    left = [index for index in range(count) if index not in small]
    while left:
        following = next((i for i in left if any(r.target == i and r.source in small for r in found)), None)
        chosen = left[0] if following is None else following
        left.remove(chosen)
        used += [r for r in found if r.target == chosen and r.source in small]
        order.append(chosen)
        if following is not None:
            small.add(chosen)
    places = {index: place for place, index in enumerate(order)}
    used += [r for r in found if r.target in limited and r.source in small and places[r.source] < places[r.target]]
    return tuple(order), tuple(used)


def condition(alias: str, column: str, values: Sequence[int]) -> str:
    """That a row has a partner."""
    return f"{quoted(alias)}.{quoted(column)} IN ({', '.join(map(str, values))})"


def values_at(rule: TableRule, column: str, values: Sequence[int], node: int) -> list[int]:
    """Those that a data node may hold."""
    if not isinstance(rule, ShardedTable) or column.lower() not in rule.key_columns:
        return list(values)
    return [value for value in values if node in rule.nodes_for({column.lower(): Equal((value,))})]
