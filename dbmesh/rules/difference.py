"""What a reload changes, in lines that a DBA reads before and after it. Passwords show only as 'changed'."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Set
from enum import Enum
from typing import Any

from dbmesh.rules.model import (
    BroadcastTable,
    DataNode,
    KeyGenerator,
    LogicalDatabase,
    MeshRules,
    SingleTable,
    TableRule,
)

_APART = frozenset({"users", "databases", "data_sources"})


def difference(old: MeshRules, new: MeshRules) -> list[str]:
    """``+`` added, ``-`` removed, ``~`` changed from → to. Empty when both are the same."""
    lines = list(_fields("mesh", old, new, skip=_APART))
    lines += _items("user", old.users, new.users)
    lines += _items("data source", old.data_sources, new.data_sources)
    for name in sorted(old.databases.keys() | new.databases.keys()):
        before, after = old.databases.get(name), new.databases.get(name)
        if before is None or after is None:
            lines.append(f"{'+' if before is None else '-'} database {name}")
        if before is not None and after is not None:
            lines += _database(before, after)
    return lines


def _database(old: LogicalDatabase, new: LogicalDatabase) -> Iterator[str]:
    yield from _fields(f"database {new.name}", old, new, skip=frozenset({"data_sources", "tables"}))
    for name in sorted(old.tables.keys() | new.tables.keys()):
        before, after, title = old.tables.get(name), new.tables.get(name), f"table {new.name}.{name}"
        if before is None and after is not None:
            yield f"+ {title}: {table_line(after)}"
        elif after is None and before is not None:
            yield f"- {title}"
        elif before is not None and after is not None and before != after:
            yield f"~ {title}: {table_line(before)} → {table_line(after)}"


def _items(title: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            yield f"+ {title} {name}"
        elif name not in new:
            yield f"- {title} {name}"
        else:
            yield from _fields(f"{title} {name}", old[name], new[name])


def _fields(title: str, old: Any, new: Any, skip: Set[str] = frozenset()) -> Iterator[str]:
    """One line per changed field; nested rules (pools, transaction) field by field."""
    for field in dataclasses.fields(new):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if field.name in skip or before == after:
            continue
        if not field.repr:
            yield f"~ {title}: {field.name} changed"
        elif type(before) is type(after) and dataclasses.is_dataclass(after):
            yield from _fields(f"{title} {field.name}", before, after)
        else:
            yield f"~ {title}: {field.name} {_shown(before)} → {_shown(after)}"


def _shown(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple | frozenset):
        members = [_shown(member) for member in value]
        return "[" + ", ".join(sorted(members) if isinstance(value, frozenset) else members) + "]"
    return str(value)


def table_line(table: TableRule) -> str:
    """A table's rule in one line: kind, data nodes, sharding, key generator."""
    if isinstance(table, SingleTable):
        line = f"single in {table.node}"
    elif isinstance(table, BroadcastTable):
        line = f"broadcast to {nodes_line(table.nodes)}"
    else:
        line = f"sharded over {nodes_line(table.nodes)}, {table.sharding.describe()}{_generator(table.generator)}"
    merged = f", delta: {', '.join(sorted(table.deltas))}" if table.deltas else ""
    return line + (", base" if table.base else "") + merged


def _generator(generator: KeyGenerator | None) -> str:
    return "" if generator is None else f", {generator.column} by {generator.type}"


def nodes_line(nodes: tuple[DataNode, ...]) -> str:
    """The data nodes, all of them up to four, else the first and the last."""
    names = [str(node) for node in nodes]
    return ", ".join(names) if len(names) <= 4 else f"{len(names)} data nodes {names[0]} … {names[-1]}"
