"""``dbmesh serve``: the mesh as a process, or as several that share the listening sockets."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import click
import uvloop

from dbmesh import __version__, build
from dbmesh.cli.options import load_or_exit, rules_option
from dbmesh.errors import MeshError
from dbmesh.frontend.colleagues import open_sockets
from dbmesh.frontend.listener import Frontend, open_socket, remove_socket_file
from dbmesh.frontend.login import Limits
from dbmesh.frontend.mesh import Mesh
from dbmesh.frontend.sessions import connection_ids
from dbmesh.frontend.tls import TlsEndpoint
from dbmesh.rules.loader import load
from dbmesh.rules.model import Listener, MeshRules, ServerTls

DRAIN_SECONDS = 10.0  # for statements and transactions under way; then they are rolled back
STOP_SECONDS = 5.0
RESTART_SECONDS = 0.5  # before a worker that ended is replaced: one that cannot start must not take a whole CPU

_log = logging.getLogger("dbmesh")


class ListenAddress(click.ParamType[Listener]):
    """HOST:PORT."""

    name = "HOST:PORT"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Listener:
        try:
            return value if isinstance(value, Listener) else Listener.parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def default_state() -> Path:
    """systemd's StateDirectory=, or the user's own."""
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(given) if given else Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "dbmesh"


@click.command()
@rules_option
@click.option("--listen", type=ListenAddress(), multiple=True, help="Listen here instead of where the rules say.")
@click.option("--socket", "sockets", type=click.Path(), multiple=True, help="A Unix socket, likewise.")
@click.option("--workers", type=click.IntRange(1, 255), default=1, show_default=True, help="Processes that serve.")
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default=default_state,
    help="Where the mesh keeps the certificate it makes for itself.  [default: $STATE_DIRECTORY, else "
    "$XDG_STATE_HOME/dbmesh, else ~/.local/state/dbmesh]",
)
@click.option("--verbose", is_flag=True, help="Log more.")
def serve(
    directory: Path, listen: tuple[Listener, ...], sockets: tuple[str, ...], workers: int, state: Path, verbose: bool
) -> None:
    """Serve clients until SIGTERM or Ctrl-C; SIGHUP reads the rules again."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(process)d %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    rules = load_or_exit(directory)
    chosen = (*listen, *(Listener.parse(os.path.abspath(path)) for path in sockets))
    if chosen:
        rules = replace(rules, listeners=chosen)
    state = state.absolute()
    try:
        load_tls(rules, state, rules.tls)
        opened = [(listener, open_socket(listener)) for listener in rules.listeners]
    except OSError as error:
        raise click.ClickException(str(error)) from error
    for listener, sock in opened:
        click.echo(f"listening on {_address(listener, sock)}", err=True)
    try:
        listening = [sock for _, sock in opened]
        house = House(directory, rules, listening, state, open_sockets(workers) if workers > 1 else [])
        code = run_workers(workers, house) if workers > 1 else run(house, 0)
    finally:
        for listener, sock in opened:
            sock.close()
            remove_socket_file(listener)
    sys.exit(code)


def _address(listener: Listener, sock: socket.socket) -> str:
    if listener.socket is not None:
        return listener.socket
    return str(replace(listener, port=sock.getsockname()[1]))


def load_tls(rules: MeshRules, state: Path, tls: ServerTls) -> TlsEndpoint | None:
    """The TLS of the listeners; None where no listener has it. Raises OSError."""
    wanted = any(listener.tls != "off" for listener in rules.listeners)
    return TlsEndpoint.load(tls, state) if wanted else None


@dataclass(frozen=True, slots=True)
class House:
    """What all workers share. ``sockets`` are those of ``rules.listeners``, in their order; ``between``: the workers'
    own, for what they ask each other."""

    directory: Path
    rules: MeshRules
    sockets: list[socket.socket]
    state: Path
    between: list[socket.socket]


def run(house: House, worker: int, parent: int | None = None) -> int:
    """Serve in this process until a signal ends it; the exit code. ``parent``: of several workers, its process id."""
    return uvloop.run(_serve(house, worker, parent))


async def _serve(house: House, worker: int, parent: int | None) -> int:
    rules = house.rules

    def announce() -> None:
        if parent is not None and os.getppid() == parent:
            os.kill(parent, signal.SIGHUP)  # which passes it on to every worker

    def load_again() -> MeshRules:
        return replace(load(house.directory, os.environ), listeners=rules.listeners)

    mesh = Mesh(rules, load_again, announce, partial(load_tls, rules, house.state))
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: mesh.spawn(_reload(mesh)))
    await mesh.start()
    frontend = Frontend(
        mesh,
        rules.max_connections,
        Limits(rules.login_timeout, rules.max_allowed_packet),
        rules.idle_timeout,
        connection_ids(worker),
    )
    if house.between:
        await mesh.colleagues.join(worker, house.between)
    for listener, sock in zip(rules.listeners, house.sockets, strict=True):
        await frontend.serve(sock, listener.tls)
    _log.info("DBMesh %s (%s) serves %s", __version__, build(), ", ".join(sorted(rules.databases)))
    await stopping.wait()
    _log.info("draining: no new clients, %d here", len(frontend.connections))
    await frontend.stop_listening()
    await mesh.drain(DRAIN_SECONDS)
    await frontend.close()
    await mesh.stop(STOP_SECONDS)
    return 0


async def _reload(mesh: Mesh) -> None:
    try:
        lines = await mesh.reload()
    except MeshError as error:
        _log.error("%s", error.message)
        return
    for line in lines or ["nothing has changed"]:
        _log.info("rules reloaded: %s", line)


def _run_child(house: House, worker: int, parent: int) -> int:
    try:
        return run(house, worker, parent)
    except BaseException:
        # beyond this is the parent's code, which would remove the socket files of those who still serve
        _log.exception("worker %d", worker)
        return 1


def run_workers(number: int, house: House) -> int:
    """Serve in ``number`` child processes that inherit the sockets; one that dies is replaced."""
    parent = os.getpid()
    children: dict[int, int] = {}
    ending = False

    def end(signum: int, frame: object) -> None:
        nonlocal ending
        ending = ending or signum != signal.SIGHUP
        for pid in children:
            os.kill(pid, signum)

    def fork(worker: int) -> None:
        pid = os.fork()
        if pid == 0:
            for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(signum, signal.SIG_DFL)
            os._exit(_run_child(house, worker, parent))
        children[pid] = worker

    for worker in range(number):
        fork(worker)
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, end)
    code = 0
    while children:
        try:
            pid, status = os.wait()
        except InterruptedError:
            continue
        worker = children.pop(pid)
        if ending:
            code = max(code, os.waitstatus_to_exitcode(status))
        else:
            _log.error("worker %d (pid %d) ended with %d; another takes its place", worker, pid, status)
            time.sleep(RESTART_SECONDS)
            if not ending:
                fork(worker)
    return code
