"""The rest of the failure matrix, as far as `eager` sagas meet it: dirty rows, damaged records, dead servers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import closing

import pytest

from dbmesh.errors import BackendError, CommitFailed, LockWaitTimeout, MeshError, NotSupported
from dbmesh.sandbox import Server
from dbmesh.transaction import failpoints
from dbmesh.transaction.performer import Performer, Statement
from dbmesh.transaction.record import Recorder
from dbmesh.transaction.recovery import Proxy
from tests.conftest import MakeSchema
from tests.integration.saga_world import World, delete, insert, rules_of, run, update

ITEM = (
    "CREATE TABLE item (id INT PRIMARY KEY, parent INT, code VARCHAR(10), amount SMALLINT, UNIQUE KEY (code),"
    " FOREIGN KEY (parent) REFERENCES item (id))"
)


async def world_on(servers: tuple[Server, Server], make_schema: MakeSchema, name: str, **times: float) -> World:
    sources = {f"ds_{n}": (server, make_schema(server, f"{name}_{n}")) for n, server in enumerate(servers)}
    for server, _ in sources.values():
        server.script(["DROP DATABASE IF EXISTS _sagas"])
    world = World(sources, rules_of(sources, **times))
    world.everywhere(ITEM, "INSERT INTO item VALUES (1, NULL, 'a', 10), (2, 1, 'b', 20), (3, 2, NULL, 30)")
    return world


@pytest.fixture
async def world(servers: tuple[Server, Server], make_schema: MakeSchema) -> AsyncIterator[World]:
    world = await world_on(servers, make_schema, "matrix", lease=30.0)
    yield world
    failpoints.arm("")
    await world.close()


async def parked(world: World, proxy: Proxy, gtrid: str) -> str:
    """Why the transaction is parked."""
    found = await proxy.log.read(gtrid)
    assert found is not None
    assert found.state == "PARKED"
    assert await proxy.sweep() == []
    return found.last_error or ""


async def ended(world: World) -> None:
    """Wait until no global transaction is under way."""
    for _ in range(200):
        if world.rows("SELECT COUNT(*) FROM _sagas.g_tx WHERE ended_at IS NULL") == [(0,)]:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(world.rows("SELECT gtrid, state, last_error FROM _sagas.g_tx"))


@pytest.mark.parametrize(
    ("foreign", "reason"),
    [
        ("DELETE FROM item WHERE id = 3", "row → no row"),  # C05
        ("UPDATE item SET amount = 99 WHERE id = 3", "amount 31 → 99"),  # C03
        ("ALTER TABLE item DROP COLUMN amount", "1054"),  # C08
        ("ALTER TABLE item RENAME TO other", "1146"),
        ("UPDATE _sagas.undo_record SET reverse_sql = 'DELETE FROM item'", "damaged"),  # C12
        ("DELETE FROM _sagas.undo_record", "no undo records"),
    ],
)
async def test_what_cannot_be_restored_is_parked_untouched(world: World, foreign: str, reason: str) -> None:
    proxy = await world.proxy()
    saga = world.saga(proxy)
    client = world.client()
    await run(saga, client, update("ds_0", "item", "amount = 31", "id = 3"))
    await run(saga, client, update("ds_1", "item", "amount = 31", "id = 3"))
    world.script(foreign)
    before = world.dump()["ds_0"]
    with pytest.raises(CommitFailed, match="parked"):
        await saga.rollback()
    assert reason in await parked(world, proxy, saga.gtrid)
    assert world.dump()["ds_0"] == before
    assert world.rows("SELECT amount FROM item WHERE id = 3", "ds_1") == [(30,)]  # the others are undone
    assert world.rows("SELECT COUNT(*) FROM _sagas.row_lock") == [(1,)]  # the row stays protected


async def test_a_column_that_became_too_narrow_is_never_truncated_silently(world: World) -> None:
    """C08."""
    proxy = await world.proxy()
    world.script("UPDATE item SET code = 'abcdef' WHERE id = 3")
    saga = world.saga(proxy)
    await run(saga, world.client(), update("ds_0", "item", "code = 'x'", "id = 3"))
    world.script("ALTER TABLE item MODIFY code VARCHAR(3)")
    with pytest.raises(CommitFailed, match="parked"):
        await saga.rollback()
    assert "could not be restored exactly" in await parked(world, proxy, saga.gtrid)
    assert world.rows("SELECT code FROM item WHERE id = 3") == [("x",)]


async def test_a_unique_value_taken_outside_the_mesh_parks(world: World) -> None:
    """C06."""
    proxy = await world.proxy()
    saga = world.saga(proxy)
    await run(saga, world.client(), update("ds_0", "item", "code = 'free'", "id = 1"))
    world.script("INSERT INTO item VALUES (9, NULL, 'A', 1)")
    with pytest.raises(CommitFailed, match="parked"):
        await saga.rollback()
    assert "1062" in await parked(world, proxy, saga.gtrid)
    world.script("DELETE FROM item WHERE id = 9")
    found = await proxy.log.read(saga.gtrid)
    assert found is not None
    await proxy.take_over(found)
    assert world.rows("SELECT code FROM item WHERE id = 1") == [("a",)]


async def test_a_child_row_from_outside_parks(world: World) -> None:
    """C07."""
    proxy = await world.proxy()
    saga = world.saga(proxy)
    await run(saga, world.client(), insert("ds_0", "item", ("id",), ("7",)))
    world.script("INSERT INTO item (id, parent) VALUES (8, 7)")
    with pytest.raises(CommitFailed, match="parked"):
        await saga.rollback()
    assert "1451" in await parked(world, proxy, saga.gtrid)


async def test_rows_that_refer_to_each_other_are_restored_in_an_order_that_works(world: World) -> None:
    proxy = await world.proxy()
    before = world.dump()
    client = world.client()
    saga = world.saga(proxy)
    await run(saga, client, delete("ds_0", "item", "id > 0", order_by="id DESC"))
    await run(saga, client, insert("ds_0", "item", ("id", "parent"), ("1", "NULL"), ("2", "1"), ("3", "2")))
    await run(saga, client, update("ds_0", "item", "parent = NULL", "id IN (2, 3)"))
    await run(saga, client, delete("ds_0", "item", "id = 1"))
    await saga.rollback()
    assert world.dump() == before


async def test_a_chain_of_unique_values_is_restored(world: World) -> None:
    proxy = await world.proxy()
    world.script("CREATE TABLE chain (id INT PRIMARY KEY, place INT, UNIQUE KEY (place))")
    world.script(f"INSERT INTO chain VALUES {', '.join(f'({n}, {n})' for n in range(1, 20))}")
    before = world.dump()
    saga = world.saga(proxy)
    await run(saga, world.client(), update("ds_0", "chain", "place = place + 1", "", order_by="place DESC"))
    await run(saga, world.client(), update("ds_0", "chain", "place = place - 2", "", order_by="place"))
    await saga.rollback()
    assert world.dump() == before


async def test_a_column_added_behind_the_meshs_back_is_not_lost(world: World) -> None:
    proxy = await world.proxy()
    first = world.saga(proxy)
    await run(first, world.client(), update("ds_0", "item", "amount = 1", "id = 1"))
    await first.rollback()
    world.script("ALTER TABLE item ADD COLUMN remark TEXT", "UPDATE item SET remark = 'new'")
    before = world.dump()
    proxy.definitions._checked.clear()  # a second later
    saga = world.saga(proxy)
    await run(saga, world.client(), delete("ds_0", "item", "id = 3"))
    await saga.rollback()
    assert world.dump() == before


async def test_stored_functions_are_refused(world: World) -> None:
    proxy = await world.proxy()
    world.script("CREATE FUNCTION `Loud` (a INT) RETURNS INT RETURN a")
    for text in ("amount = loud(1)", "amount = `LOUD` (1)"):
        with pytest.raises(NotSupported, match="stored function loud"):
            await run(world.saga(proxy), world.client(), update("ds_0", "item", text, "id = 1"))
    await run(world.saga(proxy), world.client(), update("ds_1", "item", "amount = ABS(-1)", "id IN (1)"))


async def test_two_sweepers_at_once_compensate_once(world: World) -> None:
    """D18."""
    before = world.dump()
    proxies = [await world.proxy() for _ in range(3)]
    client = world.client()
    saga = world.saga(proxies[0])
    for number in range(4):
        await run(saga, client, update("ds_0", "item", f"amount = amount + {number + 1}"))
    world.script("UPDATE _sagas.proxy SET lease_until = NOW(6)")
    await asyncio.gather(*(proxy.sweep() for proxy in proxies[1:]))
    assert world.dump() == before
    assert world.rows("SELECT state, COUNT(*) FROM _sagas.branch GROUP BY state") == [("COMPENSATED", 4)]
    assert world.rows("SELECT state, epoch FROM _sagas.g_tx") == [("ROLLED_BACK", 2)]


@pytest.mark.parametrize("step", ["compensate_begin", "compensate_row@2", "compensate_state", "compensate_commit"])
@pytest.mark.parametrize("moment", ["before", "sent"])
async def test_a_lost_connection_during_compensation_is_repeated(world: World, step: str, moment: str) -> None:
    """C01, C02."""
    proxy = await world.proxy()
    before = world.dump()
    saga = world.saga(proxy)
    await run(saga, world.client(), update("ds_0", "item", "amount = amount + 1"))
    failpoints.arm(f"{moment}.{step}=lose")
    await saga.rollback()
    assert world.dump() == before
    world.clean()


async def test_other_writers_and_the_saga_itself_do_not_block_each_other(world: World) -> None:
    """E10: between its statements a saga holds no lock of the server."""
    proxy = await world.proxy()
    client = world.client()
    saga = world.saga(proxy)
    begun = time.monotonic()
    await run(saga, client, update("ds_0", "item", "amount = 1", "id = 1"))
    world.script("SET innodb_lock_wait_timeout = 1", "UPDATE item SET code = 'z' WHERE id = 1")
    await run(saga, client, update("ds_0", "item", "amount = 2", "id = 1"))
    await saga.commit()
    assert time.monotonic() - begun < 1
    assert world.rows("SELECT code, amount FROM item WHERE id = 1") == [("z", 2)]


async def test_a_row_lock_of_the_server_is_waited_for_as_usual(world: World) -> None:
    proxy = await world.proxy()
    server, schema = world.sources["ds_0"]
    state = world.client().state.with_variables({"innodb_lock_wait_timeout": "1"})
    saga = world.saga(proxy)
    with closing(server.connection(schema)) as other, other.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("UPDATE item SET amount = 5 WHERE id = 1")
        with pytest.raises(BackendError) as error:
            await run(saga, world.client(state), update("ds_0", "item", "amount = 2", "id = 1"))
        other.rollback()
    assert error.value.errno == 1205
    assert saga.active
    await saga.rollback()


async def test_two_sagas_on_the_same_rows_of_two_shards_do_not_deadlock_for_ever(world: World) -> None:
    proxy = await world.proxy()

    async def one(order: tuple[str, str]) -> str:
        saga, client = world.saga(proxy), world.client()
        try:
            for name in order:
                await run(saga, client, update(name, "item", "amount = amount + 1", "id = 1"), lock_wait=0.5)
                await asyncio.sleep(0.1)
            await saga.commit()
        except LockWaitTimeout:
            await saga.rollback()
            return "1205"
        return "OK"

    told = await asyncio.gather(one(("ds_0", "ds_1")), one(("ds_1", "ds_0")))
    amounts = [world.rows("SELECT amount FROM item WHERE id = 1", name)[0][0] for name in ("ds_0", "ds_1")]
    assert amounts == [10 + told.count("OK")] * 2


async def test_a_server_without_returning_names_new_rows_by_constants_and_numbers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MySQL, as far as a MariaDB can play it."""
    made = Performer._recorder

    def without_returning(self: Performer, statement: Statement, name: str) -> Recorder:
        recorder = made(self, statement, name)
        recorder.imager.returning = False
        return recorder

    monkeypatch.setattr(Performer, "_recorder", without_returning)
    proxy = await world.proxy()
    world.script("CREATE TABLE line (no INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(10))")
    before = world.dump()
    saga, client = world.saga(proxy), world.client()
    numbered = await run(saga, client, insert("ds_0", "line", ("what",), ("'a'",), ("'b'",), ("'c'",)))
    assert (numbered.affected, numbered.last_insert_id) == (3, 1)
    assert numbered.info == b"Records: 3  Duplicates: 0  Warnings: 0"
    given = await run(saga, client, insert("ds_0", "line", ("no", "what"), ("70", "'a'"), ("60", "'b'")))
    assert (given.affected, given.last_insert_id) == (2, 60)
    for rows in ((("NULL", "'a'"), ("80", "'b'")), (("40 + 2", "'a'"),)):
        with pytest.raises(NotSupported, match="no INSERT … RETURNING"):
            await run(saga, client, insert("ds_0", "line", ("no", "what"), *rows))
    assert world.rows("SELECT COUNT(*) FROM line") == [(5,)]
    await saga.rollback()
    assert world.dump() == before


