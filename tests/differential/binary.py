"""The same statement once more, prepared and in the binary protocol, its literals as parameters."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from dbmesh.protocol import FieldFlag
from dbmesh.protocol.binary import RowCodec
from dbmesh.protocol.resultset import ColumnDefinition
from dbmesh.route.literals import text_value
from dbmesh.sandbox.endpoint import Endpoint
from dbmesh.sql.fingerprint import literal_spans
from tests.binary_client import BinaryClient, Bound, Refused, decimal, double, integer, text
from tests.differential.outcome import SCALED, Likeness, Outcome, difference, kind
from tests.differential.statements import Statement
from tests.flavour import MYSQL

# what PREPARE says where no ? can stand: syntax, or a clause that takes constants only
_NOT_THERE = frozenset((1064, 1149, 1235))


@dataclass
class Pair:
    """A client of the mesh and one of the plain server. ``prepared``: column definitions as PREPARE told them."""

    mesh: BinaryClient
    plain: BinaryClient
    told: dict[BinaryClient, tuple[int, list[ColumnDefinition]]] = field(default_factory=dict)

    def run(self, client: BinaryClient, sql: str, values: list[Bound]) -> Outcome:
        """Prepare, execute, close."""
        try:
            statement = client.prepare(sql)
            self.told[client] = len(statement.parameters), statement.columns
            try:
                answer = client.execute(statement.id, *values)
            finally:
                client.close(statement.id)
        except Refused as refused:
            return Outcome(errno=refused.errno, message=refused.message)
        if not answer.columns:
            return Outcome(affected=answer.ok.affected, last_insert_id=answer.ok.last_insert_id)
        codec = RowCodec(answer.columns)
        rows = tuple(tuple(codec.decode(row)) for row in answer.rows)
        return Outcome(tuple(map(_seen, answer.columns)), rows, len(rows))

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, *_: object) -> None:
        self.mesh.socket.close()
        self.plain.socket.close()

    def disagreement(self, statement: Statement, like: Likeness) -> str | None:
        """What is wrong with the mesh's binary answer, or None. What the mesh refuses, only the mesh is asked."""
        if statement.refusal is not None:
            mine = self.run(self.mesh, statement.sql, [])
            # a server that cannot read it has said so when it was prepared
            right = mine.refused or (mine.errno == 1064 and self.run(self.plain, statement.sql, []).errno == 1064)
            return None if right else f"{statement.sql}\nprepared, not refused"
        sql, values = parametrized(statement.sql)
        theirs = self.run(self.plain, sql, values)
        if theirs.errno in _NOT_THERE:
            sql, values = statement.sql, []
            theirs = self.run(self.plain, sql, values)
        mine = self.run(self.mesh, sql, values)
        if mine.refused and not theirs.refused:
            return f"{sql}\nprepared, refused: {mine.message}"
        found = difference(mine, theirs, like)
        if found is None and not mine.errno:
            found = self._told_difference()
        return f"{sql}\nprepared, {found}" if found else None

    def _told_difference(self) -> str | None:
        (count, mine), (wanted, theirs) = self.told[self.mesh], self.told[self.plain]
        if count != wanted:
            return f"parameters: mesh {count}; plain {wanted}"
        told, expected = list(map(_told, mine)), list(map(_told, theirs))
        return None if told == expected else f"columns told by PREPARE: mesh {told}; plain {expected}"


def connect(mesh: Endpoint, plain: Endpoint, database: str) -> Pair:
    clients = [BinaryClient(each.port, each.account.user, each.account.password, database) for each in (mesh, plain)]
    return Pair(*clients)


def parametrized(sql: str) -> tuple[str, list[Bound]]:
    """The statement with ``?`` in the place of its numbers and strings, and their values."""
    parts: list[str] = []
    values: list[Bound] = []
    at = 0
    for start, end in literal_spans(sql):
        value = _value(sql[start:end])
        if sql[:start].rstrip().upper().endswith("LIMIT") and not sql[start:end].isdigit():
            value = None  # a literal is an error there, a parameter is turned into a number
        if MYSQL and _is_position(sql, start, end):
            value = None  # a parameter is a constant there, and the rows come in no order
        if value is not None:
            parts += (sql[at:start], "?")
            values.append(value)
            at = end
    return "".join(parts) + sql[at:], values


def _is_position(sql: str, start: int, end: int) -> bool:
    """Whether a number is the position of a column in ORDER BY or GROUP BY."""
    keys = re.search(r".*\b(?:ORDER|GROUP)\s+BY\s+((?:[^()]|\([^()]*\))*)$", sql[:start], re.IGNORECASE)
    return (
        keys is not None
        and re.search(r"\b(?:LIMIT|OFFSET|HAVING|WHERE)\b", keys[1], re.IGNORECASE) is None
        and re.search(r"(?:,|^)\s*$", keys[1]) is not None
        and re.match(r"\s*(?:$|,|;|\)|(?:ASC|DESC|LIMIT|WITH|HAVING|ORDER)\b)", sql[end:], re.IGNORECASE) is not None
    )


def _value(literal: str) -> Bound | None:
    if literal.isdigit():
        return integer(int(literal)) if int(literal) < 1 << 64 else None
    if literal[0] in "'\"" and (content := text_value(literal)) is not None:
        return text(content)
    if literal[0] in ".0123456789" and literal[1:2] not in ("x", "b"):
        return double(float(literal)) if "e" in literal.lower() else decimal(literal)
    return None


def _told(column: ColumnDefinition) -> tuple[object, ...]:
    """An expression may have literals in it that the mesh has put there: its length tells."""
    return (*_seen(column), column.flags, column.length, column.charset) if column.org_name else _seen(column)


def _seen(column: ColumnDefinition) -> tuple[str, int, bool, int]:
    unsigned = bool(column.flags & FieldFlag.UNSIGNED)
    scale = column.decimals if column.type in SCALED else 0
    return column.name.decode(), kind(column.type), unsigned, scale
