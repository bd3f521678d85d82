"""LOAD DATA LOCAL: which data node gets which records of the client's file, and the statement that each gets.

Records are not rewritten: each node's server reads the bytes of its own, and converts the values itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dbmesh.errors import NotSupported
from dbmesh.plan.clock import clock_calls
from dbmesh.plan.model import Bound, Call, Plan, RouteKind, RouteUnit, Scope, TableName
from dbmesh.plan.session_functions import assigned_variable, check_functions, session_edits_of
from dbmesh.plan.write_text import check_known_functions, check_repeatable, qualified_edits
from dbmesh.protocol.charset import UnknownCharacterSet, python_codec
from dbmesh.rewrite import Edit, TableSlot, quoted, splice
from dbmesh.route.key_numbers import INTEGER_TYPES
from dbmesh.route.keys import stored_value
from dbmesh.route.literals import Kind, read
from dbmesh.rules.model import BroadcastTable, DataNode, ShardedTable, TableRule
from dbmesh.schema import Column, Table
from dbmesh.sql.classify import StatementKind
from dbmesh.sql.load_data import LoadData, read_load
from dbmesh.sql.records import MISSING, Field, Record, Records, Separators
from dbmesh.sql.tokens import TokenKind

# In others a byte of a character may be that of a separator or of a backslash.
_SEPARABLE = frozenset(
    {"utf8mb4", "utf8mb3", "utf8", "latin1", "ascii", "binary", "latin2", "latin5", "latin7", "cp1250", "cp1251",
     "cp1256", "cp1257", "cp850", "cp852", "cp866", "koi8r", "koi8u", "greek", "hebrew", "tis620"}
)  # fmt: skip
_QUERIES = frozenset({"SELECT", "TABLE", "WITH", "VALUES"})
_BINARIES = frozenset({"binary", "varbinary"})


@dataclass(kw_only=True)
class LoadPlan(Plan):
    """``rule`` and ``table``: what is loaded; ``load``: the statement's parts."""

    text: str
    load: LoadData
    rule: TableRule
    table: Table | None
    file: str

    @property
    def parted(self) -> bool:
        """Whether the records go to several data nodes."""
        return isinstance(self.rule, ShardedTable) and len(self.rule.nodes) > 1

    @property
    def mistaken(self) -> bool:
        """Whether it names a column that the table has not: any server says so, before it asks for the file."""
        table, named = self.table, (*(self.load.columns or ()), *self.load.set_columns)
        return table is not None and any(name is not None and table.column(name) is None for name in named)

    def bind(self, literals: Sequence[str], call: Call) -> Bound:
        """Every node that has the table, each with the whole statement."""
        units = tuple(self.unit(node, call) for node in self.rule.nodes)
        copies = isinstance(self.rule, BroadcastTable) and len(units) > 1
        kind = RouteKind.BROADCAST if copies else RouteKind.SINGLE if len(units) == 1 else RouteKind.SCATTER
        return Bound(self.kind, kind, units, affected="first" if copies else "sum", leaves=self.leaves)

    def unit(self, node: DataNode, call: Call, generated: str | None = None) -> RouteUnit:
        """The statement for one node. ``generated``: a column whose values stand before each record."""
        tokens, load = self.load.tokens, self.load
        edits = [
            Edit(tokens[load.name.first].start, tokens[load.name.last - 1].end, (TableSlot(0),)),
            *qualified_edits(tokens, load.database, load.table, load.name),
            *session_edits_of(self.text, tokens),
        ]
        if self.parted:
            edits += [found.edit for found in clock_calls(tokens)]
            if load.skip_span.last:
                first, last = load.skip_span
                edits.append(Edit(tokens[first].start, tokens[last - 1].end))
        if generated is not None:
            at = tokens[load.list_at].start
            edits.append(Edit(at, at, (f"{quoted(generated)}, ",)))
        template = splice(self.text, (), edits, end=tokens[-1].end)
        return RouteUnit(node.data_source, node.table, template.render((), (node.table,), call.session_value))


