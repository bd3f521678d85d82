"""Functions that speak of the session: a backend would answer for its own connection, so the mesh answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dbmesh.errors import NotSupported
from dbmesh.plan.model import FOUND_ROWS, LAST_INSERT_ID
from dbmesh.rewrite import Edit, Piece, SessionValue, quoted
from dbmesh.sql.assignments import user_variable
from dbmesh.sql.functions import CLOCK, NAMED_LOCKS, REFUSED, SESSION_VALUE, SESSION_VARIABLE
from dbmesh.sql.layout import Span, select_layouts
from dbmesh.sql.placeholders import source_of
from dbmesh.sql.tokens import Token, TokenKind

# A number in their place would be an INT in the result's column definitions.
_BIGINTS = {
    "LAST_INSERT_ID": ("(", "|0)"),
    "FOUND_ROWS": ("COALESCE(", ", 9223372036854775807)"),
    "ROW_COUNT": ("COALESCE(", ", 9223372036854775807)"),
    "WARNING_COUNT": ("(", "|0)"),
    "ERROR_COUNT": ("(", "|0)"),
}


def check_functions(tokens: Sequence[Token]) -> None:
    """Refuse what would leave state on a backend connection that the session does not keep."""
    for at, token in enumerate(tokens):
        called = at + 1 < len(tokens) and tokens[at + 1].text == "("
        if token.upper in REFUSED and called and not _qualified(tokens, at):
            raise NotSupported(f"{token.upper}() acts on one server connection, which the mesh shares")
        if token.upper in NAMED_LOCKS and called and not _qualified(tokens, at) and not _without_tables(tokens):
            raise NotSupported(
                f"{token.upper}() among tables: named locks are all on one data source",
                "call it by itself: SELECT, DO, SET",
            )
        if token.text == ":=" and (tokens[0].upper or tokens[0].text) not in _MAY_ASSIGN:
            raise NotSupported("an assignment to a user variable within a write", "use SET @name = …")
        if called and _qualified(tokens, at) and at >= 2 and not _names_a_table(tokens, at - 3):
            name = f"{tokens[at - 2].text}.{token.text}()"
            raise NotSupported(
                f"{name}: a stored function of a named schema runs with the servers' account",
                "call it without the schema's name",
            )
        if token.upper == "NEXT" and at + 2 < len(tokens) and tokens[at + 2].upper == "FOR":
            raise NotSupported("NEXT VALUE FOR a sequence")


_MAY_ASSIGN = ("SET", "SELECT", "DO", "WITH", "(")


def assigned_variable(token: Token) -> str:
    """A user variable as ``Plan.leaves`` has it."""
    return user_variable(_bare(token.text[1:]))


def left_behind(tokens: Sequence[Token]) -> tuple[str, ...]:
    """What a query changes on its server's connection; see ``Plan.leaves``."""
    found: dict[str, None] = {}
    for at, token in enumerate(tokens[:-1]):
        if token.kind is TokenKind.VARIABLE and tokens[at + 1].text == ":=":
            found[assigned_variable(token)] = None
        elif token.upper == "SQL_CALC_FOUND_ROWS":
            found[FOUND_ROWS] = None
        elif token.upper == "LAST_INSERT_ID" and [t.text for t in tokens[at + 1 : at + 3]] not in (["("], ["(", ")"]):
            called = tokens[at + 1].text == "(" and not _qualified(tokens, at)
            found |= {LAST_INSERT_ID: None} if called else {}
    return tuple(found)


def named_locks(tokens: Sequence[Token]) -> bool:
    """Whether a text calls GET_LOCK() or its kind."""
    return any(
        token.upper in NAMED_LOCKS and tokens[at + 1].text == "(" and not _qualified(tokens, at)
        for at, token in enumerate(tokens[:-1])
    )


def _without_tables(tokens: Sequence[Token]) -> bool:
    return tokens[0].upper in ("SELECT", "DO") and all(token.upper not in _NAME_TABLES for token in tokens)


