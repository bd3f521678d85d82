"""What the YAML looks like: shapes, types and single-field limits. What belongs together is checked by ``compile_*``.

The JSON Schema for editors is made of these models, so each field's description is written for a DBA.
"""

from __future__ import annotations

import datetime
import re
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, SecretStr, WithJsonSchema

Scalar = int | Decimal | str | datetime.date | datetime.datetime


def _one_or_more(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _scalar(value: object) -> Scalar:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str | datetime.date):
        raise ValueError("must be a number, a text or a date")
    return value


def _bytes(value: object) -> int:
    """``64MiB``, ``1 GiB`` or a number of bytes."""
    units = {"": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
    match = re.fullmatch(r"(\d+)\s*([a-z]*)", str(value).strip().lower())
    if match is None or match[2] not in units:
        raise ValueError("must be a size such as 64MiB")
    return int(match[1]) * units[match[2]]


Names = Annotated[
    list[str],
    BeforeValidator(_one_or_more),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
AnyScalar = Annotated[Scalar, PlainValidator(_scalar), WithJsonSchema({"type": ["integer", "number", "string"]})]
Size = Annotated[int, PlainValidator(_bytes), WithJsonSchema({"type": ["integer", "string"]})]
Moment = Annotated[datetime.datetime, Field(description="A date, or a date and time without zone")]
Seconds = Annotated[float, Field(gt=0, description="Seconds")]
Mode = Literal["local", "single", "xa", "base"]


class Part(BaseModel):
    """A mapping of a rule file; unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class PoolPart(Part):
    """Connections of one worker process to one data source."""

    size: int | None = Field(None, ge=1, description="Most connections at the same time (default 16)")
    wait_timeout: Seconds | None = Field(None, description="How long a statement waits for one (default 5)")
    idle_timeout: Seconds | None = Field(None, description="When an idle connection is closed (default 300)")
    connect_timeout: Seconds | None = Field(None, description="How long dialling may take (default 5)")


class TlsPart(Part):
    """TLS towards a data source."""

    mode: Literal["disabled", "preferred", "required", "verify_ca", "verify_identity"] = Field(
        "verify_identity", description="As the ssl-mode of MySQL's clients"
    )
    ca: str | None = Field(None, description="File of the certificate authority")
    certificate: str | None = Field(None, description="File of the mesh's own certificate")
    key: str | None = Field(None, description="File of its private key")


class DataSourcePart(Part):
    """One MySQL schema on one server: socket, or host and port."""

    host: str | None = Field(None, description="Host name or address")
    port: int = Field(3306, ge=1, le=65535)
    socket: str | None = Field(None, description="Path of the server's Unix socket")
    schema_: str = Field(alias="schema", min_length=1, description="The schema on that server")
    user: str = Field(description="The account that all users of the mesh share there")
    password: SecretStr = Field(SecretStr(""), description="Better as ${NAME}, from the environment")
    tls: TlsPart | None = None
    pool: PoolPart | None = Field(None, description="Overrides the mesh's pools")


class Keyed(Part):
    """What all algorithms share: the sharding key."""

    column: str | None = Field(None, description="The sharding key's column")
    columns: list[str] | None = Field(None, min_length=1, description="The columns of a composite sharding key")


class ModPart(Keyed):
    """Integer key modulo the number of nodes."""

    algorithm: Literal["mod"]


class HashModPart(Keyed):
    """CRC-32 of the key's text modulo the number of nodes."""

    algorithm: Literal["hash_mod"]


class BetweenPart(Part):
    """Keys from ``from`` up to, but not including, ``to``; one of them may be left out at the ends."""

    from_: AnyScalar | None = Field(None, alias="from")
    to: AnyScalar | None = None


class RangePart(Keyed):
    """Ascending boundaries between the nodes, or one range per node."""

    algorithm: Literal["range"]
    boundaries: list[AnyScalar] | None = Field(None, min_length=1, description="[10, 20]: below 10, 10 to 19, from 20")
    ranges: list[BetweenPart] | None = Field(None, min_length=1, description="One per node, without gaps")


class VolumeRangePart(Keyed):
    """Below ``lower``, then ranges of ``volume`` keys, then from ``upper`` on."""

    algorithm: Literal["volume_range"]
    lower: int
    upper: int
    volume: int = Field(ge=1)


class ListPart(Keyed):
    """Listed values, one list per node."""

    algorithm: Literal["list"]
    values: list[list[AnyScalar]] = Field(min_length=1, description="One list of values per node, in their order")
    default: str | None = Field(None, description="The node of all other values; without it they are refused")


class DatePart(Keyed):
    """A node per year, month, day or hour."""

    algorithm: Literal["date"]
    unit: Literal["year", "month", "day", "hour"]
    step: int = Field(1, ge=1, description="How many units make one interval")
    from_: Moment = Field(alias="from", description="Where the first node begins")
    cycle: bool = Field(False, description="Start over with the first node behind the last")


class InlinePart(Keyed):
    """A template that names the node."""

    algorithm: Literal["inline"]
    expression: str = Field(description="t_order_{user_id % 4}")


class CustomPart(Keyed):
    """Your own function."""

    algorithm: Literal["custom"]
    function: str = Field(description="package.module:function(values, nodes) -> int | None")


ShardingPart = Annotated[
    ModPart | HashModPart | RangePart | VolumeRangePart | ListPart | DatePart | InlinePart | CustomPart,
    Field(discriminator="algorithm"),
]


class KeyGeneratorPart(Part):
    """Fills a column that an INSERT leaves out."""

    column: str
    type: Literal["snowflake", "uuid", "auto_increment"]


Merges = dict[str, Literal["delta"]]
MERGE = "How changes of a column by BASE transactions are undone: delta takes back the difference"


class TablePart(Part):
    """A sharded table: sharding in one step, or by data source and then by table."""

    data_nodes: Names = Field(description="ds_{0..1}.t_order_{0..3}, or a list of such")
    sharding: ShardingPart | None = Field(None, description="One step over all data nodes")
    data_source_sharding: ShardingPart | None = Field(None, description="First of two steps")
    table_sharding: ShardingPart | None = Field(None, description="Second of two steps")
    key_generator: KeyGeneratorPart | None = None
    base: bool = Field(False, description="Whether BASE transactions may write it")
    merge: Merges = Field(default_factory=dict, description=MERGE)
    scatter: Literal["allow", "refuse"] = Field("allow", description="Statements that would ask all of its data nodes")


class BroadcastPart(Part):
    """A full copy on every data source."""

    base: bool = Field(False, description="Whether BASE transactions may write it")
    merge: Merges = Field(default_factory=dict, description=MERGE)


class SinglePart(Part):
    """An unsharded table in one place."""

    data_source: str
    table: str | None = Field(None, description="Its actual name there, if it is another")
    base: bool = Field(False, description="Whether BASE transactions may write it")
    merge: Merges = Field(default_factory=dict, description=MERGE)


class DatabaseFile(Part):
    """One logical database."""

    database: str = Field(min_length=1, description="Its name, as applications see it", examples=["shop"])
    data_sources: dict[str, DataSourcePart] = Field(
        min_length=1, examples=[{"ds_0": {"host": "127.0.0.1", "schema": "shop_0", "user": "shop"}}]
    )
    default_data_source: str | None = Field(None, description="Where tables without a rule are")
    tables: dict[str, TablePart] = Field(default_factory=dict, description="Sharded tables")
    broadcast_tables: dict[str, BroadcastPart | None] = Field(default_factory=dict)
    single_tables: dict[str, SinglePart] = Field(default_factory=dict)
    binding_groups: list[list[str]] = Field(default_factory=list, description="Tables sharded alike")
    transaction: Mode | None = Field(None, description="Transactions of sessions that do not choose")


class ListenerPart(Part):
    """Where the mesh listens, and whether clients may, or must, use TLS there."""

    address: str = Field(description="HOST:PORT, [IPV6]:PORT or a socket's path")
    tls: Literal["off", "preferred", "required"] | None = Field(
        None, description="Default: preferred, and off on a Unix socket"
    )


def _listener(value: object) -> object:
    if not isinstance(value, str | dict):
        raise ValueError("must be an address, or a mapping of address and tls")
    return {"address": value} if isinstance(value, str) else value


AnyListener = Annotated[
    ListenerPart,
    BeforeValidator(_listener),
    WithJsonSchema({"anyOf": [{"type": "string"}, ListenerPart.model_json_schema()]}),
]


class ServerTlsPart(Part):
    """TLS towards clients. Without a certificate the mesh makes its own."""

    certificate: str | None = Field(None, description="File of the certificate and its chain (PEM)")
    key: str | None = Field(None, description="File of its private key; else it stands with the certificate")
    ca: str | None = Field(None, description="File of the authorities whose client certificates are accepted")


class UserPart(Part):
    """Who may log in, and to what."""

    password: SecretStr | None = Field(None, description="Plain; better as ${NAME}, from the environment")
    password_hash: SecretStr | None = Field(None, description="*HEX, sha256:HEX or $A$005$…")
    databases: Names = Field(description="Logical databases, or '*'")
    access: Literal["read-only", "read-write"] = "read-write"
    grants: list[Literal["ddl", "grant", "file", "load_data", "mysql", "mesh_schema", "admin"]] = Field(
        default_factory=list, description="What is refused otherwise"
    )
    require: Literal["tls", "x509"] | None = Field(
        None, description="tls: an encrypted connection; x509: also a client certificate of tls.ca"
    )
    max_connections: int | None = Field(None, ge=1, description="Of this user to one worker process")


class TransactionPart(Part):
    """Global transactions."""

    default: Mode = Field("local", description="Transactions of sessions that do not choose")
    base_mode: Literal["deferred", "eager"] = Field(
        "deferred", description="Whether BASE transactions commit all at once or each statement"
    )
    log: str | None = Field(None, description="The data source of the coordinator log")
    schema_: str = Field("_dbmesh", alias="schema", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="The mesh's own")
    deadline: Seconds = Field(60.0, description="A BASE transaction is rolled back after")
    lease: Seconds = Field(10.0, description="A proxy that does not renew for so long counts as dead")
    sweep: Seconds = Field(1.0, description="How often transactions of dead proxies are looked for")
    lock_wait: Seconds = Field(5.0, description="How long to wait for another transaction's row")
    retention: Seconds = Field(86400.0, description="How long records of ended transactions are kept")
    deadlock_timeout: float = Field(
        0.5, ge=0, description="How long a transaction waits before it is looked for in deadlocks; 0: never"
    )
    commit_timeout: Seconds = Field(30.0, description="How long one server's COMMIT or ROLLBACK is waited for")


class MeshFile(Part):
    """mesh.yaml: what all logical databases share."""

    listeners: list[AnyListener] = Field(
        default_factory=lambda: [ListenerPart(address="127.0.0.1:3307", tls=None)],
        min_length=1,
        description="HOST:PORT or a socket's path, or a mapping of address and tls",
    )
    tls: ServerTlsPart = Field(default_factory=lambda: ServerTlsPart.model_validate({}))
    users: dict[str, UserPart] = Field(
        min_length=1, examples=[{"app": {"password": "${APP_PASSWORD}", "databases": ["*"]}}]
    )
    pools: PoolPart = Field(default_factory=lambda: PoolPart.model_validate({}))
    transaction: TransactionPart = Field(default_factory=lambda: TransactionPart.model_validate({}))
    data_sources: dict[str, DataSourcePart] = Field(default_factory=dict, description="The mesh's own, for the log")
    server_version: str | None = Field(None, description="What clients are told; else the first server's")
    max_connections: int = Field(1000, ge=1, description="Clients of one worker process")
    max_allowed_packet: Size = Field(64 * 1024 * 1024, description="The longest command that a client may send")
    login_timeout: Seconds = Field(10.0, description="How long a login may take")
    idle_timeout: Seconds = Field(28800.0, description="When a client that sends nothing is disconnected")
    merge_memory: Size = Field(64 * 1024 * 1024, description="What one statement may hold for sorting")
    gather_memory: Size = Field(256 * 1024 * 1024, description="What one statement may bring to scratch tables")
    gather_rows: int = Field(1_000_000, ge=1, description="Rows that one statement may bring to scratch tables")
    snowflake_epoch: datetime.date = Field(datetime.date(2024, 1, 1), description="Never change it")
