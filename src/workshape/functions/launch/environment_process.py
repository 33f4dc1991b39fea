"""The processes of one execution environment, as the engine holds them: to be frozen, weighed and ended."""

import asyncio
import contextlib
import logging
import signal
import socket
import time
from collections.abc import Callable, Mapping

from workshape.functions.launch import cgroups
from workshape.functions.launch.output import OutputLines
from workshape.functions.launch.process_tree import (
    children,
    descendants,
    peak_memory_kib,
    send_group_signal,
    send_signal,
    stop_all,
)
from workshape.functions.launch.spawn_channel import Spawned

KILL_S_MAX = 10.0
"""A killed process is gone in milliseconds unless the kernel holds it (a dead network disk); then we go on without."""
MEMORY_READ_S_MIN = 0.1
_KIB_PER_MIB = 1024

_log = logging.getLogger(__name__)


class EnvironmentProcess:
    """The processes of one environment: its runtime and whatever that has started. Made by `ProcessLauncher`."""

    def __init__(self, kill: Callable[[int], None]) -> None:
        self.pid = 0
        """Of the environment's first process, which is its runtime's parent and leads its process group."""
        self.user = -1
        """The user id its processes have, and no others; -1: ours."""
        self.connection: socket.socket | None = None
        """To its runtime, if that speaks to the Runtime API over it; else it will come over TCP."""
        self.output: OutputLines | None = None
        self.is_restored = False
        """It is a copy of its version's snapshot."""
        self.is_copied = False
        """It can be kept where its snapshot is taken, and copied."""
        self._kill = kill
        self._gone = asyncio.Event()
        self._frozen: set[int] | None = None
        self._memory_kib = 0
        self._ran_out_of_memory = False
        self._memory_read_at = float("-inf")
        self._cgroups: Mapping[str, str] = {}

    def __repr__(self) -> str:
        state = "gone" if self._gone.is_set() else "running" if self._frozen is None else "frozen"
        return f"<EnvironmentProcess {self.pid} {state}>"

    def began(self, spawned: Spawned) -> None:
        """Its processes are there: for the launcher."""
        self.pid, self.user, self._cgroups = spawned.pid, spawned.user, spawned.cgroups

    def drain_output(self) -> None:
        """Hand on all that it has written so far, also a line that has no end yet."""
        if self.output is not None:
            self.output.drain(whole=False)

    def limit_cpu(self, memory_mb: int) -> None:
        """Give it the share of the processors that its memory is worth: from the end of its init phase on."""
        folder = self._cgroups.get("cpu")
        if folder and not self._gone.is_set():
            try:
                cgroups.limit_cpu(folder, memory_mb)
            except OSError as error:  # it has just ended
                _log.debug("cpu_not_limited", extra={"pid": self.pid, "reason": str(error)})

    def freeze(self) -> None:
        """Stop every process until `thaw`; does nothing when they are gone or stopped."""
        if self._frozen is not None or self._gone.is_set():
            return
        self._frozen = set()
        if not self._freeze_cgroup(frozen=True):
            send_group_signal(self.pid, signal.SIGSTOP)
            self._frozen = stop_all(lambda: (self.pid, *self._below()))

    def thaw(self) -> None:
        """Let them run on."""
        frozen, self._frozen = self._frozen, None
        if frozen is None or self._gone.is_set() or self._freeze_cgroup(frozen=False):
            return
        for pid in frozen:
            send_signal(pid, signal.SIGCONT)
        send_group_signal(self.pid, signal.SIGCONT)

    def terminate(self) -> None:
        """Ask the runtime to end; where a supervisor stands above it, a second time kills it."""
        if not self._gone.is_set():
            for pid in children(self.pid)[:1]:  # the process that was to run the function comes first
                send_signal(pid, signal.SIGTERM)

    async def ended_within(self, duration_s: float) -> None:
        """Wait until every process is gone, but not longer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(duration_s):
                await self._gone.wait()

    async def kill(self) -> None:
        """End every process of the environment and wait until they are gone; `on_exit` is still called once."""
        if self._gone.is_set():
            return
        self._kill(self.pid)
        try:
            async with asyncio.timeout(KILL_S_MAX):
                await self._gone.wait()
        except TimeoutError:
            _log.error("environment_outlives_kill", extra={"pid": self.pid})

    def max_memory_mb(self) -> int:
        """Return the peak resident memory of all its processes so far, in MiB (cheap: read at most every 100 ms)."""
        now = time.monotonic()
        if now - self._memory_read_at >= MEMORY_READ_S_MIN and not self._gone.is_set():
            total = sum(peak_memory_kib(pid) for pid in self._below())
            if total:  # else its runtime is about to be there, and nothing has been read yet
                self._memory_read_at = now
            self._memory_kib = max(self._memory_kib, total)
        return -(-self._memory_kib // _KIB_PER_MIB)

    @property
    def ran_out_of_memory(self) -> bool:
        """The kernel has ended one of its processes for lack of memory."""
        folder = self._cgroups.get("memory")
        if folder and not self._gone.is_set():
            self._ran_out_of_memory = cgroups.ran_out_of_memory(folder)
        return self._ran_out_of_memory

    def ended(self, status: int) -> None:
        """Every process is gone: for the launcher."""
        self._ran_out_of_memory = bool(status & cgroups.OUT_OF_MEMORY)
        self._gone.set()

    def _below(self) -> list[int]:
        """Every process of it but the first. One read where it has a cgroup; else the tree is walked, by thread."""
        folder = self._cgroups.get("pids")
        if not folder:
            return descendants(self.pid)
        try:
            return [pid for pid in cgroups.processes(folder) if pid != self.pid]
        except OSError as error:  # it has just ended
            _log.debug("cgroup_not_read", extra={"pid": self.pid, "reason": str(error)})
            return []

    def _freeze_cgroup(self, *, frozen: bool) -> bool:
        folder = self._cgroups.get("freezer")
        if not folder:
            return False
        try:
            cgroups.freeze(folder, frozen=frozen)
        except OSError as error:  # it has just ended
            _log.debug("cgroup_not_frozen", extra={"pid": self.pid, "reason": str(error)})
        return True
