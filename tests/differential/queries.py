"""Random SELECTs of every shape, each with one right answer up to what is said beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from dbmesh.merge.collation import compares_by_weights
from tests.differential.choices import Choices
from tests.differential.expressions import NUMBERS, Expressions, alike, comparable, plain
from tests.differential.sources import BINDING, SOURCES, Source, Value

_MOST_PAIRS = 60_000  # rows of a product before its conditions
_EXACT_SUMS = frozenset(("weight",))  # eighths: their sums are exact in any order
SUMS, VARIANCES = 1e-12, 1e-9  # how far they may differ when rows come in another order


@dataclass(frozen=True, slots=True)
class Query:
    """``ordered``: its ORDER BY leaves no ties that could be told apart. ``outputs``: what its columns are.

    ``by``: the output whose weights come in the same order, where servers themselves order equal weights either way.
    """

    sql: str
    outputs: tuple[Value, ...]
    ordered: bool
    clauses: frozenset[str]
    by: int | None = None

    @property
    def near(self) -> dict[int, float]:
        return {at: value.near for at, value in enumerate(self.outputs) if value.near}

    @property
    def spelled(self) -> dict[int, str]:
        return {at: value.spelled for at, value in enumerate(self.outputs) if value.spelled}


@dataclass(slots=True)
class Core:
    """A SELECT before its ORDER BY. ``outputs``: bare names or texts. ``keys``: what orders its rows totally, or None.

    ``unique``: names of outputs that identify a row. ``loose``: whether equal strings may be shown in any spelling.
    ``inputs``: what else it may be sorted by.
    """

    text: str
    outputs: list[Value]
    names: list[str]
    keys: list[str] | None
    sortable: list[str]
    unique: tuple[str, ...] | None = None
    rows: int = 0
    loose: bool = True
    inputs: Sequence[Value] = ()

    def shown(self, key: str) -> int | None:
        """Which output a sort key is, by its position, its name or its text."""
        if key.isdigit():
            return int(key) - 1
        texts = [value.text for value in self.outputs]
        return self.names.index(key) if key in self.names else texts.index(key) if key in texts else None

    def ties(self, key: str) -> bool:
        """Whether the servers themselves order differently spelled strings of this key either way.

        A sort goes by weights; an index and a comparison do not, in these collations.
        """
        at = self.shown(key)
        found = [self.outputs[at]] if at is not None else [v for v in self.inputs if v.text == key]
        return any("_" in value.family and not compares_by_weights(value.family) for value in found)


@dataclass(slots=True)
class Scope:
    """Columns of queries around, and how many levels of subqueries there may be. ``alone``: one table and no window,
    which a merge can often answer.
    """

    outer: tuple[Value, ...] = ()
    depth: int = 2
    alone: bool = False
    exact: bool = False  # whether differently spelled strings must not come out of groups


@dataclass
class Queries:
    """``query()`` makes one statement out of the choices. ``pin``: the only key that it reads, all on one shard."""

    choices: Choices
    clauses: set[str] = field(default_factory=set)
    names: int = 0
    shared: list[Source] = field(default_factory=list)
    pin: str = ""

    def __post_init__(self) -> None:
        self.expressions = Expressions(self.choices, self.clauses)

    def query(self) -> Query:
        c = self.choices
        head = ""
        if c.chance(4):
            self.clauses.add("one shard")
            self.pin = c.one(("5", "7", "-3", "160"))
        form = c.below(100)
        if form >= 88:
            head = self._with()
        if form >= 95 and not self.pin:
            return self._recursive()
        core = self._first()
        tail, ordered, by = self.tail(core)
        outputs = core.outputs if core.loose else [replace(value, spelled="") for value in core.outputs]
        by = None if core.loose else by  # which of the equal spellings a group shows may have another weight
        if by is not None:
            outputs[by] = replace(outputs[by], spelled=core.outputs[by].family)
        return Query(head + core.text + tail, tuple(outputs), ordered, frozenset(self.clauses), by)

    def _first(self) -> Core:
        form = self.choices.below(100)
        if form < 52 and not self.pin:
            return self.core(Scope(depth=0, alone=True))
        return self.core(Scope()) if form < 87 else self._sets()

    # -- ORDER BY and LIMIT

    def tail(self, core: Core, sure: bool = False) -> tuple[str, bool, int | None]:
        """ORDER BY and LIMIT, whether it leaves no ties, and `Query.by`. ``sure``: with LIMIT."""
        c = self.choices
        if core.keys is None or (not sure and c.chance(25)):
            return "", False, None
        keys = [key for key in core.sortable if not sure or not core.ties(key)]
        keys = c.some(keys, 2) if keys and c.chance(70) else []
        keys += [key for key in core.keys if key not in keys]
        tied = any(map(core.ties, keys))
        if not keys or (tied and sure):
            return "", False, None
        self.clauses.add("ORDER BY")
        text = " ORDER BY " + ", ".join(f"{key}{c.one(('', ' ASC', ' DESC'))}" for key in keys)
        if tied:
            return text, False, core.shown(keys[0]) if core.ties(keys[0]) else None
        if sure or c.chance(40):
            self.clauses.add("LIMIT")
            count, offset = c.one((3, 1, 7, 20, 100, 0)), c.one((0, 1, 4, 15))
            text += c.one((f" LIMIT {count}", f" LIMIT {count} OFFSET {offset}", f" LIMIT {offset}, {count}"))
        return text, True, None

    # -- FROM

    def _name(self, prefix: str) -> str:
        self.names += 1
        return f"{prefix}{self.names}"

    def _source(self, scope: Scope) -> Source:
        c = self.choices
        if scope.depth > 1 and c.chance(9):
            return self._derived(scope)
        if self.shared and c.chance(60):
            self.clauses.add("WITH")
            return c.one(self.shared).under(self._name("w"))
        return self._table()

    def _table(self) -> Source:
        return self.choices.often(BINDING if self.pin else SOURCES).under(self._name("t"))

    def _derived(self, scope: Scope) -> Source:
        self.clauses.add("derived table")
        text, source = self._inner(Scope(depth=scope.depth - 1, exact=True))
        if not source.columns:
            return self._table()
        return replace(source, text=f"({text})").under(self._name("d"))

    def _inner(self, scope: Scope) -> tuple[str, Source]:
        """A query to read from, its columns with names of their own."""
        core = self.core(scope)
        tail = self.tail(core, sure=True)[0] if core.keys is not None and self.choices.chance(20) else ""
        columns = [value.named(name) for name, value in zip(core.names, core.outputs, strict=True)]
        columns = [column for column in columns if not column.near]
        return core.text + tail, Source("", tuple(columns), core.unique, core.rows)

    def _from(self, scope: Scope, most: int = 3) -> tuple[str, list[Source]]:
        c = self.choices
        first = self._source(scope)
        text, sources, rows = first.text, [first], first.rows
        for _ in range(c.often(((60, 0), (28, 1), (12, 2))) if most > 1 and not scope.alone else 0):
            new = self._again(first) if c.chance(15) else self._source(scope)
            if rows * new.rows > _MOST_PAIRS:
                continue
            rows *= max(1, new.rows // 8)
            text += self._join(sources, new, scope)
            sources.append(new)
        return text, sources

    def _again(self, source: Source) -> Source:
        """The same table once more: a self join."""
        table, _, alias = source.text.rpartition(" ")
        if table.startswith("("):
            return self._table()
        self.clauses.add("self join")
        bare = [column.named(column.text.removeprefix(f"{alias}.")) for column in source.columns]
        unique = None if source.unique is None else tuple(n.removeprefix(f"{alias}.") for n in source.unique)
        key = source.key.removeprefix(f"{alias}.")
        return Source(table, tuple(bare), unique, source.rows, key).under(self._name("s"))

    def _join(self, before: Sequence[Source], new: Source, scope: Scope) -> str:
        c = self.choices
        kind = c.often(((6, "JOIN"), (5, "LEFT JOIN"), (3, "RIGHT JOIN"), (1, "INNER JOIN"), (1, "STRAIGHT_JOIN"),
                        (1, "CROSS JOIN"), (1, ","), (1, "NATURAL JOIN"), (1, "NATURAL LEFT JOIN"),
                        (2, "USING")))  # fmt: skip
        left = [value for source in before for value in source.columns]
        small = before[0].rows * new.rows < 4000 and len(before) == 1
        same = _common(before, new)
        if kind.startswith("NATURAL") and same and len(before) == 1:
            self.clauses.add("NATURAL")
            return f" {kind} {new.text}"
        if kind == "USING" and same and len(before) == 1:
            self.clauses.add("USING")
            names = ", ".join(c.some(same, 2))
            return f" {c.one(('JOIN', 'LEFT JOIN', 'RIGHT JOIN'))} {new.text} USING ({names})"
        if kind in ("CROSS JOIN", ",") and small:
            self.clauses.add("CROSS JOIN")
            return f"{'' if kind == ',' else ' '}{kind} {new.text}"
        if kind not in ("LEFT JOIN", "RIGHT JOIN", "STRAIGHT_JOIN", "INNER JOIN"):
            kind = "JOIN"
        self.clauses.add(kind)
        return f" {kind} {new.text} ON {self._on(left, new, scope)}"

    def _on(self, left: Sequence[Value], new: Source, scope: Scope) -> str:
        c = self.choices
        pairs = [(a, b) for b in plain(new.columns) for a in plain(left) if alike(a, b)]
        same = [(a, b) for a, b in pairs if a.kind == b.kind]
        if not pairs:
            return self.expressions.condition(new.columns, left, None, 0)
        a, b = c.one(same if same and c.chance(75) else pairs)
        self.clauses.add(f"join on {b.kind}")
        text = f"{a.text} {c.often(((12, '='), (1, '<=>')))} {b.text}"
        if c.chance(25):
            text += f" AND {self.expressions.condition(new.columns, left, None, 0)}"
        return text

    # -- SELECT

    def core(self, scope: Scope) -> Core:
        c = self.choices
        window = 0 if scope.alone else 12
        form = c.often(((34, self._rows), (12, self._distinct), (26, self._groups), (12, self._whole),
                        (window, self._windows)))  # fmt: skip
        return form(scope)

    def _where(self, scope: Scope, sources: Sequence[Source]) -> str:
        where = self._condition(scope, sources)
        pins = " AND ".join(f"{source.key} = {self.pin}" for source in sources if self.pin and source.key)
        if not pins:
            return where
        return f" WHERE {pins} AND ({where.removeprefix(' WHERE ')})" if where else f" WHERE {pins}"

    def _condition(self, scope: Scope, sources: Sequence[Source]) -> str:
        c = self.choices
        if c.chance(35):
            return ""
        self.clauses.add("WHERE")
        values = [value for source in sources for value in source.columns]

        def inner(usable: Sequence[Value], _: Value | None) -> str:
            return self.subquery_condition(usable, scope)

        made = inner if scope.depth > 0 else None
        keyed = [source for source in sources if source.key]
        if keyed and c.chance(12):
            source = c.one(keyed)
            key = next(column for column in source.columns if column.text == source.key)
            return f" WHERE {key.text} = {c.one(key.literals)}"
        return f" WHERE {self.expressions.condition(values, scope.outer, made)}"

    def _items(self, scope: Scope, values: Sequence[Value], most: int) -> list[Value]:
        c = self.choices
        found = []
        for _ in range(1 + c.below(most)):
            if scope.depth > 0 and c.chance(8):
                found.append(self.scalar(values, scope))
            else:
                found.append(self.expressions.value(values, 1))
        return found

    def _label(self, scope: Scope, values: Sequence[Value]) -> tuple[list[str], list[str]]:
        """The select items and the names of their columns; '' for a name that ORDER BY cannot use."""
        c = self.choices
        items, names = [], []
        for value in values:
            name = self._name("x")
            if scope.exact or c.chance(50):
                items.append(f"{value.text} {c.one(('AS ', ''))}{name}")
                names.append(name)
            else:
                items.append(value.text)
                names.append("")
        return items, names

    def _rows(self, scope: Scope) -> Core:
        c = self.choices
        start, sources = self._from(scope)
        values = [value for source in sources for value in source.columns]
        outputs = self._items(scope, values, 4)
        unique = [name for source in sources for name in (source.unique or ())]
        known = all(source.unique is not None for source in sources)
        if known and c.chance(60):
            outputs += [value for value in values if value.text in unique and value not in outputs]
        items, names = self._label(scope, outputs)
        where = self._where(scope, sources)
        sortable = [value.text for value in plain(values)][:20] + [name for name in names if name and known]
        keys = unique if known else None
        sortable = _without_odd(sortable, outputs, names)
        shown = [value.text for value in outputs]
        there = known and set(unique) <= set(shown)
        own = tuple(names[shown.index(name)] for name in unique) if there and all(names) else None
        if not scope.exact and c.chance(6) and len(sources) == 1 and not sources[0].text.startswith("("):
            items, outputs, sortable = ["*"], list(sources[0].columns), unique
        text = f"SELECT {', '.join(items)} FROM {start}{where}"
        return Core(text, outputs, names, keys, sortable, own, 100, loose=False, inputs=values)

    def _distinct(self, scope: Scope) -> Core:
        self.clauses.add("DISTINCT")
        start, sources = self._from(scope, 2)
        values = [v for source in sources for v in source.columns]
        outputs = [v for v in self._items(scope, _groupable(plain(values), scope), 3) if v.family or v.kind == ""]
        outputs = [v for v in outputs if not (scope.exact and v.spelled)] or [Value("1", "int", "INT", ("1",))]
        items, names = self._label(scope, outputs)
        keys = [str(at + 1) for at in range(len(outputs))]
        text = f"SELECT DISTINCT {', '.join(items)} FROM {start}{self._where(scope, sources)}"
        return Core(text, outputs, names, keys, keys, tuple(names) if all(names) else None, 60)

    def _groups(self, scope: Scope) -> Core:
        c = self.choices
        self.clauses.add("GROUP BY")
        start, sources = self._from(scope)
        values = [v for source in sources for v in source.columns]
        keys = [replace(v, text=v.text) for v in c.some(_groupable(plain(values), scope), 2)]
        keys = [self._group_expression(key) if c.chance(20) else key for key in keys]
        for key in keys:
            self.clauses.add(f"group by {key.kind}")
        totals = [self.aggregate(values, scope) for _ in range(1 + c.below(3))]
        key_items, key_names = self._label(scope, keys)
        items, names = self._label(scope, totals)
        where = self._where(scope, sources)
        form = c.below(3)  # by the expression, the alias or the position
        by = [
            str(at + 1) if form == 2 else name if form == 1 and name else key.text
            for at, (key, name) in enumerate(zip(keys, key_names, strict=True))
        ]
        having = self._having(totals, names, scope)
        text = f"SELECT {', '.join([*key_items, *items])} FROM {start}{where} GROUP BY {', '.join(by)}"
        outputs, every = [*keys, *totals], [*key_names, *names]
        if c.chance(8) and not any(key.spelled for key in keys):
            self.clauses.add("ROLLUP")
            return Core(f"{text} WITH ROLLUP{having}", outputs, every, None, [], None, 30)
        order = [str(at + 1) for at in range(len(keys))]
        sortable = [str(at + 1) for at, v in enumerate(outputs) if v.family and not v.near]
        unique = tuple(key_names) if all(key_names) else None
        return Core(text + having, outputs, every, order, sortable, unique, 20)

    def _group_expression(self, key: Value) -> Value:
        if key.family == "dec" or key.near:  # MariaDB groups by DECIMAL % 4 wrongly next to COUNT(DISTINCT)
            return key
        made = self.expressions.value([key], 1)
        return made if made.family else key

    def _having(self, totals: Sequence[Value], names: Sequence[str], scope: Scope) -> str:
        c = self.choices
        if not c.chance(30):
            return ""
        self.clauses.add("HAVING")
        usable = [replace(v, text=n or v.text) for v, n in zip(totals, names, strict=True) if v.family and not v.near]
        usable = [v for v in usable if v.literals]
        if not usable or c.chance(40):
            return f" HAVING COUNT(*) {c.one(('>', '<', '<>'))} {c.one((1, 3, 10))}"
        return f" HAVING {self.expressions.condition(usable, (), None, 1)}"

    def _whole(self, scope: Scope) -> Core:
        self.clauses.add("aggregates")
        start, sources = self._from(scope)
        values = [v for source in sources for v in source.columns]
        totals = [self.aggregate(values, scope) for _ in range(1 + self.choices.below(4))]
        items, names = self._label(scope, totals)
        having = self._having(totals, names, scope)
        text = f"SELECT {', '.join(items)} FROM {start}{self._where(scope, sources)}{having}"
        return Core(text, totals, names, [], [], (), 1)

    def aggregate(self, values: Sequence[Value], scope: Scope) -> Value:
        """One aggregate of the columns."""
        c = self.choices
        form = c.below(16)
        numbers = [v for v in values if v.family in ("int", "dec", "dbl") and not v.wide and not v.near]
        usable = [v for v in plain(values) if v.family != "bit"]
        exact = [v for v in usable if not v.spelled]
        if form < 2:
            self.clauses.add("COUNT")
            return Value("COUNT(*)", "int", "BIGINT", ("1", "5", "20"))
        if form < 3:
            return Value(f"COUNT({c.one(values).text})", "int", "BIGINT", ("0", "5"))
        if form < 5 and usable:
            self.clauses.add("COUNT(DISTINCT)")
            names = ", ".join(v.text for v in c.some(usable, 2))
            return Value(f"COUNT(DISTINCT {names})", "int", "BIGINT", ("1", "4"))
        if form < 9 and numbers:
            return self._sum(c.one(numbers))
        # MariaDB 10.11 shows MIN of a ZEROFILL column with or without the zeros, as it takes a temporary table or not.
        exact = [v for v in exact if "ZEROFILL" not in v.kind]
        usable = [v for v in usable if "ZEROFILL" not in v.kind]
        if form < 12 and usable:
            name = c.one(("MIN", "MAX"))
            self.clauses.add(name)
            if scope.exact and not exact:
                return Value("COUNT(*)", "int", "BIGINT", ("1", "5", "20"))
            x = c.one(exact if scope.exact else usable)
            return replace(x, text=f"{name}({x.text})", kind="")
        if form < 13 and numbers:
            return self._variance(c.one(numbers))
        integers = [v for v in values if v.family == "int"]
        if form < 14 and integers:
            self.clauses.add("BIT_XOR")
            name = c.one(("BIT_XOR", "BIT_AND", "BIT_OR"))
            return Value(f"{name}({c.one(integers).text})", "int", "BIGINT", ("0", "7"), wide=True)
        listed = [v for v in exact if v.family in ("int", "dec", "date", "moment", "enum", "utf8mb4_bin")]
        if listed:
            return self._list(c.one(listed))
        return Value("COUNT(*)", "int", "BIGINT", ("1", "5", "20"))

    def _sum(self, x: Value) -> Value:
        c = self.choices
        name = c.one(("SUM", "SUM", "AVG")) if x.scale <= 5 else "SUM"
        self.clauses.add(name)
        near = SUMS if x.family == "dbl" and x.text.rpartition(".")[2] not in _EXACT_SUMS else 0.0
        distinct = "DISTINCT " if c.chance(15) else ""
        if near and distinct:
            distinct = ""
        inner = f"{x.text} * 2" if c.chance(15) and not distinct else x.text
        family = "dbl" if x.family == "dbl" else "dec"
        scale = x.scale + (4 if name == "AVG" else 0)
        return Value(f"{name}({distinct}{inner})", family, "", ("0", "10", "100.5"), near=near, scale=scale)

    def _variance(self, x: Value) -> Value:
        self.clauses.add("STDDEV")
        name = self.choices.one(("STDDEV_POP", "STDDEV_SAMP", "VAR_POP", "VAR_SAMP", "STD", "VARIANCE"))
        return Value(f"{name}({x.text})", "dbl", "", ("0",), near=VARIANCES)

    def _list(self, x: Value) -> Value:
        c = self.choices
        self.clauses.add("GROUP_CONCAT")
        distinct, direction = c.one(("", "DISTINCT ")), c.one(("", " DESC"))
        end = c.one(("", " SEPARATOR '/'"))
        return Value(f"GROUP_CONCAT({distinct}{x.text} ORDER BY {x.text}{direction}{end})", "", "", ("'1'",))

    def _windows(self, scope: Scope) -> Core:
        core = self._rows(Scope(scope.outer, scope.depth, exact=True))
        self.clauses.add("window")
        text = core.text
        head, _, rest = text.partition(" FROM ")
        if head.count("(") != head.count(")") or core.keys is None or not core.keys:
            return core
        name = self._name("v")
        window = self._window(core)
        outputs = [*core.outputs, window]
        return Core(f"{head}, {window.text} AS {name} FROM {rest}", outputs, [*core.names, name], core.keys,
                    core.keys, core.unique, core.rows, loose=False)  # fmt: skip

    def _window(self, core: Core) -> Value:
        c = self.choices
        assert core.keys
        columns = [v for v in core.outputs if v.family and "." in v.text and "(" not in v.text and " " not in v.text]
        columns = [v for v in columns if not core.ties(v.text)]
        total = ", ".join(core.keys)
        part = f"PARTITION BY {c.one(columns).text} " if columns and c.chance(60) else ""
        order = f"{c.one(columns).text}{c.one(('', ' DESC'))}, {total}" if columns and c.chance(50) else total
        numbers = [v for v in columns if v.family in ("int", "dec") and not v.wide]
        frame = c.one(("", " ROWS BETWEEN 2 PRECEDING AND CURRENT ROW", " ROWS UNBOUNDED PRECEDING",
                       " ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING"))  # fmt: skip
        form = c.below(6)
        if form >= 3 and columns:
            x = c.one(columns)
            if form == 3:
                return replace(x, text=f"{c.one(('LAG', 'LEAD'))}({x.text}) OVER ({part}ORDER BY {order})", kind="")
            if form == 4 and numbers:
                x = c.one(numbers)
                made = f"{c.one(('SUM', 'AVG', 'MIN', 'MAX'))}({x.text}) OVER ({part}ORDER BY {order}{frame})"
                return Value(made, "dec", "", ("0",), scale=9)
            by = f"ORDER BY {c.one(columns).text}"
            return Value(f"{c.one(('RANK', 'DENSE_RANK'))}() OVER ({part}{by})", "int", "BIGINT", ("1", "3"))
        if form == 2:
            return Value(f"COUNT(*) OVER ({part})", "int", "BIGINT", ("1", "5"))
        function = c.one(("ROW_NUMBER()", "NTILE(3)"))
        return Value(f"{function} OVER ({part}ORDER BY {order})", "int", "BIGINT", ("1", "2"))

    # -- subqueries

    def _inside(self, values: Sequence[Value], scope: Scope) -> Scope:
        """The scope of a subquery, which may or may not look at the rows around it."""
        related = self.choices.chance(45)
        if related:
            self.clauses.add("correlated subquery")
        outer = (*scope.outer, *(v for v in values if v.family and not v.near)) if related else ()
        return Scope(outer, scope.depth - 1, exact=True)

    def _simple(self, inside: Scope) -> tuple[str, list[Source], str]:
        start, sources = self._from(Scope((), min(inside.depth, 1), exact=True), 2 if self.choices.chance(15) else 1)
        values = plain([v for source in sources for v in source.columns])
        where = self._where(inside, sources)
        if inside.outer and values:
            pairs = [(v, o) for v in values for o in inside.outer if alike(v, o) and v.kind == o.kind]
            if pairs:
                a, b = self.choices.one(pairs)
                both = f"{a.text} {self.choices.one(('=', '=', '=', '>', '<'))} {b.text}"
                where = f"{where} AND {both}" if " OR " not in where and where else where or f" WHERE {both}"
        return start, sources, where

    def subquery_condition(self, values: Sequence[Value], scope: Scope) -> str:
        """IN, EXISTS, ANY, ALL or a comparison with one value."""
        c = self.choices
        inside = self._inside(values, scope)
        form = c.below(5)
        start, sources, where = self._simple(inside)
        columns = plain([v for source in sources for v in source.columns])
        negated = "NOT " if c.chance(30) else ""
        pairs = [(v, w) for v in values for w in columns if alike(v, w) and v.family != "bit" and
                 (v.kind == w.kind or (v.family in NUMBERS and w.family in NUMBERS))]  # fmt: skip
        if form == 0 or not pairs:
            self.clauses.add("EXISTS")
            return f"{negated}EXISTS (SELECT {c.one(('1', '*'))} FROM {start}{where})"
        v, w = c.one(pairs)
        if v.kind != w.kind:  # MariaDB 10.11 may look past the NULLs of an index for NOT IN of another type
            negated = ""
        if form == 1:
            self.clauses.add("ANY ALL")
            how = f"{c.one(('=', '<>', '<', '>='))} {c.one(('ANY', 'ALL', 'SOME'))}"
            return f"{v.text} {how} (SELECT {w.text} FROM {start}{where})"
        if form == 2 and w.family != "dbl":
            self.clauses.add("scalar subquery")
            one = f"(SELECT {c.one(('MIN', 'MAX'))}({w.text}) FROM {start}{where})"
            return f"{v.text} {c.one(('=', '<', '>='))} {one}"
        if form == 3 and len(pairs) > 1:
            self.clauses.add("row IN")
            other = c.one(pairs)
            negated = negated if other[0].kind == other[1].kind else ""
            return f"({v.text}, {other[0].text}) {negated}IN (SELECT {w.text}, {other[1].text} FROM {start}{where})"
        self.clauses.add("IN subquery")
        return f"{v.text} {negated}IN (SELECT {w.text} FROM {start}{where})"

    def scalar(self, values: Sequence[Value], scope: Scope) -> Value:
        """``(SELECT …)`` as a value."""
        self.clauses.add("scalar subquery")
        inside = self._inside(values, scope)
        start, sources, where = self._simple(inside)
        inner = [v for source in sources for v in source.columns if not v.near]
        total = self.aggregate(inner, Scope(exact=True))
        return replace(total, text=f"(SELECT {total.text} FROM {start}{where})", kind="")

    # -- set operations, WITH

    def _sets(self) -> Core:
        c = self.choices
        self.clauses.add("set operation")
        first = self._operand(None)
        texts, outputs = [first[0]], first[1]
        for _ in range(1 + c.below(2)):
            word = c.one(("UNION ALL", "UNION", "UNION DISTINCT", "INTERSECT", "EXCEPT"))
            self.clauses.add(word.split()[0])
            text, others = self._operand(outputs)
            texts += [word, text]
            outputs = [
                replace(a, near=max(a.near, b.near), spelled=a.spelled or b.spelled)
                for a, b in zip(outputs, others, strict=True)
            ]
        keys = [str(at + 1) for at in range(len(outputs))]
        return Core(" ".join(texts), outputs, [], keys, keys, None, 100)

    def _operand(self, like: Sequence[Value] | None) -> tuple[str, list[Value]]:
        """Columns without other spellings, of the same families as those of the first operand."""
        c = self.choices
        start, sources = self._from(Scope(depth=1, exact=True), 2)
        values = [v for source in sources for v in source.columns if v.family and v.family != "bit" and not v.near]
        if like is None:
            picked = c.some([v for v in values if not v.spelled] or [Value("1", "int", "INT", ("1",))], 3)
        else:
            picked = [c.one(found) if (found := [v for v in comparable(values, want) if v.kind == want.kind or
                                                 want.family in NUMBERS]) else want.named("NULL")
                      for want in like]  # fmt: skip
        where = self._where(Scope(depth=1), sources)
        text = f"SELECT {', '.join(v.text for v in picked)} FROM {start}{where}"
        if c.chance(25):
            keys = ", ".join(str(at + 1) for at in range(len(picked)))
            return f"({text} ORDER BY {keys} LIMIT {c.one((5, 2, 30))})", picked
        return (f"({text})" if c.chance(25) else text), picked

    def _with(self) -> str:
        self.clauses.add("WITH")
        parts = []
        for _ in range(1 + self.choices.below(2)):
            name = self._name("q")
            text, source = self._inner(Scope(depth=1, exact=True))
            if source.columns:
                parts.append(f"{name} AS ({text})")
                self.shared.append(replace(source, text=name))
        return f"WITH {', '.join(parts)} " if parts else ""

    def _recursive(self) -> Query:
        c = self.choices
        self.clauses.update(("WITH RECURSIVE", "ORDER BY"))
        step, low, high = 1 + c.below(9), c.below(30), 40 + c.below(100)
        table, column, next_one = c.one((("item", "id", "grp"), ("item", "id", "yr"), ("ledger", "owner", "yr"),
                                         ("part", "part_id", "qty"), ("diary", "id", "grp")))  # fmt: skip
        sql = c.one((
            f"WITH RECURSIVE r AS (SELECT {low} AS k UNION ALL SELECT k + {step} FROM r WHERE k < {high}) "
            f"SELECT r.k, COUNT(t.{column}), MAX(t.{next_one}) FROM r LEFT JOIN {table} t ON t.{column} = r.k "
            "GROUP BY r.k ORDER BY r.k",
            f"WITH RECURSIVE r AS (SELECT {column} AS k, {next_one} AS v FROM {table} WHERE {column} = {low} UNION "
            f"SELECT t.{column}, t.{next_one} FROM {table} t JOIN r ON t.{column} = r.k + {step}) "
            "SELECT k, v FROM r ORDER BY k, v",
            f"WITH RECURSIVE r (k, d) AS (SELECT {next_one}, 1 FROM {table} UNION SELECT t.{next_one}, r.d + 1 "
            f"FROM r JOIN {table} t ON t.{column} = r.k WHERE r.d < 4) SELECT d, COUNT(*), SUM(k) FROM r "
            "GROUP BY d ORDER BY d",
        ))  # fmt: skip
        outputs = (Value("", "int", "INT"),) * (2 if "SELECT k, v" in sql else 3)
        return Query(sql, outputs, True, frozenset(self.clauses))


def _common(before: Sequence[Source], new: Source) -> list[str]:
    """Columns of one name and of one family on both sides; none where another one would be compared, too."""
    names = {v.text.rpartition(".")[2]: v for v in before[0].columns}
    found = []
    for value in new.columns:
        name = value.text.rpartition(".")[2]
        if name in names:
            if not alike(names[name], value) or not value.family:
                return []
            found.append(name)
    return found


def _groupable(values: Sequence[Value], scope: Scope) -> list[Value]:
    found = [v for v in values if v.family != "bit" and not (scope.exact and v.spelled)]
    return found or [Value("1", "int", "INT", ("1",))]


def _without_odd(sortable: Sequence[str], outputs: Sequence[Value], names: Sequence[str]) -> list[str]:
    odd = {name for name, value in zip(names, outputs, strict=True) if not value.family or value.near}
    return [text for text in sortable if text not in odd]
