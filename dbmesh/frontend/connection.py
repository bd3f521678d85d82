"""A client's connection after its login: packets to the session, the session's answer to packets.

One command is answered at a time; what a client sends ahead waits here. A client that does not read makes the answer's
source wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import cast

from dbmesh.backend.connection import Connection
from dbmesh.backend.pool import Capabilities
from dbmesh.errors import BackendLost, MeshError
from dbmesh.frontend.door import ClientLogin, Session
from dbmesh.protocol.commands import Quit, decode_command
from dbmesh.protocol.constants import Capability, Command
from dbmesh.protocol.failures import PacketTooLarge, ProtocolError
from dbmesh.protocol.framing import Framer, Skipper, frames
from dbmesh.protocol.response import error_packet

SENT_AHEAD = 1 << 20  # bytes of further commands that are read while one is being answered
WRITE_AHEAD = 1 << 18  # bytes of an answer that wait for the client before the answer's source has to
LINGER = 10.0  # seconds for the rest of a packet that is too long: a close before would take the error from the client

_log = logging.getLogger(__name__)


class ClientGone(Exception):
    """The client's connection has ended: nobody waits for the rest of the answer."""


class ClientConnection:
    """The transport's protocol object from the end of the login on, and the sink of what its session relays.

    No subclass of asyncio.Protocol, which would keep it from being compiled: `as_protocol` says that it is one.

    ``first_sequence``: the sequence id of the answer's first packet; 1 but after a command of 16 MiB and more. A
    relayed backend numbers by its own command, so relay only where both begin alike.
    """

    __slots__ = (
        "_arrival",
        "_busy",
        "_closed",
        "_conversation",
        "_drain",
        "_framer",
        "_on_closed",
        "_pumping",
        "_reading_paused",
        "_relayed",
        "_sequence",
        "_session",
        "_slow",
        "_source",
        "_take",
        "_transport",
        "capabilities",
        "change_user",
        "first_sequence",
        "host",
        "id",
        "login",
    )

    def __init__(
        self,
        login: ClientLogin,
        transport: asyncio.Transport,
        max_packet: int,
        on_closed: Callable[[ClientConnection], None],
    ) -> None:
        self.login = login
        self.id = login.id
        self.host = login.host
        self.capabilities = Capabilities(
            bool(login.flags & Capability.FOUND_ROWS), bool(login.flags & Capability.DEPRECATE_EOF)
        )
        self.first_sequence = 1
        self._transport = transport
        self._framer = Framer(max_packet)
        self._on_closed = on_closed
        self._session: Session | None = None
        self._take: Callable[[bytes], None] = self._dispatch  # the next packet's payload
        self._conversation: Callable[[bytes], None] = _nobody
        self.change_user: Callable[[bytes], None] = _nobody  # COM_CHANGE_USER's payload
        self._sequence = 0
        self._busy = True  # until the login's OK is out
        self._closed = False
        self._pumping = False
        self._reading_paused = False
        self._slow = False
        self._relayed = False
        self._source: Connection | None = None
        self._drain: asyncio.Future[None] | None = None
        self._arrival: asyncio.Future[None] | None = None  # of more of a file that was asked for
        transport.set_write_buffer_limits(high=WRITE_AHEAD)

    @property
    def max_packet(self) -> int:
        """Bytes of the longest command."""
        return self._framer.max_size

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def busy(self) -> bool:
        """A command is being answered."""
        return self._busy

    @property
    def session(self) -> Session | None:
        """Who answers; None before the login's end and after the client has gone."""
        return self._session

    def begin(self, session: Session) -> None:
        """From here on commands go to that session."""
        self._session = session
        self.ready()

    def leave_session(self) -> Session:
        """The session is nobody's any more, until another one begins."""
        session, self._session = self._session, None
        assert session is not None
        return session

    def as_protocol(self) -> asyncio.Protocol:
        return cast(asyncio.Protocol, self)

    # -- what a session calls

    def send(self, *payloads: bytes) -> None:
        """Write packets of the answer, numbered on from the last. What a client that has gone would get is dropped.

        In the middle of a relayed response no packet can stand: the connection is aborted instead.
        """
        if self._closed:
            return
        if self._relayed:
            self.abort()
            return
        data, self._sequence = frames(payloads, self._sequence)
        self._transport.write(data)

    def converse(self, take: Callable[[bytes], None], *payloads: bytes) -> None:
        """In the middle of an answer the client speaks: send these packets, and give its next one to ``take``.

        Packets number on. ``take`` calls this again to hear more, or ends the answer and calls `ready`. What it
        raises ends the connection.
        """
        self.send(*payloads)
        self._conversation = take
        self._take = self._converse
        self._framer.expected = self._sequence
        self._busy = False
        if not self._pumping and not self._closed:
            self._pump()

    async def drained(self) -> None:
        """Wait until the client has read enough for more to be written. Raises ClientGone."""
        if self._slow and not self._closed:
            if self._drain is None:
                self._drain = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._drain)
        if self._closed:
            raise ClientGone

    def ask_for_file(self, name: bytes) -> None:
        """LOCAL INFILE: have the client send a file; `file_packet` gives it."""
        self.send(b"\xfb" + name)
        self._framer.expected = self._sequence

    async def file_packet(self) -> bytes:
        """The next packet of the file that was asked for, empty at its end. Raises ClientGone."""
        while not self._closed:
            try:
                payload = self._framer.next()
            except ProtocolError as error:
                self.send(error_packet(error))
                self.close()
                raise ClientGone from error
            if payload is not None:
                self._sequence = self._framer.expected
                return payload
            self._resume_reading()
            self._arrival = asyncio.get_running_loop().create_future()
            await self._arrival
        raise ClientGone

    def ready(self) -> None:
        """The answer is complete: the next command may come."""
        self._busy = False
        self._source = None
        self._relayed = False
        framer = self._framer
        framer.expected = 0
        if (framer.holding or self._reading_paused) and not self._pumping and not self._closed:
            self._pump()

    def close(self) -> None:
        """End the connection after what has been written is out."""
        transport = self._transport
        if self._closed or transport.is_closing():
            return
        if transport.get_write_buffer_size():  # whoever does not read must not stay for ever
            asyncio.get_running_loop().call_later(LINGER, transport.abort)
        transport.close()

    def dismiss(self, error: MeshError, sequence: int = 0) -> None:
        """End the connection for a reason, which the client is told unless it is in the middle of an answer.

        ``sequence``: the packet's id where no command is being answered; 0 for what no command has asked for.
        """
        if not self._busy:
            self._sequence = sequence
        elif self._relayed or self._sequence != self.first_sequence:
            self.close()
            return
        self.send(error_packet(error))
        self.close()

    def fail(self, error: MeshError, sequence: int) -> None:
        """End the connection with an ERR packet of that sequence id."""
        self._sequence = sequence
        self.send(error_packet(error))
        self.close()

    def abort(self) -> None:
        """End the connection now."""
        self._transport.abort()

    # -- the sink of a relay

    def relay_begun(self, connection: Connection) -> None:
        self._source = connection

    def relay_data(self, connection: Connection, data: bytes) -> None:
        self._relayed = True
        self._transport.write(data)
        if self._slow:
            connection.pause_reading()

    def relay_end(self, connection: Connection) -> None:
        self._source = None
        self._relayed = False
        if self._session is not None:
            self._session.on_relay_end(connection)

    def relay_stale(self, connection: Connection) -> None:
        self._source = None
        if self._session is not None:
            self._session.on_relay_stale(connection)

    def interrupt_relay(self) -> None:
        """KILL QUERY for what is being relayed: the server answers with ERR 1317, or has already answered."""
        if self._source is not None:
            self._source.interrupt()

    def relay_lost(self, connection: Connection, error: BackendLost) -> None:
        self._source = None
        if self._session is not None:
            self._session.on_relay_lost(connection, error, self._relayed)

    # -- the event loop's callbacks

    def data_received(self, data: bytes) -> None:
        framer = self._framer
        if not self._busy and not self._slow and not self._transport.is_closing():
            payload = framer.lone(data)
            if payload is not None:
                self._busy = True
                self.first_sequence = self._sequence = framer.expected
                self._take(payload)
                return
        framer.feed(data)
        if not self._busy:
            self._pump()
        elif self._arrival is not None:
            self._arrived()
        elif self._framer.buffered > SENT_AHEAD and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()

    def _pump(self) -> None:
        """Hand over commands until one has to be waited for."""
        self._pumping = True
        framer = self._framer
        try:
            while not self._busy and not self._slow and not self._transport.is_closing():
                payload = framer.next()
                if payload is None:
                    break
                self._busy = True
                self.first_sequence = self._sequence = framer.expected
                self._take(payload)
        except ProtocolError as error:
            self._busy = True
            if isinstance(error, PacketTooLarge):
                self._transport.set_protocol(_Rest(self, self._transport, framer.skipper(), error))
            else:
                self.fail(error, framer.expected)
        finally:
            self._pumping = False
        if framer.buffered <= SENT_AHEAD:
            self._resume_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()

    def _arrived(self) -> None:
        arrival, self._arrival = self._arrival, None
        if arrival is not None and not arrival.done():
            arrival.set_result(None)

    def _dispatch(self, payload: bytes) -> None:
        session = self._session
        assert session is not None
        try:
            if payload and payload[0] == Command.QUERY:
                session.on_query(payload)
                return
            if payload and payload[0] == Command.STMT_EXECUTE:
                session.on_execute(payload)
                return
            if payload and payload[0] == Command.CHANGE_USER:
                self.change_user(payload)
                return
            request = decode_command(payload)
            if isinstance(request, Quit):
                self.close()
            else:
                session.on_command(request)
        except MeshError as error:
            self.send(error_packet(error))
            self.ready()
        except Exception:
            # The client must not see our traceback, nor wait for ever.
            _log.exception("a command of connection %s failed", self.id)
            self.send(error_packet(MeshError("Internal error of DBMesh; its log has the details")))
            self.close()

    def _converse(self, payload: bytes) -> None:
        self._take = self._dispatch
        try:
            self._conversation(payload)
        except MeshError as error:
            self.send(error_packet(error))
            self.close()
        except Exception:
            _log.exception("a command of connection %s failed", self.id)
            self.send(error_packet(MeshError("Internal error of DBMesh; its log has the details")))
            self.close()

    def eof_received(self) -> None:
        """The transport closes."""

    def pause_writing(self) -> None:
        self._slow = True

    def resume_writing(self) -> None:
        self._slow = False
        if self._source is not None:
            self._source.resume_reading()
        self._wake()
        if not self._busy and not self._pumping:
            self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self._take = self._conversation = self.change_user = _nobody
        self._wake()
        self._arrived()
        self._on_closed(self)
        source, self._source = self._source, None
        session, self._session = self._session, None
        if session is None:
            return
        if source is not None:
            source.abandon()
            session.on_relay_lost(source, BackendLost(source.data_source, True, "the client has gone"), self._relayed)
        session.on_lost()

    def _wake(self) -> None:
        drain, self._drain = self._drain, None
        if drain is not None and not drain.done():
            drain.set_result(None)


class _Rest(asyncio.Protocol):
    """Reads the rest of a command that is too long, answers and closes. The client may be reading only then."""

    def __init__(
        self, connection: ClientConnection, transport: asyncio.Transport, skipper: Skipper, error: MeshError
    ) -> None:
        self._connection = connection
        self._transport = transport
        self._skipper = skipper
        self._error = error
        self._timer = asyncio.get_running_loop().call_later(LINGER, self._end)
        self.data_received(b"")

    def data_received(self, data: bytes) -> None:
        if not self._transport.is_closing() and self._skipper.feed(data):
            self._end()

    def _end(self) -> None:
        self._timer.cancel()
        if not self._transport.is_closing():
            self._connection.fail(self._error, self._skipper.sequence)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._connection.connection_lost(exc)


def _nobody(payload: bytes) -> None:
    """The client has gone."""
