from __future__ import annotations

import datetime
import pathlib
import textwrap

import pytest

from dbmesh.rules import loader
from dbmesh.rules.keys import Between, Equal, KeyType
from dbmesh.rules.mistakes import RuleErrors
from dbmesh.rules.model import (
    BroadcastTable,
    DataNode,
    Grant,
    Listener,
    LogicalDatabase,
    MeshRules,
    ServerTls,
    ShardedTable,
    SingleTable,
)

REPOSITORY = pathlib.Path(__file__).parents[3]

MESH = """\
listeners: [127.0.0.1:3307]
users:
  app: {password: secret, databases: [shop]}
transaction: {log: ds_0}
"""
SHOP = """\
database: shop
data_sources:
  ds_0: {host: a, schema: shop_0, user: u, password: p}
  ds_1: {host: a, schema: shop_1, user: u, password: p}
"""


def write(directory: pathlib.Path, **files: str) -> pathlib.Path:
    for name, content in {"mesh": MESH, "shop": SHOP, **files}.items():
        (directory / f"{name}.yaml").write_text(textwrap.dedent(content), encoding="utf-8")
    return directory


def load(directory: pathlib.Path, environ: dict[str, str] | None = None, **files: str) -> MeshRules:
    return loader.load(write(directory, **files), environ or {})


def mistakes(directory: pathlib.Path, environ: dict[str, str] | None = None, **files: str) -> list[str]:
    """Every mistake as it is printed, the directory cut off."""
    with pytest.raises(RuleErrors) as refused:
        load(directory, environ, **files)
    return [str(mistake).removeprefix(f"{directory}/") for mistake in refused.value.mistakes]


def shop(tables: str = "", rest: str = "") -> str:
    body = textwrap.indent(textwrap.dedent(tables), "  ")
    return SHOP + (f"tables:\n{body}\n" if tables else "") + textwrap.dedent(rest)


def database(directory: pathlib.Path, tables: str, rest: str = "") -> LogicalDatabase:
    return load(directory, shop=shop(tables, rest)).databases["shop"]


def table(directory: pathlib.Path, text: str) -> ShardedTable:
    found = database(directory, text).table("t")
    assert isinstance(found, ShardedTable)
    return found


# ---- what is right ----


def test_the_demos_rules_load_without_any_environment() -> None:
    rules = loader.load(REPOSITORY / "sharding-rules", {})
    demo = rules.databases["shop"]
    order = demo.table("t_order")
    assert isinstance(order, ShardedTable)
    assert order.nodes[:3] == (
        DataNode("ds_0", "t_order_0"),
        DataNode("ds_0", "t_order_1"),
        DataNode("ds_1", "t_order_0"),
    )
    assert order.nodes_for({"user_id": Equal((13,))}) == (5,)
    assert isinstance(demo.table("region"), BroadcastTable)
    assert isinstance(demo.table("audit"), SingleTable)
    assert demo.bound("t_order", "t_order_item")
    assert rules.data_sources["ds_3"].address == "127.0.0.1:3312"
    account = demo.table("account")
    assert account is not None
    assert account.base


