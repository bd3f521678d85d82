"""SET: which variables a session carries from backend to backend, and which it may not touch.

A carried variable's value is evaluated once, on a backend, and kept as a literal: every connection that serves the
session later gets the same (`backend.session_state`).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast, get_args

from dbmesh.backend.session_state import SessionState
from dbmesh.errors import BackendError, NotSupported, ParseError, SpecificAccessDenied
from dbmesh.frontend.asks import ask, borrowed, default_collation, try_state
from dbmesh.frontend.planned import collect
from dbmesh.protocol.charset import charset_of, python_codec
from dbmesh.protocol.literals import literal_of, text_literal, typed_literal
from dbmesh.route.literals import text_value
from dbmesh.rules.model import BaseMode, TransactionMode
from dbmesh.sql.assignments import Assignment, Scope, parse_set, user_variable
from dbmesh.sql.layout import closing
from dbmesh.sql.tokens import TokenKind, tokens

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session

_PRIVILEGED = frozenset(
    {"sql_log_bin", "gtid_next", "gtid_domain_id", "gtid_seq_no", "server_id", "binlog_format", "binlog_row_image",
     "pseudo_thread_id", "pseudo_slave_mode", "pseudo_replica_mode", "debug", "debug_sync", "debug_dbug",
     "sql_log_off", "sql_require_primary_key", "skip_replication", "skip_parallel_replication"}
)  # fmt: skip
_PER_CONNECTION = frozenset({"insert_id", "rand_seed1", "rand_seed2", "default_master_connection"})
MOST_VARIABLES = 1000  # user variables of one session
MOST_BYTES = 2 << 20  # of their names and literals, which are twice as long as their text
_MUST_BE = {
    "sql_auto_is_null": ("0", "off", "default", "false"),
    "completion_type": ("0", "no_chain", "default"),
    "sql_select_limit": ("default", "18446744073709551615"),
}
_MODES_REFUSED = ("ORACLE", "MSSQL", "DB2", "MAXDB", "POSTGRESQL", "HIGH_NOT_PRECEDENCE")
_MODES_FOLLOWED = frozenset({"ANSI", "ANSI_QUOTES", "PIPES_AS_CONCAT", "NO_BACKSLASH_ESCAPES", "NO_AUTO_VALUE_ON_ZERO"})
_LITERAL = re.compile(
    r"""[+-]?[0-9]+(?:\.[0-9]*)?|'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|[A-Za-z_][\w$]*""", re.DOTALL
)
_WORD = re.compile(r"[A-Za-z_]")
_NAME = re.compile(r"[\w$]+(?:\.[\w$]+)?")
_CLAUSES = frozenset(
    {"FROM", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "INTO", "UNION", "EXCEPT", "INTERSECT", "FOR", "LOCK", "AS",
     "WINDOW", "PROCEDURE"}
)  # fmt: skip


async def set_statement(session: Session, text: str) -> None:
    """Run a SET: all of its assignments, or none. As on a server, no value sees another assignment of the same SET."""
    items = parse_set(text)
    await session.adopt(await assigned(session, items))
    await _tell(session, items)
    session.answers.ok()


async def assigned(session: Session, items: Iterable[Assignment]) -> Settings:
    """The session's settings after these assignments, which it does not have yet. Raises what a server would."""
    draft = session.settings
    for item in items:
        draft = await _assign(session, draft, item)
    return draft


def _check_names(names: Iterable[str], charset: str) -> None:
    """What a client without a character set, or with broken text, calls a variable is nobody else's name."""
    for name in names:
        if not name.isascii() and (charset == "binary" or any("\udc80" <= letter <= "\udcff" for letter in name)):
            raise NotSupported(f"the user variable {name.encode('ascii', 'replace').decode()}", "give it an ASCII name")


