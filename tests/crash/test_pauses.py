"""E08 with real processes: a mesh is stopped for longer than its lease, another one sweeps, the first goes on."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import closing

import pytest

from tests.crash.proving_ground import Ground, until_true
from tests.crash.test_kill9 import judge

POINTS = ("before.begin@4", "before.gate@4", "sent.dml@4", "before.commit@4", "sent.commit@4", "before.decide")


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("commits", [True, False], ids=["commit", "rollback"])
def test_a_paused_mesh_changes_nothing_any_more(ground: Ground, point: str, commits: bool) -> None:
    helper = ground.serve()
    with closing(helper.connect()):
        pass
    before = ground.rows()
    sleeper = ground.serve(f"{point}=stop")
    (lane,) = ground.lanes([commits])
    client = threading.Thread(target=lane.play, args=(sleeper,))
    client.start()
    until_true(lambda: _stopped(sleeper.pid), f"{point} was not reached: {lane}")
    ground.settle()
    os.kill(sleeper.pid, signal.SIGCONT)
    client.join(30)
    assert not client.is_alive()
    assert "1213" in lane.told or (lane.told == "OK" and not commits), lane
    judge(ground, [lane], before)
    for proxy in (sleeper, helper):
        proxy.kill()
        assert proxy.killed()


def _stopped(pid: int) -> bool:
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "T"
