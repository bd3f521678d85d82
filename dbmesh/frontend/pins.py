"""Connections that one session keeps: what lives on a server's connection cannot be shared with other clients.

A kept connection still counts in its data source's pool. It is given up when nothing is left that needs it, on
COM_RESET_CONNECTION, and with the session.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dbmesh.backend.catalog import ServerCatalog
from dbmesh.backend.connection import Connection
from dbmesh.backend.pool import Capabilities
from dbmesh.backend.session_state import SessionState
from dbmesh.engine.caller import Caller, Outcome
from dbmesh.engine.generation import Generation
from dbmesh.errors import MeshError, NotSupported, UnknownTable
from dbmesh.plan.cache import PlanCache
from dbmesh.plan.model import Bound, Plan
from dbmesh.schema import Column, Table
from dbmesh.sql.functions import NAMED_LOCKS
from dbmesh.sql.tokens import TokenKind, tokens
from dbmesh.transaction.locked import LockedTables, Part, named_as_locked
from dbmesh.transaction.uninterrupted import uninterrupted

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session

Runs = Callable[[Bound, Generation, Caller, None], Awaitable[Outcome]]
_TABLE_LOCKS = "LOCK TABLES"
_PLANS = 4
_SOME_LOCK = "GET_LOCK() of a name that only the server knows"


class PinLost(MeshError):
    """ER_SERVER_SHUTDOWN, the nearest that MySQL has: there the whole connection would be gone."""

    errno = 1053
    sqlstate = "08S01"

    def __init__(self, data_source: str, reasons: Sequence[str]) -> None:
        super().__init__(
            f"The session's own connection to data source '{data_source}' was lost, and with it: {', '.join(reasons)}"
        )


class Pin:
    """Kept connections as a `Lender`: their session gets them before any others of the data sources.

    ``reasons``: what lives on them, as SHOW MESH SESSIONS says it. ``tables``: temporary tables by actual name, all on
    ``connection``, the first one. ``others``: by data source, for table locks; ``unaliased``: see `LockedTables`.
    ``view``: the session's generation, with this lender and with what temporary tables look like.
    """

    def __init__(self, generation: Generation, connection: Connection) -> None:
        self.reasons: dict[str, None] = {}
        self.tables: dict[str, str] = {}
        self.data_source = connection.data_source
        self.connection = connection
        self.others: dict[str, Connection] = {}
        self.unaliased: Mapping[Part, str] = {}
        self._generation = generation
        self._lent: set[str] = set()
        self._given_up = False
        self._renew()

    def refresh(self) -> None:
        """For the next statement: temporary tables come and go, and others' plans know nothing of them."""
        if list(self.reasons) != [_TABLE_LOCKS]:
            self._renew()

    def _renew(self) -> None:
        catalog = _TemporaryCatalog(self, self._generation)
        self.view = replace(self._generation, lender=self, catalog=catalog, plans=PlanCache(_PLANS))

    @property
    def connections(self) -> dict[str, Connection]:
        return {self.data_source: self.connection, **self.others}

    @property
    def lost(self) -> bool:
        """Whether one of them has ended."""
        return not self._given_up and any(c.closed or c.poisoned for c in (self.connection, *self.others.values()))

    async def acquire(
        self, requests: Sequence[str], capabilities: Capabilities, state: SessionState
    ) -> list[Connection]:
        """As `Cluster.acquire`. Raises PinLost."""
        own = {} if self._given_up else self.connections
        names = [name for name in dict.fromkeys(requests) if name in own and name not in self._lent]
        if not names or (capabilities.found_rows and not self.connection.capabilities.found_rows):
            return await self._generation.cluster.acquire(requests, capabilities, state)
        if self.lost:
            raise PinLost(self.data_source, list(self.reasons))
        places = {requests.index(name): name for name in names}
        self._lent.update(names)
        try:
            others = [name for at, name in enumerate(requests) if at not in places]
            taken = iter(await self._generation.cluster.acquire(others, capabilities, state) if others else [])
        except BaseException:
            self._lent.difference_update(names)
            raise
        return [own[places[at]] if at in places else next(taken) for at in range(len(requests))]

    def release(self, connection: Connection, reusable: bool = True) -> None:
        name = connection.data_source
        if self._given_up or self.connections.get(name) is not connection:
            self._generation.cluster.release(connection, reusable)
            return
        self._lent.discard(name)
        if not reusable or connection.busy:
            connection.close()

    def lend_on(self) -> None:
        """The first connection is a transaction's branch already."""
        self._lent.add(self.data_source)

    async def extend(self, names: Sequence[str], capabilities: Capabilities, state: SessionState) -> None:
        """Keep a connection to each of these data sources."""
        missing = [name for name in names if name not in self.connections]
        if missing:
            taken = await self._generation.cluster.acquire(missing, capabilities, state)
            self.others |= zip(missing, taken, strict=True)

    def shrink(self, reusable: bool = True) -> None:
        """Keep the first connection only."""
        others, self.others = self.others, {}
        for connection in others.values():
            self._generation.cluster.release(connection, reusable)

    def give_up(self, reusable: bool) -> None:
        """Nothing on them is needed any more. While one is lent, whoever has it gives it back to the pool."""
        if not self._given_up:
            self.shrink(reusable)
            self._given_up = True
            if self.data_source not in self._lent or not reusable:
                self._generation.cluster.release(self.connection, reusable)