async def _tell(session: Session, items: Sequence[Assignment]) -> None:
    """Tell a client that wants to know the new values of system variables."""
    session.track.state()
    scopes = (Scope.SESSION, Scope.NAMES, Scope.CHARACTER_SET)
    wanted = session.track.wanted(item.name for item in items if item.scope in scopes)
    if wanted:
        names = ", ".join(f"'{name}'" for name in wanted)
        rows = (await ask(session, f"SHOW SESSION VARIABLES WHERE Variable_name IN ({names})")).rows
        values = {(name or b"").decode(): (value or b"").decode("utf-8", "replace") for name, value in rows}
        session.track.variables((name, values[name]) for name in wanted if name in values)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a session has set. ``state`` is what its backends must have; the rest the mesh keeps to itself.

    ``transaction`` and ``base_mode``: of new transactions, None for the rules' default. ``next_transaction``: what SET
    TRANSACTION said of the next one. ``last_insert_id``: what the client has SET it to, None when it has not.
    ``read_committed``: its SELECTs look at global locks.
    """

    state: SessionState
    transaction: TransactionMode | None = None
    base_mode: BaseMode | None = None
    autocommit: bool = True
    next_transaction: tuple[tuple[str, str], ...] = ()
    last_insert_id: int | None = None
    read_committed: bool = False

    @property
    def strict(self) -> bool:
        mode = dict(self.state.variables).get("sql_mode")
        return mode is None or "STRICT_" in mode.upper() or "TRADITIONAL" in mode.upper()

    @property
    def zero_asks(self) -> bool:
        """Whether 0 in an AUTO_INCREMENT column asks for a number."""
        mode = dict(self.state.variables).get("sql_mode")
        return mode is None or "NO_AUTO_VALUE_ON_ZERO" not in mode.upper()

    @property
    def ansi_quotes(self) -> bool:
        """Whether double quotes stand around names."""
        return bool(self._modes & {"ANSI_QUOTES", "ANSI"})

    @property
    def escapes(self) -> bool:
        """Whether a backslash in a string escapes."""
        return self.state.escapes

    def reads_unlike(self, other: Settings) -> bool:
        """Whether SQL is read otherwise than by the other settings, or begins transactions otherwise."""
        return (
            self.ansi_quotes != other.ansi_quotes
            or self.escapes != other.escapes
            or self.autocommit != other.autocommit
            or (self.state.client, self.state.collation) != (other.state.client, other.state.collation)
        )

    @property
    def pipes_as_concat(self) -> bool:
        """Whether || joins strings."""
        return bool(self._modes & {"PIPES_AS_CONCAT", "ANSI"})

    @property
    def _modes(self) -> frozenset[str]:
        literal = next((value for name, value in self.state.variables if name == "sql_mode"), "")
        return frozenset(mode.strip() for mode in literal.strip("'\"").upper().split(","))

    def carry(self, name: str, literal: str | None) -> Settings:
        """Have a variable on every backend; None: as the server has it. User variables begin with '@'."""
        return self.carry_all({name: literal})

    def carry_all(self, changes: Mapping[str, str | None]) -> Settings:
        """The same for several. Raises NotSupported for more user variables than a session may have."""
        state = self.state.with_variables(changes)
        if any(name.startswith("@") for name in changes):
            _check_names(changes, state.client)
            own = [len(name) + len(value) for name, value in state.variables if name.startswith("@")]
            if len(own) > MOST_VARIABLES or sum(own) > MOST_BYTES:
                raise NotSupported(
                    f"more than {MOST_VARIABLES} user variables, or {MOST_BYTES >> 11} KiB in them, in one session",
                    "set those to NULL that are not needed any more, or keep the values in a table",
                )
        return replace(self, state=state)


async def _assign(session: Session, draft: Settings, item: Assignment) -> Settings:
    match item.scope:
        case Scope.GLOBAL:
            raise NotSupported(f"SET GLOBAL {item.name} belongs to one server", "run it on the servers themselves")
        case Scope.USER:
            return draft.carry(
                user_variable(item.name), await _evaluated(session, item.value, words=("NULL", "TRUE", "FALSE"))
            )
        case Scope.NAMES:
            return await _names(session, draft, item.value, item.collation)
        case Scope.CHARACTER_SET:
            return await _character_set(session, draft, item.value)
        case Scope.NEXT_TRANSACTION:
            if session.in_transaction:
                raise BackendError(
                    1568, "25001", "Transaction characteristics can't be changed while a transaction is in progress"
                )
            return replace(draft, next_transaction=(*draft.next_transaction, (item.name, item.value)))
        case _:
            return await _session_variable(session, draft, item)


async def _names(session: Session, draft: Settings, charset: str, collation: str | None) -> Settings:
    name = _charset(charset)
    chosen = _word(collation) if collation else await default_collation(session, name)
    if not charset_of(chosen).startswith(name.removesuffix("mb3")):
        raise BackendError(1253, "42000", f"COLLATION '{chosen}' is not valid for CHARACTER SET '{name}'")
    return await _tried(session, replace(draft, state=draft.state.with_charsets(name, chosen, name)))


async def _character_set(session: Session, draft: Settings, charset: str) -> Settings:
    name = _charset(charset)
    result = await ask(session, "SELECT @@collation_database")
    collation = _word((result.rows[0][0] or b"").decode())
    return await _tried(session, replace(draft, state=draft.state.with_charsets(name, collation, name)))


def _charset(name: str) -> str:
    """The name of a client character set that the mesh can read statements in."""
    folded = {"default": "utf8mb4", "utf8": "utf8mb3"}.get(name.lower(), name.lower())
    python_codec(folded)
    return folded


def _word(name: str) -> str:
    if not re.fullmatch(r"\w+", name):
        raise BackendError(1273, "HY000", f"Unknown collation: '{name}'")
    return name


async def _session_variable(session: Session, draft: Settings, item: Assignment) -> Settings:
    name = item.name
    if not _NAME.fullmatch(name):  # it is written into the SET of every connection
        raise BackendError(1193, "HY000", f"Unknown system variable '{name}'")
    if name in _PRIVILEGED:
        raise SpecificAccessDenied("SUPER")
    if name in _PER_CONNECTION:
        raise NotSupported(f"{name} belongs to one connection to a server", "leave it out")
    literal = await _evaluated(session, item.value)
    special = _SPECIAL.get(name)
    if special is not None:
        return await special(session, draft, name, literal)
    if name.startswith("dbmesh_"):
        raise BackendError(1193, "HY000", f"Unknown system variable '{name}'")
    allowed = _MUST_BE.get(name)
    if allowed is not None and _plain(literal) not in allowed:
        raise NotSupported(f"{name}={literal} would change what statements mean", f"leave {name} as it is")
    if _plain(literal) != "default":
        return await _tried(session, draft.carry(name, literal))
    draft = draft.carry(name, None)
    async with borrowed(session, draft.state) as connection:
        await connection.execute(f"SET SESSION {name} = DEFAULT")  # it has the default: this asks for the name only
    return draft


async def _tried(session: Session, draft: Settings) -> Settings:
    """Let a backend judge: its error (unknown variable, wrong value) is the client's."""
    await try_state(session, draft.state)
    return draft


