"""SELECT from information_schema: the client's text on one data source, each table replaced by its logical rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlglot import exp

from dbmesh.errors import NotSupported
from dbmesh.plan.model import TableName
from dbmesh.plan.references import database_edits
from dbmesh.plan.select import UnicastPlan
from dbmesh.plan.system_tables import INFORMATION_SCHEMA, LOGICAL, is_logical, may_be_read
from dbmesh.rewrite import Edit, SessionValue, quoted
from dbmesh.sql.blocks import Blocks, TableReference

Wanted = int | Literal["DATABASE"] | None
_PLAIN = re.compile(r"'([^'\\]*)'|\"([^\"\\]*)\"")


@dataclass(frozen=True, slots=True)
class LogicalReference:
    """A table of information_schema in the text. ``name``: in upper case.

    ``words``: the identifiers of the statement in upper case, None when it asks for all columns (``*``).
    ``schema`` and ``table``: the literal that its rows' schema and table must equal, where the text says so; then the
    servers look for a file of exactly that name.
    """

    name: str
    words: frozenset[str] | None
    schema: Wanted = None
    table: Wanted = None

    def asks_for(self, column: str) -> bool:
        return self.words is None or column.upper() in self.words


@dataclass(kw_only=True)
class SystemPlan(UnicastPlan):
    """``references``: in the order in which the template's ``RELATION n`` asks the call for their rows."""

    references: tuple[LogicalReference, ...]


def with_relations(plan: UnicastPlan, references: Sequence[LogicalReference]) -> SystemPlan:
    """``plan``, its template with the edits of `logical_references` in it."""
    return SystemPlan(
        kind=plan.kind,
        tables=plan.tables,
        user_variables=plan.user_variables,
        grants=plan.grants,
        data_source=plan.data_source,
        template=plan.template,
        references=tuple(references),
    )


def logical_references(blocks: Blocks) -> tuple[list[LogicalReference], list[Edit]]:
    """Those tables of a statement that the mesh shows as its own, and the edits that put relations in their place."""
    found: list[LogicalReference] = []
    edits = database_edits(blocks.statement.tree)
    words = _words(blocks)
    for reference in blocks.references:
        name = reference.name.upper()
        if reference.database.lower() != INFORMATION_SCHEMA or not is_logical(name):
            continue
        if isinstance(blocks.blocks[reference.block].node, exp.Table):
            raise NotSupported("TABLE with a table of information_schema", "write SELECT * FROM")
        alias = "" if reference.has_alias else f" AS {quoted(reference.name)}"
        edits.append(Edit(*reference.span, (SessionValue(f"RELATION {len(found)}"), *([alias] if alias else []))))
        found.append(_reference(blocks, reference, name, words))
    return found, edits


def closed(tables: Iterable[TableName]) -> list[TableName]:
    """Those of information_schema that not every user may read."""
    return [t for t in tables if t.database == INFORMATION_SCHEMA and not may_be_read(t.database, t.name)]


def plain_value(literal: str) -> str | None:
    """What a string literal of the text says, None where that takes more than looking at it."""
    match = _PLAIN.fullmatch(literal)
    value = None if match is None else match[1] if match[1] is not None else match[2]
    return value if value is not None and value.isascii() else None


def _words(blocks: Blocks) -> frozenset[str] | None:
    """None where all columns may be asked for."""
    tokens = blocks.statement.tokens
    for before, token in zip((None, *tokens), tokens, strict=False):
        if token.upper == "NATURAL":
            return None
        if token.text == "*" and before is not None and before.text != "(" and not _is_factor(before.text):
            return None
    return frozenset(token.name.upper() for token in tokens if token.is_name)


def _is_factor(before: str) -> bool:
    """``2 * x`` or ``(a) * b``: what stands before a multiplication and before no list of columns."""
    return before == ")" or before[0].isdigit()


def _reference(blocks: Blocks, reference: TableReference, name: str, words: frozenset[str] | None) -> LogicalReference:
    names = LOGICAL.get(name)
    if names is None:
        return LogicalReference(name, words)
    schema = _wanted(blocks, reference, names.schema)
    return LogicalReference(name, words, schema, _wanted(blocks, reference, names.table) if names.table else None)


def _wanted(blocks: Blocks, reference: TableReference, column: str) -> Wanted:
    statement = blocks.statement
    where = blocks.blocks[reference.block].node.args.get("where")
    if where is None or statement.traps:
        return None
    for part in _conjuncts(where.this):
        if not isinstance(part, exp.EQ):
            continue
        for one, other in ((part.this, part.expression), (part.expression, part.this)):
            if isinstance(one, exp.Column) and one.name.upper() == column and one.table in ("", reference.alias):
                if isinstance(other, exp.CurrentSchema):
                    return "DATABASE"
                if isinstance(other, exp.Literal) and other.is_string:
                    return statement.literal_of(other)
    return None


def _conjuncts(node: exp.Expr) -> Iterator[exp.Expr]:
    if isinstance(node, exp.Paren):
        yield from _conjuncts(node.this)
    elif isinstance(node, exp.And):
        for part in node.flatten():
            yield from _conjuncts(part)
    else:
        yield node
