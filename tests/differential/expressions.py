"""Random expressions and conditions over the columns in sight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tests.differential.choices import Choices
from tests.differential.sources import Value

NUMBERS = frozenset(("int", "dec", "dbl"))
_COMPARISONS = ("=", "=", "<>", "<", "<=", ">", ">=", "<=>")
_WIDEST_QUOTIENT = 5  # digits behind the point: with more than nine of them a server's sums depend on its plan

Subqueries = Callable[[Sequence[Value], "Value | None"], str]  # a condition on one of these values, or on none


def comparable(values: Sequence[Value], to: Value) -> list[Value]:
    """Those that may stand on the other side of ``to``."""
    return [v for v in values if v.text != to.text and not v.near and alike(v, to)]


def alike(one: Value, other: Value) -> bool:
    return one.family == other.family or (one.family in NUMBERS and other.family in NUMBERS)


def plain(values: Sequence[Value]) -> list[Value]:
    """Those that can be compared and sorted."""
    return [v for v in values if v.family and not v.near]


class Expressions:
    """``clauses``: what has been used, for counting."""

    def __init__(self, choices: Choices, clauses: set[str]) -> None:
        self.choices = choices
        self.clauses = clauses

    def value(self, values: Sequence[Value], depth: int) -> Value:
        """A column, or a calculation with one."""
        c = self.choices
        column = c.one(values)
        if depth <= 0 or column.near or c.chance(45):
            return column
        forms: list[Callable[[Value, Sequence[Value]], Value]] = [self._case, self._null]
        if column.family == "int" and not column.wide:
            forms += [self._number] * 3
        elif column.family == "dec" and not column.wide:
            forms += [self._decimal] * 2
        elif column.kind in ("DATE", "DATETIME") and column.literals:
            forms += [self._date] * 3
        elif column.family.startswith("utf8mb4"):
            forms += [self._text] * 3
        return c.one(forms)(column, values)

    def _number(self, x: Value, values: Sequence[Value]) -> Value:
        t = x.text
        form = self.choices.one((f"{t} + 1", f"{t} * 2", f"-{t}", f"{t} % 3", f"{t} DIV 2", f"ABS({t})", f"{t} & 6",
                                 f"GREATEST({t}, 3)", f"SIGN({t})", f"({t} > 3)"))  # fmt: skip
        return Value(form, "int", "INT", x.literals, wide="&" in form)

    def _decimal(self, x: Value, values: Sequence[Value]) -> Value:
        t = x.text
        if x.scale < _WIDEST_QUOTIENT and self.choices.chance(30):
            return Value(f"{t} / 7", "dec", "DECIMAL", x.literals, scale=x.scale + 4)
        form = self.choices.one((f"{t} * 2", f"-{t}", f"{t} - 0.5", f"ROUND({t}, 1)", f"FLOOR({t})", f"ABS({t})"))
        return Value(form, "dec", "DECIMAL", x.literals, scale=x.scale)

    def _date(self, x: Value, values: Sequence[Value]) -> Value:
        t = x.text
        form = self.choices.one((f"YEAR({t})", f"MONTH({t})", f"DAYOFWEEK({t})", f"DATEDIFF({t}, '2021-01-01')",
                                 f"TO_DAYS({t})", f"EXTRACT(DAY FROM {t})"))  # fmt: skip
        return Value(form, "int", "INT", ("1", "5", "2021"))

    def _text(self, x: Value, values: Sequence[Value]) -> Value:
        t = x.text
        form = self.choices.one((f"UPPER({t})", f"LOWER({t})", f"CONCAT({t}, '-')", f"LEFT({t}, 2)",
                                 f"COALESCE({t}, '')", f"REVERSE({t})", f"TRIM({t})"))  # fmt: skip
        return replace(x, text=form, kind="")

    def _case(self, x: Value, values: Sequence[Value]) -> Value:
        self.clauses.add("CASE")
        condition = self.condition(values, (), None, 0)
        if self.choices.chance(50):
            return Value(f"CASE WHEN {condition} THEN 1 ELSE 2 END", "int", "INT", ("1", "2"))
        return Value(f"IF({condition}, 'yes', 'no')", "", "", ("'yes'",))

    def _null(self, x: Value, values: Sequence[Value]) -> Value:
        return Value(f"({x.text} IS NULL)", "int", "INT", ("0", "1"))

    # -- conditions

    def condition(
        self, values: Sequence[Value], outer: Sequence[Value], inner: Subqueries | None, most: int = 2
    ) -> str:
        """``outer``: columns of queries around this one. ``inner``: makes a condition with a subquery."""
        c = self.choices
        text = self._one(values, outer, inner)
        for _ in range(c.below(most + 1) if most else 0):
            part = self._one(values, outer, inner)
            part = f"NOT ({part})" if c.chance(12) else part
            text = f"({text}) {c.one(('AND', 'AND', 'OR'))} {part}"
        return text

    def _one(self, values: Sequence[Value], outer: Sequence[Value], inner: Subqueries | None) -> str:
        c = self.choices
        usable = plain(values)
        if inner is not None and c.chance(30):
            return inner(usable, None)
        x = c.one(usable or values)
        if not x.family or not x.literals or c.chance(10):
            return f"{x.text} IS {c.one(('NOT ', ''))}NULL"
        if c.chance(25) and (others := comparable([*usable, *outer, *outer], x)):
            return f"{x.text} {c.one(_COMPARISONS)} {c.one(others).text}"
        return self._against_literals(x)

    def _against_literals(self, x: Value) -> str:
        c = self.choices
        self.clauses.add("condition")
        form = c.below(8)
        if form < 4 or x.family in ("enum", "set", "bit"):
            return f"{x.text} {c.one(_COMPARISONS)} {c.one(x.literals)}"
        if form < 6:
            return f"{x.text} {c.one(('', 'NOT '))}IN ({', '.join(c.some(x.literals, 4))})"
        if form < 7 and x.spelled:
            return f"{x.text} LIKE {c.one(x.literals)[:-1]}%'"
        return f"{x.text} BETWEEN {c.one(x.literals)} AND {c.one(x.literals)}"
