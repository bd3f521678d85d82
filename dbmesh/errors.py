"""Every error that a client can see: errno, SQLSTATE and message. A class is its number.

Numbers and SQLSTATEs are MySQL's own (MySQL 8.4 Error Message Reference, "Server Error Message Reference").
"""

from __future__ import annotations

from typing import ClassVar


class MeshError(Exception):
    """An error that ends a statement; the client gets it as an ERR packet and its connection lives on.

    ``on_mysql``: the message in MySQL's words, where MariaDB has others.
    """

    errno: int = 1105
    sqlstate: str = "HY000"
    on_mysql: str | None = None

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotSupported(MeshError):
    """What the mesh cannot answer correctly. The message says why and what to do instead."""

    errno = 1235
    sqlstate = "42000"

    prefix: ClassVar[str] = "DBMesh cannot run this statement: "

    def __init__(self, why: str, instead: str = "") -> None:
        super().__init__(f"{self.prefix}{why}" + (f"; {instead}" if instead else ""))


class ParseError(MeshError):
    """Text that is not SQL (ER_PARSE_ERROR)."""

    errno = 1064
    sqlstate = "42000"

    @classmethod
    def near(cls, rest: str, line: int = 1) -> ParseError:
        """In the servers' words. ``rest``: the text from the first wrong word on; ``line``: of that word."""
        head = "You have an error in your SQL syntax; check the manual that corresponds to your"
        tail = f"server version for the right syntax to use near '{rest[:80]}' at line {line}"
        error = cls(f"{head} MariaDB {tail}")
        error.on_mysql = f"{head} MySQL {tail}"
        return error


class ReadOnlyTransaction(MeshError):
    """ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION."""

    errno = 1792
    sqlstate = "25006"
    on_mysql = "Cannot execute statement in a READ ONLY transaction."

    def __init__(self) -> None:
        super().__init__("Cannot execute statement in a READ ONLY transaction")


class SessionKilled(MeshError):
    """ER_CONNECTION_KILLED, as MariaDB has it."""

    errno = 1927
    sqlstate = "70100"

    def __init__(self) -> None:
        super().__init__("Connection was killed")


class NoDatabase(MeshError):
    """ER_NO_DB_ERROR."""

    errno = 1046
    sqlstate = "3D000"

    def __init__(self) -> None:
        super().__init__("No database selected")


class UnknownDatabase(MeshError):
    """ER_BAD_DB_ERROR."""

    errno = 1049
    sqlstate = "42000"

    def __init__(self, name: str) -> None:
        super().__init__(f"Unknown database '{name}'")


class UnknownTable(MeshError):
    """ER_NO_SUCH_TABLE."""

    errno = 1146
    sqlstate = "42S02"

    def __init__(self, database: str, table: str) -> None:
        super().__init__(f"Table '{database}.{table}' doesn't exist")


class UnknownColumn(MeshError):
    """ER_BAD_FIELD_ERROR."""

    errno = 1054
    sqlstate = "42S22"

    def __init__(self, column: str, where: str = "field list") -> None:
        super().__init__(f"Unknown column '{column}' in '{where}'")


class AccessDenied(MeshError):
    """ER_DBACCESS_DENIED_ERROR: the user has no right to that logical database."""

    errno = 1044
    sqlstate = "42000"


class SpecificAccessDenied(MeshError):
    """ER_SPECIFIC_ACCESS_DENIED_ERROR: the user's rules do not grant this kind of statement."""

    errno = 1227
    sqlstate = "42000"

    def __init__(self, privilege: str) -> None:
        super().__init__(f"Access denied; you need (at least one of) the {privilege} privilege(s) for this operation")


class RoutineDenied(MeshError):
    """ER_PROCACCESS_DENIED_ERROR."""

    errno = 1370
    sqlstate = "42000"

    def __init__(self, account: str, routine: str) -> None:
        super().__init__(f"execute command denied to user {account} for routine '{routine}'")


class TableAccessDenied(MeshError):
    """ER_TABLEACCESS_DENIED_ERROR: the user's rules do not let them run this command on that table."""

    errno = 1142
    sqlstate = "42000"


class UnknownCommand(MeshError):
    """ER_UNKNOWN_COM_ERROR."""

    errno = 1047
    sqlstate = "08S01"

    def __init__(self) -> None:
        super().__init__("Unknown command")


class NoDataNode(MeshError):
    """ER_NO_PARTITION_FOR_GIVEN_VALUE: no data node is configured for a sharding key's value."""

    errno = 1526
    sqlstate = "HY000"


class PoolTimeout(MeshError):
    """ER_CON_COUNT_ERROR: no backend connection became free within the pool's wait_timeout."""

    errno = 1040
    sqlstate = "08004"


class OutOfSortMemory(MeshError):
    """ER_OUT_OF_SORTMEMORY: a merge would need more than its budget."""

    errno = 1038
    sqlstate = "HY001"


class LockWaitTimeout(MeshError):
    """ER_LOCK_WAIT_TIMEOUT: only the statement is undone."""

    errno = 1205
    sqlstate = "HY000"


class Deadlock(MeshError):
    """ER_LOCK_DEADLOCK: the whole transaction is undone; drivers retry SQLSTATE 40001."""

    errno = 1213
    sqlstate = "40001"
    words = "Deadlock found when trying to get lock; try restarting transaction"

    def __init__(self, why: str = "") -> None:
        super().__init__(f"{self.words} ({why})" if why else self.words)


class CommitFailed(MeshError):
    """ER_ERROR_DURING_COMMIT: a commit that did not, or may not, hold everywhere."""

    errno = 1180
    sqlstate = "HY000"


class NoSavepoint(MeshError):
    """ER_SP_DOES_NOT_EXIST."""

    errno = 1305
    sqlstate = "42000"

    def __init__(self, name: str) -> None:
        super().__init__(f"SAVEPOINT {name.strip('`')} does not exist")


class QueryInterrupted(MeshError):
    """ER_QUERY_INTERRUPTED."""

    errno = 1317
    sqlstate = "70100"

    def __init__(self) -> None:
        super().__init__("Query execution was interrupted")


class InvalidText(MeshError):
    """ER_INVALID_CHARACTER_STRING: bytes of the client that are no text of its character set, as Python holds them."""

    errno = 1300

    def __init__(self, text: str) -> None:
        shown = "".join(f"\\x{byte:02X}" for byte in text.encode("utf-8", "surrogateescape"))
        super().__init__(f"Invalid utf8mb4 character string: '{shown}'")


class BackendError(MeshError):
    """An ERR packet of a MySQL server behind us, passed on as it came."""

    def __init__(self, errno: int, sqlstate: str, message: str) -> None:
        super().__init__(message)
        self.errno = errno
        self.sqlstate = sqlstate


class BackendLost(MeshError):
    """A backend connection ended without an answer.

    ``started`` is True when the request had been handed to the network: the server may have executed it.
    The client sees CR_SERVER_LOST's text under ER_UNKNOWN_ERROR, since 2013 belongs to client libraries.
    """

    def __init__(self, data_source: str, started: bool, why: str = "") -> None:
        self.data_source = data_source
        self.started = started
        super().__init__(f"Lost connection to data source '{data_source}'" + (f": {why}" if why else ""))
