"""A step that writes: one INSERT, four users, four shards."""

from __future__ import annotations

from contextlib import closing
from decimal import Decimal

from dbmesh.sandbox.demo.stage import Stage
from dbmesh.sandbox.demo.witness import witness

_ROWS = ((1, "10.00"), (2, "20.00"), (3, "30.00"), (12, "40.00"))


def insert_is_split(stage: Stage) -> None:
    """The mesh makes the ids, splits the rows, and the client learns the first id as from any server."""
    talk = stage.narrator
    talk.step("A multi-row INSERT is split by shard, with generated keys")
    values = ", ".join(f"({user}, 'demo', {amount})" for user, amount in _ROWS)
    sql = f"INSERT INTO t_order (user_id, status, amount) VALUES {values}"
    talk.sql(sql)
    with (
        witness(stage.servers) as testimony,
        closing(stage.application()) as connection,
        connection.cursor() as cursor,
    ):
        affected = cursor.execute(sql)
        first = cursor.lastrowid
    talk.table(["server", "schema", "statement in the server's general log"], testimony.about("t_order"))
    talk.say(f"affected rows {affected}, LAST_INSERT_ID {first}")
    select = "SELECT user_id, amount, order_id FROM {table} WHERE status = 'demo'"
    held = {node: rows for node, rows in stage.shards.by_node("t_order", select).items() if rows}
    talk.table(
        ["data node", "user_id", "amount", "order_id"], [(node, *row) for node, rows in held.items() for row in rows]
    )
    found = sorted((user, amount, str(node)) for node, rows in held.items() for user, amount, _ in rows)
    wanted = sorted((user, Decimal(amount), str(stage.shards.home("t_order", user))) for user, amount in _ROWS)
    talk.verify("each row is on the data node of its user, once", found, wanted)
    talk.verify("as many rows as the client was told", affected, len(found))
    ids = {user: order_id for rows in held.values() for user, _, order_id in rows}
    talk.verify("LAST_INSERT_ID is the id of the first row", first, ids[_ROWS[0][0]])
    talk.verify("all ids are different", len(set(ids.values())), len(_ROWS))
