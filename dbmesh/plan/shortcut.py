"""The hot path of a statement on one table by one key: literal → key value → data node → text."""

from __future__ import annotations

from dbmesh.route.keys import Verdict, key_value
from dbmesh.rules.keys import UnsuitableKey
from dbmesh.rules.model import ShardedTable
from dbmesh.schema import Column


class Shortcut:
    """``literal``: the index of the key among the literals. ``texts``: per data node its data source and the %-format
    of all literals.
    """

    __slots__ = ("column", "literal", "negative", "table", "texts")

    def __init__(
        self,
        table: ShardedTable,
        column: Column | None,
        literal: int,
        negative: bool,
        texts: tuple[tuple[str, str], ...],
    ) -> None:
        self.table = table
        self.column = column
        self.literal = literal
        self.negative = negative
        self.texts = texts

    def relay(self, literals: tuple[str, ...]) -> tuple[str, str] | None:
        """See `plan.model.Plan.relay`."""
        value = key_value(literals[self.literal], self.negative, self.column)
        if isinstance(value, Verdict):
            return None
        try:
            home = self.table.sharding.home((value,))
        except UnsuitableKey:
            return None
        if home is None:
            return None
        data_source, text = self.texts[home]
        return data_source, text % literals
