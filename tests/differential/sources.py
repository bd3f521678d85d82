"""What the random queries read: the tables of the world with what is known of each column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.differential import kinds
from tests.differential.tables import TABLES
from tests.flavour import MYSQL

_DEFAULT = "utf8mb4_0900_ai_ci" if MYSQL else "utf8mb4_general_ci"


@dataclass(frozen=True, slots=True)
class Value:
    """A column or an expression.

    ``family``: values of one family can be compared, sorted and put into one column. ``kind``: its type or collation.
    ``literals``: values to compare it with. ``spelled``: the collation by which differently spelled strings are equal,
    '' where equal values look alike. ``near``: how far two right answers may differ, a sum of approximate values; such
    a value is only shown. ``wide``: arithmetic may overflow, sums lose digits. ``scale``: digits behind the point.
    """

    text: str
    family: str
    kind: str
    literals: tuple[str, ...] = ()
    spelled: str = ""
    near: float = 0.0
    wide: bool = False
    scale: int = 0

    def named(self, text: str) -> Value:
        return replace(self, text=text)


@dataclass(frozen=True, slots=True)
class Source:
    """``text``: what stands in FROM. ``unique``: columns that together identify a row, or None. Columns are bare names
    until ``under`` puts the alias before them."""

    text: str
    columns: tuple[Value, ...]
    unique: tuple[str, ...] | None
    rows: int
    key: str = ""

    def under(self, alias: str) -> Source:
        columns = tuple(column.named(f"{alias}.{column.text}") for column in self.columns)
        unique = None if self.unique is None else tuple(f"{alias}.{name}" for name in self.unique)
        return Source(f"{self.text} {alias}", columns, unique, self.rows, self.key and f"{alias}.{self.key}")


_TYPES: dict[str, tuple[str, str, str, int, bool]] = {
    # name: (family, kind, spelled, scale, wide)
    "int": ("int", "INT", "", 0, False),
    "wide": ("int", "BIGINT", "", 0, True),
    "year": ("year", "YEAR", "", 0, True),
    "dec": ("dec", "DECIMAL", "", 2, False),
    "dec4": ("dec", "DECIMAL", "", 4, False),
    "dbl": ("dbl", "DOUBLE", "", 0, False),
    "date": ("date", "DATE", "", 0, False),
    "moment": ("moment", "DATETIME", "", 0, False),
    "time": ("time", "TIME", "", 0, False),
    "enum": ("enum", "ENUM", "", 0, True),
    "set": ("set", "SET", "", 0, True),
    "bytes": ("bytes", "VARBINARY", "", 0, True),
    "text": ("utf8mb4_bin", "utf8mb4_bin", "", 0, False),
    "word": (_DEFAULT, _DEFAULT, _DEFAULT, 0, False),
}
_TABLES: tuple[tuple[int, str, tuple[str, ...], str, str], ...] = (
    # weight, name, unique, sharding key, columns
    (9, "item", ("id",), "id",
     "id:wide grp:int name:word code:text price:dec ratio:dbl weight:dbl born:date seen:moment stamp:moment dur:time "
     "kind:enum flags:set raw:bytes yr:year big:wide note:word"),
    (5, "part", ("item_id", "part_id"), "item_id", "part_id:int item_id:wide qty:int label:text"),
    (2, "person", ("name",), "name", "name:word age:int mail:word"),
    (2, "token", ("code",), "code", "code:text uses:int"),
    (2, "event", ("id", "day"), "day", "id:int day:date what:word"),
    (1, "visit", ("id", "at"), "at", "id:int at:moment"),
    (1, "huge", ("k",), "k", "k:wide tag:word"),
    (2, "loose", ("v",), "n", "n:int v:int"),
    (1, "money", ("amount", "id"), "amount", "amount:dec id:int"),
    (2, "pair", ("a", "b"), "a", "a:int b:text v:int"),
    (2, "ledger", ("owner", "yr"), "owner", "owner:int yr:int amount:dec4"),
    (2, "region", ("id",), "", "id:int name:word"),
    (2, "diary", ("id",), "", "id:int line:word grp:int"),
)  # fmt: skip
# Families of the columns of `kinds`; what is not here is only shown, counted and looked for NULLs.
_FAMILIES = {
    "INT": "int", "TINYINT": "int", "BOOL": "int", "SMALLINT": "int", "MEDIUMINT": "int", "BIGINT": "int",
    "DECIMAL": "dec", "FLOAT": "dbl", "DOUBLE": "dbl", "DATE": "date", "DATETIME": "moment", "TIMESTAMP": "moment",
    "TIME": "time", "YEAR": "year", "BIT": "bit", "BINARY": "bytes", "VARBINARY": "bytes", "TINYBLOB": "bytes",
    "BLOB": "bytes", "ENUM": "enum", "SET": "set", "INET6": "inet6", "UUID": "uuid",
}  # fmt: skip


def _table(name: str, unique: tuple[str, ...], key: str, columns: str) -> Source:
    table = TABLES[name]
    values = []
    for entry in columns.split():
        column, _, short = entry.partition(":")
        family, kind, spelled, scale, wide = _TYPES[short]
        at = table.names.index(column)
        literals = tuple(dict.fromkeys(row[at] for row in table.rows if row[at] != "NULL"))[:12]
        values.append(Value(column, family, kind, literals, spelled, scale=scale, wide=wide))
    return Source(name, tuple(values), unique, len(table.rows), key)


def _kinds() -> Source:
    values = [Value("id", "int", "INT", ("0", "7", "59"))]
    for number, (name, literals) in enumerate(kinds.TYPES.items()):
        first = name.split("(")[0].split()[0]
        family = _FAMILIES.get(first, "")
        spelled = ""
        if "CHAR" in first or "TEXT" in first:
            spelled = "" if "BINARY" in name else _DEFAULT
            family = spelled or "utf8mb4_bin"
        small = tuple(literal for literal in literals if "REPEAT" not in literal)
        values.append(Value(f"c{number}", family, name, small, spelled, wide=True, scale=30))
    return Source("kinds", tuple(values), ("id",), kinds.ROWS, "id")


def _words() -> Source:
    values = [Value("id", "int", "INT", ("0", "7", "59"))]
    for number, name in enumerate(kinds.COLLATIONS):
        rows = [row[number + 1] for row in TABLES["words"].rows]
        literals = tuple(text for text in dict.fromkeys(rows) if text != "NULL" and text.isascii())[:8] or ("''",)
        values.append(Value(f"c{number}", name, name, literals, name, wide=True))
    return Source("words", tuple(values), ("id",), kinds.ROWS, "id")


SOURCES: Sequence[tuple[int, Source]] = (
    *((weight, _table(name, unique, key, columns)) for weight, name, unique, key, columns in _TABLES),
    (4, _kinds()),
    (4, _words()),
)
# What is on one shard together: the binding tables and the broadcast one.
BINDING = tuple((weight, source) for weight, source in SOURCES if source.text in ("item", "part", "region"))
