"""What information_schema says of users and sessions: the mesh's, not the servers'."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dbmesh.rules.model import Grant, User

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session

Row = list[bytes | None]


def granted(user: User) -> list[str]:
    """The privileges of a user in his databases."""
    if user.read_only:
        return ["SELECT"]
    ddl = ["CREATE", "ALTER", "DROP", "INDEX"] if user.may(Grant.DDL) else []
    return ["SELECT", "INSERT", "UPDATE", "DELETE", *ddl]


async def privileges(session: Session, name: str, columns: Sequence[str]) -> list[Row]:
    """The rows of USER_PRIVILEGES, SCHEMA_PRIVILEGES or PROCESSLIST that the session may see."""
    if name == "PROCESSLIST":
        return [_process(other.process, columns) for other in await session.all_shown()]
    user = session.user
    everywhere = user.databases is None
    row = {"GRANTEE": f"'{user.name}'@'%'", "TABLE_CATALOG": "def", "IS_GRANTABLE": "NO"}
    if name == "USER_PRIVILEGES":
        kinds = granted(user) if everywhere else ["USAGE"]
        return [_row(row | {"PRIVILEGE_TYPE": kind}, columns) for kind in kinds]
    return [
        _row(row | {"TABLE_SCHEMA": database, "PRIVILEGE_TYPE": kind}, columns)
        for database in sorted(user.databases or ())
        for kind in granted(user)
    ]


def _process(shown: Sequence[str | None], columns: Sequence[str]) -> Row:
    names = ("ID", "USER", "HOST", "DB", "COMMAND", "TIME", "STATE", "INFO")
    row = dict(zip(names, shown, strict=True))
    milliseconds = f"{row['TIME'] or 0}.000"
    return _row({"TIME_MS": milliseconds, "INFO_BINARY": row["INFO"]} | _NUMBERS | row, columns)


_NUMBERS = dict.fromkeys(
    ("STAGE", "MAX_STAGE", "PROGRESS", "MEMORY_USED", "MAX_MEMORY_USED", "EXAMINED_ROWS", "QUERY_ID", "TID",
     "SENT_ROWS"), "0"
)  # fmt: skip


def _row(values: dict[str, str] | dict[str, str | None], columns: Sequence[str]) -> Row:
    found = (values.get(column) for column in columns)
    return [None if value is None else value.encode("utf-8", "replace") for value in found]
