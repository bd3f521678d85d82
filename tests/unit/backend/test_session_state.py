"""From one session state to another."""

from __future__ import annotations

from dbmesh.backend.session_state import DEFAULT_STATE, SessionState


def test_equal_states_are_one_object() -> None:
    one = DEFAULT_STATE.with_variables({"sql_mode": "''", "@a": "1"})
    other = DEFAULT_STATE.with_variables({"@a": "1"}).with_variables({"sql_mode": "''"})
    assert one is other
    assert one.with_variables({"@a": None, "sql_mode": None}) is DEFAULT_STATE


def test_nothing_to_say_between_equal_states() -> None:
    assert DEFAULT_STATE.changes_from(SessionState()) == ()


def test_character_sets_first_then_what_was_and_what_is() -> None:
    before = DEFAULT_STATE.with_variables({"@a": "1", "sql_mode": "''", "time_zone": "'+00:00'"})
    after = DEFAULT_STATE.with_charsets("latin1", "latin1_bin", None).with_variables({"sql_mode": "'ANSI'", "@b": "2"})
    assert after.changes_from(before) == (
        "SET character_set_client = latin1, collation_connection = latin1_bin, character_set_results = NULL",
        "SET @a = CAST(NULL AS BINARY), SESSION time_zone = DEFAULT, @b = 2, SESSION sql_mode = 'ANSI'",
    )


def test_meaning_is_the_same_whatever_the_clock_and_the_user_variables_say() -> None:
    one = DEFAULT_STATE.with_variables({"timestamp": "1", "@a": "1", "autocommit": "0"})
    assert one.meaning == DEFAULT_STATE.meaning
    assert DEFAULT_STATE.with_variables({"div_precision_increment": "8"}).meaning != one.meaning
    assert DEFAULT_STATE.with_charsets("utf8mb4", "utf8mb4_bin", "utf8mb4").meaning != one.meaning


def test_types_are_asked_with_what_they_depend_on_and_without_conversion() -> None:
    state = DEFAULT_STATE.with_variables({"timestamp": "1", "@a": "1", "div_precision_increment": "8"}).for_types()
    assert state.results is None
    assert [name for name, _ in state.variables] == ["@a", "div_precision_increment", "sql_mode"]


def test_character_sets_that_agree_are_set_at_once() -> None:
    state = DEFAULT_STATE.with_charsets("latin1", "latin1_bin", "latin1")
    assert state.changes_from(DEFAULT_STATE) == ("SET NAMES latin1 COLLATE latin1_bin",)
