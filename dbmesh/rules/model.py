"""The compiled rules: immutable, swapped whole by a reload, passed in wherever they are needed.

Made by ``rules.loader``. Passwords never show in ``repr``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from dbmesh import errors
from dbmesh.rules.keys import Between, Equal, KeyCondition, KeyType, KeyValue
from dbmesh.rules.passwords import StoredPassword
from dbmesh.rules.sharding import Conditions, Sharding

__all__ = [
    "Between",
    "BroadcastTable",
    "DataNode",
    "DataSource",
    "Equal",
    "Grant",
    "KeyCondition",
    "KeyGenerator",
    "KeyType",
    "KeyValue",
    "Listener",
    "ListenerTls",
    "LogicalDatabase",
    "MeshRules",
    "PoolRules",
    "ServerTls",
    "ShardedTable",
    "SingleTable",
    "TableRule",
    "TlsRules",
    "TransactionMode",
    "TransactionRules",
    "User",
]

TransactionMode = Literal["local", "single", "xa", "base"]
BaseMode = Literal["deferred", "eager"]
ListenerTls = Literal["off", "preferred", "required"]


@dataclass(frozen=True, slots=True)
class PoolRules:
    """The connections of one worker process to one data source. Times in seconds."""

    size: int = 16
    wait_timeout: float = 5.0
    idle_timeout: float = 300.0
    connect_timeout: float = 5.0


@dataclass(frozen=True, slots=True)
class TlsRules:
    """TLS towards a data source. ``mode``: 'preferred' and 'required' check nothing, 'verify_ca' the chain,
    'verify_identity' also the host name; 'preferred' goes without where the server has none."""

    mode: Literal["disabled", "preferred", "required", "verify_ca", "verify_identity"] = "verify_identity"
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class DataSource:
    """One MySQL schema on one server: ``socket``, or ``host`` and ``port``. Names are unique in the mesh."""

    name: str
    schema: str
    user: str
    password: bytes = field(default=b"", repr=False)
    host: str = ""
    port: int = 3306
    socket: str | None = None
    tls: TlsRules | None = None
    pool: PoolRules = PoolRules()

    @property
    def address(self) -> str:
        """Where the server listens, for people."""
        if self.socket is not None:
            return self.socket
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class DataNode:
    """A data source and an actual table in it."""

    data_source: str
    table: str

    def __str__(self) -> str:
        return f"{self.data_source}.{self.table}"


@dataclass(frozen=True, slots=True)
class KeyGenerator:
    """The column that an INSERT may leave out. ``spread``: data nodes that consecutive keys visit."""

    column: str
    type: Literal["snowflake", "uuid", "auto_increment"]
    spread: int = 1


@dataclass(frozen=True, slots=True)
class ShardedTable:
    """A table in horizontal parts. ``key_columns``: lower-cased; ``base``: BASE transactions may write it.

    ``refuses_scatter``: no statement may ask all of its data nodes without naming keys. ``deltas``: lower-cased columns
    whose changes by BASE transactions are undone by their difference.
    """

    name: str
    nodes: tuple[DataNode, ...]
    sharding: Sharding
    key_columns: tuple[str, ...]
    key_types: tuple[KeyType, ...]
    generator: KeyGenerator | None = None
    base: bool = False
    refuses_scatter: bool = False
    deltas: frozenset[str] = frozenset()

    def node_for(self, values: tuple[KeyValue, ...]) -> int:
        """The index in ``nodes`` of one key, its values in the order of ``key_columns``.

        NULL's home is the first node. Raises errors.NoDataNode (1526) for a key without a home or of
        a type that the algorithm cannot place.
        """
        home = self.sharding.home(values)
        if home is None:
            key = ", ".join(f"{c}={v!r}" for c, v in zip(self.key_columns, values, strict=True))
            raise errors.NoDataNode(f"Table '{self.name}' has no data node for sharding key {key}")
        return home

    def nodes_for(self, conditions: Conditions) -> tuple[int, ...]:
        """Sorted indexes of every data node that can hold a row matching all the conditions; may be empty.

        ``conditions``: lower-cased column → condition; other columns than the key's are ignored.
        """
        homes = self.sharding.homes(conditions)
        return tuple(range(len(self.nodes))) if homes is None else tuple(sorted(homes))

    @property
    def integer_only(self) -> bool:
        """Whether every key column has to be an integer."""
        return all(wanted is KeyType.INTEGER for wanted in self.key_types)


@dataclass(frozen=True, slots=True)
class BroadcastTable:
    """A full copy on every data source of the logical database."""

    name: str
    nodes: tuple[DataNode, ...]
    base: bool = False
    deltas: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SingleTable:
    """An unsharded table in one place."""

    name: str
    node: DataNode
    base: bool = False
    deltas: frozenset[str] = frozenset()

    @property
    def nodes(self) -> tuple[DataNode, ...]:
        return (self.node,)


TableRule = ShardedTable | BroadcastTable | SingleTable


@dataclass(frozen=True, slots=True)
class LogicalDatabase:
    """What the application sees as one database. Table names are compared exactly, as on Linux servers.

    ``parts``: names in the default data source that belong to other tables: a part of a table is no table.
    """

    name: str
    data_sources: Mapping[str, DataSource]
    tables: Mapping[str, TableRule]
    binding_groups: tuple[frozenset[str], ...] = ()
    default_data_source: str | None = None
    transaction_default: TransactionMode | None = None  # None: the mesh's
    parts: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        nodes = (node for rule in self.tables.values() for node in rule.nodes)
        parts = frozenset(node.table for node in nodes if node.data_source == self.default_data_source)
        object.__setattr__(self, "parts", parts - self.tables.keys())

    def table(self, name: str) -> TableRule | None:
        """The table's rule. A name without one is a single table in the default data source, else None."""
        rule = self.tables.get(name)
        if rule is None and self.default_data_source is not None and name not in self.parts:
            return SingleTable(name, DataNode(self.default_data_source, name))
        return rule

    def bound(self, one: str, other: str) -> bool:
        """Whether rows of both tables with equal sharding keys live at the same node index."""
        return any(one in group and other in group for group in self.binding_groups)


