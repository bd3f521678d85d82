"""What a client calls a transaction: `local` branches or a BASE saga, under the rules it began with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Connection
from dbmesh.backend.pool import Capabilities
from dbmesh.engine import engine
from dbmesh.engine.caller import Caller, Outcome
from dbmesh.engine.generation import Generation
from dbmesh.engine.watched import lock_rows, run_watched
from dbmesh.errors import NotSupported, ParseError
from dbmesh.plan.model import Bound, Plan
from dbmesh.rules.model import DataNode, MeshRules
from dbmesh.transaction import ports
from dbmesh.transaction.deferred import Deferred
from dbmesh.transaction.local import LocalTransaction, SingleTransaction
from dbmesh.transaction.locked import LockedTables
from dbmesh.transaction.uninterrupted import uninterrupted
from dbmesh.transaction.watch import Watch, undeclared
from dbmesh.transaction.xa import XaTransaction

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session
    from dbmesh.transaction.base import Saga

_OPTIONS = re.compile(r"\s*START\s+TRANSACTION\s*(.*?)\s*;?\s*\Z", re.IGNORECASE | re.DOTALL)
_SNAPSHOT = "WITH CONSISTENT SNAPSHOT"
_KNOWN_OPTIONS = {"", "READ ONLY", "READ WRITE", _SNAPSHOT}


@dataclass(slots=True)
class SessionConnections:
    """``transaction.ports.Connections``: pooled connections that carry the session's state."""

    session: Session
    generation: Generation

    async def acquire(self, data_sources: Sequence[str]) -> list[Connection]:
        cluster = self.generation.cluster
        # the saga tells matched from changed rows itself, so its connections always count the matched ones
        capabilities = Capabilities(found_rows=True)
        connections = await cluster.acquire(data_sources, capabilities, self.session.state)
        try:
            for connection in connections:
                await connection.apply(self.session.state)
        except BaseException:
            for connection in connections:
                cluster.release(connection)
            raise
        return connections

    def release(self, connection: ports.Connection, reusable: bool) -> None:
        assert isinstance(connection, Connection)
        self.generation.cluster.release(connection, reusable)


