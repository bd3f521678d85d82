"""Mistakes in a statement that no data node would see whole: a server reads it before the mesh parts or refuses it."""

from __future__ import annotations

from collections.abc import Sequence

from dbmesh.errors import BackendError
from dbmesh.plan.model import Scope
from dbmesh.plan.select import SelectPlan
from dbmesh.rewrite import Template
from dbmesh.route.placement import place_on
from dbmesh.route.router import RouteTemplate
from dbmesh.sql.statement import Statement

# What depends on the statement alone, not on the rows or on the session's variables (MySQL 8.4 error reference, 2).
_MISTAKES = frozenset({
    1052,  # a column in FROM is ambiguous
    1054,  # unknown column
    1056,  # cannot group on an aggregate
    1060,  # a derived table with two columns of one name
    1064, 1149,  # syntax
    1066,  # not unique table or alias
    1093,  # a table that is changed is read, too (MySQL)
    1110,  # a column is assigned twice
    1111,  # invalid use of a group function
    1176,  # an index of a hint does not exist
    1221,  # clauses that do not go together
    1222,  # set operations of different width
    1241,  # operand should contain one column
    1247,  # reference to an aggregate or a forward reference
    1248,  # a derived table without alias
    1305,  # unknown function
    1582, 1583,  # wrong number of arguments, wrong arguments of a function
    1747,  # PARTITION of a table without partitions
})  # fmt: skip


async def check_whole(plan: SelectPlan, statement: Statement, scope: Scope) -> None:
    """Raise what a server says of the client's statement, with actual tables of one data source in it."""
    await check_text(plan.route, plan.single, statement.text, statement.literals, scope)


async def check_text(
    route: RouteTemplate, template: Template, text: str, spans: Sequence[tuple[int, int]], scope: Scope
) -> None:
    """The same of a statement's parts. ``spans``: of its literals."""
    where = place_on(route, 0)
    if where is None or not route.conditions:
        return
    sql = template.render([text[start:end] for start, end in spans], where.tables, lambda _: "0")
    try:
        await scope.catalog.check(where.data_source, sql)
    except BackendError as error:
        if error.errno in _MISTAKES:
            raise
