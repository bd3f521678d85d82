"""What a SET statement assigns (MySQL 8.4 manual, 15.7.6.1 "SET Syntax for Variable Assignment")."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from dbmesh.errors import NotSupported, ParseError


class Scope(Enum):
    """Whose variable an assignment changes."""

    SESSION = auto()
    GLOBAL = auto()
    USER = auto()
    NAMES = auto()
    CHARACTER_SET = auto()
    NEXT_TRANSACTION = auto()


@dataclass(frozen=True, slots=True)
class Assignment:
    """One assignment: ``value`` is the source text of its right-hand side.

    For ``NAMES`` the value is the charset and ``collation`` the collation or None. ``SET TRANSACTION`` becomes
    assignments to ``transaction_isolation`` and ``transaction_read_only``.
    """

    scope: Scope
    name: str
    value: str
    collation: str | None = None


_TOKEN = re.compile(
    r"""\s+|/\*.*?\*/|(?:--\s|\#)[^\n]*
      |(?P<string>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")
      |(?P<quoted>`(?:[^`]|``)*`)
      |(?P<word>@@|@|[\w$]+(?:\.[\w$]+)*|[\x80-\U0010ffff]+)
      |(?P<sign>:=|.)""",
    re.VERBOSE | re.DOTALL,
)
_SCOPES = {"SESSION": Scope.SESSION, "LOCAL": Scope.SESSION, "GLOBAL": Scope.GLOBAL,
           "PERSIST": Scope.GLOBAL, "PERSIST_ONLY": Scope.GLOBAL}  # fmt: skip
_PLAIN = re.compile(r"[a-z0-9_$]+")
_ISOLATION = {("READ", "UNCOMMITTED"), ("READ", "COMMITTED"), ("REPEATABLE", "READ"), ("SERIALIZABLE",)}


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    start: int
    end: int

    @property
    def upper(self) -> str:
        return self.text.upper()


def parse_set(text: str) -> tuple[Assignment, ...]:
    """The assignments of ``SET …`` in order. Raises ParseError, or NotSupported for SET PASSWORD and the like."""
    tokens = [_Token(m.group(), m.start(), m.end()) for m in _TOKEN.finditer(text) if m.lastgroup]
    while tokens and tokens[-1].text == ";":
        tokens.pop()
    if len(tokens) < 2:
        raise _syntax_error(text, len(text))
    body = tokens[1:]
    transaction = _transaction(body)
    if transaction is not None:
        return transaction
    found: list[Assignment] = []
    scope = Scope.SESSION
    for item in _split(body):
        assignment = _assignment(text, item, scope)
        # MySQL applies a leading GLOBAL or SESSION keyword to the assignments after it as well
        if item[0].upper in _SCOPES and assignment.scope in (Scope.SESSION, Scope.GLOBAL):
            scope = assignment.scope
        found.append(assignment)
    return tuple(found)


def user_variable(name: str) -> str:
    """How `backend.session_state` names a user variable: lower case, in back-ticks where SQL needs it."""
    folded = name.lower()
    return f"@{folded}" if _PLAIN.fullmatch(folded) else f"@`{folded.replace('`', '``')}`"


def _split(tokens: list[_Token]) -> list[list[_Token]]:
    items: list[list[_Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.text == "(") - (token.text == ")")
        if token.text == "," and depth == 0:
            items.append([])
        else:
            items[-1].append(token)
    return items


def _assignment(text: str, item: list[_Token], inherited: Scope) -> Assignment:
    if not item:
        raise _syntax_error(text, len(text))
    first = item[0].upper
    if first == "NAMES":
        return _names(text, item)
    if first == "CHARSET" or (first in ("CHARACTER", "CHAR") and len(item) > 1 and item[1].upper == "SET"):
        value = item[1 if first == "CHARSET" else 2 :]
        if len(value) != 1:
            raise _syntax_error(text, item[0].start)
        return Assignment(Scope.CHARACTER_SET, "character set", _bare(value[0].text))
    if first in ("PASSWORD", "ROLE", "RESOURCE", "DEFAULT"):
        raise NotSupported(f"SET {first} belongs to one server", "run it on the servers themselves")
    equals = next((i for i, t in enumerate(item) if t.text in ("=", ":=")), None)
    if equals is None or equals == 0 or equals == len(item) - 1:
        raise _syntax_error(text, item[-1].start)
    scope, name = _target(text, item[:equals], inherited)
    return Assignment(scope, name, text[item[equals + 1].start : item[-1].end])


def _target(text: str, target: list[_Token], inherited: Scope) -> tuple[Scope, str]:
    scope = inherited
    words = [t.text for t in target]
    if words[0] == "@" and len(words) == 2:
        return Scope.USER, _bare(words[1]).lower()
    if words[0] == "@@":
        words = words[1:]
        scope = Scope.SESSION
    elif words[0].upper() in _SCOPES and len(words) == 2:
        return _SCOPES[words[0].upper()], _bare(words[1]).lower()
    if len(words) == 1 and "." in words[0] and words[0][0] != "`":
        prefix, _, rest = words[0].partition(".")
        if prefix.upper() in _SCOPES:
            return _SCOPES[prefix.upper()], rest.lower()
    if len(words) == 3 and words[1] == "." and words[0].upper() in _SCOPES:
        return _SCOPES[words[0].upper()], _bare(words[2]).lower()
    if len(words) != 1:
        raise _syntax_error(text, target[0].start)
    return scope, _bare(words[0]).lower()


def _names(text: str, item: list[_Token]) -> Assignment:
    words = [t.text for t in item[1:]]
    if len(words) == 1:
        return Assignment(Scope.NAMES, "names", _bare(words[0]))
    if len(words) == 3 and words[1].upper() == "COLLATE":
        return Assignment(Scope.NAMES, "names", _bare(words[0]), _bare(words[2]))
    raise _syntax_error(text, item[0].start)


def _transaction(body: list[_Token]) -> tuple[Assignment, ...] | None:
    words = [t.upper for t in body]
    scope = Scope.NEXT_TRANSACTION
    if words[0] in _SCOPES and len(words) > 1 and words[1] == "TRANSACTION":
        scope = _SCOPES[words[0]]
        words = words[1:]
    if words[0] != "TRANSACTION" or len(words) < 2 or words[1] in ("=", ":="):
        return None
    found = []
    for part in " ".join(words[1:]).split(" , "):
        match tuple(part.split()):
            case ("ISOLATION", "LEVEL", *level) if tuple(level) in _ISOLATION:
                found.append(Assignment(scope, "transaction_isolation", f"'{'-'.join(level)}'"))
            case ("READ", "ONLY"):
                found.append(Assignment(scope, "transaction_read_only", "1"))
            case ("READ", "WRITE"):
                found.append(Assignment(scope, "transaction_read_only", "0"))
            case _:
                raise _syntax_error(" ".join(words), len("TRANSACTION "))
    return tuple(found)


def _bare(text: str) -> str:
    if text[0] == "`":
        return text[1:-1].replace("``", "`")
    if text[0] in "'\"":
        return text[1:-1].replace(text[0] * 2, text[0])
    return text


def _syntax_error(text: str, at: int) -> ParseError:
    line = text.count("\n", 0, at) + 1
    return ParseError.near(text[at:], line)
