"""kill -9 of the mesh, 200 times: every saga ends whole or undone, and the tables are as the dump taken before.

At every failpoint (before a request, between its sending and its answer, after the answer), at random moments, and
again while another proxy recovers; with a second proxy running, and with a proxy started only afterwards.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from tests.crash.proving_ground import LANES, STRIDE, Ground, Lane, Proxy
from tests.flavour import MYSQL

COMMIT, ROLLBACK = True, False
# (failpoint, how the client ends): every request that a saga sends, in the order of its life
STATEMENT_STEPS = ("begin", "gate", "snapshot", "dml", "lock", "branch", "undo", "commit")
STATEMENT_MOMENTS = (("before", 3), ("sent", 4), ("after", 2))
FAILPOINTS: list[tuple[str, bool]] = [
    *((f"{moment}.{step}@{nth}", COMMIT) for step in STATEMENT_STEPS for moment, nth in STATEMENT_MOMENTS),
    # new rows are looked at by a statement of their own where INSERT has no RETURNING
    *((f"{moment}.image@2", COMMIT) for moment in ("before", "sent", "after") if MYSQL),
    *((f"{moment}.open_log", COMMIT) for moment in ("before", "sent", "after")),
    *((f"{moment}.decide", ending) for ending in (COMMIT, ROLLBACK) for moment in ("before", "sent", "after")),
    *((f"{moment}.{step}", COMMIT) for step in ("release", "end") for moment in ("before", "sent", "after")),
    *((f"{moment}.close_gate", ROLLBACK) for moment in ("before", "sent", "after")),
    *((f"{moment}.read_branches", ROLLBACK) for moment in ("before", "sent", "after")),
    *((f"sent.{step}@2", ROLLBACK) for step in ("mark_locks", "close_gate", "compensate_commit")),
    *(
        (f"{moment}.{step}@{nth}", ROLLBACK)
        for step in ("compensate_begin", "compensate_read", "compensate_row", "compensate_state", "compensate_commit")
        for moment, nth in (("before", 1), ("sent", 3), ("after", 4))
    ),
    ("before.commit@2=lose;sent.plant", COMMIT),
    ("sent.commit@3=lose;sent.plant", COMMIT),
]  # fmt: skip
GROUPS = [FAILPOINTS[first : first + LANES] for first in range(0, len(FAILPOINTS), LANES)]
MOMENTS = ("before", "sent", "after")
FAIL_COMMIT = "before.commit:ds_1=lose"  # ds_1 has not committed, ds_0 has: it must be compensated
# D01 to D16: every request of a deferred transaction's life, in its order
DEFERRED_FAILPOINTS: list[tuple[str, bool]] = [
    *((f"{moment}.{step}@2", COMMIT) for step in ("snapshot", "dml") for moment in MOMENTS[1:]),
    *((f"{moment}.{step}@{nth}", COMMIT) for step in ("lock", "branch", "undo") for moment, nth in
      (("before", 1), ("sent", 2), ("after", 1))),
    *((f"{moment}.open_log", COMMIT) for moment in MOMENTS),
    *((f"{moment}.commit@{nth}", COMMIT) for moment, nth in (("before", 2), ("sent", 1), ("sent", 2), ("after", 1))),
    *((f"{moment}.commit:ds_0", COMMIT) for moment in MOMENTS),
    *((f"before.commit:ds_1=sleep:9;{moment}.commit:ds_0", COMMIT) for moment in MOMENTS[1:]),
    *((f"{moment}.{step}", COMMIT) for step in ("decide", "release", "end") for moment in MOMENTS),
    *((f"{FAIL_COMMIT};{moment}.{step}", COMMIT) for step in ("plant", "decide", "compensate_row", "compensate_commit")
      for moment in MOMENTS),
    ("sent.commit:ds_1=lose;sent.plant", COMMIT),
    ("before.decide@9=kill9;before.dml@3", ROLLBACK),
]  # fmt: skip
DEFERRED_GROUPS = [DEFERRED_FAILPOINTS[first : first + LANES] for first in range(0, len(DEFERRED_FAILPOINTS), LANES)]
RECOVERY_STEPS = (
    "sent.mark_locks", "sent.close_gate", "after.close_gate", "before.read_branches", "sent.compensate_begin",
    "sent.compensate_read", "sent.compensate_row@2", "after.compensate_row", "sent.compensate_state",
    "sent.compensate_commit", "after.compensate_commit@2", "sent.decide", "after.decide@2",
)  # fmt: skip
KILLS = 200
RANDOM_KILLS = KILLS - 2 * len(FAILPOINTS) - 2 * len(RECOVERY_STEPS)
RANDOM_ROUNDS = [(second, first) for second in (False, True) for first in range(0, RANDOM_KILLS // 2, LANES)]


def run_lanes(lanes: list[Lane], proxies: list[Proxy], kill_after: list[float] | None = None) -> None:
    """All lanes at once; each mesh dies at its failpoint, or so many seconds after its client has begun."""
    threads = [threading.Thread(target=lane.play, args=(proxy,)) for lane, proxy in zip(lanes, proxies, strict=True)]
    if kill_after is not None:
        for lane, proxy in zip(lanes, proxies, strict=True):
            lane.connection = proxy.connect()  # so that no start-up is counted
    for thread in threads:
        thread.start()
    if kill_after is not None:
        for proxy, seconds in zip(proxies, kill_after, strict=True):
            threading.Thread(target=lambda p=proxy, s=seconds: (time.sleep(s), p.kill())).start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def judge(ground: Ground, lanes: list[Lane], before: dict[str, Any]) -> None:
    """Each lane is whole or as before, and its client was not told otherwise."""
    after = ground.rows()
    for lane in lanes:
        own_before, own_after = of_lane(before, lane), of_lane(after, lane)
        undone = own_after == own_before
        if not undone:
            assert balances(own_after) == expected(balances(own_before), lane), lane
            assert "ROLLBACK" not in lane.told
        if lane.told == "OK":
            assert undone is not lane.commits, lane
        if "1213" in lane.told:
            assert undone, lane
        if lane.told.startswith("nothing"):
            assert undone, f"committed without being asked: {lane}"
    leftovers = "SELECT COUNT(*) FROM `_crash`.row_lock"
    assert [server.rows(leftovers)[0][0] for server in ground.servers] == [0, 0]
    for state in ("ACTIVE", "COMMITTING", "ROLLING_BACK", "PARKED"):
        assert ground.log_rows(f"SELECT * FROM LOG.g_tx WHERE state = '{state}'") == []


def of_lane(rows: dict[str, Any], lane: Lane) -> dict[str, Any]:
    first = lane.first
    return {
        f"{name}.{table}": [row for row in found if first <= int(row[0]) < first + STRIDE]
        for name, tables in rows.items()
        for table, found in tables.items()
    }


def balances(rows: dict[str, Any]) -> dict[str, dict[int, str]]:
    """id → balance (account) or line (ledger), both shards together."""
    found: dict[str, dict[int, str]] = {"account": {}, "ledger": {}}
    for name, listed in rows.items():
        for row in listed:
            table = name.partition(".")[2]
            found[table][int(row[0])] = row[2] if table == "account" else bytes.fromhex(row[1]).decode()
    return found


def expected(before: dict[str, dict[int, str]], lane: Lane) -> dict[str, dict[int, str]]:
    """What the lane's transaction makes of its rows when it is committed."""
    after = {table: dict(rows) for table, rows in before.items()}
    first, line = lane.first, lane.first + (lane.transaction + 5) * 2
    after["account"][first] = f"{float(after['account'][first]) - 10.5:.2f}"
    after["account"][first + 1] = f"{float(after['account'][first + 1]) + 10.5:.2f}"
    after["account"].pop(first + 4, None)
    after["ledger"] |= {line: "one", line + 1: "two"}
    return after


