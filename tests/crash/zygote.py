"""Starts `dbmesh serve` processes quickly: imports once, forks for each.

One JSON request per line on stdin, one JSON answer per line on stdout: {"start": argv, "environment": {…}, "log": path,
"clock": seconds by which its clock is wrong} → {"pid": n}; {"wait": pid} → {"status": exit code, negative for a signal,
null while it runs}.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

from dbmesh.cli.main import main
from dbmesh.transaction import failpoints


def start(request: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.environ.update(request["environment"])
    if wrong := request.get("clock", 0):
        right, right_ns = time.time, time.time_ns
        time.time = lambda: right() + wrong
        time.time_ns = lambda: right_ns() + wrong * 10**9
    failpoints.arm(os.environ.get("DBMESH_FAILPOINTS", ""))
    code: object = 1
    try:
        main(request["start"], standalone_mode=False)
    except SystemExit as end:
        code = end.code
    finally:
        os._exit(code if isinstance(code, int) else 1)


def wait(pid: int) -> int | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def serve() -> None:
    children: set[int] = set()
    for line in sys.stdin:
        request = json.loads(line)
        if "start" in request:
            pid = start(request)
            children.add(pid)
            answer: dict[str, Any] = {"pid": pid}
        else:
            answer = {"status": wait(request["wait"])}
            if answer["status"] is not None:
                children.discard(request["wait"])
        print(json.dumps(answer), flush=True)
    for pid in children:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    serve()
