"""PREPARE, EXECUTE and DEALLOCATE PREPARE in SQL (MySQL 8.4 manual, 15.5): statements by name, text rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from dbmesh.backend.connection import Connection, Request
from dbmesh.engine.caller import Outcome
from dbmesh.errors import MeshError, NotSupported, ParseError
from dbmesh.frontend import prepare
from dbmesh.frontend.answers import Answers
from dbmesh.frontend.prepared import Call, Statement, UnknownStatement
from dbmesh.protocol import ColumnDefinition
from dbmesh.protocol.literals import text_of
from dbmesh.route.literals import text_value
from dbmesh.sql.assignments import user_variable
from dbmesh.sql.fingerprint import fingerprint
from dbmesh.sql.placeholders import Argument, written
from dbmesh.sql.tokens import Token, TokenKind, tokens

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session

_EXPRESSION = "x"  # a form that `sql.placeholders` has no literal for
_MOST = 2**63 - 1
_UNSIGNED = re.compile(r"CAST\(([0-9]+) AS UNSIGNED\)")
_VALUES = frozenset({TokenKind.NUMBER, TokenKind.STRING, TokenKind.HEX})


class WrongExecute(MeshError):
    """ER_WRONG_ARGUMENTS: another number of values than the statement has placeholders."""

    errno = 1210
    sqlstate = "HY000"

    def __init__(self) -> None:
        super().__init__("Incorrect arguments to EXECUTE")


class Named(NamedTuple):
    """A value as the planner sees it, a literal where there is one, and as it is written for a server."""

    planned: Argument
    there: Argument

    @classmethod
    def as_it_is(cls, form: str, text: str) -> Named:
        return cls(Argument(form, text), Argument(form, text))


class NamedAnswers(Answers):
    """Values are written into the text; columns are called as the statement with its ``?`` calls them."""

    def __init__(self, session: Session, statement: Statement, values: Sequence[Named]) -> None:
        super().__init__(session)
        counts = statement.placeholders.limits
        self._arguments = [value.planned if at in counts else value.there for at, value in enumerate(values)]
        self._names = [column.name for column in statement.columns]
        self._renames = any(b"?" in name for name in self._names)

    def request(self, sql: str) -> Request:
        return super().request(self.written(sql))

    def written(self, sql: str) -> str:
        return written(sql, self._arguments)

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        if self._renames and len(columns) == len(self._names):
            for column, name in zip(columns, self._names, strict=True):
                column.name = name
        super().columns(columns)

    def _must_translate(self, connection: Connection, packets: bytes) -> bool:
        return self._renames or super()._must_translate(connection, packets)


async def prepare_statement(session: Session, text: str) -> None:
    """PREPARE name FROM 'text' | @variable. A statement that had the name is gone, whatever comes of the new one."""
    found = _Reader(text)
    found.expect("PREPARE")
    name = found.name()
    found.expect("FROM")
    source = found.value(session)
    found.expect_end()
    session.prepared.drop(name)
    session.prepared.name(name, await _read(session, source))
    session.answers.ok(Outcome(info=b"Statement prepared"))


async def execute_statement(session: Session, text: str) -> None:
    """EXECUTE name [USING …]; EXECUTE IMMEDIATE text [USING …]."""
    found = _Reader(text)
    found.expect("EXECUTE")
    name, source = "", None
    if not session.mesh.is_mysql and found.take("IMMEDIATE"):
        source = found.value(session)
    else:
        name = found.name()
    values = found.values(session)
    found.expect_end()
    statement = session.prepared.named(name, "EXECUTE") if source is None else await _read(session, source)
    if len(values) != len(statement.placeholders):
        raise WrongExecute()
    await _run(session, statement, values)


async def deallocate(session: Session, text: str) -> None:
    """DEALLOCATE PREPARE name, DROP PREPARE name."""
    found = _Reader(text)
    if not found.take("DROP"):
        found.expect("DEALLOCATE")
    found.expect("PREPARE")
    name = found.name()
    found.expect_end()
    if not session.prepared.drop(name):
        raise UnknownStatement(name, "DEALLOCATE PREPARE")
    session.answers.ok()


async def _read(session: Session, source: str) -> Statement:
    held = text_of(source)
    text = text_value(source) if held is None else held[0]
    if text is None:
        raise NotSupported("a statement's text that is no string", "give a string, or a variable that holds one")
    statement, _ = await prepare.read(session, text)
    return statement


async def _run(session: Session, statement: Statement, values: Sequence[Named]) -> None:
    if session.mesh.is_mysql:
        one = Named.as_it_is("s", "'1'")
        values = [one if at in statement.placeholders.keys else value for at, value in enumerate(values)]
    planned = [value.planned for value in values]
    text = statement.placeholders.spelled(planned)
    if any(argument.form == _EXPRESSION for argument in planned):
        shape = fingerprint(text)
    else:
        forms = Call(b"", (), planned).forms
        shape = statement.placeholders.variant(forms).shape([argument.literal for argument in planned])
    answers = NamedAnswers(session, statement, values)
    with session.answering(answers, statement.database):
        await session.run(text, shape)


def _named(value: str, variable: bool) -> Named:
    """A literal, or the value that a user variable has as one."""
    unsigned = _UNSIGNED.fullmatch(value)
    plain = unsigned[1] if unsigned else value
    negative = plain.startswith("-")
    digits = plain.removeprefix("-")
    if digits.isdigit():
        form = "I" if negative else "i"
        there = value if unsigned else digits
        if variable and not unsigned and int(digits) <= _MOST:
            there = f"COALESCE({digits}, {_MOST})"  # a variable's integer is a BIGINT, a literal's not always
        return Named(Argument(form, digits), Argument(form, there))
    if re.fullmatch(r"[0-9.]+(?:e[+-]?[0-9]+)?", digits, re.IGNORECASE):
        return Named.as_it_is("D" if negative else "d", digits)
    if value.upper() == "NULL":
        return Named.as_it_is("n", "NULL")
    if value[0] == "'":
        return Named.as_it_is("s", value)
    return Named.as_it_is("b" if value[0] in "xX" else _EXPRESSION, value)


class _Reader:
    """The tokens of one of these statements, from the left. Raises 1064 for what does not belong there."""

    def __init__(self, text: str) -> None:
        found = [token for token in tokens(text) if token.kind is not TokenKind.COMMENT]
        while found and found[-1].text == ";":
            found.pop()
        self._text = text
        self._tokens = found
        self._at = 0

    def _next(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def take(self, word: str) -> bool:
        token = self._next()
        if token is None or (token.upper or token.text) != word:
            return False
        self._at += 1
        return True

    def expect(self, word: str) -> None:
        if not self.take(word):
            raise self._mistake()

    def expect_end(self) -> None:
        if self._next() is not None:
            raise self._mistake()

    def name(self) -> str:
        token = self._next()
        if token is None or not token.is_name:
            raise self._mistake()
        self._at += 1
        return token.name

    def value(self, session: Session) -> str:
        """A literal, or what a user variable holds, as SQL."""
        sign = "-" if self.take("-") else ""
        token = self._next()
        if token is None:
            raise self._mistake()
        self._at += 1
        if token.kind is TokenKind.VARIABLE and not sign:
            return _value_of(session, token)
        if token.kind in _VALUES or token.upper in ("NULL", "TRUE", "FALSE"):
            return sign + {"TRUE": "1", "FALSE": "0"}.get(token.upper, token.text)
        self._at -= 1
        raise self._mistake()

    def values(self, session: Session) -> list[Named]:
        """What follows USING."""
        found: list[Named] = []
        more = self.take("USING")
        while more:
            token = self._next()
            value = self.value(session)
            found.append(_named(value, token is not None and token.kind is TokenKind.VARIABLE))
            more = self.take(",")
        return found

    def _mistake(self) -> ParseError:
        token = self._next()
        return ParseError.near("" if token is None else self._text[token.start :])


def _value_of(session: Session, variable: Token) -> str:
    name = variable.text[1:]
    if name[:1] in ("'", '"', "`"):
        name = name[1:-1].replace(name[0] * 2, name[0])
    literal = dict(session.state.variables).get(user_variable(name), "NULL")
    held = text_of(literal)
    if held is None or held[1] != session.state.collation:
        return literal
    escaped = held[0].replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
