from __future__ import annotations

import random
import re
from typing import Any

import pytest

from dbmesh.merge import SortKey
from dbmesh.merge.collation import compares_by_weights
from dbmesh.merge.key import converter

_ALPHABET = "aAbBzZ äÄßéEe ssSS\t-\x01İ\u0131iIžčšłŁøñ жЖ ก เ 中文あア한"
# One language of uca1400, in two of its character sets, stands for all.
_SEVERAL_ALIKE = re.compile(r"(?!utf8mb4_uca1400_|latin1_)\w+_uca1400_.*|utf8mb4_uca1400_(?!as|ai|nopad)(?!german2).*")


def _texts(ask: Any, charset: str) -> list[str]:
    known = [f"CONVERT('{c}' USING {charset}) = _utf8mb4'{c}' COLLATE utf8mb4_bin" for c in _ALPHABET]
    held = ask(f"SELECT {', '.join(known)}").rows[0]
    characters = [c for c, yes in zip(_ALPHABET, held, strict=True) if yes == b"1"]
    source = random.Random(3)
    ends = ("", "", "", " ", "  ", "\t", "\x01")
    return ["".join(source.choices(characters, k=source.randint(0, 4))) + source.choice(ends) for _ in range(50)]


def _wrong(ask: Any, charset: str, collation: str) -> list[tuple[str, str]]:
    """Pairs of texts that keys compare otherwise than the server."""
    texts = _texts(ask, charset)
    rows = ",".join(f"({n}, _utf8mb4 x'{text.encode().hex()}')" for n, text in enumerate(texts))
    ask.do(
        f"CREATE OR REPLACE TEMPORARY TABLE t (n INT, s VARCHAR(20) CHARACTER SET {charset} COLLATE {collation})",
        f"INSERT INTO t VALUES {rows}",
        "CREATE OR REPLACE TEMPORARY TABLE u SELECT * FROM t",
    )
    letter, space = (f"CONVERT('{text}' USING {charset}) COLLATE {collation}" for text in ("a", " "))
    weight = ask(f"SELECT {letter} = CONCAT({letter}, {space}), WEIGHT_STRING({space})").rows[0]
    answer = ask("SELECT n, WEIGHT_STRING(s) FROM t")
    convert = converter(SortKey(1, pad=weight[1] if weight[0] == b"1" else None), answer.columns[1])
    keys = {number: convert(value) for number, value in answer.rows}
    pairs = ask("SELECT t.n, u.n, t.s = u.s, t.s < u.s FROM t, u").rows
    return [
        (texts[int(a)], texts[int(b)])
        for a, b, equal, less in pairs
        if (equal == b"1", less == b"1") != (keys[a] == keys[b], keys[a] < keys[b])
    ]


@pytest.mark.timeout(300)
def test_a_servers_collations_compare_by_weights_or_are_known_not_to(ask: Any) -> None:
    collations = ask(
        "SELECT FULL_COLLATION_NAME, CHARACTER_SET_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY "
        "WHERE CHARACTER_SET_NAME <> 'binary'"
    ).rows
    tried = 0
    for name, charset in ((name.decode(), charset.decode()) for name, charset in collations):
        if compares_by_weights(name) and not _SEVERAL_ALIKE.fullmatch(name):
            tried += 1
            assert _wrong(ask, charset, name) == [], name
    assert tried > 200


@pytest.mark.parametrize(
    ("collation", "decided"),
    [
        ("utf8mb4_general_ci", True),
        ("utf8mb4_0900_as_cs", True),
        ("utf8mb4_uca1400_ai_ci", True),
        ("utf8mb4_uca1400_nopad_as_cs", True),
        ("utf8mb4_uca1400_as_cs", False),
        ("uca1400_danish_as_ci", False),
        ("utf8mb4_thai_520_w2", False),
        ("big5_chinese_ci", False),
        ("gb18030_chinese_ci", False),
    ],
)
def test_collations_by_name(collation: str, decided: bool) -> None:
    assert compares_by_weights(collation) is decided
