"""Table references resolved to rules, and the edits that put actual tables in their place."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from sqlglot import exp

from dbmesh.errors import NotSupported
from dbmesh.plan.model import SYSTEM_DATABASES, Scope, TableName
from dbmesh.rewrite import Edit, ListSlot, TableSlot
from dbmesh.route.router import RouteTemplate, Target
from dbmesh.rules.model import ShardedTable, TableRule
from dbmesh.schema import Column
from dbmesh.sql.blocks import Blocks, TableReference
from dbmesh.sql.statement import Statement, span_of


def is_system(reference: TableReference) -> bool:
    """Whether the table is the servers' own: information_schema and its like."""
    return reference.database.lower() in SYSTEM_DATABASES


def system_tables(blocks: Blocks) -> tuple[TableName, ...]:
    """The tables of a statement that reads only the servers' own; () when it reads none of them.

    Raises NotSupported for a mixture: a server's own tables speak of actual tables, not of logical ones.
    """
    system = [reference for reference in blocks.references if is_system(reference)]
    if system and len(system) < len(blocks.references):
        raise NotSupported("logical tables and the servers' own tables in one statement", "ask for them one by one")
    return tuple(dict.fromkeys(TableName(r.database.lower(), r.name) for r in system))


async def resolve(blocks: Blocks, scope: Scope) -> tuple[Target, ...]:
    """The rule of every table reference. Raises 1046, 1049 and 1146 as MySQL does."""
    targets = []
    for reference in blocks.references:
        database, rule = scope.resolve(reference.database, reference.name)
        targets.append(Target(reference, database, rule, await key_columns(rule, scope)))
    return tuple(targets)


async def key_columns(rule: TableRule, scope: Scope) -> dict[str, Column | None]:
    """Sharding key column → what the servers say it is; None offline."""
    if not isinstance(rule, ShardedTable):
        return {}
    table = await scope.columns(rule)
    if table is None:
        return dict.fromkeys(rule.key_columns)
    found: dict[str, Column | None] = {key: table.column(key) for key in rule.key_columns}
    missing = [key for key, column in found.items() if column is None]
    if missing:
        raise NotSupported(f"sharding key column '{missing[0]}' is missing in table '{rule.nodes[0]}'")
    return found


def table_names(targets: Iterable[Target]) -> tuple[TableName, ...]:
    """Database and name of every table, once."""
    return tuple(dict.fromkeys(TableName(t.database.name, t.reference.name) for t in targets))


def table_edits(blocks: Blocks) -> list[Edit]:
    """Actual tables under their logical names (or aliases), so that qualified columns and metadata stay as they are."""
    pairs = pairwise(blocks.statement.tokens)
    bare = {after.start for word, after in pairs if word.upper == "TABLE"}  # TABLE t knows no alias
    edits = []
    for r in blocks.references:
        alias = None if r.has_alias or r.span[0] in bare else r.name
        edits.append(Edit(*r.span, (TableSlot(r.index, alias),)))
    return edits + database_edits(blocks.statement.tree)


def list_edits(statement: Statement, route: RouteTemplate) -> list[Edit]:
    """Lists of keys of which each data node gets its own part."""
    edits = []
    for number, keys in enumerate(route.lists):
        spans = [statement.literals[literal] for literal in keys.literals]
        between = {statement.text[before[1] : after[0]].strip() for before, after in pairwise(spans)}
        if between == {","}:  # and no comment, sign or introducer
            edits.append(Edit(spans[0][0], spans[-1][1], (ListSlot(number, keys.literals),)))
    return edits


def database_edits(tree: exp.Expr) -> list[Edit]:
    """``db.t.c`` becomes ``t.c``: behind an alias no database can be named."""
    edits = []
    for column in tree.find_all(exp.Column):
        if column.args.get("db") is None:
            continue
        database, table = span_of(column.args["db"]), span_of(column.args["table"])
        if database is None or table is None or column.args.get("catalog"):
            raise NotSupported("a column with a database before it where the mesh cannot find it in the text")
        edits.append(Edit(database[0], table[0]))
    return edits
