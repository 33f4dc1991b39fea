"""The processes below a process, as the kernel tells them.

On Linux by /proc; elsewhere (macOS) there is no cheap way to ask, and the process group has to do.

Source: https://man7.org/linux/man-pages/man5/proc_pid_task.5.html
"""

import contextlib
import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path

STOP_PASSES_MAX = 50  # a fork bomb may outrun us; what escapes is killed as an orphan
_HAS_PROC = Path("/proc/self/stat").exists()
_HAS_CHILDREN_FILES = Path(f"/proc/self/task/{os.getpid()}/children").exists()  # absent without CONFIG_PROC_CHILDREN


def children(pid: int) -> list[int]:
    """List the processes whose parent is `pid`; empty when it is gone."""
    if _HAS_CHILDREN_FILES:
        return _children_of_threads(pid)
    return _children_by_scan(pid) if _HAS_PROC else []


def descendants(pid: int) -> list[int]:
    """List every process below `pid`, itself left out."""
    found: list[int] = []
    frontier = [pid]
    while frontier:
        below = children(frontier.pop())
        found += below
        frontier += below
    return found


def stop_all(find: Callable[[], Iterable[int]]) -> set[int]:
    """Stop every process that `find` finds, and return them.

    A process may fork before its signal arrives, so they are looked for until nothing new is found.
    """
    stopped: set[int] = set()
    for _ in range(STOP_PASSES_MAX):
        new = {*find()} - stopped
        if not new:
            break
        for each in new:
            send_signal(each, signal.SIGSTOP)
        stopped |= new
    return stopped


def kill_tree(pid: int) -> set[int]:
    """Kill a process and everything below it; return which they were."""
    found = stop_all(lambda: (pid, *descendants(pid)))
    for each in found:
        send_signal(each, signal.SIGKILL)
    return found


def send_signal(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may have gone already."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def send_group_signal(group: int, number: signal.Signals) -> None:
    """Send a signal to a process group that may have gone already."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def peak_memory_kib(pid: int) -> int:
    """Return the peak resident memory of one process; 0 when it is gone or nobody tells."""
    status = _read(f"/proc/{pid}/status")
    _, found, rest = status.partition(b"VmHWM:")
    return int(rest.split(None, 1)[0]) if found else 0


def _children_of_threads(pid: int) -> list[int]:
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    return [int(child) for thread in threads for child in _read(f"/proc/{pid}/task/{thread}/children").split()]


def _children_by_scan(pid: int) -> list[int]:
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    # The command's name stands in parentheses and may contain any character: the parent is the second field after it.
    return [each for each in pids if _read(f"/proc/{each}/stat").rpartition(b")")[2].split()[1:2] == [b"%d" % pid]]


def _read(path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def wake_on_child() -> int:
    """Return a descriptor that becomes readable whenever a child of this process has ended."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    return readable


def ended_children() -> list[tuple[int, int]]:
    """Bury the children that have ended; return their process ids and wait statuses."""
    ended = []
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            ended.append((pid, status))
    return ended
