"""``dbmesh tx undo``: a committed transaction is taken back whole, or nothing of it is touched."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dbmesh.sandbox import Server
from tests.conftest import MakeSchema
from tests.integration.saga_world import World, delete, insert, run, update
from tests.integration.tx_world import accounts, tx


@pytest.fixture
async def world(servers: tuple[Server, Server], make_schema: MakeSchema, tmp_path: Path) -> AsyncIterator[World]:
    async with accounts(servers, make_schema, tmp_path) as world:
        yield world


async def committed(world: World) -> str:
    """A transaction that has changed a row twice, deleted one and made one, on both shards, and has ended."""
    proxy = await world.proxy()
    saga, client = world.saga(proxy), world.client()
    await run(saga, client, update("ds_0", "account", "balance = balance - 30", "id = 1"))
    await run(saga, client, update("ds_0", "account", "balance = balance - 30", "id = 1"))
    await run(saga, client, delete("ds_1", "account", "id = 2"))
    await run(saga, client, insert("ds_1", "account", ["id", "balance"], ["3", "60"]))
    await saga.commit()
    await proxy.stop()
    return saga.gtrid


async def test_a_committed_transaction_is_rehearsed_and_undone(world: World, tmp_path: Path) -> None:
    before = world.dump()
    gtrid = await committed(world)
    during = world.dump()
    because = ("--reason", "paid twice")
    code, out, _ = await tx(tmp_path, "undo", gtrid, *because, "--dry-run", "--json")
    assert code == 0
    would = json.loads(out)["would"]
    assert [row["change"] for row in would["ds_0"]] == ["balance 40.00 → 70.00", "balance 70.00 → 100.00"]
    assert [row["op"] for row in would["ds_1"]] == ["I", "D"]
    assert world.dump() == during
    code, out, err = await tx(tmp_path, "undo", gtrid, *because)
    assert (code, out, err) == (0, f"{gtrid}: ROLLED_BACK\n", "")
    assert world.dump() == before
    world.clean()
    assert (await tx(tmp_path, "undo", gtrid, *because))[0] == 2
    shown = json.loads((await tx(tmp_path, "show", gtrid, "--json"))[1])
    assert [(event["kind"], event["detail"].get("reason")) for event in shown["events"]] == [
        ("undo", "paid twice"),
        ("undone", None),
    ]


async def test_nothing_is_undone_when_one_row_was_changed_since(world: World, tmp_path: Path) -> None:
    gtrid = await committed(world)
    world.script("INSERT INTO account VALUES (2, 7, 'new')", data_source="ds_1")
    during = world.dump()
    assert (await tx(tmp_path, "undo", gtrid, "--reason", "x", "--dry-run"))[0] == 2
    code, out, _ = await tx(tmp_path, "undo", gtrid, "--reason", "x")
    assert (code, "was changed by others" in out) == (2, True)
    assert out.startswith(f"{gtrid}: COMMITTED (ds_1: ")
    assert world.dump() == during
    world.clean()
    world.script("DELETE FROM account WHERE id = 2", data_source="ds_1")
    assert (await tx(tmp_path, "undo", gtrid, "--reason", "x"))[0] == 0


async def test_nothing_is_undone_while_another_transaction_has_a_row(world: World, tmp_path: Path) -> None:
    gtrid = await committed(world)
    proxy = await world.proxy()
    other = world.saga(proxy)
    await run(other, world.client(), insert("ds_1", "account", ["id", "balance"], ["2", "1"]))
    world.script("DELETE FROM account WHERE id = 2", data_source="ds_1")
    code, out, _ = await tx(tmp_path, "undo", gtrid, "--reason", "x")
    assert (code, f"a row is locked by {other.gtrid}" in out) == (2, True)
    await other.rollback()
    world.clean()


async def test_what_may_have_been_purged_is_not_undone(world: World, tmp_path: Path) -> None:
    gtrid = await committed(world)
    during = world.dump()
    world.script("UPDATE _sagas.g_tx SET ended_at = NOW(6) - INTERVAL 30 DAY")
    code, out, _ = await tx(tmp_path, "undo", gtrid, "--reason", "x")
    assert (code, out.partition(" or ")[0]) == (2, f"{gtrid}: COMMITTED (its records are older than the retention,")
    assert world.dump() == during
