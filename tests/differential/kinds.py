"""Two more tables: every column type and many collations, to be sorted, grouped and aggregated by."""

from __future__ import annotations

import random

from dbmesh.schema import Column
from tests.differential.table import Table
from tests.flavour import MYSQL

# type -> values as SQL text; NULLs are mixed in
TYPES: dict[str, tuple[str, ...]] = {
    "TINYINT": ("-128", "-1", "0", "1", "127"),
    "BOOL": ("TRUE", "FALSE"),
    "SMALLINT UNSIGNED": ("0", "9", "10", "65535"),
    "MEDIUMINT": ("-8388608", "-5", "40", "8388607"),
    "INT UNSIGNED": ("0", "9", "10", "4294967295"),
    "INT(5) ZEROFILL": ("0", "9", "10", "99999", "123456"),
    "BIGINT": ("-9223372036854775808", "-2", "-10", "0", "9223372036854775807"),
    "BIGINT UNSIGNED": ("0", "2", "10", "9223372036854775807", "9223372036854775808", "18446744073709551615"),
    "DECIMAL(65,30)": ("0", "-0.000000000000000000000000000001", "99999999999999999999999999999999999.5", "1e10"),
    "DECIMAL(5,0)": ("-99999", "9", "10", "99999"),
    "DECIMAL(6,2) UNSIGNED": ("0", "0.01", "9.99", "10", "9999.99"),
    "DECIMAL(9,9)": ("0", "0.000000001", "0.999999999", "-0.5"),
    "FLOAT": ("0", "-0.1", "0.1", "3.4e38", "1.17549e-38", "16777217", "1.0000001", "1.0000002"),
    "FLOAT(7,3)": ("0", "-0.5", "0.125", "9999.999", "2.5"),
    "DOUBLE": ("0", "-0.1", "1e300", "-1e300", "5e-324", "0.30000000000000004", "0.3", "1e15", "123456789012345680"),
    "DOUBLE(10,2)": ("0", "-0.5", "0.12", "99999999.99", "2.50"),
    "DATE": ("'1000-01-01'", "'2020-02-29'", "'9999-12-31'", "'2021-01-01'"),
    "DATETIME": ("'1000-01-01'", "'2020-02-29 23:59:59'", "'9999-12-31 23:59:59'"),
    "DATETIME(6)": ("'2020-01-01 00:00:00.000001'", "'2020-01-01 00:00:00.1'", "'2020-01-01'"),
    "TIMESTAMP(6) NULL": ("'2020-01-01 00:00:00.000001'", "'1970-01-02 00:00:01'", "'2038-01-01'"),
    "TIME": ("'-838:59:59'", "'838:59:59'", "'00:00:00'", "'-00:00:01'", "'09:00:00'", "'100:00:00'"),
    "TIME(3)": ("'-00:00:00.001'", "'00:00:00.001'", "'00:00:00.010'", "'12:00:00'", "'-12:00:00.5'"),
    "YEAR": ("1901", "2155", "2020", "0"),
    "BIT(1)": ("b'0'", "b'1'"),
    "BIT(12)": ("b'0'", "b'1'", "b'100000000000'", "b'11111111'", "b'100000000'"),
    "BIT(64)": ("b'0'", "0xffffffffffffffff", "0x7fffffffffffffff", "b'10'"),
    "CHAR(5)": ("''", "'a'", "'A '", "'ab'", "'b'"),
    "CHAR(5) BINARY": ("''", "'a'", "'A'", "'ab'", "'b'"),
    "BINARY(3)": ("''", "'a'", "'A'", "x'000000'", "x'ffffff'", "x'61'"),
    "VARBINARY(5)": ("''", "'a'", "'a '", "x'00'", "x'0000'", "x'ff'", "x'6100'"),
    "TINYTEXT": ("''", "'a'", "'B'", "'b '"),
    "TEXT": ("''", "'a'", "'B'", "REPEAT('x', 300)", "'b'"),
    "LONGTEXT": ("''", "'a'", "'B'", "REPEAT('y', 70000)", "'b'"),
    "TINYBLOB": ("''", "'a'", "'B'", "x'00'", "x'ff'"),
    "BLOB": ("''", "'a'", "'B'", "x'00'", "REPEAT('z', 300)"),
    "ENUM('z','m','a','M2')": ("'z'", "'m'", "'a'", "'M2'"),
    "SET('z','m','a')": ("''", "'z'", "'m'", "'z,a'", "'m,a'", "'z,m,a'"),
    "JSON": ("'{}'", "'[1, 2]'", "'\"a\"'", "'1'"),
    "POINT": ("POINT(1, 2)", "POINT(0, 0)", "POINT(-1, 5)"),
}
TYPES |= (
    {"VECTOR(2)": ("STRING_TO_VECTOR('[1,2]')", "STRING_TO_VECTOR('[0,0]')", "STRING_TO_VECTOR('[-1,5.5]')")}
    if MYSQL
    else {
        "INET6": ("'::1'", "'::2'", "'ffff::'", "'::10.0.0.1'", "'9::'"),
        "UUID": ("'123e4567-e89b-12d3-a456-426655440000'", "'00000000-0000-0000-0000-000000000001'"),
    }
)

