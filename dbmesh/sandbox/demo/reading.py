"""Steps that read: by key, scattered and sorted, scattered and grouped."""

from __future__ import annotations

from collections import defaultdict
from decimal import ROUND_HALF_UP, Decimal

from dbmesh.sandbox.demo.shop import ORDERS
from dbmesh.sandbox.demo.stage import Stage
from dbmesh.sandbox.demo.witness import witness

USER = 42
_SIX_PLACES = Decimal("0.000001")


def rows_are_spread(stage: Stage) -> None:
    """What the application filled in through the mesh, seen on the shards."""
    talk = stage.narrator
    talk.step("An online shop, sharded over 2 servers, 4 data sources, 8 order tables")
    counts = {
        node: rows[0][0] for node, rows in stage.shards.by_node("t_order", "SELECT COUNT(*) FROM {table}").items()
    }
    talk.table(["data node", "rows"], list(counts.items()))
    told = stage.ask("SELECT COUNT(*) FROM t_order")
    talk.verify(f"the mesh counts what the 8 data nodes hold: {ORDERS} orders", told, [(sum(counts.values()),)])
    talk.verify("every data node holds some of them", min(counts.values()) > 0, True)
    copies = stage.shards.by_node("region", "SELECT region_id, name FROM {table} ORDER BY region_id")
    everywhere = stage.ask("SELECT region_id, name FROM region ORDER BY region_id")
    talk.verify("the broadcast table is whole on all 4 data sources", [everywhere] * 4, list(copies.values()))


def query_by_key(stage: Stage) -> None:
    """One user's orders are in one place: one statement goes to one server."""
    talk = stage.narrator
    talk.step("A query by key goes to one data node")
    sql = f"SELECT order_id, user_id, status, amount FROM t_order WHERE user_id = {USER} ORDER BY order_id"
    stage.explain(sql)
    with witness(stage.servers) as testimony:
        rows = stage.ask(sql)
    arrived = testimony.about("t_order")
    talk.table(["server", "schema", "statement in the server's general log"], arrived)
    home = stage.shards.home("t_order", USER)
    talk.verify("exactly one statement reached the servers", len(arrived), 1)
    talk.verify(f"it names the table of {home}, where user {USER} lives", f"{home.table}" in arrived[0][2], True)
    held = stage.shards.by_node(
        "t_order",
        f"SELECT order_id, user_id, status, amount FROM {{table}} WHERE user_id = {USER} ORDER BY order_id",
    )
    talk.verify(f"the rows are those of {home}", rows, held.pop(home))
    talk.verify(
        f"no other data node holds an order of user {USER}", [row for rest in held.values() for row in rest], []
    )


def scattered_order_by(stage: Stage) -> None:
    """The sorted rows of eight tables, merged as they stream in."""
    talk = stage.narrator
    talk.step("A scattered ORDER BY … LIMIT is merged from 8 sorted streams")
    sql = "SELECT order_id, user_id, amount FROM t_order ORDER BY amount DESC, order_id LIMIT 5"
    stage.explain(sql)
    rows = stage.ask(sql)
    everything = stage.shards.union("t_order", "SELECT order_id, user_id, amount FROM {table}")
    wanted = sorted(everything, key=lambda row: (-row[2], row[0]))[:5]
    talk.verify("these are the first 5 of all rows read from the shards and sorted here", rows, wanted)


def group_by_average(stage: Stage) -> None:
    """AVG is no average of averages: sums and counts are fetched and divided once."""
    talk = stage.narrator
    talk.step("GROUP BY with AVG: sums and counts of the shards, divided once")
    sql = "SELECT status, COUNT(*) AS orders, AVG(amount) AS average FROM t_order GROUP BY status ORDER BY status"
    stage.explain(sql)
    rows = stage.ask(sql)
    amounts = defaultdict(list)
    for status, amount in stage.shards.union("t_order", "SELECT status, amount FROM {table}"):
        amounts[status].append(amount)
    wanted = [
        (status, len(each), (sum(each, Decimal()) / len(each)).quantize(_SIX_PLACES, ROUND_HALF_UP))
        for status, each in sorted(amounts.items())
    ]
    talk.verify("groups, counts and averages are those worked out here from the shards' rows", rows, wanted)
