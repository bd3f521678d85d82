"""The tables of the differential test, how they are sharded, and their rows."""

from __future__ import annotations

import random
from collections.abc import Callable

from dbmesh.schema import Column
from tests.differential import kinds
from tests.differential.table import Table
from tests.flavour import DEFAULT_COLLATION, MYSQL

DATABASE = "diff"
SOURCES = 4

RULES = """
database: diff
data_sources:
  ds_0: {SERVER_0, schema: diff_0}
  ds_1: {SERVER_0, schema: diff_1}
  ds_2: {SERVER_1, schema: diff_2}
  ds_3: {SERVER_1, schema: diff_3}
tables:
  item:
    data_nodes: ds_{0..3}.item_{0..1}
    sharding: {column: id, algorithm: mod}
  part:
    data_nodes: ds_{0..3}.part_{0..1}
    sharding: {column: item_id, algorithm: mod}
  person:
    data_nodes: ds_{0..3}.person
    sharding: {column: name, algorithm: hash_mod}
  token:
    data_nodes: ds_{0..3}.token
    sharding: {column: code, algorithm: hash_mod}
  event:
    data_nodes: ds_{0..3}.event
    sharding: {column: day, algorithm: date, unit: year, from: 2020-01-01, cycle: true}
  visit:
    data_nodes: ds_{0..3}.visit
    sharding: {column: at, algorithm: date, unit: month, step: 6, from: 2023-01-01, cycle: true}
  huge:
    data_nodes: ds_{0..3}.huge
    sharding: {column: k, algorithm: range, boundaries: [1000, 9223372036854775808, 18446744073709551000]}
  loose:
    data_nodes: ds_{0..3}.loose
    sharding: {column: n, algorithm: mod}
  money:
    data_nodes: ds_{0..3}.money
    sharding: {column: amount, algorithm: range, boundaries: [-10, 0, 99.5]}
  pair:
    data_nodes: ds_{0..3}.pair
    sharding: {columns: [a, b], algorithm: hash_mod}
  ledger:
    data_nodes: ds_{0..3}.ledger_{0..1}
    data_source_sharding: {column: owner, algorithm: hash_mod}
    table_sharding: {column: yr, algorithm: mod}
  kinds:
    data_nodes: ds_{0..3}.kinds
    sharding: {column: id, algorithm: mod}
  words:
    data_nodes: ds_{0..3}.words
    sharding: {column: id, algorithm: mod}
broadcast_tables:
  region: {}
single_tables:
  diary: {data_source: ds_1}
default_data_source: ds_0
binding_groups:
  - [item, part]
"""

_BIN = "COLLATE utf8mb4_bin"
# In the servers' own default collation: PAD SPACE on MariaDB, NO PAD on MySQL.
_NAME = Column(
    "name", "varchar", "varchar(20)", nullable=False, length=20, charset="utf8mb4",
    collation=DEFAULT_COLLATION, pad=None if MYSQL else b"\0 ",
)  # fmt: skip


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _some(source: random.Random, share: float, make: Callable[[], str]) -> str:
    return "NULL" if source.random() < share else make()


_WORDS = ("Ab", "aB", "ab", "abc", "", " x", "Zoë", "zoe", "Straße", "strasse", "a b", "10", "9", "x'y", "50%", "a_b")


