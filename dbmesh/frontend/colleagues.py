"""The other worker processes of a mesh, asked over Unix sockets: who is connected there, and KILL for them.

One question per connection: a line of JSON, and an answer until the end. Only processes of the same system user are
answered. A worker that does not answer in time, as one that is just being replaced, has no sessions.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import socket
import struct
from collections.abc import Sequence
from typing import Any

from dbmesh.frontend.sessions import WORKER_IDS, Sessions, Shown, not_owner, unknown_thread

PATIENCE = 2.0  # seconds for an answer
_CREDENTIALS = struct.Struct("3i")
_log = logging.getLogger(__name__)


def open_sockets(number: int) -> list[socket.socket]:
    """A listening socket for each worker, under names that no file has: nothing is left when the mesh is killed."""
    name = f"\0dbmesh-{os.getpid()}-{secrets.token_hex(8)}"
    sockets = []
    for worker in range(number):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind(f"{name}-{worker}")
        sock.listen()
        sockets.append(sock)
    return sockets


class Colleagues:
    """``sessions``: this process's own. Alone until `join`."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._addresses: dict[int, Any] = {}  # of the others, by their number
        self._server: asyncio.Server | None = None

    async def join(self, number: int, sockets: Sequence[socket.socket]) -> None:
        """Answer on the socket of that number, and know the others."""
        self._addresses = {at: sock.getsockname() for at, sock in enumerate(sockets) if at != number}
        self._server = await asyncio.start_unix_server(self._answer, sock=sockets[number].dup())

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def shown(self, user: str, everything: bool) -> list[Shown]:
        """The sessions of all workers that a user may see."""
        question = {"user": user, "everything": everything}
        answers = await asyncio.gather(*(self._ask(address, question) for address in self._addresses.values()))
        others = [Shown(*row) for answer in answers if answer is not None for row in answer]
        return sorted([*self._sessions.shown(user, everything), *others], key=lambda shown: int(shown.process[0] or 0))

    async def kill(self, id: int, query_only: bool, user: str, everything: bool) -> None:
        """KILL [CONNECTION | QUERY] of a session of any worker. Raises 1094 and 1095 as MySQL does."""
        address = self._addresses.get(id // WORKER_IDS)
        if address is None:
            self._sessions.kill(id, query_only, user, everything)
            return
        question = {"user": user, "everything": everything, "kill": id, "query": query_only}
        answer = await self._ask(address, question)
        if answer is None or answer == 1094:
            raise unknown_thread(id)
        if answer:
            raise not_owner(id)

    async def _ask(self, address: Any, question: dict[str, object]) -> Any:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            async with asyncio.timeout(PATIENCE):
                sock.connect(address)
                reader, writer = await asyncio.open_unix_connection(sock=sock)
                try:
                    writer.write(json.dumps(question).encode() + b"\n")
                    return json.loads(await reader.read())
                finally:
                    writer.close()
        except (OSError, TimeoutError, ValueError) as error:
            _log.warning("a worker of the mesh does not answer: %s", error or type(error).__name__)
            sock.close()
            return None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            sock = writer.get_extra_info("socket")
            _, uid, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
            if uid == os.geteuid():
                async with asyncio.timeout(PATIENCE):
                    question = json.loads(await reader.readline())
                writer.write(json.dumps(self._answered(question)).encode())
                await writer.drain()
        except (OSError, TimeoutError, ValueError) as error:
            _log.warning("a question of another worker: %s", error or type(error).__name__)
        finally:
            writer.close()

    def _answered(self, question: dict[str, Any]) -> object:
        user, everything = question["user"], question["everything"]
        if "kill" not in question:
            return self._sessions.shown(user, everything)
        return self._sessions.try_kill(question["kill"], question["query"], user, everything)
