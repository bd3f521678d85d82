"""What a staged write has done to a scratch table, as writes of the shards' tables: by key, every value a literal.

A scratch table of a written reference has two columns more: ``dm_row_n`` numbers its rows, ``dm_node_n`` says which
data node a row is from. What the rows were is kept in ``dm_before_n``, since keys may be assigned, too. All generated
text is ASCII but for names, and runs in UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from dbmesh.errors import NotSupported
from dbmesh.plan.key_tokens import key_token
from dbmesh.plan.model import Call, Effects, RouteUnit, Write
from dbmesh.plan.travel import Travel, travel
from dbmesh.protocol.charset import UnknownCharacterSet, python_codec
from dbmesh.rewrite import quoted
from dbmesh.route.key_numbers import INTEGER_TYPES
from dbmesh.route.keys import stored_value
from dbmesh.rules.model import BroadcastTable, DataNode, KeyValue, ShardedTable, TableRule
from dbmesh.schema import Column, Table

MOST_KEYS = 200  # rows of one UPDATE or DELETE
MOST_CASES = 50  # rows of one UPDATE that get values of their own
_FEW = 4  # rows that share their new values, from which on they are told apart by them
MOST_CHARACTERS = 1 << 19  # of one statement's values, unless a single row is longer
TARGET = "dm_target"  # the scratch table that an INSERT fills
ROW_NUMBER = "dm_row"  # its rows' numbers
Cells = Sequence[bytes | None]
T = TypeVar("T")

_COMPARED = frozenset(
    ("tinyint", "smallint", "mediumint", "int", "bigint", "year", "decimal", "float", "double", "bit", "enum", "set",
     "date", "time", "datetime", "timestamp")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class WrittenTable:
    """A table that a staged write changes. ``key``: what tells its rows apart on a data node."""

    rule: TableRule
    table: Table
    key: tuple[Column, ...]
    stored: tuple[Column, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "stored", tuple(c for c in self.table.columns if not c.generated))

    def at(self, node: int) -> tuple[DataNode, ...]:
        """Where the row of data node number ``node`` is: in every copy of a broadcast table."""
        return self.rule.nodes if isinstance(self.rule, BroadcastTable) else (self.rule.nodes[node],)

    def home(self, row: dict[str, bytes | None], otherwise: int) -> int:
        """The data node that the row belongs to. ``row``: by lower-cased column, as `travel` reads it."""
        if not isinstance(self.rule, ShardedTable):
            return otherwise
        return self.rule.node_for(tuple(self.key_value(name, row[name]) for name in self.rule.key_columns))

    def key_value(self, name: str, raw: bytes | None) -> KeyValue:
        """A sharding key column's value, as it is stored."""
        column = self.table.column(name)
        assert column is not None
        try:
            token = key_token(raw, column, _codec(column))
        except UnicodeDecodeError:
            raise NotSupported(f"a value of the sharding key column '{name}' that is no text") from None
        return stored_value(token.removeprefix("-"), token.startswith("-"), column, True)


def _codec(column: Column) -> str:
    try:
        return python_codec(column.charset) if column.charset else "ascii"
    except UnknownCharacterSet:
        return "ascii"


def row_key(rule: TableRule, table: Table) -> tuple[Column, ...]:
    """The columns that tell the table's rows apart. Raises NotSupported without any."""
    names = [index.columns for index in table.unique]
    candidates = [table.primary_key] if table.primary_key else sorted(names, key=len)
    for candidate in candidates:
        columns = tuple(column for name in candidate if (column := table.column(name)) is not None)
        if columns and len(columns) == len(candidate) and not any(column.nullable for column in columns):
            return columns
    raise NotSupported(
        f"its rows have to be found again on their data nodes, and table '{rule.name}' has no primary key",
        "give the table one, or restrict the statement to one sharding key",
    )


def differs(column: Column, was: str) -> str:
    """Whether a column's bytes are not those of the column ``was``, as SQL."""
    name = quoted(column.name)
    if column.type in _COMPARED:
        return f"NOT ({name} <=> {was})"
    return f"NOT (HEX({name}) <=> HEX({was}))"


def equal(column: Column, way: Travel, raw: bytes | None) -> str:
    """A key column's value as a literal that an index is looked up by."""
    assert raw is not None, "a key is never NULL"
    if column.charset is not None and column.type in ("char", "varchar", "tinytext", "text"):
        return f"_{column.charset} x'{raw.hex()}' COLLATE {column.collation}"
    return way.write(raw)