class Grant(StrEnum):
    """What is refused unless a user's rules grant it, because all users share the backends' account."""

    DDL = "ddl"
    GRANT = "grant"
    FILE = "file"
    LOAD_DATA = "load_data"  # server-side; LOAD DATA LOCAL reads the client's own file
    MYSQL = "mysql"  # the schema mysql.*
    MESH_SCHEMA = "mesh_schema"  # the mesh's own schema
    ADMIN = "admin"  # RELOAD MESH RULES, and other users' connections and transactions


@dataclass(frozen=True, slots=True)
class User:
    """Who may log in, and to what. ``databases`` None: all of them; ``max_connections``: to one worker."""

    name: str
    password: StoredPassword = field(repr=False)
    databases: frozenset[str] | None = frozenset()
    read_only: bool = False
    grants: frozenset[Grant] = frozenset()
    require: Literal["tls", "x509"] | None = None
    max_connections: int | None = None

    def may_use(self, database: str) -> bool:
        return self.databases is None or database in self.databases

    def may(self, grant: Grant) -> bool:
        return grant in self.grants


@dataclass(frozen=True, slots=True)
class Listener:
    """Where the mesh listens: a Unix socket's path, or host and port (0: any free port)."""

    host: str = ""
    port: int = 0
    socket: str | None = None
    tls: ListenerTls = "preferred"

    @classmethod
    def parse(cls, text: str) -> Listener:
        """``HOST:PORT``, ``[IPV6]:PORT`` or an absolute path. Raises ValueError that says what is wrong."""
        if text.startswith("/"):
            return cls(socket=text, tls="off")  # nobody can listen there
        host, colon, port = text.rpartition(":")
        if not colon or not host or not (port.isascii() and port.isdigit()):
            raise ValueError("must be HOST:PORT, [IPV6]:PORT or the absolute path of a Unix socket")
        if int(port) > 65535:
            raise ValueError(f"port {port} is above 65535")
        if host.startswith("[") and host.endswith("]"):
            return cls(host[1:-1], int(port))
        if ":" in host:
            raise ValueError("an IPv6 address must be in brackets: [::1]:3307")
        return cls(host, int(port))

    def __str__(self) -> str:
        if self.socket is not None:
            return self.socket
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ServerTls:
    """TLS towards clients: files. Without ``certificate`` the mesh makes its own; ``ca`` signs the clients'."""

    certificate: str | None = None
    key: str | None = None
    ca: str | None = None


@dataclass(frozen=True, slots=True)
class TransactionRules:
    """How global transactions run. ``base_mode``: of sessions that do not choose. Times in seconds.

    ``log``: the data source of the coordinator log.
    """

    default: TransactionMode = "local"
    base_mode: BaseMode = "deferred"
    log: str | None = None
    schema: str = "_dbmesh"
    deadline: float = 60.0
    lease: float = 10.0
    sweep: float = 1.0
    lock_wait: float = 5.0
    retention: float = 86400.0
    deadlock_timeout: float = 0.5
    commit_timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class MeshRules:
    """All rules of one mesh. ``data_sources``: those of every logical database and the mesh's own.

    ``max_allowed_packet``: bytes of one command. ``login_timeout``, ``idle_timeout``: seconds that a client may take.
    ``merge_memory``: bytes that one statement may hold for sorting in the mesh. ``gather_memory`` and
    ``gather_rows``: bytes and rows that one federated statement may bring to its scratch tables. ``snowflake_epoch``:
    ms since 1970 UTC.
    """

    listeners: tuple[Listener, ...]
    users: Mapping[str, User]
    databases: Mapping[str, LogicalDatabase]
    data_sources: Mapping[str, DataSource]
    pools: PoolRules = PoolRules()
    transaction: TransactionRules = TransactionRules()
    server_version: str | None = None
    max_connections: int = 1000
    max_allowed_packet: int = 64 * 1024 * 1024
    login_timeout: float = 10.0
    idle_timeout: float = 28800.0
    tls: ServerTls = ServerTls()
    merge_memory: int = 64 * 1024 * 1024
    gather_memory: int = 256 * 1024 * 1024
    gather_rows: int = 1_000_000

    def deltas(self) -> dict[DataNode, frozenset[str]]:
        """By actual table: the columns, in lower case, whose changes are undone by their difference."""
        rules = [rule for database in self.databases.values() for rule in database.tables.values()]
        return {node: rule.deltas for rule in rules for node in rule.nodes if rule.deltas}

    snowflake_epoch: int = 1_704_067_200_000

    @property
    def lock_source(self) -> str:
        """The data source where all named locks are, so that they exclude each other across the mesh's clients."""
        return self.transaction.log or min(self.data_sources)
