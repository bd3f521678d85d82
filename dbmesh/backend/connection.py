"""One connection to a MySQL server: its protocol object after the login.

It does one request at a time, in one of two ways: *relayed* (bytes pass to a sink as they come, no task, no future)
or *read* (rows are collected, with back-pressure).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from dbmesh.backend.pool import Capabilities
from dbmesh.backend.row_stream import RowStream
from dbmesh.backend.session_state import DEFAULT_STATE, SessionState
from dbmesh.backend.statements import (
    LOST,
    TOO_MANY,
    Execution,
    Key,
    ServerStatement,
    ServerStatements,
    close_packets,
)
from dbmesh.errors import BackendError, BackendLost, Deadlock, NotSupported
from dbmesh.protocol.binary import RowCodec
from dbmesh.protocol.charset import python_codec
from dbmesh.protocol.constants import MAX_PAYLOAD, Command, Status
from dbmesh.protocol.failures import ProtocolError
from dbmesh.protocol.framing import frame, frames, query_packet
from dbmesh.protocol.pipeline_reader import PipelineReader
from dbmesh.protocol.prepare_reader import PrepareReader
from dbmesh.protocol.response import Err, Ok, error_packet, parse_err
from dbmesh.protocol.result_reader import ResultReader
from dbmesh.protocol.resultset import ColumnDefinition, decode_text_row
from dbmesh.protocol.tracker import ResponseTracker
from dbmesh.sql.backslashes import without_escapes

HIGH_WATER = 256 * 1024  # bytes of rows that wait in one stream before the server has to
_QUIT = frame(bytes((Command.QUIT,)), 0)
_PREPARE = bytes((Command.STMT_PREPARE,))
_INTERRUPTED = 1317

Reader = ResultReader | PrepareReader | PipelineReader
R = TypeVar("R", ResultReader, PrepareReader, PipelineReader)
Request = str | bytes | Execution  # a text for COM_QUERY, or a statement for the binary protocol


@dataclass(slots=True)
class Result:
    """A whole answer. ``columns`` is empty for a statement without a result set."""

    columns: list[ColumnDefinition] = field(default_factory=list)
    rows: list[list[bytes | None]] = field(default_factory=list)
    affected: int = 0
    last_insert_id: int = 0
    status: int = 0
    warnings: int = 0
    info: bytes = b""


class RelaySink(Protocol):
    """Where a relayed response goes. All are called from the event loop's callbacks, ``relay_begun`` from `relay`.

    ``first_sequence``: the sequence id that the response's first packet must have, since none is renumbered.
    """

    @property
    def first_sequence(self) -> int: ...

    def relay_begun(self, connection: Connection) -> None: ...

    def relay_data(self, connection: Connection, data: bytes) -> None:
        """Some bytes of the response; a sink that cannot keep up calls ``connection.pause_reading``."""
        ...

    def relay_end(self, connection: Connection) -> None:
        """All of the response has been given; what it said is in ``connection.tracker`` until its next request."""
        ...

    def relay_lost(self, connection: Connection, error: BackendLost) -> None:
        """The response ends here, perhaps in the middle of a packet; the connection is closed."""
        ...

    def relay_stale(self, connection: Connection) -> None:
        """Nothing was given: the server has lost the statement that it was to run, and it has been forgotten here."""
        ...


class Connection:
    """A transport's protocol object, made by `dial`; no subclass of asyncio.Protocol, which could not be compiled.
    ``state`` is what the server's session has now, ``status`` its last status flags.

    Its pool is told: ``on_closed`` once when it can no longer be used, ``on_lost`` when its socket is gone,
    ``on_abandoned`` when it was left while the server still worked for it, ``on_interrupted`` when the server is to
    end the request only.
    """

    __slots__ = (
        "_executing",
        "_failure",
        "_held",
        "_is_mysql",
        "_paused",
        "_reader",
        "_sink",
        "_slow",
        "_transport",
        "_waiter",
        "_why",
        "capabilities",
        "created",
        "data_source",
        "deadlocked",
        "idle_since",
        "in_logical_names",
        "loop",
        "on_abandoned",
        "on_closed",
        "on_interrupted",
        "on_lost",
        "poisoned",
        "sentenced",
        "server_version",
        "state",
        "statements",
        "status",
        "thread_id",
        "tracker",
    )

    def __init__(
        self, data_source: str, capabilities: Capabilities, transport: asyncio.Transport, thread_id: int, version: str
    ) -> None:
        self.data_source = data_source
        self.capabilities = capabilities
        self.thread_id = thread_id
        self.server_version = version
        self._is_mysql = "MariaDB" not in version
        self.state: SessionState = DEFAULT_STATE
        self.status: int = Status.AUTOCOMMIT
        self.tracker = ResponseTracker(capabilities.deprecate_eof)
        self.statements = ServerStatements()
        self.poisoned = False  # the session's state is not known any more: not to be used again
        self.sentenced = False  # a request was ended as the victim of a deadlock, unless it has ended by itself before
        self.deadlocked = False  # that has been told as error 1213: its transaction has to be rolled back
        self.in_logical_names: Callable[[str, int, str], str] = _as_it_is  # data source, errno, message
        self.on_closed: Callable[[Connection], None] = _ignore
        self.on_lost: Callable[[Connection], None] = _ignore
        self.on_abandoned: Callable[[Connection], None] = _ignore
        self.on_interrupted: Callable[[Connection], None] = _ignore
        self.loop = asyncio.get_running_loop()
        self.created = self.idle_since = self.loop.time()
        self._transport = transport
        self._sink: RelaySink | None = None
        self._held = b""  # of a relayed response that is, or may still be, an ERR packet
        self._executing: Key | None = None  # the statement that is being relayed
        self._reader: Reader | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._paused = False
        self._slow = False  # the server does not take what is sent to it
        self._failure: BackendLost | None = None
        self._why = ""

    @property
    def closed(self) -> bool:
        return self._failure is not None or self._transport.is_closing()

    @property
    def busy(self) -> bool:
        """A request is under way."""
        return self._sink is not None or self._reader is not None

    @property
    def clean(self) -> bool:
        """Nothing is under way, no transaction is open, and what the session is like is known: it may be pooled."""
        return (
            self._sink is None
            and self._reader is None
            and self._failure is None
            and not self.poisoned
            and not self.status & Status.IN_TRANS
            and not self._transport.is_closing()
        )

    # -- requests

    def relay(self, packet: bytes, sink: RelaySink, executing: Key | None = None) -> None:
        """Send a command packet and pass the response to ``sink``. Raises BackendLost when nothing was sent.

        ``executing``: the prepared statement that it runs, lest an answer that it is lost is passed on.
        """
        if self._reader is not None or self._sink is not None or self._transport.is_closing():
            raise self._not_sent()
        if len(packet) > MAX_PAYLOAD or sink.first_sequence != 1:
            _check_numbering(packet, sink)
        self.tracker.reset()
        self._sink = sink
        self._executing = executing
        sink.relay_begun(self)
        self._transport.write(packet)

    async def execute(self, request: Request, time_limit: float | None = None) -> Result:
        """The whole answer of one statement, in memory. ``time_limit``: seconds; then it is given up.

        Raises BackendError for the server's ERR, BackendLost when the connection ended.
        """
        try:
            async with asyncio.timeout(time_limit):
                return await self._whole(await self._started(request))
        except TimeoutError:
            self.abandon()
            raise BackendLost(self.data_source, True, f"no answer within {time_limit} s") from None
        except asyncio.CancelledError:
            self.abandon()
            raise

    async def execute_all(
        self, requests: Sequence[str | bytes], time_limit: float | None = None
    ) -> list[Result | BackendError]:
        """The answers of several statements that are sent at once; each runs whatever has become of those before it.

        So none but the first may write: after a deadlock it would run outside of the transaction, in autocommit. None
        may have more than one result. ``time_limit``: for all of them. Raises BackendLost as `execute`.
        """
        packets = [query_packet(self.spelled(request)) for request in requests]
        try:
            async with asyncio.timeout(time_limit):
                reader = self._expect(
                    PipelineReader(self.capabilities.deprecate_eof, list(map(answer_sequence, packets)))
                )
                self._transport.write(b"".join(packets))
                while not reader.set_ended:
                    await self.more(reader)
        except TimeoutError:
            self.abandon()
            raise BackendLost(self.data_source, True, f"no answer within {time_limit} s") from None
        except asyncio.CancelledError:
            self.abandon()
            raise
        return [self._answer(*answer) for answer in reader.answers]

    def _answer(
        self, columns: list[ColumnDefinition], rows: list[bytes], ok: Ok | None, err: Err | None
    ) -> Result | BackendError:
        if ok is None:
            assert err is not None
            return self.error(err)
        decoded = list(map(decode_text_row, rows))
        return Result(columns, decoded, ok.affected, ok.last_insert_id, ok.status, ok.warnings, ok.info)

    async def _whole(self, stream: RowStream) -> Result:
        rows: list[list[bytes | None]] = []
        while (batch := await stream.next_batch()) is not None:
            rows += map(decode_text_row, batch)
        ok = stream.reader.ok
        assert ok is not None
        result = Result(stream.columns, rows, ok.affected, ok.last_insert_id, ok.status, ok.warnings, ok.info)
        while not stream.reader.ended:
            stream.reader.next_set()
            self.settle(stream.reader)
            while await stream.next_batch() is not None:
                pass
        return result

    async def warnings(self) -> list[list[bytes | None]]:
        """Level, code and message of each warning of the last statement. Errors as `execute`."""
        rows = (await self.execute("SHOW WARNINGS")).rows
        for row in rows:
            message = (row[2] or b"").decode("utf-8", "surrogateescape")
            renamed = self.in_logical_names(self.data_source, int(row[1] or 0), message)
            row[2] = renamed.encode("utf-8", "surrogateescape")
        return rows

    async def stream(self, request: Request) -> RowStream:
        """Send one statement; returns when its columns are known. Errors as `execute`. Rows are text in any case."""
        try:
            return await self._started(request)
        except asyncio.CancelledError:
            self.abandon()
            raise

    async def _started(self, request: Request) -> RowStream:
        if not isinstance(request, Execution):
            stream = self._begin(request)
            await stream.started()
            return stream
        try:
            return await self._executed(request)
        except BackendError as error:
            if error.errno not in LOST:
                raise
            self.statements.forget(self.key(request.sql))
            return await self._executed(request)

    async def _executed(self, execution: Execution) -> RowStream:
        packets = execution.packets(await self.prepare(execution.sql, execution.types))
        stream = self._request(packets)
        await stream.started()
        stream.codec = RowCodec(stream.columns)
        return stream

    async def load(self, sql: bytes, file: AsyncIterator[bytes]) -> Result:
        """A LOAD DATA LOCAL; ``file`` is read when the server asks for it, and no faster than the server takes it.

        Errors as `execute`, and what ``file`` raises; then the connection is lost.
        """
        stream = self._begin(sql)
        reader = stream.reader
        reader.file_offered = True
        try:
            while not reader.wants_file and not reader.set_ended:
                await self.more(reader)
            if reader.wants_file:
                await self._send_file(reader, file)
            return await self._whole(stream)
        except BackendError:
            raise
        except BaseException:
            self.abandon()
            raise

    async def _send_file(self, reader: ResultReader, file: AsyncIterator[bytes]) -> None:
        sequence = reader.following
        async for chunk in file:
            if self._failure is not None:
                raise self._failure
            if reader.set_ended:  # an error that did not wait for the end of the file
                self.poisoned = True
                return
            data, sequence = frames((chunk,), sequence)
            self._transport.write(data)
            while self._slow and self._failure is None and not reader.set_ended:
                self._waiter = self.loop.create_future()
                await self._waiter
        if self._failure is not None:
            raise self._failure
        reader.expect(sequence + 1 & 0xFF)
        self._transport.write(frame(b"", sequence))

    async def field_list(self, table: bytes, pattern: bytes) -> list[bytes]:
        """COM_FIELD_LIST: the payload of each column's definition with its default behind it. Errors as `execute`."""
        stream = self._request(frame(bytes((Command.FIELD_LIST,)) + table + b"\0" + pattern, 0))
        stream.reader.columns = []  # nothing comes before the definitions
        found: list[bytes] = []
        try:
            while (batch := await stream.next_batch()) is not None:
                found += batch
        except asyncio.CancelledError:
            self.abandon()
            raise
        return found

    # -- prepared statements

    def key(self, sql: str) -> Key:
        """What a statement is kept under: its text, and all that decides how a server reads it."""
        return self.state.reading, sql

    def prepared(self, key: Key, types: bytes) -> ServerStatement | None:
        """The statement on the server, if there is one that may be run with values of these types. Hot."""
        known = self.statements.get(key)
        return known if known is None or not self._is_mysql or known.takes(types) else None

    async def prepare(self, sql: str, types: bytes = b"") -> ServerStatement:
        """The statement on the server, prepared unless it is. ``types``: of the values that it is to be run with.

        Raises the server's error.
        """
        key = self.key(sql)
        known = self.prepared(key, types)
        if known is not None:
            return known
        statement = await self._new_statement(sql)
        statement.takes(types)
        self._transport.write(close_packets(self.statements.put(key, statement)))
        return statement

    async def check(self, sql: str) -> None:
        """Have the server read a statement and find its names, and run nothing. Raises its error."""
        self._transport.write(close_packets([await self._new_statement(sql)]))

    async def _new_statement(self, sql: str) -> ServerStatement:
        try:
            try:
                reader = await self._prepared(sql)
            except BackendError as error:
                if error.errno != TOO_MANY:
                    raise
                self._transport.write(close_packets(self.statements.clear()))
                reader = await self._prepared(sql)
        except asyncio.CancelledError:
            self.abandon()
            raise
        return ServerStatement(reader.statement, reader.parameters, reader.columns or [])

    async def _prepared(self, sql: str) -> PrepareReader:
        packets = frame(_PREPARE + self.spelled(sql), 0)
        reader = self._expect(PrepareReader(self.capabilities.deprecate_eof, answer_sequence(packets)))
        self._transport.write(packets)
        while not reader.set_ended:
            await self.more(reader)
        if reader.err is not None:
            raise self.error(reader.err)
        return reader

    async def apply(self, state: SessionState) -> None:
        """Give the server's session that state, but for autocommit, which would end a transaction of autocommit=0.

        After an error the connection is poisoned.
        """
        if state is self.state:
            return
        if self.status & Status.IN_TRANS and (kept := dict(self.state.variables).get("autocommit")):
            state = state.with_variables({"autocommit": kept})
        try:
            for statement in state.changes_from(self.state):
                text = statement if self.state.escapes else without_escapes(statement)
                await self._settled(text.encode("utf-8", "surrogateescape"))
        except BaseException:
            self.poisoned = True
            raise
        self.state = state

    async def _settled(self, text: bytes) -> None:
        """Run a SET whose text is spelled already."""
        try:
            stream = self._request(query_packet(text))
            await stream.started()
            await self._whole(stream)
        except asyncio.CancelledError:
            self.abandon()
            raise

    def spelled(self, sql: str | bytes) -> bytes:
        """A text as the server's session is to read it: in its character set, by its sql_mode."""
        if isinstance(sql, bytes) and self.state.escapes:
            return sql
        codec = python_codec(self.state.client)
        text = sql.decode(codec, "surrogateescape") if isinstance(sql, bytes) else sql
        return (text if self.state.escapes else without_escapes(text)).encode(codec, "surrogateescape")

    def _begin(self, sql: str | bytes) -> RowStream:
        return self._request(query_packet(self.spelled(sql)))

    def _request(self, packets: bytes) -> RowStream:
        """Send packets of which the last command has a result set for its answer. Raises BackendLost."""
        reader = self._expect(ResultReader(self.capabilities.deprecate_eof))
        reader.expect(answer_sequence(packets))
        self._transport.write(packets)
        return RowStream(self, reader)

    def _expect(self, reader: R) -> R:
        """The next response is that reader's. Raises BackendLost."""
        if self.busy or self.closed:
            raise self._not_sent()
        self._reader = reader
        return reader

    def _not_sent(self) -> BackendLost:
        why = self._why or ("the connection is busy" if self.busy else "it was closed before")
        return BackendLost(self.data_source, False, why)

    # -- ends

    def close(self) -> None:
        """End the connection; with a request under way that is `abandon`."""
        if self.busy:
            self.abandon()
        elif not self._transport.is_closing():
            self._transport.write(_QUIT)
            self._transport.close()

    def abandon(self) -> None:
        """Leave a request that is under way: the connection ends, and its server is told to stop working.

        The sink is not told: whoever calls this knows.
        """
        if self._failure is None:
            self._sink = None
            self._fail(True, "given up by the mesh")
            self.on_abandoned(self)

    def interrupt(self) -> None:
        """KILL QUERY. An answer still comes; the connection is not used again, lest the kill hit its next request."""
        if self.busy and not self.closed:
            self.poisoned = True
            self.on_interrupted(self)

    def give_way(self) -> None:
        """The request is the victim of a deadlock that its server does not see; the answer will be error 1213."""
        if self.busy and not self.closed:
            self.sentenced = True
            self.interrupt()

    def _fail(self, started: bool, why: str) -> None:
        if self._failure is not None:
            return
        failure = self._failure = BackendLost(self.data_source, started, why)
        self._why = why
        self._transport.abort()
        sink, self._sink = self._sink, None
        self._reader = None
        self._wake()
        self.on_closed(self)
        if sink is not None:
            sink.relay_lost(self, failure)

    # -- the event loop's callbacks

    def data_received(self, data: bytes) -> None:
        sink = self._sink
        if sink is None:
            self._read(data)
            return
        try:
            end = self.tracker.feed(data)
        except ProtocolError as error:
            self._fail(True, error.message)
            return
        if end < 0:
            if self.tracker.rows < 0 or self.tracker.is_error:
                self._held += data
                return
            if self._held:
                data, self._held = self._held + data, b""
            sink.relay_data(self, data)
            return
        surplus = end != len(data)
        if surplus:
            data = data[:end]
        self._sink = None
        self.status = self.tracker.status
        if self.tracker.errno in LOST and self._executing is not None:
            self.statements.forget(self._executing)
            self._held = b""
            sink.relay_stale(self)
            return
        if self._held:
            data, self._held = self._held + data, b""
        if self.tracker.is_error:
            data = self._renamed(data)
        sink.relay_data(self, data)
        if self._paused:
            self.resume_reading()
        if surplus:
            self._fail(False, "the server sent more than it was asked for")
        sink.relay_end(self)

    def _renamed(self, data: bytes) -> bytes:
        """The end of a response with its ERR packet in logical names; what has passed in part stays as it is."""
        start = len(data) - self.tracker.error_length - 4
        if start < 0:
            return data
        error = self.error(parse_err(data[start + 4 :]))
        return data[:start] + frame(error_packet(error), data[start + 3])

    def error(self, err: Err) -> BackendError:
        """A server's error as its client may see it."""
        if self.sentenced and err.errno == _INTERRUPTED:
            self.deadlocked = True
            return BackendError(Deadlock.errno, Deadlock.sqlstate, Deadlock.words)
        message = self.in_logical_names(self.data_source, err.errno, err.message)
        return BackendError(err.errno, err.sqlstate, message)

    def _read(self, data: bytes) -> None:
        reader = self._reader
        if reader is None:
            self._unasked(data)
            return
        try:
            reader.feed(data)
        except ProtocolError as error:
            self._fail(True, error.message)
            return
        if reader.ended:
            self.settle(reader)
        elif reader.buffered > HIGH_WATER:
            self.pause_reading()
        wants_file = isinstance(reader, ResultReader) and reader.wants_file
        if reader.set_ended or reader.columns is not None or wants_file:
            self._wake()

    def settle(self, reader: Reader) -> None:
        """When the whole response has come, the connection is idle, whoever still looks at its rows."""
        if reader.ended and self._reader is reader:
            self._reader = None
            self.status = reader.ok.status if reader.ok else self.status
            if reader.surplus:
                self._unasked(b"")

    def _unasked(self, data: bytes) -> None:
        # MySQL says why it closes an idle connection (4031) before it does.
        why = "the server spoke unasked"
        if len(data) > 6 and data[4] == 0xFF:
            why = parse_err(data[4:]).message
        self._fail(False, why)

    def eof_received(self) -> None:
        # At once, not with `connection_lost`: until that is called somebody could still take it as idle.
        self._fail(self.busy, "the server closed the connection")

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(self.busy, str(exc) if exc else "the server closed the connection")
        self.on_lost(self)

    # -- back-pressure

    def pause_writing(self) -> None:
        self._slow = True

    def resume_writing(self) -> None:
        self._slow = False
        self._wake()

    def pause_reading(self) -> None:
        if not self._paused and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._paused:
            self._paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    # -- for `RowStream`

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    async def more(self, reader: Reader) -> None:
        """Wait for more of the reader's response. Raises BackendLost."""
        if self._reader is not reader:
            assert self._failure is not None
            raise self._failure
        self.resume_reading()
        self._waiter = self.loop.create_future()
        await self._waiter
        if self._failure is not None and not reader.set_ended:
            raise self._failure


def answer_sequence(packets: bytes) -> int:
    """The sequence id of the answer's first packet to the last of these commands: the one behind its last packet's."""
    at = last = 0
    while at < len(packets):
        last = packets[at + 3]
        at += 4 + int.from_bytes(packets[at : at + 3], "little")
    return (last + 1) & 0xFF


def _check_numbering(packet: bytes, sink: RelaySink) -> None:
    """A server numbers its answer on from the packets of the command; rewriting may have changed how many they are."""
    if answer_sequence(packet) != sink.first_sequence:
        raise NotSupported(
            "its text passes a multiple of 16 MiB when the names of actual tables are written into it",
            "make the statement a little shorter or longer",
        )


def _as_it_is(data_source: str, errno: int, message: str) -> str:
    return message


def _ignore(connection: Connection) -> None:
    """Nobody wants to know."""