async def test_statements_without_rows_leave_no_branch(world: World) -> None:
    proxy = await world.proxy()
    saga = world.saga(proxy)
    client = world.client()
    assert (await run(saga, client, delete("ds_0", "item", "id = 77"))).affected == 0
    assert (await run(saga, client, update("ds_1", "item", "amount = 1", "id = 77"))).info.startswith(
        b"Rows matched: 0"
    )
    with pytest.raises(BackendError, match="nosuch"):
        await run(saga, client, update("ds_0", "item", "amount = nosuch", "id = 77"))
    await saga.rollback()
    assert world.rows("SELECT * FROM _sagas.branch") == []


async def test_a_shard_that_is_down_is_undone_when_it_returns(
    servers: tuple[Server, Server], own_server: Server, make_schema: MakeSchema
) -> None:
    """C10, Kd: the schedule is in the log, and the other shard is undone meanwhile."""
    world = await world_on((servers[0], own_server), make_schema, "down")
    before = world.dump()
    proxy = await world.proxy(sweeping=True)
    client = world.client()
    saga = world.saga(proxy)
    await run(saga, client, update("ds_0", "item", "amount = 1"))
    await run(saga, client, update("ds_1", "item", "amount = 1"))
    own_server.kill9()
    with pytest.raises(CommitFailed, match="pending"):
        await saga.rollback()
    assert world.rows("SELECT amount FROM item ORDER BY id") == [(10,), (20,), (30,)]
    assert (await proxy.log.read(saga.gtrid)).state == "ROLLING_BACK"  # type: ignore[union-attr]
    own_server.start()
    await ended(world)
    assert world.dump() == before
    await world.close()


