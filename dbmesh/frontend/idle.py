"""Ends the connections of clients that have not sent anything for long."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from dbmesh.errors import MeshError
from dbmesh.frontend.connection import ClientConnection

LOOKS = 8  # within one time-out: a client is dismissed at most an eighth of it late


class ClientTimeout(MeshError):
    """ER_CLIENT_INTERACTION_TIMEOUT."""

    errno = 4031

    def __init__(self) -> None:
        super().__init__(
            "The client was disconnected by the server because of inactivity. "
            "See wait_timeout and interactive_timeout for configuring this behavior."
        )


class IdleClients:
    """Looks at the connections from time to time, so that a command costs nothing for it. ``seconds``: the time-out."""

    def __init__(self, connections: Collection[ClientConnection], seconds: float) -> None:
        self._connections = connections
        self._seconds = seconds
        self._seen: dict[ClientConnection, tuple[float, float]] = {}  # (its last command, seen first at)
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Look from now on, until `stop`."""
        if self._timer is None:
            self._look()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._seconds / LOOKS, self._look)
        now = loop.time()
        seen: dict[ClientConnection, tuple[float, float]] = {}
        for connection in list(self._connections):
            if connection.busy or connection.session is None:
                continue
            command = connection.session.began
            before = self._seen.get(connection)
            if before is None or before[0] != command:
                seen[connection] = (command, now)
            elif now - before[1] >= self._seconds:
                connection.dismiss(ClientTimeout())
            else:
                seen[connection] = before
        self._seen = seen
