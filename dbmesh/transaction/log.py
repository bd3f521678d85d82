"""The coordinator log: one decision row per global transaction, changed by compare-and-swap; and its audit.

Times are the log server's own (NOW(6)), so that the clocks of the proxies do not matter.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from dbmesh.errors import BackendError
from dbmesh.saga.commands import Done, Lost
from dbmesh.saga.states import TERMINAL, TxState
from dbmesh.saga.values import string_literal
from dbmesh.transaction.failpoints import step
from dbmesh.transaction.link import Links
from dbmesh.transaction.ports import Cells
from dbmesh.transaction.tables import Place

STUCK_ATTEMPTS = 10
MOST_SECONDS_BETWEEN_TRIES = 60
_DUPLICATE = 1062
_COLUMNS = (
    "t.gtrid, t.mode, t.state, t.participants, t.owner, t.epoch, t.deadline, t.attempts, t.next_try_at, t.last_error,"
    " t.client, t.label, t.created_at, t.decided_at, t.ended_at,"
    " TIMESTAMPDIFF(MICROSECOND, t.created_at, NOW(6))/1000000, COALESCE(p.lease_until > NOW(6), 0)"
)


@dataclass(frozen=True, slots=True)
class GlobalTransaction:
    """A row of ``g_tx``. Times as the log server writes them (UTC); ``age`` in seconds.

    ``owner_lives``: the proxy that drives it has a lease.
    """

    gtrid: str
    mode: str
    state: TxState
    participants: tuple[str, ...]
    owner: str
    epoch: int
    deadline: str | None
    attempts: int
    next_try_at: str | None
    last_error: str | None
    client: str | None
    label: str | None
    created_at: str
    decided_at: str | None
    ended_at: str | None
    age: float
    owner_lives: bool


def text(value: str | None) -> str:
    """A string as SQL, NULL for None."""
    return "NULL" if value is None else string_literal(value)


class CoordinatorLog:
    """The log in its data source. Raises errors.BackendError and errors.BackendLost."""

    def __init__(self, links: Links, data_source: str, place: Place) -> None:
        self.links = links
        self.data_source = data_source
        self._tx = place.name("g_tx")
        self._event = place.name("g_event")
        self.proxy = place.name("proxy")
        self.worker_id = place.name("worker_id")
        self.lock_wait = place.name("lock_wait")
        self.mesh = place.name("mesh")

    async def open(
        self,
        gtrid: str,
        owner: str,
        epoch: int,
        participants: Sequence[str],
        deadline: float,
        client: str,
        state: TxState = TxState.ACTIVE,
        mode: str | None = None,
    ) -> None:
        """Make the row durable, ACTIVE (eager) or COMMITTING (deferred, xa); once more does nothing."""
        listed = json.dumps([{"ds": name, "ord": number} for number, name in enumerate(participants)])
        mode = mode or ("deferred" if state is TxState.COMMITTING else "eager")
        sql = (
            f"INSERT INTO {self._tx} (gtrid, mode, state, participants, owner, epoch, deadline, client, created_at)"
            f" VALUES ({text(gtrid)}, {text(mode)}, {text(state)}, {text(listed)}, {text(owner)}, {epoch},"
            f" NOW(6) + INTERVAL {deadline:.6f} SECOND, {text(client)}, NOW(6))"
        )
        try:
            await step("open_log", self.data_source, lambda: self.links.execute(self.data_source, sql))
        except BackendError as error:
            if error.errno != _DUPLICATE:
                raise

    async def decide(self, gtrid: str, epoch: int, before: TxState, after: TxState, note: str) -> Done | Lost:
        """The compare-and-swap. Done when ``after`` stands there under this epoch, whoever's attempt wrote it."""
        ended = ", ended_at=NOW(6)" if after in TERMINAL and after is not TxState.COMMITTED else ""
        noted = f", last_error={text(note)}" if note else ""
        retry = ", next_try_at=NOW(6) + INTERVAL 5 SECOND" if after is TxState.ROLLING_BACK else ""
        sql = (
            f"UPDATE {self._tx} SET state={text(after)}, decided_at=NOW(6){ended}{noted}{retry}"
            f" WHERE gtrid={text(gtrid)} AND state={text(before)} AND epoch={epoch}"
        )
        answer = await step("decide", self.data_source, lambda: self.links.execute(self.data_source, sql))
        if answer.affected:
            return Done()
        found = await self.read(gtrid)
        if found is not None and found.state is after and found.epoch == epoch:
            return Done()
        return Lost(found.state if found else None)

    async def mesh_id(self, wanted: str, create: bool) -> str:
        """What this log's meshes call themselves in xids: ``wanted``, unless it has been said before."""
        if create:
            sql = f"INSERT IGNORE INTO {self.mesh} (one, id) VALUES (1, {text(wanted)})"
            await self.links.execute(self.data_source, sql)
        rows = (await self.links.ask(self.data_source, f"SELECT id FROM {self.mesh}")).rows
        return (_text(rows[0][0]) or "") if rows else ""

    async def read(self, gtrid: str) -> GlobalTransaction | None:
        rows = await self._select(f"t.gtrid={text(gtrid)}")
        return rows[0] if rows else None

    async def find(self, start: str) -> list[GlobalTransaction]:
        """Transactions whose gtrid begins so."""
        return await self._select(f"LEFT(t.gtrid, {len(start)})={text(start)} LIMIT 10")

    async def all(self, states: Sequence[TxState] = (), older: float = 0, most: int = 1000) -> list[GlobalTransaction]:
        """The newest first; ``older`` in seconds."""
        where = f"t.created_at <= NOW(6) - INTERVAL {older:.6f} SECOND"
        if states:
            where += f" AND t.state IN ({', '.join(text(state) for state in states)})"
        return await self._select(f"{where} ORDER BY t.created_at DESC, t.gtrid DESC LIMIT {most}")

    async def open_states(self) -> dict[TxState, tuple[int, float]]:
        """By state: how many transactions have not ended, and the age of the oldest in seconds."""
        answer = await self.links.ask(
            self.data_source,
            f"SELECT state, COUNT(*), MAX(TIMESTAMPDIFF(MICROSECOND, created_at, NOW(6)))/1000000 FROM {self._tx}"
            " WHERE ended_at IS NULL GROUP BY state",
        )
        return {TxState(_text(row[0]) or ""): (int(row[1] or 0), float(row[2] or 0)) for row in answer.rows}

    async def orphans(self, me: str) -> list[GlobalTransaction]:
        """What a sweeper of the proxy ``me`` has to see to, the most urgent first."""
        mine = f"t.owner={text(me)}"
        return await self._select(
            "(t.state='ACTIVE' AND (p.instance IS NULL OR p.lease_until <= NOW(6) OR t.deadline <= NOW(6)))"
            " OR (t.state='COMMITTING' AND (p.instance IS NULL OR p.lease_until <= NOW(6)"
            f" OR ({mine} AND COALESCE(t.next_try_at, t.created_at + INTERVAL 5 SECOND) <= NOW(6))))"
            " OR (t.state='ROLLING_BACK' AND (t.next_try_at IS NULL OR t.next_try_at <= NOW(6))"
            f" AND ({mine} OR p.instance IS NULL OR p.lease_until <= NOW(6)))"
            " OR (t.state='COMMITTED' AND t.ended_at IS NULL AND (p.instance IS NULL OR p.lease_until <= NOW(6)"
            f" OR ({mine} AND t.decided_at <= NOW(6) - INTERVAL 5 SECOND)))"
            " ORDER BY t.created_at LIMIT 20"
        )

    async def _select(self, where: str) -> list[GlobalTransaction]:
        sql = f"SELECT {_COLUMNS} FROM {self._tx} t LEFT JOIN {self.proxy} p ON p.instance = t.owner WHERE {where}"
        return [_transaction(row) for row in (await self.links.execute(self.data_source, sql)).rows]

    async def take(self, transaction: GlobalTransaction, owner: str) -> int | None:
        """Become its owner; the new epoch, or None when somebody else was quicker."""
        epoch = transaction.epoch + 1
        answer = await self.links.execute(
            self.data_source,
            f"UPDATE {self._tx} SET owner={text(owner)}, epoch={epoch}, next_try_at=NOW(6) + INTERVAL 5 SECOND"
            f" WHERE gtrid={text(transaction.gtrid)} AND epoch={transaction.epoch}"
            f" AND state={text(transaction.state)}",
        )
        return epoch if answer.affected else None

    async def reopen(self, transaction: GlobalTransaction, owner: str, retention: float) -> int | None:
        """Become the owner of a committed transaction that has ended, so that its records stay until it ends again.

        The new epoch, or None when somebody was quicker, or its records may have been purged: they are older than
        ``retention`` seconds.
        """
        epoch = transaction.epoch + 1
        answer = await self.links.execute(
            self.data_source,
            f"UPDATE {self._tx} SET owner={text(owner)}, epoch={epoch}, ended_at=NULL"
            f" WHERE gtrid={text(transaction.gtrid)} AND epoch={transaction.epoch} AND state='COMMITTED'"
            f" AND ended_at > NOW(6) - INTERVAL {retention:.6f} SECOND",
        )
        return epoch if answer.affected else None

    async def postpone(self, gtrid: str, epoch: int, error: str, stuck: bool) -> None:
        """Count the attempt; the time of the next one survives restarts. Parked when that cannot help."""
        wait = f"LEAST({MOST_SECONDS_BETWEEN_TRIES}, 0.2*POW(2, LEAST(attempts, 12)))*(0.5+RAND()/2)"
        park = f"state=IF(attempts >= {STUCK_ATTEMPTS} AND state='ROLLING_BACK', 'PARKED', state), " if stuck else ""
        await self.links.execute(
            self.data_source,
            f"UPDATE {self._tx} SET {park}next_try_at=NOW(6) + INTERVAL {wait} SECOND, attempts=attempts+1,"
            f" last_error={text(error[:2000])} WHERE gtrid={text(gtrid)} AND epoch={epoch}",
        )

    async def end(self, gtrid: str) -> None:
        sql = f"UPDATE {self._tx} SET ended_at=NOW(6) WHERE gtrid={text(gtrid)} AND ended_at IS NULL"
        await step("end", self.data_source, lambda: self.links.execute(self.data_source, sql))

    async def event(self, gtrid: str, actor: str, kind: str, **detail: object) -> None:
        """An audit line."""
        await self.links.execute(
            self.data_source,
            f"INSERT INTO {self._event} (gtrid, at, actor, kind, detail) VALUES"
            f" ({text(gtrid)}, NOW(6), {text(actor[:64])}, {text(kind)}, {text(json.dumps(detail, default=str))})",
        )

    async def events(self, gtrid: str) -> list[tuple[str, str, str, str]]:
        """(at, actor, kind, detail) of a transaction's audit lines, the oldest first."""
        answer = await self.links.execute(
            self.data_source,
            f"SELECT at, actor, kind, detail FROM {self._event} WHERE gtrid={text(gtrid)} ORDER BY id",
        )
        return [(_text(r[0]) or "", _text(r[1]) or "", _text(r[2]) or "", _text(r[3]) or "") for r in answer.rows]

    async def acts(self, most: int, gtrid: str = "") -> list[tuple[str, str, str, str, str]]:
        """(at, gtrid, actor, kind, detail) of what people did by hand, the newest first; to all transactions or one."""
        only = f" WHERE gtrid={text(gtrid)}" if gtrid else ""
        answer = await self.links.execute(
            self.data_source,
            f"SELECT at, gtrid, actor, kind, detail FROM {self._event}{only} ORDER BY id DESC LIMIT {most}",
        )
        return [
            (_text(r[0]) or "", _text(r[1]) or "", _text(r[2]) or "", _text(r[3]) or "", _text(r[4]) or "{}")
            for r in answer.rows
        ]

    async def proxies(self) -> list[tuple[str, str, str, bool]]:
        """(instance, host, version, whether its lease holds) of the meshes that have not given up their lease."""
        answer = await self.links.execute(
            self.data_source,
            f"SELECT instance, host, version, lease_until > NOW(6) FROM {self.proxy} ORDER BY instance",
        )
        return [(_text(r[0]) or "", _text(r[1]) or "", _text(r[2]) or "", r[3] == b"1") for r in answer.rows]

    async def ended_before(self, retention: float, most: int = 500) -> list[tuple[str, tuple[str, ...]]]:
        """(gtrid, participants) of transactions that ended longer ago than ``retention`` seconds. Never others."""
        answer = await self.links.execute(
            self.data_source,
            f"SELECT gtrid, participants FROM {self._tx} WHERE ended_at <= NOW(6) - INTERVAL {retention:.6f} SECOND"
            f" AND state IN ({', '.join(text(state) for state in sorted(TERMINAL))}) ORDER BY ended_at LIMIT {most}",
        )
        return [(_text(row[0]) or "", _participants(row[1])) for row in answer.rows]

    async def forget(self, gtrids: Sequence[str]) -> None:
        """Remove ended transactions and their audit."""
        listed = ", ".join(text(gtrid) for gtrid in gtrids)
        await self.links.execute(self.data_source, f"DELETE FROM {self._event} WHERE gtrid IN ({listed})")
        await self.links.execute(
            self.data_source, f"DELETE FROM {self._tx} WHERE gtrid IN ({listed}) AND ended_at IS NOT NULL"
        )


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")


def _participants(value: bytes | None) -> tuple[str, ...]:
    listed = json.loads(value or b"[]")
    return tuple(str(item["ds"]) for item in sorted(listed, key=lambda item: int(item["ord"])))


def _transaction(row: Cells) -> GlobalTransaction:
    cells = [_text(value) for value in row]
    return GlobalTransaction(
        gtrid=cells[0] or "",
        mode=cells[1] or "",
        state=TxState(cells[2] or ""),
        participants=_participants(row[3]),
        owner=cells[4] or "",
        epoch=int(cells[5] or 0),
        deadline=cells[6],
        attempts=int(cells[7] or 0),
        next_try_at=cells[8],
        last_error=cells[9],
        client=cells[10],
        label=cells[11],
        created_at=cells[12] or "",
        decided_at=cells[13],
        ended_at=cells[14],
        age=float(cells[15] or 0),
        owner_lives=cells[16] == "1",
    )
