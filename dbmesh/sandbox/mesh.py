"""``dbmesh serve`` as a process, for those who look at it from outside: the demo, the benchmark, whole-system tests."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from dbmesh.sandbox.endpoint import Account, Endpoint

START_SECONDS = 30.0
STOP_SECONDS = 20.0


class Mesh(Endpoint):
    """A running mesh with the rules of a folder; ``account`` is one of its users."""

    def __init__(
        self,
        folder: Path,
        rules: Path,
        account: Account,
        environment: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
    ) -> None:
        folder.mkdir(exist_ok=True)
        super().__init__(folder.name, folder, account)
        self.rules = rules
        self.environment = dict(environment or {})
        self.options = tuple(options)

    def start(self, seconds: float = START_SECONDS) -> None:
        """Start it and return when it answers a query of its account. May be called again after it ended."""
        if self.pid is None:
            self.process.start(self._command(), self.environment, self.answers, seconds)

    def stop(self, seconds: float = STOP_SECONDS) -> int | None:
        """Let it drain (SIGTERM); its exit code, which is -9 when it had to be killed."""
        return self.process.stop(seconds)

    def close(self) -> None:
        """Stop it for good."""
        self.stop()
        self.release()

    def _command(self) -> list[str]:
        state = ["--state", str(self.folder / "state")]
        listeners = ["--listen", f"{self.host}:{self.port}", "--socket", self.socket]
        return [sys.executable, "-m", "dbmesh", "serve", "--rules", str(self.rules), *listeners, *state, *self.options]
