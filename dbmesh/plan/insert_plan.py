"""INSERT … VALUES bound: which row goes to which data node, and the statement that each node gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from dbmesh.errors import MeshError, NotSupported
from dbmesh.plan.insert_rows import Filling, Given, Row
from dbmesh.plan.model import Bound, Call, Plan, RouteKind, RouteUnit, Write
from dbmesh.rewrite import Template, quoted
from dbmesh.route.key_numbers import INTEGER_TYPES
from dbmesh.route.keys import stored_value
from dbmesh.rules.model import DataNode, KeyValue, ShardedTable
from dbmesh.schema import Column

_MOMENTS = ("date", "datetime")  # these hold of DATE'…' what they hold of '…'
_MISSING = frozenset({"NULL", "DEFAULT"})


class Placed(NamedTuple):
    """A row on its data node, with the SQL text of its generated key if it gets one."""

    row: Row
    key: str | None


@dataclass(frozen=True, slots=True)
class Parts:
    """The statement around its rows. ``whole``: all of it as the client wrote it, for when its rows stay as they are.

    ``names``: the columns that the rows give, added ones last; () where the text has no list and no server was asked.
    ``recorded``: BASE can take images of it.
    """

    head: Template
    tail: Template
    whole: Template
    names: tuple[str, ...]
    rows: int
    ignore: bool
    replace: bool
    on_duplicate: bool
    recorded: bool

    def sample(self, node: DataNode, literals: Sequence[str], call: Call) -> tuple[str, str]:
        """``Plan.sample``: the client's statement, without what the mesh adds to it."""
        return node.data_source, self.whole.render(literals, (node.table,), call.session_value)

    def unit(self, node: DataNode, placed: Sequence[Placed], extended: bool, filling: Filling) -> RouteUnit:
        """The statement for one data node. ``extended``: the mesh has added columns to it."""
        literals, _, call = filling
        if extended or len(placed) < self.rows or any(key is not None for _, key in placed):
            rows = ", ".join([row.shape.text(filling, row.first, key) for row, key in placed])
            head = self.head.render(literals, (node.table,), call.session_value)
            sql = head + rows + self.tail.render(literals, (node.table,), call.session_value)
        else:
            sql = self.whole.render(literals, (node.table,), call.session_value)
        return RouteUnit(node.data_source, node.table, sql, self._write(node, placed, sql, filling))

    def _write(self, node: DataNode, placed: Sequence[Placed], sql: str, filling: Filling) -> Write | None:
        if not self.recorded:
            return None
        return Write(
            "I",
            node.table,
            quoted(node.table),
            sql,
            insert_columns=self.names,
            insert_rows=tuple([row.shape.value_texts(filling, row.first, key) for row, key in placed]),
            ignore=self.ignore,
            replace=self.replace,
            on_duplicate=self.on_duplicate,
        )


class Numbering(NamedTuple):
    """The column whose missing values are made: by the mesh (``generated``) or by a server.

    ``place``: its index among the given columns, -1 when it is left out. ``automatic``: it is AUTO_INCREMENT on the
    servers, so that an OK packet tells its value. ``told``: that is where the number used is to be taken from, as it
    must where a row may turn out to be a duplicate.
    """

    column: str
    place: int
    generated: bool
    schema: Column | None
    automatic: bool
    told: bool

    def misses(self, given: Given, literals: Sequence[str], first: int, zero_counts: bool) -> bool:
        """Whether a row asks for a number. ``zero_counts``: 0 asks, too (sql_mode without NO_AUTO_VALUE_ON_ZERO)."""
        if given.word:
            return given.word in _MISSING or (given.word == "FALSE" and zero_counts)
        if given.literal is None:
            raise NotSupported(
                f"an expression as the value of column '{self.column}'", "give a literal, NULL or DEFAULT"
            )
        token = literals[first + given.literal]
        if not zero_counts or not self._numeric:
            return False
        if token.isdigit():
            return not token.strip("0")
        return stored_value(token, given.negative, self.schema, strict=False) == 0

    @property
    def _numeric(self) -> bool:
        return self.schema is None or self.schema.type in INTEGER_TYPES


