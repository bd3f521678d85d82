"""Leases in the coordinator log: a proxy's own, which says that it lives, and its worker id for generated keys.

Only the log server's clock counts. A proxy that could not renew for 70 % of a lease stops starting global transactions
and generating keys by itself, before anybody can take over.
"""

from __future__ import annotations

import asyncio
import secrets
import socket

from dbmesh import __version__
from dbmesh.errors import BackendError, MeshError
from dbmesh.transaction.log import CoordinatorLog, text

WORKER_IDS = 1024
_FENCE = 0.7
_WORKER_LEASE_FACTOR = 6
_DUPLICATE = 1062


class NoLease(MeshError):
    """ER_OPTION_PREVENTS_STATEMENT-like: this proxy may not do it because it cannot reach the coordinator log."""

    errno = 1290
    sqlstate = "HY000"


def new_instance() -> str:
    """A name for one process: six characters."""
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    return "".join(secrets.choice(alphabet) for _ in range(6))


class Lease:
    """A proxy's row in ``proxy``. ``seconds``: how long it holds without renewal."""

    def __init__(self, log: CoordinatorLog, instance: str, seconds: float) -> None:
        self.log = log
        self.instance = instance
        self.seconds = seconds
        self._renewed: float | None = None

    @property
    def valid(self) -> bool:
        """Whether nobody can have taken this proxy for dead."""
        return self._renewed is not None and _now() - self._renewed < self.seconds * _FENCE

    def require(self) -> None:
        """Raise NoLease when the lease may have ended."""
        if not self.valid:
            raise NoLease(
                "This proxy has lost its lease in the coordinator log (data source"
                f" '{self.log.data_source}'): global transactions cannot be started until it is renewed"
            )

    async def renew(self) -> None:
        """Take or prolong the lease. Raises errors.BackendError and errors.BackendLost."""
        asked = _now()
        until = f"NOW(6) + INTERVAL {self.seconds:.6f} SECOND"
        await self.log.links.execute(
            self.log.data_source,
            f"INSERT INTO {self.log.proxy} (instance, epoch, lease_until, host, version) VALUES"
            f" ({text(self.instance)}, 1, {until}, {text(socket.gethostname()[:255])}, {text(__version__)})"
            f" ON DUPLICATE KEY UPDATE lease_until={until}",
        )
        self._renewed = asked

    async def give_up(self) -> None:
        """Let others see to what is left at once. Long dead proxies' rows go too."""
        if self._renewed is None:
            return
        self._renewed = None
        await self.log.links.execute(
            self.log.data_source,
            f"DELETE FROM {self.log.proxy} WHERE instance={text(self.instance)}"
            " OR lease_until < NOW(6) - INTERVAL 1 DAY",
        )


class WorkerLease:
    """A number from 0 to 1023 that no other process has; for snowflake keys."""

    def __init__(self, log: CoordinatorLog, instance: str, seconds: float) -> None:
        self.log = log
        self.instance = instance
        self.seconds = seconds * _WORKER_LEASE_FACTOR
        self.id: int | None = None
        self._renewed = 0.0

    def require(self) -> int:
        """The worker id. Raises NoLease when it may belong to another process by now."""
        if self.id is None or _now() - self._renewed >= self.seconds * _FENCE:
            raise NoLease("No worker id for generated keys: the coordinator log could not be reached to lease one")
        return self.id

    async def renew(self) -> None:
        """Prolong the lease, or take a free number when there is none (any more)."""
        asked = _now()
        if self.id is None or not await self._prolong():
            self.id = None
            self.id = await self._take()
        self._renewed = asked

    async def _prolong(self) -> bool:
        answer = await self.log.links.execute(
            self.log.data_source,
            f"UPDATE {self.log.worker_id} SET lease_until={self._until}"
            f" WHERE id={self.id} AND instance={text(self.instance)}",
        )
        return answer.affected == 1

    @property
    def _until(self) -> str:
        return f"NOW(6) + INTERVAL {self.seconds:.6f} SECOND"

    async def _take(self) -> int:
        me = text(self.instance)
        for _ in range(WORKER_IDS):
            rows = (
                await self.log.links.execute(
                    self.log.data_source, f"SELECT id, lease_until < NOW(6) FROM {self.log.worker_id} ORDER BY id"
                )
            ).rows
            used = {int(row[0] or 0): row[1] == b"1" for row in rows}
            free = next((n for n in range(WORKER_IDS) if used.get(n, True)), None)
            if free is None:
                raise NoLease(f"All {WORKER_IDS} worker ids for generated keys are in use")
            if await self._claim(free, free in used, me):
                return free
        raise NoLease("No worker id for generated keys could be leased")

    async def _claim(self, free: int, exists: bool, me: str) -> bool:
        table, until = self.log.worker_id, self._until
        if exists:
            sql = f"UPDATE {table} SET instance={me}, lease_until={until} WHERE id={free} AND lease_until < NOW(6)"
        else:
            sql = f"INSERT INTO {table} (id, instance, lease_until) VALUES ({free}, {me}, {until})"
        try:
            return (await self.log.links.execute(self.log.data_source, sql)).affected == 1
        except BackendError as error:
            if error.errno != _DUPLICATE:
                raise
            return False

    async def give_up(self) -> None:
        """Let another process have the number, a little later: clocks may differ."""
        if self.id is not None:
            given, self.id = self.id, None
            await self.log.links.execute(
                self.log.data_source,
                f"UPDATE {self.log.worker_id} SET lease_until=NOW(6) + INTERVAL 5 SECOND"
                f" WHERE id={given} AND instance={text(self.instance)}",
            )


def _now() -> float:
    return asyncio.get_running_loop().time()
