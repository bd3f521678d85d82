"""One sharded table → ``ShardedTable``: its data nodes, one or two steps of sharding, its key generator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from dbmesh.rules import document, names
from dbmesh.rules.algorithms import HashMod, Mod
from dbmesh.rules.compile_sharding import Positions, Report, compile_step
from dbmesh.rules.keys import KeyType
from dbmesh.rules.mistakes import Path, Source
from dbmesh.rules.model import DataNode, KeyGenerator, ShardedTable
from dbmesh.rules.sharding import OneStep, Sharding, Step, TwoStep, narrower


def compile_table(source: Source, name: str, part: document.TablePart) -> ShardedTable | None:
    """The table, or None after noting what is wrong with it."""
    path: Path = ("tables", name)
    nodes = _nodes(source, path, part)
    if nodes is None:
        return None
    sharding = _sharding(source, path, part, nodes)
    if sharding is None:
        return None
    guarded = part.scatter == "refuse"
    columns, types = sharding.columns, sharding.key_types
    merged = deltas(source, path, part)
    table = ShardedTable(name, nodes, sharding, columns, types, base=part.base, refuses_scatter=guarded, deltas=merged)
    if part.key_generator is None:
        return table
    _check_generator(source, path, part.key_generator, table)
    generator = KeyGenerator(part.key_generator.column.lower(), part.key_generator.type, len(nodes))
    return replace(table, generator=generator)


def deltas(
    source: Source, path: Path, part: document.TablePart | document.BroadcastPart | document.SinglePart
) -> frozenset[str]:
    """The columns, in lower case, whose changes are undone by their difference."""
    if part.merge and not part.base:
        source.mistake((*path, "merge"), "is about BASE transactions: the table needs base: true")
    return frozenset(name.lower() for name in part.merge)


def _nodes(source: Source, path: Path, part: document.TablePart) -> tuple[DataNode, ...] | None:
    try:
        nodes = names.data_nodes(part.data_nodes)
    except ValueError as error:
        source.mistake((*path, "data_nodes"), str(error))
        return None
    if source.is_broken("data_sources"):
        return None
    known = source.names("data_sources")
    unknown = dict.fromkeys(node.data_source for node in nodes if node.data_source not in known)
    for data_source in unknown:
        message = f"unknown data source '{data_source}'"
        source.mistake((*path, "data_nodes"), message, word=data_source, choices=known)
    if unknown:
        return None
    if len(set(nodes)) < len(nodes):
        twice = next(node for at, node in enumerate(nodes) if node in nodes[:at])
        source.mistake((*path, "data_nodes"), f"names the data node {twice} twice")
        return None
    return tuple(nodes)


def _sharding(source: Source, path: Path, part: document.TablePart, nodes: tuple[DataNode, ...]) -> Sharding | None:
    steps = (part.data_source_sharding, part.table_sharding)
    if part.sharding is not None and not any(steps):
        step = compile_step(part.sharding, _all_nodes(nodes), Report(source, (*path, "sharding")))
        return None if step is None else OneStep(step)
    if source.is_meant(path, "sharding", "data_source_sharding", "table_sharding"):
        return None
    if part.sharding is None and all(steps):
        return _two_steps(source, path, part, nodes)
    message = "needs either 'sharding', or both 'data_source_sharding' and 'table_sharding'"
    source.mistake(path, message, at_key=True)
    return None


def _two_steps(source: Source, path: Path, part: document.TablePart, nodes: tuple[DataNode, ...]) -> TwoStep | None:
    groups: dict[str, list[str]] = {}
    for node in nodes:
        groups.setdefault(node.data_source, []).append(node.table)
    first = next(iter(groups))
    for data_source, tables in groups.items():
        if len(tables) != len(groups[first]):
            message = f"has {len(groups[first])} tables in {first}, but {len(tables)} in {data_source}"
            source.mistake((*path, "data_nodes"), f"{message}; two-step sharding needs as many in each")
            return None
    if [node.data_source for node in nodes] != [name for name, tables in groups.items() for _ in tables]:
        source.mistake((*path, "data_nodes"), "must list the tables of one data source after the other")
        return None
    if isinstance(part.table_sharding, document.InlinePart) and any(t != groups[first] for t in groups.values()):
        message = "must have the same table names in each data source, because the table sharding is inline"
        source.mistake((*path, "data_nodes"), message)
        return None
    assert part.data_source_sharding is not None
    assert part.table_sharding is not None
    outer = _level(source, (*path, "data_source_sharding"), part.data_source_sharding, list(groups), "data sources")
    inner = _level(source, (*path, "table_sharding"), part.table_sharding, groups[first], "tables")
    if outer is None or inner is None:
        return None
    return TwoStep(outer, inner) if _levels_fit(source, path, outer, inner) else None


def _level(source: Source, path: Path, part: document.Keyed, level: Sequence[str], what: str) -> Step | None:
    positions = Positions({name: at for at, name in enumerate(level)}, len(level), what)
    return compile_step(part, positions, Report(source, path))


def _levels_fit(source: Source, path: Path, outer: Step, inner: Step) -> bool:
    """Whether the two steps agree on their columns' types and together reach every data node."""
    wanted = dict(zip(outer.columns, outer.algorithm.key_types, strict=True))
    for column, other in zip(inner.columns, inner.algorithm.key_types, strict=True):
        if narrower(wanted.get(column, KeyType.ANY), other) is None:
            message = f"needs '{column}' to be {other}, but the data source sharding needs {wanted[column]}"
            source.mistake((*path, "table_sharding"), message)
            return False
    shared = math.gcd(outer.count, inner.count)
    alike = type(outer.algorithm) is type(inner.algorithm) and isinstance(outer.algorithm, Mod | HashMod)
    if alike and outer.columns == inner.columns and shared > 1:
        message = f"reaches only one in {shared} data nodes, because both steps divide the same key"
        source.mistake((*path, "table_sharding"), f"{message}; use one 'sharding' over all data nodes")
        return False
    return True


def _all_nodes(nodes: tuple[DataNode, ...]) -> Positions:
    """One step's names: data nodes, and actual tables' names where they are unique."""
    tables = [node.table for node in nodes]
    accepted = {str(node): at for at, node in enumerate(nodes)}
    accepted |= {table: at for at, table in enumerate(tables) if tables.count(table) == 1}
    return Positions(accepted, len(nodes), "data nodes")


def _check_generator(source: Source, path: Path, part: document.KeyGeneratorPart, table: ShardedTable) -> None:
    types = dict(zip(table.key_columns, table.key_types, strict=True))
    wanted = types.get(part.column.lower(), KeyType.ANY)
    place = (*path, "key_generator", "type")
    if part.type == "auto_increment" and len(table.nodes) > 1:
        message = f"auto_increment counts in each of the {len(table.nodes)} data nodes for itself"
        source.mistake(place, f"{message}, so that keys would repeat; use snowflake")
    elif part.type == "uuid" and wanted not in (KeyType.ANY, KeyType.STRING):
        source.mistake(place, f"uuid makes texts, but the sharding needs '{part.column}' to be {wanted}")
    elif part.type != "uuid" and wanted in (KeyType.STRING, KeyType.TEMPORAL):
        source.mistake(place, f"{part.type} makes integers, but the sharding needs '{part.column}' to be {wanted}")
