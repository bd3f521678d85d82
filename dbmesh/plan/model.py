"""What planning makes and needs: Plan, Bound and its route units, and the ports to the servers and the session."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, Protocol

from dbmesh.errors import NoDatabase, NotSupported, UnknownDatabase, UnknownTable
from dbmesh.merge.spec import MergeSpec
from dbmesh.route.placement import RouteKind
from dbmesh.rules.model import BroadcastTable, Grant, LogicalDatabase, MeshRules, TableRule
from dbmesh.schema import Column, Table
from dbmesh.sql.classify import StatementKind

__all__ = [
    "FOUND_ROWS", "LAST_INSERT_ID", "SYSTEM_DATABASES", "Bound", "Call", "Catalog", "Effect", "Effects", "Federation",
    "Plan", "RouteKind", "RouteUnit", "Scope", "Shipment", "Staging", "TableName", "Write", "copies",
]  # fmt: skip

FOUND_ROWS, LAST_INSERT_ID = "FOUND_ROWS()", "LAST_INSERT_ID()"
SYSTEM_DATABASES = frozenset({"information_schema", "performance_schema", "mysql", "sys"})


class TableName(NamedTuple):
    """A table as the client names it: logical database (or a system database, in lower case) and logical table."""

    database: str
    name: str


@dataclass(frozen=True, slots=True)
class Write:
    """DML on one data node in actual names, in the parts that a BASE transaction takes its images with.

    ``op``: 'I', 'U' or 'D'. ``source``: the FROM item (``"`t_1` AS `t`"``). ``head``: the statement's text up to
    WHERE; ``where``, ``order_by`` and ``limit``: what follows those words, '' without. ``set_values``: the text that
    each of ``set_columns`` is assigned. ``insert_rows``: the text of each value of each row.
    """

    op: Literal["I", "U", "D"]
    table: str
    source: str
    head: str
    where: str = ""
    order_by: str = ""
    limit: str = ""
    set_columns: tuple[str, ...] = ()
    set_values: tuple[str, ...] = ()
    insert_columns: tuple[str, ...] = ()
    insert_rows: tuple[tuple[str, ...], ...] = ()
    ignore: bool = False
    replace: bool = False
    on_duplicate: bool = False

    def rewritten(self, change: Callable[[str], str]) -> Write:
        """With every text that has values in it changed."""
        return replace(
            self,
            head=change(self.head),
            where=change(self.where),
            order_by=change(self.order_by),
            limit=change(self.limit),
            set_values=tuple([change(value) for value in self.set_values]),
            insert_rows=tuple([tuple([change(str(value)) for value in row]) for row in self.insert_rows]),
        )


class LocalFile(Protocol):
    """The bytes of a LOAD DATA LOCAL, to be had once or more often."""

    def chunks(self) -> AsyncIterator[bytes]:
        """All of it in pieces below 16 MiB, none of them empty."""


@dataclass(frozen=True, slots=True)
class RouteUnit:
    """What is sent to one data source. ``table``: the actual table that it is about, '' for none or several.

    ``sentry``: part of a write that must find no row here; otherwise why the statement is refused.
    ``file``: what the server is given when it asks for the local file of a LOAD DATA.
    """

    data_source: str
    table: str
    sql: str
    write: Write | None = None
    sentry: NotSupported | None = None
    file: LocalFile | None = None

    def rewritten(self, change: Callable[[str], str]) -> RouteUnit:
        """With every text that has values in it changed."""
        return replace(self, sql=change(self.sql), write=self.write and self.write.rewritten(change))


@dataclass(frozen=True, slots=True)
class Shipment:
    """The rows of one table reference on their way to a scratch table: created, filled by ``units``, then read.

    ``write``: per column, what makes an SQL literal of the bytes that a server answered. ``partners``: scratch tables
    and their columns, without whose values its rows are not needed; ``reduced``: the units that gather the others,
    given the values of each, None where there are too many.
    """

    table: str
    create: str
    columns: tuple[str, ...]
    write: tuple[Callable[[bytes], str], ...]
    units: tuple[RouteUnit, ...]
    partners: tuple[tuple[str, str], ...] = ()
    reduced: Callable[[Sequence[Sequence[int] | None]], tuple[RouteUnit, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Federation:
    """One server's part of a federated SELECT: ``sql`` runs where the scratch tables are.

    ``reading``: the same text from tables of other names (one for each shipment) in a schema.
    ``most_rows`` and ``most_bytes``: what all shipments together may hold; beyond it the statement is refused.
    ``leaves``: see `Plan.leaves`. ``order``: in which the shipments are gathered, () for their own.
    """

    data_source: str
    shipments: tuple[Shipment, ...]
    sql: str
    reading: Callable[[Sequence[str], str], str]
    most_rows: int
    most_bytes: int
    leaves: tuple[str, ...] = ()
    order: tuple[int, ...] = ()


class Effects(NamedTuple):
    """What a staged write does to one table. ``moves``: it takes rows from one data source to another.

    ``last_insert_id``: what an INSERT's OK packet says, None to take the servers'; ``given_ids``: see `Bound`.
    """

    units: Sequence[RouteUnit]
    moves: bool = False
    last_insert_id: int | None = None
    given_ids: bool = False


class Effect(Protocol):
    """One table's part of a staged write: from its scratch table to route units.

    ``before``: statements on the scratch server before the client's text runs there; ``read``: afterwards, the SELECT
    of what has become different.
    """

    @property
    def name(self) -> str:
        """The logical table."""

    @property
    def what(self) -> str:
        """What the shards will do, for people."""

    @property
    def before(self) -> tuple[str, ...]: ...

    @property
    def read(self) -> str: ...

    @property
    def tables(self) -> tuple[str, ...]:
        """What ``before`` creates."""

    def effects(self, rows: Iterable[Sequence[bytes | None]]) -> Effects:
        """The writes that make the shards so. Raises NotSupported for what they could not do as one server."""


@dataclass(frozen=True, slots=True)
class Staging:
    """A write that no data node can do for itself: one server does it to scratch tables, then the shards do the same.

    ``federation``: gathers the rows, which stay locked, and has the client's text for the scratch tables. ``names``:
    scratch table → what the client calls it. ``ignore``: the client's IGNORE. ``strict``: what a condition cannot
    compare is an error. ``most_held``: bytes of changes that may wait in the mesh. ``counted``: 'scratch' when that
    server's counts are the answer's, 'shards' for an INSERT. ``as_client``: parts of what the shards do are the
    client's text; ``in_utc``: and moments in it are told in UTC.
    """

    federation: Federation
    effects: tuple[Effect, ...]
    names: Mapping[str, str]
    ignore: bool
    strict: bool
    most_held: int
    counted: Literal["scratch", "shards"] = "scratch"
    as_client: bool = False
    in_utc: bool = False


@dataclass(frozen=True, slots=True)
class Bound:
    """A plan with one call's values. ``affected``: 'first' when every unit changes a copy of the same rows.

    ``data_source`` of a UNICAST unit is one of several that would do. ``last_insert_id``: what the OK packet must say,
    None to take the backend's. ``given_ids``: the client gave the ids itself, LAST_INSERT_ID() stays what it was.
    ``returned``: for each row that a parted INSERT … RETURNING gives, the index of the unit it comes from.
    ``unsure_ids``: only the server that has run it can tell. ``federation``: the units only gather rows; what it says
    answers. ``otherwise``: another way, for when the merge finds out from its first rows that it cannot be right.
    ``leaves``: see `Plan.leaves`; of several units that of ``leaving`` has what one server would leave.
    ``staging``: the units only gather rows; what they are changed to is found out on one server.
    """

    kind: StatementKind
    route_kind: RouteKind
    units: tuple[RouteUnit, ...]
    merge: MergeSpec | None = None
    last_insert_id: int | None = None
    affected: Literal["sum", "first"] = "sum"
    given_ids: bool = False
    returned: tuple[int, ...] = ()
    leaves: tuple[str, ...] = ()
    unsure_ids: bool = False
    federation: Federation | None = None
    otherwise: Callable[[], Bound] | None = None
    leaving: int = 0
    staging: Staging | None = None


class Call(Protocol):
    """What one call knows beyond its literals."""

    @property
    def strict(self) -> bool:
        """Whether sql_mode is strict: a value that a column cannot hold is an error."""

    @property
    def zero_asks(self) -> bool:
        """Whether 0 in a numbered column asks for a number: sql_mode has no NO_AUTO_VALUE_ON_ZERO."""

    def session_value(self, name: str) -> str:
        """SQL text of a session function: DATABASE, LAST_INSERT_ID, CONNECTION_ID, USER, CURRENT_USER, FOUND_ROWS,
        ROW_COUNT, WARNING_COUNT, ERROR_COUNT; TIMESTAMP: this statement's time in seconds since 1970 UTC, with six
        digits behind the point (or the session's ``timestamp`` variable where the client has set it);
        RELATION n: the logical rows of the n-th table of information_schema that the plan refers to."""

    def next_key(self, table: str) -> int | str:
        """A new generated key of that logical table."""


class Catalog(Protocol):
    """What planning may ask the servers; answers are cached."""

    async def table(self, data_source: str, actual_table: str) -> Table | None:
        """None: offline, assume. Raises UnknownTable, in logical names, when the server has no such table."""

    async def describe(self, data_source: str, sql: str) -> tuple[Column, ...] | None:
        """Types and collations of the items of a SELECT; None offline."""

    async def is_mysql(self, data_source: str) -> bool:
        """Whether its server is MySQL's own, not MariaDB; False offline."""

    async def check(self, data_source: str, sql: str) -> None:
        """Have a server read a statement without running it. Raises its error; offline nothing."""


@dataclass(kw_only=True)
class Plan(ABC):
    """One statement shape, decided: bound with each call's literals.

    ``pinned``: indexes of literals whose text the plan has used up; another text needs another plan.
    ``writes``: it changes rows or schema.
    ``locks``: it takes row locks (FOR UPDATE …). ``grants``: what the user's rules must grant.
    ``user_variables``: lower-cased names, without '@', of the user variables in the text.
    ``judge``: set when our parser cannot read the text. The engine has a backend PREPARE it: a syntax
    error (1064) is the client's answer in the server's own words, else ``judge`` is raised. Such a plan cannot
    be bound.
    ``notes``: what had to be assumed, shown by EXPLAIN. ``based``: data source → its actual tables among the plan's
    that BASE transactions may write, for a plan that writes or locks: its rows' global locks must be looked at.
    ``keeps``: it makes a temporary table, whose connection its session has to keep. ``named_locks``: it calls
    GET_LOCK() or its kind, and must run on the session's connection for them. ``leaves``: what it changes on its
    server's connection: user variables with their '@', `FOUND_ROWS`, `LAST_INSERT_ID`. ``calls``: a SELECT that calls
    functions which are not the servers' own and may change rows.
    """

    kind: StatementKind
    tables: tuple[TableName, ...] = ()
    writes: bool = False
    locks: bool = False
    user_variables: frozenset[str] = frozenset()
    pinned: frozenset[int] = frozenset()
    grants: frozenset[Grant] = frozenset()
    judge: NotSupported | None = None
    keeps: bool = False
    named_locks: bool = False
    leaves: tuple[str, ...] = ()
    calls: bool = False
    notes: tuple[str, ...] = ()
    based: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @abstractmethod
    def bind(self, literals: Sequence[str], call: Call) -> Bound:
        """The route units of one call. Raises NotSupported when its values need a route that cannot be answered."""

    def sample(self, literals: Sequence[str], call: Call) -> tuple[str, str] | None:
        """(data source, SQL): the whole statement for some data node, to be read by its server and not to be run.

        None where no data node could be given all of it.
        """
        return None

    def relay(self, literals: tuple[str, ...]) -> tuple[str, str] | None:
        """(data source, SQL) when one unit without merge and without session values is all; None: ``bind`` it.

        Hot, and only ever a short cut: ``bind`` would answer the same.
        """
        return None


@dataclass(frozen=True, slots=True)
class Hints:
    """``shard``: the only data source to ask, '' for any. ``budget``: bytes that may be gathered, None: the rules'."""

    shard: str = ""
    budget: int | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """What a statement is planned in. ``database``: the session's, None when it has chosen none.

    ``system_database``: 'information_schema' or its like where the session has chosen that, else ''.
    """

    database: LogicalDatabase | None
    rules: MeshRules
    catalog: Catalog
    system_database: str = ""
    hints: Hints = Hints()

    def resolve(self, database: str, table: str) -> tuple[LogicalDatabase, TableRule]:
        """The rule of a table; ``database`` '' is the session's. Raises 1046, 1049 or 1146 as MySQL does."""
        home = self.rules.databases.get(database) if database else self.database
        if home is None:
            raise UnknownDatabase(database) if database else NoDatabase()
        rule = home.table(table)
        if rule is None:
            raise UnknownTable(home.name, table)
        return home, rule

    async def columns(self, rule: TableRule) -> Table | None:
        """The table as its first data node has it; None offline. Raises UnknownTable (1146)."""
        return await self.catalog.table(rule.nodes[0].data_source, rule.nodes[0].table)


def copies(rule: TableRule) -> dict[str, str]:
    """Data source → actual table, for tables that are whole wherever they are (broadcast and single ones)."""
    assert isinstance(rule, BroadcastTable) or len(rule.nodes) == 1
    return {node.data_source: node.table for node in rule.nodes}
