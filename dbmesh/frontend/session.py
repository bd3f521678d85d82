"""One client's session: what it has set, its transaction, and the way of each of its statements.

The common statement never leaves `on_query`: fingerprint, look up, relay, all in the event loop's callback. Anything
else (a cold plan, several shards, an empty pool, a transaction to begin) gets one task.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dbmesh.backend.connection import Connection, Result
from dbmesh.backend.pool import Capabilities
from dbmesh.backend.session_state import SessionState
from dbmesh.engine.caller import Outcome, WarningRow
from dbmesh.engine.collector import outcome_of
from dbmesh.engine.generation import Generation
from dbmesh.errors import (
    AccessDenied,
    BackendError,
    BackendLost,
    MeshError,
    NoSavepoint,
    NotSupported,
    QueryInterrupted,
    UnknownCommand,
    UnknownDatabase,
)
from dbmesh.frontend import planned
from dbmesh.frontend.connection import ClientConnection, ClientGone
from dbmesh.frontend.diagnostics import Diagnostics
from dbmesh.frontend.statements import STATEMENTS
from dbmesh.frontend.transactions import ClientTransaction
from dbmesh.frontend.variables import Settings
from dbmesh.protocol import ColumnDefinition
from dbmesh.protocol.charset import python_codec, undecodable
from dbmesh.protocol.commands import InitDb, Ping, Request, ResetConnection, SetOption, Statistics
from dbmesh.protocol.constants import MAX_PAYLOAD, Status
from dbmesh.protocol.framing import frame
from dbmesh.protocol.lenenc import encode_int
from dbmesh.protocol.response import end_of_rows, eof_packet, error_packet, ok_packet
from dbmesh.protocol.resultset import encode_text_row
from dbmesh.rules.model import LogicalDatabase, MeshRules, TransactionMode, User
from dbmesh.sql.classify import classify
from dbmesh.sql.fingerprint import fingerprint

if TYPE_CHECKING:
    from dbmesh.frontend.mesh import Mesh

_log = logging.getLogger(__name__)


class Session:
    """What a client has after its login. ``client`` frames, writes and reads; everything else is here."""

    def __init__(self, mesh: Mesh, client: ClientConnection, user: User, state: SessionState) -> None:
        self.mesh = mesh
        self.client = client
        self.user = user
        self.id = client.id
        self.database: str | None = None
        self.settings = self._first_settings = Settings(state)
        self.transaction: ClientTransaction | None = None
        self.diagnostics = Diagnostics()
        self.began = time.time()  # when the current statement, or the idling after the last one, began
        self.text = ""
        self._encoding = python_codec(state.client)
        self._undecodable = undecodable(self._encoding)
        self._cluster = mesh.generation.cluster  # of the connection that is being relayed
        self._running: Generation | None = None  # whose rules the statement in `_task` runs under
        self._task: asyncio.Task[None] | None = None
        self._relaying: asyncio.Future[Outcome] | None = None
        self._answered = False  # the client has the last packet for what runs in `_task`
        self._leaving = False

    # -- what clients send

    def on_query(self, payload: bytes) -> None:
        """COM_QUERY, the hot path. ``payload`` is the whole packet's, its command byte included."""
        text = self._decoded(payload[1:])
        self.began = time.time()
        self.text = text
        self.mesh.queries += 1
        settings = self.settings
        if self.transaction is None and settings.autocommit and not settings.next_transaction:
            generation = self.mesh.generation
            shape = fingerprint(text)
            plan = generation.plans.get(self.database, shape)
            if plan is not None and planned.allows(self, plan):
                target = plan.relay(shape.literals)
                if target is not None and self._relay_now(generation, *target):
                    return
        self._start(self._run(text))

    def _decoded(self, text: bytes) -> str:
        try:
            return text.decode(self._encoding, self._undecodable)
        except UnicodeDecodeError:
            raise NotSupported(
                f"it has bytes that are no {self.state.client} text, which the servers could read otherwise",
                "send them as x'…' literals",
            ) from None

    def _relay_now(self, generation: Generation, data_source: str, sql: str) -> bool:
        state = self.settings.state
        packet = frame(b"\x03" + sql.encode(self._encoding, "surrogateescape"), 0)
        cluster = generation.cluster
        connection = cluster.acquire_nowait(data_source, self.client.capabilities, state)
        if connection is None:
            return False
        if connection.state is not state or self.client.first_sequence != 1:
            cluster.release(connection)
            return False
        self._cluster = cluster
        try:
            connection.relay(packet, self.client)
        except MeshError:
            # closed meanwhile, or a text that is too long for the client's sequence ids: the slow path tells
            cluster.release(connection)
            return False
        return True

    def on_relay_end(self, connection: Connection) -> None:
        """The client has got the last packet of a relayed response. Called from the event loop's callback."""
        seen = connection.tracker
        outcome = Outcome(
            rows=seen.rows if seen.rows >= 0 else None,
            affected=seen.affected,
            last_insert_id=seen.last_insert_id,
            warnings=seen.warnings,
            relayed=True,
            errno=seen.errno if seen.is_error else 0,
        )
        waiting = self._relaying
        if waiting is not None:
            self._relaying = None
            self._answered = True
            if not waiting.done():
                waiting.set_result(outcome)
        elif outcome.warnings or outcome.errno:
            self._start(self._finish_with_warnings(connection, outcome), answered=True)
        else:
            self.diagnostics.remember(outcome)
            self._cluster.release(connection)
            self._ready()

    def on_relay_lost(self, connection: Connection, error: BackendLost, started: bool) -> None:
        """A relayed response will not go on. ``started``: the client has got part of it."""
        waiting = self._relaying
        if waiting is not None:
            self._relaying = None
            if not waiting.done():
                waiting.set_exception(error)
            if started:
                self.client.abort()
            return
        self._cluster.release(connection, reusable=False)
        if started:
            self.client.abort()
        else:
            self.client.send(error_packet(error))
            self._ready()

    def on_command(self, request: Request) -> None:
        """Every other command."""
        self.began = time.time()
        match request:
            case Ping():
                self.client.send(ok_packet(status=self.status))
            case Statistics():
                self.client.send(self.mesh.statistics().encode())
            case InitDb(name=name):
                self._start(self._init_db(name))
                return
            case ResetConnection():
                self._start(self._reset())
                return
            case SetOption(multi_statements=False):
                self.client.send(eof_packet(self.status))
            case _:
                self.client.send(error_packet(UnknownCommand()))
        self._ready()

    def on_lost(self) -> None:
        """The client has gone: end what runs for it, and its transaction."""
        self.mesh.sessions.remove(self)
        if self._task is not None:
            self._cancel(self._task)
        self.mesh.spawn(self._abandon(self._task))

    async def _abandon(self, task: asyncio.Task[None] | None) -> None:
        if task is not None:
            await asyncio.wait([task])
        transaction, self.transaction = self.transaction, None
        if transaction is not None:
            await transaction.abandon()

    # -- one statement

    def _start(self, work: Coroutine[Any, Any, None], *, answered: bool = False) -> None:
        self._answered = answered
        self._running = self.mesh.generation
        self._task = asyncio.get_running_loop().create_task(self._guard(work))

    def _cancel(self, task: asyncio.Task[None]) -> None:
        # Not at once: a task that has not had its first turn would end without any of its ``finally`` blocks.
        asyncio.get_running_loop().call_soon(task.cancel)

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        """Whatever happens, the client gets one answer."""
        try:
            await work
        except MeshError as error:
            self._fail(error)
        except asyncio.CancelledError:
            if self.client.closed:
                raise
            self._fail(QueryInterrupted())
        except ClientGone:
            return
        except Exception:
            _log.exception("statement failed inside the mesh: connection %d, %.200s", self.id, self.text)
            self._fail(MeshError("Internal error of the mesh; its log has the details"))
        self._task = self._running = None
        self._ready()

    def _fail(self, error: MeshError) -> None:
        if self._answered:  # what failed was to come after the answer, and a second one would be taken for the next
            _log.warning("connection %d, after its answer: %s", self.id, error.message)
            return
        self._answered = True
        self.diagnostics.remember_error(error)
        self.client.send(error_packet(error))

    async def _run(self, text: str) -> None:
        text = self.mesh.opened(text)
        statement = STATEMENTS.get(classify(text))
        if statement is not None:
            await statement(self, text)
        else:
            await planned.run(self, text)

    async def _init_db(self, name: bytes) -> None:
        self.use(name.decode(self._encoding, "surrogateescape"))
        self.ok()

    async def _reset(self) -> None:
        await self.rollback()
        await self.adopt(self._first_settings)
        self.diagnostics = Diagnostics()
        self.ok()

    def kill(self, query_only: bool) -> None:
        """KILL: end what runs now with error 1317; without ``query_only`` the connection too."""
        if not query_only:
            self.client.abort()
        elif self._task is None or self._relaying is not None:
            # the server itself ends the statement, and its connection stays clean
            self.client.interrupt_relay()
        elif not self._answered:
            self._cancel(self._task)

    def leave(self) -> None:
        """The mesh is going: close as soon as no statement and no transaction is under way."""
        self._leaving = True
        if not self.client.busy and self.transaction is None:
            self.client.close()

    def _ready(self) -> None:
        self.client.ready()
        if self._leaving:
            self.leave()

    # -- its transaction

    @property
    def in_transaction(self) -> bool:
        return self.transaction is not None

    async def begin(self, text: str) -> None:
        """BEGIN or START TRANSACTION; commits the transaction before, as MySQL does."""
        await self.commit()
        self.transaction = await ClientTransaction.begin(self, text)
        self.settings = replace(self.settings, next_transaction=())

    def use_up_next_transaction(self, writes: bool) -> None:
        """An autocommit statement is the transaction that SET TRANSACTION spoke of; its level makes no difference."""
        if writes and ("transaction_read_only", "1") in self.settings.next_transaction:
            raise BackendError(1792, "25006", "Cannot execute statement in a READ ONLY transaction")
        self.settings = replace(self.settings, next_transaction=())

    async def commit(self) -> None:
        transaction, self.transaction = self.transaction, None
        if transaction is not None:
            await transaction.commit()

    async def rollback(self) -> None:
        transaction, self.transaction = self.transaction, None
        if transaction is not None:
            await transaction.rollback()

    async def adopt(self, settings: Settings) -> None:
        """Let a SET take effect; switching autocommit on commits."""
        if settings.autocommit and not self.settings.autocommit:
            await self.commit()
        if settings.last_insert_id is not None:
            self.diagnostics.last_insert_id = settings.last_insert_id
            settings = replace(settings, last_insert_id=None)
        self.settings = settings
        self._encoding = python_codec(settings.state.client)
        self._undecodable = undecodable(self._encoding)

    # -- answers

    def ok(self, outcome: Outcome | None = None) -> None:
        """An OK packet, and what the session functions will say of it."""
        outcome = outcome or Outcome()
        self.diagnostics.remember(outcome)
        self._answered = True
        self.client.send(
            ok_packet(outcome.affected, outcome.last_insert_id, self.status, outcome.warnings, outcome.info)
        )

    def result(self, result: Result, keep_warnings: bool = False) -> None:
        """A whole result set."""
        self.columns(result.columns)
        self.rows([encode_text_row(row) for row in result.rows])
        kept = self.diagnostics.warnings
        self.end_of_rows(outcome_of(result))
        if keep_warnings:
            self.diagnostics.warnings = kept

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        self.client.send(encode_int(len(columns)), *(column.encode() for column in columns))
        if not self.capabilities.deprecate_eof:
            self.client.send(eof_packet(self.status))

    def rows(self, payloads: Sequence[bytes]) -> None:
        self.client.send(*payloads)

    async def drained(self) -> None:
        await self.client.drained()

    def end_of_rows(self, outcome: Outcome) -> None:
        self.diagnostics.remember(outcome)
        self._answered = True
        self.client.send(end_of_rows(self.status, outcome.warnings, self.capabilities.deprecate_eof))

    async def relay(self, connection: Connection, sql: bytes, last_insert_id: int | None) -> Outcome:
        """``engine.caller.Caller.relay``. Where the backend's own numbers or flags would be wrong, the mesh answers."""
        if last_insert_id is not None:
            outcome = outcome_of(await connection.execute(sql), last_insert_id)
        elif self._must_translate(len(sql)):
            outcome = await self._translate(connection, sql)
        else:
            self._relaying = asyncio.get_running_loop().create_future()
            connection.relay(frame(b"\x03" + sql, 0), self.client)
            try:
                outcome = await self._relaying
            except asyncio.CancelledError:
                self._relaying = None
                connection.abandon()
                raise
        if outcome.warnings or outcome.errno:
            outcome.warning_rows = await _warnings(connection)
        return outcome

    def _must_translate(self, length: int) -> bool:
        """Whether the backend's status flags or sequence ids are not the client's: a saga's reads run in autocommit,
        and a text that crosses 16 MiB only after its rewriting is numbered otherwise."""
        in_saga = self.transaction is not None and self.transaction.saga is not None
        return in_saga or ((length + 1) // MAX_PAYLOAD + 1) & 0xFF != self.client.first_sequence

    async def _translate(self, connection: Connection, sql: bytes) -> Outcome:
        """Rows pass undecoded, but the status flags and sequence ids are the mesh's."""
        stream = await connection.stream(sql)
        if not stream.columns:
            await stream.next_batch()
            ok = stream.reader.ok
            assert ok is not None
            return Outcome(affected=ok.affected, last_insert_id=ok.last_insert_id, info=ok.info, warnings=ok.warnings)
        self.columns(stream.columns)
        sent = 0
        try:
            while (batch := await stream.next_batch()) is not None:
                sent += len(batch)
                self.rows(batch)
                await self.drained()
        except BaseException:
            stream.close()
            raise
        return Outcome(rows=sent, warnings=stream.warnings)

    async def _finish_with_warnings(self, connection: Connection, outcome: Outcome) -> None:
        try:
            outcome.warning_rows = await _warnings(connection)
        finally:
            self._cluster.release(connection)
        self.diagnostics.remember(outcome)

    # -- what the engine and the statements ask

    @property
    def generation(self) -> Generation:
        """The rules of the statement from its begin to its end; a transaction keeps those it began with."""
        if self.transaction is not None:
            return self.transaction.generation
        return self._running or self.mesh.generation

    @property
    def rules(self) -> MeshRules:
        return self.generation.rules

    @property
    def logical_database(self) -> LogicalDatabase | None:
        return None if self.database is None else self.rules.databases.get(self.database)

    @property
    def state(self) -> SessionState:
        return self.settings.state

    @property
    def capabilities(self) -> Capabilities:
        return self.client.capabilities

    @property
    def encoding(self) -> str:
        return self._encoding

    @property
    def strict(self) -> bool:
        return self.settings.strict

    @property
    def status(self) -> int:
        status = Status.AUTOCOMMIT if self.settings.autocommit else 0
        return status | Status.IN_TRANS if self.transaction is not None else status

    @property
    def account(self) -> str:
        return f"'{self.user.name}'@'{self.client.host}'"

    @property
    def transaction_mode(self) -> TransactionMode:
        """What the client has SET, else the logical database's default, else the mesh's."""
        database = self.logical_database
        default = database.transaction_default if database is not None else None
        return self.settings.transaction or default or self.rules.transaction.default

    def use(self, name: str) -> None:
        """Choose the logical database. Raises 1049 or 1044."""
        if name not in self.rules.databases:
            raise UnknownDatabase(name)
        if not self.user.may_use(name):
            raise AccessDenied(f"Access denied for user {self.account} to database '{name}'")
        self.database = name

    @property
    def isolation_variable(self) -> str:
        return "tx_isolation" if "MariaDB" in self.mesh.server_version else "transaction_isolation"

    @property
    def read_only_variable(self) -> str:
        return "tx_read_only" if "MariaDB" in self.mesh.server_version else "transaction_read_only"

    async def savepoint(self, name: str) -> None:
        """SAVEPOINT; outside a transaction it does nothing, as in MySQL's autocommit mode."""
        if self.transaction is None and not self.settings.autocommit:
            await self.begin("BEGIN")
        if self.transaction is not None:
            await self.transaction.savepoint(name)

    async def rollback_to(self, name: str) -> None:
        if self.transaction is None:
            raise NoSavepoint(name)
        try:
            await self.transaction.rollback_to(name)
        finally:
            if self.transaction.ended:
                self.transaction = None

    async def release_savepoint(self, name: str) -> None:
        if self.transaction is None:
            raise NoSavepoint(name)
        await self.transaction.release_savepoint(name)

    def process(self, length: int | None) -> list[str | None]:
        """A row of SHOW PROCESSLIST; ``length``: how much of the statement's text, None for all."""
        busy = self.client.busy
        seconds = str(int(time.time() - self.began))
        state = "executing" if busy else ""
        return [
            str(self.id), self.user.name, self.client.host, self.database, "Query" if busy else "Sleep", seconds, state,
            self.text[:length] if busy else None,
        ]  # fmt: skip


async def _warnings(connection: Connection) -> list[WarningRow]:
    """Of the last statement. None where they cannot be had any more; the statement itself has been answered."""
    try:
        return (await connection.execute("SHOW WARNINGS")).rows
    except MeshError:
        return []
