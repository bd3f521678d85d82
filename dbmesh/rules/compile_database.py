"""One file of a logical database → ``LogicalDatabase``, with all that has to fit together in it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dbmesh.rules import document
from dbmesh.rules.algorithms import ListOfValues
from dbmesh.rules.compile_table import compile_table, deltas
from dbmesh.rules.inline import Inline
from dbmesh.rules.mistakes import Path, Source
from dbmesh.rules.model import (
    BroadcastTable,
    DataNode,
    DataSource,
    LogicalDatabase,
    PoolRules,
    ShardedTable,
    SingleTable,
    TableRule,
    TlsRules,
)
from dbmesh.rules.sharding import OneStep, Sharding, Step, TwoStep

TABLE_KINDS = ("tables", "broadcast_tables", "single_tables")


def compile_database(source: Source, file: document.DatabaseFile, pools: PoolRules) -> LogicalDatabase:
    """The database without what is mistaken; mistakes are noted in ``source``."""
    data_sources = compile_data_sources(source, file.data_sources, pools)
    _check_same_schema(source, data_sources)
    tables: dict[str, TableRule] = {}
    for name, part in file.tables.items():
        table = compile_table(source, name, part)
        if table is not None:
            tables[name] = table
    for name, broadcast in file.broadcast_tables.items():
        nodes = tuple(DataNode(data_source, name) for data_source in data_sources)
        copied = broadcast or document.BroadcastPart.model_validate({})
        tables[name] = BroadcastTable(name, nodes, copied.base, deltas(source, ("broadcast_tables", name), copied))
    for name, single in file.single_tables.items():
        _check_data_source(source, ("single_tables", name, "data_source"), single.data_source)
        node = DataNode(single.data_source, single.table or name)
        tables[name] = SingleTable(name, node, single.base, deltas(source, ("single_tables", name), single))
    if file.default_data_source is not None:
        _check_data_source(source, ("default_data_source",), file.default_data_source)
    _check_names(source)
    _check_nodes(source, tables)
    groups = _binding_groups(source, file.binding_groups, tables)
    return LogicalDatabase(file.database, data_sources, tables, groups, file.default_data_source, file.transaction)


def compile_data_sources(
    source: Source, parts: Mapping[str, document.DataSourcePart], pools: PoolRules
) -> dict[str, DataSource]:
    """The data sources of a file. A part without a usable address is noted and kept, so that its name is known."""
    result = {}
    for name, part in parts.items():
        path: Path = ("data_sources", name)
        if "." in name or not name:
            source.mistake(path, "a data source's name must not be empty or contain a dot", at_key=True)
        if (part.host is None) == (part.socket is None) and not source.is_meant(path, "host", "socket"):
            source.mistake(path, "needs either 'host' or 'socket'", at_key=True)
        result[name] = DataSource(
            name,
            part.schema_,
            part.user,
            part.password.get_secret_value().encode(),
            part.host or "",
            part.port,
            part.socket,
            _tls(source, path, part),
            compile_pools(part.pool, pools),
        )
    return result


def _tls(source: Source, path: Path, part: document.DataSourcePart) -> TlsRules | None:
    if part.tls is None or part.tls.mode == "disabled":
        return None
    if part.socket is not None:
        source.mistake((*path, "tls"), "is not used on a Unix socket, which nobody can listen on", at_key=True)
    return TlsRules(**part.tls.model_dump())


def compile_pools(part: document.PoolPart | None, base: PoolRules) -> PoolRules:
    """The pool's rules: what the part says, and the rest of ``base``."""
    if part is None:
        return base
    return PoolRules(
        part.size or base.size,
        part.wait_timeout or base.wait_timeout,
        part.idle_timeout or base.idle_timeout,
        part.connect_timeout or base.connect_timeout,
    )


def _check_data_source(source: Source, path: Path, name: str) -> None:
    known = source.names("data_sources")
    if name not in known and not source.is_broken("data_sources"):
        source.mistake(path, f"unknown data source '{name}'", word=name, choices=known)