async def _evaluated(session: Session, text: str, words: Sequence[str] | None = None) -> str:
    """The value as a literal; ``words`` (None: all, as ON, DEFAULT, a charset's name) stay as they are."""
    text = text.strip()
    if _LITERAL.fullmatch(text) and (words is None or not _WORD.match(text) or text.upper() in words):
        own = None if words is None or text[0] not in "'\"" else _own_text(session, text)
        if own is not None:
            return own
        if words is None or text[0] not in "'\"":
            return _single_quoted(text)
    query = _query_alone(text)
    state = session.state
    if query is None:
        _check_expression(text)
        state = state.with_charsets(state.client, state.collation, None)  # the value in its own character set
    result = await collect(session, query or f"SELECT {text}", state)
    if len(result.columns) != 1:
        raise BackendError(1241, "21000", "Operand should contain 1 column(s)")
    if len(result.rows) > 1:
        raise BackendError(1242, "21000", "Subquery returns more than 1 row")
    literal = literal_of if words is None else typed_literal  # words are given for user variables only
    return literal(result.rows[0][0], result.columns[0]) if result.rows else "NULL"


def _own_text(session: Session, literal: str) -> str | None:
    """A string for a user variable, which keeps its character set; None where a server has to convert it."""
    state = session.state
    value = text_value(literal)
    if value is None or charset_of(state.collation).removesuffix("mb3") != state.client.removesuffix("mb3"):
        return None
    return text_literal(value.encode(session.encoding, "surrogateescape"), state.collation)


