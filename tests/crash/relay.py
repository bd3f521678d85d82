"""A relay between a mesh and one server that understands MySQL's packets, and fails where a test says.

It runs in a thread of its own with an event loop of its own. Requests are recognised by their text (COM_QUERY); what
is no COM_QUERY just passes.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto

_HEADER = 4
_COM_QUERY = 3
_ERROR = b"\xff" + (1290).to_bytes(2, "little") + b"#HY000The server is running with the --read-only option"


class Kind(Enum):
    """What becomes of a request, and of the connection that it came on."""

    CUT_BEFORE = auto()  # the server never gets it; both ends see the connection end
    CUT_AFTER = auto()  # the server has executed it; its answer is thrown away, and the connection ends
    SWALLOW = auto()  # the server never gets it, and nobody is told: the connection is a black hole from then on
    SWALLOW_ANSWER = auto()  # the server has executed it; a black hole from then on
    REFUSE = auto()  # the server never gets it; the answer is error 1290, as of a server that has become read-only
    DELAY = auto()  # it is passed on later
    DELAY_ANSWER = auto()  # its answer is passed on later


@dataclass
class Fault:
    """Once: at the ``nth`` request from now on whose text matches. ``do``: also call this, in a thread of its own,
    before the request is passed on (when the answer has come with CUT_AFTER, SWALLOW_ANSWER and DELAY_ANSWER).
    """

    pattern: str
    kind: Kind
    nth: int = 1
    seconds: float = 0.0
    do: Callable[[], object] | None = None
    met: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)

    def takes(self, text: bytes) -> bool:
        """Whether this request is the one."""
        if self.met.is_set() or re.search(self.pattern.encode(), text, re.DOTALL) is None:
            return False
        self.nth -= 1
        if self.nth == 0:
            self.met.set()
        return self.nth == 0


class Relay:
    """Listens on ``port``. ``requests``: the texts that have come."""

    def __init__(self, host: str, port: int) -> None:
        self.faults: list[Fault] = []
        self.requests: list[bytes] = []
        self._target = host, port
        self._links: set[_Link] = set()
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait(10)

    def _run(self, started: threading.Event) -> None:
        self._loop.run_until_complete(self._listen())
        started.set()
        self._loop.run_forever()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]

    def fail(self, pattern: str, kind: Kind, **options: object) -> Fault:
        """From now on; ``pattern``: of the request's text, a regular expression."""
        fault = Fault(pattern, kind, **options)  # type: ignore[arg-type]
        self.faults.append(fault)
        return fault

    def heal(self) -> None:
        """No faults any more; what is a black hole ends."""
        self.faults.clear()
        self._loop.call_soon_threadsafe(self._cut, True)

    def cut(self) -> None:
        """End all connections."""
        self._loop.call_soon_threadsafe(self._cut, False)

    def _cut(self, only_dark: bool) -> None:
        for link in self._links:
            if link.dark or not only_dark:
                link.cut()

    def close(self) -> None:
        async def end() -> None:
            self._server.close()
            self._cut(False)
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    # -- in the loop

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answers, requests = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(self, (writer, requests))
        self._links.add(link)
        try:
            await asyncio.gather(link.requests(reader, requests, writer), link.answers(answers, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            link.cut()
            self._links.remove(link)

    def due(self, packet: bytes) -> Fault | None:
        """The fault that this packet of the client's meets."""
        if packet[3] != 0 or len(packet) <= _HEADER or packet[_HEADER] != _COM_QUERY:
            return None
        text = packet[_HEADER + 1 :]
        self.requests.append(text)
        return next((fault for fault in self.faults if fault.takes(text)), None)


@dataclass(eq=False)
class _Link:
    """One connection through the relay. ``fault``: what its next answer meets."""

    relay: Relay
    ends: tuple[asyncio.StreamWriter, asyncio.StreamWriter]
    fault: Fault | None = None
    dark: bool = False

    async def requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: asyncio.StreamWriter
    ) -> None:
        while True:
            packet = await _packet(reader)
            fault = self.relay.due(packet)
            if fault is not None:
                after = fault.kind in (Kind.CUT_AFTER, Kind.SWALLOW_ANSWER, Kind.DELAY_ANSWER)
                if after:
                    self.fault = fault
                elif not await self._before(fault, answers):
                    continue
            if not self.dark:
                writer.write(packet)
                await writer.drain()

    async def _before(self, fault: Fault, answers: asyncio.StreamWriter) -> bool:
        """Whether the request is passed on."""
        await _call(fault)
        if fault.kind is Kind.CUT_BEFORE:
            self.cut()
        elif fault.kind is Kind.SWALLOW:
            self.dark = True
        elif fault.kind is Kind.REFUSE:
            answers.write(len(_ERROR).to_bytes(3, "little") + b"\x01" + _ERROR)
        else:
            await asyncio.sleep(fault.seconds)
            return True
        return False

    async def answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            fault, self.fault = self.fault, None
            if fault is not None:
                await _call(fault)
                if fault.kind is Kind.CUT_AFTER:
                    self.cut()
                elif fault.kind is Kind.SWALLOW_ANSWER:
                    self.dark = True
                else:
                    await asyncio.sleep(fault.seconds)
            if not self.dark:
                writer.write(data)
                await writer.drain()
        if not self.dark:
            self.cut()
        else:
            await asyncio.Event().wait()  # a black hole does not even tell that the server has gone

    def cut(self) -> None:
        for end in self.ends:
            end.transport.abort()


async def _packet(reader: asyncio.StreamReader) -> bytes:
    header = await reader.readexactly(_HEADER)
    return header + await reader.readexactly(int.from_bytes(header[:3], "little"))


async def _call(fault: Fault) -> None:
    if fault.do is not None:
        with suppress(OSError):
            await asyncio.get_running_loop().run_in_executor(None, fault.do)
    fault.done.set()