def test_everything_that_mesh_yaml_can_say(tmp_path: pathlib.Path) -> None:
    mesh = """\
    listeners: ['[::1]:3307', /run/mesh.sock, {address: 0.0.0.0:3308, tls: required}]
    tls: {certificate: /etc/mesh.pem, key: /etc/mesh.key, ca: /etc/clients.pem}
    users:
      app: {password: "", databases: shop, access: read-only, require: x509, max_connections: 3}
      root: {password_hash: '*14E65567ABDB5135D0CFD9A70B3032C179A49EE7', databases: '*', grants: [ddl, load_data]}
    pools: {size: 4, wait_timeout: 0.5}
    transaction: {default: base, log: log_0, deadline: 30, lease: 5, schema: _mesh}
    data_sources:
      log_0: {host: db, schema: log, user: u, pool: {size: 2}, tls: {mode: verify_ca, ca: /etc/ca.pem}}
    server_version: 8.4.0
    max_connections: 10
    max_allowed_packet: 16MiB
    login_timeout: 3
    idle_timeout: 600
    merge_memory: 1 GiB
    snowflake_epoch: 2020-01-01
    """
    rules = load(tmp_path, mesh=mesh)
    assert rules.listeners == (
        Listener("::1", 3307, tls="preferred"),
        Listener(socket="/run/mesh.sock", tls="off"),
        Listener("0.0.0.0", 3308, tls="required"),
    )
    assert [str(listener) for listener in rules.listeners] == ["[::1]:3307", "/run/mesh.sock", "0.0.0.0:3308"]
    assert rules.tls == ServerTls("/etc/mesh.pem", "/etc/mesh.key", "/etc/clients.pem")
    assert (rules.users["app"].require, rules.users["app"].max_connections) == ("x509", 3)
    assert (rules.users["root"].require, rules.users["root"].max_connections) == (None, None)
    assert (rules.max_allowed_packet, rules.login_timeout, rules.idle_timeout) == (16 << 20, 3, 600)
    assert rules.users["app"].read_only
    assert rules.users["app"].password.empty
    assert rules.users["app"].may_use("shop")
    assert not rules.users["app"].may_use("other")
    assert rules.users["root"].may_use("other")
    assert rules.users["root"].may(Grant.LOAD_DATA)
    assert not rules.users["root"].may(Grant.FILE)
    log = rules.data_sources["log_0"]
    assert (log.address, log.pool.size, log.pool.wait_timeout) == ("db:3306", 2, 0.5)
    assert log.tls is not None
    assert (log.tls.mode, log.tls.ca) == ("verify_ca", "/etc/ca.pem")
    assert (rules.transaction.default, rules.transaction.log, rules.transaction.schema) == ("base", "log_0", "_mesh")
    assert (rules.transaction.deadline, rules.transaction.lease) == (30, 5)
    assert (rules.server_version, rules.max_connections, rules.merge_memory) == ("8.4.0", 10, 1 << 30)
    assert rules.snowflake_epoch == datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC).timestamp() * 1000


def test_two_step_sharding(tmp_path: pathlib.Path) -> None:
    found = table(
        tmp_path,
        """\
        t:
          data_nodes: [ds_0.t_a, ds_0.t_b, 'ds_1.t_{a,b}']
          data_source_sharding: {column: User_Id, algorithm: inline, expression: 'ds_{user_id % 2}'}
          table_sharding: {column: created, algorithm: date, unit: year, from: 2024-01-01}
        """,
    )
    assert found.key_columns == ("user_id", "created")
    assert found.key_types == (KeyType.INTEGER, KeyType.TEMPORAL)
    assert str(found.nodes[found.node_for((7, datetime.date(2025, 6, 1)))]) == "ds_1.t_b"
    assert found.nodes_for({"created": Between(None, datetime.date(2024, 5, 1))}) == (0, 2)