def _item(source: random.Random, number: int) -> tuple[str, ...]:
    day = f"{source.randint(2019, 2024)}-{source.randint(1, 12):02}-{source.randint(1, 28):02}"
    clock = f"{source.randint(0, 23):02}:{source.randint(0, 59):02}:{source.randint(0, 59):02}"
    return (
        str(number),
        _some(source, 0.1, lambda: str(source.randint(1, 8))),
        _some(source, 0.1, lambda: _text(source.choice(_WORDS))),
        _some(source, 0.1, lambda: _text(source.choice(_WORDS))),
        _some(source, 0.1, lambda: f"{source.randint(-500, 5000)}.{source.randint(0, 99):02}"),
        _some(source, 0.1, lambda: str(round(source.uniform(-100, 100), 6))),
        _some(source, 0.1, lambda: str(source.randint(-40, 40) / 8)),
        _some(source, 0.1, lambda: f"'{day}'"),
        _some(source, 0.1, lambda: f"'{day} {clock}.{source.randint(0, 9)}00'"),
        _some(source, 0.1, lambda: f"'{day} {clock}'"),
        _some(source, 0.1, lambda: f"'{source.choice(['-', ''])}{source.randint(0, 99)}:{clock[3:]}'"),
        _some(source, 0.1, lambda: f"'{source.choice(['small', 'medium', 'large'])}'"),
        _some(source, 0.1, lambda: f"'{source.choice(['', 'a', 'b', 'a,b', 'c', 'a,c'])}'"),
        _some(source, 0.1, lambda: f"x'{source.randbytes(source.randint(0, 3)).hex()}'"),
        _some(source, 0.1, lambda: str(source.randint(2000, 2009))),
        _some(source, 0.1, lambda: str(source.choice([0, 1, 2**63 - 1, 2**63, 2**64 - 1, source.randint(0, 99)]))),
        _some(source, 0.3, lambda: _text(" ".join(source.choices(_WORDS, k=3)))),
    )


def _part(source: random.Random, number: int, item: str) -> tuple[str, ...]:
    return str(number), item, str(source.randint(1, 9)), _some(source, 0.1, lambda: _text(source.choice(_WORDS)))


ITEM_COLUMNS = (
    "id", "grp", "name", "code", "price", "ratio", "weight", "born", "seen", "stamp", "dur", "kind", "flags", "raw",
    "yr", "big", "note",
)  # fmt: skip


