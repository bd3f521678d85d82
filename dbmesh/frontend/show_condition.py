"""What may follow a SHOW: the servers take any expression there, subqueries over any of their tables included.

All users share one account on the servers, so the mesh lets through what reads nothing but the rows that are shown.
"""

from __future__ import annotations

import re

from dbmesh.errors import NotSupported
from dbmesh.sql.functions import NOT_FUNCTIONS, SCALAR
from dbmesh.sql.tokens import Token, TokenKind, tokens

LIKE = re.compile(r"LIKE\s+('(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\")\Z", re.IGNORECASE | re.DOTALL)
_COLUMN = re.compile(r"(?:`(?:[^`]|``)+`|[\w$\x80-\U0010ffff]+|'(?:[^'\\]|\\.|'')*')\Z")
_CLAUSES = frozenset(
    {"SELECT", "UNION", "EXCEPT", "INTERSECT", "MINUS", "VALUES", "TABLE", "WITH", "INTO", "FROM", "PROCEDURE", "LIMIT",
     "ORDER", "GROUP", "HAVING", "WINDOW", "FOR", "LOCK", "OFFSET", "FETCH"}
)  # fmt: skip


def checked(rest: str) -> str:
    """``rest`` if it is nothing, LIKE 'pattern' or WHERE with a condition on the shown rows. Raises NotSupported."""
    if not rest or LIKE.match(rest):
        return rest
    words = tokens(rest)
    if not words or words[0].upper != "WHERE":
        raise NotSupported(f"'{rest[:40]}' after SHOW", "write LIKE 'pattern' or WHERE with a condition")
    for at, token in enumerate(words):
        _check(token, words[at - 1] if at else None, words[at + 1] if at + 1 < len(words) else None)
    return rest


def checked_column(rest: str) -> str:
    """``rest`` if it is nothing or what DESCRIBE takes after a table: a column's name or a pattern."""
    if rest and not _COLUMN.match(rest):
        raise NotSupported(f"'{rest[:40]}' after the table of DESCRIBE", "name one column or a pattern")
    return rest


def _check(token: Token, before: Token | None, after: Token | None) -> None:
    named = before is not None and before.text == "."
    if token.kind is TokenKind.COMMENT or token.text in (";", ":=") or (token.upper in _CLAUSES and not named):
        raise NotSupported(f"{token.text[:20]} in the condition of a SHOW", "compare the columns that it shows")
    called = token.is_name and after is not None and after.text == "("
    if called and (named or token.upper not in SCALAR | NOT_FUNCTIONS):
        raise NotSupported(f"the function {token.text[:40]} in the condition of a SHOW", "compare its columns")
