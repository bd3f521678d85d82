"""Templates from the client's own text: what is not edited stays as it was, spacing, comments and hints included."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dbmesh.errors import NotSupported
from dbmesh.rewrite.template import Literal, Piece, Template


class Edit(NamedTuple):
    """The characters from ``start`` to ``end`` become ``pieces``; ``start == end`` inserts."""

    start: int
    end: int
    pieces: tuple[Piece, ...] = ()


def splice(
    text: str,
    literals: Sequence[tuple[int, int]],
    edits: Iterable[Edit] = (),
    start: int = 0,
    end: int | None = None,
) -> Template:
    """``text[start:end]`` with its literals as slots and ``edits`` applied; edits and literals outside are left out.

    Raises NotSupported for edits that overlap one another. A literal within an edited span is gone, unless the edit's
    pieces hold it. Of edits at one place the order given is kept.
    """
    stop = len(text) if end is None else end
    wanted = sorted((e for e in edits if start <= e.start and e.end <= stop), key=lambda e: (e.start, e.end))
    pieces: list[Piece] = []
    at = start
    for edit in wanted:
        if edit.start < at:  # the parser took for a statement what a server would not
            raise NotSupported("it cannot be read without doubt", "write it in a plainer form")
        pieces += _literal_pieces(text, literals, at, edit.start)
        pieces += edit.pieces
        at = edit.end
    pieces += _literal_pieces(text, literals, at, stop)
    return Template(_joined(pieces))


def _literal_pieces(text: str, literals: Sequence[tuple[int, int]], start: int, end: int) -> list[Piece]:
    pieces: list[Piece] = []
    at = start
    for index, (begins, ends) in enumerate(literals):
        if begins >= at and ends <= end:
            pieces += [text[at:begins], Literal(index)]
            at = ends
    pieces.append(text[at:end])
    return pieces


def _joined(pieces: list[Piece]) -> tuple[Piece, ...]:
    joined: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        elif piece != "":
            joined.append(piece)
    return tuple(joined)