def recovered(ground: Ground, second: Proxy | None) -> None:
    """By the second proxy that runs already, or by one started now."""
    helper = second or ground.serve()
    ground.settle()
    helper.kill()
    helper.killed()


@pytest.mark.parametrize("second", [False, True], ids=["restarted", "second proxy"])
@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group[0][0].split("=")[0])
def test_at_every_failpoint(ground: Ground, group: list[tuple[str, bool]], second: bool) -> None:
    helper = ground.serve() if second else None
    before = ground.rows()
    proxies = [ground.serve(f"{point}=kill9") for point, _ in group]
    lanes = ground.lanes([commits for _, commits in group])
    run_lanes(lanes, proxies)
    for proxy, lane, (point, _) in zip(proxies, lanes, group, strict=True):
        assert proxy.killed(), f"{point} was not reached: {lane} {proxy.log.read_text()[-2000:]}"
        ground.kills += 1
    recovered(ground, helper)
    judge(ground, lanes, before)


@pytest.mark.parametrize("number", range(len(DEFERRED_GROUPS)))
def test_at_every_failpoint_of_a_deferred_transaction(ground: Ground, number: int) -> None:
    group = DEFERRED_GROUPS[number]
    helper = ground.serve() if number % 2 else None
    before = ground.rows()
    proxies = [ground.serve(f"{point}=kill9") for point, _ in group]
    lanes = ground.lanes([commits for _, commits in group], "deferred")
    run_lanes(lanes, proxies)
    for proxy, lane, (point, _) in zip(proxies, lanes, group, strict=True):
        assert proxy.killed(), f"{point} was not reached: {lane} {proxy.log.read_text()[-2000:]}"
    recovered(ground, helper)
    judge(ground, lanes, before)


