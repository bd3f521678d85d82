"""Parsing: what the parser sees is what the server would, and places stay true."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from dbmesh.errors import NotSupported
from dbmesh.sql.statement import Unparsed, parse, span_of
from dbmesh.sql.tokens import tokens


def test_strings_with_traps_keep_their_places() -> None:
    text = "SELECT 'it''s -- no', b /* 'c */ FROM t WHERE d = \"q'q\" AND e = 5"
    statement = parse(text)
    column = next(c for c in statement.tree.find_all(exp.Column) if c.name == "e")
    span = span_of(column.this)
    assert span is not None
    assert text[slice(*span)] == "e"
    assert [text[start:end] for start, end in statement.literals] == ["'it''s -- no'", '"q\'q"', "5"]


@pytest.mark.parametrize(
    ("text", "trap"),
    [
        ("SELECT a XOR b", "xor"),
        ("SELECT a || b", "||"),
        ("SELECT !a", "!"),
        ("SELECT 'a' 'b'", "adjacent strings"),
        ("SELECT @a := 1", ":="),
    ],
)
def test_what_parsers_and_servers_part_differently_is_a_trap(text: str, trap: str) -> None:
    assert parse(text).traps == {trap}


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'a",
        "SELECT `a",
        "SELECT 1; DELETE FROM t",
        "SELECT FROM",
        "LOCK TABLES t READ",
        "SELECT 1 SELECT 2",
        "XA START 'x'",
    ],
)
def test_what_cannot_be_read_is_said_so(text: str) -> None:
    with pytest.raises(Unparsed):
        parse(text)


def test_two_minus_signs_are_no_comment_without_a_space() -> None:
    with pytest.raises(NotSupported):
        parse("SELECT a FROM t WHERE id=5--1 OR 1=1")


def test_a_closing_semicolon_is_left_out() -> None:
    assert parse("SELECT 1 ; ").tokens[-1].text == "1"


@given(st.text(st.sampled_from("aex19.0'\"`\\-/*#@ \n+N_bé$<=>|&!:"), max_size=30))
def test_tokens_rejoined_are_the_text(text: str) -> None:
    at = 0
    for token in tokens(text):
        assert not text[at : token.start].strip(" \n")
        assert token.text == text[token.start : token.end]
        at = token.end
    assert not text[at:].strip(" \n")
