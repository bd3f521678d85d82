"""``make fuzz``: other people's bytes for as long as you like. What breaks is written into the corpus."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from dbmesh.sandbox import Sandbox
from tests.fuzz.inputs import Inputs
from tests.fuzz.live import Conversation, LiveMesh, running
from tests.fuzz.targets import TARGETS, run
from tests.fuzz.world import data_for, make_world

CORPUS = Path(__file__).parent / "corpus"
MOST_FAILURES = 20
ROUND = 50  # conversations between two looks at what is left of them


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.minutes:g} minutes", flush=True)
    with (
        Sandbox() as sandbox,
        tempfile.TemporaryDirectory() as state,
        running(make_world(sandbox), Path(state)) as live,
    ):
        fuzz = Fuzz(live, options.seed)
        deadline = time.monotonic() + options.minutes * 60
        while time.monotonic() < deadline and len(fuzz.failures) < MOST_FAILURES:
            fuzz.round()
        grown = (live.memory() - live.started_with) >> 20
    counts = ", ".join(f"{count} {name}" for name, count in fuzz.done.items())
    print(f"seed {options.seed}: {len(fuzz.failures)} failures in {counts}; {grown} MiB more memory than at the start")
    return 1 if fuzz.failures else 0


class Fuzz:
    """``failures``: what came out, by its last lines; the same one is kept once."""

    def __init__(self, live: LiveMesh, seed: int) -> None:
        self.done: Counter[str] = Counter()
        self.failures: set[str] = set()
        self._live = live
        self._seed = seed
        self._turn = 0

    def round(self) -> None:
        """Some inputs for each target and some conversations; then nothing may be left of them."""
        said = []
        for _ in range(ROUND):
            self._turn += 1
            inputs = Inputs(self._seed * 1_000_003 + self._turn)
            for name in TARGETS:
                data = data_for(name, inputs)
                self.done[name] += 1
                self._try(f"{name}-{sha256(data).hexdigest()[:8]}.hex", data.hex() + "\n", run, name, data)
            said.append(Conversation.of(inputs))
            self.done["conversations"] += 1
            self.done["commands"] += len(said[-1].payloads)
            self._talk(said[-1])
        together = "".join(one.to_json() for one in said)
        self._try(f"round-{sha256(together.encode()).hexdigest()[:8]}.json", together, self._live.check)

    def _talk(self, conversation: Conversation) -> None:
        text = conversation.to_json()
        name = f"live-{sha256(text.encode()).hexdigest()[:8]}.json"
        self._try(name, text, self._live.talk, conversation)
        if self._live.errors.found:
            self._try(name, text, self._live.check)
            self._live.errors.found.clear()

    def _try(self, name: str, content: str, work: Callable[..., None], *arguments: object) -> None:
        try:
            work(*arguments)
        except Exception:
            trace = traceback.format_exc()
            lines = trace.strip().splitlines()
            last = [line for line in lines if line.lstrip().startswith("File")][-1] + lines[-1].partition(":")[0]
            if last not in self.failures:
                self.failures.add(last)
                (CORPUS / name).write_text(content)
                print(f"{trace}kept as {CORPUS / name}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
