"""Templates: the client's text with slots."""

from __future__ import annotations

from dbmesh.rewrite import Edit, LimitSlot, Literal, SessionValue, TableSlot, Template, quoted, splice
from dbmesh.sql.fingerprint import fingerprint, literal_spans

TEXT = "SELECT  a, '%d' /* 7 */ FROM t WHERE b = 5 LIMIT 3"


def spliced(*edits: Edit) -> Template:
    return splice(TEXT, literal_spans(TEXT), edits)


def test_an_unedited_text_renders_as_it_was() -> None:
    assert spliced().render(fingerprint(TEXT).literals) == TEXT


def test_slots_take_tables_limits_and_session_values() -> None:
    at = TEXT.index("t WHERE")
    limit = TEXT.index(" LIMIT")
    template = spliced(
        Edit(at, at + 1, (TableSlot(0, "t"),)),
        Edit(8, 9, (SessionValue("DATABASE"),)),
        Edit(limit, len(TEXT), (LimitSlot(),)),
    )
    text = template.render(["'x'", "9", "3"], ["t_`1"], lambda name: f"<{name}>", " LIMIT 4")
    assert text == "SELECT  <DATABASE>, 'x' /* 7 */ FROM `t_``1` AS `t` WHERE b = 9 LIMIT 4"
    assert template.literals == {0, 1}
    assert template.session_values == {"DATABASE"}


def test_inserts_at_one_place_keep_their_order_and_go_before_what_follows() -> None:
    template = spliced(Edit(6, 6, (" x",)), Edit(6, 6, (" y",)), Edit(6, 7))
    assert template.render(["1", "2", "3"]).startswith("SELECT x y a,")


def test_the_format_of_the_hot_path_says_the_same() -> None:
    at = TEXT.index("t WHERE")
    template = spliced(Edit(at, at + 1, (TableSlot(0, "t"),)))
    literals = ("'%s'", "6", "3")
    text = template.format_for(["t%1"])
    assert text is not None
    assert text % literals == template.render(literals, ["t%1"])


def test_only_plain_texts_have_a_format() -> None:
    assert Template((SessionValue("USER"),)).format_for([]) is None
    assert Template((Literal(1),)).format_for([]) is None


def test_names_are_quoted() -> None:
    assert quoted("a`b") == "`a``b`"