_NAME_TABLES = frozenset({"FROM", "JOIN", "TABLE", "INTO"})
# Words before `schema.name (` that make it a table with a column list. ON only in DDL: elsewhere a condition follows.
_BEFORE_TABLES = frozenset(
    {"INTO", "INSERT", "REPLACE", "IGNORE", "LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED", "TABLE", "EXISTS", "REFERENCES"}
)


def _names_a_table(tokens: Sequence[Token], before: int) -> bool:
    word = tokens[before].upper if before >= 0 else ""
    return word in _BEFORE_TABLES or (word == "ON" and tokens[0].upper in ("CREATE", "ALTER", "DROP"))


def user_variables(tokens: Sequence[Token]) -> frozenset[str]:
    """Lower-cased names of the user variables in a text, without '@' and quotes."""
    return frozenset(_bare(token.text[1:]).lower() for token in tokens if token.kind is TokenKind.VARIABLE)


def _bare(name: str) -> str:
    return name[1:-1].replace(name[0] * 2, name[0]) if name[0] in "'\"`" else name


def session_edits_of(text: str, tokens: Sequence[Token]) -> list[Edit]:
    """Session functions replaced by the session's values, and the labels that a result's columns would lose thereby."""
    found = session_calls(tokens)
    return value_edits(tokens, found) + label_edits(text, tokens, found)


def value_edits(tokens: Sequence[Token], found: Iterable[Span]) -> list[Edit]:
    """The values of the session functions at ``found`` in their place."""
    edits = []
    for span in found:
        variable = tokens[span.first].text == "@@"
        name = SESSION_VARIABLE[tokens[span.last - 1].upper] if variable else SESSION_VALUE[tokens[span.first].upper]
        value: tuple[Piece, ...] = (SessionValue(name),)
        if name in _BIGINTS:
            before, after = _BIGINTS[name]
            value = (before, *value, after)
        edits.append(Edit(tokens[span.first].start, tokens[span.last - 1].end, value))
    return edits


def label_edits(text: str, tokens: Sequence[Token], changed: Sequence[Span]) -> list[Edit]:
    """`` AS `source text` `` for the unnamed select items that contain one of the ``changed`` spans."""
    if not changed:
        return []
    edits = []
    for item in _unnamed(tokens):
        if any(item.first <= span.first < item.last for span in changed):
            end = tokens[item.last - 1].end
            edits.append(Edit(end, end, (" AS " + quoted(label_of(text, tokens, item)),)))
    return edits


def labelled_literals(tokens: Sequence[Token], literals: Sequence[tuple[int, int]]) -> frozenset[int]:
    """The literals whose text may be in a label that `label_edits` writes: another text needs another plan."""
    places = [
        (tokens[item.first].start, tokens[item.last - 1].end)
        for item in _unnamed(tokens)
        if any(_may_change(tokens, at) for at in range(item.first, item.last))
    ]
    return frozenset(
        index
        for index, (start, end) in enumerate(literals)
        if any(first <= start and end <= last for first, last in places)
    )


def _may_change(tokens: Sequence[Token], at: int) -> bool:
    """A session function, a clock, a session variable, or the database in ``db.t.c``."""
    word = tokens[at].upper
    dotted = [token.text for token in tokens[at + 1 : at + 4 : 2]] == [".", "."]
    return word in SESSION_VALUE or word in CLOCK or word in SESSION_VARIABLE or dotted


def _unnamed(tokens: Sequence[Token]) -> list[Span]:
    """The select items that a server names after their text."""
    items = [item for layout in select_layouts(tokens) for item in layout.items]
    return [item for item in items if item.last > item.first and not _is_column(tokens, item)
            and not has_alias(tokens, item)]  # fmt: skip


def spans_of(tokens: Sequence[Token], edits: Iterable[Edit]) -> list[Span]:
    """The tokens that ``edits`` replace."""
    found = []
    for edit in edits:
        inside = [at for at, token in enumerate(tokens) if edit.start <= token.start and token.end <= edit.end]
        if inside:
            found.append(Span(inside[0], inside[-1] + 1))
    return found