@dataclass(frozen=True, slots=True)
class _Changed:
    """What UPDATE and DELETE have in common. ``number``: of the written reference."""

    written: WrittenTable
    number: int
    keys: tuple[Travel, ...] = field(init=False)

    def __post_init__(self) -> None:
        named = (replace(column, name=f"dm_key_{at}") for at, column in enumerate(self.written.key))
        object.__setattr__(self, "keys", tuple(map(travel, named)))

    @property
    def name(self) -> str:
        return self.written.rule.name

    @property
    def scratch(self) -> str:
        return quoted(f"dm_scratch_{self.number}")

    @property
    def tables(self) -> tuple[str, ...]:
        return (f"dm_before_{self.number}",)

    def kept(self, columns: Sequence[Column]) -> str:
        items = [f"{quoted(f'dm_row_{self.number}')} AS dm_row", f"{quoted(f'dm_node_{self.number}')} AS dm_node"]
        items += [f"{quoted(column.name)} AS dm_key_{at}" for at, column in enumerate(self.written.key)]
        items += [f"{quoted(column.name)} AS dm_was_{at}" for at, column in enumerate(columns)]
        listed = ", ".join(items)
        return f"CREATE TEMPORARY TABLE {quoted(self.tables[0])} (KEY (dm_row)) SELECT {listed} FROM {self.scratch}"

    def literals(self, raw: Cells) -> tuple[str, ...]:
        key = self.written.key
        return tuple(equal(c, way, value) for c, way, value in zip(key, self.keys, raw, strict=True))

    def where(self, keys: Sequence[tuple[str, ...]]) -> str:
        names = [quoted(column.name) for column in self.written.key]
        if len(names) == 1:
            return f"{names[0]} IN ({', '.join(literal for (literal,) in keys)})"
        return " OR ".join(f"({self.condition(key)})" for key in keys)

    def condition(self, key: tuple[str, ...]) -> str:
        """That a row has this key."""
        names = [quoted(column.name) for column in self.written.key]
        return " AND ".join(f"{name} = {value}" for name, value in zip(names, key, strict=True))

    def deletions(self, gone: Sequence[tuple[int, tuple[str, ...]]]) -> list[RouteUnit]:
        """``gone``: data node and key of each row."""
        by_node: dict[int, list[tuple[str, ...]]] = {}
        for node, key in gone:
            by_node.setdefault(node, []).append(key)
        units = []
        for node, keys in sorted(by_node.items()):
            for at in self.written.at(node):
                head = f"DELETE FROM {quoted(at.table)}"
                units += [_unit("D", at, head, self.where(some), ()) for some in _in_batches(keys)]
        return units


def _length(row: tuple[tuple[str, ...], tuple[str, ...]]) -> int:
    return sum(map(len, row[1]))


def _in_batches(keys: Sequence[tuple[str, ...]]) -> Iterator[Sequence[tuple[str, ...]]]:
    for start in range(0, len(keys), MOST_KEYS):
        yield keys[start : start + MOST_KEYS]


def _unit(op: str, at: DataNode, head: str, where: str, columns: tuple[str, ...]) -> RouteUnit:
    write = Write(op, at.table, quoted(at.table), head, where=where, set_columns=columns)  # type: ignore[arg-type]
    return RouteUnit(at.data_source, at.table, f"{head} WHERE {where}", write)


@dataclass(frozen=True, slots=True)
class Deleted(_Changed):
    """Rows that are gone from their scratch table."""

    @property
    def what(self) -> str:
        return "DELETE of the rows that are gone"

    @property
    def before(self) -> tuple[str, ...]:
        return (self.kept(()),)

    @property
    def read(self) -> str:
        items = ", ".join(["dm_node", *(way.read for way in self.keys)])
        row = quoted(f"dm_row_{self.number}")
        return (
            f"SELECT {items} FROM {quoted(self.tables[0])} LEFT JOIN {self.scratch} ON dm_row = {row}"
            f" WHERE {row} IS NULL ORDER BY dm_row"
        )

    def effects(self, rows: Iterable[Cells]) -> Effects:
        return Effects(self.deletions([(int(row[0] or 0), self.literals(row[1:])) for row in rows]))


