"""The session state of a client as values, and the SET statement that turns one state into another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

DEFAULT_CHARSET = "utf8mb4"
DEFAULT_COLLATION = "utf8mb4_general_ci"


@dataclass(frozen=True, slots=True)
class SessionState:
    """What a connection has to be told before a client's statement runs on it.

    ``client``: character_set_client; ``collation``: collation_connection, which brings character_set_connection
    along; ``results``: character_set_results, None for NULL (no conversion). ``variables``: (name, SQL literal) sorted
    by name, session variables in lower case without a prefix and user variables as ``@name``, quoted where SQL needs
    it. What is not mentioned has the server's default.

    Equal states made by `interned` are the same object, so that the hot path compares with ``is``.
    """

    client: str = DEFAULT_CHARSET
    collation: str = DEFAULT_COLLATION
    results: str | None = DEFAULT_CHARSET
    variables: tuple[tuple[str, str], ...] = ()

    def with_charsets(self, client: str, collation: str, results: str | None) -> SessionState:
        return interned(replace(self, client=client, collation=collation, results=results))

    def with_variables(self, changes: Mapping[str, str | None]) -> SessionState:
        """Set the variables; None returns one to the server's default."""
        merged = {**dict(self.variables), **changes}
        kept = sorted((name, value) for name, value in merged.items() if value is not None)
        return interned(replace(self, variables=tuple(kept)))

    def changes_from(self, before: SessionState) -> tuple[str, ...]:
        """The statements, one or two, that make a session with the state ``before`` have this one; none if equal.

        The character sets go first and alone: literals of the second statement are written in the new one.
        """
        statements: list[str] = []
        if (self.client, self.collation, self.results) != (before.client, before.collation, before.results):
            statements.append(self.charset_statement())
        if self.variables != before.variables:
            statements.append("SET " + ", ".join(_assignments(dict(before.variables), dict(self.variables))))
        return tuple(statements)

    def charset_statement(self) -> str:
        """What SET NAMES does, for three character sets that need not agree."""
        return (
            f"SET character_set_client = {self.client}, collation_connection = {self.collation}, "
            f"character_set_results = {self.results or 'NULL'}"
        )


def _assignments(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    gone = [name for name in before if name not in after]
    changed = {name: value for name, value in after.items() if before.get(name) != value}
    parts = [f"{name} = NULL" if name.startswith("@") else f"SESSION {name} = DEFAULT" for name in gone]
    return parts + [f"{'' if n.startswith('@') else 'SESSION '}{n} = {value}" for n, value in changed.items()]


@lru_cache(maxsize=4096)
def interned(state: SessionState) -> SessionState:
    """The one object of all equal states."""
    return state


DEFAULT_STATE = interned(SessionState())
