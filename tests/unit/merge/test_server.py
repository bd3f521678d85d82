"""A merge of split data gives what the server says of the whole: rows, texts and types."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from dbmesh.errors import NotSupported
from dbmesh.merge import Aggregate, AggregateKind, Finish, Group, Input, Item, MergeSpec, Pass, SortKey

SHARDS = 4
PAD = b"\0 "
WORDS = ["Ab", "aB", "ab  ", "ab", "", " ", "z\t", "z", "Z", "é", "e", "ß", "ss", "x" * 60, "a b", "a\x01", "10", "9"]
COLUMNS = {
    "i": "INT",
    "b": "BIGINT UNSIGNED",
    "c": "DECIMAL(12,5)",
    "c0": "DECIMAL(20,0)",
    "d": "DOUBLE",
    "f": "FLOAT",
    "s": "VARCHAR(80) COLLATE utf8mb4_general_ci",
    "sb": "VARCHAR(80) COLLATE utf8mb4_bin",
    "v": "VARBINARY(80)",
    "dt": "DATETIME(3)",
    "da": "DATE",
    "ti": "TIME(2)",
    "ts": "TIMESTAMP",
    "y": "YEAR",
    "bi": "BIT(9)",
    "e": "ENUM('z','m','a')",
}


def _values(source: random.Random) -> list[str]:
    def quoted(value: object) -> str:
        return f"_utf8mb4 x'{str(value).encode().hex()}'"

    date = f"{source.randint(1990, 2030)}-{source.randint(1, 12):02}-{source.randint(1, 28):02}"
    clock = f"{source.randint(0, 23):02}:{source.randint(0, 59):02}:{source.randint(0, 59):02}"
    values = [
        str(source.randint(-9, 9)),
        str(source.choice([0, 5, 2**63, 2**64 - 1, source.randint(0, 30)])),
        f"{source.randint(-(10**6), 10**6)}.{source.randint(0, 99999):05}",
        str(source.randint(-(10**18), 10**18)),
        source.choice(["1e300", "-1e-300", "0.1", "1e15", "123456789012345.6", str(source.uniform(-9, 9))]),
        str(round(source.uniform(-2, 2), 7)),
        quoted(source.choice(WORDS)),
        quoted(source.choice(WORDS)),
        quoted(source.choice(WORDS)),
        f"'{date} {clock}.{source.randint(0, 999):03}'",
        f"'{date}'",
        f"'{source.choice(['-', ''])}{source.randint(0, 800)}:{clock[3:5]}:01.{source.randint(0, 99):02}'",
        f"'{date} {clock}'",
        str(source.randint(1950, 2100)),
        str(source.randint(0, 511)),
        str(source.randint(1, 3)),
    ]
    return ["NULL" if source.random() < 0.1 else value for value in values]


@pytest.fixture
def split(ask: Any, run_merge: Any) -> Any:
    """The table `t`, and its rows once more in t0 … t3, the last of them empty."""
    source = random.Random(11)
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    ask.do("SET time_zone = '+00:00'", f"CREATE TEMPORARY TABLE t ({columns})")
    rows = [f"({', '.join(_values(source))})" for _ in range(240)]
    ask.do(f"INSERT INTO t VALUES {', '.join(rows)}")
    for shard in range(SHARDS):
        ask.do(f"CREATE TEMPORARY TABLE t{shard} LIKE t")
    for shard, start in ((0, 0), (1, 120), (2, 200)):
        end = {0: 120, 1: 200, 2: 240}[shard]
        ask.do(f"INSERT INTO t{shard} VALUES {', '.join(rows[start:end])}")
    run_merge.evaluate = ask
    run_merge.batch = 7
    return ask


def _streams(ask: Any, sql: str) -> list[Any]:
    answers = [ask(sql.replace("FROM t", f"FROM t{shard}")) for shard in range(SHARDS)]
    return [(answer.columns, answer.rows) for answer in answers]


def _kinds(columns: Sequence[Any]) -> list[tuple[Any, ...]]:
    return [(column.name, column.type, column.decimals, column.charset) for column in columns]


KEYS = [
    ("i", None, None),
    ("b", None, None),
    ("c", None, None),
    ("d", None, None),
    ("f", "f+0e0", None),
    ("s", "WEIGHT_STRING(s)", PAD),
    ("sb", "WEIGHT_STRING(sb)", b"\0\0 "),
    ("v", None, None),
    ("dt", None, None),
    ("da", None, None),
    ("ti", None, None),
    ("ts", "UNIX_TIMESTAMP(ts)", None),
    ("y", None, None),
    ("bi", "bi+0", None),
    ("e", "e+0", None),
]


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
@pytest.mark.parametrize(("column", "derived", "pad"), KEYS)
def test_order_by_each_type(
    split: Any, run_merge: Any, column: str, derived: str | None, pad: bytes | None, direction: str
) -> None:
    text = f"SELECT {column}, DENSE_RANK() OVER (ORDER BY {column}) FROM t ORDER BY {column} {direction}"
    whole = split(text)
    rank: dict[Any, Any] = dict(whole.rows)
    appended = f", {derived}" if derived else ""
    streams = _streams(split, f"SELECT {column}{appended} FROM t ORDER BY {column} {direction}")
    spec = MergeSpec(1 if derived else 0, (SortKey(-1, direction == "DESC", pad),))
    answer = run_merge(spec, *streams)
    assert [rank[row[0]] for row in answer.rows] == [row[1] for row in whole.rows]
    assert sorted(row[0] or b"" for row in answer.rows) == sorted(row[0] or b"" for row in whole.rows)
    assert _kinds(answer.columns) == _kinds(whole.columns[:1])


@pytest.mark.parametrize(("column", "derived", "pad"), KEYS)
def test_group_by_each_type(split: Any, run_merge: Any, column: str, derived: str | None, pad: bytes | None) -> None:
    items = f"{column}, COUNT(*), SUM(i), AVG(c), MIN(dt), MAX(d)"
    whole = split(f"SELECT {items} FROM t GROUP BY {column} ORDER BY {column}")
    appended = f", SUM(c), COUNT(c), {derived or column}"
    streams = _streams(split, f"SELECT {items}{appended} FROM t GROUP BY {column} ORDER BY {column}")
    aggregates = (
        Aggregate(AggregateKind.COUNT, 1),
        Aggregate(AggregateKind.SUM, 2),
        Aggregate(AggregateKind.AVG, 3, sum=-3, count=-2),
        Aggregate(AggregateKind.MIN, 4),
        Aggregate(AggregateKind.MAX, 5),
    )
    answer = run_merge(MergeSpec(3, (SortKey(-1, pad=pad),), Group(1, aggregates)), *streams)
    assert [row[1:] for row in answer.rows] == [row[1:] for row in whole.rows]
    assert _kinds(answer.columns) == _kinds(whole.columns)


@pytest.mark.parametrize("where", ["", "WHERE i > 100", "WHERE b = 5"])
def test_aggregates_without_groups(split: Any, run_merge: Any, where: str) -> None:
    functions = [
        ("COUNT(*)", Aggregate(AggregateKind.COUNT, 0)),
        ("COUNT(s)", Aggregate(AggregateKind.COUNT, 1)),
        ("SUM(i)", Aggregate(AggregateKind.SUM, 2)),
        ("SUM(c)", Aggregate(AggregateKind.SUM, 3)),
        ("SUM(y)", Aggregate(AggregateKind.SUM, 4)),
        ("AVG(i)", Aggregate(AggregateKind.AVG, 5, sum=-4, count=-3)),
        ("MIN(s)", Aggregate(AggregateKind.MIN, 6, key=SortKey(-2, pad=PAD))),
        ("MAX(e)", Aggregate(AggregateKind.MAX, 7, key=SortKey(-1, pad=PAD))),
        ("MIN(ti)", Aggregate(AggregateKind.MIN, 8)),
        ("MAX(ts)", Aggregate(AggregateKind.MAX, 9)),
        ("MIN(f)", Aggregate(AggregateKind.MIN, 10)),
        ("MAX(v)", Aggregate(AggregateKind.MAX, 11)),
        ("BIT_XOR(b)", Aggregate(AggregateKind.BIT_XOR, 12)),
        ("MIN(y)", Aggregate(AggregateKind.MIN, 13)),
        ("MAX(b)", Aggregate(AggregateKind.MAX, 14)),
    ]
    items = ", ".join(text for text, _ in functions)
    appended = "SUM(i), COUNT(i), WEIGHT_STRING(MIN(s)), WEIGHT_STRING(MAX(e))"
    whole = split(f"SELECT {items}, LOWER(MIN(s)) FROM t {where}")
    streams = _streams(split, f"SELECT {items}, {appended} FROM t {where}")
    answer = run_merge(MergeSpec(4, group=Group(0, tuple(a for _, a in functions))), *streams)
    (merged,), (expected,) = answer.rows, whole.rows
    lower = (merged[6] or b"").lower().strip()
    assert lower == (expected[-1] or b"").strip()  # of equal strings either one is the least
    assert merged[:6] + merged[7:] == expected[:6] + expected[7:-1]
    assert _kinds(answer.columns) == _kinds(whole.columns[:-1])


def test_sums_of_doubles_and_floats(split: Any, run_merge: Any) -> None:
    where = "WHERE d BETWEEN -10 AND 10"
    whole = split(f"SELECT SUM(d), AVG(d), SUM(f), AVG(f) FROM t {where}")
    streams = _streams(split, f"SELECT SUM(d), AVG(d), SUM(f), AVG(f), COUNT(d), COUNT(f) FROM t {where}")
    aggregates = (
        Aggregate(AggregateKind.AVG, 1, sum=0, count=-2),
        Aggregate(AggregateKind.AVG, 3, sum=2, count=-1),
        Aggregate(AggregateKind.SUM, 0),
        Aggregate(AggregateKind.SUM, 2),
    )
    answer = run_merge(MergeSpec(2, group=Group(0, aggregates)), *streams)
    expected = [pytest.approx(float(value), rel=1e-12) for value in whole.rows[0]]
    assert [float(value) for value in answer.rows[0]] == expected


def test_distinct_strings_are_equal_by_their_collation(split: Any, run_merge: Any) -> None:
    whole = split("SELECT COUNT(DISTINCT s, i), COUNT(*) FROM (SELECT DISTINCT s, i FROM t) x")
    streams = _streams(split, "SELECT DISTINCT s, i, WEIGHT_STRING(s) FROM t ORDER BY s DESC, i")
    keys = (SortKey(-1, True, PAD), SortKey(1))
    for spec in (MergeSpec(1, keys, distinct=keys), MergeSpec(1, distinct=keys)):
        assert len(run_merge(spec, *streams).rows) == int(whole.rows[0][1])


def test_distinct_aggregates(split: Any, run_merge: Any) -> None:
    items = "i, COUNT(DISTINCT s), COUNT(*), SUM(c)"
    whole = split(f"SELECT {items} FROM t GROUP BY i ORDER BY i")
    streams = _streams(split, f"SELECT {items}, WEIGHT_STRING(s) FROM t GROUP BY i, s ORDER BY i, s")
    aggregates = (
        Aggregate(AggregateKind.COUNT, 1, distinct=True),
        Aggregate(AggregateKind.COUNT, 2),
        Aggregate(AggregateKind.SUM, 3),
    )
    answer = run_merge(MergeSpec(1, (SortKey(0), SortKey(-1, pad=PAD)), Group(1, aggregates)), *streams)
    assert answer.rows == whole.rows
    assert _kinds(answer.columns) == _kinds(whole.columns)


FINISHED = [
    ("SUM(c) - COUNT(*) * 2", "dm.a1 - dm.a0 * 2"),
    ("ROUND(AVG(c), 3)", "ROUND((dm.a1 / dm.a2), 3)"),
    ("AVG(c) * 3", "(dm.a1 / dm.a2) * 3"),
    ("CONCAT(MAX(s), '-', MIN(dt))", "CONCAT(dm.a3, '-', dm.a5)"),
    ("MAX(s) = 'AB'", "dm.a3 = 'AB'"),
    ("IFNULL(MAX(b), 0) + 1e0", "IFNULL(dm.a6, 0) + 1e0"),
    ("DATE_ADD(MIN(dt), INTERVAL 1 DAY)", "DATE_ADD(dm.a5, INTERVAL 1 DAY)"),
    ("HEX(MIN(v))", "HEX(dm.a4)"),
    ("ADDTIME(MAX(ti), '1:00')", "ADDTIME(dm.a7, '1:00')"),
    ("MAX(d) / 3", "dm.a8 / 3"),
    ("COALESCE(MAX(da), '2000-01-01')", "COALESCE(dm.a9, '2000-01-01')"),
    ("SUM(i) / COUNT(i)", "dm.a10 / dm.a11"),
    ("COUNT(*) + 1", "dm.a0 + 1"),
    ("COALESCE(COUNT(*), 1)", "COALESCE(dm.a0, 1)"),
    ("IFNULL(MAX(b), 1)", "IFNULL(dm.a6, 1)"),
    ("MAX(b) DIV 2", "dm.a6 DIV 2"),
    ("IF(COUNT(*) > 5, 'many', 'few')", "IF(dm.a0 > 5, 'many', 'few')"),
]
SHIPPED = "COUNT(*), SUM(c), COUNT(c), MAX(s), MIN(v), MIN(dt), MAX(b), MAX(ti), MAX(d), MAX(da), SUM(i), COUNT(i)"
_K = AggregateKind
SHIPPED_KINDS = (_K.COUNT, _K.SUM, _K.COUNT, _K.MAX, _K.MIN, _K.MIN, _K.MAX, _K.MAX, _K.MAX, _K.MAX, _K.SUM, _K.COUNT)


def _finished_spec(where_group: str, item: str, having: str | None = None) -> MergeSpec:
    """`y, <12 shipped>, WEIGHT_STRING(MAX(s))`; the client asked for y and the item."""
    aggregates = tuple(
        Aggregate(kind, n + 1, key=SortKey(-1, pad=PAD) if n == 3 else None) for n, kind in enumerate(SHIPPED_KINDS)
    )
    inputs = tuple(
        Input(n + 1, *(("utf8mb4", "utf8mb4_general_ci") if n == 3 else ())) for n in range(len(SHIPPED_KINDS))
    )
    return MergeSpec(
        derived=13,
        order=(SortKey(0),) if where_group else (),
        group=Group(1 if where_group else 0, aggregates),
        finish=Finish(inputs, (Pass(0), Item(item, b"label")), having=having),
    )


@pytest.mark.parametrize(("original", "rewritten"), FINISHED)
@pytest.mark.parametrize("group", ["GROUP BY y ORDER BY y", "WHERE i > 100", ""])
def test_expressions_over_aggregates(split: Any, run_merge: Any, original: str, rewritten: str, group: str) -> None:
    y = "y" if "GROUP" in group else "NULL AS y"
    if "MAX(s)" in original:  # of equal strings any one is the greatest: leave one spelling each
        for table in ("t", *[f"t{shard}" for shard in range(SHARDS)]):
            split.do(f"UPDATE {table} SET s = UPPER(TRIM(s))")
    whole = split(f"SELECT {y}, {original} AS label FROM t {group}")
    streams = _streams(split, f"SELECT {y}, {SHIPPED}, WEIGHT_STRING(MAX(s)) FROM t {group}")
    answer = run_merge(_finished_spec("y" if "GROUP" in group else "", rewritten), *streams)
    assert answer.rows == whole.rows
    assert [c.name for c in answer.columns] == [b"y", b"label"]
    assert [c.type for c in answer.columns] == [c.type for c in whole.columns]
    assert [c.decimals for c in answer.columns] == [c.decimals for c in whole.columns]


def test_a_float_in_an_expression_stays_a_float(split: Any, run_merge: Any) -> None:
    whole = split("SELECT CONCAT(MAX(f), '!') AS t, MAX(f) * 3 AS n, IFNULL(MAX(f), 0) AS f FROM t")
    streams = _streams(split, "SELECT MAX(f) + 0e0 FROM t")
    items = (Item("CONCAT(dm.a0, '!')", b"t"), Item("dm.a0 * 3", b"n"), Item("IFNULL(dm.a0, 0)", b"f"))
    group = Group(0, (Aggregate(AggregateKind.MAX, 0),))
    answer = run_merge(MergeSpec(group=group, finish=Finish((Input(0, float=True),), items)), *streams)
    assert answer.rows == whole.rows
    assert [(c.name, c.type) for c in answer.columns] == [(c.name, c.type) for c in whole.columns]


def test_a_sum_beyond_decimals_digits_is_refused_in_an_expression(split: Any, run_merge: Any) -> None:
    stream = split("SELECT SUM(x) FROM (SELECT CAST(REPEAT('9', 35) AS DECIMAL(65,30)) AS x) t")
    group = Group(0, (Aggregate(AggregateKind.SUM, 0),))
    streams = [(stream.columns, stream.rows)] * 20
    assert run_merge(MergeSpec(group=group), *streams).rows == [(b"19" + b"9" * 33 + b"80." + b"0" * 30,)]
    with pytest.raises(NotSupported, match="more digits"):
        run_merge(MergeSpec(group=group, finish=Finish((Input(0),), (Item("dm.a0 + 0"),))), *streams)


def test_min_of_a_bit_is_refused(split: Any, run_merge: Any) -> None:
    with pytest.raises(NotSupported, match="BIT"):
        run_merge(
            MergeSpec(group=Group(0, (Aggregate(AggregateKind.MIN, 0),))), *_streams(split, "SELECT MIN(bi) FROM t")
        )


def test_having_drops_groups_and_nothing_is_left_of_an_empty_result(split: Any, run_merge: Any) -> None:
    whole = split("SELECT y, COUNT(*) FROM t GROUP BY y HAVING COUNT(*) > 2 AND SUM(c) IS NOT NULL ORDER BY y")
    streams = _streams(split, f"SELECT y, {SHIPPED}, WEIGHT_STRING(MAX(s)) FROM t GROUP BY y ORDER BY y")
    spec = _finished_spec("y", "dm.a0", "dm.a0 > 2 AND dm.a1 IS NOT NULL")
    assert run_merge(spec, *streams).rows == whole.rows
    empty = [(columns, []) for columns, _ in streams]
    answer = run_merge(spec, *empty)
    assert answer.rows == []
    assert [c.type for c in answer.columns] == [c.type for c in whole.columns]


def test_batches_of_groups_keep_their_order(split: Any, run_merge: Any) -> None:
    split.do("CREATE TEMPORARY TABLE seq (n INT)", "INSERT INTO seq SELECT seq FROM seq_1_to_1000")
    stream = split("SELECT n, COUNT(*) FROM seq GROUP BY n ORDER BY n")
    run_merge.batch = 400
    finish = Finish((Input(1), Input(0)), (Pass(0), Item("dm.a0 + dm.a1 * 10", b"x")))
    group = Group(1, (Aggregate(AggregateKind.COUNT, 1),))
    answer = run_merge(MergeSpec(order=(SortKey(0),), group=group, finish=finish), *[(stream.columns, stream.rows)] * 2)
    assert answer.rows == [(b"%d" % n, b"%d" % (n * 10 + 2)) for n in range(1, 1001)]
    assert len(run_merge.asked) > 3


def test_finished_rows_are_sorted_by_hidden_columns(split: Any, run_merge: Any) -> None:
    whole = split("SELECT y FROM t GROUP BY y ORDER BY SUM(c) / COUNT(*) DESC, y LIMIT 7")
    streams = _streams(split, "SELECT y, SUM(c), COUNT(*) FROM t GROUP BY y ORDER BY y")
    spec = MergeSpec(
        derived=2,
        order=(SortKey(0),),
        group=Group(1, (Aggregate(AggregateKind.SUM, 1), Aggregate(AggregateKind.COUNT, 2))),
        finish=Finish((Input(1), Input(2)), (Pass(0), Item("dm.a0 / dm.a1")), hidden=1),
        sort=(SortKey(-1, descending=True), SortKey(0)),
        limit=7,
    )
    answer = run_merge(spec, *streams)
    assert answer.rows == whole.rows
    assert _kinds(answer.columns) == _kinds(whole.columns)


def test_a_zero_date_in_an_expression_is_refused(split: Any, run_merge: Any) -> None:
    split.do("SET sql_mode = ''", "INSERT INTO t0 (da) VALUES ('0000-00-00')")
    streams = _streams(split, "SELECT MIN(da) FROM t")
    finish = Finish((Input(0),), (Item("YEAR(dm.a0)"),))
    group = Group(0, (Aggregate(AggregateKind.MIN, 0),))
    with pytest.raises(NotSupported, match="zero date"):
        run_merge(MergeSpec(group=group, finish=finish), *streams)
