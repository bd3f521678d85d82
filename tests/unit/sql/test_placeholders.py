"""Statements with ``?``: spelled for the planner, marked for servers, written for sagas."""

from __future__ import annotations

import pytest

from dbmesh.sql.fingerprint import literal_spans
from dbmesh.sql.placeholders import Argument, Placeholders, source_of, written

ONE = Argument("i", "1")
MINUS = Argument("I", "5")
NULL = Argument("n", "NULL")
TEXT = Argument("s", "'it''s'")
DAY = Argument("t", "'2026-11-22'")


def rendered(text: str, *arguments: Argument) -> str:
    """The text as a template without edits would give it: literals written by their slots."""
    places = Placeholders(text)
    shape = places.variant("".join(a.form for a in arguments)).shape([a.literal for a in arguments])
    spelled = places.spelled(arguments)
    parts: list[str] = []
    at = 0
    for (start, end), literal in zip(literal_spans(spelled), shape.literals, strict=True):
        parts += (spelled[at:start], str(literal))
        at = end
    return "".join(parts) + spelled[at:]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("SELECT ?", 1),
        ("SELECT '?', \"?\", `?`, ? -- ?\n, ? # ?\n /* ? */", 2),
        ("INSERT INTO t VALUES (?,?),(?,?)", 4),
        ("SELECT 1", 0),
    ],
)
def test_only_what_stands_outside_of_strings_names_and_comments_is_a_placeholder(text: str, count: int) -> None:
    assert len(Placeholders(text)) == count


@pytest.mark.parametrize(
    ("text", "arguments", "spelled"),
    [
        ("SELECT a-? FROM t", (MINUS,), "SELECT a- -5 FROM t"),
        ("SELECT a-?", (ONE,), "SELECT a- 1"),
        ("SELECT ?,?", (TEXT, NULL), "SELECT 'it''s',/*?1*/NULL"),
        ("SELECT ?>d", (DAY,), "SELECT DATE'2026-11-22'>d"),
        ("WHERE a=?AND b=?", (ONE, ONE), "WHERE a=1 AND b=1"),
    ],
)
def test_the_planner_sees_literals(text: str, arguments: tuple[Argument, ...], spelled: str) -> None:
    assert Placeholders(text).spelled(arguments) == spelled


@pytest.mark.parametrize("text", ["SELECT a-?, b FROM t WHERE c=? AND d IN (?,?)LIMIT 3", "SELECT ?+?+?-?", "?;?,?x?"])
@pytest.mark.parametrize("arguments", [(ONE, MINUS, TEXT, DAY), (NULL, NULL, ONE, MINUS), (DAY, TEXT, NULL, NULL)])
def test_a_server_gets_the_clients_text_again(text: str, arguments: tuple[Argument, ...]) -> None:
    marked = Placeholders(text).marked(rendered(text, *arguments), arguments)
    assert marked.sql == text
    assert marked.order == (0, 1, 2, 3)
    assert marked.lasting


def test_rows_in_another_order_take_their_values_along() -> None:
    arguments = (ONE, MINUS, NULL)
    places = Placeholders("VALUES (?), (?), (?)")
    first, second = (str(s) for s in places.variant("iIn").shape(["1", "5", "NULL"]).literals)
    marked = places.marked(f"VALUES (-{second}), (/*?2*/NULL), ({first})", arguments)
    assert (marked.sql, marked.order) == ("VALUES (?), (?), (?)", (1, 2, 0))


def test_a_literal_that_has_lost_its_sign_is_written_out() -> None:
    places = Placeholders("SELECT ?")
    [slot] = places.variant("I").shape(["5"]).literals
    marked = places.marked(f"LIMIT {slot}", (MINUS,))
    assert (marked.sql, marked.order, marked.lasting) == ("LIMIT 5", (), False)


def test_a_slot_is_its_value_and_writes_its_mark() -> None:
    [slot] = Placeholders("SELECT ?").variant("s").shape(["'x'"]).literals
    assert slot == "'x'"
    assert f"{slot}" == str(slot) == "%s" % slot != "'x'"  # noqa: UP031 - the planner's formats are such
    assert written(f"a {slot}", [Argument("s", "'x'")]) == "a 'x'"


def test_values_of_other_classes_are_another_shape() -> None:
    places = Placeholders("SELECT ? FROM t WHERE id = ?")
    assert places.variant("ii") is places.variant("ii")
    assert len({places.variant(forms).key for forms in ("ii", "si", "iI", "in", "di", "bi", "ti")}) == 7


def test_a_column_is_called_as_the_client_wrote_it() -> None:
    text = Placeholders("SELECT a+?*2, ?").spelled((MINUS, TEXT))
    assert source_of(text, 7, text.index(",")) == "a+?*2"
    assert source_of("SELECT 1", 7, 8) == "1"


def test_row_counts_are_known() -> None:
    assert Placeholders("SELECT ? LIMIT ?, ?").limits == {1, 2}
    assert Placeholders("SELECT ? LIMIT ? OFFSET ?").limits == {1, 2}
    assert Placeholders("SELECT f(?, ?) FROM t").limits == set()


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("SELECT a FROM t ORDER BY ?", {0}),
        ("SELECT a FROM t WHERE b = ? GROUP BY ?, c ORDER BY a, ? DESC LIMIT ?", {1, 2}),
        ("SELECT a, ? FROM t ORDER BY a + ?, -?", set()),
        ("SELECT f(a, ?) FROM t ORDER BY f(a, ?), b", set()),
        ("(SELECT a FROM t ORDER BY ?) UNION SELECT ?, ?", {0}),
        ("SELECT a FROM t ORDER BY FIELD(a, ?), (SELECT ?)", set()),
    ],
)
def test_keys_that_are_nothing_but_a_parameter(text: str, keys: set[int]) -> None:
    assert Placeholders(text).keys == keys


def test_a_sample_has_numbers_where_nothing_else_can_stand() -> None:
    text = "SELECT NTILE(?) OVER w, LAG(a, ?, ?) OVER w, ? FROM t WINDOW w AS (ORDER BY a ROWS ? PRECEDING) LIMIT ?"
    assert "".join(argument.form for argument in Placeholders(text).sample()) == "iiisii"
