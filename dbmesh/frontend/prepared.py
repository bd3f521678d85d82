"""The statements that a session has prepared, by number (COM_STMT_PREPARE) and by name (PREPARE … FROM)."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field

from dbmesh.backend.statements import Execution
from dbmesh.errors import MeshError
from dbmesh.frontend.prepared_shortcut import Shortcut
from dbmesh.plan.model import Plan
from dbmesh.protocol import ColumnDefinition
from dbmesh.protocol.parameters import Parameter
from dbmesh.sql.classify import StatementKind
from dbmesh.sql.placeholders import Argument, Marked, Placeholders

MOST_STATEMENTS = 16382  # of all sessions of a process: max_prepared_stmt_count's default
MOST_MARKED = 256  # texts for servers that one statement remembers
_LAST = 0xFFFFFFFF  # MariaDB's connectors: the statement that was prepared last


class TooManyStatements(MeshError):
    """ER_MAX_PREPARED_STMT_COUNT_REACHED."""

    errno = 1461
    sqlstate = "42000"

    def __init__(self) -> None:
        super().__init__(
            f"Can't create more than max_prepared_stmt_count statements (current value: {MOST_STATEMENTS})"
        )


class UnknownStatement(MeshError):
    """ER_UNKNOWN_STMT_HANDLER."""

    errno = 1243
    sqlstate = "HY000"

    def __init__(self, handler: int | str, command: str) -> None:
        super().__init__(f"Unknown prepared statement handler ({handler}) given to {command}")


class NoCursor(MeshError):
    """ER_STMT_HAS_NO_OPEN_CURSOR."""

    errno = 1421
    sqlstate = "HY000"

    def __init__(self, statement: int) -> None:
        super().__init__(f"The statement ({statement}) has no open cursor.")


class Cursor:
    """Rows that a client fetches piece by piece, in a temporary file that stays in memory while it is small."""

    IN_MEMORY = 1 << 20

    def __init__(self) -> None:
        self._spool = tempfile.SpooledTemporaryFile(max_size=self.IN_MEMORY)  # noqa: SIM115 - closed with the cursor
        self._left = 0

    def __len__(self) -> int:
        """Rows still to be fetched."""
        return self._left

    def keep(self, rows: Sequence[bytes]) -> None:
        self._spool.writelines(len(row).to_bytes(4, "little") + row for row in rows)
        self._left += len(rows)

    def rewind(self) -> None:
        """All rows are there: from here on they are taken."""
        self._spool.seek(0)

    def take(self, most: int) -> list[bytes]:
        """The next rows, ``most`` at most."""
        count = min(most, self._left)
        self._left -= count
        return [self._spool.read(int.from_bytes(self._spool.read(4), "little")) for _ in range(count)]

    def close(self) -> None:
        self._spool.close()


class Call:
    """One execution: the values, as SQL says them and as they came. ``types``: two bytes for each.

    ``ahead``: some values came as long data, so that the packet alone does not tell all of them.
    """

    __slots__ = ("ahead", "arguments", "types", "values")

    def __init__(
        self, types: bytes, values: Sequence[Parameter], arguments: Sequence[Argument], ahead: bool = False
    ) -> None:
        self.ahead = ahead
        self.types = types
        self.values = values
        self.arguments = arguments

    @property
    def forms(self) -> str:
        return "".join([argument.form for argument in self.arguments])

    def execution(self, text: Marked) -> Execution:
        """That text with the values of its own ``?``."""
        order = text.order
        if len(order) == len(self.values) and order == tuple(range(len(order))):
            return Execution(text.sql, self.types, self.values)
        types = b"".join([self.types[2 * index : 2 * index + 2] for index in order])
        return Execution(text.sql, types, [self.values[index] for index in order])


@dataclass(slots=True, eq=False)
class Statement:
    """``database``: what the session had chosen; it is that one's statement for ever, as on a server.

    ``types``: of the parameters, as the client said last. ``long_data``: values that have come ahead. ``marked``: what
    `Placeholders.marked` has made of bound texts.
    """

    id: int
    text: str
    kind: StatementKind
    database: str | None
    placeholders: Placeholders
    columns: Sequence[ColumnDefinition] = ()
    types: bytes = b""
    long_data: dict[int, bytearray] = field(default_factory=dict)
    long_failure: MeshError | None = None
    cursor: Cursor | None = None
    marked: dict[str, Marked] = field(default_factory=dict)
    shortcut: Shortcut | None = None
    considered: Plan | None = None  # for which ``shortcut`` is what there is

    def server_text(self, sql: str, call: Call) -> Marked:
        """A bound text as a server is to prepare it, remembered where no value is in it. Hot."""
        known = self.marked.get(sql)
        if known is not None:
            return known
        found = self.placeholders.marked(sql, call.arguments)
        if found.lasting:
            if len(self.marked) >= MOST_MARKED:
                self.marked.clear()
            self.marked[sql] = found
        return found

    def close_cursor(self) -> None:
        if self.cursor is not None:
            self.cursor.close()
            self.cursor = None


class Statements:
    """A session's; ``in_use`` counts those of all sessions of the process."""

    in_use = 0

    def __init__(self) -> None:
        self.relayed: tuple[Statement, bytes] | None = None  # what was executed last without a task
        self._last_id = 0
        self._by_id: dict[int, Statement] = {}
        self._by_name: dict[str, Statement] = {}

    def __len__(self) -> int:
        return len(self._by_id) + len(self._by_name)

    def add(self, statement: Statement) -> None:
        """Keep a statement under the next number. Raises TooManyStatements."""
        self._count()
        self._last_id = statement.id = self._last_id % (_LAST - 1) + 1
        self._by_id[statement.id] = statement

    def name(self, name: str, statement: Statement) -> None:
        """Keep a statement under that name, which may have had another before. Raises TooManyStatements."""
        self._count()
        self._by_name[name.lower()] = statement

    def find(self, id: int, command: str) -> Statement:
        """Raises UnknownStatement, which speaks of ``command``."""
        found = self.known(id)
        if found is None:
            raise UnknownStatement(id, command)
        return found

    def known(self, id: int) -> Statement | None:
        return self._by_id.get(self._last_id if id == _LAST else id)

    def named(self, name: str, command: str) -> Statement:
        """Raises UnknownStatement, which speaks of ``command``."""
        found = self._by_name.get(name.lower())
        if found is None:
            raise UnknownStatement(name, command)
        return found

    def close(self, id: int) -> None:
        """Forget a statement; one that is not there is no error."""
        self._forget(self._by_id.pop(id, None))

    def drop(self, name: str) -> bool:
        """Forget a named statement; False when there was none."""
        found = self._by_name.pop(name.lower(), None)
        self._forget(found)
        return found is not None

    def clear(self) -> None:
        """Forget all."""
        for statement in (*self._by_id.values(), *self._by_name.values()):
            self._forget(statement)
        self._by_id.clear()
        self._by_name.clear()

    def _count(self) -> None:
        if Statements.in_use >= MOST_STATEMENTS:
            raise TooManyStatements()
        Statements.in_use += 1

    def _forget(self, statement: Statement | None) -> None:
        if statement is not None:
            Statements.in_use -= 1
            statement.close_cursor()
