"""CPU of the proxy per query, the mesh's next to HAProxy's: the same load, turn by turn, in the same run.

The mesh routes by key over four data nodes; HAProxy passes bytes to one unsharded table. All tables are on one server,
so that both proxies have the same server behind them and share the machine with it alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial

from benchmarks import shards, sysbench
from benchmarks.cpu import cpu_seconds
from benchmarks.haproxy import haproxy
from benchmarks.shards import Transport
from benchmarks.sysbench import Endpoint
from dbmesh.sandbox import Mesh, Sandbox, Server

TABLE, KEY, PLAIN = "sbtest1", "id", "plain"
MESH = "mesh"
PREPARED = "mesh, prepared statements"
# The mesh has one worker, thus HAProxy with one thread is its like; out of the box HAProxy takes one per core.
HAPROXIES = {"HAProxy, 1 thread": 1, "HAProxy, out of the box": None}


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy under test: its process, where clients reach it, and whether they prepare their statements."""

    name: str
    pid: int
    endpoint: Endpoint
    prepared: bool = False


@dataclass(frozen=True, slots=True)
class Sample:
    """One turn of one proxy: CPU per query in microseconds, and queries per second."""

    cpu: float
    rate: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """All turns over one transport, by proxy; the n-th turns of all proxies were run one after the other."""

    transport: Transport
    samples: Mapping[str, Sequence[Sample]]

    def ratios(self, one: str, other: str) -> list[float]:
        """CPU per query of one divided by the other's, round by round."""
        return [ours.cpu / theirs.cpu for ours, theirs in zip(self.samples[one], self.samples[other], strict=True)]


def compare(threads: int, rounds: int, seconds: int, test: str = sysbench.POINT_SELECT) -> Iterator[Comparison]:
    """Measure with TCP on both sides of the proxies, then with Unix sockets on both sides."""
    transports: tuple[Transport, ...] = ("tcp", "unix")
    with Sandbox() as sandbox:
        server = sandbox.start("mysql", options=["--innodb-buffer-pool-size=256M"])
        sysbench.prepare(server, PLAIN)
        shards.split(server, PLAIN, TABLE, KEY)
        for transport in transports:
            with ExitStack() as stack:
                proxies = [stack.enter_context(_mesh(sandbox, server, transport))]
                proxies.append(replace(proxies[0], name=PREPARED, prepared=True))
                for name, nbthread in HAPROXIES.items():
                    proxies.append(stack.enter_context(_haproxy(sandbox, server, transport, name, nbthread)))
                yield Comparison(transport, _turns(proxies, partial(_sample, test, threads, seconds), rounds))


def _turns(proxies: Sequence[Proxy], sample: Callable[[Proxy], Sample], rounds: int) -> dict[str, list[Sample]]:
    """One turn each per round; the order turns round, so that a drift of the machine hits all alike."""
    samples: dict[str, list[Sample]] = {proxy.name: [] for proxy in proxies}
    for proxy in proxies:
        sample(proxy)  # warms caches; not counted
    for turn in range(rounds):
        for proxy in proxies if turn % 2 == 0 else reversed(proxies):
            samples[proxy.name].append(sample(proxy))
    return samples


def _sample(test: str, threads: int, seconds: int, proxy: Proxy) -> Sample:
    before = cpu_seconds(proxy.pid)
    load = sysbench.run(proxy.endpoint, threads, seconds, proxy.prepared, test)
    spent = cpu_seconds(proxy.pid) - before
    return Sample(spent / load.queries * 1e6, load.rate)


@contextmanager
def _mesh(sandbox: Sandbox, server: Server, transport: Transport) -> Iterator[Proxy]:
    rules = shards.write_rules(sandbox.folder / f"rules_{transport}", server, TABLE, KEY, transport)
    mesh = Mesh(sandbox.folder / f"mesh_{transport}", rules, shards.USER)
    try:
        mesh.start()
        assert mesh.pid is not None
        where = (mesh.port, None) if transport == "tcp" else (None, mesh.socket)
        yield Proxy(MESH, mesh.pid, Endpoint(shards.USER.user, shards.USER.password, shards.DATABASE, *where))
    finally:
        mesh.close()


@contextmanager
def _haproxy(sandbox: Sandbox, server: Server, transport: Transport, name: str, threads: int | None) -> Iterator[Proxy]:
    folder = sandbox.folder / f"haproxy_{transport}_{threads}"
    folder.mkdir()
    with haproxy(folder, server, transport, threads) as (pid, port, socket):
        yield Proxy(name, pid, Endpoint(server.account.user, server.account.password, PLAIN, port, socket))
