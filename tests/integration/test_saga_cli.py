"""``dbmesh tx`` on real servers, while no mesh runs."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pymysql
import pytest

from dbmesh.sandbox import Server
from tests.conftest import MakeSchema
from tests.integration.saga_world import World, delete, run, update
from tests.integration.tx_world import accounts, end_lease, listed, parked, tx


@pytest.fixture
async def world(servers: tuple[Server, Server], make_schema: MakeSchema, tmp_path: Path) -> AsyncIterator[World]:
    async with accounts(servers, make_schema, tmp_path) as world:
        yield world


async def test_before_any_mesh_has_run_there_are_no_transactions(world: World, tmp_path: Path) -> None:
    assert await listed(tmp_path) == []
    code, _, err = await tx(tmp_path, "show", "dm-nothing")
    assert (code, err) == (4, "there is no global transaction dm-nothing\n")


async def test_a_dead_proxys_transaction_is_rehearsed_and_replayed(world: World, tmp_path: Path) -> None:
    before = world.dump()
    proxy = await world.proxy()
    saga = world.saga(proxy)
    client = world.client()
    await run(saga, client, update("ds_0", "account", "balance = balance - 30", "id = 1"))
    await run(saga, client, delete("ds_1", "account", "id = 2"))
    during = world.dump()
    assert [(found["gtrid"], found["state"]) for found in await listed(tmp_path)] == [(saga.gtrid, "ACTIVE")]

    code, out, _ = await tx(tmp_path, "replay", saga.gtrid, "--dry-run")
    assert code == 0
    assert re.search(r"ds_0 +1 U +`tx_0`.`account` `id` = 1 +balance 70.00 → 100.00", out)
    assert world.dump() == during

    code, _, err = await tx(tmp_path, "replay", saga.gtrid, "--no-wait")
    assert code == 2
    assert "lives" in err
    end_lease(world, 1)
    code, out, _ = await tx(tmp_path, "replay", saga.gtrid)  # waits for the lease
    assert (code, out) == (0, f"{saga.gtrid}: ROLLED_BACK\n")
    assert world.dump() == before
    code, out, _ = await tx(tmp_path, "replay", saga.gtrid)
    assert (code, out) == (0, f"{saga.gtrid}: ROLLED_BACK (nothing to do)\n")
    code, out, _ = await tx(tmp_path, "show", saga.gtrid, "--json")
    assert [event["kind"] for event in json.loads(out)["events"]] == ["replay", "replayed"]


async def test_reverse_sql_can_be_run_by_hand(world: World, tmp_path: Path) -> None:
    before = world.dump()
    proxy = await world.proxy()
    saga = world.saga(proxy)
    client = world.client()
    await run(saga, client, update("ds_0", "account", "note = 'o''clock\\\\', balance = 0"))
    await run(saga, client, delete("ds_0", "account", "id = 2"))
    code, out, _ = await tx(tmp_path, "reverse-sql", saga.gtrid, "--ds", "ds_0")
    assert code == 0
    assert "UPDATE `tx_0`.`account` SET `balance`=100.00, `note`='a' WHERE `id` = 1 AND `balance`<=>0.00" in out
    statements = [line.rstrip(";") for line in out.splitlines() if not line.startswith("--")]
    left = world.dump()
    for foreign in ("UPDATE account SET balance = 1 WHERE id = 1", "INSERT INTO account VALUES (2, 1, 'x')"):
        world.script(foreign)
        with pytest.raises(pymysql.MySQLError) as error:
            world.script(*statements)
        assert error.value.args[0] == 1242
        world.script("UPDATE account SET balance = 0 WHERE id = 1", "DELETE FROM account WHERE id = 2")
        assert world.dump() == left
    world.script(*statements)
    assert world.dump() == before
    with pytest.raises(pymysql.MySQLError) as error:
        world.script(*statements)  # a second time
    assert error.value.args[0] == 1242
    await saga.rollback()
    assert world.dump() == before
    world.clean()


async def test_a_parked_transaction_is_replayed_after_the_row_was_mended(world: World, tmp_path: Path) -> None:
    before = world.dump()
    proxy = await world.proxy()
    saga = world.saga(proxy)
    client = world.client()
    await run(saga, client, update("ds_0", "account", "balance = 1", "id = 1"))
    world.script("UPDATE account SET balance = 7 WHERE id = 1")
    with pytest.raises(Exception, match="parked"):
        await saga.rollback()
    code, out, _ = await tx(tmp_path, "show", saga.gtrid)
    assert code == 3
    assert "was changed by others: balance 1.00 → 7.00" in out
    assert (await tx(tmp_path, "replay", saga.gtrid, "--dry-run"))[0] == 2
    assert (await tx(tmp_path, "replay", saga.gtrid))[0] == 3
    world.script("UPDATE account SET balance = 1 WHERE id = 1")
    code, out, _ = await tx(tmp_path, "replay", saga.gtrid)
    assert (code, out) == (0, f"{saga.gtrid}: ROLLED_BACK\n")
    assert world.dump() == before
    world.clean()


async def test_one_data_source_is_replayed_alone_and_the_rest_later(world: World, tmp_path: Path) -> None:
    before = world.dump()
    proxy = await world.proxy()
    saga = world.saga(proxy)
    await run(saga, world.client(), delete("ds_0", "account"), delete("ds_1", "account"))
    assert (await tx(tmp_path, "replay", saga.gtrid, "--branch", "ds_9"))[0] == 4
    end_lease(world)
    code, out, _ = await tx(tmp_path, "replay", saga.gtrid, "--branch", "ds_1")
    assert (code, out.split()[1]) == (0, "ROLLING_BACK")
    assert world.rows("SELECT COUNT(*) FROM account", "ds_0") == [(0,)]
    assert world.rows("SELECT COUNT(*) FROM account", "ds_1") == [(2,)]
    assert (await tx(tmp_path, "replay", saga.gtrid))[0] == 0
    assert world.dump() == before


@pytest.mark.parametrize(
    ("command", "restored", "state", "says"),
    [
        (("skip",), "7.00", "SKIPPED", "left as it is"),
        (("force",), "100.00", "FORCED", "balance 7.00 → 100.00"),
        (("force", "--use", "current"), "7.00", "SKIPPED", "left as it is"),
    ],
)
async def test_a_humans_word_ends_a_parked_transaction(
    world: World, tmp_path: Path, command: tuple[str, ...], restored: str, state: str, says: str
) -> None:
    gtrid = await parked(world)
    during = world.dump()
    where = (*command, gtrid, "--branch", "ds_0", "--reason", "the customer said so")
    code, out, _ = await tx(tmp_path, *where, "--dry-run")
    assert (code, says in out) == (0, True)
    assert world.dump() == during
    code, out, _ = await tx(tmp_path, *where, "--seq", "2")  # that is row 2, which is not in doubt
    assert code == 2
    assert world.dump() == during
    code, out, _ = await tx(tmp_path, *where, "--seq", "1")
    assert (code, says in out) == (0, True)
    assert out.endswith(f"{gtrid}: ROLLED_BACK\n")
    rows = world.rows("SELECT id, balance FROM account ORDER BY id")
    assert [str(balance) for _, balance in rows] == [restored, "200.00"]
    world.clean()
    code, out, _ = await tx(tmp_path, "show", gtrid, "--json")
    shown = json.loads(out)
    assert [branch["state"] for branch in shown["shards"]["ds_0"]["branches"]] == [state]
    assert "the customer said so" in json.dumps(shown["events"])
    assert (await tx(tmp_path, *where))[0] == 2  # it waits for no word any more


async def test_a_row_that_is_gone_is_not_invented(world: World, tmp_path: Path) -> None:
    gtrid = await parked(world)
    world.script("DELETE FROM account WHERE id = 1")
    code, _, err = await tx(tmp_path, "force", gtrid, "--branch", "ds_0", "--reason", "x")
    assert code == 2
    assert "only the changed columns are known" in err


async def test_locks_are_listed_and_only_what_has_ended_is_purged(world: World, tmp_path: Path) -> None:
    gtrid = await parked(world)
    code, out, _ = await tx(tmp_path, "locks", "--json")
    held = json.loads(out)
    assert (code, {lock["gtrid"] for lock in held}) == (0, {gtrid})
    assert [lock["key"] for lock in held] == ["PRIMARY(1)", "PRIMARY(2)"]
    assert (await tx(tmp_path, "locks", "--table", "nothing"))[1] == "no global locks\n"
    world.script("UPDATE _sagas.g_tx SET created_at = '2020-01-01', decided_at = '2020-01-01'")
    assert (await tx(tmp_path, "purge"))[1] == "0 ended transactions removed\n"
    assert len(await listed(tmp_path)) == 1
    await tx(tmp_path, "skip", gtrid, "--branch", "ds_0", "--reason", "x")
    world.script("UPDATE _sagas.g_tx SET ended_at = '2020-01-01'")
    assert (await tx(tmp_path, "purge"))[1] == "1 ended transactions removed\n"
    assert await listed(tmp_path) == []
    assert world.rows("SELECT * FROM _sagas.undo_record") == []
