"""Expressions over merged rows, waiting for a call's literals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dbmesh.merge.spec import Finish, Item, Pass
from dbmesh.plan.model import Call
from dbmesh.rewrite import Template
from dbmesh.schema import Column


@dataclass(frozen=True, slots=True)
class FinishTemplate:
    """A ``Finish`` whose texts wait for the call's literals. ``output``: a column, or (text, label, what it is)."""

    finish: Finish
    output: tuple[int | tuple[Template, str, Column | None], ...]
    having: Template | None

    def bind(self, literals: Sequence[str], call: Call) -> Finish:
        output = [
            Pass(column) if isinstance(column, int) else self._item(column, literals, call) for column in self.output
        ]
        having = None if self.having is None else self.having.render(literals, (), call.session_value)
        return replace(self.finish, output=tuple(output), having=having)

    def _item(self, output: tuple[Template, str, Column | None], literals: Sequence[str], call: Call) -> Item:
        template, label, column = output
        return Item(template.render(literals, (), call.session_value), label.encode("utf-8", "surrogateescape"), column)