def _single_quoted(literal: str) -> str:
    """A literal that stays the same when the session sets ANSI_QUOTES later."""
    if literal[0] != '"':
        return literal
    return "'" + literal[1:-1].replace('""', '"').replace("'", "''") + "'"


def _check_expression(text: str) -> None:
    """What is evaluated as a select item must not bring clauses of its own."""
    depth = 0
    for token in tokens(text):
        depth += (token.text == "(") - (token.text == ")")
        if token.text == ":=":
            raise NotSupported("an assignment within another's value", "use one SET for each variable")
        if depth <= 0 and token.upper in _CLAUSES:
            raise ParseError.near(text[token.start :])


def _query_alone(text: str) -> str | None:
    """The query in ``(SELECT …)``, which may then be merged; None for anything else."""
    found = [token for token in tokens(text) if token.kind is not TokenKind.COMMENT]
    if len(found) < 3 or found[0].text != "(" or found[1].upper != "SELECT" or closing(found, 0) != len(found) - 1:
        return None
    return text[found[0].end : found[-1].start]


def _plain(literal: str) -> str:
    return literal.strip("'\"").lower()


def _switch(name: str, literal: str) -> bool:
    value = _plain(literal)
    if value in ("1", "on", "true", "default"):
        return True
    if value in ("0", "off", "false"):
        return False
    raise BackendError(1231, "42000", f"Variable '{name}' can't be set to the value of '{literal.strip(chr(39))}'")


async def _autocommit(session: Session, draft: Settings, name: str, literal: str) -> Settings:
    on = _switch(name, literal)
    return replace(draft.carry("autocommit", None if on else "0"), autocommit=on)


async def _transaction_mode(session: Session, draft: Settings, name: str, literal: str) -> Settings:
    mode = _plain(literal)
    if mode == "default":
        return replace(draft, transaction=None)
    if mode not in get_args(TransactionMode):
        raise BackendError(1231, "42000", f"Variable '{name}' can't be set to the value of '{mode}'")
    if session.in_transaction:
        raise BackendError(1568, "25001", "Transaction mode can't be changed while a transaction is in progress")
    return replace(draft, transaction=cast(TransactionMode, mode))


async def _base_mode(session: Session, draft: Settings, name: str, literal: str) -> Settings:
    mode = _plain(literal)
    if mode != "default" and mode not in get_args(BaseMode):
        raise BackendError(1231, "42000", f"Variable '{name}' can't be set to the value of '{mode}'")
    if session.in_transaction:
        raise BackendError(1568, "25001", "Transaction mode can't be changed while a transaction is in progress")
    return replace(draft, base_mode=None if mode == "default" else cast(BaseMode, mode))


async def _client_charset(session: Session, draft: Settings, name: str, literal: str) -> Settings:
    state = draft.state
    return await _tried(
        session, replace(draft, state=state.with_charsets(_charset(_plain(literal)), state.collation, state.results))
    )


