"""What the client of a prepared statement is told: binary rows, at once or through a cursor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Connection, Request
from dbmesh.backend.statements import Execution
from dbmesh.engine.caller import Outcome
from dbmesh.errors import BackendError
from dbmesh.frontend.answers import Answers, StatementLost
from dbmesh.frontend.prepared import Call, Cursor, Statement
from dbmesh.protocol import ColumnDefinition
from dbmesh.protocol.binary import RowCodec
from dbmesh.protocol.constants import Capability, Status
from dbmesh.protocol.lenenc import encode_int
from dbmesh.protocol.response import end_of_rows
from dbmesh.sql.classify import StatementKind
from dbmesh.sql.placeholders import written

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session


class BinaryAnswers(Answers):
    """Text rows become binary ones; what a server has executed passes as it is."""

    def __init__(self, session: Session, statement: Statement, call: Call) -> None:
        super().__init__(session)
        self.statement = statement
        self.call = call
        self.codec: RowCodec | None = None

    def request(self, sql: str) -> Request:
        login = self._session.client.login
        if self.statement.kind is StatementKind.CALL and not login.flags & Capability.PS_MULTI_RESULTS:
            # it takes no result with OUT parameters, which a server would send for values in a packet
            return self.written(sql).encode(self.encoding, "surrogateescape")
        return self.call.execution(self.statement.server_text(sql, self.call))

    def written(self, sql: str) -> str:
        return written(sql, self.call.arguments)

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        self.codec = RowCodec(columns)
        super().columns(columns)

    def rows(self, payloads: Sequence[bytes]) -> None:
        assert self.codec is not None
        super().rows(list(map(self.codec.to_binary, payloads)))

    async def _relayed(self, connection: Connection, request: Request) -> Outcome:
        if isinstance(request, bytes):
            return await self._translate(connection, request)
        try:
            return await self._executed(connection, request)
        except StatementLost:
            pass
        try:
            return await self._executed(connection, request)
        except StatementLost:
            raise BackendError(1615, "HY000", "Prepared statement needs to be re-prepared") from None

    async def _executed(self, connection: Connection, request: Request) -> Outcome:
        assert isinstance(request, Execution)
        packets = request.packets(await connection.prepare(request.sql, request.types))
        if self._must_translate(connection, packets):
            return await self._translate(connection, request)
        return await self._pass_on(connection, packets, connection.key(request.sql))


class CursorAnswers(BinaryAnswers):
    """Rows are kept until the client fetches them; a statement without rows is answered as ever."""

    def __init__(self, session: Session, statement: Statement, call: Call) -> None:
        super().__init__(session, statement, call)
        self._kept: Cursor | None = None
        self._columns: Sequence[ColumnDefinition] = ()

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        self.codec = RowCodec(columns)
        self._columns = columns
        self._kept = self.statement.cursor = Cursor()

    def rows(self, payloads: Sequence[bytes]) -> None:
        assert self.codec is not None
        assert self._kept is not None
        self._kept.keep(list(map(self.codec.to_binary, payloads)))

    def end_of_rows(self, outcome: Outcome) -> None:
        assert self._kept is not None
        session = self._session
        self._kept.rewind()
        session.diagnostics.remember(outcome)
        self.complete = True
        status = session.status | Status.CURSOR_EXISTS
        session.client.send(
            encode_int(len(self._columns)),
            *(column.encode() for column in self._columns),
            end_of_rows(status, outcome.warnings, self.capabilities.deprecate_eof),
        )

    def _must_translate(self, connection: Connection, packets: bytes) -> bool:
        return True


class Probe(BinaryAnswers):
    """Learns the columns of a statement that the mesh answers itself; the client is told nothing."""

    def __init__(self, session: Session, statement: Statement, call: Call) -> None:
        super().__init__(session, statement, call)
        self.seen: Sequence[ColumnDefinition] = ()

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        self.seen = columns

    def rows(self, payloads: Sequence[bytes]) -> None:
        """Not wanted."""

    def ok(self, outcome: Outcome | None = None) -> None:
        """Not wanted."""

    def end_of_rows(self, outcome: Outcome) -> None:
        """Not wanted."""

    async def drained(self) -> None:
        """Nothing is written."""
