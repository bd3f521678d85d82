from __future__ import annotations

import os
import subprocess
import sys

from benchmarks.cpu import cpu_seconds, family, resident_bytes


def test_work_of_a_child_counts() -> None:
    program = "sum(range(20_000_000)); print('done', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        child.stdout.readline()
        assert child.pid in family(os.getpid())
        assert cpu_seconds(child.pid) > 0.05
        assert cpu_seconds(os.getpid()) > cpu_seconds(child.pid)
        assert resident_bytes(child.pid) > 1_000_000
        child.stdin.write("\n")


def test_a_process_that_has_ended_counts_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    assert cpu_seconds(child.pid) == 0.0
