"""X01 to X08 within one process: lost answers, dead servers, held and vanished branches, and what humans do then."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from dbmesh.backend.cluster import Cluster
from dbmesh.backend.pool import Capabilities
from dbmesh.backend.session_state import DEFAULT_STATE
from dbmesh.errors import BackendError, CommitFailed, Deadlock
from dbmesh.sandbox import Server
from dbmesh.transaction import failpoints
from dbmesh.transaction.link import dial
from dbmesh.transaction.recovery import Proxy
from dbmesh.transaction.xa import XaTransaction
from dbmesh.transaction.xa_recovery import Lookout
from tests.conftest import MakeSchema
from tests.integration.saga_world import World
from tests.integration.tx_world import accounts, end_lease, tx

BEFORE, AFTER = [(100,)], [(70,)]
BALANCE = "SELECT CAST(balance AS SIGNED) FROM account WHERE id = 1"
LOG_LOST = "before.decide=lose;before.decide:ds_0=lose"
PREPARE_LOST = "sent.xa_prepare:ds_1=lose"


@pytest.fixture
async def world(servers: tuple[Server, Server], make_schema: MakeSchema, tmp_path: Path) -> AsyncIterator[World]:
    async with accounts(servers, make_schema, tmp_path, "xa") as world:
        yield world
        failpoints.arm("")


async def begun(world: World, proxy: Proxy) -> XaTransaction:
    """It has taken 30 from account 1 on both data sources."""
    if not world.clusters:
        world.clusters.append(Cluster(world.rules))
    own = XaTransaction(world.clusters[0], Capabilities(), proxy.deadlocks, (), proxy=proxy, client="test")
    await own.enlist(world.sources, DEFAULT_STATE)
    own.will_write(world.sources)
    for connection in own.branches.values():
        await connection.execute("UPDATE account SET balance = balance - 30 WHERE id = 1")
    return own


def balances(world: World) -> list[list[tuple[int]]]:
    return [world.rows(BALANCE, name) for name in world.sources]


def state(world: World, gtrid: str) -> str | None:
    rows = world.rows(f"SELECT state FROM _sagas.g_tx WHERE gtrid = '{gtrid}'")
    return rows[0][0] if rows else None


def nothing_is_prepared(world: World) -> None:
    assert [world.rows("XA RECOVER", name) for name in world.sources] == [[], []]


async def until(happened: Callable[[], bool]) -> None:
    for _ in range(300):
        if await asyncio.to_thread(happened):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not happen")


@pytest.mark.parametrize(
    ("lost", "told", "ends"),
    [
        ("before.branch:ds_1=lose", Deadlock, "ROLLED_BACK"),
        ("sent.xa_end:ds_1=lose", Deadlock, "ROLLED_BACK"),
        ("before.open_log=lose", None, "COMMITTED"),
        ("sent.open_log=lose", None, "COMMITTED"),
        ("before.xa_prepare:ds_1=lose", Deadlock, "ROLLED_BACK"),
        (PREPARE_LOST, Deadlock, "ROLLED_BACK"),
        ("sent.xa_prepare:ds_0=lose;" + PREPARE_LOST, Deadlock, "ROLLED_BACK"),
        ("before.decide=lose", None, "COMMITTED"),
        ("sent.decide=lose", None, "COMMITTED"),
        ("before.xa_commit:ds_1=lose", None, "COMMITTED"),
        ("sent.xa_commit:ds_0=lose;sent.xa_commit:ds_1=lose", None, "COMMITTED"),
        (LOG_LOST, CommitFailed, "ROLLED_BACK"),
        ("before.decide=lose;sent.decide=lose", CommitFailed, "COMMITTED"),
    ],
)
async def test_a_lost_request_or_answer(world: World, lost: str, told: type[Exception] | None, ends: str) -> None:
    """X07, and its kind at every other step; a second proxy brings what is in doubt to its end."""
    proxy = await world.proxy()
    own = await begun(world, proxy)
    gtrid = own.gtrid
    failpoints.arm(lost)
    if told is None:
        await own.commit()
        assert balances(world) == [AFTER, AFTER]
    else:
        with pytest.raises(told, match=gtrid):
            await own.commit()
    if told is Deadlock:
        assert balances(world) == [BEFORE, BEFORE]
        nothing_is_prepared(world)
    failpoints.arm("")
    end_lease(world)
    await (await world.proxy()).sweep()
    assert state(world, gtrid) in (ends, None if told is Deadlock else ends)
    assert balances(world) == ([AFTER, AFTER] if ends == "COMMITTED" else [BEFORE, BEFORE])
    nothing_is_prepared(world)
    assert own.branches == {}


async def test_a_server_dies_after_prepare(
    servers: tuple[Server, Server], own_server: Server, make_schema: MakeSchema, tmp_path: Path
) -> None:
    """X04: the prepared branch is still there, and follows the decision when the server is back."""
    async with accounts((servers[0], own_server), make_schema, tmp_path, "xa_down") as world:
        proxy = await world.proxy()
        own = await begun(world, proxy)
        failpoints.arm("before.decide=sleep:0.7")
        committing = asyncio.ensure_future(own.commit())
        await until(lambda: len(world.rows("XA RECOVER", "ds_1")) == 1)
        own_server.kill9()
        with pytest.raises(CommitFailed, match="is committed, but not yet on ds_1"):
            await committing
        failpoints.arm("")
        assert world.rows(BALANCE) == AFTER
        own_server.start()
        assert world.rows(BALANCE, "ds_1") == BEFORE
        end_lease(world)
        assert [outcome.state for _, outcome in await (await world.proxy()).sweep()] == ["COMMITTED"]
        assert balances(world) == [AFTER, AFTER]
        nothing_is_prepared(world)


async def test_a_branch_that_another_connection_holds_is_committed(world: World) -> None:
    """X06: its owner hangs between decision and XA COMMIT; the other one ends its connection."""
    proxy, other = await world.proxy(), await world.proxy()
    own = await begun(world, proxy)
    failpoints.arm("before.xa_commit:ds_0=sleep:4;before.xa_commit:ds_1=sleep:4")
    committing = asyncio.ensure_future(own.commit())
    await until(lambda: state(world, own.gtrid) == "COMMITTED")
    found = await other.log.read(own.gtrid)
    assert found is not None
    outcome = await other.take_over(found)
    assert outcome is not None
    assert outcome.state == "COMMITTED"
    assert balances(world) == [AFTER, AFTER]
    assert not committing.done()
    await committing
    nothing_is_prepared(world)


async def test_a_vanished_branch_is_told_parked_and_resolved(world: World, tmp_path: Path) -> None:
    """X05: somebody rolls a prepared branch back by hand after the decision."""
    proxy = await world.proxy()
    own = await begun(world, proxy)
    gtrid = own.gtrid
    failpoints.arm("before.xa_commit:ds_1=sleep:0.8")
    committing = asyncio.ensure_future(own.commit())
    await until(lambda: state(world, gtrid) == "COMMITTED")
    async with proxy.links.link("ds_1") as link:
        await link.execute(f"KILL {own.branches['ds_1'].thread_id}")
        await asyncio.sleep(0.2)
        await link.execute(f"XA ROLLBACK {proxy.xa.xid(gtrid, 'ds_1').sql}")
    with pytest.raises(CommitFailed, match=r"HEURISTIC.*gone on ds_1.*is PARKED"):
        await committing
    failpoints.arm("")
    assert balances(world) == [AFTER, BEFORE]

    code, out, _ = await tx(tmp_path, "show", gtrid)
    assert code == 3
    assert "XA branch: committed" in out
    assert "XA branch: gone" in out
    assert (await tx(tmp_path, "replay", gtrid))[0] == 3
    assert (await tx(tmp_path, "undo", gtrid, "--reason", "why"))[0] == 2
    code, _, err = await tx(tmp_path, "resolve", gtrid, "commit", "--reason", "row 1 was mended")
    assert code == 2
    assert "on ds_1 its branch is gone without having committed; --i-know" in err
    code, out, _ = await tx(tmp_path, "resolve", gtrid, "commit", "--reason", "row 1 was mended", "--i-know")
    assert (code, out) == (0, f"{gtrid}: FORCED_COMMIT (ds_0: committed, ds_1: gone)\n")
    code, out, _ = await tx(tmp_path, "history", gtrid)
    assert "row 1 was mended" in out
    assert (await tx(tmp_path, "resolve", gtrid, "rollback", "--reason", "again"))[0] == 2


async def test_a_branch_committed_by_hand_parks_the_rollback(world: World, tmp_path: Path) -> None:
    proxy = await world.proxy()
    own = await begun(world, proxy)
    gtrid = own.gtrid
    failpoints.arm(LOG_LOST)
    with pytest.raises(CommitFailed, match="is not known yet"):
        await own.commit()
    failpoints.arm("")
    code, out, err = await tx(tmp_path, "resolve", gtrid, "rollback", "--reason", "why")
    assert (code, out) == (2, "")
    assert "lives" in err
    async with proxy.links.link("ds_1") as link:
        await asyncio.sleep(0.2)
        await link.execute(f"XA COMMIT {proxy.xa.xid(gtrid, 'ds_1').sql}")
    end_lease(world)
    other = await world.proxy()
    await other.sweep()
    assert state(world, gtrid) == "PARKED"
    assert balances(world) == [BEFORE, AFTER]
    code, out, _ = await tx(tmp_path, "resolve", gtrid, "rollback", "--reason", "why", "--dry-run")
    assert code == 2
    assert f"{gtrid} on ds_1: committed" in out
    code, _, _ = await tx(tmp_path, "resolve", gtrid, "rollback", "--reason", "mended by hand", "--i-know")
    assert code == 0
    assert state(world, gtrid) == "FORCED_ROLLBACK"


@pytest.mark.parametrize("word", ["commit", "rollback"])
async def test_a_human_decides_for_a_mesh_that_died_before_it_did(world: World, tmp_path: Path, word: str) -> None:
    proxy = await world.proxy()
    own = await begun(world, proxy)
    gtrid = own.gtrid
    failpoints.arm(LOG_LOST)
    with pytest.raises(CommitFailed):
        await own.commit()
    failpoints.arm("")
    await proxy.stop()
    world.proxies.clear()
    code, out, _ = await tx(tmp_path, "xa-recover", "--dry-run", "--json")
    assert code == 0
    found = json.loads(out)["prepared"]
    assert [(item["data_source"], item["state"], item["decision"]) for item in found] == [
        ("ds_0", "COMMITTING", "take over"),
        ("ds_1", "COMMITTING", "take over"),
    ]
    code, out, err = await tx(tmp_path, "resolve", gtrid[:30], word, "--reason", "the customer has paid")
    assert (code, err) == (0, "")
    assert "FORCED_" in out
    assert balances(world) == ([AFTER, AFTER] if word == "commit" else [BEFORE, BEFORE])
    nothing_is_prepared(world)
    assert (await tx(tmp_path, "xa-recover"))[:2] == (0, "no prepared XA branches\n")


async def test_what_a_dead_mesh_left_is_recovered_by_the_command_line(world: World, tmp_path: Path) -> None:
    proxy = await world.proxy()
    own = await begun(world, proxy)
    failpoints.arm(LOG_LOST)
    with pytest.raises(CommitFailed):
        await own.commit()
    failpoints.arm("")
    await proxy.stop()
    world.proxies.clear()
    code, out, _ = await tx(tmp_path, "xa-recover")
    assert code == 0
    assert out.count("done") == 2
    assert balances(world) == [BEFORE, BEFORE]
    nothing_is_prepared(world)


async def prepare_by_hand(world: World, proxy: Proxy, gtrid: str, data_source: str, xid: str = "") -> None:
    xid = xid or proxy.xa.xid(gtrid, data_source).sql
    link = await dial(world.rules.data_sources[data_source])
    for sql in (f"XA START {xid}", "INSERT INTO account VALUES (9, 9, '')", f"XA END {xid}", f"XA PREPARE {xid}"):
        await link.execute(sql)
    link.close()
    await asyncio.sleep(0.2)


async def test_a_prepared_branch_without_a_row_in_the_log_is_left_and_shown(world: World, tmp_path: Path) -> None:
    proxy = await world.proxy()
    await prepare_by_hand(world, proxy, "dm-lost", "ds_1")
    lookout = Lookout()
    await lookout.look(proxy)
    assert len(world.rows("XA RECOVER", "ds_1")) == 1
    code, out, _ = await tx(tmp_path, "xa-recover")
    assert code == 2
    assert "in doubt" in out
    code, out, _ = await tx(tmp_path, "doctor")
    assert code == 2
    assert "dbmesh tx resolve dm-lost" in " ".join(out.split())
    code, out, _ = await tx(tmp_path, "resolve", "dm-lost", "rollback", "--reason", "the log was restored")
    assert (code, out) == (0, "dm-lost: FORCED_ROLLBACK (ds_1: gone)\n")
    nothing_is_prepared(world)


async def test_a_prepared_branch_that_a_failover_brought_back_follows_its_old_decision(world: World) -> None:
    proxy = await world.proxy()
    own = await begun(world, proxy)
    gtrid = own.gtrid
    await own.commit()
    for _ in range(100):
        if world.rows(f"SELECT ended_at IS NOT NULL FROM _sagas.g_tx WHERE gtrid = '{gtrid}'") == [(1,)]:
            break
        await asyncio.sleep(0.02)
    await prepare_by_hand(world, proxy, gtrid, "ds_1")
    await Lookout().look(proxy)
    assert world.rows("SELECT id FROM account WHERE id = 9", "ds_1") == [(9,)]
    nothing_is_prepared(world)


async def test_others_xa_transactions_are_shown_and_left_alone(world: World, tmp_path: Path) -> None:
    proxy = await world.proxy()
    theirs = "'theirs','x',1"
    await prepare_by_hand(world, proxy, "", "ds_1", theirs)
    try:
        await Lookout().look(proxy)
        code, out, _ = await tx(tmp_path, "xa-recover", "--json")
        assert code == 0
        assert [item["gtrid"] for item in json.loads(out)["others"]] == ["theirs"]
        assert len(world.rows("XA RECOVER", "ds_1")) == 1
    finally:
        world.script(f"XA ROLLBACK {theirs}", data_source="ds_1")


async def test_a_branch_that_its_server_has_rolled_back_is_1213(world: World) -> None:
    """A deadlock that is only noticed at COMMIT."""
    proxy = await world.proxy()
    own = await begun(world, proxy)
    with pytest.raises(BackendError):
        await own.branches["ds_1"].execute(f"XA END {proxy.xa.xid('another', 'ds_1').sql}")
    await own.branches["ds_1"].execute(f"XA END {proxy.xa.xid(own.gtrid, 'ds_1').sql}")
    with pytest.raises(CommitFailed, match="every shard was rolled back"):
        await own.commit()
    assert balances(world) == [BEFORE, BEFORE]
    nothing_is_prepared(world)


async def test_tables_of_a_mesh_that_knew_no_xa_are_brought_up_to_date(world: World) -> None:
    proxy = await world.proxy()
    mesh = proxy.xa.mesh
    await proxy.stop()
    world.everywhere("ALTER TABLE _sagas.branch MODIFY mode ENUM('deferred','eager') NOT NULL")
    world.script("DROP TABLE _sagas.mesh")
    again = await world.proxy()
    assert again.xa.mesh not in ("", mesh)
    await (await begun(world, again)).commit()
    assert balances(world) == [AFTER, AFTER]
    assert world.rows("SELECT mode FROM _sagas.branch", "ds_1") == [("xa",)]
