"""``dbmesh check --live``: what the servers lack or have differently from what the rules say."""

from __future__ import annotations

from collections.abc import Set

from dbmesh.backend.catalog import ServerCatalog
from dbmesh.backend.cluster import Cluster
from dbmesh.backend.flavours import mixture
from dbmesh.errors import MeshError, UnknownTable
from dbmesh.route.keys import check_key_column
from dbmesh.rules.model import MeshRules, ShardedTable, TableRule
from dbmesh.schema import Column, Table
from dbmesh.transaction.link import dial
from dbmesh.transaction.lock_waits import Hidden, lock_waits


async def live_mistakes(rules: MeshRules) -> list[str]:
    """One line per difference; empty when all is well."""
    cluster = Cluster(rules)
    try:
        failures = await cluster.warm_up()
        found = [f"data source {name}: {error.message}" for name, error in failures.items()]
        catalog = ServerCatalog(cluster, rules)
        mixed = await mixture(catalog, [name for name in rules.data_sources if name not in failures])
        found += [mixed] if mixed else []
        if rules.transaction.deadlock_timeout and len(rules.data_sources) > 1:
            found += await _hidden_lock_waits(rules, failures.keys())
        for database in rules.databases.values():
            for name, rule in sorted(database.tables.items()):
                found += await _table_mistakes(f"{database.name}.{name}", rule, catalog, failures.keys())
        return found
    finally:
        await cluster.close()


async def _hidden_lock_waits(rules: MeshRules, unreachable: Set[str]) -> list[str]:
    found = []
    for name, source in rules.data_sources.items():
        if name in unreachable:
            continue
        try:
            link = await dial(source)
            try:
                await lock_waits(link, source.address)
            finally:
                link.close()
        except Hidden as why:
            found.append(
                f"data source {name}: deadlocks over several servers are not seen, {why};"
                " grant it, or set transaction.deadlock_timeout: 0"
            )
        except MeshError as error:
            found.append(f"data source {name}: {error.message}")
    return found


async def _table_mistakes(name: str, rule: TableRule, catalog: ServerCatalog, unreachable: Set[str]) -> list[str]:
    found: list[str] = []
    first: tuple[str, Table] | None = None
    for node in rule.nodes:
        if node.data_source in unreachable:
            continue
        try:
            table = await catalog.table(node.data_source, node.table)
        except UnknownTable:
            found.append(f"{name}: table {node} is missing")
            continue
        except MeshError as error:
            found.append(f"{name}: {node}: {error.message}")
            continue
        assert table is not None
        if first is None:
            first = (str(node), table)
            found += _key_mistakes(name, rule, table)
        else:
            found += [f"{name}: {line}" for line in differing(first[0], first[1], str(node), table)]
    return found


def _key_mistakes(name: str, rule: TableRule, table: Table) -> list[str]:
    if not isinstance(rule, ShardedTable):
        return []
    found = []
    for key in rule.key_columns:
        column = table.column(key)
        if column is None:
            found.append(f"{name}: sharding key {key} is no column of {table.name}")
            continue
        try:
            check_key_column(column)
        except MeshError as error:
            found.append(f"{name}: {error.message}")
    if rule.generator is not None and table.column(rule.generator.column) is None:
        found.append(f"{name}: generated key {rule.generator.column} is no column of {table.name}")
    if rule.base and not table.primary_key:
        found.append(f"{name}: base: true needs a primary key")
    return found


def differing(one: str, first: Table, other: str, second: Table) -> list[str]:
    """How the columns of two shards' tables differ."""
    lines = []
    theirs = {column.name.lower(): column for column in second.columns}
    for column in first.columns:
        twin = theirs.pop(column.name.lower(), None)
        if twin is None:
            lines.append(f"column {column.name} of {one} is missing in {other}")
        elif _shape(column) != _shape(twin):
            lines.append(f"column {column.name} is {_shape(column)} in {one} and {_shape(twin)} in {other}")
    lines += [f"column {column.name} of {other} is missing in {one}" for column in theirs.values()]
    if [c.name for c in first.columns] != [c.name for c in second.columns] and not lines:
        lines.append(f"the columns of {one} and {other} stand in another order")
    if first.primary_key != second.primary_key:
        lines.append(f"the primary key is {_key(first)} in {one} and {_key(second)} in {other}")
    return lines


def _key(table: Table) -> str:
    return f"({', '.join(table.primary_key)})" if table.primary_key else "missing"


def _shape(column: Column) -> str:
    parts = [column.column_type or column.type]
    if column.collation:
        parts.append(column.collation)
    if not column.nullable:
        parts.append("NOT NULL")
    return " ".join(parts)