def test_deferred_transactions_at_random_moments(ground: Ground) -> None:
    chance = random.Random("deferred")
    before = ground.rows()
    proxies = [ground.serve() for _ in range(LANES)]
    lanes = ground.lanes([True] * LANES, "deferred")
    run_lanes(lanes, proxies, [chance.uniform(0.0, 0.2) for _ in range(LANES)])
    for proxy in proxies:
        assert proxy.killed()
    recovered(ground, None)
    judge(ground, lanes, before)


@pytest.mark.parametrize(("second", "first"), RANDOM_ROUNDS)
def test_at_random_moments(ground: Ground, second: bool, first: int) -> None:
    chance = random.Random(f"{second} {first}")
    count = min(LANES, RANDOM_KILLS // 2 - first)
    helper = ground.serve() if second else None
    before = ground.rows()
    proxies = [ground.serve() for _ in range(count)]
    lanes = ground.lanes([chance.random() < 0.5 for _ in range(count)])
    run_lanes(lanes, proxies, [chance.uniform(0.0, 0.4) for _ in range(count)])
    for proxy in proxies:
        assert proxy.killed()
        ground.kills += 1
    recovered(ground, helper)
    judge(ground, lanes, before)


@pytest.mark.parametrize("step", RECOVERY_STEPS)
def test_while_another_proxy_recovers(ground: Ground, step: str) -> None:
    """The first is killed with its transaction open, the next one in the middle of undoing that, a third ends it."""
    before = ground.rows()
    lanes = ground.lanes([ROLLBACK])
    dying = ground.serve("before.decide=kill9")
    run_lanes(lanes, [dying])
    assert dying.killed()
    helper = ground.serve(f"{step}=kill9")
    assert helper.killed(), f"{step} was not reached: {helper.log.read_text()[-2000:]}"
    ground.kills += 2
    recovered(ground, None)
    judge(ground, lanes, before)


def test_the_command_line_shows_how_all_have_ended(ground: Ground) -> None:
    if ground.kills:
        assert ground.kills == KILLS
    done = subprocess.run(
        [sys.executable, "-m", "dbmesh", "tx", "list", "--json", "--rules", str(ground.rules)],
        capture_output=True,
        text=True,
        check=True,
    )
    listed = json.loads(done.stdout)
    assert {found["state"] for found in listed} <= {"COMMITTED", "ROLLED_BACK"}
    assert len(listed) == ground.log_rows("SELECT COUNT(*) FROM LOG.g_tx")[0][0]