@dataclass(kw_only=True)
class CopiesInsert(Plan):
    """One statement for every node of a table that is whole wherever it is; all but one node's answers are left out.

    ``numbering``: the AUTO_INCREMENT column. Of several copies, each server would count for itself.
    """

    nodes: tuple[DataNode, ...]
    parts: Parts
    rows: tuple[Row, ...]
    extended: bool = False
    numbering: Numbering | None = None
    text: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if len(self.nodes) == 1 and not self.extended:
            self.text = self.parts.whole.format_for([self.nodes[0].table])

    def sample(self, literals: Sequence[str], call: Call) -> tuple[str, str] | None:
        return self.parts.sample(self.nodes[0], literals, call)

    def relay(self, literals: tuple[str, ...]) -> tuple[str, str] | None:
        if self.text is None or (self.numbering is not None and self.numbering.place >= 0):
            return None
        return self.nodes[0].data_source, self.text % literals

    def bind(self, literals: Sequence[str], call: Call) -> Bound:
        constants = tuple(literals)
        numbered = self._numbered(constants, call)
        placed = [Placed(row, None) for row in self.rows]
        units = tuple(
            self.parts.unit(node, placed, self.extended, Filling(constants, node.table, call)) for node in self.nodes
        )
        kind = RouteKind.SINGLE if len(units) == 1 else RouteKind.BROADCAST
        affected: Literal["sum", "first"] = "sum" if len(units) == 1 else "first"
        unsure = len(units) == 1 and self._calculated
        return Bound(self.kind, kind, units, affected=affected, given_ids=not numbered, unsure_ids=unsure)

    @property
    def _calculated(self) -> bool:
        """Whether an expression may give a row its number, or ask for one."""
        return any(row.shape.numbered and not row.shape.numbered.known for row in self.rows)

    def _numbered(self, literals: tuple[str, ...], call: Call) -> bool:
        """Whether a server may number a row. Raises NotSupported when several would do so."""
        numbering = self.numbering
        if numbering is None:
            return True  # not known, or LAST_INSERT_ID(…) sets it
        if len(self.nodes) == 1 and self._calculated:
            return True
        for shape, first in self.rows:
            if shape.numbered is None or not numbering.misses(shape.numbered, literals, first, call.zero_asks):
                continue
            if len(self.nodes) == 1:
                return True
            raise NotSupported(
                f"an AUTO_INCREMENT value for '{numbering.column}' in a broadcast table: each copy would count alone",
                f"give '{numbering.column}' a value",
            )
        return False


