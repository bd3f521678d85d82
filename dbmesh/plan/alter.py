"""What ALTER TABLE may not do to a table that is spread over data nodes."""

from __future__ import annotations

from collections.abc import Sequence

from dbmesh.errors import NotSupported
from dbmesh.rules.model import ShardedTable, TableRule
from dbmesh.sql.layout import Span, comma_parts
from dbmesh.sql.tokens import Token

_NO_COLUMN = frozenset(
    {"KEY", "INDEX", "PRIMARY", "FOREIGN", "CONSTRAINT", "CHECK", "PARTITION", "SYSTEM", "PERIOD", "PARTITIONING"}
)
_SKIPPED = frozenset({"COLUMN", "IF", "EXISTS"})


def renamed_to(tokens: Sequence[Token], start: int) -> int | None:
    """Where the table's new name stands in ALTER TABLE … RENAME; None when it keeps its name."""
    for part in _changes(tokens, start):
        words = [token.upper for token in tokens[part.first : part.last]]
        if words[:1] != ["RENAME"] or (len(words) > 1 and words[1] in ("COLUMN", "INDEX", "KEY")):
            continue
        return part.first + (
            2 if words[1:2] and (words[1] in ("TO", "AS") or tokens[part.first + 1].text == "=") else 1
        )
    return None


def check_alter(tokens: Sequence[Token], start: int, rule: TableRule) -> None:
    """Refuse what moves rows between data nodes without the mesh, or names tables that it does not see."""
    for part in _changes(tokens, start):
        words = [token.upper for token in tokens[part.first : part.last]]
        if words[:1] in (["EXCHANGE"], ["UNION"]):
            raise NotSupported(f"ALTER TABLE … {words[0]} with another table", "run it on the servers themselves")
        if isinstance(rule, ShardedTable):
            _check_sharded(tokens, part, words, rule)


def _changes(tokens: Sequence[Token], start: int) -> list[Span]:
    """The comma-separated changes, behind NOWAIT or WAIT n."""
    if start < len(tokens) and tokens[start].upper in ("NOWAIT", "WAIT"):
        start += 2 if tokens[start].upper == "WAIT" else 1
    return comma_parts(tokens, Span(start, len(tokens)))


def _check_sharded(tokens: Sequence[Token], part: Span, words: Sequence[str], rule: ShardedTable) -> None:
    column = _changed_column(tokens, part, words)
    if column in rule.key_columns:
        raise NotSupported(
            f"ALTER TABLE … {words[0]} of the sharding key column '{column}': rows would be in the wrong place",
            "copy the rows into a new table",
        )
    if words[:2] == ["CONVERT", "TO"] and not rule.integer_only:
        raise NotSupported("CONVERT TO CHARACTER SET changes how the sharding key compares", "change column by column")


def _changed_column(tokens: Sequence[Token], part: Span, words: Sequence[str]) -> str:
    """The lower-cased column that a MODIFY, CHANGE, DROP or RENAME COLUMN is about; '' for other changes."""
    if words[:1] not in (["MODIFY"], ["CHANGE"], ["DROP"], ["RENAME"]):
        return ""
    at = part.first + 1
    while at < part.last and tokens[at].upper in _SKIPPED:
        at += 1
    if at >= part.last or (words[0] in ("DROP", "RENAME") and tokens[at].upper in _NO_COLUMN):
        return ""
    return tokens[at].name.lower()
