"""One result from many: pure, streaming, driven by events."""

from dbmesh.merge.event import Columns, Evaluate, Evaluated, Event, Need, Reply, Rows
from dbmesh.merge.merged import check_alike, merged
from dbmesh.merge.spec import (
    Aggregate,
    AggregateKind,
    Finish,
    Group,
    Input,
    Item,
    MergeSpec,
    Pass,
    SortKey,
)

__all__ = [
    "Aggregate",
    "AggregateKind",
    "Columns",
    "Evaluate",
    "Evaluated",
    "Event",
    "Finish",
    "Group",
    "Input",
    "Item",
    "MergeSpec",
    "Need",
    "Pass",
    "Reply",
    "Rows",
    "SortKey",
    "check_alike",
    "merged",
]
