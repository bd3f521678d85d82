"""LOAD DATA read by its tokens."""

from __future__ import annotations

import pytest

from dbmesh.errors import NotSupported, ParseError
from dbmesh.sql.load_data import read_load


def test_every_part_has_its_place() -> None:
    load = read_load(
        "LOAD DATA LOW_PRIORITY LOCAL INFILE '/a' REPLACE INTO TABLE `a`.b CHARACTER SET Latin1 "
        "FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' ESCAPED BY '\\\\' "
        "LINES STARTING BY 'x' TERMINATED BY '\\r\\n' IGNORE 3 ROWS (a, @b, t.`C`) SET D = f(@b, ','), e = 1;"
    )
    assert (load.local, load.replace, load.file, load.database, load.table) == (True, True, "'/a'", "a", "b")
    assert (load.charset, load.terminated, load.enclosed, load.escaped) == ("latin1", "','", "'\"'", "'\\\\'")
    assert (load.starting, load.lines_terminated, load.skip) == ("'x'", "'\\r\\n'", 3)
    assert load.columns == ("a", None, "c")
    assert [token.text for token in load.variables] == ["@b"]
    assert load.set_columns == ("d", "e")
    first, last = load.skip_span
    assert [token.text for token in load.tokens[first:last]] == ["IGNORE", "3", "ROWS"]


def test_what_is_not_said_is_none() -> None:
    load = read_load("LOAD DATA INFILE 'f' IGNORE INTO TABLE t")
    assert not load.local
    assert not load.replace
    assert load.columns is None
    assert (load.charset, load.terminated, load.lines_terminated, load.skip) == (None, None, None, 0)
    assert read_load("LOAD DATA LOCAL INFILE 'f' INTO TABLE t ()").columns is None


@pytest.mark.parametrize(
    "text",
    [
        "LOAD DATA",
        "LOAD DATA LOCAL INFILE f INTO TABLE t",
        "LOAD DATA LOCAL INFILE 'f' TABLE t",
        "LOAD DATA LOCAL INFILE 'f' INTO TABLE t FIELDS TERMINATED ','",
        "LOAD DATA LOCAL INFILE 'f' INTO TABLE t (a b)",
        "LOAD DATA LOCAL INFILE 'f' INTO TABLE t IGNORE LINES",
        "LOAD DATA LOCAL INFILE 'f' INTO TABLE t SET a",
        "LOAD DATA LOCAL INFILE 'f' INTO TABLE t WHERE 1",
    ],
)
def test_what_is_no_load_data_is_a_syntax_error(text: str) -> None:
    with pytest.raises(ParseError):
        read_load(text)


@pytest.mark.parametrize(
    "text", ["LOAD XML LOCAL INFILE 'f' INTO TABLE t", "LOAD DATA INFILE 'f' INTO TABLE t PARTITION (p)"]
)
def test_forms_that_are_not_split_are_refused(text: str) -> None:
    with pytest.raises(NotSupported):
        read_load(text)
