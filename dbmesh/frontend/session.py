"""One client's session: what it has set, its transaction, and the way of each of its statements.

The common statement never leaves `on_query`: fingerprint, look up, relay, all in the event loop's callback. Anything
else (a cold plan, several shards, an empty pool, a transaction to begin) gets one task.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dbmesh.backend.cluster import Cluster
from dbmesh.backend.connection import Connection
from dbmesh.backend.pool import Capabilities
from dbmesh.backend.session_state import SessionState
from dbmesh.backend.statements import Key
from dbmesh.engine.caller import Outcome
from dbmesh.engine.generation import Generation
from dbmesh.errors import (
    AccessDenied,
    BackendLost,
    InvalidText,
    MeshError,
    NoSavepoint,
    NotSupported,
    ParseError,
    QueryInterrupted,
    ReadOnlyTransaction,
    SessionKilled,
    UnknownCommand,
    UnknownDatabase,
)
from dbmesh.frontend import planned, prepared_execute, select_into
from dbmesh.frontend.answers import Answers, warnings_of
from dbmesh.frontend.connection import ClientConnection, ClientGone
from dbmesh.frontend.diagnostics import Diagnostics
from dbmesh.frontend.door import ShuttingDown
from dbmesh.frontend.fields import field_list
from dbmesh.frontend.idle import IdleClients
from dbmesh.frontend.pins import Pins
from dbmesh.frontend.prepare import prepare
from dbmesh.frontend.prepared import Statements
from dbmesh.frontend.rights import need
from dbmesh.frontend.session_track import SessionTrack
from dbmesh.frontend.sessions import Shown
from dbmesh.frontend.statements import STATEMENTS
from dbmesh.frontend.transactions import ClientTransaction
from dbmesh.frontend.variables import Settings
from dbmesh.plan.ansi_quotes import without_ansi_quotes
from dbmesh.plan.cache import Permitted
from dbmesh.plan.model import SYSTEM_DATABASES, Plan
from dbmesh.plan.system_tables import INFORMATION_SCHEMA
from dbmesh.protocol.charset import python_codec, undecodable
from dbmesh.protocol.commands import (
    CloseStatement,
    Debug,
    Fetch,
    FieldList,
    InitDb,
    Ping,
    Prepare,
    ProcessKill,
    Request,
    ResetConnection,
    ResetStatement,
    SendLongData,
    SetOption,
    Statistics,
)
from dbmesh.protocol.constants import Capability, Status
from dbmesh.protocol.framing import query_packet
from dbmesh.protocol.response import end_of_rows, error_packet, ok_packet
from dbmesh.rules.model import BaseMode, Grant, LogicalDatabase, MeshRules, TransactionMode, User
from dbmesh.sql.backslashes import with_escapes
from dbmesh.sql.classify import StatementKind, classify
from dbmesh.sql.fingerprint import Fingerprint, key_and_literals
from dbmesh.sql.split import statements_of

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
        self.answers = Answers(self)
        self.pins = Pins(self)
        self.prepared = Statements()
        self.track = SessionTrack(self, bool(client.login.flags & Capability.SESSION_TRACK))
        self.began = time.time()  # when the current statement, or the idling after the last one, began
        self.text = ""
        self._encoding = python_codec(state.client)
        self._undecodable = undecodable(self._encoding)
        self.setting = self.setting_in(self.database)  # under which its plans are kept
        self._permitted: Permitted | None = None
        self._cluster = mesh.generation.cluster  # of the connection that is being relayed
        self.multi_statements = bool(client.login.flags & Capability.MULTI_STATEMENTS)
        self._plain = self._may_relay()  # a statement, over any connection with the session's state
        self._running: Generation | None = None  # whose rules the statement in `_task` runs under
        self._task: asyncio.Task[None] | None = None
        self._leaving = False
        self._idle: IdleClients | None = None  # for its own wait_timeout

    # -- what clients send

    def on_query(self, payload: bytes) -> None:
        """COM_QUERY, the hot path. ``payload`` is the whole packet's, its command byte included."""
        text = self.decoded(payload[1:])
        self.began = time.time()
        self.text = text
        self.mesh.queries += 1
        if self._plain:
            key, literals = key_and_literals(text)
            permitted = self.permitted()
            plan = permitted.relayed.get(key)
            if plan is None:
                plan = self._permit(permitted, Fingerprint(key, literals))
            if plan is not None:
                target = plan.relay(literals)
                if target is not None and self._relay_now(*target):
                    return
        self.start(self._run(text))

    def permitted(self) -> Permitted:
        """The plans that need not be asked whether they may be relayed. Hot."""
        permitted = self._permitted
        plans = self.mesh.generation.plans
        if permitted is None or permitted.plans is not plans or not permitted.good:
            permitted = self._permitted = plans.permitted(self.setting, self.user.name)
        return permitted

    def _permit(self, permitted: Permitted, shape: Fingerprint) -> Plan | None:
        plan = permitted.plans.get(permitted.setting, shape)
        if plan is None or not planned.allows(self, plan):
            return None
        if not plan.pinned:
            permitted.permit(shape.key, plan)
        return plan

    def decoded(self, text: bytes) -> str:
        try:
            return text.decode(self._encoding, self._undecodable)
        except UnicodeDecodeError:
            raise NotSupported(
                f"it has bytes that are no {self.state.client} text, which the servers could read otherwise",
                "send them as x'…' literals",
            ) from None

    @property
    def plain(self) -> bool:
        """A statement may be relayed over any connection with the session's state."""
        return self._plain

    def on_execute(self, payload: bytes) -> None:
        """COM_STMT_EXECUTE, the other hot path."""
        self.began = time.time()
        self.mesh.queries += 1
        prepared_execute.on_execute(self, payload)

    def _relay_now(self, data_source: str, sql: str) -> bool:
        state = self.settings.state
        packet = query_packet(sql.encode(self._encoding, "surrogateescape"))
        cluster = self.mesh.generation.cluster
        connection = cluster.acquire_nowait(data_source, self.client.capabilities, state)
        if connection is None:
            return False
        if connection.state is not state or self.client.first_sequence != 1:
            cluster.release(connection)
            return False
        return self.relay_over(cluster, connection, packet)

    def relay_over(
        self, cluster: Cluster, connection: Connection, packets: bytes, executing: Key | None = None
    ) -> bool:
        """Relay with no task; the connection is released when the answer has passed, or now: then it says False."""
        self._cluster = cluster
        try:
            connection.relay(packets, self.client, executing)
        except MeshError:
            # closed meanwhile, or a text that is too long for the client's sequence ids: the slow path tells
            cluster.release(connection)
            return False
        return True

    def on_relay_stale(self, connection: Connection) -> None:
        """The server has lost the statement that was to be executed: prepare it anew."""
        if self.answers.relaying is not None:
            self.answers.relay_stale()
        else:
            self._cluster.release(connection)
            prepared_execute.again(self)

    def on_relay_end(self, connection: Connection) -> None:
        """The client has got the last packet of a relayed response. Called from the event loop's callback."""
        seen = connection.tracker
        if self.answers.relaying is None and not seen.warnings and not seen.is_error:
            self.diagnostics.remember_relayed(seen.rows, seen.affected, seen.last_insert_id)
            self._cluster.release(connection)
            self._ready()
            return
        outcome = Outcome(
            rows=seen.rows if seen.rows >= 0 else None,
            affected=seen.affected,
            last_insert_id=seen.last_insert_id,
            warnings=seen.warnings,
            relayed=True,
            errno=seen.errno if seen.is_error else 0,
        )
        if self.answers.relaying is not None:
            self.answers.relay_ended(outcome)
        else:
            self.start(self._finish_with_warnings(connection, outcome), answered=True)

    def on_relay_lost(self, connection: Connection, error: BackendLost, started: bool) -> None:
        """A relayed response will not go on. ``started``: the client has got part of it."""
        if self.answers.relaying is not None:
            self.answers.relay_lost(error)
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
                self.start(self._init_db(name))
                return
            case ResetConnection():
                self.start(self._reset())
                return
            case CloseStatement(statement=number):
                self.prepared.close(number)
            case SendLongData():
                prepared_execute.long_data(self, request)
            case Prepare(text=text):
                self.start(prepare(self, self.decoded(text)))
                return
            case ResetStatement(statement=number):
                prepared_execute.reset(self, number)
            case Fetch():
                self.start(prepared_execute.fetch(self, request))
                return
            case SetOption(multi_statements=on):
                self.multi_statements = on
                self.client.send(end_of_rows(self.status, 0, self.capabilities.deprecate_eof))
            case ProcessKill(id=id):
                self.start(self._kill(id))
                return
            case FieldList(table=table, pattern=pattern):
                self.start(self._field_list(table, pattern))
                return
            case Debug():
                self.start(self._debug())
                return
            case _:
                self.client.send(error_packet(UnknownCommand()))
        self._ready()

    def on_lost(self) -> None:
        """The client has gone: end what runs for it, and its transaction."""
        self._wait(None)
        self.mesh.sessions.remove(self)
        if self._task is not None:
            self._cancel(self._task)
        self.mesh.spawn(self._abandon(self._task))

    async def end(self) -> None:
        """The client becomes another user's: roll back, and give everything back."""
        self._wait(None)
        self.mesh.sessions.remove(self)
        with contextlib.suppress(MeshError):  # a transaction that cannot be rolled back is abandoned
            await self.rollback()
        await self._abandon(None)

    async def _abandon(self, task: asyncio.Task[None] | None) -> None:
        if task is not None:
            await asyncio.wait([task])
        self.prepared.clear()
        transaction, self.transaction = self.transaction, None
        if transaction is not None:
            await transaction.abandon()
        self.pins.clear()

    # -- one statement

    @contextlib.contextmanager
    def answering(self, answers: Answers, database: str | None) -> Iterator[None]:
        """Within the block these answers take the session's answers' place, and that database is the one chosen."""
        before, chosen = self.answers, self.database
        answers.follow(before)
        self.answers = answers
        if database != chosen:
            self.choose(database)
        try:
            yield
        finally:
            self.answers = before
            before.complete, before.succeeded = answers.complete, answers.succeeded
            if database != chosen:
                self.choose(chosen)

    def start(self, work: Coroutine[Any, Any, None], *, answered: bool = False) -> None:
        self.answers.begin(answered)
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
        except UnicodeEncodeError as error:  # a name that no table or column can have
            self._fail(InvalidText(error.object[error.start : error.end]))
        except Exception:
            _log.exception("statement failed inside the mesh: connection %d, %.200s", self.id, self.text)
            self._fail(MeshError("Internal error of the mesh; its log has the details"))
        self._task = self._running = None
        self._plain = self._may_relay()
        self._ready()

    def _may_relay(self) -> bool:
        settings = self.settings
        return (
            self.transaction is None
            and settings.autocommit
            and not settings.next_transaction
            and not settings.ansi_quotes
            and settings.escapes
            and not settings.read_committed
            and self.pins.own is None
        )

    def _fail(self, error: MeshError) -> None:
        if self.answers.complete:  # a second answer would be taken for that of the client's next command
            _log.warning("connection %d, after its answer: %s", self.id, error.message)
        else:
            lost = self.pins.lost()
            self.answers.error(error if lost is None else lost)

    async def _run(self, text: str) -> None:
        escapes = self.settings.escapes
        if not escapes:
            text = with_escapes(text)
        parts = statements_of(text, self.multi_statements)
        if len(parts) == 1:
            await self.run(self._read(parts[0]))
            return
        for number, part in enumerate(parts, 1):
            self.answers.begin_part(last=number == len(parts))
            self.text = part
            if self.settings.escapes != escapes and "\\" in text:
                raise NotSupported(
                    "a backslash in a text whose first statements change what it means", "send them one by one"
                )
            if not part.strip():
                raise ParseError.near(";" + ";".join(parts[number:]))
            await self.run(self._read(part))
            if not self.answers.succeeded:
                return

    def read(self, text: str) -> str:
        """A client's statement as everything behind this reads it: by the servers' default sql_mode."""
        return self._read(text if self.settings.escapes else with_escapes(text))

    def _read(self, text: str) -> str:
        text = self.mesh.opened(text)
        return without_ansi_quotes(text) if self.settings.ansi_quotes else text

    async def run(self, text: str, shape: Fingerprint | None = None) -> None:
        """A statement that has been `read`. ``shape``: with which values; None: the text's."""
        lost = self.pins.lost()
        if lost is not None:
            raise lost
        if self.pins.own is not None:
            self.pins.own.refresh()
        statement = STATEMENTS.get(classify(text))
        if statement is not None:
            await statement(self, text)
        else:
            into = select_into.into_variables(text)
            await (planned.run(self, text, shape) if into is None else select_into.run(self, into))

    @staticmethod
    def has_own(kind: StatementKind) -> bool:
        """Whether such statements are the mesh's to answer, instead of being planned."""
        return kind in STATEMENTS

    async def _init_db(self, name: bytes) -> None:
        self.use(name.decode(self._encoding, "surrogateescape"))
        self.track.schema(self.database or "")
        self.answers.ok()

    async def _reset(self) -> None:
        await self.rollback()
        self.pins.clear()
        self.prepared.clear()
        await self.adopt(self._first_settings)
        self.diagnostics = Diagnostics()
        self.answers.ok()

    async def _kill(self, id: int) -> None:
        await self.end_session(id)
        self.answers.ok()

    async def end_session(self, id: int) -> None:
        """KILL CONNECTION; one's own gets an error before it is closed, in the servers' words. Raises 1094, 1095."""
        if id != self.id:
            await self.kill_other(id, False)
            return
        self.client.dismiss(SessionKilled() if "MariaDB" in self.mesh.server_version else QueryInterrupted())
        raise ClientGone

    async def _field_list(self, table: bytes, pattern: bytes) -> None:
        self.answers.rows(await field_list(self, table, pattern))
        self.answers.end_of_rows(Outcome())

    async def _debug(self) -> None:
        need(self.user, Grant.ADMIN)
        self.mesh.log_state()
        self.answers.end_of_rows(Outcome())

    def kill(self, query_only: bool) -> None:
        """KILL: end what runs now with error 1317; without ``query_only`` the connection too."""
        if not query_only:
            self.client.abort()
        elif self._task is None or self.answers.relaying is not None:
            # the server itself ends the statement, and its connection stays clean
            self.client.interrupt_relay()
        elif not self.answers.complete:
            self._cancel(self._task)

    def leave(self) -> None:
        """The mesh is going: close as soon as no statement and no transaction is under way."""
        self._leaving = True
        if not self.client.busy and self.transaction is None:
            self.client.dismiss(ShuttingDown())

    def _ready(self) -> None:
        self.client.ready()
        if self._leaving:
            self.leave()

    # -- its transaction

    @property
    def in_transaction(self) -> bool:
        return self.transaction is not None

    async def begin(self, text: str, *, explicit: bool = True) -> None:
        """BEGIN or START TRANSACTION; commits the transaction before, as MySQL does."""
        await self.commit()
        await self.pins.unlock_tables()
        self.transaction = await ClientTransaction.begin(self, text)
        self.transaction.explicit = explicit
        self.settings = replace(self.settings, next_transaction=())

    def use_up_next_transaction(self, writes: bool) -> None:
        """An autocommit statement is the transaction that SET TRANSACTION spoke of; its level makes no difference."""
        if writes and ("transaction_read_only", "1") in self.settings.next_transaction:
            raise ReadOnlyTransaction()
        self.settings = replace(self.settings, next_transaction=())

    async def commit(self) -> None:
        if self.transaction is not None:
            await self.transaction.may_end("COMMIT")
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
        if settings.state.wait_timeout != self.settings.state.wait_timeout:
            self._wait(settings.state.wait_timeout)
        self.settings = settings
        self._encoding = python_codec(settings.state.client)
        self._undecodable = undecodable(self._encoding)
        self.choose(self.database)

    def _wait(self, seconds: int | None) -> None:
        """Let the client idle no longer than that; None: the mesh's own ``idle_timeout`` is all."""
        if self._idle is not None:
            self._idle.stop()
        self._idle = None if seconds is None else IdleClients((self.client,), seconds)
        if self._idle is not None:
            self._idle.watch()

    async def _finish_with_warnings(self, connection: Connection, outcome: Outcome) -> None:
        try:
            outcome.warning_rows = await warnings_of(connection)
        finally:
            self._cluster.release(connection)
        self.diagnostics.remember(outcome)

    # -- what the engine and the statements ask

    @property
    def generation(self) -> Generation:
        """The rules of the statement from its begin to its end; a transaction keeps those it began with."""
        if self.pins.own is not None:
            return self.pins.own.view
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
    def system_database(self) -> str:
        """The database of the servers' own that the client has chosen, else ''."""
        return self.database if self.database in SYSTEM_DATABASES else ""

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
        status |= 0 if self.settings.escapes else Status.NO_BACKSLASH_ESCAPES
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

    @property
    def base_mode(self) -> BaseMode:
        return self.settings.base_mode or self.rules.transaction.base_mode

    def use(self, name: str) -> None:
        """Choose the logical database, or one of the servers' own. Raises 1049 or 1044."""
        if name.lower() == INFORMATION_SCHEMA or (name in SYSTEM_DATABASES and self.user.may(Grant.MYSQL)):
            self.choose(name.lower())
            return
        if name not in self.rules.databases:
            raise UnknownDatabase(name)
        if not self.user.may_use(name):
            raise AccessDenied(f"Access denied for user {self.account} to database '{name}'")
        self.choose(name)

    def choose(self, database: str | None) -> None:
        """Let names without a database be that one's, which the user may use."""
        self.database = database
        self.setting = self.setting_in(database)
        self._permitted = None

    def setting_in(self, database: str | None) -> str:
        """All that plans depend on beside their text."""
        return f"{database or ''};{self.settings.state.meaning}"

    @property
    def isolation_variable(self) -> str:
        return "transaction_isolation" if self.mesh.is_mysql else "tx_isolation"

    @property
    def read_only_variable(self) -> str:
        return "transaction_read_only" if self.mesh.is_mysql else "tx_read_only"

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

    @property
    def standing(self) -> str:
        """Where it is in its transactions, for SHOW MESH SESSIONS."""
        if self.transaction is None:
            return "autocommit" if self.settings.autocommit else "between transactions"
        return "in a BASE transaction" if self.transaction.saga is not None else "in a transaction"

    def shown(self) -> Shown:
        """What SHOW PROCESSLIST and SHOW MESH SESSIONS tell of it."""
        busy = self.client.busy
        seconds = str(int(time.time() - self.began))
        state = "executing" if busy else ""
        process = [
            str(self.id), self.user.name, self.client.host, self.database, "Query" if busy else "Sleep", seconds, state,
            self.text if busy else None,
        ]  # fmt: skip
        attributes = ", ".join(f"{name}={value}" for name, value in sorted(self.client.login.attributes.items()))
        return Shown(process, self.standing, "; ".join(self.pins.reasons) or None, attributes or None)

    async def all_shown(self) -> list[Shown]:
        """The sessions of the whole mesh that this one's user may see."""
        return await self.mesh.colleagues.shown(self.user.name, self.user.may(Grant.ADMIN))

    async def kill_other(self, id: int, query_only: bool) -> None:
        """KILL [QUERY] of a session of the mesh. Raises 1094, 1095."""
        await self.mesh.colleagues.kill(id, query_only, self.user.name, self.user.may(Grant.ADMIN))
