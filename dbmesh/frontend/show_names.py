"""What a SHOW names, found in the rules: a logical database, a table and the data node that tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Result
from dbmesh.errors import AccessDenied, BackendError, NoDatabase, UnknownDatabase, UnknownTable
from dbmesh.frontend import rights
from dbmesh.frontend.asks import ask
from dbmesh.frontend.system_rows import shares
from dbmesh.plan.logical_rows import Share
from dbmesh.plan.model import SYSTEM_DATABASES
from dbmesh.plan.system_tables import INFORMATION_SCHEMA
from dbmesh.rewrite import quoted
from dbmesh.rules.model import DataNode, Grant, LogicalDatabase

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session


@dataclass(frozen=True, slots=True)
class Place:
    """Where a table is described. ``nodes`` is empty for the servers' own tables, which any server has."""

    database: str
    table: str
    nodes: tuple[DataNode, ...]
    share: Share | None

    @property
    def actual(self) -> str:
        """The table in SQL for the first node."""
        return quoted(self.nodes[0].table) if self.nodes else f"{quoted(self.database)}.{quoted(self.table)}"

    async def ask(self, session: Session, sql: str, node: int = 0) -> Result:
        """Ask a node's data source. Its errors speak of the logical table."""
        if not self.nodes:
            return await ask(session, sql)
        try:
            return await ask(session, sql, self.nodes[node].data_source)
        except BackendError as error:
            raise self.told(error, node) from error

    def told(self, error: BackendError, node: int = 0) -> BackendError:
        """A data source's error about the actual table of a node, as one about the logical table."""
        assert self.share is not None
        actual, logical = f"{self.share.schema}.{self.nodes[node].table}", f"{self.database}.{self.table}"
        return BackendError(error.errno, error.sqlstate, error.message.replace(actual, logical))


def place_of(session: Session, groups: list[str | None]) -> Place:
    """The table of ``[db.]t [FROM db]``: three pairs of groups, a name in back-ticks and a plain one each."""
    one, other, origin = unquoted(groups[0:2]), unquoted(groups[2:4]), unquoted(groups[4:6])
    name = other or one or ""
    named = origin or (one if other else None) or session.database
    if of_servers(session, named):
        return Place(str(named).lower(), name, (), None)
    database = database_of(session, named)
    rule = database.table(name)
    if rule is None:
        raise UnknownTable(database.name, name)
    return Place(database.name, name, rule.nodes, share_of(database, rule.nodes[0].data_source))


def share_of(database: LogicalDatabase, data_source: str) -> Share:
    """How the names of a data source are translated."""
    return next(s for s in shares(database, data_source, leave_out=set()) if s.data_source == data_source)


def home_of(database: LogicalDatabase) -> str:
    """The data source whose schema tells of the database itself, and of its programs."""
    return database.default_data_source or next(iter(database.data_sources))


def of_servers(session: Session, database: str | None) -> bool:
    """Whether it is one of the servers' own; but for information_schema the user needs the grant."""
    if database is None or database.lower() not in SYSTEM_DATABASES:
        return False
    if database.lower() != INFORMATION_SCHEMA:
        rights.need(session.user, Grant.MYSQL)
    return True


def database_of(session: Session, name: str | None) -> LogicalDatabase:
    """The logical database ``name``, None: the session's. Raises 1046, 1044, 1049."""
    chosen = name or session.database
    if chosen is None:
        raise NoDatabase()
    if not session.user.may_use(chosen):
        raise AccessDenied(f"Access denied for user {session.account} to database '{chosen}'")
    database = session.rules.databases.get(chosen)
    if database is None:
        raise UnknownDatabase(chosen)
    return database


def unquoted(groups: list[str | None]) -> str | None:
    """The name that two groups matched: one in back-ticks, one plain."""
    inner, plain = groups
    return inner.replace("``", "`") if inner else plain