async def plan_load(text: str, scope: Scope) -> LoadPlan:
    """Raises NotSupported for what several data nodes could not load as one server would."""
    load = read_load(text)
    if not load.local:
        raise NotSupported("LOAD DATA reads a file of one server", "use LOAD DATA LOCAL, which reads the client's")
    check_functions(load.tokens)
    inner = load.tokens[slice(*load.set_span)]
    if any(token.upper in _QUERIES for token in inner if token.kind is TokenKind.WORD):
        raise NotSupported("a subquery in SET of LOAD DATA", "load into another table first")
    database, rule = scope.resolve(load.database, load.table)
    if rule.base:
        raise NotSupported("LOAD DATA into a table that BASE transactions write", "use INSERT statements of many rows")
    table = await scope.columns(rule)
    file = read(load.file).value
    if not isinstance(file, str):
        raise NotSupported("this name of a file in LOAD DATA", "write it as a string")
    load.database = load.database or database.name
    plan = LoadPlan(
        kind=StatementKind.INSERT, tables=(TableName(database.name, load.table),), writes=True,
        text=text, load=load, rule=rule, table=table, file=file,
        leaves=tuple(dict.fromkeys(map(assigned_variable, load.variables))),
    )  # fmt: skip
    if isinstance(rule, BroadcastTable) and len(rule.nodes) > 1:
        _check_copies(load, table)
    if plan.parted:
        check_known_functions(load.tokens, [load.set_span])
    return plan


def _check_copies(load: LoadData, table: Table | None) -> None:
    check_repeatable(load.tokens, [load.set_span])
    for column in table.columns if table is not None else ():
        computed = column.default is not None and read(column.default.removeprefix("-")).kind is Kind.OTHER
        if column.auto_increment or column.on_update or computed:
            raise NotSupported(
                f"LOAD DATA into a broadcast table whose copies would each work out '{column.name}'",
                "use INSERT statements of many rows",
            )


def separators(load: LoadData) -> Separators:
    """What parts the file. Raises NotSupported for what only a server knows to read."""
    default = Separators()
    found = Separators(
        _bytes(load.terminated, default.terminated),
        _bytes(load.enclosed, default.enclosed),
        _bytes(load.escaped, default.escaped),
        _bytes(load.starting, default.starting),
        _bytes(load.lines_terminated, default.lines),
    )
    if len(found.enclosed) > 1 or len(found.escaped) > 1:
        raise NotSupported("ENCLOSED BY or ESCAPED BY with more than one character", "use one")
    if not found.terminated and not found.enclosed:
        raise NotSupported("the fixed-row format of LOAD DATA on several data nodes", "separate the fields")
    return found


def _bytes(token: str | None, default: bytes) -> bytes:
    if token is None:
        return default
    value = read(token).value
    if isinstance(value, str) and value.isascii():
        return value.encode("ascii")
    if isinstance(value, bytes) and value.isascii():
        return value
    raise NotSupported(f"the separator {token} in LOAD DATA on several data nodes", "use ASCII characters")


