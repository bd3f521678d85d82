"""sql_mode ANSI_QUOTES: ``"name"`` becomes `` `name` ``, which both modes read alike, before all else reads the text.

MySQL 8.4 manual, 7.1.11 "Server SQL Modes". Labels of a result's columns stay those of the client's own text.
"""

from __future__ import annotations

from collections.abc import Sequence

from dbmesh.errors import NotSupported
from dbmesh.plan.session_functions import label_edits
from dbmesh.rewrite import Edit
from dbmesh.sql.layout import Span
from dbmesh.sql.tokens import Token, TokenKind, tokens

_BEFORE_ITEMS = frozenset(
    {"SELECT", "DISTINCT", "ALL", "DISTINCTROW", "HIGH_PRIORITY", "STRAIGHT_JOIN", "SQL_SMALL_RESULT",
     "SQL_BIG_RESULT", "SQL_BUFFER_RESULT", "SQL_CACHE", "SQL_NO_CACHE", "SQL_CALC_FOUND_ROWS"}
)  # fmt: skip


def without_ansi_quotes(text: str) -> str:
    """The same statement for a server without the mode. Raises NotSupported for names with quotes in them."""
    if '"' not in text:
        return text
    parts: list[str] = []
    changed: list[int] = []
    at = 0
    for token in tokens(text):
        if token.text[0] == '"' and token.kind is TokenKind.STRING:
            parts.append(text[at : token.start] + _name(token))
            changed.append(token.start)
            at = token.end
        elif token.kind is TokenKind.VARIABLE and token.text[1:2] == '"':
            _name(token)  # @"name" is read alike in both modes, but for what is refused there
    plain = "".join(parts) + text[at:]
    found = [token for token in tokens(plain) if token.kind is not TokenKind.COMMENT]
    places = set(changed)
    return _labelled(text, plain, found, [Span(n, n + 1) for n, token in enumerate(found) if token.start in places])


def _name(token: Token) -> str:
    name = token.text.removeprefix("@")
    if len(name) < 2 or name[-1] != '"' or "\\" in name or "`" in name or '"' in name[1:-1]:
        raise NotSupported(
            f"the name {name[:40]} under ANSI_QUOTES: it has a quote, a back-tick or a backslash in it, or no end",
            "write it in back-ticks",
        )
    return f"`{name[1:-1]}`"


def _labelled(text: str, plain: str, found: Sequence[Token], changed: Sequence[Span]) -> str:
    """``plain`` is as long as ``text``; its unnamed expressions get the labels that they would have had."""
    edits = [edit for edit in label_edits(text, found, changed) if not _is_name(found, edit)]
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        plain = plain[: edit.start] + "".join(map(str, edit.pieces)) + plain[edit.end :]
    return plain


def _is_name(found: Sequence[Token], edit: Edit) -> bool:
    """Whether the item that ends there is a bare column, which is called as it is."""
    last = next(at for at, token in enumerate(found) if token.end == edit.start)
    before = found[last - 1] if last else None
    return before is None or before.upper in _BEFORE_ITEMS or before.text == ","
