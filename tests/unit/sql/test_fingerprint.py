"""Fingerprints: literals found where MySQL finds them, everything else left as it is."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.sql.fingerprint import fingerprint, literal_spans


@pytest.mark.parametrize(
    ("text", "key", "literals"),
    [
        ("SELECT c FROM sbtest1 WHERE id=5053", "SELECT c FROM sbtest1 WHERE id=?n", ("5053",)),
        ("a=-5", "a=-?n", ("5",)),
        ("1e5, .5, 1., 1.5e-3", "?d, ?d, ?d, ?d", ("1e5", ".5", "1.", "1.5e-3")),
        ("0x35 x'4D' X'4d' b'01' 0b1", "?h ?h ?h ?h ?h", ("0x35", "x'4D'", "X'4d'", "b'01'", "0b1")),
        ("N'a' n'b' _utf8mb4'c'", "?s ?s _utf8mb4?s", ("N'a'", "n'b'", "'c'")),
        ("'it''s' 'a\\'b' \"q\"\"q\" \"x'y\"", "?s ?s ?s ?s", ("'it''s'", "'a\\'b'", '"q""q"', '"x\'y"')),
        ("'a' 'b'", "?s ?s", ("'a'", "'b'")),
        ("t1.c2 a1b2 $3 é4 1a 1e5x 0xZZ", "t1.c2 a1b2 $3 é4 1a 1e5x 0xZZ", ()),
        ("t.5 `t`.5 @5 @a5 @'x 5' @@sql5", "t.5 `t`.5 @5 @a5 @'x 5' @@sql5", ()),
        ("`a 5 'b'` `c``5`", "`a 5 'b'` `c``5`", ()),
        ("/* 5 'a */ 6 -- 7 '\n8 # 9 \"\n10", "/* 5 'a */ ?n -- 7 '\n?n # 9 \"\n?n", ("6", "8", "10")),
        ("5--6", "?n--?n", ("5", "6")),
        ("5-- 6", "?n-- 6", ("5",)),
        ("'never ended 5", "?s", ("'never ended 5",)),
        ("'ends in a backslash\\", "?s", ("'ends in a backslash\\",)),
        ("`never ended 5", "`never ended 5", ()),
        ("/* never ended 5", "/* never ended 5", ()),
        ("", "", ()),
    ],
)
def test_literals_leave_the_shape_of_a_statement(text: str, key: str, literals: tuple[str, ...]) -> None:
    assert fingerprint(text) == (key, literals)


@given(st.text(st.sampled_from("aex19.0'\"`\\-/*#@ \n+N_bé$"), max_size=30))
def test_pieces_joined_are_the_text(text: str) -> None:
    found = fingerprint(text)
    spans = literal_spans(text)
    assert tuple(text[start:end] for start, end in spans) == found.literals
    rest, at = [], 0
    for start, end in spans:
        rest.append(text[at:start])
        at = end
    rest.append(text[at:])
    shape = re.split(r"\?[snhd]", found.key) if "?" not in text else None
    assert shape is None or shape == rest


def test_an_unterminated_string_takes_linear_time() -> None:
    assert len(fingerprint("'" + "a\\'" * 200_000).literals) == 1
