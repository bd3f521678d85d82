"""A statement's text with slots: what is bound on every call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Literal:
    """The source text of the ``index``-th literal of the fingerprint."""

    index: int


@dataclass(frozen=True, slots=True)
class TableSlot:
    """The actual table of the ``index``-th table reference.

    ``alias``: the name that the rest of the text, and the result's column definitions, go on using; None where
    the client's text has an alias of its own or where SQL allows none.
    """

    index: int
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class ListSlot:
    """The literals of the ``number``-th list of keys, or as many of them as a data node needs."""

    number: int
    literals: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LimitSlot:
    """The ' LIMIT …' of a data node, or nothing."""


@dataclass(frozen=True, slots=True)
class SessionValue:
    """A function of the session that only the mesh can answer: 'DATABASE', 'LAST_INSERT_ID' …"""

    name: str


Piece = str | Literal | ListSlot | TableSlot | LimitSlot | SessionValue


def quoted(name: str) -> str:
    """``name`` in back-ticks."""
    return "`" + name.replace("`", "``") + "`"


@dataclass(frozen=True, slots=True)
class Template:
    """Pieces that joined make one statement, or a part of one."""

    pieces: tuple[Piece, ...]

    def render(
        self,
        literals: Sequence[str],
        tables: Sequence[str] = (),
        session_value: Callable[[str], str] | None = None,
        limit: str = "",
        schema: str = "",
        lists: Mapping[int, Sequence[int]] | None = None,
    ) -> str:
        """The text. ``tables``: the actual table of each reference, in ``schema`` if it is not the connection's own.
        ``session_value``: SQL text of a SessionValue. ``lists``: what is left of lists of keys."""
        parts = []
        for piece in self.pieces:
            match piece:
                case str():
                    parts.append(piece)
                case Literal(index):
                    parts.append(str(literals[index]))  # a slot writes its mark
                case ListSlot(number, indexes):
                    kept = indexes if lists is None else lists.get(number, indexes)
                    parts.append(", ".join([str(literals[index]) for index in kept]))
                case TableSlot(index, alias):
                    parts.append((schema and quoted(schema) + ".") + _reference(tables[index], alias))
                case SessionValue(name):
                    assert session_value is not None, f"a text with {name}() is rendered without a session"
                    parts.append(session_value(name))
                case LimitSlot():
                    parts.append(limit)
        return "".join(parts)

    def format_for(self, tables: Sequence[str]) -> str | None:
        """A %-format that takes the tuple of all literals; None when the text needs more than the literals in order.

        The hot path's form of ``render``.
        """
        parts = []
        literals = 0
        for piece in self.pieces:
            match piece:
                case str():
                    parts.append(piece.replace("%", "%%"))
                case Literal(index) if index == literals:
                    parts.append("%s")
                    literals += 1
                case TableSlot(index, alias):
                    parts.append(_reference(tables[index], alias).replace("%", "%%"))
                case _:
                    return None
        return "".join(parts)

    @property
    def session_values(self) -> frozenset[str]:
        return frozenset(piece.name for piece in self.pieces if isinstance(piece, SessionValue))

    @property
    def literals(self) -> Set[int]:
        """The indexes of the literals in it."""
        own = {piece.index for piece in self.pieces if isinstance(piece, Literal)}
        return own.union(*(piece.literals for piece in self.pieces if isinstance(piece, ListSlot)))


def _reference(table: str, alias: str | None) -> str:
    return quoted(table) if alias is None else f"{quoted(table)} AS {quoted(alias)}"