class Parting:
    """The records of a file on their way to the data nodes of a sharded table.

    ``generated``: the column that stands before each record. ``first_id``: the first value for it that is a number.
    """

    def __init__(self, plan: LoadPlan, marks: Separators, charset: str, strict: bool, call: Call) -> None:
        """``charset``: of the file. ``strict``: a value that a column cannot hold is an error."""
        assert isinstance(plan.rule, ShardedTable)
        if plan.table is None:
            raise NotSupported("LOAD DATA while no server can say which columns the table has")
        if charset not in _SEPARABLE:
            raise NotSupported(f"a file in {charset} for several data nodes", "convert it to utf8mb4")
        self._rule = plan.rule
        self._codec = _codec(charset)
        self._strict = strict and plan.load.replace
        self._call = call
        self._marks = marks
        columns = _listed(plan.load, plan.table)
        self._keys = [_key_column(plan.table, name) for name in plan.rule.key_columns]
        self.generated = _generated(plan, columns)
        numbered = _numbered(plan, columns, self.generated)
        _check_assigned(plan, columns, self.generated, numbered)
        self._from_file = [name for name in plan.rule.key_columns if name != self.generated]
        wanted = [columns.index(name) for name in (*self._from_file, *numbered)]
        self.records = Records(marks, len(columns), wanted, plan.load.skip)
        self._numbered = len(numbered)
        self._count = 0
        self.first_id: int | None = None
        self.last_node = 0

    def place(self, record: Record) -> tuple[int, bytes]:
        """The data node's number, and the bytes for it. Raises NotSupported where no node can be told."""
        self._count += 1
        values = record.fields[: len(self._from_file)]
        for field in record.fields[len(values) :]:
            self._check_number(field)
        raw, given = record.raw, dict(zip(self._from_file, values, strict=True))
        if self.generated is not None:
            token, raw = self._next(raw)
        key = []
        for name, column in zip(self._rule.key_columns, self._keys, strict=True):
            text = token if name == self.generated else self._token(given[name], column)
            key.append(stored_value(text, False, column, self._strict))
        self.last_node = self._rule.node_for(tuple(key))
        return self.last_node, raw

    def _next(self, raw: bytes) -> tuple[str, bytes]:
        """A generated key as SQL, and the record with it before its first field."""
        key = self._call.next_key(self._rule.name)
        text = str(key).encode("ascii")
        marks = self._marks
        if any(mark and mark in text for mark in (marks.terminated, marks.enclosed, marks.escaped, marks.lines)):
            raise NotSupported("separators that a generated key contains", "use others")
        if isinstance(key, int):
            self.first_id = key if self.first_id is None else self.first_id
        return str(key) if isinstance(key, int) else f"'{key}'", text + marks.terminated + raw

    def _token(self, field: Field, column: Column) -> str:
        if field is None:
            return "NULL"
        if not isinstance(field, bytes):
            raise NotSupported(f"record {self._count} of the file ends before its sharding key")
        if column.type in INTEGER_TYPES and field.isdigit():
            return field.decode("ascii")
        if column.type in _BINARIES:
            return f"x'{field.hex()}'"
        try:
            text = field.decode(self._codec)
        except UnicodeDecodeError:
            raise NotSupported(f"record {self._count} of the file has a sharding key that is no text") from None
        return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"

    def _check_number(self, field: Field) -> None:
        if field is None or field is MISSING or (isinstance(field, bytes) and not field.strip(b" 0")):
            raise NotSupported(
                f"record {self._count} of the file asks for an AUTO_INCREMENT value, which each data node would count "
                "for itself",
                "give the value in the file",
            )


def _codec(charset: str) -> str:
    try:
        return "ascii" if charset == "binary" else python_codec(charset)
    except UnknownCharacterSet:
        return "ascii"


def _listed(load: LoadData, table: Table) -> list[str | None]:
    """The column of each field, lower-cased; None for a user variable."""
    if load.columns is not None:
        return list(load.columns)
    return [column.name.lower() for column in table.columns if not column.invisible]


def _key_column(table: Table, name: str) -> Column:
    column = table.column(name)
    if column is None:
        raise NotSupported(f"sharding key column '{name}' is missing in table '{table.name}'")
    return column


def _generated(plan: LoadPlan, columns: Sequence[str | None]) -> str | None:
    """The key generator's column, where the file leaves it out."""
    assert isinstance(plan.rule, ShardedTable)
    generator = plan.rule.generator
    if generator is None or generator.column.lower() in columns:
        return None
    if plan.load.starting is not None:
        raise NotSupported("generated keys in a file with LINES STARTING BY", "give the values in the file")
    return generator.column.lower()


def _numbered(plan: LoadPlan, columns: Sequence[str | None], generated: str | None) -> list[str]:
    """Columns in the file in which an empty value would ask for a number."""
    assert plan.table is not None
    assert isinstance(plan.rule, ShardedTable)
    names = [column.name.lower() for column in plan.table.columns if column.auto_increment]
    if plan.rule.generator is not None:
        names.append(plan.rule.generator.column.lower())
    for name in names:
        if name not in columns and name != generated:
            raise NotSupported(
                f"AUTO_INCREMENT values of '{name}', which each data node would count for itself",
                "give the values in the file, or configure a key_generator",
            )
    return [name for name in dict.fromkeys(names) if name in columns]


def _check_assigned(
    plan: LoadPlan, columns: Sequence[str | None], generated: str | None, numbered: Sequence[str]
) -> None:
    assert isinstance(plan.rule, ShardedTable)
    for name in (*plan.rule.key_columns, *numbered, *([generated] if generated else [])):
        if name in plan.load.set_columns:
            raise NotSupported(f"SET of '{name}' in LOAD DATA: the mesh does not calculate", "give it in the file")
        if name not in columns and name != generated:
            raise NotSupported(f"a file without the sharding key '{name}'", "name its field in the list of columns")
