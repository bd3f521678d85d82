"""Random writes of every shape, each with one right outcome: rows, counts, info string, number of warnings, error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tests.differential.choices import Choices
from tests.differential.expressions import NUMBERS, Expressions, Subqueries, plain
from tests.differential.sources import SOURCES, Source, Value

# What a join or a subquery may be with: small, and with a key that tells the rows apart.
_TARGETS = tuple((weight, source) for weight, source in SOURCES if source.text != "loose")
_NOT_NULL = frozenset({"qty", "age"})
# (target, columns, source, expressions with {k} for an offset, what orders the source's rows)
_INSERTS: tuple[tuple[str, str, str, str, str], ...] = (
    ("item", "id, grp, name, price", "item", "id % 100000 + {k}, grp, code, price * 2", "id"),
    ("item", "id, grp, note", "part", "item_id % 100000 + part_id * 1000 + {k}, qty, label", "item_id, part_id"),
    ("item", "id, born, seen, stamp, dur, kind, flags, raw, yr, big, ratio, weight", "item",
     "id % 100000 + {k}, born, seen, stamp, dur, kind, flags, raw, yr, big, ratio, weight", "id"),
    ("item", "id, name", "region", "id + {k}, name", "id"),
    ("item", "grp, id, code", "diary", "grp, id + {k}, line", "id"),
    ("part", "part_id, item_id, qty", "item", "id % 50, id % 100000 + {k}, grp", "id"),
    ("part", "item_id, part_id, qty, label", "part", "item_id % 100000 + {k}, part_id, qty + 1, label",
     "item_id, part_id"),
    ("token", "code, uses", "item", "CONCAT('t', id % 100000 + {k}), grp", "id"),
    ("token", "code, uses", "token", "CONCAT(code, {k}), uses + 1", "code"),
    ("event", "id, day, what", "item", "id % 100000 + {k}, born, kind", "id"),
    ("event", "id, day, what", "event", "id + {k}, day + INTERVAL 1 YEAR, what", "id, day"),
    ("visit", "id, at", "item", "id % 100000 + {k}, seen", "id"),
    ("huge", "k, tag", "item", "ABS(id % 1000) + {k}, kind", "id"),
    ("money", "amount, id", "item", "price, id % 1000 + {k}", "id"),
    ("money", "amount, id", "money", "amount * 2, id + {k}", "amount, id"),
    ("pair", "a, b, v", "part", "part_id + {k}, LEFT(label, 4), qty", "item_id, part_id"),
    ("ledger", "owner, yr, amount", "ledger", "owner + {k}, yr, amount / 3", "owner, yr"),
    ("person", "name, age", "part", "CONCAT('p', part_id + {k}), qty", "item_id, part_id"),
    ("region", "id, name", "item", "id % 500 + {k}, kind", "id"),
    ("diary", "line, grp", "item", "code, grp + {k}", "id"),
    ("diary", "id, line", "part", "part_id + {k}, label", "item_id, part_id"),
    ("memo", "id, body", "item", "id % 700 + {k}, note", "id"),
    ("kinds", "{all}", "kinds", "{all}", "id"),
    ("words", "{all}", "words", "{all}", "id"),
)  # fmt: skip
# left, right, ON, and whether a left row meets one right row at most
_JOINS: tuple[tuple[str, str, str, bool], ...] = (
    ("item", "part", "l.id = r.item_id", False),
    ("part", "item", "l.item_id = r.id", True),
    ("item", "region", "l.grp = r.id", True),
    ("item", "diary", "l.grp = r.id", True),
    ("part", "region", "l.qty = r.id", True),
    ("item", "part", "l.grp = r.qty AND r.part_id < 60", False),
    ("part", "token", "l.qty = r.uses", False),
    ("item", "event", "l.born = r.day", False),
    ("item", "ledger", "l.grp = r.owner AND r.yr = 2022", True),
    ("ledger", "pair", "l.owner = r.a", False),
    ("person", "item", "l.age = r.id", True),
    ("diary", "item", "l.grp = r.id", True),
    ("region", "part", "l.id = r.qty", False),
    ("money", "item", "l.id = r.id", True),
    ("kinds", "words", "l.id = r.id", True),
    ("words", "item", "l.id = r.grp", False),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Written:
    """``tables``: those that it may change."""

    sql: str
    tables: tuple[str, ...]
    clauses: frozenset[str]


@dataclass
class Writes:
    """``write()`` makes one statement out of the choices."""

    choices: Choices
    clauses: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.expressions = Expressions(self.choices, self.clauses)
        self.sources = {source.text: source for _, source in SOURCES}

    def write(self) -> Written:
        form = self.choices.below(100)
        if form < 30:
            sql, tables = self._update()
        elif form < 45:
            sql, tables = self._delete()
        elif form < 65:
            sql, tables = self._joined()
        else:
            sql, tables = self._insert()
        return Written(sql, tables, frozenset(self.clauses))

    # -- one table

    def _update(self) -> tuple[str, tuple[str, ...]]:
        c = self.choices
        source = c.often(_TARGETS)
        self.clauses.add("UPDATE")
        ignore = "IGNORE " if c.chance(4) else ""
        keyed = not ignore and c.chance(15)
        sets = self._sets(source, source.text, keyed)
        tail = self._where(source) + self._first_rows(source)
        return f"UPDATE {ignore}{source.text} SET {', '.join(sets)}{tail}", (source.text,)

    def _delete(self) -> tuple[str, tuple[str, ...]]:
        source = self.choices.often(_TARGETS)
        self.clauses.add("DELETE")
        where, few = self._where(source), self._first_rows(source)
        if not few:
            where += f"{' AND' if where else ' WHERE'} {source.columns[0].text} % 7 = 3" if _counts(source) else ""
        return f"DELETE FROM {source.text}{where}{few}", (source.text,)

    def _where(self, source: Source) -> str:
        c = self.choices
        if c.chance(15):
            return ""
        condition = self.expressions.condition(source.columns, (), self._inner(source.text), 1)
        return f" WHERE ({condition})"

    def _first_rows(self, source: Source) -> str:
        c = self.choices
        if not c.chance(45) or source.unique is None:
            return ""
        self.clauses.add("LIMIT")
        sortable = [v.text for v in plain(source.columns) if "_" not in v.family]
        keys = [key for key in c.some(sortable, 2) if key not in source.unique] if sortable else []
        order = ", ".join(f"{key}{c.one(('', ' DESC'))}" for key in (*keys, *source.unique))
        return f" ORDER BY {order} LIMIT {1 + c.below(12)}"

    def _sets(self, source: Source, alias: str, keyed: bool) -> list[str]:
        c = self.choices
        unique = source.unique or ()
        free = [v for v in source.columns if v.text not in unique]
        chosen = c.some(free, 3) if free else []
        sets = [f"{_under(alias, v.text)} = {self._assigned(v, source, alias)}" for v in chosen]
        if keyed or not sets:
            self.clauses.add("key")
            key = c.one(unique)
            [column] = [v for v in source.columns if v.text == key]
            sets.append(f"{_under(alias, key)} = {self._moved(column, alias)}")
        return sets

    def _moved(self, column: Value, alias: str) -> str:
        text = _under(alias, column.text)
        by = self.choices.one(("1", "8", "1000", "100003", "0", "-3"))
        if column.family in ("date", "moment"):
            return f"{text} + INTERVAL {self.choices.one(('1 YEAR', '40 DAY', '0 DAY'))}"
        return f"{text} + {by}" if column.family in NUMBERS else f"CONCAT({text}, '{by}')"

    def _assigned(self, column: Value, source: Source, alias: str) -> str:
        """A value for a column, made of its own table's row or of a subquery."""
        c = self.choices
        text = _under(alias, column.text)
        if c.chance(8) and column.text not in _NOT_NULL:
            return "NULL"
        if column.family in NUMBERS:
            forms = [f"{text} + 1", f"{text} * 2", f"IFNULL({text}, 0) - 1"]
            if column.family != "int":
                forms.append(f"{text} / 3")
            if c.chance(30):
                return self._counted(source, alias)
            return c.one([*forms, *column.literals[:4]])
        if column.family.startswith("utf8mb4") and c.chance(50):
            return c.one((f"CONCAT({text}, '+')", f"UPPER({text})", f"LEFT({text}, 2)", f"CONCAT('é', {text})"))
        if column.family in ("date", "moment") and c.chance(50):
            return f"{text} + INTERVAL 1 DAY"
        return c.one(column.literals) if column.literals else "NULL"

    def _counted(self, source: Source, alias: str) -> str:
        """A scalar subquery over another table, sometimes one that depends on the row."""
        self.clauses.add("subquery")
        c = self.choices
        other = c.often([(w, s) for w, s in _TARGETS if s.text not in (source.text, "kinds", "words")])
        inner = other.under("s")
        numbers = [v for v in source.columns if v.family == "int" and not v.wide]
        mine = [v.text for v in inner.columns if v.family == "int" and not v.wide]
        bound = ""
        if numbers and mine and c.chance(60):
            bound = f" WHERE {c.one(mine)} = {_under(alias, c.one(numbers).text)}"
        what = f"MAX({c.one(mine)})" if mine and c.chance(40) else "COUNT(*)"
        return f"(SELECT {what} FROM {inner.text}{bound})"

    def _inner(self, written: str) -> Subqueries:
        """Makes a condition with a subquery over a table that is not written."""

        def inner(values: Sequence[Value], _: Value | None) -> str:
            c = self.choices
            self.clauses.add("subquery")
            other = c.often([(w, s) for w, s in _TARGETS if s.text not in (written, "kinds", "words")]).under("q")
            mine = [v for v in values if v.family == "int"]
            theirs = [v for v in other.columns if v.family == "int"]
            if not mine or not theirs:
                where = self.expressions.condition(other.columns, (), None, 0)
                return f"EXISTS (SELECT 1 FROM {other.text} WHERE {where})"
            left, right = c.one(mine).text, c.one(theirs).text
            if c.chance(50):
                where = f" WHERE {self.expressions.condition(other.columns, (), None, 0)}" if c.chance(60) else ""
                return f"{left} {c.one(('', 'NOT '))}IN (SELECT {right} FROM {other.text}{where})"
            if c.chance(40):
                return f"{left} < (SELECT AVG({right}) FROM {other.text})"
            return f"{c.one(('', 'NOT '))}EXISTS (SELECT 1 FROM {other.text} WHERE {right} = {left})"

        return inner

    # -- several tables

    def _joined(self) -> tuple[str, tuple[str, ...]]:
        c = self.choices
        left, right, on, once = c.one(_JOINS)
        one, other = self.sources[left].under("l"), self.sources[right].under("r")
        bare = self.sources[left], self.sources[right]
        both = c.chance(30)
        seen = [*one.columns, *other.columns]
        if both:  # nor does a condition speak of what is written
            seen = [v for s in (one, other) for v in s.columns if v.text in (s.unique or ())]
        where = f" WHERE {self.expressions.condition(seen, (), None, 1)}"
        kind = c.one(("JOIN", "INNER JOIN", "LEFT JOIN"))
        self.clauses.add(f"several tables{' LEFT JOIN' if kind == 'LEFT JOIN' else ''}")
        tables = (left, right) if both else (left,)
        if c.chance(40):
            self.clauses.add("DELETE of several tables")
            names = "l, r" if both else "l"
            thin = "".join(f" AND {s.columns[0].text} % 5 = 2" for s in (one, other)[: 1 + both] if _counts(s))
            return f"DELETE {names} FROM {one.text} {kind} {other.text} ON {on}{where}{thin}", tables
        self.clauses.add("UPDATE of several tables")
        if both:  # what they are joined on stays: which of both is written first is open
            bare = _without(bare[0], on, "l"), _without(bare[1], on, "r")
        sets = self._sets(bare[0], "l", False)
        sets += self._sets(bare[1], "r", False) if both else []
        if once and not both and c.chance(40):
            sets = self._across(bare, sets)
        return f"UPDATE {one.text} {kind} {other.text} ON {on} SET {', '.join(sets)}{where}", tables

    def _across(self, bare: tuple[Source, Source], sets: list[str]) -> list[str]:
        """The row's one partner gives a value."""
        unique = bare[0].unique or ()
        pairs = [(v, w) for v in bare[0].columns for w in bare[1].columns
                 if v.family and v.family == w.family and v.text not in unique and not w.near]  # fmt: skip
        if not pairs:
            return sets
        mine, theirs = self.choices.one(pairs)
        return [*(each for each in sets if not each.startswith(f"l.{mine.text} ")), f"l.{mine.text} = r.{theirs.text}"]

    # -- INSERT … SELECT

    def _insert(self) -> tuple[str, tuple[str, ...]]:
        c = self.choices
        target, columns, name, items, order = c.one(_INSERTS)
        source = self.sources[name]
        offset = c.one(("0", "1", "7", "5000", "3000000"))
        whole = columns == "{all}"  # with LIMIT, MariaDB takes other rows of it than its own SELECT
        if whole:
            names = [v.text for v in source.columns]
            columns, items = ", ".join(names), ", ".join([f"id + {offset}", *names[1:]])
        verb = c.often(((4, "INSERT INTO"), (2, "INSERT IGNORE INTO"), (2, "REPLACE INTO"), (2, "UPDATE")))
        self.clauses.add("INSERT … SELECT" if verb != "REPLACE INTO" else "REPLACE … SELECT")
        where = "" if c.chance(20) else f" WHERE {self.expressions.condition(source.columns, (), None, 1)}"
        limit = f" LIMIT {1 + c.below(30)}" if not whole and c.chance(40) else ""
        keyless = verb == "REPLACE INTO" and target == "diary" and "id" not in columns
        tail = ""
        if verb == "UPDATE":
            verb, tail = "INSERT INTO", self._on_duplicate(target)
        if keyless:
            verb = "INSERT INTO"
        text = items.replace("{k}", offset)
        sql = f"{verb} {target} ({columns}) SELECT {text} FROM {name}{where} ORDER BY {order}{limit}{tail}"
        return sql, (target,)

    def _on_duplicate(self, target: str) -> str:
        forms = {
            "item": "name = 'again', ratio = 0.5", "part": "qty = VALUES(qty) + 1, label = 'again'",
            "token": "uses = VALUES(uses)", "event": "what = 'again'", "huge": "tag = VALUES(tag)",
            "pair": "v = IFNULL(VALUES(v), 0) - 1", "ledger": "amount = VALUES(amount) * 2",
            "person": "age = VALUES(age) + 100", "region": "name = VALUES(name)", "memo": "body = 'twice'",
        }  # fmt: skip
        if target not in forms:
            return ""
        self.clauses.add("ON DUPLICATE KEY UPDATE")
        return f" ON DUPLICATE KEY UPDATE {forms[target]}"


def _without(source: Source, on: str, alias: str) -> Source:
    """The table but for the columns that a join compares; those of its key are left."""
    unique = source.unique or ()
    return replace(
        source, columns=tuple(v for v in source.columns if v.text in unique or f"{alias}.{v.text} " not in f"{on} ")
    )


def _under(alias: str, column: str) -> str:
    return f"{alias}.{column}"


def _counts(source: Source) -> bool:
    return source.columns[0].family == "int"
