"""One table with a column of every type, and rows that hold each type's edges."""

from __future__ import annotations

from tests.differential.kinds import TYPES
from tests.flavour import MYSQL

# type -> values as SQL text; what the differential test's types leave out, as drivers stumble over it. MySQL takes no
# zero dates unless it is asked to, and has a shorter longest TIME.
_MORE = {
    "DATE NULL": ("'0001-01-01'",) if MYSQL else ("'0000-00-00'", "'2020-00-00'", "'0001-01-01'"),
    "DATETIME(6) NULL": ("'0000-00-00 00:00:00'",) * (not MYSQL) + ("'2020-01-01 12:00:00.120000'",),
    "TIMESTAMP NULL DEFAULT NULL": ("'1970-01-01 00:00:01'", "'2024-02-29 23:59:59'"),
    "TIME(6)": ("'00:00:00.000000'", "'-01:00:00.500000'", "'838:59:59'" if MYSQL else "'838:59:59.999999'"),
    "VARCHAR(40) CHARACTER SET utf8mb4": ("''", "'😀 naïve \\\\ \\' \" %'", "'\\n\\t\\r\\0\\Z'"),
    "VARCHAR(40) CHARACTER SET latin1": ("'Müller'", "'€'", "''"),
    "VARCHAR(40) CHARACTER SET gbk": ("'中文'", "'a'"),
    "CHAR(4) CHARACTER SET ucs2": ("'中文'", "'ab'"),
    "MEDIUMTEXT": ("''", "REPEAT('é', 40000)"),
    "MEDIUMBLOB": ("x'00ff27225c0a0d1a'", "''"),
    "LONGBLOB": ("REPEAT(x'00ff27225c0a0d1a', 9000)", "''"),
    "GEOMETRY": ("ST_GeomFromText('LINESTRING(0 0,1 1,2 2)')", "POINT(3, 4)"),
} | ({} if MYSQL else {"INET4": ("'127.0.0.1'", "'255.255.255.255'")})

_TYPES = {name: values for name, values in TYPES.items() if not name.startswith("VECTOR")}  # drivers read it as text
COLUMN_TYPES = (*_TYPES, *_MORE)
NAMES = tuple(f"c{number}" for number in range(len(COLUMN_TYPES)))
COLUMNS = "id BIGINT PRIMARY KEY, " + ", ".join(f"{n} {kind}" for n, kind in zip(NAMES, COLUMN_TYPES, strict=True))


def rows() -> list[str]:
    """Rows as text of INSERT's VALUES: as many as the richest type has values, and one of NULLs."""
    values = [*_TYPES.values(), *_MORE.values()]
    count = max(map(len, values))
    filled = [", ".join([str(n), *(of_type[n % len(of_type)] for of_type in values)]) for n in range(1, count + 1)]
    return [f"({row})" for row in [*filled, ", ".join([str(count + 1), *["NULL"] * len(values)])]]
