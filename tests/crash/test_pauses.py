"""E08 with real processes: a mesh is stopped for longer than its lease, another one sweeps, the first goes on."""

from __future__ import annotations

import os
import signal
import socket
import threading
from contextlib import closing

import pytest

from tests.crash.proving_ground import STATEMENTS, Ground, until_true
from tests.crash.test_kill9 import judge

DEFERRED_POINTS = ("before.open_log", "sent.open_log", "before.commit@2", "sent.commit", "before.decide")
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
    until_true(lambda: stopped(sleeper.pid), f"{point} was not reached: {lane}")
    ground.settle()
    os.kill(sleeper.pid, signal.SIGCONT)
    client.join(30)
    assert not client.is_alive()
    assert "1213" in lane.told or (lane.told == "OK" and not commits), lane
    judge(ground, [lane], before)
    for proxy in (sleeper, helper):
        proxy.kill()
        assert proxy.killed()


@pytest.mark.parametrize("point", DEFERRED_POINTS)
def test_a_mesh_that_is_paused_in_a_deferred_commit_tells_the_truth(ground: Ground, point: str) -> None:
    """D06, D17: the sweeper's tombstone kills the open branch, or the transaction is whole."""
    helper = ground.serve()
    with closing(helper.connect()):
        pass
    before = ground.rows()
    sleeper = ground.serve(f"{point}=stop")
    (lane,) = ground.lanes([True], "deferred")
    client = threading.Thread(target=lane.play, args=(sleeper,))
    client.start()
    until_true(lambda: stopped(sleeper.pid), f"{point} was not reached: {lane}")
    ground.settle()
    os.kill(sleeper.pid, signal.SIGCONT)
    client.join(30)
    assert not client.is_alive()
    assert lane.told == "OK" or "1213" in lane.told, lane
    ground.settle()
    judge(ground, [lane], before)
    for proxy in (sleeper, helper):
        proxy.kill()
        assert proxy.killed()


def test_a_client_that_goes_in_the_middle_leaves_nothing(ground: Ground) -> None:
    """E03: its socket is closed without a word."""
    before = ground.rows()
    mesh = ground.serve()
    (lane,) = ground.lanes([True])
    connection = mesh.connect()
    with connection.cursor() as cursor:
        for statement in STATEMENTS:
            cursor.execute(statement.format(**lane.ids()))
    assert ground.rows() != before
    connection._sock.shutdown(socket.SHUT_RDWR)
    connection.close()
    until_true(lambda: ground.rows() == before, "not undone")
    ground.settle()
    judge(ground, [lane], before)
    os.kill(mesh.pid, signal.SIGTERM)
    until_true(lambda: mesh.ended() is not None, "it does not drain")
    assert mesh.status == 0


def test_a_mesh_that_is_told_to_end_undoes_what_is_open(ground: Ground) -> None:
    before = ground.rows()
    mesh = ground.serve()
    (lane,) = ground.lanes([True])
    with closing(mesh.connect()) as connection, connection.cursor() as cursor:
        for statement in STATEMENTS:
            cursor.execute(statement.format(**lane.ids()))
        os.kill(mesh.pid, signal.SIGTERM)
        until_true(lambda: mesh.ended() is not None, "it does not drain")
    assert mesh.status == 0
    judge(ground, [lane], before)


def stopped(pid: int) -> bool:
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "T"
