"""What arrived at the servers: their own general log, not the mesh's word."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from dbmesh.sandbox.server import Server

_OURS = "mesh_demo_witness"


@dataclass(slots=True)
class Testimony:
    """Statements as (server, schema, text), in the order of each server's log; filled when the block ends."""

    statements: list[tuple[str, str, str]] = field(default_factory=list)

    def about(self, table: str) -> list[tuple[str, str, str]]:
        """Those that name an actual table of that logical table."""
        named = re.compile(rf"\b{re.escape(table)}(_\d+)?\b")
        return [statement for statement in self.statements if named.search(statement[2])]


@contextmanager
def witness(servers: Sequence[Server]) -> Iterator[Testimony]:
    """Log all statements of the block on every server."""
    testimony = Testimony()
    for server in servers:
        server.script(
            [
                "SET GLOBAL log_output = 'TABLE'",
                "TRUNCATE TABLE mysql.general_log",
                "SET GLOBAL general_log = ON",
            ]
        )
    try:
        yield testimony
    finally:
        for server in servers:
            server.script([f"SET GLOBAL general_log = OFF /* {_OURS} */"])
    for server in servers:
        schemas = dict(server.rows("SELECT id, db FROM information_schema.processlist"))
        log = server.rows(
            "SELECT thread_id, CONVERT(argument USING utf8mb4) FROM mysql.general_log"
            f" WHERE command_type = 'Query' AND argument NOT LIKE '%{_OURS}%' ORDER BY event_time"
        )
        testimony.statements += [(server.name, schemas.get(thread) or "", text) for thread, text in log]
