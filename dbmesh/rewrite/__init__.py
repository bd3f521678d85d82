"""The client's text made into the text for a data node: spliced, never generated anew."""

from dbmesh.rewrite.splice import Edit, splice
from dbmesh.rewrite.template import LimitSlot, ListSlot, Literal, Piece, SessionValue, TableSlot, Template, quoted

__all__ = [
    "Edit",
    "LimitSlot",
    "ListSlot",
    "Literal",
    "Piece",
    "SessionValue",
    "TableSlot",
    "Template",
    "quoted",
    "splice",
]
