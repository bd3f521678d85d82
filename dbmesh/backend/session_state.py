"""The session state of a client as values, and the SET statement that turns one state into another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from weakref import WeakValueDictionary

from dbmesh.protocol.charset import charset_of

DEFAULT_CHARSET = "utf8mb4"
DEFAULT_COLLATION = "utf8mb4_general_ci"

# A user variable set to a bare NULL keeps the type of its value before, which may have been another session's.
_UNSET = "CAST(NULL AS BINARY)"

# Neither what a statement means nor the type of an expression depends on these; of any other variable it may.
_WITHOUT_MEANING = frozenset(
    {"autocommit", "timestamp", "tx_isolation", "transaction_isolation", "tx_read_only", "transaction_read_only",
     "wait_timeout", "interactive_timeout", "net_read_timeout", "net_write_timeout", "net_retry_count",
     "lock_wait_timeout", "innodb_lock_wait_timeout", "max_statement_time", "max_execution_time",
     "foreign_key_checks", "unique_checks", "sql_notes", "sql_warnings", "sql_safe_updates", "profiling",
     "sort_buffer_size", "join_buffer_size", "read_buffer_size", "read_rnd_buffer_size", "tmp_table_size",
     "max_heap_table_size", "bulk_insert_buffer_size", "slow_query_log", "long_query_time"}
)  # fmt: skip


@dataclass(frozen=True, slots=True, weakref_slot=True)
class SessionState:
    """What a connection has to be told before a client's statement runs on it.

    ``client``: character_set_client; ``collation``: collation_connection, which brings character_set_connection
    along; ``results``: character_set_results, None for NULL (no conversion). ``variables``: (name, SQL literal) sorted
    by name, session variables in lower case without a prefix and user variables as ``@name``, quoted where SQL needs
    it. What is not mentioned has the server's default. ``reading``: the part that decides how a server reads SQL.
    ``escapes``: whether a backslash in a string escapes, see `sql.backslashes`.
    ``wait_timeout``: seconds after which a server ends a connection that idles; None where its default holds.

    Equal states made by `interned` are the same object, so that the hot path compares with ``is``.
    """

    client: str = DEFAULT_CHARSET
    collation: str = DEFAULT_COLLATION
    results: str | None = DEFAULT_CHARSET
    variables: tuple[tuple[str, str], ...] = ()
    reading: object = field(init=False, repr=False, compare=False)
    escapes: bool = field(init=False, repr=False, compare=False)
    wait_timeout: int | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        variables = dict(self.variables)
        mode = variables.get("sql_mode", "")
        object.__setattr__(self, "reading", (self.client, self.collation, mode))
        object.__setattr__(self, "escapes", "NO_BACKSLASH_ESCAPES" not in mode.upper())
        seconds = variables.get("wait_timeout", "")
        object.__setattr__(self, "wait_timeout", max(1, int(seconds)) if seconds.isdigit() else None)

    def with_charsets(self, client: str, collation: str, results: str | None) -> SessionState:
        return interned(replace(self, client=client, collation=collation, results=results))

    def with_variables(self, changes: Mapping[str, str | None]) -> SessionState:
        """Set the variables; None returns one to the server's default."""
        merged = {**dict(self.variables), **changes}
        kept = sorted((name, value) for name, value in merged.items() if value is not None)
        return interned(replace(self, variables=tuple(kept)))

    def without_user_variables(self) -> SessionState:
        """What is left when the client's own values are taken out."""
        kept = tuple((name, value) for name, value in self.variables if not name.startswith("@"))
        return interned(replace(self, variables=kept))

    @property
    def meaning(self) -> str:
        """One text for all states under which a statement means the same and its expressions have the same types.

        User variables are left out: their types are in nobody's hands for longer than one statement.
        """
        charsets = f"{self.client} {self.collation} {self.results}"
        return ";".join((charsets, *(f"{name}={value}" for name, value in self.variables if _has_meaning(name))))

    def for_types(self) -> SessionState:
        """A state in which expressions have the same types, and a server tells the true collations of its results."""
        kept = {name: value for name, value in self.variables if name.startswith("@") or _has_meaning(name)}
        mode = kept.get("sql_mode", "@@GLOBAL.sql_mode")
        # what is asked for are parts of statements, which would not all be allowed alone
        kept["sql_mode"] = f"REPLACE(UPPER({mode}), 'ONLY_FULL_GROUP_BY', '')"
        return interned(SessionState(self.client, self.collation, None, tuple(sorted(kept.items()))))

    def changes_from(self, before: SessionState) -> tuple[str, ...]:
        """The statements that make a session with the state ``before`` have this one, to be sent in UTF-8.

        The character sets go first and alone: what follows is read in them. A variable's name may have characters that
        the client's own does not: it is given in UTF-8.
        """
        statements: list[str] = []
        charsets = (self.client, self.collation, self.results) != (before.client, before.collation, before.results)
        variables = ""
        if self.variables != before.variables:
            variables = "SET " + ", ".join(_assignments(dict(before.variables), dict(self.variables)))
        in_utf8 = not variables.isascii() and self.client != DEFAULT_CHARSET
        if charsets or in_utf8:
            statements.append(f"SET character_set_client = {DEFAULT_CHARSET}" if in_utf8 else self.charset_statement())
        if variables:
            statements.append(variables)
        if in_utf8:
            statements.append(self.charset_statement())
        return tuple(statements)

    def charset_statement(self) -> str:
        """Three character sets that need not agree. Where they do, SET NAMES: MySQL tells of results by a collation."""
        if self.client == self.results == charset_of(self.collation):
            return f"SET NAMES {self.client} COLLATE {self.collation}"
        return (
            f"SET character_set_client = {self.client}, collation_connection = {self.collation}, "
            f"character_set_results = {self.results or 'NULL'}"
        )


def _has_meaning(variable: str) -> bool:
    return not variable.startswith("@") and variable not in _WITHOUT_MEANING


def _assignments(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    gone = [name for name in before if name not in after]
    changed = {name: value for name, value in after.items() if before.get(name) != value}
    parts = [f"{name} = {_UNSET}" if name.startswith("@") else f"SESSION {name} = DEFAULT" for name in gone]
    for name, value in changed.items():
        if name.startswith("@"):
            parts.append(f"{name} = {_UNSET if value == 'NULL' else value}")
        else:
            parts.append(f"SESSION {name} = {value}")
    return parts


_interned: WeakValueDictionary[tuple[object, ...], SessionState] = WeakValueDictionary()


def interned(state: SessionState) -> SessionState:
    """The one object of all equal states that somebody still has."""
    return _interned.setdefault((state.client, state.collation, state.results, state.variables), state)


DEFAULT_STATE = interned(SessionState())