def _check_same_schema(source: Source, data_sources: Mapping[str, DataSource]) -> None:
    """Two names of one schema would make a broadcast table's rows, or a DDL statement, come twice."""
    seen: dict[tuple[str, str], str] = {}
    for name, data_source in data_sources.items():
        place = (data_source.address, data_source.schema)
        if place in seen:
            message = f"is the same schema of the same server as '{seen[place]}'"
            source.mistake(("data_sources", name), message, at_key=True)
        seen.setdefault(place, name)


def _check_names(source: Source) -> None:
    """A logical table has one rule."""
    seen: dict[str, str] = {}
    for kind in TABLE_KINDS:
        for name in source.names(kind):
            if name in seen:
                source.mistake((kind, name), f"the table '{name}' is also in '{seen[name]}'", at_key=True)
            seen.setdefault(name, kind)


def _check_nodes(source: Source, tables: Mapping[str, TableRule]) -> None:
    """An actual table belongs to one logical table."""
    owners: dict[DataNode, str] = {}
    for kind in TABLE_KINDS:
        for name in source.names(kind):
            table = tables.get(name)
            for node in table.nodes if table is not None else ():
                owner = owners.setdefault(node, name)
                if owner != name:
                    message = f"the data node {node} already belongs to the table '{owner}'"
                    source.mistake((kind, name), message, at_key=True)
                    break


def _binding_groups(
    source: Source, groups: list[list[str]], tables: Mapping[str, TableRule]
) -> tuple[frozenset[str], ...]:
    listed = source.names("tables")
    taken: set[str] = set()
    for at, group in enumerate(groups):
        for index, name in enumerate(group):
            path: Path = ("binding_groups", at, index)
            if name not in listed:
                source.mistake(path, f"'{name}' is no sharded table", word=name, choices=listed)
            elif name in taken:
                source.mistake(path, f"'{name}' is in two binding groups or in one twice")
            elif name in tables and group[0] in tables:
                difference = unlike(tables[group[0]], tables[name])
                if difference:
                    source.mistake(path, f"'{name}' cannot be bound to '{group[0]}': {difference}")
            taken.add(name)
    return tuple(frozenset(group) for group in groups)


def unlike(one: TableRule, other: TableRule) -> str:
    """Why equal keys of the two tables need not live at the same node index; empty when they do."""
    if not isinstance(one, ShardedTable) or not isinstance(other, ShardedTable):
        return "only sharded tables are bound"
    if len(one.nodes) != len(other.nodes):
        return f"{len(other.nodes)} data nodes, not {len(one.nodes)}"
    for mine, yours in zip(one.nodes, other.nodes, strict=True):
        if mine.data_source != yours.data_source:
            return f"the data node {yours} stands where {mine} does, in another data source"
    if one.key_types != other.key_types or _shape(one) != _shape(other):
        return f"{other.sharding.describe()}, not {one.sharding.describe()}"
    return ""


def _shape(table: ShardedTable) -> list[object]:
    """What decides a key's node index, without the table's own names."""
    return [_step_shape(table, step) for step in _steps(table.sharding)]


def _steps(sharding: Sharding) -> tuple[Step, ...]:
    match sharding:
        case OneStep(step):
            return (step,)
        case TwoStep(outer, inner):
            return (outer, inner)
    raise TypeError(f"unknown sharding {sharding!r}")


def _step_shape(table: ShardedTable, step: Step) -> object:
    places = tuple(table.key_columns.index(column) for column in step.columns)
    algorithm = step.algorithm
    if isinstance(algorithm, Inline):
        # The table's name outside of the expressions is all that may differ.
        own = re.compile(r"\{[^}]*\}|" + re.escape(table.name))
        template = own.sub(lambda found: found[0] if found[0].startswith("{") else "*", algorithm.template)
        accepted = {name.replace(table.name, "*"): at for name, at in algorithm.names.items()}
        return (places, algorithm.columns, template, accepted)
    if isinstance(algorithm, ListOfValues):
        return (places, dict(algorithm.homes), algorithm.default)
    return (places, algorithm)
