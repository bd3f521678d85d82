"""Pools of real connections: all or none, turns, time limits, and what must never come back."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import replace

import pytest

from dbmesh.backend.cluster import Cluster
from dbmesh.backend.failures import Unreachable
from dbmesh.backend.pool import Capabilities
from dbmesh.backend.session_state import DEFAULT_STATE
from dbmesh.errors import PoolTimeout
from dbmesh.rules.model import DataSource, MeshRules, PoolRules
from dbmesh.sandbox import Server

OLD = Capabilities()
NEW = Capabilities(deprecate_eof=True)


async def test_a_released_connection_is_taken_again_at_once(cluster: Cluster) -> None:
    assert cluster.acquire_nowait("ds_0", OLD, DEFAULT_STATE) is None
    [connection] = await cluster.acquire(["ds_0"], OLD, DEFAULT_STATE)
    cluster.release(connection)
    assert cluster.acquire_nowait("ds_0", NEW, DEFAULT_STATE) is None
    assert cluster.acquire_nowait("ds_0", OLD, DEFAULT_STATE) is connection
    assert cluster.acquire_nowait("ds_0", OLD, DEFAULT_STATE) is None
    cluster.release(connection)
    cluster.release(connection)  # a second time does nothing
    assert [(r.in_use, r.idle) for r in cluster.report()] == [(0, 1), (0, 0)]


async def test_the_size_holds_across_capabilities(cluster: Cluster, server: Server) -> None:
    olds = await cluster.acquire(["ds_0", "ds_0"], OLD, DEFAULT_STATE)
    for connection in olds:
        cluster.release(connection)
    news = await cluster.acquire(["ds_0", "ds_0"], NEW, DEFAULT_STATE)
    assert all(connection.closed for connection in olds)
    report = cluster.report()[0]
    assert (report.in_use, report.idle, report.size) == (2, 0, 2)
    for connection in news:
        cluster.release(connection)


async def test_waiting_ends_in_the_order_of_coming(cluster: Cluster) -> None:
    held = await cluster.acquire(["ds_0", "ds_0"], OLD, DEFAULT_STATE)
    order: list[int] = []

    async def one(number: int) -> None:
        [connection] = await cluster.acquire(["ds_0"], OLD, DEFAULT_STATE)
        order.append(number)
        await asyncio.sleep(0)
        cluster.release(connection)

    tasks = []
    for number in range(10):
        tasks.append(asyncio.create_task(one(number)))
        await asyncio.sleep(0)
    assert cluster.report()[0].waiting == 10
    cluster.release(held[0])
    await asyncio.gather(*tasks)
    assert order == list(range(10))
    cluster.release(held[1])


async def test_waiting_ends_with_an_error_after_the_time_limit(cluster: Cluster) -> None:
    held = await cluster.acquire(["ds_0", "ds_0"], OLD, DEFAULT_STATE)
    began = time.monotonic()
    with pytest.raises(PoolTimeout, match=r"no connection to ds_0 became free in 0\.2 s") as refused:
        await cluster.acquire(["ds_0", "ds_1"], OLD, DEFAULT_STATE)
    assert 0.15 < time.monotonic() - began < 1
    assert refused.value.errno == 1040
    report = cluster.report()
    assert (report[0].waiting, report[1].waiting, report[1].in_use) == (0, 0, 0)
    assert (report[0].counters.timeouts, report[0].counters.waited) == (1, 1)
    for connection in held:
        cluster.release(connection)
    assert cluster.report()[0].in_use == 0


async def test_one_who_gives_up_lets_those_behind_go_on(cluster: Cluster) -> None:
    held = await cluster.acquire(["ds_0", "ds_0", "ds_1"], OLD, DEFAULT_STATE)
    scatter = asyncio.create_task(cluster.acquire(["ds_0", "ds_1"], OLD, DEFAULT_STATE))
    await asyncio.sleep(0)
    single = asyncio.create_task(cluster.acquire(["ds_1"], OLD, DEFAULT_STATE))
    await asyncio.sleep(0.05)
    assert not single.done()  # the scatter has ds_1 reserved
    scatter.cancel()
    [connection] = await single
    for taken in (*held, connection):
        cluster.release(taken)
    assert [report.in_use for report in cluster.report()] == [0, 0]


async def test_more_than_the_pool_has_is_refused_at_once(cluster: Cluster) -> None:
    with pytest.raises(PoolTimeout, match="its pool has 2"):
        await cluster.acquire(["ds_0"] * 3, OLD, DEFAULT_STATE)


async def test_scatters_in_any_order_never_hold_halves(source: DataSource) -> None:
    pool = PoolRules(size=2, wait_timeout=20)
    names = ["ds_0", "ds_1", "ds_2"]
    cluster = Cluster(MeshRules((), {}, {}, {name: replace(source, name=name, pool=pool) for name in names}))
    chance = random.Random(7)

    async def worker() -> None:
        for _ in range(20):
            wanted = chance.sample(names, chance.randint(1, 3))
            connections = await cluster.acquire(wanted, OLD, DEFAULT_STATE)
            assert [connection.data_source for connection in connections] == wanted
            await asyncio.gather(*(connection.execute("SELECT 1") for connection in connections))
            for connection in connections:
                cluster.release(connection)

    async with asyncio.timeout(15):
        await asyncio.gather(*(worker() for _ in range(16)))
    assert all((report.in_use, report.waiting) == (0, 0) for report in cluster.report())
    assert all(report.counters.dialled <= 2 for report in cluster.report())
    await cluster.close()


async def test_cancelled_waits_and_dials_lose_no_places(cluster: Cluster) -> None:
    chance = random.Random(3)

    async def worker() -> None:
        for _ in range(10):
            task = asyncio.create_task(cluster.acquire(["ds_0", "ds_1"], OLD, DEFAULT_STATE))
            await asyncio.sleep(chance.random() * 0.004)
            task.cancel()
            result = (await asyncio.gather(task, return_exceptions=True))[0]
            if isinstance(result, list):
                for connection in result:
                    cluster.release(connection, reusable=chance.random() < 0.5)

    await asyncio.gather(*(worker() for _ in range(8)))
    assert [(report.in_use, report.waiting) for report in cluster.report()] == [(0, 0), (0, 0)]


@pytest.mark.parametrize("spoil", ["BEGIN", "SELECT 1"])
async def test_a_connection_in_a_transaction_or_unfit_does_not_come_back(cluster: Cluster, spoil: str) -> None:
    [connection] = await cluster.acquire(["ds_0"], OLD, DEFAULT_STATE)
    await connection.execute(spoil)
    connection.poisoned = spoil != "BEGIN"
    cluster.release(connection)
    assert connection.closed
    assert cluster.report()[0].idle == 0


async def test_a_connection_that_its_server_closed_while_idle_leaves_the_pool(cluster: Cluster, server: Server) -> None:
    [connection] = await cluster.acquire(["ds_0"], OLD, DEFAULT_STATE)
    cluster.release(connection)
    closed = asyncio.Event()
    connection.on_lost, before = lambda lost: (before(lost), closed.set())[0], connection.on_lost
    await asyncio.to_thread(server.script, [f"KILL {connection.thread_id}"])
    await asyncio.wait_for(closed.wait(), 2)
    assert cluster.report()[0].idle == 0
    [again] = await cluster.acquire(["ds_0"], OLD, DEFAULT_STATE)
    assert (await again.execute("SELECT 1")).rows == [[b"1"]]
    cluster.release(again)


async def test_idle_connections_are_recycled(source: DataSource) -> None:
    pool = PoolRules(size=2, idle_timeout=0.1)
    cluster = Cluster(MeshRules((), {}, {}, {"ds_0": replace(source, pool=pool)}))
    connections = await cluster.acquire(["ds_0", "ds_0"], OLD, DEFAULT_STATE)
    for connection in connections:
        cluster.release(connection)
    deadline = time.monotonic() + 2
    while cluster.report()[0].idle:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    await cluster.close()


async def test_one_unreachable_data_source_gives_the_others_connections_back(source: DataSource) -> None:
    sources = {"ds_0": source, "down": replace(source, name="down", port=1)}
    cluster = Cluster(MeshRules((), {}, {}, sources))
    for _ in range(3):
        with pytest.raises(Unreachable, match="data source 'down'"):
            await cluster.acquire(["ds_0", "down"], OLD, DEFAULT_STATE)
    report = {row.data_source: row for row in cluster.report()}
    assert (report["ds_0"].in_use, report["down"].in_use, report["down"].counters.failed) == (0, 0, 3)
    assert set(await cluster.warm_up()) == {"down"}
    await cluster.close()


async def test_close_waits_for_those_who_still_work(cluster: Cluster) -> None:
    [connection] = await cluster.acquire(["ds_0"], OLD, DEFAULT_STATE)
    work = asyncio.create_task(connection.execute("SELECT SLEEP(0.1)"))
    closing = asyncio.create_task(cluster.close(grace=5))
    assert (await work).rows == [[b"0"]]
    assert not closing.done()
    cluster.release(connection)
    await closing
    with pytest.raises(PoolTimeout, match="being closed"):
        await cluster.acquire(["ds_0"], OLD, DEFAULT_STATE)


async def test_a_dial_that_is_cancelled_twice_gives_its_place_back(cluster: Cluster) -> None:
    for turns in range(12):  # wherever in the dial the cancellations come
        waiting = asyncio.create_task(cluster.acquire(["ds_0", "ds_0"], OLD, DEFAULT_STATE))
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        waiting.cancel()
        try:
            for connection in await waiting:
                cluster.release(connection, reusable=False)
        except asyncio.CancelledError:
            pass
        assert cluster.report()[0].in_use == 0