def _is_column(tokens: Sequence[Token], item: Span) -> bool:
    """``t.c``, ``db.t.c`` or ``db.t.*``: named after the column, however it is written."""
    return item.last - item.first > 2 and all(
        token.text in (".", "*") if (at - item.first) % 2 else token.is_name or token.text == "*"
        for at, token in enumerate(tokens[item.first : item.last], item.first)
    )


def label_of(text: str, tokens: Sequence[Token], item: Span) -> str:
    """What MySQL calls an unnamed column: the text of its expression."""
    return source_of(text, tokens[item.first].start, tokens[item.last - 1].end)


def has_alias(tokens: Sequence[Token], item: Span) -> bool:
    """Whether the select item ends with a name of its own."""
    if item.last - item.first < 2:
        return False
    before, last = tokens[item.last - 2], tokens[item.last - 1]
    if before.upper == "AS":
        return True
    if last.kind is TokenKind.STRING and before.upper in ("DATE", "TIME", "TIMESTAMP"):
        return False
    if last.kind is TokenKind.WORD and (last.upper in _NOT_ALIASES or _is_unit(tokens, item)):
        return False
    return last.kind in (TokenKind.WORD, TokenKind.NAME, TokenKind.STRING) and _ends_operand(before)


def _is_unit(tokens: Sequence[Token], item: Span) -> bool:
    before, last = tokens[item.last - 2], tokens[item.last - 1]
    words = {token.upper for token in tokens[item.first : item.last]}
    return last.upper in _UNITS and before.upper not in _UNITS and "INTERVAL" in words


_UNITS = frozenset({"MICROSECOND", "SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "QUARTER", "YEAR"})
_NOT_ALIASES = frozenset(
    {"END", "NULL", "TRUE", "FALSE", "UNKNOWN", "CURRENT_USER", "CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP",
     "LOCALTIME", "LOCALTIMESTAMP", "UTC_DATE", "UTC_TIME", "UTC_TIMESTAMP"}
)  # fmt: skip
_OPERATORS = frozenset(
    {"AND", "OR", "XOR", "NOT", "DIV", "MOD", "LIKE", "RLIKE", "REGEXP", "IN", "IS", "BETWEEN", "CASE", "WHEN", "THEN",
     "ELSE", "COLLATE", "BINARY", "INTERVAL", "ESCAPE", "DISTINCT", "USING"}
)  # fmt: skip


def _ends_operand(token: Token) -> bool:
    if token.kind is TokenKind.SIGN:
        return token.text in (")", "*")
    return token.upper not in _OPERATORS and not token.upper.startswith("_")


def session_calls(tokens: Sequence[Token]) -> list[Span]:
    """The session functions in a text, but for LAST_INSERT_ID(…): that sets what the connection says."""
    found = []
    for at, token in enumerate(tokens):
        if token.text == "@@" and (last := _variable(tokens, at)) is not None:
            found.append(Span(at, last + 1))
            continue
        if token.upper not in SESSION_VALUE or _qualified(tokens, at):
            continue
        if at + 2 < len(tokens) and tokens[at + 1].text == "(":
            if tokens[at + 2].text == ")":
                found.append(Span(at, at + 3))
        elif token.upper == "CURRENT_USER":
            found.append(Span(at, at + 1))
    return found


def _variable(tokens: Sequence[Token], at: int) -> int | None:
    """The last token of ``@@last_insert_id`` and its like, or None."""
    words = [token.upper for token in tokens[at + 1 : at + 4]]
    last = at + 3 if words[:1] in (["SESSION"], ["LOCAL"]) and len(words) == 3 else at + 1
    return last if last < len(tokens) and tokens[last].upper in SESSION_VARIABLE else None


def _qualified(tokens: Sequence[Token], at: int) -> bool:
    return at > 0 and tokens[at - 1].text == "."
