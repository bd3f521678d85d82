"""COM_CHANGE_USER: another login on the same connection, which then has another session."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from dbmesh.errors import MeshError
from dbmesh.frontend.connection import ClientConnection
from dbmesh.frontend.door import Door, LoginDenied
from dbmesh.protocol.login import ServerLogin, Step, Verdict
from dbmesh.protocol.response import error_packet, ok_packet

_log = logging.getLogger(__name__)


class ChangeUser:
    """``login``: the one that the connection began with; its salt is used again, as servers do.

    A login that is refused ends the connection, since its session has not been asked for anything else.
    """

    def __init__(self, door: Door, connection: ClientConnection, login: ServerLogin) -> None:
        self._door = door
        self._connection = connection
        self._login = login
        self._task: asyncio.Task[None] | None = None

    def begin(self, payload: bytes) -> None:
        """Take the packet. Raises BadHandshake; then nothing has changed."""
        self._take(self._login.change_user(payload))

    def _on_payload(self, payload: bytes) -> None:
        self._take(self._login.receive(payload))

    def _take(self, step: Step) -> None:
        verdict, replies = step
        response = self._login.response
        assert response is not None
        if verdict is Verdict.UNDECIDED:
            self._connection.converse(self._on_payload, *replies)
        elif verdict is Verdict.ACCEPTED:
            self._task = asyncio.get_running_loop().create_task(self._change(replies))
        else:
            denied = LoginDenied(response.user, self._connection.host, self._login.used_password)
            self._connection.send(error_packet(denied))
            self._connection.close()

    async def _change(self, replies: list[bytes]) -> None:
        connection, response = self._connection, self._login.response
        assert response is not None
        if self._login.learned is not None:
            self._door.learn(response.user, self._login.learned)
        try:
            await connection.leave_session().end()
            if connection.closed:
                return
            connection.login = replace(
                connection.login,
                user=response.user,
                database=response.database,
                collation=response.collation,
                attributes=response.attributes,
                used_password=self._login.used_password,
            )
            session = self._door.open_session(connection)
        except MeshError as error:
            connection.send(error_packet(error))
            connection.close()
        except Exception:
            _log.exception("a change of user of connection %s failed", connection.id)
            connection.abort()
        else:
            connection.send(*replies, ok_packet())
            connection.begin(session)