@dataclass(kw_only=True)
class ShardedInsert(Plan):
    """``columns``: the sharding key's, None offline. ``apart``: why the rows must stay together, if they must."""

    table: ShardedTable
    columns: tuple[Column | None, ...]
    parts: Parts
    rows: tuple[Row, ...]
    extended: bool = False
    numbering: Numbering | None = None
    apart: NotSupported | None = None
    returning: bool = False
    texts: tuple[tuple[str, str], ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        if len(self.rows) == 1 and not self.extended:
            texts = [(node.data_source, self.parts.whole.format_for([node.table])) for node in self.table.nodes]
            complete = tuple((data_source, text) for data_source, text in texts if text is not None)
            self.texts = complete if len(complete) == len(texts) else ()

    @property
    def calculated(self) -> bool:
        """Whether an expression gives a row its sharding key or its number: only a server can tell them."""
        shapes = {id(row.shape): row.shape for row in self.rows}.values()
        return any(not given.known for shape in shapes for given in (*shape.keys, shape.numbered) if given is not None)

    def sample(self, literals: Sequence[str], call: Call) -> tuple[str, str] | None:
        return self.parts.sample(self.table.nodes[0], literals, call)

    def relay(self, literals: tuple[str, ...]) -> tuple[str, str] | None:
        if not self.texts:
            return None
        [(shape, first)] = self.rows
        numbering = self.numbering
        try:
            if (
                numbering is not None
                and shape.numbered is not None
                and (numbering.automatic or numbering.misses(shape.numbered, literals, first, True))
            ):
                return None
            data_source, text = self.texts[self.table.node_for(self._key(self.rows[0], literals, None, False))]
        except MeshError:
            return None
        return data_source, text % literals

    def bind(self, literals: Sequence[str], call: Call) -> Bound:
        constants = tuple(literals)
        placed: dict[int, list[Placed]] = {}
        homes: list[int] = []
        first_id: int | None = None
        numbered = False
        for row in self.rows:
            missing = self._misses(row, constants, call)
            numbered = numbered or missing
            key: str | None = None
            if missing and self.numbering is not None and self.numbering.generated:
                made = call.next_key(self.table.name)
                key = str(made) if isinstance(made, int) else f"'{made}'"
                first_id = made if first_id is None and isinstance(made, int) else first_id
            homes.append(self._home(row, constants, key, missing, call.strict))
            placed.setdefault(homes[-1], []).append(Placed(row, key))
        if len(placed) > 1 and self.apart is not None:
            raise self.apart
        nodes = self.table.nodes
        units = tuple(
            self.parts.unit(nodes[at], rows, self.extended, Filling(constants, nodes[at].table, call))
            for at, rows in sorted(placed.items())
        )
        told = self.numbering is not None and self.numbering.told
        last_insert_id = None if told else first_id
        given = self.numbering is not None and not numbered
        returned = _places(homes) if self.returning and len(units) > 1 else ()
        kind = self._kind(len(units))
        return Bound(self.kind, kind, units, last_insert_id=last_insert_id, given_ids=given, returned=returned)

    def _kind(self, units: int) -> RouteKind:
        if units == 1:
            return RouteKind.SINGLE
        return RouteKind.SCATTER if units == len(self.table.nodes) else RouteKind.MULTI

    def _misses(self, row: Row, literals: tuple[str, ...], call: Call) -> bool:
        numbering, given = self.numbering, row.shape.numbered
        if numbering is None or given is None or not numbering.misses(given, literals, row.first, call.zero_asks):
            return False
        if not numbering.generated and len(self.table.nodes) > 1:
            raise NotSupported(
                f"an AUTO_INCREMENT value for '{numbering.column}' of the sharded table '{self.table.name}': each data "
                "node would count for itself",
                f"configure a key generator for it or give '{numbering.column}' a value",
            )
        return True

    def _home(self, row: Row, literals: tuple[str, ...], key: str | None, missing: bool, strict: bool) -> int:
        if missing and key is None:
            return 0  # a server numbers the row, and there is only one
        return self.table.node_for(self._key(row, literals, key, strict and not self.parts.ignore))

    def _key(self, row: Row, literals: tuple[str, ...], key: str | None, strict: bool) -> tuple[KeyValue, ...]:
        values: list[KeyValue] = []
        for name, column, given in zip(self.table.key_columns, self.columns, row.shape.keys, strict=True):
            if key is not None and self.numbering is not None and self.numbering.column.lower() == name:
                values.append(stored_value(key, False, column, strict))
            elif given.literal is not None and (not given.word or (column and column.type in _MOMENTS)):
                values.append(stored_value(literals[row.first + given.literal], given.negative, column, strict))
            elif given.word and given.literal is None:
                values.append(_of_word(name, column, given.word, strict))
            else:
                raise NotSupported(f"an expression as the value of the sharding key column '{name}'", "give a literal")
        return tuple(values)


def _places(homes: Sequence[int]) -> tuple[int, ...]:
    """For each row the index of its data node among those that get any."""
    places = {home: place for place, home in enumerate(sorted(set(homes)))}
    return tuple([places[home] for home in homes])


def _of_word(name: str, column: Column | None, word: str, strict: bool) -> KeyValue:
    if word != "DEFAULT":
        return stored_value(word, False, column, strict)
    if column is None:
        raise NotSupported(f"the default of the sharding key column '{name}' while no server can be asked")
    text = column.default or "NULL"
    return stored_value(text.removeprefix("-"), text.startswith("-"), column, strict)
