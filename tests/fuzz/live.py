"""A whole mesh in this process, and conversations with it that do not follow the protocol."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import uvloop

from dbmesh.frontend.listener import Frontend, open_socket
from dbmesh.frontend.login import Limits
from dbmesh.frontend.mesh import Mesh
from dbmesh.frontend.tls import TlsEndpoint
from dbmesh.protocol.auth import NATIVE, native_scramble
from dbmesh.protocol.compression import Compression, Zlib
from dbmesh.protocol.constants import Capability, Command
from dbmesh.protocol.framing import frame
from dbmesh.protocol.handshake import HandshakeResponse
from dbmesh.rules.loader import load
from dbmesh.rules.model import Listener
from tests.fuzz.inputs import FLAGS, Inputs

PATIENCE = 20.0  # seconds for an answer: a stuck one never comes
_WITHOUT_ANSWER = (Command.STMT_CLOSE, Command.STMT_SEND_LONG_DATA)


class Stuck(Exception):
    """A whole command was not answered, and the connection not closed."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """``login``: 'none' sends the first payloads instead of one, 'plain' and 'compressed' are good ones.

    ``payloads`` become packets; ``damage`` adds to the sequence id of the packet at the same place; ``piece``: bytes.
    """

    login: str
    payloads: tuple[bytes, ...]
    damage: tuple[int, ...]
    piece: int

    def to_json(self) -> str:
        payloads = [payload.hex() for payload in self.payloads]
        return (
            json.dumps({"login": self.login, "payloads": payloads, "damage": self.damage, "piece": self.piece}) + "\n"
        )

    @classmethod
    def from_json(cls, text: str) -> Conversation:
        read = json.loads(text)
        payloads = tuple(map(bytes.fromhex, read["payloads"]))
        return cls(read["login"], payloads, tuple(read["damage"]), read["piece"])

    @classmethod
    def of(cls, inputs: Inputs) -> Conversation:
        chance = inputs.chance
        login = chance.choice(("none", "plain", "plain", "plain", "compressed"))
        number = chance.randint(1, 3) if login == "none" else chance.randint(1, 12)
        payloads = tuple(inputs.login() if login == "none" else inputs.command() for _ in range(number))
        damage = tuple(chance.choice((0,) * 30 + (1, 200)) for _ in payloads)
        return cls(login, payloads, damage, chance.choice((1, 3, 50, 1 << 20, 1 << 20)))


class _Errors(logging.Handler):
    """What the mesh says that it did not expect."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info or record.levelno >= logging.ERROR:
            self.found.append(self.format(record))


