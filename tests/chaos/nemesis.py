"""What goes wrong, at random moments: processes die or stop, connections end, packets are lost or late."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tests.crash.arena import SHARDS, Arena
from tests.crash.proving_ground import Proxy
from tests.crash.relay import Kind

REQUESTS = ("^COMMIT", "^XA", "^UPDATE", "^INSERT", "g_tx", "row_lock", "branch")
KINDS = (Kind.CUT_BEFORE, Kind.CUT_AFTER, Kind.DELAY, Kind.DELAY_ANSWER, Kind.SWALLOW, Kind.SWALLOW_ANSWER)
MESHES = 2


@dataclass
class Nemesis:
    """``lethal``: whether it kills, stops and cuts, or only makes packets late. ``acts``: what it has done."""

    arena: Arena
    seed: int
    lethal: bool
    meshes: list[Proxy] = field(default_factory=list)
    acts: list[str] = field(default_factory=list)
    failure: BaseException | None = None
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread = field(default_factory=threading.Thread)

    def start(self) -> None:
        self.meshes[:] = [self.arena.serve() for _ in range(MESHES)]
        for mesh in self.meshes:
            mesh.connect().close()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """From now on all is well again."""
        self._stopping.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        self.arena.heal()
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        chance = random.Random(f"nemesis {self.seed}")
        acts: list[Callable[[random.Random], str]] = [self._fault]
        if self.lethal:
            acts = [self._fault, self._fault, self._kill_mesh, self._pause_mesh, self._kill_server, self._cut]
        try:
            while not self._stopping.wait(chance.uniform(0.3, 2.0)):
                self.acts.append(chance.choice(acts)(chance))
        except BaseException as error:
            self.failure = error

    def _fault(self, chance: random.Random) -> str:
        name, pattern = chance.choice((*SHARDS, "log")), chance.choice(REQUESTS)
        kind = chance.choice(KINDS) if self.lethal else chance.choice((Kind.DELAY, Kind.DELAY_ANSWER))
        self.arena.relays[name].fail(pattern, kind, nth=chance.randint(1, 5), seconds=chance.uniform(0.01, 0.5))
        return f"{kind.name} {pattern} of {name}"

    def _cut(self, chance: random.Random) -> str:
        name = chance.choice((*SHARDS, "log"))
        self.arena.relays[name].cut()
        return f"cut {name}"

    def _kill_mesh(self, chance: random.Random) -> str:
        place = chance.randrange(MESHES)
        self.meshes[place].kill()
        self.meshes[place].killed()
        self.meshes[place] = self.arena.serve()
        return f"kill mesh {place}"

    def _pause_mesh(self, chance: random.Random) -> str:
        mesh, seconds = chance.choice(self.meshes), chance.uniform(0.2, 3.0)
        with suppress(ProcessLookupError):
            os.kill(mesh.pid, signal.SIGSTOP)
            time.sleep(seconds)
            os.kill(mesh.pid, signal.SIGCONT)
        return f"stop a mesh for {seconds:.1f} s"

    def _kill_server(self, chance: random.Random) -> str:
        name, seconds = chance.choice(("ds_2", "log")), chance.uniform(0.0, 1.5)
        server = self.arena.server(name)
        server.process.kill9()
        time.sleep(seconds)
        server.start()
        return f"kill {name}, down for {seconds:.1f} s"
