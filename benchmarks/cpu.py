"""CPU time of a process and its children, as the kernel counts it (proc(5), /proc/PID/stat)."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_UTIME, _STIME = 11, 12  # fields 14 and 15 of the line, counted from behind the command's closing parenthesis
_PPID = 1


def cpu_seconds(pid: int) -> float:
    """User and system time, in seconds, that the process and its live descendants have spent so far."""
    return sum(_own_seconds(each) for each in family(pid))


def family(pid: int) -> list[int]:
    """The process and its live descendants."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            parents[int(entry.name)] = int(fields[_PPID])
    found = [pid]
    for each in found:
        found.extend(child for child, parent in parents.items() if parent == each)
    return found


def resident_bytes(pid: int) -> int:
    """Resident memory of the process and its live descendants, in bytes."""
    total = 0
    for each in family(pid):
        status = Path(f"/proc/{each}/statm").read_text().split()
        total += int(status[1]) * os.sysconf("SC_PAGE_SIZE")
    return total


def _own_seconds(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[_UTIME]) + int(fields[_STIME])) / _TICKS_PER_SECOND if fields else 0.0


def _stat(pid: int) -> list[str]:
    """The fields behind the command's name, which may itself hold spaces; empty when the process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