class LiveMesh:
    """Runs in a thread; ``check`` raises AssertionError for what it did not expect, or has not let go of."""

    def __init__(self, rules: Path, state: Path) -> None:
        self.errors = _Errors()
        self._loop = uvloop.new_event_loop()
        self._loop.set_exception_handler(lambda loop, context: self.errors.found.append(str(context)))
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._listening = open_socket(Listener("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        logging.getLogger().addHandler(self.errors)
        asyncio.run_coroutine_threadsafe(self._start(rules, state), self._loop).result(30)
        self.started_with = self.memory()

    async def _start(self, folder: Path, state: Path) -> None:
        rules = load(folder, {})
        self.mesh = Mesh(rules, lambda: rules, load_tls=lambda tls: TlsEndpoint.load(tls, state))
        await self.mesh.start()
        self.frontend = Frontend(self.mesh, 50, Limits(5.0, 1 << 22))
        await self.frontend.serve(self._listening, "preferred")
        self._tasks = len(asyncio.all_tasks())

    def close(self) -> None:
        async def end() -> None:
            await self.frontend.close()
            await self.mesh.stop(2.0)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(30)
        logging.getLogger().removeHandler(self.errors)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def memory(self) -> int:
        """Bytes that are resident."""
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize()

    def talk(self, conversation: Conversation) -> None:
        """Raises Stuck."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as sock, suppress(OSError, EOFError):
            _Talk(sock, conversation).run()

    def check(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while left := self._left():
            assert time.monotonic() < deadline, f"still there after {PATIENCE} s: {left}"
            time.sleep(0.01)
        assert not self.errors.found, self.errors.found[0]
        grown = self.memory() - self.started_with
        assert grown < 200 << 20, f"{grown >> 20} MiB more than at the start"

    def _left(self) -> str:
        async def look() -> str:
            frontend = self.frontend
            used = sum(report.in_use for report in self.mesh.generation.cluster.report())
            tasks = len(asyncio.all_tasks()) - 1 - self._tasks
            numbers = {
                "logins": len(frontend._logins), "connections": len(frontend.connections),
                "sessions": len(self.mesh.sessions), "pooled connections": used, "tasks": max(0, tasks),
            }  # fmt: skip
            return ", ".join(f"{count} {name}" for name, count in numbers.items() if count)

        return asyncio.run_coroutine_threadsafe(look(), self._loop).result(10)


class _Talk:
    def __init__(self, sock: socket.socket, conversation: Conversation) -> None:
        self._sock = sock
        self._said = conversation
        self._compression: Compression | None = None
        self._received = b""

    def run(self) -> None:
        _, greeting = self._packet()
        sequence = 1
        if self._said.login != "none":
            self._login(greeting)
            sequence = 0
        for payload, damage in zip(self._said.payloads, self._said.damage, strict=True):
            if self._compression is not None:
                self._compression = Compression(Zlib())
            self._send(frame(payload, (sequence + damage) & 0xFF))
            if payload[:1] and payload[0] in _WITHOUT_ANSWER and self._said.login != "none":
                continue
            self._hear()
            sequence = sequence and sequence + 2

    def _login(self, greeting: bytes) -> None:
        rest = greeting.index(b"\0", 1) + 5
        salt = greeting[rest : rest + 8] + greeting[rest + 27 : rest + 39]
        flags = FLAGS | Capability.MULTI_STATEMENTS | Capability.LOCAL_FILES | Capability.SESSION_TRACK
        if self._said.login == "compressed":
            flags |= Capability.COMPRESS
        auth = native_scramble(b"secret", salt)
        self._sock.sendall(frame(HandshakeResponse(flags, 1 << 24, 45, "app", auth, "town", NATIVE).encode(), 1))
        assert self._packet()[1][0] == 0
        if self._said.login == "compressed":
            self._compression = Compression(Zlib())

    def _send(self, data: bytes) -> None:
        if self._compression is not None:
            data = self._compression.compress(data)
        size = max(self._said.piece, len(data) // 50)
        for start in range(0, len(data), size):
            self._sock.sendall(data[start : start + size])

    def _hear(self) -> None:
        """The beginning of an answer; what follows is passed over without waiting."""
        try:
            first = self._more()
        except TimeoutError:
            raise Stuck from None
        if first[4:5] == b"\xfb":  # a local file is asked for
            self._send(frame(b"1\tone\n", 2) + frame(b"", 3))
            self._more()
        self._sock.settimeout(0.001)
        with suppress(TimeoutError, BlockingIOError):
            while True:
                self._more()
        self._sock.settimeout(PATIENCE)

    def _more(self) -> bytes:
        data = self._sock.recv(1 << 16)
        if not data:
            raise EOFError
        return data

    def _packet(self) -> tuple[int, bytes]:
        while len(self._received) < 4 or len(self._received) < 4 + int.from_bytes(self._received[:3], "little"):
            self._received += self._more()
        end = 4 + int.from_bytes(self._received[:3], "little")
        packet, self._received = self._received[:end], self._received[end:]
        return packet[3], packet[4:]


@contextmanager
def running(rules: Path, state: Path) -> Iterator[LiveMesh]:
    live = LiveMesh(rules, state)
    try:
        yield live
    finally:
        live.close()
        gc.collect()
