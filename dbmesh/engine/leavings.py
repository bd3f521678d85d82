"""What a statement has left on its server's connection and belongs to the session: it is read back at once.

``SELECT @n := @n + 1``, ``SELECT SQL_CALC_FOUND_ROWS …`` and ``SELECT LAST_INSERT_ID(7)`` change a connection that the
session may not meet again.
"""

from __future__ import annotations

from collections.abc import Sequence

from dbmesh.backend.connection import Connection
from dbmesh.engine.caller import Outcome
from dbmesh.plan.model import FOUND_ROWS, LAST_INSERT_ID
from dbmesh.protocol.literals import hex_literal


async def read_back(connection: Connection, leaves: Sequence[str], outcome: Outcome) -> None:
    """Fill in ``outcome`` with what the last statement of the connection has left. ``leaves``: a plan's.

    An error leaves the connection poisoned: nobody else may meet the variables.
    """
    try:
        if FOUND_ROWS in leaves:
            outcome.found_rows = await _number(connection, FOUND_ROWS)
        if LAST_INSERT_ID in leaves:
            outcome.set_last_insert_id = await _number(connection, LAST_INSERT_ID)
        names = [name for name in leaves if name.startswith("@")]
        if names:
            await _variables(connection, names, outcome)
    except BaseException:
        connection.poisoned = True
        raise


async def _number(connection: Connection, function: str) -> int:
    [[value]] = (await connection.execute(f"SELECT {function}")).rows
    return int(value or 0)


async def _variables(connection: Connection, names: Sequence[str], outcome: Outcome) -> None:
    asked = ", ".join(f"{name}, HEX({name}), COLLATION({name})" for name in names)
    result = await connection.execute(f"SELECT {asked}")
    [row] = result.rows
    for at, name in enumerate(names):
        value, digits, collation = row[3 * at : 3 * at + 3]
        outcome.variables[name] = hex_literal(value, result.columns[3 * at], digits, collation)
    connection.state = connection.state.with_variables(outcome.variables)
