"""Random statements with what is needed to compare their answers. One seed gives one sequence, everywhere."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Generated:
    """``by``, ``fold``, ``whole``: as the remarks of a statement in the tables. ``total``: its ORDER BY leaves no ties.

    ``clauses``: what it is made of, for counting.
    """

    sql: str
    total: bool = False
    by: tuple[int, ...] = ()
    fold: tuple[int, ...] = ()
    whole: str | None = None
    clauses: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Source:
    """A table to read. ``unique``: columns that identify a row. ``equal``: columns whose text decides equality."""

    name: str
    unique: tuple[str, ...]
    numbers: tuple[str, ...]
    equal: tuple[str, ...]
    folded: tuple[str, ...] = ()
    doubles: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.unique, *self.numbers, *self.equal, *self.folded, *self.doubles)))


_SOURCES = (
    _Source(
        "item",
        ("id",),
        ("id", "grp", "price", "yr", "big"),
        ("code", "born", "seen", "dur", "kind", "flags", "raw", "grp", "price", "yr"),
        ("name",),
        ("ratio", "weight"),
    ),
    _Source("part", ("item_id", "part_id"), ("part_id", "item_id", "qty"), ("qty", "label")),
    _Source("person", ("name",), ("age",), ("age", "mail"), ("name",)),
    _Source("token", ("code",), ("uses",), ("code", "uses")),
    _Source("event", ("id", "day"), ("id",), ("id", "day", "what")),
    _Source("visit", ("id", "at"), ("id",), ("id", "at")),
    _Source("huge", ("k",), ("k",), ("tag",)),
    _Source("loose", ("v",), ("n", "v"), ("n",)),
    _Source("money", ("amount", "id"), ("amount", "id"), ("amount", "id")),
    _Source("pair", ("a", "b"), ("a", "v"), ("a", "b", "v")),
    _Source("ledger", ("owner", "yr"), ("owner", "yr", "amount"), ("owner", "yr")),
    _Source("region", ("id",), ("id",), ("id", "name")),
)
# Arithmetic with these overflows in some rows: an error, or none where LIMIT leaves such a row out.
_WIDE = frozenset(("id", "big", "k"))
# MariaDB 10.11 puts NULL and the value before it into one group, when it groups by a DECIMAL % 4 with COUNT(DISTINCT).
_DECIMALS = frozenset(("price", "amount"))
_WEIGHTS = (8, 3, 1, 1, 2, 1, 2, 2, 2, 2, 2, 1)

_LITERALS: dict[str, Sequence[str]] = {
    "id": ("5", "'5'", "'05'", "5.0", "'5abc'", "1e0", "0x35", "NULL", "-3", "17", "170", "4611686018427387904"),
    "item_id": ("7", "14", "'21'", "28.0", "-6", "NULL"),
    "part_id": ("5", "'5'", "100", "0"),
    "grp": ("1", "2", "3", "'4'", "5.0", "NULL", "8"),
    "price": ("0", "100", "1000.5", "'2500'", "-3.25", "1e3"),
    "yr": ("2000", "2005", "'2003'", "2021", "'2022'", "2022.0"),
    "big": ("0", "9223372036854775808", "18446744073709551615", "50", "'7'"),
    "code": ("'ab'", "'Ab'", "'AB'", "'5'", "5", "'ab  '", "'zoë'", "0x6162"),
    "name": ("'ab'", "'AB'", "'ab  '", "'zoe'", "'bob'", "'5'", "'straße'"),
    "born": ("'2020-06-01'", "20220101", "'2021-01-01 10:00:00'", "DATE '2023-03-03'"),
    "seen": ("'2020-06-01'", "'2022-01-01 12:00:00.5'", "20210101"),
    "dur": ("'00:00:00'", "'-10:00:00'", "'12:30:00'"),
    "kind": ("'small'", "'LARGE'", "2", "'none'"),
    "flags": ("'a'", "'a,b'", "''", "1"),
    "raw": ("x'00'", "''", "'a'"),
    "ratio": ("0", "1.5", "-20e0", "'7'"),
    "weight": ("0", "0.5", "-1"),
    "qty": ("1", "5", "'7'", "9"),
    "label": ("'ab'", "'AB'", "'x''y'"),
    "age": ("0", "3", "'7'", "20"),
    "mail": ("NULL", "'x'"),
    "uses": ("1", "5", "'9'"),
    "day": ("'2021-06-15'", "'2021-6-15'", "20220115", "'2023-01-15 00:00:00'", "'2019-01-01'", "NULL"),
    "what": ("'event 1'", "'EVENT 2'", "'none'"),
    "at": ("'2023-03-04 03:30:00.250'", "'2023-07-01'", "20240101", "'2022-12-31'"),
    "k": ("0", "1000", "999", "9223372036854775808", "18446744073709551000", "'1000'", "-1", "1e3", "1000.5"),
    "v": ("1", "'2'", "9", "3.0", "0"),
    "tag": ("'v1'", "'V2'", "2", "'none'"),
    "n": ("3", "-3", "'5'", "NULL", "0.5", "'1abc'"),
    "amount": ("5", "'5.00'", "-10", "99.5", "0", "1e2"),
    "a": ("1", "2", "'3'", "4.0", "9"),
    "b": ("'x'", "'Z'", "'z'", "'y '"),
    "owner": ("3", "'4'", "5.0", "99"),
    "line": ("'line 1'",),
}


# A text against a number is an error in a strict UPDATE, or none, as the server meets the rows. And with BETWEEN
# MariaDB 10.11 may compare the number as text when the same query has an aggregate.
_TEXTS = frozenset(("code", "name", "label", "mail", "what", "tag", "b"))


@dataclass
class Generator:
    """``select`` and ``write`` give the next random statement."""

    seed: int
    strict: bool = field(init=False, default=False)
    random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def select(self) -> Generated:
        self.strict = False
        kind = self.random.choices(
            (self._rows, self._distinct, self._aggregates, self._groups, self._join), (4, 2, 2, 5, 2)
        )
        return kind[0]()

    # -- parts

    def _source(self) -> _Source:
        return self.random.choices(_SOURCES, _WEIGHTS)[0]

    def _comparison(self, source: _Source, prefix: str = "") -> str:
        chance = self.random
        column = chance.choice((*source.unique, *source.columns))
        name = prefix + column
        values = _LITERALS[column]
        form = chance.randrange(10)
        if column in _TEXTS and (6 <= form < 8 or self.strict):
            values = [value for value in values if value.startswith("'")]
        if form < 4:
            return f"{name} {chance.choice(('=', '=', '=', '<=>', '<>', '<', '<=', '>', '>='))} {chance.choice(values)}"
        if form < 6:
            return (
                f"{name} {chance.choice(('', 'NOT '))}IN ({', '.join(chance.choices(values, k=chance.randint(1, 4)))})"
            )
        if form < 8:
            return f"{name} BETWEEN {chance.choice(values)} AND {chance.choice(values)}"
        if form < 9:
            return f"{name} IS {chance.choice(('', 'NOT '))}NULL"
        return f"{chance.choice(values)} {chance.choice(('=', '<', '>='))} {name}"

    def _where(self, source: _Source, prefix: str = "") -> str:
        chance = self.random
        count = chance.choices((0, 1, 2, 3), (4, 4, 2, 1))[0]
        if not count:
            return ""
        text = self._comparison(source, prefix)
        for _ in range(count - 1):
            part = self._comparison(source, prefix)
            if chance.random() < 0.15:
                part = f"NOT ({part})"
            text = f"({text}) {chance.choice(('AND', 'AND', 'OR'))} {part}"
        return f" WHERE {text}"

    def _limit(self, most: int = 30) -> str:
        chance = self.random
        form = chance.randrange(6)
        if form < 3:
            return ""
        count, offset = chance.randint(0, most), chance.choice((0, 1, 3, 10, 200))
        return (f" LIMIT {count}", f" LIMIT {count} OFFSET {offset}", f" LIMIT {offset}, {count}")[form - 3]

    def _expression(self, source: _Source) -> str:
        chance = self.random
        number = chance.choice([n for n in source.numbers if n not in _WIDE] or ["1"])
        return chance.choice((
            number, f"{number} + 1", f"-{number}", f"{number} * 2", f"{number} % 3", f"{number} IS NULL",
            f"IFNULL({number}, 0)", f"{number} > 3", f"CASE WHEN {number} > 2 THEN 'a' ELSE 'b' END",
            f"CONCAT({chance.choice(source.columns)}, '-')", f"{number} / 7", f"COALESCE({number}, 5)",
        ))  # fmt: skip

    # -- statements

    def _rows(self) -> Generated:
        chance = self.random
        source = self._source()
        picked = list(dict.fromkeys((*source.unique, *chance.sample(source.columns, k=min(3, len(source.columns))))))
        items = [*picked, *(f"{self._expression(source)} AS e{n}" for n in range(chance.randint(0, 2)))]
        if chance.random() < 0.15:
            items = ["*"]
        where = self._where(source)
        keys = chance.sample(source.columns, k=min(chance.randint(0, 3), len(source.columns)))
        if chance.random() < 0.2:
            keys.append(self._expression(source))
        total = bool(keys) and (chance.random() < 0.8 or items == ["*"])
        by: tuple[int, ...] = ()
        if total:
            keys += [column for column in source.unique if column not in keys]
        elif keys:
            keys = [key for key in keys if key in picked and key in source.equal][:1]
            by = tuple(picked.index(key) for key in keys)
        directed = [f"{key}{chance.choice(('', ' ASC', ' DESC'))}" for key in keys]
        order = f" ORDER BY {', '.join(directed)}" if directed else ""
        text = f"SELECT {', '.join(items)} FROM {source.name}{where}"
        limit = self._limit()
        whole = text if limit and not total else None
        clauses = frozenset(
            name for name, there in (("rows", True), ("ORDER BY", order), ("LIMIT", limit), ("WHERE", where)) if there
        )
        return Generated(text + order + limit, total, by, (), whole, clauses)

    def _distinct(self) -> Generated:
        chance = self.random
        source = self._source()
        picked = chance.sample(source.equal, k=min(chance.randint(1, 2), len(source.equal)))
        folded = chance.random() < 0.3 and bool(source.folded)
        columns = [*picked, *(source.folded if folded else ())]
        where = self._where(source)
        keys = [] if chance.random() < 0.3 else columns
        order = " ORDER BY " + ", ".join(f"{key}{chance.choice(('', ' DESC'))}" for key in keys) if keys else ""
        limit = self._limit(8) if keys else ""
        fold = tuple(range(len(picked), len(columns)))
        sql = f"SELECT DISTINCT {', '.join(columns)} FROM {source.name}{where}{order}{limit}"
        return Generated(sql, bool(keys), (), fold, None, frozenset(("DISTINCT", *(["ORDER BY"] if keys else []))))

    def _function(self, source: _Source) -> tuple[str, bool]:
        """An aggregate, and whether it may show any spelling of equal strings."""
        chance = self.random
        number = chance.choice(
            [n for n in (*source.numbers, *source.doubles) if n not in _WIDE and n != "yr"] or ["1.5"]
        )
        other = chance.choice((*source.equal, *source.numbers))
        plain = (
            "COUNT(*)", f"COUNT({other})", f"SUM({number})", f"AVG({number})", f"MIN({other})", f"MAX({other})",
            f"COUNT(DISTINCT {other})", f"MAX({number}) - MIN({number})", f"SUM({number}) / COUNT(*)",
            f"ROUND(AVG({number}), 2)", f"IFNULL(SUM({number}), 0)",
            f"SUM({other} = {chance.choice(_LITERALS[other])})",
            "COUNT(*) * 2 + 1", f"CONCAT(COUNT(*), '/', COUNT({other}))", f"SUM({number} * 2)",
        )  # fmt: skip
        if source.folded and chance.random() < 0.15:
            return f"{chance.choice(('MIN', 'MAX'))}({source.folded[0]})", True
        return chance.choice(plain), False

    def _functions(self, source: _Source, first: int, most: int) -> tuple[list[str], tuple[int, ...]]:
        texts: list[str] = []
        fold: list[int] = []
        distinct = 0
        for at in range(self.random.randint(1, most)):
            text, folded = self._function(source)
            distinct += "DISTINCT" in text
            if distinct > 1:
                break
            texts.append(f"{text} AS f{at}")
            if folded:
                fold.append(first + at)
        return texts, tuple(fold)

    def _aggregates(self) -> Generated:
        source = self._source()
        texts, fold = self._functions(source, 0, 4)
        having = " HAVING COUNT(*) > 3" if self.random.random() < 0.15 else ""
        sql = f"SELECT {', '.join(texts)} FROM {source.name}{self._where(source)}{having}"
        return Generated(sql, False, (), fold, None, frozenset(("aggregates",)))

    def _groups(self) -> Generated:
        chance = self.random
        source = self._source()
        keys = chance.sample(source.equal, k=min(chance.randint(1, 2), len(source.equal)))
        if chance.random() < 0.2:
            keys = [f"{chance.choice([n for n in source.numbers if n not in _DECIMALS] or ['1'])} % 4"]
        texts, fold = self._functions(source, len(keys), 3)
        labels = [f"{key} AS k{n}" if " " in key else key for n, key in enumerate(keys)]
        names = [f"k{n}" if " " in key else key for n, key in enumerate(keys)]
        having = chance.choice(
            ("", "", "", " HAVING COUNT(*) > 2", " HAVING f0 IS NOT NULL", " HAVING COUNT(*) BETWEEN 1 AND 9")
        )
        form = chance.randrange(4)
        order, total = "", False
        if form == 1:
            order, total = " ORDER BY " + ", ".join(f"{name}{chance.choice(('', ' DESC'))}" for name in names), True
        elif form == 2 and 0 + len(keys) not in fold:
            order, total = f" ORDER BY f0{chance.choice(('', ' DESC'))}, {', '.join(names)}", True
        elif form == 3:
            order, total = f" ORDER BY COUNT(*){chance.choice(('', ' DESC'))}, {', '.join(names)}", True
        limit = self._limit(6) if total else ""
        by = names if chance.random() < 0.7 else keys
        where = self._where(source)
        start = f"SELECT {', '.join([*labels, *texts])} FROM {source.name}{where}"
        sql = f"{start} GROUP BY {', '.join(by)}{having}{order}{limit}"
        clauses = {"GROUP BY", *(["HAVING"] if having else []), *(["ORDER BY"] if order else [])}
        return Generated(sql, total, (), fold, None, frozenset(clauses))

    def _join(self) -> Generated:
        chance = self.random
        form = chance.choice((
            ("item", "part", "p.item_id = i.id", "part_id"), ("item", "region", "p.id = i.grp", "id"),
        ))  # fmt: skip
        left, right, on, unique = form
        sources = {source.name: source for source in _SOURCES}
        where = self._where(sources[left], "i.") if chance.random() < 0.6 else self._where(sources[right], "p.")
        kind = chance.choice(("JOIN", "LEFT JOIN", "INNER JOIN"))
        start = f"FROM {left} i {kind} {right} p ON {on}{where}"
        if chance.random() < 0.3:
            sql = f"SELECT i.grp, COUNT(*), SUM(i.price), MAX(p.{unique}) {start} GROUP BY i.grp ORDER BY i.grp"
            return Generated(sql, True, clauses=frozenset(("JOIN", "GROUP BY")))
        column = chance.choice(sources[right].columns)
        order = f" ORDER BY i.{chance.choice(sources[left].columns)}{chance.choice(('', ' DESC'))}, i.id, p.{unique}"
        sql = f"SELECT i.id, i.grp, p.{unique}, p.{column} {start}{order}{self._limit()}"
        return Generated(sql, True, clauses=frozenset(("JOIN", "ORDER BY")))

    def write(self, number: int) -> Generated:
        """An INSERT with keys of its own (``number``), an UPDATE or a DELETE."""
        chance = self.random
        self.strict = True
        form = chance.randrange(5)
        if form < 2:
            return self._insert(number)
        source = self._source()
        where = self._where(source) or f" WHERE {self._comparison(source)}"
        if form < 4:
            return Generated(
                f"UPDATE {source.name} SET {self._assignment(source)}{where}", clauses=frozenset(("UPDATE",))
            )
        if chance.random() < 0.6:
            where += f" AND {source.numbers[0]} % 3 = 0"
        return Generated(f"DELETE FROM {source.name}{where}", clauses=frozenset(("DELETE",)))

    def _assignment(self, source: _Source) -> str:
        simple = {
            "item": ("grp = IFNULL(grp, 0) + 1", "price = price + 1", "name = CONCAT(code, 'x')",
                     "note = NULL, grp = 3",
                     "born = '2020-01-01'",
                     "kind = 'small'", "raw = x'0102'", "ratio = ratio / 2"),
            "part": ("qty = qty + 1", "label = 'new'"),
            "person": ("age = age + 1", "mail = name"),
            "token": ("uses = uses * 2",),
            "event": ("what = CONCAT(what, '!')",),
            "visit": ("id = id + 100",),
            "huge": ("tag = 'new'",),
            "loose": ("v = v + 100",),
            "money": ("id = id + 100",),
            "pair": ("v = v + 1", "v = NULL"),
            "ledger": ("amount = amount * 1.5",),
            "region": ("name = CONCAT(name, '!')",),
        }  # fmt: skip
        return self.random.choice(simple[source.name])

    def _insert(self, number: int) -> Generated:
        chance = self.random
        keys = [number * 10 + n for n in range(chance.randint(1, 5))]
        table, columns, row = chance.choice((
            ("item", "id, grp, name, price", "({0}, {1}, 'n{0}', {1}.5)"),
            ("item", "grp, id, code", "({1}, '{0}', 'c')"),
            ("part", "item_id, part_id, qty", "({0}, {1}, 1)"),
            ("token", "code, uses", "('t{0}', {1})"),
            ("person", "name, age", "('P{0}', {1})"),
            ("loose", "n, v", "({1}, {0})"),
            ("huge", "k, tag", "(1844674407370{0:07}, 'h')"),
            ("pair", "a, b, v", "({0}, 'b{1}', {1})"),
            ("ledger", "owner, yr, amount", "({0}, 202{1}, {1}.125)"),
            ("money", "amount, id", "({1}.50, {0})"),
            ("event", "id, day", "({0}, '202{1}-05-05')"),
            ("region", "id, name", "({0}, 'r')"),
        ))  # fmt: skip
        rows = ", ".join(row.format(key, chance.randint(0, 5)) for key in keys)
        verb = chance.choice(("INSERT INTO", "INSERT INTO", "INSERT IGNORE INTO", "REPLACE INTO"))
        return Generated(f"{verb} {table} ({columns}) VALUES {rows}", clauses=frozenset(("INSERT",)))