def _tables() -> dict[str, Table]:
    source = random.Random(20)
    item = tuple(_item(source, number) for number in (*range(-6, 174), 2**62, 2**63 - 1))
    part = tuple(_part(source, n, item[n * 7 % len(item)][0]) for n in range(1, 241))
    names = ("Ab", "bob", "Carl", "dora  ", "Eve", "5", "05", "5.0", "5abc", "1e0", "x", "0x35", "", "Zed", "ab c")
    codes = ("Ab", "aB", "ab", "ab  c", "5", "05", "5.0", "5abc", "1e0", "0x35", "Z", "zoë", "Straße", "x y", "q'q")
    regions = tuple((str(n), f"'{name}'") for n, name in enumerate(("north", "south", "east", "west", "Nord"), 1))
    days = [f"'{year}-{month:02}-15'" for year in range(2018, 2027) for month in (1, 6, 12)]
    months = [(year, month) for year in (2022, 2023, 2024) for month in range(1, 13)]
    moments = [f"'{year}-{month:02}-0{month % 9 + 1} 0{month % 10}:30:00.250'" for year, month in months]
    small = (0, 1, 5, 999, 1000, 1001, 2**31)
    huge = (*small, 2**63 - 1, 2**63, 2**63 + 1, 18446744073709550999, 18446744073709551000, 2**64 - 1)
    below = ("-99.99", "-10.01", "-10.00", "-9.99", "-0.01", "0.00")
    amounts = (*below, "0.01", "5.00", "5.50", "99.49", "99.50", "1000.00")
    ledger = tuple(
        (str(owner), str(year), f"{source.randint(-99, 99)}.{source.randint(0, 9999):04}")
        for owner in range(12)
        for year in range(2020, 2025)
    )
    return {
        "item": Table(
            "id BIGINT PRIMARY KEY, grp INT, name VARCHAR(40), code VARCHAR(20) COLLATE utf8mb4_bin, "
            "price DECIMAL(10,2), ratio DOUBLE, weight FLOAT, born DATE, seen DATETIME(3), stamp TIMESTAMP NULL, "
            "dur TIME, kind ENUM('small','medium','large'), flags SET('a','b','c'), raw VARBINARY(20), yr YEAR, "
            "big BIGINT UNSIGNED, note TEXT, KEY (grp)",
            item,
            (Column("id", "bigint", "bigint(20)", nullable=False),),
            ITEM_COLUMNS,
            ("_0", "_1"),
        ),
        "part": Table(
            f"part_id INT, item_id BIGINT, qty INT NOT NULL, label VARCHAR(40) {_BIN}, PRIMARY KEY (item_id, part_id)",
            part,
            (Column("item_id", "bigint", "bigint(20)", nullable=False),),
            ("part_id", "item_id", "qty", "label"),
            ("_0", "_1"),
        ),
        "person": Table(
            "name VARCHAR(20) PRIMARY KEY, age INT NOT NULL DEFAULT 7, mail VARCHAR(40)",
            tuple((_text(name), str(n), "NULL") for n, name in enumerate(names)),
            (_NAME,),
            ("name", "age", "mail"),
        ),
        "token": Table(
            f"code VARCHAR(20) {_BIN} PRIMARY KEY, uses INT",
            tuple((_text(code), str(n)) for n, code in enumerate(codes)),
            (Column("code", "varchar", "varchar(20)", nullable=False, length=20, charset="utf8mb4",
                    collation="utf8mb4_bin", pad=b"\0\0 "),),
            ("code", "uses"),
        ),
        "event": Table(
            "id INT, day DATE NOT NULL, what VARCHAR(20), PRIMARY KEY (id, day)",
            tuple((str(n), day, f"'event {n % 5}'") for n, day in enumerate(days)),
            (Column("day", "date", "date", nullable=False),),
            ("id", "day", "what"),
        ),
        "visit": Table(
            "id INT, at DATETIME(3) NOT NULL, PRIMARY KEY (id, at)",
            tuple((str(n), at) for n, at in enumerate(moments)),
            (Column("at", "datetime", "datetime(3)", nullable=False, scale=3),),
            ("id", "at"),
        ),
        "huge": Table(
            "k BIGINT UNSIGNED PRIMARY KEY, tag VARCHAR(10)",
            tuple((str(k), f"'v{n % 4}'") for n, k in enumerate(huge)),
            (Column("k", "bigint", "bigint(20) unsigned", unsigned=True, nullable=False),),
            ("k", "tag"),
        ),
        "loose": Table(
            "n INT, v INT",
            tuple((_some(source, 0.2, lambda: str(source.randint(-9, 9))), str(v)) for v in range(50)),
            (Column("n", "int", "int(11)"),),
            ("n", "v"),
        ),
        "money": Table(
            "amount DECIMAL(8,2) NOT NULL, id INT, PRIMARY KEY (amount, id)",
            tuple((amount, str(n)) for n in range(2) for amount in amounts),
            (Column("amount", "decimal", "decimal(8,2)", nullable=False, precision=8, scale=2),),
            ("amount", "id"),
        ),
        "pair": Table(
            f"a INT NOT NULL, b VARCHAR(10) {_BIN} NOT NULL, v INT, PRIMARY KEY (a, b)",
            tuple((str(a), f"'{b}'", str(a * 3)) for a in range(6) for b in ("x", "y", "Z")),
            (
                Column("a", "int", "int(11)", nullable=False),
                Column("b", "varchar", "varchar(10)", nullable=False, length=10, charset="utf8mb4",
                       collation="utf8mb4_bin", pad=b"\0\0 "),
            ),
            ("a", "b", "v"),
        ),
        "ledger": Table(
            "owner INT NOT NULL, yr SMALLINT NOT NULL, amount DECIMAL(12,4), PRIMARY KEY (owner, yr)",
            ledger,
            (
                Column("owner", "int", "int(11)", nullable=False),
                Column("yr", "smallint", "smallint(6)", nullable=False),
            ),
            ("owner", "yr", "amount"),
            ("_0", "_1"),
        ),
        "region": Table("id INT PRIMARY KEY, name VARCHAR(20)", regions, (), ("id", "name")),
        "diary": Table(
            "id INT AUTO_INCREMENT PRIMARY KEY, line VARCHAR(40), grp INT",
            tuple((str(n), f"'line {n}'", str(n % 4)) for n in range(1, 13)),
            (),
            ("id", "line", "grp"),
        ),
        "memo": Table("id INT PRIMARY KEY, body TEXT", (("1", "'one'"), ("2", "NULL")), (), ("id", "body")),
    }  # fmt: skip


TABLES = _tables() | kinds.tables()
