"""The sandbox with real servers: they answer, they crash, they come back, and nothing of them stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pymysql
import pytest

from dbmesh.sandbox import Sandbox, Server, ServerError
from dbmesh.sandbox.process import Process, wait_until

# A shell starts its background jobs with SIGINT ignored, and children inherit that: the holder asks for it back.
# It naps instead of waiting for input: a signal that comes just before a blocking read would wait with it.
_HOLDER = """
import signal, time
from dbmesh.sandbox import Sandbox
signal.signal(signal.SIGINT, signal.default_int_handler)
with Sandbox() as sandbox:
    server = sandbox.start("held")
    print(sandbox.folder, server.pid, flush=True)
    while True:
        time.sleep(0.05)
"""


def test_answers_over_tcp_and_over_its_unix_socket(servers: tuple[Server, Server]) -> None:
    server = servers[0]
    assert server.rows("SELECT @@port, @@socket") == [(server.port, server.socket)]
    options = {"user": server.account.user, "password": server.account.password}
    with closing(pymysql.connect(unix_socket=server.socket, **options)) as over_socket:
        assert over_socket.thread_id() > 0


def test_a_wrong_password_is_refused(servers: tuple[Server, Server]) -> None:
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        servers[0].connection(password="guess")


def test_two_servers_do_not_share_data(servers: tuple[Server, Server], make_schema) -> None:
    make_schema(servers[0], "only_here")
    assert servers[0].rows("SHOW DATABASES LIKE 'only_here'")
    assert not servers[1].rows("SHOW DATABASES LIKE 'only_here'")


def test_committed_rows_survive_a_crash_and_uncommitted_ones_do_not(own_server: Server) -> None:
    own_server.script(["CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)", "INSERT INTO d.t VALUES (1)"])
    connection = own_server.connection("d", autocommit=False)
    connection.cursor().execute("INSERT INTO t VALUES (2)")
    port = own_server.port
    own_server.kill9()
    with pytest.raises(pymysql.err.OperationalError):
        connection.commit()
    with pytest.raises(pymysql.err.OperationalError):
        own_server.rows("SELECT 1")
    own_server.start()
    assert own_server.port == port
    assert own_server.rows("SELECT id FROM d.t") == [(1,)]


def test_a_clean_stop_and_a_restart_keep_the_data(own_server: Server) -> None:
    own_server.script(["CREATE DATABASE kept"])
    own_server.stop()
    assert own_server.pid is None
    own_server.start()
    assert own_server.rows("SHOW DATABASES LIKE 'kept'") == [("kept",)]


def test_a_second_server_starts_in_under_two_seconds(sandbox: Sandbox, servers: tuple[Server, Server]) -> None:
    begin = time.monotonic()
    sandbox.start("quick")
    took = time.monotonic() - begin
    sandbox.discard("quick")
    assert took < 2.0 * (1 + os.getloadavg()[0] / (os.cpu_count() or 1))


def test_a_server_that_cannot_start_says_why_from_its_log(sandbox: Sandbox) -> None:
    try:
        with pytest.raises(ServerError, match="no-such-option"):
            sandbox.start("broken", options=["--no-such-option"])
    finally:
        sandbox.discard("broken")


def test_a_process_that_nobody_ended_ends_with_the_sandbox() -> None:
    with Sandbox() as sandbox:
        folder = sandbox.folder / "forgotten"
        folder.mkdir()
        forgotten = Process("forgotten", folder)
        forgotten.start(["sleep", "1000"], {}, lambda: True, 10)
        assert forgotten.pid is not None
    wait_until(lambda: forgotten.pid is None, 5, lambda: "it still runs")
    assert not sandbox.folder.exists()


@pytest.fixture
def holder() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", _HOLDER], stdout=subprocess.PIPE, text=True)
    with process:
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_the_holder_ends_by(number: signal.Signals, holder: subprocess.Popen[str]) -> None:
    assert holder.stdout is not None
    folder, pid = holder.stdout.readline().split()
    assert Path(folder, "held", "data").is_dir()
    holder.send_signal(number)
    holder.wait(30)
    wait_until(lambda: not Path(folder).exists(), 10, lambda: f"{folder} is still there")
    wait_until(lambda: not Path("/proc", pid).exists(), 10, lambda: f"server {pid} still runs")
