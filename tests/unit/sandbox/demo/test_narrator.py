from __future__ import annotations

import io

import pytest
from rich.console import Console

from dbmesh.sandbox.demo.narrator import Mismatch, Narrator


@pytest.fixture
def printed() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def narrator(printed: io.StringIO) -> Narrator:
    return Narrator(Console(file=printed, highlight=False))


def test_what_is_verified_gets_a_mark_and_is_counted(narrator: Narrator, printed: io.StringIO) -> None:
    narrator.verify("one and one", 1 + 1, 2)
    assert printed.getvalue() == "✓ one and one\n"
    assert narrator.verified == 1


def test_a_mismatch_ends_the_demo_with_both_values(narrator: Narrator) -> None:
    with pytest.raises(Mismatch, match=r"rows: the mesh says \[1\], the shards say \[2\]"):
        narrator.verify("rows", [1], [2])
    assert narrator.verified == 0


def test_sql_with_brackets_is_shown_as_it_is(narrator: Narrator, printed: io.StringIO) -> None:
    narrator.sql("SELECT '[bold]'\nFROM t")
    assert printed.getvalue() == "mesh> SELECT '[bold]'\n      FROM t\n"


def test_a_table_shows_null_and_brackets(narrator: Narrator, printed: io.StringIO) -> None:
    narrator.table(["a", "b"], [(None, "[x]")])
    assert "NULL" in printed.getvalue()
    assert "[x]" in printed.getvalue()


def test_without_a_terminal_there_are_no_escape_sequences(narrator: Narrator, printed: io.StringIO) -> None:
    narrator.step("Title")
    with narrator.working("Doing something"):
        narrator.say("done")
    assert "\x1b" not in printed.getvalue()
