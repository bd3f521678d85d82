"""A caller that keeps a small answer in memory: for what the mesh itself asks on a session's behalf."""

from __future__ import annotations

from collections.abc import Sequence

from dbmesh.backend.connection import Connection, Request, Result
from dbmesh.backend.pool import Capabilities
from dbmesh.backend.session_state import SessionState
from dbmesh.engine.caller import Outcome
from dbmesh.protocol import ColumnDefinition
from dbmesh.protocol.charset import python_codec
from dbmesh.protocol.resultset import decode_text_row

ENOUGH = 2


class Collector:
    """``engine.caller.Caller`` that fills ``answer`` with two rows at most, enough to see that one is not all."""

    def __init__(self, state: SessionState, capabilities: Capabilities) -> None:
        self.state = state
        self.capabilities = capabilities
        self.answer = Result()

    @property
    def encoding(self) -> str:
        return python_codec(self.state.client)

    def request(self, sql: str) -> Request:
        return sql.encode(self.encoding, "surrogateescape")

    def written(self, sql: str) -> str:
        return sql

    async def relay(self, connection: Connection, request: Request, last_insert_id: int | None) -> Outcome:
        stream = await connection.stream(request)
        self.answer = Result(stream.columns)
        try:
            while (batch := await stream.next_batch()) is not None:
                self.rows(batch)
        except BaseException:
            stream.close()
            raise
        ok = stream.reader.ok
        assert ok is not None
        self.answer.affected, self.answer.last_insert_id, self.answer.warnings = (
            ok.affected, ok.last_insert_id, ok.warnings,
        )  # fmt: skip
        outcome = outcome_of(self.answer, last_insert_id)
        if outcome.warnings:
            outcome.warning_rows = (await connection.execute("SHOW WARNINGS")).rows
        return outcome

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        self.answer.columns = list(columns)

    def rows(self, payloads: Sequence[bytes]) -> None:
        missing = ENOUGH - len(self.answer.rows)
        self.answer.rows += map(decode_text_row, payloads[:missing])

    async def drained(self) -> None:
        """Memory takes all."""


def outcome_of(result: Result, last_insert_id: int | None = None) -> Outcome:
    """What a whole answer says beside its rows."""
    return Outcome(
        rows=len(result.rows) if result.columns else None,
        affected=result.affected,
        last_insert_id=result.last_insert_id if last_insert_id is None else last_insert_id,
        info=result.info,
        warnings=result.warnings,
    )
