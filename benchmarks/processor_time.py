"""What processes have used of the processors: on a noisy machine the figure that stays the same. Linux only."""

import os
from collections.abc import Iterable
from pathlib import Path

NANOSECONDS = 1_000_000_000


class Uses:
    """What each process had used when this was made."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._used_s = {pid: used for pid in pids if (used := _used_s(pid)) is not None}

    def since(self, before: "Uses") -> float:
        """Sum up the seconds used since then; a process that was not there then counts from its beginning."""
        return sum(used - before._used_s.get(pid, 0.0) for pid, used in self._used_s.items())


def below(pid: int) -> list[int]:
    """List every process below one."""
    found: list[int] = []
    frontier = [pid]
    while frontier:
        for task in _names(f"/proc/{frontier.pop()}/task"):
            children = _read(f"/proc/{task}/task/{task}/children") or ""
            found += map(int, children.split())
            frontier += map(int, children.split())
    return found


def _used_s(pid: int) -> float | None:
    """Add up a process's threads, to the nanosecond.

    Source: https://docs.kernel.org/scheduler/sched-stats.html#proc-pid-schedstat
    """
    times = [_read(f"/proc/{pid}/task/{task}/schedstat") for task in _names(f"/proc/{pid}/task")]
    return sum(int(time.split()[0]) for time in times if time) / NANOSECONDS if any(times) else None


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text()
    except OSError:
        return None