@pytest.mark.parametrize(
    ("sharding", "key", "node"),
    [
        ("column: k, algorithm: mod", 6, 2),
        ("columns: [k, j], algorithm: hash_mod", (1, 2), 1),
        ("column: k, algorithm: range, boundaries: [10, 20.5, 30]", 21, 2),
        ("column: k, algorithm: range, boundaries: [b, c, d]", "cc", 2),
        (
            "column: k, algorithm: range, ranges: [{from: 1, to: 2}, {from: 2, to: 3}, {from: 3, to: 4}, {from: 4}]",
            99,
            3,
        ),
        ("column: k, algorithm: range, boundaries: [2024-01-01, 2025-01-01, 2026-01-01]", datetime.date(2025, 5, 1), 2),
        ("column: k, algorithm: volume_range, lower: 0, upper: 20, volume: 10", 15, 2),
        ("column: k, algorithm: volume_range, lower: 0, upper: 15, volume: 10", 15, 3),
        ("column: k, algorithm: list, values: [[no, DE], [yes], [1a], ['007']], default: ds_1.t_1", "no", 0),
        ("column: k, algorithm: list, values: [[DE], [FR], [IT, it], [AT]]", "fr", 1),
        ("column: k, algorithm: list, values: [[DE], [FR], [IT, It], [AT]]", "it", 2),
        ("column: k, algorithm: list, values: [[1], [2], [3], [4]], default: ds_1.t_1", 9, 3),
        ("column: k, algorithm: date, unit: month, step: 3, from: 2024-01-01", datetime.date(2024, 8, 1), 2),
        ("column: k, algorithm: inline, expression: 'ds_{k % 4 // 2}.t_{k % 2}'", 3, 3),
        ("column: k, algorithm: inline, expression: 'ds_{k // 10000 - 2023}.t_0'", 20240701, 2),
        ("column: k, algorithm: custom, function: 'tests_custom:by_half'", 3, 1),
    ],
)
def test_each_algorithm_from_yaml(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, sharding: str, key: object, node: int
) -> None:
    (tmp_path / "tests_custom.py").write_text("def by_half(values, nodes):\n    return values[0] // 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = table(tmp_path, f"t: {{data_nodes: 'ds_{{0..1}}.t_{{0..1}}', sharding: {{{sharding}}}}}")
    assert found.node_for(key if isinstance(key, tuple) else (key,)) == node


def test_lower_case_twin_of_texts_in_two_lists_has_no_home(tmp_path: pathlib.Path) -> None:
    sharding = "{column: k, algorithm: list, values: [[DE], [De]]}"
    found = table(tmp_path, f"t: {{data_nodes: 'ds_{{0..1}}.t', sharding: {sharding}}}")
    assert found.nodes_for({"k": Equal(("de",))}) == ()
    assert found.nodes_for({"k": Equal(("De",))}) == (1,)


def test_environment_variables_with_and_without_defaults(tmp_path: pathlib.Path) -> None:
    text = SHOP.replace("host: a,", "host: '${HOST}', port: '${PORT:-3310}',").replace(
        "password: p", "password: '$${x}${EMPTY}'"
    )
    found = load(tmp_path, {"HOST": "db1", "EMPTY": ""}, shop=text.replace("shop_0", "'${S0:-s0}'"))
    source = found.data_sources["ds_0"]
    assert (source.address, source.schema, source.password) == ("db1:3310", "s0", b"${x}")


def test_passwords_never_show(tmp_path: pathlib.Path) -> None:
    rules = load(tmp_path, shop=SHOP.replace("password: p", "password: hush-hush"))
    assert "hush-hush" not in repr(rules)
    assert "secret" not in repr(rules)
    text = MESH.replace("password: secret", "password_hash: hush-hush")
    shown = mistakes(tmp_path, mesh=text, shop=SHOP.replace("password: p", "password: [hush-hush]"))
    assert len(shown) == 3
    assert "hush-hush" not in "".join(shown)


# ---- what is wrong: one test per kind, the message word for word ----


def test_six_different_mistakes_of_one_file_come_in_one_run(tmp_path: pathlib.Path) -> None:
    text = """\
    database: shop
    data_sources:
      ds_0: {host: a, prt: 3306, schema: shop_0, user: u}
      ds_1: {host: a, port: abc, schema: shop_1, user: u}
    tables:
      t:
        data_nodes: ds_{0..2}.t
        sharding: {column: k, algorithm: mod}
      u:
        data_nodes: ds_{0..1}.u
        sharding:
          column: k
          algorithm: range
          ranges:
            - {to: 10}
            - {from: 11}
      v:
        data_nodes: ds_{0..1}.v
        sharding: {column: k, algorithm: modulo}
      w:
        data_nodes: ds_{0..1}.w
        sharding: {algorithm: hash_mod}
    """
    assert mistakes(tmp_path, shop=text) == [
        "shop.yaml:3:19: data_sources.ds_0.prt: unknown key 'prt'; did you mean 'port'?",
        "shop.yaml:4:25: data_sources.ds_1.port: must be an integer, not 'abc'",
        "shop.yaml:7:17: tables.t.data_nodes: unknown data source 'ds_2'; did you mean 'ds_0'?",
        "shop.yaml:16:18: tables.u.sharding.ranges.1.from: a gap: the range before ends at 10, this one begins at 11",
        "shop.yaml:19:38: tables.v.sharding.algorithm: must be one of mod, hash_mod, range, volume_range, list, date, "
        "inline, custom, not 'modulo'; did you mean 'mod'?",
        "shop.yaml:22:5: tables.w.sharding: needs either 'column' or 'columns'",
    ]


SHARDINGS = [
    ("{colum: k, algorithm: mod}", "6:45: tables.t.sharding.colum: unknown key 'colum'; did you mean 'column'?"),
    ("{column: k}", "6:34: tables.t.sharding: the key 'algorithm' is missing"),
    ("{columns: [k, K], algorithm: hash_mod}", "tables.t.sharding.columns: names a column twice"),
    (
        "{columns: [k, j], algorithm: mod}",
        "tables.t.sharding.columns: mod takes one column; hash_mod, inline and custom take several",
    ),
    ("{column: k, columns: [j], algorithm: hash_mod}", "tables.t.sharding: needs either 'column' or 'columns'"),
    (
        "{column: k, algorithm: range, boundaries: [1, 2]}",
        "tables.t.sharding.boundaries: makes 3 ranges, but there are 2 data nodes",
    ),
    (
        "{column: k, algorithm: range, boundaries: [2, 1]}",
        "tables.t.sharding.boundaries: must rise, but 1 comes after 2",
    ),
    (
        "{column: k, algorithm: range, boundaries: [1, b]}",
        "tables.t.sharding.boundaries: mixes numbers, texts and dates",
    ),
    (
        "{column: k, algorithm: range, boundaries: [é]}",
        "tables.t.sharding.boundaries: boundary 'é' is not ASCII; the order of other characters depends on the charset",
    ),
    (
        "{column: k, algorithm: range, boundaries: [true]}",
        "tables.t.sharding.boundaries.0: must be a number, a text or a date",
    ),
    ("{column: k, algorithm: range}", "tables.t.sharding: needs either 'boundaries' or 'ranges'"),
    (
        "{column: k, algorithm: range, ranges: [{to: 10}, {from: 9}]}",
        "tables.t.sharding.ranges.1.from: an overlap: the range before ends at 10, this one begins at 9",
    ),
    (
        "{column: k, algorithm: range, ranges: [{from: 1}, {from: 9}]}",
        "tables.t.sharding.ranges.0: only the first range may leave out 'from', only the last one 'to'",
    ),
    (
        "{column: k, algorithm: volume_range, lower: 0, upper: 10, volume: 10}",
        "tables.t.sharding.volume: makes 3 ranges, but there are 2 data nodes",
    ),
    (
        "{column: k, algorithm: volume_range, lower: 5, upper: 5, volume: 10}",
        "tables.t.sharding.upper: must be above lower (5)",
    ),
    (
        "{column: k, algorithm: volume_range, lower: 5, upper: 9, volume: 0}",
        "tables.t.sharding.volume: must be at least 1",
    ),
    (
        "{column: k, algorithm: list, values: [[a, b], [b]]}",
        "tables.t.sharding.values.1.0: 'b' is listed twice, first in list 1",
    ),
    ("{column: k, algorithm: list, values: [[a], [1]]}", "tables.t.sharding.values: mixes integers and texts"),
    (
        "{column: k, algorithm: list, values: [[a]]}",
        "tables.t.sharding.values: has 1 lists, but there are 2 data nodes",
    ),
    (
        "{column: k, algorithm: list, values: [[1], [2]], default: ds_1.tt}",
        "tables.t.sharding.default: 'ds_1.tt' is none of the data nodes; did you mean 'ds_1.t'?",
    ),
    (
        "{column: k, algorithm: date, unit: months, from: 2024-01-01}",
        "tables.t.sharding.unit: must be year or month or day or hour, not 'months'; did you mean 'month'?",
    ),
    (
        "{column: k, algorithm: date, unit: month, from: 2024-01-02}",
        "tables.t.sharding.from: must be the first of a month, because the unit is month",
    ),
    (
        "{column: k, algorithm: date, unit: day, from: 2024-01-01 10:00:00}",
        "tables.t.sharding.from: must be a midnight, because the unit is day",
    ),
    (
        "{column: k, algorithm: date, unit: day, from: soon}",
        "tables.t.sharding.from: must be a date such as 2024-01-31, not 'soon'",
    ),
    (
        "{column: user_id, algorithm: inline, expression: 'ds_{usr_id % 2}.t'}",
        "tables.t.sharding.expression: uses 'usr_id', which is no column of the sharding key; did you mean 'user_id'?",
    ),
    (
        "{column: k, algorithm: inline, expression: 'ds_{k % 3}.t'}",
        "tables.t.sharding.expression: names 'ds_2.t' for k=2, which is none of the data nodes; did you mean 'ds_0.t'?",
    ),
    (
        "{column: k, algorithm: custom, function: 'nowhere.at_all:f'}",
        "tables.t.sharding.function: module 'nowhere.at_all' cannot be imported: No module named 'nowhere'",
    ),
    (
        "{columns: [k, j], algorithm: inline, expression: 'ds_{k % 2}.tt'}",
        "sharding.expression: names 'ds_0.tt' for k=0, which is none of the data nodes; did you mean 'ds_0.t'?",
    ),
    ("[1]", "tables.t.sharding: must be a mapping, not a list"),
]


@pytest.mark.parametrize(("sharding", "message"), SHARDINGS, ids=[sharding for sharding, _ in SHARDINGS])
def test_mistake_in_a_sharding(tmp_path: pathlib.Path, sharding: str, message: str) -> None:
    text = shop(f"t: {{data_nodes: 'ds_{{0..1}}.t', sharding: {sharding}}}".replace("\n", ""))
    found = mistakes(tmp_path, shop=text)
    assert len(found) == 1
    assert found[0].endswith(message)


TABLES = [
    ("t: {data_nodes: ds_0, @}", "tables.t.data_nodes: 'ds_0' must be written data_source.table"),
    ("t: {data_nodes: 'ds_{0..}.t', @}", "'{0..}' must be a range such as {0..3} or a list such as {a,b}"),
    ("t: {data_nodes: 'ds_{1..0}.t', @}", "tables.t.data_nodes: '{1..0}' runs backwards"),
    ("t: {data_nodes: 'ds_0}.t', @}", "tables.t.data_nodes: has an unbalanced brace in 'ds_0}.t'"),
    ("t: {data_nodes: 'ds_0.t_{0..99999}', @}", "tables.t.data_nodes: '{0..99999}' has more than 10000 members"),
    ("t: {data_nodes: [ds_0.t, ds_0.t], @}", "tables.t.data_nodes: names the data node ds_0.t twice"),
    (
        "t: {data_nodes: ds_0.t}",
        "6:3: tables.t: needs either 'sharding', or both 'data_source_sharding' and 'table_sharding'",
    ),
    ("t: {@}", "6:3: tables.t: the key 'data_nodes' is missing"),
    (
        "t: {data_nodes: 'ds_{0..1}.t', @, key_generator: {column: id, type: auto_increment}}",
        "auto_increment counts in each of the 2 data nodes for itself, so that keys would repeat; use snowflake",
    ),
    (
        "t: {data_nodes: 'ds_{0..1}.t', @, key_generator: {column: k, type: uuid}}",
        "tables.t.key_generator.type: uuid makes texts, but the sharding needs 'k' to be integer",
    ),
    (
        "t: {data_nodes: 'ds_{0..1}.t', sharding: {column: k, algorithm: list, values: [[a], [b]]}, "
        "key_generator: {column: K, type: snowflake}}",
        "snowflake makes integers, but the sharding needs 'K' to be string",
    ),
    (
        "t: {data_nodes: [ds_0.t_0, ds_0.t_1, ds_1.t_0], #}",
        "tables.t.data_nodes: has 2 tables in ds_0, but 1 in ds_1; two-step sharding needs as many in each",
    ),
    (
        "t: {data_nodes: [ds_0.t_0, ds_1.t_0, ds_0.t_1, ds_1.t_1], #}",
        "tables.t.data_nodes: must list the tables of one data source after the other",
    ),
    (
        "t: {data_nodes: [ds_0.t_0, ds_1.t_1], data_source_sharding: {column: k, algorithm: mod}, "
        "table_sharding: {column: k, algorithm: inline, expression: 't_{k % 2}'}}",
        "must have the same table names in each data source, because the table sharding is inline",
    ),
    (
        "t: {data_nodes: 'ds_{0..1}.t_{0..3}', data_source_sharding: {column: k, algorithm: mod}, "
        "table_sharding: {column: k, algorithm: mod}}",
        "tables.t.table_sharding: reaches only one in 2 data nodes, because both steps divide the same key; "
        "use one 'sharding' over all data nodes",
    ),
    (
        "t: {data_nodes: 'ds_{0..1}.t_{0..1}', data_source_sharding: {column: k, algorithm: mod}, "
        "table_sharding: {column: k, algorithm: range, boundaries: [m]}}",
        "tables.t.table_sharding: needs 'k' to be string, but the data source sharding needs integer",
    ),
]
PLACEHOLDERS = {
    "@": "sharding: {column: k, algorithm: mod}",
    "#": "data_source_sharding: {column: j, algorithm: mod}, table_sharding: {column: k, algorithm: mod}",
}


@pytest.mark.parametrize(("tables", "message"), TABLES, ids=[message for _, message in TABLES])
def test_mistake_in_a_table(tmp_path: pathlib.Path, tables: str, message: str) -> None:
    for placeholder, text in PLACEHOLDERS.items():
        tables = tables.replace(placeholder, text)
    found = mistakes(tmp_path, shop=shop(tables))
    assert len(found) == 1
    assert found[0].endswith(message)


T = "{data_nodes: 'ds_{0..1}.%s', sharding: {column: %s, algorithm: %s}}"
DATABASES = [
    ("default_data_source: ds_O", "5:22: default_data_source: unknown data source 'ds_O'; did you mean 'ds_0'?"),
    (
        "single_tables: {s: {data_source: ds_9}}",
        "single_tables.s.data_source: unknown data source 'ds_9'; did you mean 'ds_0'?",
    ),
    (
        "single_tables: {s: {data_source: ds_0}, s: {data_source: ds_1}}",
        "the key 's' stands here twice, first in line 5",
    ),
    (
        "single_tables: {s: {data_source: ds_0}}\nbroadcast_tables: {s: }",
        "5:17: single_tables.s: the table 's' is also in 'broadcast_tables'",
    ),
    (
        "single_tables: {s: {data_source: ds_0, table: x}, t: {data_source: ds_0, table: x}}",
        "single_tables.t: the data node ds_0.x already belongs to the table 's'",
    ),
    (
        f"tables: {{a: {T % ('a', 'k', 'mod')}, b: {T % ('b', 'k', 'hash_mod')}}}\nbinding_groups: [[a, b]]",
        "binding_groups.0.1: 'b' cannot be bound to 'a': hash_mod(2) by k, not mod(2) by k",
    ),
    (
        f"tables: {{a: {T % ('a', 'k', 'mod')}, b: {T % ('b_{0..1}', 'k', 'mod')}}}\nbinding_groups: [[a, b]]",
        "binding_groups.0.1: 'b' cannot be bound to 'a': 4 data nodes, not 2",
    ),
    (
        f"tables: {{a: {T % ('a', 'k', 'mod')}, b: {{data_nodes: [ds_1.b, ds_0.b], "
        "sharding: {column: k, algorithm: mod}}}\nbinding_groups: [[a, b]]",
        "'b' cannot be bound to 'a': the data node ds_1.b stands where ds_0.a does, in another data source",
    ),
    (
        "tables:\n  2: {data_nodes: 'ds_{0..1}.x_{0..1}', sharding: {column: k, algorithm: inline, "
        "expression: 'ds_{k % 2}.x_0'}}\n  1: {data_nodes: 'ds_{0..1}.y_{0..1}', sharding: {column: k, "
        "algorithm: inline, expression: 'ds_{k % 1}.y_0'}}\nbinding_groups: [['1', '2']]",
        "'2' cannot be bound to '1': inline(ds_{k % 2}.x_0) by k, not inline(ds_{k % 1}.y_0) by k",
    ),
    (
        f"tables: {{t_order: {T % ('a', 'k', 'mod')}}}\nbinding_groups: [[t_order, t_ordr]]",
        "binding_groups.0.1: 't_ordr' is no sharded table; did you mean 't_order'?",
    ),
    (
        f"tables: {{a: {T % ('a', 'k', 'mod')}}}\nbinding_groups: [[a], [a]]",
        "binding_groups.1.0: 'a' is in two binding groups or in one twice",
    ),
    (
        "single_tables: {s: {data_source: ds_0, merge: {n: delta}}}",
        "single_tables.s.merge: is about BASE transactions: the table needs base: true",
    ),
    ("broadcast_tables: {s: {base: true, merge: {n: plus}}}", "broadcast_tables.s.merge.n: must be delta, not 'plus'"),
    ("transaction: twophase", "transaction: must be local or single or xa or base, not 'twophase'"),
    ("tabels: {}", "5:1: tabels: unknown key 'tabels'; did you mean 'tables'?"),
    ("default_data_source: ${NOWHERE}", "the environment variable NOWHERE is not set and has no default"),
    ("default_data_source: !mine ds_0", "5:22: default_data_source: has the tag '!mine'; tags are not used in rules"),
    ("tables: &a {t: *a}", "5:9: tables.t: is an alias of something that contains it"),
]


@pytest.mark.parametrize(("rest", "message"), DATABASES, ids=lambda text: text[:50])
def test_mistake_in_a_database(tmp_path: pathlib.Path, rest: str, message: str) -> None:
    found = mistakes(tmp_path, shop=SHOP + rest)
    assert len(found) == 1
    assert found[0].endswith(message)


MESHES = [
    (
        "listeners: [localhost]",
        "1:13: listeners.0: 'localhost' must be HOST:PORT, [IPV6]:PORT or the absolute path of a Unix socket",
    ),
    ("listeners: ['::1:3307']", "listeners.0: '::1:3307' an IPv6 address must be in brackets: [::1]:3307"),
    ("listeners: ['a:99999']", "listeners.0: 'a:99999' port 99999 is above 65535"),
    ("listeners: [a:1, a:1]", "listeners.1: 'a:1' is listed twice"),
    ("listeners: []", "listeners: must not be empty"),
    ("listeners: [5]", "listeners.0: must be an address, or a mapping of address and tls"),
    ("listeners: [{address: a:1, tls: on}]", "listeners.0.tls: must be off or preferred or required, not 'on'"),
    ("listeners: [{adress: a:1}]", "unknown key 'adress'; did you mean 'address'?"),
    ("tls: {key: k}", "tls.key: needs the 'certificate' that it belongs to"),
    ("idle_timeout: 0", "idle_timeout: must be more than 0"),
    (
        "users: {a: {password: x, databases: '*', require: x509}}",
        "users.a.require: needs tls.ca, the authority of the clients' certificates",
    ),
    (
        "data_sources: {x: {socket: /s, schema: s, user: u, tls: {mode: required}}}",
        "data_sources.x.tls: is not used on a Unix socket, which nobody can listen on",
    ),
    (
        "data_sources: {x: {host: h, schema: s, user: u, tls: {mode: verify}}}",
        "data_sources.x.tls.mode: must be disabled or preferred or required or verify_ca or verify_identity, not "
        "'verify'; did you mean 'verify_ca'?",
    ),
    ("users: {}", "users: must not be empty"),
    ("users: {a: {databases: [shop]}}", "users.a: needs either 'password' or 'password_hash'"),
    (
        "users: {a: {password: x, databases: [shp]}}",
        "users.a.databases.0: unknown database 'shp'; did you mean 'shop'?",
    ),
    ("users: {a: {password: 5, databases: '*'}}", "users.a.password: must be a text"),
    (
        "users: {a: {password: '*14E65567ABDB5135D0CFD9A70B3032C179A49EE7', databases: '*'}}",
        "users.a.password: looks like a hash; write it as 'password_hash'",
    ),
    (
        "users: {a: {password_hash: '*14', databases: '*'}}",
        "users.a.password_hash: must be '*' and 40 hex digits, 'sha256:' and 64 hex digits, '$A$005$' with salt and "
        "digest, or that in hex after '0x'",
    ),
    (
        "users: {a: {password: x, databases: '*', grants: [ddl, flie]}}",
        "users.a.grants.1: must be ddl or grant or file or load_data or mysql or mesh_schema or admin, not 'flie'; "
        "did you mean 'file'?",
    ),
    (
        "users: {a: {password: x, databases: '*', access: readonly}}",
        "users.a.access: must be read-only or read-write, not 'readonly'; did you mean 'read-only'?",
    ),
    ("pools: {size: 0}", "pools.size: must be at least 1"),
    ("pools: {wait_timeout: 0}", "pools.wait_timeout: must be more than 0"),
    ("transaction: {log: ds_5}", "transaction.log: unknown data source 'ds_5'; did you mean 'ds_0'?"),
    ("transaction: {base_mode: lazy}", "transaction.base_mode: must be deferred or eager, not 'lazy'"),
    ("transaction: {lease: 1}", "transaction.lease: must be longer than sweep (1 seconds)"),
    ("transaction: {default: base}", "transaction: names no 'log' data source, but transactions are BASE by default"),
    ("transaction: {schema: a-b}", "transaction.schema: must be a plain name of letters, digits and underscores"),
    ("server_version: 8.4", "server_version: must be a text, not '8.4'; put it in quotes"),
    ("merge_memory: 5 apples", "merge_memory: must be a size such as 64MiB"),
    ("data_sources: {ds_0: {host: a, schema: s, user: u}}", "the data source 'ds_0' is also in"),
    ("data_sources: {x: {schema: s, user: u}}", "data_sources.x: needs either 'host' or 'socket'"),
]


@pytest.mark.parametrize(("mesh", "message"), MESHES, ids=[mesh[:60] for mesh, _ in MESHES])
def test_mistake_in_mesh_yaml(tmp_path: pathlib.Path, mesh: str, message: str) -> None:
    users = "" if mesh.startswith("users") else "\nusers: {a: {password: x, databases: [shop]}}"
    found = mistakes(tmp_path, mesh=mesh + users)
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(
    ("tables", "need"),
    [
        ("single_tables: {s: {data_source: ds_0, base: true}}", "'shop.s' takes part in BASE transactions"),
        (
            "tables: {t: {data_nodes: ds_0.t, sharding: {column: k, algorithm: mod}, "
            "key_generator: {column: k, type: snowflake}}}",
            "the snowflake keys of 'shop.t' need a worker id from there",
        ),
        ("transaction: base", "transactions of 'shop' are BASE by default"),
    ],
)
def test_what_needs_the_coordinator_log_says_so(tmp_path: pathlib.Path, tables: str, need: str) -> None:
    mesh = "users: {a: {password: x, databases: [shop]}}\n"
    assert mistakes(tmp_path, mesh=mesh, shop=SHOP + tables) == [
        f"mesh.yaml:1:1: transaction: names no 'log' data source, but {need}"
    ]


def test_syntax_error_has_its_place_and_hides_no_other_file(tmp_path: pathlib.Path) -> None:
    found = mistakes(tmp_path, shop="database: shop\ndata_sources: [\n", mesh=MESH + "pool: {}\n")
    assert found == [
        "mesh.yaml:5:1: pool: unknown key 'pool'; did you mean 'pools'?",
        "shop.yaml:3:1: YAML syntax: while parsing a flow node, expected the node content, but found '<stream end>'",
    ]


def test_file_without_its_database_name_is_checked_all_the_same(tmp_path: pathlib.Path) -> None:
    text = SHOP.replace("database: shop", "databse: shop") + "default_data_source: ds_7\n"
    assert mistakes(tmp_path, shop=text) == [
        "shop.yaml:1:1: databse: unknown key 'databse'; did you mean 'database'?",
        "shop.yaml:5:22: default_data_source: unknown data source 'ds_7'; did you mean 'ds_0'?",
    ]


def test_names_are_unique_among_files(tmp_path: pathlib.Path) -> None:
    found = mistakes(tmp_path, twin=SHOP)
    assert found == [
        f"twin.yaml:1:11: database: 'shop' is also the database of {tmp_path}/shop.yaml",
        f"twin.yaml:3:3: data_sources.ds_0: the data source 'ds_0' is also in {tmp_path}/shop.yaml",
        f"twin.yaml:4:3: data_sources.ds_1: the data source 'ds_1' is also in {tmp_path}/shop.yaml",
    ]


def test_two_names_for_one_schema_are_a_mistake(tmp_path: pathlib.Path) -> None:
    assert mistakes(tmp_path, shop=SHOP.replace("shop_1", "shop_0")) == [
        "shop.yaml:4:3: data_sources.ds_1: is the same schema of the same server as 'ds_0'"
    ]


def test_unset_variable_is_one_mistake_and_not_two(tmp_path: pathlib.Path) -> None:
    text = SHOP.replace("host: a, schema: shop_0", "host: '${DB_HOST}', schema: '${DB_SCHEMA}'")
    assert mistakes(tmp_path, shop=text) == [
        "shop.yaml:3:16: data_sources.ds_0.host: the environment variable DB_HOST is not set and has no default",
        "shop.yaml:3:38: data_sources.ds_0.schema: the environment variable DB_SCHEMA is not set and has no default",
    ]


def test_missing_directory_missing_mesh_file_and_foreign_bytes(tmp_path: pathlib.Path) -> None:
    with pytest.raises(RuleErrors, match="there is no such directory"):
        loader.load(tmp_path / "nowhere", {})
    with pytest.raises(RuleErrors, match=r"there is no mesh\.yaml in this directory"):
        loader.load(tmp_path, {})
    write(tmp_path)
    (tmp_path / "shop.yaml").write_bytes(b"database: sh\xf6p\n")
    with pytest.raises(RuleErrors, match="is not UTF-8 from byte 12 on"):
        loader.load(tmp_path, {})


def test_bound_tables_may_name_their_key_and_their_tables_differently(tmp_path: pathlib.Path) -> None:
    found = database(
        tmp_path,
        """\
        order:
          data_nodes: ds_{0..1}.order_{0..1}
          sharding: {column: id, algorithm: mod}
        item:
          data_nodes: ds_{0..1}.item_{0..1}
          sharding: {column: order_id, algorithm: mod}
        a: {data_nodes: 'ds_{0..1}.a', sharding: {column: k, algorithm: inline, expression: 'ds_{k % 2}.a'}}
        a_b: {data_nodes: 'ds_{0..1}.a_b', sharding: {column: k, algorithm: inline, expression: 'ds_{k % 2}.a_b'}}
        """,
        "binding_groups: [[order, item], [a, a_b]]",
    )
    assert found.bound("item", "order")
    assert found.bound("a", "a_b")
    assert not found.bound("a", "item")
