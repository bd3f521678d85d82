"""Expressions over merged rows, waiting for a call's literals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dbmesh.merge.spec import Finish, Item, Pass
from dbmesh.plan.model import Call
from dbmesh.rewrite import Template


@dataclass(frozen=True, slots=True)
class FinishTemplate:
    """A ``Finish`` whose texts wait for the call's literals. ``output``: a column, or (text, label)."""

    finish: Finish
    output: tuple[int | tuple[Template, str], ...]
    having: Template | None

    def bind(self, literals: Sequence[str], call: Call) -> Finish:
        output = [
            Pass(column)
            if isinstance(column, int)
            else Item(column[0].render(literals, (), call.session_value), column[1].encode("utf-8", "surrogateescape"))
            for column in self.output
        ]
        having = None if self.having is None else self.having.render(literals, (), call.session_value)
        return replace(self.finish, output=tuple(output), having=having)