class _TemporaryCatalog(ServerCatalog):
    """The servers' metadata say nothing of temporary tables: their statements go to the server as they are."""

    def __init__(self, pin: Pin, generation: Generation) -> None:
        super().__init__(pin, generation.rules)
        self._pin = pin

    async def table(self, data_source: str, actual_table: str) -> Table | None:
        here = data_source == self._pin.data_source
        if here and actual_table in self._pin.tables:
            return None
        try:
            return await super().table(data_source, actual_table)
        except UnknownTable:
            if here and self._pin.tables:
                return None
            raise

    async def describe(self, data_source: str, sql: str, state: SessionState) -> tuple[Column, ...]:
        return await super().describe(data_source, named_as_locked(sql, data_source, self._pin.unaliased), state)

    async def check(self, data_source: str, sql: str, state: SessionState) -> None:
        await super().check(data_source, named_as_locked(sql, data_source, self._pin.unaliased), state)


class Pins:
    """What a session keeps: ``own`` for temporary and locked tables, ``locks`` for named locks."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.own: Pin | None = None
        self.locked: LockedTables | None = None  # on ``own``
        self.locks: Pin | None = None

    @property
    def reasons(self) -> list[str]:
        return [reason for pin in (self.own, self.locks) if pin is not None for reason in pin.reasons]

    def lost(self) -> PinLost | None:
        """What the client has to be told, once: the session is without it from here on."""
        gone = [pin for pin in (self.own, self.locks) if pin is not None and pin.lost]
        for pin in gone:
            pin.give_up(reusable=False)
        if self.own in gone:
            self.own = self.locked = None
        self.locks = None if self.locks in gone else self.locks
        reasons = [reason for pin in gone for reason in pin.reasons]
        return PinLost(gone[0].data_source, reasons) if reasons else None

    def clear(self) -> None:
        """The session ends or begins anew: the servers forget what it had."""
        for pin in (self.own, self.locks):
            if pin is not None:
                pin.give_up(reusable=False)
        self.own = self.locks = self.locked = None

    # -- temporary tables

    async def begin(self, bound: Bound) -> None:
        """Before a statement that makes a temporary table: have the connection that it is to live on."""
        data_source = bound.units[0].data_source
        if self.own is not None and self.own.data_source != data_source:
            raise NotSupported(
                f"temporary tables on two data sources: the session has {', '.join(self.own.reasons)} on "
                f"'{self.own.data_source}', this one belongs to '{data_source}'",
                "drop those first",
            )
        if self.own is None:
            self.own = await self._taken(data_source)

    async def hold(self, data_source: str, reason: str) -> Pin:
        """Before a statement that may leave anything on its connection: keep that one, until `let_go`."""
        if self.own is not None and self.own.data_source != data_source:
            raise NotSupported(
                f"{reason} on data source '{data_source}' beside {', '.join(self.own.reasons)} on "
                f"'{self.own.data_source}'",
                "open another connection for it",
            )
        if self.own is None:
            self.own = await self._taken(data_source)
        self.own.reasons[reason] = None
        return self.own

    def let_go(self, reason: str) -> None:
        """What `hold` was called for is not, or no longer, there."""
        if self.own is not None:
            self.own.reasons.pop(reason, None)
            self._free_own()

    def settle(self, plan: Plan, bound: Bound, failed: bool) -> None:
        """After a statement that made or dropped tables."""
        own = self.own
        if own is None:
            return
        made = plan.tables[:1] if plan.keeps else plan.tables
        for _, name in made if not failed else ():
            reason = f"temporary table {name}"
            if plan.keeps:
                own.reasons[reason] = None
                own.tables[bound.units[0].table] = name
            else:
                own.reasons.pop(reason, None)
                own.tables = {actual: logical for actual, logical in own.tables.items() if logical != name}
        self._free_own()

    # -- table locks

    async def lock_tables(self, statements: Mapping[str, str], unaliased: Mapping[Part, str], moment: int) -> None:
        """LOCK TABLES on each data source, in that order; ``moment``: seconds to wait for all but the first.

        Errors leave nothing locked.
        """
        session = self._session
        if self.own is None:
            self.own = await self._taken(next(iter(statements)))
        own = self.own
        try:
            await own.extend(list(statements), session.capabilities, session.state)
            for number, (name, sql) in enumerate(statements.items()):
                connection = own.connections[name]
                hurried = session.state.with_variables({"lock_wait_timeout": str(moment)})
                await connection.apply(hurried if number else session.state)
                await connection.execute(sql)
                await connection.apply(session.state)
        except BaseException:
            await uninterrupted(self._unlock(own))
            raise
        branches = {name: own.connections[name] for name in statements}
        deadlocks = session.generation.deadlocks
        self.locked = LockedTables(own, session.capabilities, deadlocks, branches=branches, unaliased=unaliased)
        own.unaliased = unaliased
        own.reasons[_TABLE_LOCKS] = None

    async def unlock_tables(self) -> None:
        """UNLOCK TABLES, and what BEGIN does to table locks."""
        if self.own is not None and self.locked is not None:
            await self._unlock(self.own)

    async def _unlock(self, own: Pin) -> None:
        self.locked = None
        own.unaliased = {}
        own.reasons.pop(_TABLE_LOCKS, None)
        for connection in own.connections.values():
            try:
                if not connection.busy:
                    await connection.execute("UNLOCK TABLES")
            except MeshError:
                connection.close()  # whatever it has locked is free then
        own.shrink()
        self._free_own()

    def _free_own(self) -> None:
        if self.own is not None and not self.own.reasons:
            self.own.give_up(reusable=True)
            self.own = None

    async def _taken(self, data_source: str) -> Pin:
        session = self._session
        generation = session.generation
        transaction = session.transaction
        local = transaction.local if transaction is not None else None
        branch = local.branches.get(data_source) if local is not None else None
        if branch is not None and not branch.closed:
            connection = branch
        else:
            [connection] = await generation.cluster.acquire([data_source], session.capabilities, session.state)
        pin = Pin(generation, connection)
        if branch is connection:
            pin.lend_on()
        if local is not None:
            local.lender = pin
        return pin

    # -- named locks

    async def run_locks(self, bound: Bound, caller: Caller, run: Runs) -> Outcome:
        """A statement with GET_LOCK() and its kind: on the session's connection to where all named locks are."""
        pin = self.locks
        generation = self._session.generation
        if pin is None:
            unit = bound.units[0]
            [connection] = await generation.cluster.acquire([unit.data_source], caller.capabilities, caller.state)
            pin = self.locks = Pin(generation, connection)
        try:
            return await run(bound, replace(generation, lender=pin), caller, None)
        finally:
            await self._settle_locks(pin, bound.units[0].sql)

    async def _settle_locks(self, pin: Pin, sql: str) -> None:
        """Ask which of the named locks the session still has, and keep the connection while it has any."""
        named, others, released = _lock_names(sql)
        names = [*(reason for reason in pin.reasons if reason != _SOME_LOCK), *named]
        names = list(dict.fromkeys(name.removeprefix("lock ") for name in names))
        some = (others or _SOME_LOCK in pin.reasons) and not released
        pin.reasons = dict.fromkeys([f"lock {name}" for name in names] + [_SOME_LOCK] * some)
        if pin.lost:
            return
        if names:
            asked = ", ".join(f"IS_USED_LOCK({name}) <=> CONNECTION_ID()" for name in names)
            try:
                [row] = (await pin.connection.execute(f"SELECT {asked}")).rows
            except MeshError:
                return  # what is lost shows at the session's next statement
            for name, held in zip(names, row, strict=True):
                if held != b"1":
                    del pin.reasons[f"lock {name}"]
        if not pin.reasons:
            pin.give_up(reusable=True)
            self.locks = None


def _lock_names(sql: str) -> tuple[list[str], bool, bool]:
    """The literal names of GET_LOCK() in a text, whether there are others, and whether all locks are released."""
    found = [token for token in tokens(sql) if token.kind is not TokenKind.COMMENT]
    named: list[str] = []
    others = released = False
    for at, token in enumerate(found[:-2]):
        if token.upper not in NAMED_LOCKS or found[at + 1].text != "(":
            continue
        released |= token.upper == "RELEASE_ALL_LOCKS"
        if token.upper == "GET_LOCK":
            literal = found[at + 2].kind is TokenKind.STRING and found[at + 3].text == ","
            named += [found[at + 2].text] if literal else []
            others |= not literal
    return named, others, released
