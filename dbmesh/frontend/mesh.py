"""The mesh of one process: its generation of rules, its sessions, and what a login asks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from dbmesh import __version__, build
from dbmesh.backend.connection import Connection
from dbmesh.backend.flavours import mixture
from dbmesh.backend.pool import Capabilities
from dbmesh.backend.session_state import DEFAULT_STATE, SessionState
from dbmesh.engine.generation import Generation
from dbmesh.engine.lasting import sweep_on
from dbmesh.errors import MeshError
from dbmesh.frontend.colleagues import Colleagues
from dbmesh.frontend.connection import ClientConnection
from dbmesh.frontend.door import ClientLogin, LoginDenied, UserLimitReached
from dbmesh.frontend.keys import Keys
from dbmesh.frontend.session import Session
from dbmesh.frontend.sessions import Sessions
from dbmesh.frontend.tls import TlsEndpoint
from dbmesh.frontend.variables import unusual_mode
from dbmesh.plan.federate import federating
from dbmesh.protocol.auth import CACHING_SHA2, NATIVE, Password
from dbmesh.protocol.charset import COLLATIONS, charset_of, python_codec
from dbmesh.protocol.constants import Capability
from dbmesh.rules.difference import difference
from dbmesh.rules.mistakes import RuleErrors
from dbmesh.rules.model import Grant, LogicalDatabase, MeshRules, ServerTls, ShardedTable, User
from dbmesh.sql.comments import open_comments
from dbmesh.transaction.base import Sagas
from dbmesh.transaction.recovery import Proxy

RETIRE_CHECK = 0.2  # seconds between two looks at whether replaced rules are still in use
RETIRE_GRACE = 5.0  # seconds for what is being relayed over their connections
FALLBACK_VERSION = "8.0.36-DBMesh"
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_log = logging.getLogger(__name__)


class Mesh:
    """``generation`` is swapped whole by `adopt`; sessions in a transaction keep theirs."""

    def __init__(
        self,
        rules: MeshRules,
        load: Callable[[], MeshRules],
        announce: Callable[[], None] = lambda: None,
        load_tls: Callable[[ServerTls], TlsEndpoint | None] = lambda rules: None,
    ) -> None:
        """``load``: reads the rule files again. ``announce``: has the other processes of the mesh read them too.

        ``load_tls``: reads the certificate, which may be renewed at every reload; raises OSError.
        """
        self.announce = announce
        self._load = load
        self._load_tls = load_tls
        self.tls = load_tls(rules.tls)
        self.sessions = Sessions()
        self.colleagues = Colleagues(self.sessions)
        self.proxy = Proxy(rules)
        self.generation = Generation.of(rules, self.proxy.deadlocks)
        self.sagas = Sagas(self.proxy)
        self.keys = Keys(self.proxy.worker_id)
        self.server_version = rules.server_version or ""  # what clients are told
        self._servers = FALLBACK_VERSION  # what the servers say of themselves
        self.started = time.time()
        self.queries = 0
        self.default_collations: dict[str, str] = {}  # by character set, as the servers have said
        self.allowed_states: set[SessionState] = set()  # that a server has taken; see `asks.try_state`
        self._learned: dict[str, bytes] = {}
        self._sql_mode: str | None = None  # the servers' default
        self._tasks: set[asyncio.Task[Any]] = set()
        self._next_source = 0

    async def start(self) -> None:
        """Reach every data source once. One that does not answer is tried again when it is needed."""
        failures = await self.generation.cluster.warm_up()
        for name, error in failures.items():
            _log.warning("data source %s: %s", name, error.message)
        if mixed := await mixture(self.generation.catalog, [n for n in self.rules.data_sources if n not in failures]):
            _log.warning("%s", mixed)
        self._servers = await self._servers_version()
        self.server_version = self.server_version or self._servers
        if self.is_mysql:
            for name in {federating(database) for database in self.rules.databases.values()} - failures.keys():
                await sweep_on(self.generation, name)
        await self.proxy.start()
        await self._lease_worker()

    @property
    def is_mysql(self) -> bool:
        """Whether the servers are MySQL's own, not MariaDB's."""
        return "MariaDB" not in self._servers

    async def _servers_version(self) -> str:
        """What the first server that answers calls itself: drivers choose their behaviour by it."""
        for name in self.rules.data_sources:
            try:
                [connection] = await self.generation.cluster.acquire([name], Capabilities(), DEFAULT_STATE)
            except MeshError:
                continue
            with contextlib.suppress(MeshError):
                await self._learn_sql_mode(connection)
            self.generation.cluster.release(connection)
            return connection.server_version
        return FALLBACK_VERSION

    async def _learn_sql_mode(self, connection: Connection) -> None:
        [[mode]] = (await connection.execute("SELECT @@GLOBAL.sql_mode")).rows
        self._sql_mode = (mode or b"").decode("ascii")

    async def _ask_for_sql_mode(self) -> None:
        name = self.any_data_source(None)
        [connection] = await self.generation.cluster.acquire([name], Capabilities(), DEFAULT_STATE)
        try:
            await self._learn_sql_mode(connection)
        finally:
            self.generation.cluster.release(connection)

    async def _lease_worker(self) -> None:
        """A worker id for generated keys, when a table wants some; without one their INSERTs are refused."""
        tables = [table for database in self.rules.databases.values() for table in database.tables.values()]
        wanted = any(
            isinstance(table, ShardedTable) and table.generator is not None and table.generator.type == "snowflake"
            for table in tables
        )
        if wanted and self.rules.transaction.log is not None:
            try:
                await self.proxy.lease_worker_id()
            except MeshError as error:
                _log.warning("no worker id for generated keys: %s", error.message)

    async def drain(self, seconds: float) -> None:
        """Let what runs come to its end: idle sessions are closed now, the others when they are."""
        for session in self.sessions:
            session.leave()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.sessions.emptied()

    async def stop(self, grace: float) -> None:
        """End what runs in the background, after ``grace`` seconds at most, and close the connections."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.colleagues.close()
        await self.proxy.stop()
        await self.generation.cluster.close(grace)

    async def reload(self) -> list[str]:
        """Read the rule files again and swap the rules; what has changed. Raises MeshError with every mistake."""
        try:
            rules = self._load()
        except RuleErrors as mistakes:
            raise MeshError(f"The rules were not reloaded: {mistakes}") from mistakes
        try:
            self.tls = self._load_tls(rules.tls)
        except OSError as error:
            raise MeshError(f"The rules were not reloaded: {error}") from error
        lines = difference(self.rules, rules)
        if lines:
            self.adopt(rules)
            await self._lease_worker()
        return lines

    def adopt(self, rules: MeshRules) -> None:
        """Swap the rules; connections that no longer fit are closed as their users let go of them."""
        before = self.generation
        self.generation = Generation.of(rules, self.proxy.deadlocks, before)
        for session in self.sessions:
            session.user = rules.users.get(session.user.name) or replace(
                session.user, databases=frozenset(), grants=frozenset()
            )
        self._learned.clear()
        self.default_collations.clear()
        self.allowed_states.clear()
        self.proxy.reload(rules)
        if before.cluster is not self.generation.cluster:
            self.spawn(self._retire(before, rules.transaction.deadline))

    async def _retire(self, before: Generation, seconds: float) -> None:
        """Close the connections of replaced rules when no session works under them, or after ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                while any(session.generation is before for session in self.sessions):  # noqa: ASYNC110 - no hot signal
                    await asyncio.sleep(RETIRE_CHECK)
        except TimeoutError:
            _log.warning("transactions that began before the rules were replaced lose their connections")
        finally:
            await before.cluster.close(grace=RETIRE_GRACE)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run something that outlives the session that asked for it."""
        task = asyncio.get_running_loop().create_task(_logged(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- what a login asks (`frontend.login.Door`)

    @property
    def plugin(self) -> str:
        """What the greeting proposes: as the servers themselves would."""
        return NATIVE if "MariaDB" in self.server_version else CACHING_SHA2

    def password_of(self, user: str) -> Password | None:
        """None for a user who does not exist."""
        known = self.generation.rules.users.get(user)
        if known is None:
            return None
        learned = self._learned.get(user)
        return known.password if learned is None else replace(known.password, sha2=learned)

    def learn(self, user: str, sha2: bytes) -> None:
        self._learned[user] = sha2

    def is_admin(self, user: str) -> bool:
        known = self.generation.rules.users.get(user)
        return known is not None and known.may(Grant.ADMIN)

    def open_session(self, connection: ClientConnection) -> Session:
        """The session of a client whose password was right. Raises 1044, 1045, 1049, 1115 or 1226."""
        login = connection.login
        user = self.generation.rules.users[login.user]
        self._check_account(user, login)
        collation = COLLATIONS.get(login.collation, "utf8mb4_general_ci")
        charset = charset_of(collation)
        python_codec(charset)
        if collation == "utf8mb4_0900_ai_ci" and not self.is_mysql:
            collation = "utf8mb4_general_ci"  # MySQL 8's default, which MariaDB takes for its own
        state = DEFAULT_STATE.with_charsets(charset, collation, charset)
        mode = self._ignoring_space() if login.flags & Capability.IGNORE_SPACE else self.sql_mode
        state = state.with_variables({"sql_mode": mode})
        session = Session(self, connection, user, state)
        if login.database:
            session.use(login.database)
        self.sessions.add(session)
        return session

    @property
    def sql_mode(self) -> str | None:
        """What sessions have that set none, as a literal; None where the servers' default means nothing unusual.

        Raises NotSupported for a default under which the mesh cannot read SQL.
        """
        return None if self._sql_mode is None else unusual_mode(self._sql_mode)

    def _ignoring_space(self) -> str:
        """The servers' own sql_mode and IGNORE_SPACE, as a literal. Raises MeshError as long as none has answered."""
        if self._sql_mode is None:
            self.spawn(self._ask_for_sql_mode())
            raise MeshError("No server has said yet what its sql_mode is; connect again, or without IGNORE_SPACE")
        return f"'{self._sql_mode},IGNORE_SPACE'"

    def _check_account(self, user: User, login: ClientLogin) -> None:
        """What the rules demand of a user's connections."""
        certified = login.tls is not None and login.tls.certified
        if (user.require == "tls" and login.tls is None) or (user.require == "x509" and not certified):
            raise LoginDenied(user.name, login.host, login.used_password)
        limit = user.max_connections
        if limit is not None and sum(session.user.name == user.name for session in self.sessions) >= limit:
            raise UserLimitReached(user.name, limit)

    # -- what sessions ask

    @property
    def rules(self) -> MeshRules:
        return self.generation.rules

    def any_data_source(self, database: LogicalDatabase | None) -> str:
        """A data source for what any of them can answer; they take turns."""
        names = list(database.data_sources if database is not None else self.rules.data_sources)
        self._next_source += 1
        return names[self._next_source % len(names)]

    def opened(self, text: str) -> str:
        """The text with the executable comments opened that the servers would run."""
        match = _VERSION.search(self._servers)
        major, minor, patch = map(int, match.groups()) if match else (8, 0, 0)
        return open_comments(text, major * 10000 + minor * 100 + patch, not self.is_mysql)

    def log_state(self) -> None:
        """COM_DEBUG: what a server would write into its error log."""
        for report in self.generation.cluster.report():
            _log.warning("debug: %s", report)
        for session in self.sessions:
            _log.warning("debug: session %s", session.shown().process)

    def statistics(self) -> str:
        """COM_STATISTICS, in the form of MySQL's own."""
        uptime = max(1, int(time.time() - self.started))
        return (
            f"Uptime: {uptime}  Threads: {len(self.sessions)}  Questions: {self.queries}  Slow queries: 0  Opens: 0  "
            f"Open tables: 0  Queries per second avg: {self.queries / uptime:.3f}  DBMesh: {__version__} ({build()})"
        )


async def _logged(work: Coroutine[Any, Any, Any]) -> None:
    try:
        await work
    except MeshError as error:
        _log.warning("in the background: %s", error.message)