async def test_without_its_log_nothing_is_begun_and_nothing_is_lost(
    servers: tuple[Server, Server], own_server: Server, make_schema: MakeSchema
) -> None:
    """D19, D20: the log's server is killed; what was open is undone when it is back."""
    world = await world_on((own_server, servers[0]), make_schema, "logless")
    before = world.dump()
    proxy = await world.proxy(sweeping=True)
    client = world.client()
    saga = world.saga(proxy)
    await run(saga, client, update("ds_1", "item", "amount = 1"))
    own_server.kill9()
    with pytest.raises(MeshError):
        await run(world.saga(proxy), client, update("ds_1", "item", "amount = 2"))
    with pytest.raises(CommitFailed, match="not known"):
        await saga.commit()
    own_server.start()
    world.script("UPDATE _sagas.g_tx SET deadline = NOW(6) WHERE state = 'ACTIVE'")
    await ended(world)
    assert world.dump() == before
    await world.close()


async def test_without_the_right_to_create_a_schema_the_tables_are_among_the_applications(
    servers: tuple[Server, Server], make_schema: MakeSchema
) -> None:
    world = await world_on(servers, make_schema, "guest")
    schema = world.sources["ds_0"][1]
    for number, server in enumerate(servers):
        server.script(
            [
                "DROP USER IF EXISTS guest",
                "CREATE USER guest IDENTIFIED BY 'sandbox-secret'",
                f"GRANT ALL ON guest_{number}.* TO guest",
            ]
        )
    for source in world.rules.data_sources.values():
        object.__setattr__(source, "user", "guest")
    before = world.rows("SELECT * FROM item")
    proxy = await world.proxy()
    saga = world.saga(proxy)
    await run(saga, world.client(), delete("ds_0", "item", "id = 3"))
    assert proxy.places["ds_0"].name("branch") == f"`{schema}`.`_sagas_branch`"
    await saga.rollback()
    assert world.rows("SELECT * FROM item") == before
    await world.close()
    for server in servers:
        server.script(["DROP USER guest"])
