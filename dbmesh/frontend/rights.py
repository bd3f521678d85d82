"""What a user may do. All users share the backends' account, so the mesh itself has to say no."""

from __future__ import annotations

from dbmesh.errors import AccessDenied, SpecificAccessDenied, TableAccessDenied
from dbmesh.plan.model import SYSTEM_DATABASES, Plan
from dbmesh.plan.system_tables import may_be_read
from dbmesh.rules.model import Grant, MeshRules, User
from dbmesh.sql.classify import StatementKind

_PRIVILEGE = {
    Grant.DDL: "CREATE, ALTER, DROP",
    Grant.GRANT: "GRANT OPTION",
    Grant.FILE: "FILE",
    Grant.LOAD_DATA: "FILE",
    Grant.MYSQL: "SUPER",
    Grant.MESH_SCHEMA: "SUPER",
    Grant.ADMIN: "SUPER",
}


def check(plan: Plan, user: User, account: str, rules: MeshRules) -> None:
    """Raise MySQL's own error when the rules do not let the user run the plan. ``account``: 'user'@'host', quoted."""
    for database, table in plan.tables:
        if database in rules.databases:
            if not user.may_use(database):
                raise AccessDenied(f"Access denied for user {account} to database '{database}'")
        elif database == rules.transaction.schema:
            need(user, Grant.MESH_SCHEMA)
        elif database in SYSTEM_DATABASES and not may_be_read(database, table):
            need(user, Grant.MYSQL)
    for grant in plan.grants:
        if grant is Grant.DDL and not user.may(grant):
            raise _command_denied(plan, account)
        need(user, grant)
    if user.read_only and (plan.writes or plan.locks):
        raise _command_denied(plan, account)


def need(user: User, grant: Grant) -> None:
    """Raise 1227 naming the privilege that is missing."""
    if not user.may(grant):
        raise SpecificAccessDenied(_PRIVILEGE[grant])


def _command_denied(plan: Plan, account: str) -> TableAccessDenied:
    command = "SELECT with locking clause" if plan.kind is StatementKind.SELECT else plan.kind.value.split()[0]
    table = plan.tables[0].name if plan.tables else ""
    return TableAccessDenied(f"{command} command denied to user {account} for table '{table}'")
