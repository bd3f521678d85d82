"""One process of the sandbox, from its start to its end, with its output in a log file."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

LOCALHOST = "127.0.0.1"
_POLL_SECONDS = 0.02


class ServerError(Exception):
    """A process did not start or did not answer; the message ends with the last lines of its log."""


class Process:
    """A program that runs in ``folder`` and logs there. Its pid is in the file ``pid``, for the sandbox's reaper."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.log = folder / "log"
        self._running: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process id while it runs, else None."""
        return self._running.pid if self._running and self._running.poll() is None else None

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], answers: Callable[[], bool], seconds: float
    ) -> None:
        """Run the command and return when ``answers`` is true; ServerError when it ends or takes too long."""
        with self.log.open("ab") as log:
            self._running = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | environment,
                cwd=self.folder,
                start_new_session=True,  # the Ctrl-C that ends the sandbox must not reach its servers first
            )
        (self.folder / "pid").write_text(str(self._running.pid))
        wait_until(
            lambda: self._still_runs() and answers(),
            seconds,
            lambda: f"{self.name} did not answer in {seconds} s: {self.tail()}",
        )

    def stop(self, seconds: float) -> int | None:
        """End it by SIGTERM, and by SIGKILL when it has not ended in time. Its exit code; None when it did not run."""
        if self._running is None:
            return None
        self._running.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._running.wait(seconds)
        return self.kill9()

    def kill9(self) -> int | None:
        """End it, its children included, without warning. Its exit code; None when it did not run."""
        if self._running is None:
            return None
        with suppress(ProcessLookupError):
            os.killpg(self._running.pid, 9)
        code = self._running.wait()
        self._running = None
        (self.folder / "pid").unlink(missing_ok=True)
        return code

    def tail(self) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])

    def _still_runs(self) -> bool:
        assert self._running is not None
        if self._running.poll() is not None:
            raise ServerError(f"{self.name} ended with code {self._running.returncode}: {self.tail()}")
        return True


def wait_until(happened: Callable[[], bool], seconds: float, failure: Callable[[], str]) -> None:
    """Return as soon as ``happened`` says so; ServerError with ``failure()`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise ServerError(failure())
        time.sleep(_POLL_SECONDS)


def reserve_port() -> socket.socket:
    """A TCP port of localhost that is ours until the returned socket is closed.

    Bound but not listening, with SO_REUSEADDR: a server that sets that option too can listen there, while nobody
    else is given the port as a free one, not even between a crash and the next start.
    """
    reservation = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reservation.bind((LOCALHOST, 0))
    return reservation