async def _results_charset(session: Session, draft: Settings, name: str, literal: str) -> Settings:
    state = draft.state
    results = None if _plain(literal) == "null" else _plain(literal)
    changed = state.with_charsets(state.client, state.collation, _word(results) if results else None)
    return await _tried(session, replace(draft, state=changed))


async def _connection_charset(session: Session, draft: Settings, name: str, literal: str) -> Settings:
    value = _word(_plain(literal))
    collation = value if name == "collation_connection" else await default_collation(session, value)
    state = draft.state
    return await _tried(session, replace(draft, state=state.with_charsets(state.client, collation, state.results)))


async def _sql_mode(session: Session, draft: Settings, name: str, literal: str) -> Settings:
    refused = [mode for mode in _plain(literal).upper().split(",") if mode.strip() in _MODES_REFUSED]
    if refused or literal[0].isdigit():
        raise NotSupported(
            f"sql_mode {', '.join(refused) or literal} changes how SQL is read", "leave it out of sql_mode"
        )
    mode = session.mesh.sql_mode if _plain(literal) == "default" else literal
    return await _tried(session, draft.carry(name, mode))


def unusual_mode(mode: str) -> str | None:
    """A server's default sql_mode as a literal where sessions have to know it: not strict, or read otherwise."""
    modes = frozenset(mode.upper().split(","))
    refused = modes.intersection(_MODES_REFUSED)
    if refused:
        raise NotSupported(
            f"the servers' default sql_mode has {min(refused)}, which changes how SQL is read",
            "take it out of their configuration",
        )
    usual = modes & {"STRICT_TRANS_TABLES", "STRICT_ALL_TABLES"} and not modes & _MODES_FOLLOWED
    return None if usual else f"'{mode}'"


async def _isolation(session: Session, draft: Settings, name: str, literal: str) -> Settings:
    actual = session.isolation_variable if "isolation" in name else session.read_only_variable
    if session.mesh.is_mysql and name != actual:  # MariaDB's drivers may use both names, on MySQL one is gone
        raise BackendError(1193, "HY000", f"Unknown system variable '{name}'")
    return await _tried(session, draft.carry(actual, None if _plain(literal) == "default" else literal))


async def _timestamp(session: Session, draft: Settings, name: str, literal: str) -> Settings:
    """The clock of the session's statements; 0 lets it go again."""
    number = {"true": "1", "false": "0"}.get(literal.lower(), literal)
    running = _plain(number) == "default" or (not number.strip("0.") and "0" in number)
    return await _tried(session, draft.carry(name, None if running else number))


async def _read_isolation(session: Session, draft: Settings, name: str, literal: str) -> Settings:
    chosen = _plain(literal)
    if chosen not in ("default", "committed"):
        raise BackendError(1231, "42000", f"Variable '{name}' can't be set to the value of '{chosen}'")
    if chosen == "committed":
        session.mesh.proxy.require_log()
    return replace(draft, read_committed=chosen == "committed")


async def _last_insert_id(session: Session, draft: Settings, name: str, literal: str) -> Settings:
    if not literal.isdigit():
        raise BackendError(1232, "42000", f"Incorrect argument type to variable '{name}'")
    return replace(draft, last_insert_id=int(literal))


Special = Callable[["Session", Settings, str, str], Awaitable[Settings]]
_SPECIAL: dict[str, Special] = {
    "autocommit": _autocommit,
    "dbmesh_transaction": _transaction_mode,
    "dbmesh_base_mode": _base_mode,
    "dbmesh_read_isolation": _read_isolation,
    "character_set_client": _client_charset,
    "character_set_results": _results_charset,
    "character_set_connection": _connection_charset,
    "collation_connection": _connection_charset,
    "sql_mode": _sql_mode,
    "tx_isolation": _isolation,
    "transaction_isolation": _isolation,
    "tx_read_only": _isolation,
    "transaction_read_only": _isolation,
    "timestamp": _timestamp,
    "last_insert_id": _last_insert_id,
    "identity": _last_insert_id,
}
