"""I9: random tables of every type, random writes under random session states: ROLLBACK leaves the very same bytes.

The same statements also run on a plain twin of the table, outside any saga: rows, affected rows, LAST_INSERT_ID and the
OK packet's text must be those of an ordinary server.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dbmesh.backend.catalog import ServerCatalog
from dbmesh.backend.connection import Connection
from dbmesh.backend.session_state import DEFAULT_STATE, SessionState
from dbmesh.errors import BackendError, NotSupported
from dbmesh.plan.model import RouteUnit
from dbmesh.saga.script import reverse_script
from dbmesh.saga.states import TxState
from dbmesh.sandbox import Server
from dbmesh.transaction.base import Saga
from tests.flavour import MYSQL
from tests.integration.saga_world import Client, World, delete, dump, insert, insert_select, rules_of, update, upsert

EXAMPLES = int(os.environ.get("DBMESH_SAGAS", "20" if MYSQL else "40"))  # MySQL's DDL takes its time

NUMBERS = ["0", "1", "-1", "127", "3", "12.5", "-0.001", "1e3", "16777217", "NULL", "0.1", "255"]
TEXTS = ["''", "'a'", "'A '", "'it''s'", "'Zoë'", "'ab  '", "x'00ff'", "'%_'", "NULL", "'0'", "'ß'", "'\t'"]
MOMENTS = [
    "'2026-11-01 01:30:00'",
    "'2026-03-08 03:10:11.123456'",
    "'0000-00-00'",
    "'1999-12-31 23:59:59.999999'",
    "NOW(6)",
    "NULL",
    "'2038-01-19 03:14:07'",
]
INSTANTS = [*MOMENTS, "FROM_UNIXTIME(1793511000)", "FROM_UNIXTIME(1793514600)"]  # both 01:30 in New York
TYPES: dict[str, list[str]] = {
    "TINYINT": NUMBERS,
    "INT UNSIGNED": NUMBERS,
    "INT(8) ZEROFILL": NUMBERS,
    "BIGINT": [*NUMBERS, "9223372036854775807", "-9223372036854775808"],
    "BIGINT UNSIGNED": [*NUMBERS, "18446744073709551615"],
    "DECIMAL(10,3)": NUMBERS,
    "DECIMAL(65,30)": [*NUMBERS, "12345678901234567890.123456789012345678901234567890"],
    "FLOAT": [*NUMBERS, "3.4028234e38", "1.17e-38"],
    "FLOAT(7,3)": NUMBERS,
    "DOUBLE": [*NUMBERS, "1.7976931348623157e308", "0.1+0.2"],
    "BIT(1)": ["0", "1", "NULL"],
    "BIT(13)": ["0", "b'1010101010101'", "7", "NULL"],
    "BIT(64)": ["0", "18446744073709551615", "NULL"],
    "YEAR": ["0", "'2026'", "1970", "NULL"],
    "DATE": MOMENTS,
    "TIME(6)": ["'-838:59:59'", "'12:34:56.789012'", "0", "NULL"],
    "DATETIME": MOMENTS,
    "DATETIME(6)": MOMENTS,
    "TIMESTAMP NULL": INSTANTS,
    "TIMESTAMP(3) NULL": INSTANTS,
    "TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)": INSTANTS[:-3],
    "CHAR(5)": TEXTS,
    "CHAR(5) CHARACTER SET latin1": TEXTS,
    "CHAR(4) CHARACTER SET ucs2": TEXTS,
    "VARCHAR(12)": TEXTS,
    "VARCHAR(12) COLLATE utf8mb4_bin": TEXTS,
    "VARCHAR(12) CHARACTER SET latin1": TEXTS,
    "VARCHAR(12) CHARACTER SET gbk": TEXTS,
    "VARCHAR(12) CHARACTER SET utf16": TEXTS,
    "TEXT": [*TEXTS, "REPEAT('é', 300)"],
    "BINARY(4)": TEXTS,
    "VARBINARY(8)": TEXTS,
    "BLOB": [*TEXTS, "REPEAT(x'00', 300)"],
    "ENUM('a','','b c','ë')": ["'a'", "''", "3", "'nope'", "NULL", "'ë'"],
    "SET('x','y','z')": ["'x,z'", "''", "7", "NULL"],
    "JSON": ["'{\"a\": 1.50}'", "'[1, \"ü\"]'", "NULL"],
    "SMALLINT UNSIGNED": NUMBERS,
    "MEDIUMINT": NUMBERS,
    "LONGTEXT CHARACTER SET utf32": TEXTS,
    "TINYBLOB": TEXTS,
    "GEOMETRY": ["ST_GeomFromText('LINESTRING(0 0,1 2)', 4326)", "POINT(1,2)", "NULL"],
    "POINT": ["POINT(1,2)", "NULL"],
}
TYPES |= (
    {
        "VARCHAR(12) COLLATE utf8mb4_0900_bin": TEXTS,
        "VARCHAR(12) COLLATE utf8mb4_0900_as_cs": TEXTS,
        "VARCHAR(12) COLLATE utf8mb4_ja_0900_as_cs_ks": TEXTS,
        "VARCHAR(12) CHARACTER SET gb18030": TEXTS,
        "VECTOR(2)": ["STRING_TO_VECTOR('[1,-2.5]')", "x'0000803f00000040'", "NULL"],
    }
    if MYSQL
    else {
        "VARCHAR(12) COLLATE utf8mb4_nopad_bin": TEXTS,
        "INET4": ["'10.0.0.1'", "NULL"],
        "INET6": ["'::1'", "'10.0.0.1'", "NULL"],
        "UUID": ["'123e4567-e89b-12d3-a456-426655440000'", "NULL"],
    }
)
KEYS: dict[str, tuple[str, ...]] = {
    "id INT AUTO_INCREMENT PRIMARY KEY": ("id",),
    "id INT PRIMARY KEY": ("id",),
    "id VARCHAR(8) PRIMARY KEY": ("id",),
    "id CHAR(8) CHARACTER SET latin1 PRIMARY KEY": ("id",),
    "id VARBINARY(8) PRIMARY KEY": ("id",),
    "id DECIMAL(8,2) PRIMARY KEY": ("id",),
    "id DOUBLE PRIMARY KEY": ("id",),
    "id INT, at TIMESTAMP(6) NOT NULL DEFAULT '2000-01-01 00:00:00', PRIMARY KEY (id, at)": ("id", "at"),
    "id INT NOT NULL, UNIQUE KEY only (id)": ("id",),
    "id BIT(12) PRIMARY KEY": ("id",),
    "id DATE PRIMARY KEY": ("id",),
}
MODES = ["", "STRICT_TRANS_TABLES", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "PAD_CHAR_TO_FULL_LENGTH", "TRADITIONAL"]
STATES = [("utf8mb4", "utf8mb4_general_ci"), ("latin1", "latin1_swedish_ci"), ("gbk", "gbk_chinese_ci")]
KINDS = (
    "insert",
    "insert",
    "insert2",
    "number",
    "update",
    "update",
    "update_key",
    "order",
    "delete",
    "delete_one",
    "clash",
    "self",
    "move",
    "ignore",
    "odku",
    "odku_key",
    "replace",
    "select",
    "update_ignore",
    "delete_ignore",
)
CODECS = {"utf8mb4": "utf-8", "latin1": "cp1252", "gbk": "gbk"}


@dataclass(frozen=True)
class Case:
    key: str
    columns: tuple[str, ...]
    extra: str
    state: SessionState
    found_rows: bool
    seed: tuple[tuple[str, ...], ...]
    statements: tuple[tuple[str, tuple[str, ...]], ...]
    ending: str


def sendable(case: Case, values: tuple[str, ...]) -> tuple[str, ...]:
    """The values as a client of that character set would have typed them."""
    codec = CODECS[case.state.client]
    return tuple(value.encode(codec, "replace").decode(codec) for value in values)


def key_text(key: str, number: int) -> str:
    if "DATE" in key:
        return f"'2026-01-{number % 28 + 1:02}'"
    if "CHAR" in key or "BINARY" in key:
        return f"'K{number} b'" if number % 3 == 0 and "CHAR" in key else f"'K{number}'"
    return f"{number}.25" if "DOUBLE" in key or "DECIMAL" in key else str(number)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    key = draw(st.sampled_from(sorted(KEYS)))
    types = draw(st.lists(st.sampled_from(sorted(TYPES)), min_size=1, max_size=5))
    extra = draw(
        st.sampled_from(
            [
                "",
                ", g INT AS (LENGTH(c0)) VIRTUAL",
                ", h INT DEFAULT 5, g INT AS (h + 1) STORED",
                ", h INT INVISIBLE DEFAULT 5",
                ", h VARCHAR(9) DEFAULT 'd', UNIQUE KEY u (h, id)",
                ", front INT NULL, UNIQUE KEY u (front)",
            ]
        )
    )
    charset, collation = draw(st.sampled_from(STATES))
    zone = draw(st.sampled_from(["'+00:00'", "'-05:30'", "'America/New_York'"]))
    mode = draw(st.sampled_from(MODES))
    results = draw(st.sampled_from([charset, None, "utf8mb4"]))
    state = DEFAULT_STATE.with_charsets(charset, collation, results).with_variables(
        {
            "time_zone": zone,
            "sql_mode": f"'{mode}'",
            "timestamp": "1793512345.678901",
            "sql_select_limit": "1",
            "sql_safe_updates": draw(st.sampled_from("001")),
        }
    )
    values = st.tuples(*(st.sampled_from(TYPES[name]) for name in types))
    seed = draw(st.lists(values, min_size=0, max_size=5))
    kinds = st.sampled_from(KINDS)
    statements = draw(st.lists(st.tuples(kinds, values), min_size=1, max_size=8))
    ending = draw(st.sampled_from(["rollback", "by hand", "undo"]))
    return Case(key, tuple(types), extra, state, draw(st.booleans()), tuple(seed), tuple(statements), ending)


def create(case: Case) -> str:
    columns = ", ".join(f"c{number} {name}" for number, name in enumerate(case.columns))
    keyed, comma, rest = case.key.partition(", ")
    return f"CREATE TABLE t ({keyed}, {columns}{case.extra}{comma}{rest}) DEFAULT CHARSET=utf8mb4"


def units(case: Case) -> Iterator[RouteUnit]:
    names = tuple(f"c{number}" for number in range(len(case.columns)))
    for number, (kind, drawn) in enumerate(case.statements):
        key = key_text(case.key, number % 6 + 1)
        values = sendable(case, drawn)
        if kind == "insert":
            yield insert("ds_0", "t", ("id", *names), (key_text(case.key, number + 4), *values))
        elif kind == "insert2":
            yield insert("ds_0", "t", ("id", *names), (key_text(case.key, number + 3), *values), (key, *values))
        elif kind == "number":
            rows = [("NULL", *values), ("DEFAULT", *values), ("0", *values)]
            yield insert("ds_0", "t", ("id", *names), *rows[: number % 3 + 1])
        elif kind == "update":
            chosen = number % len(names)
            yield update("ds_0", "t", f"{names[chosen]} = {values[chosen]}", "id IS NOT NULL -- all")
        elif kind == "update_key":
            assignments = ", ".join(f"{name} = {value}" for name, value in zip(names, values, strict=True))
            yield update("ds_0", "t", assignments, f"id = {key} OR c0 = {values[0]}")
        elif kind == "order":
            yield update("ds_0", "t", f"c0 = {values[0]}", "", order_by="id DESC", limit="2")
        elif kind == "clash":
            yield update("ds_0", "t", f"{names[-1]} = {values[-1]}", "c0 = 0")
        elif kind == "move":
            yield update("ds_0", "t", f"id = {key_text(case.key, number + 7)}, c0 = c0", f"id = {key}")
        elif kind == "self":
            yield update("ds_0", "t", "c0 = CONCAT(c0, 'x')", "CONCAT(id, '') > 'K1'")
        elif kind in ("ignore", "odku", "odku_key", "replace"):
            rows = [(key, *values), (key_text(case.key, number + 5), *values)][: number % 2 + 1]
            assigned = f"{names[0]} = VALUES({names[0]})" if kind == "odku" else "id = 99"
            yield upsert(
                "ds_0", "t", ("id", *names), rows, {"ignore": "IGNORE", "replace": "REPLACE"}.get(kind, assigned)
            )
        elif kind == "select":
            listed = ", ".join(names)
            yield insert_select("ds_0", "t", ("id", *names), f"SELECT id + 100, {listed} FROM t ORDER BY id")
        elif kind == "update_ignore":
            yield update("ds_0", "t", f"c0 = {values[0]}", "id IS NOT NULL", ignore=True)
        elif kind == "delete_ignore":
            yield delete("ds_0", "t", f"id > {key}", ignore=True)
        elif kind == "delete":
            yield delete("ds_0", "t", f"id > {key}")
        else:
            yield delete("ds_0", "t", "", order_by="id", limit="1")


async def answer(connection: Connection, unit: RouteUnit, codec: str) -> tuple[object, ...]:
    """What an ordinary server says to a statement."""
    try:
        text = unit.write.head if unit.write and unit.write.op == "I" else unit.sql
        if unit.write and unit.write.order_by:
            text += f" ORDER BY {unit.write.order_by} LIMIT {unit.write.limit}"
        result = await connection.execute(text.encode(codec, "replace"))
    except BackendError as error:
        return (error.errno,)
    return result.affected, result.last_insert_id, result.info


def may_meet_rows(unit: RouteUnit) -> bool:
    return unit.write is not None and (unit.write.ignore or unit.write.replace or unit.write.on_duplicate)


async def play(case: Case, world: World, plain: World) -> None:
    codec = CODECS[case.state.client]
    proxy = world.proxies[0] if world.proxies else await world.proxy()
    client, twin = Client(world.rules, case.state, case.found_rows), Client(plain.rules, case.state, case.found_rows)
    saga = world.saga(proxy)
    try:
        (connection,) = await twin.acquire(["ds_0"])
        before = world.dump()
        for unit in units(case):
            expected = await answer(connection, unit, codec)
            try:
                result = await saga.execute([unit], client, encoding=codec, original=unit.sql)
                affected = result.matched if case.found_rows else result.affected
                told: tuple[object, ...] = (affected, result.last_insert_id, result.info)
            except BackendError as error:
                told = (error.errno,)
            except NotSupported as refused:
                if not may_meet_rows(unit) and "INSERT … RETURNING" not in str(refused):
                    raise
                break  # where a value is not stored as it is given; on MySQL, where only the server knows a key
            assert told == expected, f"{told} {expected} {unit.sql}"
            assert dump(*world.sources["ds_0"])["t"] == dump(*plain.sources["ds_0"])["t"], (
                f"rows differ after {unit.sql}"
            )
        if case.ending == "by hand":
            await by_hand(world, saga)
            assert world.dump() == before
        if case.ending == "undo":
            await commit_and_undo(world, saga)
        await saga.rollback()
        assert world.dump() == before
        world.clean()
        twin.release(connection, True)
    finally:
        await saga.abandon()
        client.close()
        twin.close()
        await world.close()
        for _ in range(3):  # the loop's next turns end the sockets
            await asyncio.sleep(0)


async def commit_and_undo(world: World, saga: Saga) -> None:
    """As `dbmesh tx undo` does."""
    await saga.commit()
    proxy = world.proxies[0]
    await asyncio.gather(*proxy.busy)
    found = await proxy.log.read(saga.gtrid)
    if found is not None:
        outcome = await proxy.undo(found, ServerCatalog(world.clusters[0], world.rules), "test")
        assert outcome is not None
        assert outcome.state is TxState.ROLLED_BACK, outcome


async def by_hand(world: World, saga: Saga) -> None:
    """Undo it as an operator would with `dbmesh tx reverse-sql`."""
    proxy = world.proxies[0]
    records = [stored.record for stored in await proxy.shards.undo_records(saga.gtrid, "ds_0")]
    if records:
        place = proxy.shards.place("ds_0")
        names = place.name("branch"), place.name("row_lock")
        lines = reverse_script(saga.gtrid, "ds_0", proxy.links.schema("ds_0"), records, *names)
        world.script(*(line.rstrip(";") for line in lines if not line.startswith("--")))


@pytest.fixture(scope="module")
def schemas(servers: tuple[Server, Server], zones: None) -> Iterator[tuple[Server, str, str]]:
    server = servers[0]
    names = "oracle", "oracle_twin"
    server.script([f"CREATE DATABASE {name}" for name in names])
    yield server, *names
    server.script([f"DROP DATABASE {name}" for name in names])


@pytest.fixture(scope="module")
def zones(servers: tuple[Server, Server]) -> None:
    """America/New_York as the years 2007 and later have it: servers come without time zones."""
    rows = servers[0].rows("SELECT 1 FROM mysql.time_zone_name WHERE Name='America/New_York'")
    if rows:
        return
    start, end = 1772953200, 1793512800  # 2026-03-08 07:00 and 2026-11-01 06:00, UTC
    servers[0].script(
        [
            "INSERT INTO mysql.time_zone (Use_leap_seconds) VALUES ('N')",
            "SET @id = LAST_INSERT_ID()",
            "INSERT INTO mysql.time_zone_name VALUES ('America/New_York', @id)",
            "INSERT INTO mysql.time_zone_transition_type VALUES (@id,0,-18000,0,'EST'),(@id,1,-14400,1,'EDT')",
            f"INSERT INTO mysql.time_zone_transition VALUES (@id,-2147483648,0),(@id,{start},1),(@id,{end},0)",
        ]
    )


@pytest.mark.timeout(200 + 5 * EXAMPLES)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    database=None,
)
@given(case=cases())
def test_rollback_restores_the_very_same_bytes(case: Case, schemas: tuple[Server, str, str]) -> None:
    server, mesh, twin = schemas
    sources, plain = {"ds_0": (server, mesh)}, {"ds_0": (server, twin)}
    loose = "SET sql_mode=''"
    for schema in (mesh, twin):
        named = ", ".join(f"c{number}" for number in range(len(case.columns)))
        rows = [
            f"INSERT IGNORE INTO t (id, {named}) VALUES ({key_text(case.key, number)}, {', '.join(values)})"
            for number, values in enumerate(case.seed, start=1)
        ]
        fixed = "SET timestamp=1793512345, time_zone='+00:00'"
        server.script([loose, fixed, "DROP TABLE IF EXISTS t", create(case), *rows], schema)
    asyncio.run(play(case, World(sources, rules_of(sources, lease=60.0)), World(plain, rules_of(plain))))
