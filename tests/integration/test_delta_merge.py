"""merge: {balance: delta}: what a transaction has added to a hot row is taken back, whatever others have added."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from dbmesh.errors import CommitFailed
from dbmesh.rules.model import DataNode, LogicalDatabase, SingleTable
from dbmesh.saga.script import reverse_script
from dbmesh.sandbox import Server
from tests.conftest import MakeSchema
from tests.integration.saga_world import World, delete, rules_of, run, update

ADD = "balance = balance + {}"


@pytest.fixture
async def world(servers: tuple[Server, Server], make_schema: MakeSchema) -> AsyncIterator[World]:
    sources = {"ds_0": (servers[0], make_schema(servers[0], "delta"))}
    servers[0].script(["DROP DATABASE IF EXISTS _sagas"])
    rules = rules_of(sources)
    table = SingleTable("account", DataNode("ds_0", "account"), base=True, deltas=frozenset(("balance", "points")))
    shop = LogicalDatabase("shop", rules.data_sources, {"account": table}, ())
    world = World(sources, replace(rules, databases={"shop": shop}))
    world.script(
        "CREATE TABLE account (id INT PRIMARY KEY, balance DECIMAL(38,2), points TINYINT UNSIGNED, note VARCHAR(9))",
        "INSERT INTO account VALUES (1, 1000.00, 100, 'a'), (2, NULL, 0, 'b')",
    )
    yield world
    await world.close()


def rows(world: World) -> list[tuple[object, ...]]:
    return [tuple(map(str, row)) for row in world.rows("SELECT * FROM account")]


async def test_two_transactions_add_to_one_row_and_one_is_undone(world: World) -> None:
    proxy = await world.proxy()
    first, second = world.saga(proxy), world.saga(proxy)
    one, other = world.client(), world.client()
    await run(first, one, update("ds_0", "account", ADD.format(30), "id = 1"))
    await run(second, other, update("ds_0", "account", ADD.format("0.07"), "id = 1"))
    await run(first, one, update("ds_0", "account", "balance = balance * 2, points = points - 1", "id = 1"))
    assert rows(world)[0] == ("1", "2060.14", "99", "a")
    await first.rollback()
    assert rows(world)[0] == ("1", "1000.07", "100", "a")
    await second.commit()
    assert rows(world)[0] == ("1", "1000.07", "100", "a")
    world.clean()


async def test_columns_without_merge_are_locked_and_checked_as_ever(world: World) -> None:
    saga, client = world.saga(await world.proxy()), world.client()
    await run(saga, client, update("ds_0", "account", "balance = balance + 5, note = 'x'", "id = 1"))
    assert world.rows("SELECT key_text FROM _sagas.row_lock") == [("PRIMARY(1)",)]
    world.script("UPDATE account SET balance = balance + 1 WHERE id = 1")  # from outside the mesh
    await saga.rollback()
    assert rows(world)[0] == ("1", "1001.00", "100", "a")
    saga = world.saga(world.proxies[0])
    await run(saga, client, update("ds_0", "account", "balance = balance + 5, note = 'x'", "id = 1"))
    world.script("UPDATE account SET note = 'theirs' WHERE id = 1")
    with pytest.raises(CommitFailed, match="note 'x' → 'theirs'"):
        await saga.rollback()


async def test_who_adds_waits_for_who_has_locked_the_row(world: World) -> None:
    proxy = await world.proxy()
    holder, adder = world.saga(proxy), world.saga(proxy)
    await run(holder, world.client(), update("ds_0", "account", "note = 'x'", "id = 1"))
    with pytest.raises(Exception, match="Lock wait timeout"):
        await run(adder, world.client(), update("ds_0", "account", ADD.format(1), "id = 1"), lock_wait=0.1)
    await adder.rollback()
    await holder.rollback()
    assert rows(world)[0] == ("1", "1000.00", "100", "a")


@pytest.mark.parametrize(
    ("meanwhile", "told"),
    [
        ("DELETE FROM account WHERE id = 1", "row → no row"),
        ("UPDATE account SET points = 250 WHERE id = 1", "points"),  # 250 + 30 does not fit
        ("UPDATE account SET balance = NULL WHERE id = 1", "balance"),
    ],
)
async def test_what_cannot_be_taken_back_is_parked(world: World, meanwhile: str, told: str) -> None:
    saga = world.saga(await world.proxy())
    await run(saga, world.client(), update("ds_0", "account", "balance = balance + 1, points = points - 30", "id = 1"))
    world.script(meanwhile)
    left = rows(world)
    with pytest.raises(CommitFailed, match=told):
        await saga.rollback()
    assert rows(world) == left


async def test_null_becomes_null_again(world: World) -> None:
    before = rows(world)
    saga, client = world.saga(await world.proxy()), world.client()
    await run(saga, client, update("ds_0", "account", "balance = 7", "id = 2"))
    await run(saga, client, update("ds_0", "account", "balance = NULL", "id = 1"))
    await run(saga, client, delete("ds_0", "account", "id = 1"))
    await saga.rollback()
    assert rows(world) == before
    world.clean()


async def test_the_script_for_the_operator_takes_the_difference_back_too(world: World) -> None:
    proxy = await world.proxy()
    saga = world.saga(proxy)
    await run(saga, world.client(), update("ds_0", "account", ADD.format(30), "id = 1"))
    world.script("UPDATE account SET balance = balance + 1, note = 'new' WHERE id = 1")
    records = [stored.record for stored in await proxy.shards.undo_records(saga.gtrid, "ds_0")]
    assert records[0].reverse_sql == "UPDATE `delta`.`account` SET `balance`=`balance`-30.00 WHERE `id` = 1 LIMIT 1"
    place = proxy.shards.place("ds_0")
    names = place.name("branch"), place.name("row_lock")
    lines = reverse_script(saga.gtrid, "ds_0", "delta", records, *names)
    world.script(*(line.rstrip(";") for line in lines if not line.startswith("--")))
    assert rows(world)[0] == ("1", "1001.00", "100", "new")
    await saga.rollback()
    assert rows(world)[0] == ("1", "1001.00", "100", "new")
