"""SHOW CREATE … of an actual table told as the logical one's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dbmesh.plan.logical_rows import DERIVED, Share
from dbmesh.rewrite import Edit, quoted, splice
from dbmesh.sql.tokens import Token, TokenKind, tokens

_NAMES_A_TABLE = frozenset({"TABLE", "VIEW", "REFERENCES"})


def logical_text(text: str, share: Share) -> str:
    """``text`` with the names of the share's schema, tables and foreign keys as a client knows them."""
    found = tokens(text)
    edits = [Edit(t.start, t.end, (quoted(name),)) for t, name in _renamed(found, share) if name != t.name]
    return splice(text, (), edits).render(())


def next_number(text: str) -> int | None:
    """The AUTO_INCREMENT=n of a CREATE TABLE."""
    at = _number_at(text)
    return None if at is None else int(at.text)


def with_next_number(text: str, number: int) -> str:
    """``text`` with that number in its AUTO_INCREMENT=n, if it has one."""
    at = _number_at(text)
    return text if at is None else f"{text[: at.start]}{number}{text[at.end :]}"


def _number_at(text: str) -> Token | None:
    found = tokens(text)
    for word, sign, number in zip(found, found[1:], found[2:], strict=False):
        if word.upper == "AUTO_INCREMENT" and sign.text == "=" and number.kind is TokenKind.NUMBER:
            return number
    return None


def _renamed(found: Sequence[Token], share: Share) -> Iterator[tuple[Token, str]]:
    for at, token in enumerate(found):
        if token.kind is not TokenKind.NAME:
            continue
        before = found[at - 1].upper if at else ""
        followed = at + 1 < len(found) and found[at + 1].text == "."
        qualified = at >= 2 and found[at - 1].text == "." and found[at - 2].name == share.schema
        if followed and token.name == share.schema:
            yield token, share.database
        elif qualified or (before in _NAMES_A_TABLE and not followed):
            yield token, share.nodes.get(token.name, token.name)
        elif before == "CONSTRAINT":
            yield token, _constraint(token.name, share.nodes)


def _constraint(name: str, nodes: Mapping[str, str]) -> str:
    for actual, logical in nodes.items():
        if name.startswith(tuple(actual + middle for middle in DERIVED)):
            return logical + name[len(actual) :]
    return name