@dataclass(frozen=True, slots=True)
class Updated(_Changed):
    """Rows that are other than they were. ``columns``: those that may be.

    ``unique``: lower-cased columns among them that are in a unique index: two rows may exchange their values, so such
    rows are deleted before they are inserted. ``whole``: rows may have to be inserted elsewhere, all of them.
    """

    columns: tuple[Column, ...] = ()
    unique: frozenset[str] = frozenset()
    whole: bool = False
    ways: tuple[Travel, ...] = field(init=False)

    def __post_init__(self) -> None:
        _Changed.__post_init__(self)
        object.__setattr__(self, "ways", tuple(map(travel, self.written.stored if self.whole else self.columns)))

    @property
    def what(self) -> str:
        anew = ", or DELETE and INSERT of those whose key is another" if self.whole else ""
        return f"UPDATE of the rows that are other than before{anew}"

    @property
    def before(self) -> tuple[str, ...]:
        return (self.kept(self.columns),)

    @property
    def read(self) -> str:
        other = {column.name.lower(): differs(column, f"dm_was_{at}") for at, column in enumerate(self.columns)}
        anew = " OR ".join(text for name, text in other.items() if name in self.unique) or "0"
        items = ", ".join(["dm_node", f"({anew})", *(way.read for way in (*self.keys, *self.ways))])
        return (
            f"SELECT {items} FROM {quoted(self.tables[0])} JOIN {self.scratch} ON dm_row = "
            f"{quoted(f'dm_row_{self.number}')} WHERE {' OR '.join(other.values())} ORDER BY dm_row"
        )

    def effects(self, rows: Iterable[Cells]) -> Effects:
        gone: list[tuple[int, tuple[str, ...]]] = []
        new = Insertion(self.written, self.written.stored)
        same: dict[tuple[int, tuple[str, ...]], list[tuple[str, ...]]] = {}
        moves = False
        for row in rows:
            node, key, values = int(row[0] or 0), self.literals(row[2 : 2 + len(self.keys)]), row[2 + len(self.keys) :]
            texts = tuple("NULL" if v is None else way.write(v) for way, v in zip(self.ways, values, strict=True))
            home = self._home(values, node)
            if home != node or row[1] == b"1":
                moves = moves or self.written.at(home)[0].data_source != self.written.at(node)[0].data_source
                gone.append((node, key))
                new.add(home, texts)
            else:
                same.setdefault((node, texts), []).append(key)
        units = [*self.deletions(gone), *self._updates(same), *new.units("INSERT")]
        return Effects(units, moves)

    def _home(self, values: Cells, node: int) -> int:
        if not self.whole:
            return node
        row = {column.name.lower(): value for column, value in zip(self.written.stored, values, strict=True)}
        return self.written.home(row, node)

    def _updates(self, same: dict[tuple[int, tuple[str, ...]], list[tuple[str, ...]]]) -> list[RouteUnit]:
        by_node: dict[int, dict[tuple[str, ...], list[tuple[str, ...]]]] = {}
        for (node, texts), keys in same.items():
            by_node.setdefault(node, {})[texts] = keys
        units = []
        for node, groups in sorted(by_node.items()):
            for at in self.written.at(node):
                if len(groups) * _FEW <= sum(map(len, groups.values())):
                    for texts, keys in groups.items():
                        units += [self._update(at, dict.fromkeys(some, texts)) for some in _in_batches(keys)]
                else:
                    rows = [(key, texts) for texts, keys in groups.items() for key in keys]
                    units += [self._update(at, dict(some)) for some in _batches(rows, _length, MOST_CASES)]
        return units

    def _update(self, at: DataNode, rows: dict[tuple[str, ...], tuple[str, ...]]) -> RouteUnit:
        """One UPDATE of these rows, by key. A column's values that differ are told apart by the key, too."""
        wanted = {column.name.lower() for column in self.columns} - self.unique
        assigned = {}
        for place, way in enumerate(self.ways):
            if way.column.lower() in wanted:
                values = {key: texts[place] for key, texts in rows.items()}
                one = len(set(values.values())) == 1
                assigned[way.column] = next(iter(values.values())) if one else self._case(values)
        listed = ", ".join(f"{quoted(name)} = {text}" for name, text in assigned.items())
        return _unit("U", at, f"UPDATE {quoted(at.table)} SET {listed}", self.where(list(rows)), tuple(assigned))

    def _case(self, values: dict[tuple[str, ...], str]) -> str:
        cases = (f"WHEN {self.condition(key)} THEN {value}" for key, value in values.items())
        return f"CASE {' '.join(cases)} END"


@dataclass(slots=True)
class Insertion:
    """New rows on their way to their data nodes. ``columns``: those that are given."""

    written: WrittenTable
    columns: Sequence[Column]
    rows: dict[int, list[tuple[str, ...]]] = field(default_factory=dict)

    def add(self, node: int, values: tuple[str, ...]) -> None:
        """A row's values as literals."""
        self.rows.setdefault(node, []).append(values)

    def units(self, verb: str, tails: Sequence[str] = (), on_duplicate: bool = False) -> list[RouteUnit]:
        """``verb``: INSERT, INSERT IGNORE or REPLACE; ``tails``: what follows the rows, by data node."""
        names = tuple(column.name for column in self.columns)
        units = []
        for node, rows in sorted(self.rows.items()):
            for number, at in enumerate(self.written.at(node)):
                head = f"{verb} INTO {quoted(at.table)} ({', '.join(map(quoted, names))}) VALUES "
                tail = tails[number if len(self.written.at(node)) > 1 else node] if tails else ""
                for some in _batches(rows, _row_length, len(rows)):
                    sql = head + ", ".join(f"({', '.join(row)})" for row in some) + tail
                    write = Write(
                        "I", at.table, quoted(at.table), sql, insert_columns=names, insert_rows=tuple(some),
                        ignore=verb.endswith("IGNORE"), replace=verb == "REPLACE", on_duplicate=on_duplicate,
                    )  # fmt: skip
                    units.append(RouteUnit(at.data_source, at.table, sql, write))
        return units


