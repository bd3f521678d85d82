"""A table's alias taken out of a statement: LOCK TABLES gives no two tables of one schema the same alias."""

from __future__ import annotations

from dbmesh.rewrite.template import quoted
from dbmesh.sql.tokens import Token, TokenKind, tokens


def without_alias(sql: str, table: str, alias: str) -> str:
    """``sql`` with ``table`` under its own name wherever it is called ``alias``; unchanged where it never is."""
    if quoted(table) not in sql:
        return sql
    found = [token for token in tokens(sql) if token.kind is not TokenKind.COMMENT]
    parts: list[str] = []
    at = 0
    for number, token in enumerate(found):
        if token.kind is TokenKind.NAME and token.name == table:
            last = _alias_at(found, number + 1, alias)
            if last is not None:
                parts += (sql[at : token.end],)
                at = found[last].end
    if not parts:
        return sql
    sql = "".join(parts) + sql[at:]
    return _requalified(sql, table, alias)


def _alias_at(found: list[Token], at: int, alias: str) -> int | None:
    at += at < len(found) and found[at].upper == "AS"
    return at if at < len(found) and found[at].is_name and found[at].name.lower() == alias.lower() else None


def _requalified(sql: str, table: str, alias: str) -> str:
    """``alias.column`` by the table's own name."""
    found = [token for token in tokens(sql) if token.kind is not TokenKind.COMMENT]
    parts: list[str] = []
    at = 0
    for number, token in enumerate(found[:-1]):
        first = number == 0 or found[number - 1].text != "."
        if first and token.is_name and token.name.lower() == alias.lower() and found[number + 1].text == ".":
            parts += (sql[at : token.start], quoted(table))
            at = token.end
    return "".join(parts) + sql[at:]
