"""What a session's client is told, in the text protocol: OK packets, result sets, relayed answers.

A seam: a command whose answers are written otherwise (the binary protocol's rows) puts an `Answers` of its own in
``session.answers``' place while it runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Connection, Request, Result, answer_sequence
from dbmesh.backend.pool import Capabilities
from dbmesh.backend.row_stream import RowStream
from dbmesh.backend.session_state import SessionState
from dbmesh.backend.statements import Key
from dbmesh.engine.caller import Outcome, WarningRow
from dbmesh.engine.collector import outcome_of
from dbmesh.errors import BackendLost, MeshError
from dbmesh.protocol import ColumnDefinition
from dbmesh.protocol.constants import Status
from dbmesh.protocol.framing import query_packet
from dbmesh.protocol.lenenc import encode_int
from dbmesh.protocol.response import end_of_rows, eof_packet, error_packet, ok_packet
from dbmesh.protocol.resultset import encode_text_row

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session


class StatementLost(Exception):
    """A server does not know a prepared statement any more."""


class Answers:
    """``engine.caller.Caller`` for a session's statements, and the answers that the mesh itself gives.

    ``complete``: the client has the last packet for what runs now; ``succeeded``: and it was no ERR. ``relaying``: the
    outcome of a relay that a task waits for; None on the hot path.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.complete = False
        self.succeeded = True
        self._one_of_several = False  # statements of one text, whose packets are numbered on from each other
        self._more = 0  # SERVER_MORE_RESULTS_EXISTS while another statement of the text follows
        self.relaying: asyncio.Future[Outcome] | None = None

    def begin(self, complete: bool = False) -> None:
        """A command begins; ``complete``: its answer is already out."""
        self.complete = complete
        self.succeeded = True
        self._one_of_several = False
        self._more = 0

    def begin_part(self, last: bool) -> None:
        """The next of several statements in one text begins."""
        self.complete = False
        self._one_of_several = True
        self._more = 0 if last else Status.MORE_RESULTS

    def follow(self, other: Answers) -> None:
        """Answer in the other's place what it has begun."""
        self._one_of_several = other._one_of_several
        self._more = other._more

    @property
    def status(self) -> int:
        return self._session.status | self._more

    # -- what the mesh itself says

    def ok(self, outcome: Outcome | None = None) -> None:
        """An OK packet, and what the session functions will say of it."""
        outcome = outcome or Outcome()
        self._session.diagnostics.remember(outcome)
        self.complete = True
        changes = self._session.track.take()
        self._session.client.send(
            ok_packet(
                outcome.affected,
                outcome.last_insert_id,
                self.status,
                outcome.warnings,
                outcome.info,
                changes=changes,
            )
        )

    def error(self, error: MeshError) -> None:
        """An ERR packet, which ends the command."""
        self.complete = True
        self.succeeded = False
        if error.on_mysql is not None and self._session.mesh.is_mysql:
            error.message = error.on_mysql
        self._session.diagnostics.remember_error(error)
        self._session.client.send(error_packet(error))

    def result(self, result: Result, keep_warnings: bool = False) -> None:
        """A whole result set of text values."""
        self.columns(result.columns)
        self.rows([encode_text_row(row) for row in result.rows])
        diagnostics = self._session.diagnostics
        kept = diagnostics.warnings
        self.end_of_rows(outcome_of(result))
        if keep_warnings:
            diagnostics.warnings = kept

    def end_of_rows(self, outcome: Outcome) -> None:
        self._session.diagnostics.remember(outcome)
        self.complete = True
        deprecate_eof = self.capabilities.deprecate_eof
        changes = self._session.track.take() if deprecate_eof else b""
        self._session.client.send(end_of_rows(self.status, outcome.warnings, deprecate_eof, changes))

    # -- what the engine calls (`engine.caller.Caller`)

    @property
    def state(self) -> SessionState:
        return self._session.state

    @property
    def capabilities(self) -> Capabilities:
        return self._session.client.capabilities

    @property
    def encoding(self) -> str:
        return self._session.encoding

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        self._session.client.send(encode_int(len(columns)), *(column.encode() for column in columns))
        if not self.capabilities.deprecate_eof:
            self._session.client.send(eof_packet(self.status))

    def rows(self, payloads: Sequence[bytes]) -> None:
        self._session.client.send(*payloads)

    async def drained(self) -> None:
        await self._session.client.drained()

    def request(self, sql: str) -> Request:
        return sql.encode(self.encoding, "surrogateescape")

    def written(self, sql: str) -> str:
        return sql

    async def relay(self, connection: Connection, request: Request, last_insert_id: int | None) -> Outcome:
        """Where the backend's own numbers or flags would be wrong, the mesh answers."""
        if last_insert_id is not None:
            outcome = await self._translate(connection, request)
            if outcome.rows is None:
                outcome.last_insert_id = last_insert_id
            else:  # rows of RETURNING, after which LAST_INSERT_ID() tells it
                outcome.set_last_insert_id = last_insert_id
        else:
            outcome = await self._relayed(connection, request)
        if outcome.warnings or outcome.errno:
            outcome.warning_rows = await warnings_of(connection)
        return outcome

    async def _relayed(self, connection: Connection, request: Request) -> Outcome:
        assert isinstance(request, bytes)
        packets = query_packet(connection.spelled(request))
        if self._must_translate(connection, packets):
            return await self._translate(connection, request)
        return await self._pass_on(connection, packets)

    # -- relays

    async def _pass_on(self, connection: Connection, packets: bytes, executing: Key | None = None) -> Outcome:
        """Send a command and let its answer's packets pass to the client as they are. ``executing``: see `relay`.

        Raises StatementLost when the server has lost what it was to execute; the client has got nothing then.
        """
        connection.relay(packets, self._session.client, executing)
        self.relaying = asyncio.get_running_loop().create_future()
        try:
            return await self.relaying
        except asyncio.CancelledError:
            self.relaying = None
            connection.abandon()
            raise

    def relay_ended(self, outcome: Outcome) -> None:
        """The client has got the last packet of what `_pass_on` waits for."""
        waiting, self.relaying = self.relaying, None
        self.complete = True
        self.succeeded = not outcome.errno
        if waiting is not None and not waiting.done():
            waiting.set_result(outcome)

    def relay_lost(self, error: BackendLost) -> None:
        """What `_pass_on` waits for will not go on."""
        waiting, self.relaying = self.relaying, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)

    def relay_stale(self) -> None:
        """The server has lost the statement that `_pass_on` had it execute."""
        waiting, self.relaying = self.relaying, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(StatementLost())

    def _must_translate(self, connection: Connection, packets: bytes) -> bool:
        """Whether the backend's status flags or sequence ids are not the client's: the reads of a saga and the answers
        to federated ones run in autocommit, one of several statements has others before or after it, a client may want
        to know of its transaction, and a text that crosses 16 MiB only after its rewriting is numbered otherwise."""
        session = self._session
        if self._one_of_several or session.track.translates:
            return True
        apart = session.in_transaction != bool(connection.status & Status.IN_TRANS)
        return apart or answer_sequence(packets) != session.client.first_sequence

    async def _translate(self, connection: Connection, request: Request) -> Outcome:
        """Rows pass as they are, but the status flags and sequence ids are the mesh's."""
        stream = await connection.stream(request)
        try:
            while True:
                outcome = await self._one_set(stream)
                if stream.reader.ended:
                    return outcome
                self._end_set(stream, outcome)
                await stream.next_set()
        except BaseException:
            stream.close()
            raise

    async def _one_set(self, stream: RowStream) -> Outcome:
        """A result but for its last packet."""
        if not stream.columns:
            await stream.next_batch()
            ok = stream.reader.ok
            assert ok is not None
            return Outcome(affected=ok.affected, last_insert_id=ok.last_insert_id, info=ok.info, warnings=ok.warnings)
        self.columns(stream.columns)
        sent = 0
        while (batch := await stream.next_batch()) is not None:
            sent += len(batch)
            self.rows(batch)
            await self.drained()
        return Outcome(rows=sent, warnings=stream.warnings)

    def _end_set(self, stream: RowStream, outcome: Outcome) -> None:
        """The last packet of one of a procedure's results, behind which there are more."""
        status = self.status | Status.MORE_RESULTS | stream.status & Status.PS_OUT_PARAMS
        self._session.client.send(end_of_rows(status, outcome.warnings, self.capabilities.deprecate_eof))


async def warnings_of(connection: Connection) -> list[WarningRow]:
    """Of the last statement. None where they cannot be had any more; the statement itself has been answered."""
    try:
        return await connection.warnings()
    except MeshError:
        return []
