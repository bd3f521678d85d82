"""kill -9 and pauses of the mesh at every step of two-phase commit: each transaction is whole or as before."""

from __future__ import annotations

import os
import random
import signal
import threading
from contextlib import closing

import pytest

from tests.crash.proving_ground import LANES, Ground, until_true
from tests.crash.test_kill9 import judge, recovered, run_lanes
from tests.crash.test_pauses import stopped

MOMENTS = ("before", "sent", "after")
LATE = "before.{step}:ds_1=sleep:9;"  # so that the two shards' steps, which go side by side, are apart
# X01 to X04 and X07: every request of a COMMIT, in its order, on one shard and on the other, alone and together
FAILPOINTS = [
    *(f"{moment}.branch@{nth}" for moment, nth in (("before", 1), ("sent", 2), ("after", 1))),
    *(f"{moment}.xa_end@{nth}" for moment, nth in (("before", 1), ("sent", 1), ("after", 2))),
    *(f"{moment}.open_log" for moment in MOMENTS),
    *(f"{moment}.xa_prepare@{nth}" for moment, nth in (("before", 1), ("before", 2), ("sent", 1), ("after", 2))),
    *(f"{LATE.format(step='xa_prepare')}{moment}.xa_prepare:ds_0" for moment in MOMENTS[1:]),
    *(f"{moment}.decide" for moment in MOMENTS),
    *(f"{moment}.xa_commit@{nth}" for moment, nth in (("before", 1), ("before", 2), ("sent", 1), ("after", 2))),
    *(f"{LATE.format(step='xa_commit')}{moment}.xa_commit:ds_0" for moment in MOMENTS[1:]),
    *(f"{moment}.end" for moment in MOMENTS),
    # a lost answer, and death while that is dealt with
    *(f"sent.xa_prepare:ds_1=lose;{moment}.{step}" for step in ("decide", "plant") for moment in MOMENTS),
    *(f"{lost}.xa_commit:ds_1=lose;{died}" for lost, died in
      (("sent", "before.xa_commit@3"), ("sent", "sent.xa_commit@2"), ("before", "after.xa_commit@2"))),
]  # fmt: skip
GROUPS = [FAILPOINTS[first : first + LANES] for first in range(0, len(FAILPOINTS), LANES)]
PAUSES = ("before.open_log", "before.xa_prepare@2", "after.xa_prepare:ds_0", "before.decide", "after.decide")
PAUSED_AFTER_DECISION = ("after.decide",)
RECOVERY = ("after.decide", "sent.plant")
RECOVERED_COMMITS = ("sent.xa_commit",)


def nothing_is_prepared(ground: Ground) -> None:
    assert [server.rows("XA RECOVER") for server in ground.servers] == [[], []]


@pytest.mark.parametrize("number", range(len(GROUPS)))
def test_at_every_failpoint(ground: Ground, number: int) -> None:
    group = GROUPS[number]
    helper = ground.serve() if number % 2 else None
    before = ground.rows()
    proxies = [ground.serve(f"{point}=kill9") for point in group]
    lanes = ground.lanes([True] * len(group), "xa")
    run_lanes(lanes, proxies)
    for proxy, lane, point in zip(proxies, lanes, group, strict=True):
        assert proxy.killed(), f"{point} was not reached: {lane} {proxy.log.read_text()[-2000:]}"
    recovered(ground, helper)
    judge(ground, lanes, before)
    nothing_is_prepared(ground)


def test_at_random_moments(ground: Ground) -> None:
    chance = random.Random("xa")
    before = ground.rows()
    proxies = [ground.serve() for _ in range(LANES)]
    lanes = ground.lanes([True] * LANES, "xa")
    run_lanes(lanes, proxies, [chance.uniform(0.0, 0.2) for _ in range(LANES)])
    for proxy in proxies:
        assert proxy.killed()
    recovered(ground, None)
    judge(ground, lanes, before)
    nothing_is_prepared(ground)


@pytest.mark.parametrize(
    ("first", "step"),
    [*(("before.decide", step) for step in RECOVERY), *(("after.decide", step) for step in RECOVERED_COMMITS)],
)
def test_while_another_proxy_recovers(ground: Ground, first: str, step: str) -> None:
    """The first is killed around its decision, the next one in the middle of carrying that out, a third ends it."""
    before = ground.rows()
    lanes = ground.lanes([True], "xa")
    dying = ground.serve(f"{first}=kill9")
    run_lanes(lanes, [dying])
    assert dying.killed()
    helper = ground.serve(f"{step}=kill9")
    assert helper.killed(), step
    recovered(ground, None)
    judge(ground, lanes, before)
    nothing_is_prepared(ground)


@pytest.mark.parametrize("point", PAUSES)
def test_a_mesh_that_is_paused_tells_the_truth(ground: Ground, point: str) -> None:
    """X06, X08: the sweeper gets at branches that the paused mesh's connections still hold."""
    helper = ground.serve()
    with closing(helper.connect()):
        pass
    before = ground.rows()
    sleeper = ground.serve(f"{point}=stop")
    (lane,) = ground.lanes([True], "xa")
    client = threading.Thread(target=lane.play, args=(sleeper,))
    client.start()
    until_true(lambda: stopped(sleeper.pid), f"{point} was not reached: {lane}")
    if point != "before.open_log":  # nothing is durable there that others could see
        until_true(lambda: bool(ground.log_rows("SELECT 1 FROM LOG.g_tx WHERE mode = 'xa'")), "no row")
        ground.settle()
    os.kill(sleeper.pid, signal.SIGCONT)
    client.join(30)
    assert not client.is_alive()
    committed = point in (*PAUSED_AFTER_DECISION, "before.open_log")
    assert lane.told == "OK" if committed else "1213" in lane.told, lane
    ground.settle()
    judge(ground, [lane], before)
    nothing_is_prepared(ground)
    for proxy in (sleeper, helper):
        proxy.kill()
        assert proxy.killed()