COLLATIONS = (
    "utf8mb4_general_ci", "utf8mb4_bin", "utf8mb4_unicode_ci", "utf8mb4_unicode_520_ci", "utf8mb4_german2_ci",
    "utf8mb4_swedish_ci", "utf8mb4_turkish_ci", "utf8mb4_czech_ci", "utf8mb3_general_ci", "utf8mb3_bin",
    "latin1_swedish_ci", "latin1_bin", "latin1_german2_ci", "latin1_general_cs", "ascii_general_ci", "ascii_bin",
    "gbk_chinese_ci", "gbk_bin", "big5_chinese_ci", "sjis_japanese_ci", "cp1250_czech_cs", "ucs2_general_ci",
    "utf16_unicode_ci", "utf32_general_ci", "cp1251_general_ci",
)  # fmt: skip
COLLATIONS += (
    (
        "utf8mb4_0900_ai_ci", "utf8mb4_0900_as_ci", "utf8mb4_0900_as_cs", "utf8mb4_0900_bin",
        "utf8mb4_de_pb_0900_ai_ci", "utf8mb4_es_0900_as_cs", "utf8mb4_ja_0900_as_cs_ks", "utf8mb4_zh_0900_as_cs",
        "gb18030_chinese_ci",
    )
    if MYSQL
    else (
        "utf8mb4_nopad_bin", "utf8mb4_general_nopad_ci", "utf8mb4_unicode_nopad_ci", "utf8mb4_uca1400_ai_ci",
        "utf8mb4_uca1400_as_ci", "utf8mb4_uca1400_as_cs", "utf8mb4_uca1400_nopad_as_cs",
        "utf8mb4_uca1400_nopad_ai_ci", "utf8mb4_thai_520_w2",
    )
)  # fmt: skip
_ALPHABET = {
    "ascii": "aAbBzZ 01-_\t",
    "cp1251": "aAbB жЖ\t",
    "gbk": "aAbB 中文\t",
    "gb18030": "aAbB 中文\t",
    "big5": "aAbB 中文\t",
    "sjis": "aAbB あ\t",
}
_WESTERN = "aAbB äÄß éEe ssSS\t-Zz"
_IGNORED = str.maketrans("", "", "\u0301\u00ad\x01")
_WIDE = "aAbB äÄ ßssSS é\u0301eE I\u0131\u0130i \u0e40\u0e01 ж 中\u00adz\x01\t"

ROWS = 60


def _texts(source: random.Random, collation: str) -> str:
    charset = collation.split("_")[0]
    wide = charset.startswith(("utf", "ucs"))
    alphabet = _ALPHABET.get(charset, _WIDE if wide else _WESTERN)
    if MYSQL and "_0900_" not in collation:
        alphabet = alphabet.translate(_IGNORED)  # MySQL's DISTINCT tells ' \u0301' from ' ', which are equal
    text = "".join(source.choices(alphabet, k=source.randint(0, 4))) + source.choice(("", "", " ", "  "))
    if charset == "utf8mb4" and source.random() < 0.1:
        text += "😀"
    return f"'{text}'"


def _table(columns: list[str], rows: list[tuple[str, ...]]) -> Table:
    names = ("id", *(f"c{number}" for number in range(len(columns))))
    body = ", ".join(f"{name} {kind}" for name, kind in zip(names[1:], columns, strict=True))
    key = (Column("id", "int", "int(11)", nullable=False),)
    return Table(f"id INT PRIMARY KEY, {body}", tuple(rows), key, names)


def tables() -> dict[str, Table]:
    """``kinds``: column cN has the N-th of TYPES; ``words``: the N-th of COLLATIONS."""
    source = random.Random(5)
    kinds = [
        (str(n), *("NULL" if source.random() < 0.15 else source.choice(values) for values in TYPES.values()))
        for n in range(ROWS)
    ]
    words = [
        (str(n), *("NULL" if source.random() < 0.1 else _texts(source, name) for name in COLLATIONS))
        for n in range(ROWS)
    ]
    typed = [f"VARCHAR(20) CHARACTER SET {name.split('_')[0]} COLLATE {name}" for name in COLLATIONS]
    return {"kinds": _table(list(TYPES), kinds), "words": _table(typed, words)}
