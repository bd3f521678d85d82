"""The rules as rows of text, for ``dbmesh check`` and SHOW MESH RULES. Nothing secret is in them."""

from __future__ import annotations

from dbmesh.rules.difference import nodes_line
from dbmesh.rules.model import BroadcastTable, MeshRules, SingleTable, TableRule

HEADINGS = ("database", "table", "kind", "sharding", "generated key", "base", "data nodes")


def table_rows(rules: MeshRules) -> list[tuple[str, ...]]:
    """One row per table under ``HEADINGS``, by database and table."""
    return [
        (database.name, name, *_row(table))
        for database in sorted(rules.databases.values(), key=lambda database: database.name)
        for name, table in sorted(database.tables.items())
    ]


def _row(table: TableRule) -> tuple[str, ...]:
    base = "yes" if table.base else "no"
    if isinstance(table, SingleTable):
        return ("single", "", "", base, nodes_line(table.nodes))
    if isinstance(table, BroadcastTable):
        return ("broadcast", "", "", base, nodes_line(table.nodes))
    generator = table.generator
    generated = "" if generator is None else f"{generator.column} ({generator.type})"
    return ("sharded", table.sharding.describe(), generated, base, nodes_line(table.nodes))


def overview(rules: MeshRules) -> list[str]:
    """What ``dbmesh check`` says about good rules, in a few lines."""
    lines = [f"listeners: {', '.join(map(str, rules.listeners))}"]
    lines.append(f"transactions: {rules.transaction.default}, log in {rules.transaction.log or 'no data source'}")
    lines.append(f"users: {', '.join(sorted(rules.users))}")
    for name, source in sorted(rules.data_sources.items()):
        lines.append(f"data source {name}: {source.schema} at {source.address}, up to {source.pool.size} connections")
    for name, database in sorted(rules.databases.items()):
        groups = "; ".join(" = ".join(sorted(group)) for group in database.binding_groups)
        lines.append(f"database {name}: {len(database.tables)} tables" + (f", bound {groups}" if groups else ""))
    return lines