@dataclass(slots=True)
class ClientTransaction:
    """Exactly one of ``local`` and ``saga`` is there; ``saga`` is for BASE in eager mode, ``local`` for all others."""

    generation: Generation
    session: Session
    local: LocalTransaction | None = None
    saga: Saga | None = None
    watch: Watch | None = None  # with ``local``, where BASE transactions are configured
    access: tuple[tuple[str, str], ...] = ()  # its own isolation level and access mode, as SET TRANSACTION has them
    explicit: bool = True  # begun by the client's word, not by its first statement without autocommit

    @classmethod
    async def begin(cls, session: Session, text: str, mode: str | None = None) -> ClientTransaction:
        """A new one. ``text``: BEGIN or START TRANSACTION with its options. ``mode``: None for the session's."""
        options = _options(text)
        generation = session.generation
        access = _access(session, options)
        mode = "local" if _reads_only(session, options) else mode or session.transaction_mode
        base = mode == "base"
        client = f"{session.user.name}@{session.client.host}"
        if base and session.base_mode == "eager":
            _check_eager(session, options)
            return cls(generation, session, saga=session.mesh.sagas.begin(generation.catalog, client), access=access)
        proxy = session.mesh.proxy
        watch: Watch | None = None
        if base:
            proxy.require_log()
            watch = Deferred(proxy, generation.catalog, client)
        elif proxy.rules.log is not None:
            watch = Watch(proxy, generation.catalog)
        local = _local(session, mode, options, client)
        if _SNAPSHOT in options and session.logical_database is not None:
            # a snapshot is taken where it is asked for, not where the first row is read
            await local.enlist(session.logical_database.data_sources, session.state)
        return cls(generation, session, local=local, watch=watch, access=access)

    @classmethod
    def around(cls, session: Session, local: LocalTransaction) -> ClientTransaction:
        """One that the servers have begun already."""
        generation = session.generation
        proxy = session.mesh.proxy
        watch = Watch(proxy, generation.catalog) if proxy.rules.log is not None else None
        return cls(generation, session, local=local, watch=watch)

    @classmethod
    def under_locks(cls, session: Session, locked: LockedTables) -> ClientTransaction:
        """What autocommit=0 makes of a statement under LOCK TABLES."""
        transaction = cls.around(session, locked)
        transaction.explicit = False
        return transaction

    @property
    def based(self) -> bool:
        """Whether it is a BASE transaction."""
        return self.saga is not None or self._deferred is not None

    @property
    def sources(self) -> set[str]:
        """The data sources that have a branch of it."""
        return set(self.local.branches) if self.local is not None else set()

    @property
    def characteristics(self) -> str:
        """The statements that would begin such a transaction elsewhere."""
        told = dict(self.access)
        level = told.get("transaction_isolation")
        mode = {"1": " READ ONLY", "0": " READ WRITE"}.get(told.get("transaction_read_only", ""), "")
        isolation = f"SET TRANSACTION ISOLATION LEVEL {_level(level)}; " if level is not None else ""
        return f"{isolation}START TRANSACTION{mode};"

    async def run(self, plan: Plan, bound: Bound, caller: Caller) -> Outcome:
        """A statement of the transaction."""
        writes = (plan.writes and not plan.locks) or plan.calls
        if self.local is not None and writes and bound.staging is None:  # the units of a staged write only read
            self.local.will_write({unit.data_source for unit in bound.units if unit.sentry is None})
        if isinstance(self.local, XaTransaction):
            _check_temporary(self.session, plan)
        return await self._run(plan, bound, caller)

    async def _run(self, plan: Plan, bound: Bound, caller: Caller) -> Outcome:
        if plan.writes and not plan.locks:
            return await self.write(plan, bound, caller)
        if self.saga is not None and plan.locks:
            raise NotSupported(
                "eager mode commits each statement, so SELECT with a locking clause would hold no lock",
                "leave the clause out, or use SET dbmesh_base_mode='deferred'",
            )
        if self._deferred is not None and plan.locks:
            await lock_rows(bound, caller, self._local, plan.based, self._deferred)
        return await engine.run(bound, self.generation, caller, self.local)

    @property
    def ended(self) -> bool:
        """A deadlock has ended it, as it would in MySQL: the client is out of it."""
        return not self.saga.active if self.saga is not None else self._local.ended

    async def write(self, plan: Plan, bound: Bound, caller: Caller) -> Outcome:
        """A statement that changes rows on one shard or several: on all of them or on none."""
        if self.local is not None:
            if self._deferred is not None and not plan.based:
                self._deferred.outside(bound.units, undeclared(plan.tables[-1].name if plan.tables else ""))
            if not plan.based or self.watch is None:
                return await engine.run(bound, self.generation, caller, self.local)
            return await run_watched(
                bound, self.generation, caller, self.local, plan.based, self.watch, self.session.text
            )
        assert self.saga is not None
        if bound.staging is not None:
            raise NotSupported(
                "eager mode commits each statement by data node, so rows would not stay locked until they are changed",
                "use SET dbmesh_base_mode='deferred'",
            )
        _check_declared(plan, bound, self.generation.rules)
        result = await self.saga.execute(
            [unit.rewritten(caller.written) for unit in bound.units],
            SessionConnections(self.session, self.generation),
            encoding=self.session.encoding,
            original=self.session.text,
            copies=bound.affected == "first",
        )
        return Outcome(
            affected=result.matched if caller.capabilities.found_rows else result.affected,
            last_insert_id=result.last_insert_id if bound.last_insert_id is None else bound.last_insert_id,
            info=result.info,
            warnings=result.warnings,
            warning_rows=result.warning_rows,
        )

    async def may_end(self, statement: str) -> None:
        """Raises when the client's COMMIT or ROLLBACK does not end it: it goes on."""
        if self.local is not None:
            await self.local.may_end(statement)

    async def commit(self) -> None:
        try:
            if self._deferred is not None:
                await uninterrupted(self._deferred.commit(self._local))
            else:
                await uninterrupted(self.saga.commit() if self.saga is not None else self._local.commit())
        finally:
            if self.local is not None:
                self.local.discard()  # a branch that is still open has failed in a way nobody thought of

    async def rollback(self) -> None:
        await uninterrupted(self.saga.rollback() if self.saga is not None else self._local.rollback())

    async def savepoint(self, name: str) -> None:
        if self.saga is not None:
            self.saga.savepoint(name)
        else:
            await self._local.savepoint(name)
        if self._deferred is not None:
            self._deferred.mark(name)

    async def rollback_to(self, name: str) -> None:
        await (self.saga.rollback_to(name) if self.saga is not None else self._local.rollback_to(name))
        if self._deferred is not None:
            self._deferred.back_to(name)

    async def release_savepoint(self, name: str) -> None:
        if self.saga is not None:
            self.saga.release(name)
        else:
            await self._local.release_savepoint(name)

    async def abandon(self) -> None:
        """The client has gone, or the statement that was all of it has failed."""
        if self.saga is not None:
            await self.saga.abandon()
        else:
            self._local.discard()

    @property
    def _deferred(self) -> Deferred | None:
        return self.watch if isinstance(self.watch, Deferred) else None

    @property
    def _local(self) -> LocalTransaction:
        assert self.local is not None
        return self.local