def _row_length(row: tuple[str, ...]) -> int:
    return sum(map(len, row))


def _batches(rows: Sequence[T], length: Callable[[T], int], most: int) -> Iterator[Sequence[T]]:
    """At most so many rows, of `MOST_CHARACTERS` unless a single one is longer."""
    start, size = 0, 0
    for at, row in enumerate(rows):
        more = length(row)
        if at > start and (size + more > MOST_CHARACTERS or at - start == most):
            yield rows[start:at]
            start, size = at, 0
        size += more
    yield rows[start:]


@dataclass(frozen=True, slots=True)
class Numbers:
    """The column whose missing values are made: by the mesh (``generated``), else by the one server of the table."""

    column: str
    generated: bool


@dataclass(frozen=True, slots=True)
class Inserted:
    """Rows that the client's text has put into `TARGET`. ``create``: that table; ``call``: who makes keys.

    ``verb``: INSERT, INSERT IGNORE or REPLACE; ``tails``: ON DUPLICATE KEY UPDATE … by data node, () without.
    """

    written: WrittenTable
    create: str
    verb: str
    tails: tuple[str, ...]
    numbers: Numbers | None
    call: Call

    @property
    def name(self) -> str:
        return self.written.rule.name

    @property
    def what(self) -> str:
        keyed = " and a generated key" if self.numbers is not None and self.numbers.generated else ""
        return f"{self.verb} of the rows, each with its values{keyed}" + (
            " and the client's ON …" if self.tails else ""
        )

    @property
    def tables(self) -> tuple[str, ...]:
        return (TARGET,)

    @property
    def before(self) -> tuple[str, ...]:
        return (self.create,)

    @property
    def read(self) -> str:
        items = ", ".join(travel(column).read for column in self.written.stored)
        return f"SELECT {items} FROM {quoted(TARGET)} ORDER BY {ROW_NUMBER}"

    def effects(self, rows: Iterable[Cells]) -> Effects:
        columns = self.written.stored
        names = [column.name.lower() for column in columns]
        ways = [travel(column) for column in columns]
        at = names.index(self.numbers.column) if self.numbers is not None else -1
        new = Insertion(self.written, columns)
        made: list[int] = []
        last, asked, given = 0, False, False
        for row in rows:
            values = dict(zip(names, row, strict=True))
            texts = ["NULL" if v is None else way.write(v) for way, v in zip(ways, row, strict=True)]
            if self.numbers is not None and self._asks(columns[at], row[at]):
                asked = True
                texts[at], values[names[at]] = self._next(made)
            elif at >= 0:
                given, last = True, _whole(row[at])
            new.add(0 if self._by_server and asked else self.written.home(values, 0), tuple(texts))
        units = new.units(self.verb, self.tails, bool(self.tails))
        if not asked:
            return Effects(units, last_insert_id=last, given_ids=at >= 0)
        if self._by_server:
            if given and len(units) > 1:
                raise NotSupported("so many rows, of which some ask for an AUTO_INCREMENT value and some give it")
            return Effects(units)
        if self.tails:
            raise NotSupported("ON DUPLICATE KEY UPDATE of rows whose keys are generated", "give the keys")
        return Effects(units, last_insert_id=made[0] if made else 0)

    @property
    def _by_server(self) -> bool:
        return self.numbers is not None and not self.numbers.generated

    def _asks(self, column: Column, raw: bytes | None) -> bool:
        if raw is None:
            return True
        return self.call.zero_asks and column.type in INTEGER_TYPES and int(raw) == 0

    def _next(self, made: list[int]) -> tuple[str, bytes | None]:
        """A new key as a literal, and as its column would be read; ``made``: those that are numbers."""
        assert self.numbers is not None
        if not self.numbers.generated:
            if len(self.written.rule.nodes) > 1:
                raise NotSupported(
                    f"an AUTO_INCREMENT value for '{self.numbers.column}' of '{self.name}': each data node would count"
                    " for itself",
                    f"configure a key generator for it or give '{self.numbers.column}' a value",
                )
            return "NULL", None
        key = self.call.next_key(self.name)
        if isinstance(key, int):
            made.append(key)
            return str(key), str(key).encode("ascii")
        return f"'{key}'", key.encode("ascii")


def _whole(raw: bytes | None) -> int:
    return int(raw) if raw is not None and raw.isdigit() else 0
