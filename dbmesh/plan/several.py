"""A SELECT that may concern several data nodes: rows, distinct rows or groups."""

from __future__ import annotations

from collections.abc import Sequence

from dbmesh.errors import NotSupported
from dbmesh.plan.grouping import is_grouped, plan_groups
from dbmesh.plan.model import Scope
from dbmesh.plan.outline import Outline
from dbmesh.plan.scatter import plan_distinct, plan_rows
from dbmesh.plan.select import SelectPlan
from dbmesh.rewrite import Edit
from dbmesh.sql.blocks import Blocks


async def plan_several(plan: SelectPlan, blocks: Blocks, table_edits: Sequence[Edit], scope: Scope) -> None:
    """Complete ``plan`` for several data nodes, or say in it why there is no way."""
    try:
        outline = Outline(blocks, table_edits)
        if is_grouped(outline):
            planned = await plan_groups(outline, plan.route, scope)
        elif outline.layout.distinct:
            planned = await plan_distinct(outline, plan.route, scope)
        else:
            planned = await plan_rows(outline, plan.route, scope)
    except NotSupported as refusal:
        plan.refusal = refusal
        return
    plan.several = planned.scattered
    plan.pinned |= planned.pinned
    if planned.assumed:
        plan.notes += ("types of sorted or grouped values are not known; they are taken for numbers or dates",)