def _local(session: Session, mode: str, options: tuple[str, ...], client: str) -> LocalTransaction:
    generation = session.generation
    shared = generation.lender, session.capabilities, generation.deadlocks
    patience = generation.rules.transaction.commit_timeout
    if mode == "xa":
        if _SNAPSHOT in options:
            raise NotSupported("XA transactions have no snapshot of their beginning", "leave it out, or add READ ONLY")
        begin = _xa_statements(session, options)
        return XaTransaction(*shared, begin, patience=patience, proxy=session.mesh.proxy, client=client)
    kind = SingleTransaction if mode == "single" else LocalTransaction
    return kind(*shared, _begin_statements(session, options), patience=patience)


def _check_temporary(session: Session, plan: Plan) -> None:
    own = session.pins.own
    there = own is not None and any(name in own.tables.values() for _, name in plan.tables)
    if session.mesh.is_mysql and (there or plan.keeps):
        raise NotSupported(
            "MySQL has no temporary tables inside XA transactions", "use them before BEGIN, or in another mode"
        )


def _check_eager(session: Session, options: tuple[str, ...]) -> None:
    why = "a BASE transaction in eager mode commits each statement, so it has no"
    if _SNAPSHOT in options:
        raise NotSupported(f"{why} snapshot", "add READ ONLY, or SET dbmesh_base_mode='deferred'")
    if any(name == "transaction_isolation" for name, _ in session.settings.next_transaction):
        raise NotSupported(
            f"{why} isolation level of its own",
            "SET SESSION TRANSACTION ISOLATION LEVEL for its statements, or SET dbmesh_base_mode='deferred'",
        )


def _check_declared(plan: Plan, bound: Bound, rules: MeshRules) -> None:
    """BASE writes only what the rules declare: everybody else's writes to such tables are prepared for it."""
    written = {DataNode(unit.data_source, unit.table) for unit in bound.units}
    for database, name in plan.tables:
        home = rules.databases.get(database)
        rule = home.table(name) if home is not None else None
        if rule is not None and not rule.base and not written.isdisjoint(rule.nodes):
            raise undeclared(name)


def _options(text: str) -> tuple[str, ...]:
    match = _OPTIONS.match(text)
    found = tuple(" ".join(part.split()).upper() for part in match[1].split(",")) if match else ("",)
    unknown = [option for option in found if option not in _KNOWN_OPTIONS]
    if unknown or {"READ ONLY", "READ WRITE"} <= set(found):
        raise ParseError.near(", ".join(unknown or found))
    return found


def _reads_only(session: Session, options: tuple[str, ...]) -> bool:
    """Without writes there is nothing to compensate: the servers' own transactions do, and refuse writes."""
    if "READ WRITE" in options:
        return False
    return "READ ONLY" in options or ("transaction_read_only", "1") in session.settings.next_transaction


def _access(session: Session, options: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    told = dict(session.settings.next_transaction)
    if "READ ONLY" in options or "READ WRITE" in options:
        told["transaction_read_only"] = "1" if "READ ONLY" in options else "0"
    return tuple(told.items())


def _level(literal: str) -> str:
    return literal.strip("'").replace("-", " ")


def _xa_statements(session: Session, options: tuple[str, ...]) -> tuple[str, ...]:
    """XA START has no options: they are told before it."""
    told = dict(_access(session, options))
    level, read_only = told.get("transaction_isolation"), told.get("transaction_read_only")
    statements = [f"SET TRANSACTION ISOLATION LEVEL {_level(level)}"] if level is not None else []
    return (*statements, "SET TRANSACTION READ WRITE") if read_only == "0" else tuple(statements)


def _begin_statements(session: Session, options: tuple[str, ...]) -> tuple[str, ...]:
    statements = []
    for name, value in session.settings.next_transaction:
        if name == "transaction_isolation":
            statements.append(f"SET TRANSACTION ISOLATION LEVEL {_level(value)}")
        elif value == "1":
            statements.append("SET TRANSACTION READ ONLY")
    chosen = ", ".join(option for option in options if option)
    return (*statements, f"START TRANSACTION {chosen}" if chosen else "BEGIN")
