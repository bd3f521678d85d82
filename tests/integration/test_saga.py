"""BASE sagas on real servers: statements, commit, rollback, savepoints, locks, recovery."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dbmesh.errors import BackendError, Deadlock, LockWaitTimeout, NotSupported
from dbmesh.sandbox import Server
from dbmesh.transaction import failpoints
from dbmesh.transaction.recovery import Proxy
from tests.conftest import MakeSchema
from tests.integration.saga_world import World, delete, insert, rules_of, run, update

ACCOUNT = (
    "CREATE TABLE account (id INT PRIMARY KEY, owner VARCHAR(20), balance DECIMAL(10,2) NOT NULL,"
    " changed TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),"
    " UNIQUE KEY (owner))"
)


@pytest.fixture
async def world(servers: tuple[Server, Server], make_schema: MakeSchema) -> AsyncIterator[World]:
    sources = {f"ds_{n}": (server, make_schema(server, f"saga_{n}")) for n, server in enumerate(servers)}
    for server, _ in sources.values():
        server.script(["DROP DATABASE IF EXISTS _sagas"])
    world = World(sources, rules_of(sources))
    world.everywhere(
        ACCOUNT, "INSERT INTO account (id, owner, balance) VALUES (1,'Ann',100),(2,'Bob',200),(3,'Cy',300)"
    )
    yield world
    failpoints.arm("")
    await world.close()


def balances(world: World, data_source: str = "ds_0") -> list[tuple[int, int]]:
    return [(row[0], int(row[1])) for row in world.rows("SELECT id, balance FROM account ORDER BY id", data_source)]


def end_lease(world: World, proxy: Proxy) -> None:
    world.script(
        f"UPDATE _sagas.proxy SET lease_until = NOW(6) - INTERVAL 1 SECOND WHERE instance = '{proxy.instance}'"
    )


async def test_a_paused_proxy_finds_its_gate_closed_after_another_has_swept(world: World) -> None:
    """E08: no statement of a zombie can commit once its transaction was taken over."""
    sleeper, sweeper = await world.proxy(), await world.proxy()
    before = world.dump()
    client = world.client()
    saga = world.saga(sleeper)
    await run(saga, client, update("ds_0", "account", "balance = balance - 10", "id = 1"))
    # the sleeper is paused for longer than its lease: as its loops do not run, its lease just ends
    end_lease(world, sleeper)
    assert [(gtrid, outcome.state) for gtrid, outcome in await sweeper.sweep()] == [(saga.gtrid, "ROLLED_BACK")]
    assert world.dump() == before
    with pytest.raises(Deadlock, match="ROLLED_BACK"):
        await run(saga, client, update("ds_0", "account", "balance = balance + 10", "id = 2"))
    assert not saga.active
    assert world.dump() == before
    world.clean()


async def test_a_paused_proxy_finds_the_gate_closed_on_a_shard_that_it_had_not_used(world: World) -> None:
    sleeper, sweeper = await world.proxy(), await world.proxy()
    before = world.dump()
    client = world.client()
    saga = world.saga(sleeper)
    await run(saga, client, update("ds_0", "account", "balance = balance - 10", "id = 1"))
    end_lease(world, sleeper)
    await sweeper.sweep()
    with pytest.raises(Deadlock):
        await run(saga, client, insert("ds_1", "account", ("id", "balance"), ("9", "9")))
    assert world.dump() == before


async def test_a_paused_proxy_cannot_commit_what_another_has_undone(world: World) -> None:
    sleeper, sweeper = await world.proxy(), await world.proxy()
    before = world.dump()
    saga = world.saga(sleeper)
    await run(saga, world.client(), update("ds_0", "account", "balance = balance - 10", "id = 1"))
    end_lease(world, sleeper)
    await sweeper.sweep()
    with pytest.raises(Deadlock, match="ROLLED_BACK"):
        await saga.commit()
    assert world.dump() == before


async def test_commit_keeps_everything_and_frees_the_locks(world: World) -> None:
    proxy = await world.proxy()
    client = world.client()
    saga = world.saga(proxy)
    one = await run(saga, client, update("ds_0", "account", "balance = balance - 10", "id = 1"))
    two = await run(saga, client, update("ds_1", "account", "balance = balance + 10", "id = 1"))
    assert (one.affected, two.affected) == (1, 1)
    assert one.info == b"Rows matched: 1  Changed: 1  Warnings: 0"
    await saga.commit()
    await proxy.stop()
    assert (balances(world)[0], balances(world, "ds_1")[0]) == ((1, 90), (1, 110))
    world.clean()
    assert world.rows("SELECT state, ended_at IS NOT NULL FROM _sagas.g_tx") == [("COMMITTED", 1)]


async def test_rollback_restores_every_row_exactly(world: World) -> None:
    proxy = await world.proxy()
    before = world.dump()
    client = world.client()
    saga = world.saga(proxy)
    await run(
        saga, client, insert("ds_0", "account", ("id", "owner", "balance"), ("7", "'Zoë'", "1.5"), ("8", "NULL", "2"))
    )
    await run(saga, client, update("ds_0", "account", "balance = balance * 2, owner = 'x'", "id = 7"))
    await run(
        saga, client, update("ds_0", "account", "balance = balance + 1", "id IN (1, 2, 7)", order_by="id", limit="2")
    )
    await run(saga, client, delete("ds_0", "account", "id = 7"))
    await run(saga, client, delete("ds_0", "account", "balance > 150"), delete("ds_1", "account"))
    await run(saga, client, insert("ds_0", "account", ("id", "owner", "balance"), ("2", "'Ann2'", "1")))
    assert world.dump() != before
    await saga.rollback()
    assert world.dump() == before
    world.clean()
    assert world.rows("SELECT state FROM _sagas.g_tx") == [("ROLLED_BACK",)]


async def test_an_update_that_changes_nothing_writes_nothing(world: World) -> None:
    proxy = await world.proxy()
    saga = world.saga(proxy)
    result = await run(saga, world.client(), update("ds_0", "account", "owner = owner", "id < 3"))
    assert (result.affected, result.matched) == (0, 2)
    assert world.rows("SELECT * FROM _sagas.branch") == []
    await saga.commit()
    await proxy.stop()
    world.clean()


async def test_a_statement_that_fails_on_one_shard_is_undone_on_the_others(world: World) -> None:
    """E07: the transaction goes on."""
    proxy = await world.proxy()
    client = world.client()
    saga = world.saga(proxy)
    await run(saga, client, update("ds_0", "account", "balance = 1", "id = 1"))
    before = world.dump()
    with pytest.raises(BackendError) as error:
        await run(
            saga,
            client,
            insert("ds_0", "account", ("id", "balance"), ("5", "5")),
            insert("ds_1", "account", ("id", "balance"), ("3", "3")),
        )
    assert error.value.errno == 1062
    assert saga.active
    assert world.dump() == before
    await run(saga, client, insert("ds_1", "account", ("id", "balance"), ("5", "5")))
    await saga.commit()
    assert (5, 5) in balances(world, "ds_1")
    await proxy.stop()
    world.clean()


async def test_a_commit_that_is_lost_on_one_shard_compensates_the_others(world: World) -> None:
    proxy = await world.proxy()
    client = world.client()
    saga = world.saga(proxy)
    before = world.dump()
    failpoints.arm("before.commit:ds_1=lose")
    with pytest.raises(Exception, match="Lost connection"):
        await run(saga, client, delete("ds_0", "account"), delete("ds_1", "account"))
    assert saga.active
    assert world.dump() == before
    await run(saga, client, delete("ds_0", "account", "id = 1"), delete("ds_1", "account", "id = 1"))
    await saga.rollback()
    assert world.dump() == before
    world.clean()


async def test_a_commit_whose_answer_is_lost_is_found_by_its_tombstone(world: World) -> None:
    """E02."""
    proxy = await world.proxy()
    client = world.client()
    saga = world.saga(proxy)
    before = world.dump()
    failpoints.arm("sent.commit:ds_1=lose")
    await run(saga, client, delete("ds_0", "account"), delete("ds_1", "account"))
    assert balances(world, "ds_1") == []
    await saga.rollback()
    assert world.dump() == before
    world.clean()


async def test_a_decision_whose_answer_is_lost_is_read_again(world: World) -> None:
    """E04."""
    proxy = await world.proxy()
    saga = world.saga(proxy)
    await run(saga, world.client(), delete("ds_0", "account"))
    failpoints.arm("sent.decide=lose")
    await saga.commit()
    assert balances(world) == []


async def test_rollback_to_a_savepoint_undoes_only_what_came_after(world: World) -> None:
    proxy = await world.proxy()
    client = world.client()
    start = world.dump()
    saga = world.saga(proxy)
    await run(saga, client, update("ds_0", "account", "balance = 1", "id = 1"))
    saga.savepoint("a")
    middle = world.dump()
    await run(saga, client, update("ds_0", "account", "balance = 2", "id = 1"))
    await run(saga, client, insert("ds_1", "account", ("id", "balance"), ("5", "5")))
    await saga.rollback_to("A")
    assert world.dump() == middle
    with pytest.raises(BackendError, match="does not exist"):
        await saga.rollback_to("b")
    await run(saga, client, update("ds_0", "account", "balance = 3", "id = 1"))
    await saga.rollback()
    assert world.dump() == start
    world.clean()


async def test_another_transaction_waits_for_a_locked_row_and_gets_1205(world: World) -> None:
    """E09, the second half: the row of a statement before the savepoint stays locked."""
    proxy = await world.proxy()
    one, other = world.client(), world.client()
    before = world.dump()
    saga = world.saga(proxy)
    await run(saga, one, update("ds_0", "account", "balance = 1", "id = 1"))
    saga.savepoint("s")
    await run(saga, one, update("ds_0", "account", "balance = 2", "id = 1"))
    await saga.rollback_to("s")
    second = world.saga(proxy)
    with pytest.raises(LockWaitTimeout, match=saga.gtrid):
        await run(second, other, update("ds_0", "account", "balance = 7", "id = 1"), lock_wait=0.3)
    assert second.active
    await saga.rollback()
    await run(second, other, update("ds_0", "account", "balance = 7", "id = 1"))
    await second.rollback()
    assert world.dump() == before
    world.clean()


async def test_the_unique_value_of_a_deleted_row_stays_taken_until_the_end(world: World) -> None:
    """C06, inside the mesh; 'ANN' is the same key as 'Ann' in this collation."""
    proxy = await world.proxy()
    before = world.dump()
    saga, second = world.saga(proxy), world.saga(proxy)
    await run(saga, world.client(), delete("ds_0", "account", "id = 1"))
    with pytest.raises(LockWaitTimeout):
        await run(
            second,
            world.client(),
            insert("ds_0", "account", ("id", "owner", "balance"), ("9", "'ANN'", "1")),
            lock_wait=0.2,
        )
    await saga.rollback()
    assert world.dump() == before


async def test_a_committed_holder_does_not_keep_others_waiting(world: World) -> None:
    """Its process may have died before it freed the locks."""
    proxy = await world.proxy()
    failpoints.arm("before.release=lose;before.release@2=lose;before.release@3=lose")
    saga, second = world.saga(proxy), world.saga(proxy)
    await run(saga, world.client(), update("ds_0", "account", "balance = 1", "id = 1"))
    await saga.commit()
    await run(second, world.client(), update("ds_0", "account", "balance = balance + 1", "id = 1"))
    await second.commit()
    assert balances(world)[0] == (1, 2)


async def test_a_foreign_write_to_a_touched_column_parks_the_transaction(world: World) -> None:
    """C03, and the replay after a human has mended the row."""
    proxy = await world.proxy()
    client = world.client()
    before = world.dump()
    saga = world.saga(proxy)
    await run(saga, client, update("ds_0", "account", "balance = 1, changed = changed", "id = 1"))
    await run(saga, client, update("ds_1", "account", "balance = 1, changed = changed", "id = 1"))
    world.script("UPDATE account SET balance = 5, changed = changed WHERE id = 1")
    with pytest.raises(Exception, match="parked"):
        await saga.rollback()
    assert balances(world)[0] == (1, 5)
    assert balances(world, "ds_1")[0] == (1, 100)
    found = await proxy.log.read(saga.gtrid)
    assert found is not None
    assert found.state == "PARKED"
    assert "balance 1.00 → 5.00" in (found.last_error or "")
    assert await proxy.sweep() == []
    world.script("UPDATE account SET balance = 1, changed = changed WHERE id = 1")
    outcome = await proxy.take_over(found)
    assert outcome is not None
    assert outcome.state == "ROLLED_BACK"
    assert world.dump() == before
    world.clean()


async def test_a_foreign_write_to_another_column_is_kept(world: World) -> None:
    """C04."""
    proxy = await world.proxy()
    saga = world.saga(proxy)
    await run(saga, world.client(), update("ds_0", "account", "balance = 1, changed = changed", "id = 1"))
    world.script("UPDATE account SET owner = 'Dee', changed = changed WHERE id = 1")
    await saga.rollback()
    assert world.rows("SELECT owner, balance FROM account WHERE id = 1") == [("Dee", 100)]


async def test_a_transaction_past_its_deadline_is_undone_and_its_client_told(world: World) -> None:
    """E05."""
    proxy = await world.proxy()
    before = world.dump()
    saga = world.saga(proxy, deadline=0.01)
    await run(saga, world.client(), delete("ds_0", "account"))
    while not await proxy.sweep():
        pass
    assert world.dump() == before
    with pytest.raises(Deadlock):
        await saga.commit()


async def test_a_row_being_compensated_sends_the_next_writer_away_at_once(world: World) -> None:
    proxy = await world.proxy()
    saga, second = world.saga(proxy), world.saga(proxy)
    client = world.client()
    await run(saga, world.client(), update("ds_0", "account", "balance = 1", "id = 1"))
    await run(second, client, update("ds_0", "account", "balance = 1", "id = 2"))
    world.script(f"UPDATE _sagas.row_lock SET state = 'ROLLING_BACK' WHERE gtrid = '{saga.gtrid}'")
    with pytest.raises(Deadlock):
        await run(second, client, update("ds_0", "account", "balance = 2", "id = 1"), lock_wait=10)
    assert not second.active
    assert balances(world)[1] == (2, 200)
    await saga.rollback()
    world.clean()


async def test_undo_is_never_purged_before_the_end(world: World) -> None:
    """C13."""
    world.rules = rules_of(world.sources, retention=0)
    proxy = await world.proxy()
    before = world.dump()
    saga = world.saga(proxy)
    await run(saga, world.client(), delete("ds_0", "account"))
    assert await proxy.purge() == 0
    await saga.rollback()
    assert world.dump() == before
    assert await proxy.purge() == 1
    for table in ("branch", "gate", "undo_record", "row_lock", "g_tx"):
        assert world.rows(f"SELECT * FROM _sagas.{table}") == []


async def test_what_cannot_be_compensated_is_refused_before_anything_is_done(world: World) -> None:
    proxy = await world.proxy()
    client = world.client()
    world.script(
        "CREATE TABLE nokey (a INT)",
        "CREATE TABLE memory (id INT PRIMARY KEY) ENGINE=MyISAM",
        "CREATE TABLE fired (id INT PRIMARY KEY)",
        "CREATE TRIGGER loud BEFORE INSERT ON fired FOR EACH ROW SET NEW.id = NEW.id",
    )
    cases = {
        "no primary or unique not-null key": insert("ds_0", "nokey", ("a",), ("1",)),
        "not transactional": insert("ds_0", "memory", ("id",), ("1",)),
        "trigger.*loud": insert("ds_0", "fired", ("id",), ("1",)),
        "key column id": update("ds_0", "account", "id = id + 10"),
    }
    for message, unit in cases.items():
        with pytest.raises(NotSupported, match=message):
            await run(world.saga(proxy), client, unit)
    assert world.rows("SELECT * FROM _sagas.g_tx") == []
    assert client.lent == 0


async def test_worker_ids_are_leased_by_one_process_each(world: World) -> None:
    one, other = await world.proxy(), await world.proxy()
    assert (await one.lease_worker_id(), await other.lease_worker_id()) == (0, 1)
    assert one.worker_id() == 0
    world.script("UPDATE _sagas.worker_id SET lease_until = NOW(6) - INTERVAL 1 SECOND WHERE id = 0")
    third = await world.proxy()
    assert await third.lease_worker_id() == 0
    assert one.worker is not None
    await one.worker.renew()
    assert one.worker_id() == 2
