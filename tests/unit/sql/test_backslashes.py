"""NO_BACKSLASH_ESCAPES: texts of that mode as texts of the default one, and back."""

from __future__ import annotations

import pytest

from dbmesh.sql.backslashes import with_escapes, without_escapes
from dbmesh.sql.tokens import TokenKind, tokens


@pytest.mark.parametrize(
    ("without", "with_"),
    [
        (r"SELECT 'a\b', 1", r"SELECT 'a\\b', 1"),
        (r"SELECT 'a\', 'it''s \''', 2", r"SELECT 'a\\', 'it''s \\''', 2"),
        (r'SELECT "a\" , `b\c`', r'SELECT "a\\" , `b\c`'),
        (r"SELECT 'x' /* it's \ */ , '\' # it's \'", r"SELECT 'x' /* it's \ */ , '\\' # it's \'"),
        ("SELECT '\\' -- '\\\n, '\\%'", "SELECT '\\\\' -- '\\\n, '\\\\%'"),
        (r"/*!50000 SELECT '\' */", r"/*!50000 SELECT '\\' */"),
        ("SELECT 1", "SELECT 1"),
        ("SELECT '\\", "SELECT '\\\\"),
    ],
)
def test_strings_keep_their_values(without: str, with_: str) -> None:
    assert with_escapes(without) == with_
    assert without_escapes(with_) == without


@pytest.mark.parametrize(
    ("with_", "without"),
    [
        (r"'it\'s'", "'it''s'"),
        (r'"say \"it\'s\""', '"say ""it\'s"""'),
        (r"'\n\t\0\Z\r\b\\\%\_\x'", "'\n\t\0\x1a\r\b\\\\%\\_x'"),
    ],
)
def test_escapes_become_what_they_mean(with_: str, without: str) -> None:
    assert without_escapes(with_) == without


def test_no_string_ends_elsewhere_than_the_server_thinks() -> None:
    text = with_escapes(r"SELECT '\' AS a, ' OR 1=1 -- \'")
    assert [token.text for token in tokens(text) if token.kind is TokenKind.STRING] == [r"'\\'", r"' OR 1=1 -- \\'"]
