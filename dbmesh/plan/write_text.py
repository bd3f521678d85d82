"""What the planning of all writes asks of a text's tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dbmesh.errors import NotSupported
from dbmesh.plan.session_functions import session_edits_of
from dbmesh.rewrite import Edit, TableSlot
from dbmesh.rules.model import Grant
from dbmesh.sql.functions import BUILT_IN, VOLATILE
from dbmesh.sql.layout import Span, calls
from dbmesh.sql.tokens import Token


def file_grant(tokens: Iterable[Token]) -> frozenset[Grant]:
    """LOAD_FILE() reads the server's files."""
    return frozenset({Grant.FILE} if any(token.upper == "LOAD_FILE" for token in tokens) else ())


def answered_edits(text: str, tokens: Sequence[Token]) -> list[Edit]:
    """The session's functions replaced, but for LAST_INSERT_ID(…): one server answers that in its OK packet."""
    kept = [token for at, token in enumerate(tokens) if not _sets_last_insert_id(tokens, at)]
    return session_edits_of(text, kept)


def check_numbered(tokens: Sequence[Token]) -> None:
    """Refuse numbers for LAST_INSERT_ID(…) from several servers."""
    if sets_last_insert_id(tokens):
        raise NotSupported("LAST_INSERT_ID(…) on several data nodes", "write to one sharding key")


def check_parted(tokens: Sequence[Token]) -> None:
    """Refuse what several servers cannot do as one: numbers for LAST_INSERT_ID(…), rows of RETURNING in no order."""
    check_numbered(tokens)
    if any(token.upper == "RETURNING" for token in tokens):
        raise NotSupported("RETURNING from several data nodes", "write to one sharding key")


def sets_last_insert_id(tokens: Sequence[Token]) -> bool:
    """Whether LAST_INSERT_ID(…) with an argument is in the text."""
    return any(_sets_last_insert_id(tokens, at) for at in range(len(tokens)))


def check_known_functions(tokens: Sequence[Token], spans: Iterable[Span]) -> None:
    """Refuse functions that may be stored ones: they may read tables that are elsewhere, or write."""
    for name in _called(tokens, spans):
        if name not in BUILT_IN:
            raise NotSupported(f"{name}(), which may be a stored function, on several data nodes")


def check_repeatable(tokens: Sequence[Token], spans: Iterable[Span]) -> None:
    """Refuse what would make the copies of a broadcast table differ."""
    spans = list(spans)
    check_known_functions(tokens, spans)
    for name in _called(tokens, spans):
        if name in VOLATILE:
            raise NotSupported(f"{name}() in a write to a broadcast table: its copies would differ", "give a literal")


def qualified_edits(tokens: Sequence[Token], database: str, table: str, own: Span) -> list[Edit]:
    """``table.column`` and ``database.table.column`` with the actual table, where no alias can be given.

    ``own``: the tokens of the table's own reference, which stay.
    """
    edits = []
    for at, token in enumerate(tokens[:-1]):
        if own.first <= at < own.last or not token.is_name or token.name != table or tokens[at + 1].text != ".":
            continue
        start = token.start
        if at >= 2 and tokens[at - 1].text == ".":
            if tokens[at - 2].name != database:
                continue
            start = tokens[at - 2].start
        edits.append(Edit(start, token.end, (TableSlot(0),)))
    return edits


def _called(tokens: Sequence[Token], spans: Iterable[Span]) -> list[str]:
    return [tokens[at].upper for span in spans for at in calls(tokens, span)]


def _sets_last_insert_id(tokens: Sequence[Token], at: int) -> bool:
    following = [token.text for token in tokens[at + 1 : at + 3]]
    return tokens[at].upper == "LAST_INSERT_ID" and following[:1] == ["("] and following[1:] != [")"]
