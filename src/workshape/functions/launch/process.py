"""Execution environments as processes of this machine.

What holds: all of an environment's processes end with it, daemons included (see `spawner.py` for what that needs); no
environment outlives the engine; a frozen environment runs nothing; its variables are Lambda's, the platform's and the
function's, none of the host's; a memory limit where a memory cgroup may be made (root, as a rule).

What does not: /tmp is the machine's (TMPDIR and HOME name a folder of the environment's own, without a quota), the
task root can be written, and the host's files and other processes can be seen.
"""

import asyncio
import logging
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from workshape.errors import PlatformError
from workshape.functions.launch.interpreters import InterpreterMissing, Interpreters, RuntimeUnknown
from workshape.functions.launch.memory_cgroup import MemoryCgroups
from workshape.functions.launch.output import OutputLines
from workshape.functions.launch.process_tree import (
    descendants,
    peak_memory_kib,
    send_group_signal,
    send_signal,
    stop_tree,
)
from workshape.functions.launch.runtimes import RuntimeCommand, Runtimes
from workshape.functions.launch.spawn_channel import SpawnChannel, SpawnOrder
from workshape.functions.launch.variables import environment_variables
from workshape.functions.model import EnvironmentId, FunctionVersion, InitializationType
from workshape.settings import FunctionSettings

KILL_S_MAX = 10.0
"""A killed process is gone in milliseconds unless the kernel holds it (a dead network disk); then we go on without."""
LAST_OUTPUT_S_MAX = 1.0
"""How long `on_exit` waits for the end of the output: only a process that escaped us can hold the pipe longer."""
MEMORY_READ_S_MIN = 0.1
_KIB_PER_MIB = 1024

_log = logging.getLogger(__name__)


class EnvironmentStartFailed(PlatformError):
    """No environment of {function} could be started: {reason}"""

    function: str
    reason: str


@dataclass(frozen=True, slots=True)
class LaunchOrder:
    """What one environment is to run."""

    environment: EnvironmentId
    function: FunctionVersion
    runtime_api_address: str
    initialization_type: InitializationType
    log_group: str
    log_stream: str
    variables: Mapping[str, str]
    """The platform's: region, credentials, AWS_ENDPOINT_URL ... The function's own come from its version."""


class EnvironmentProcess:
    """The processes of one environment: its runtime and whatever that has started. Made by `ProcessLauncher`."""

    def __init__(self, kill: Callable[[int], None]) -> None:
        self.pid = 0
        """Of the runtime, which leads the environment's process group."""
        self._kill = kill
        self._gone = asyncio.Event()
        self._frozen: set[int] | None = None
        self._memory_kib = 0
        self._memory_read_at = float("-inf")

    def __repr__(self) -> str:
        state = "gone" if self._gone.is_set() else "running" if self._frozen is None else "frozen"
        return f"<EnvironmentProcess {self.pid} {state}>"

    def freeze(self) -> None:
        """Stop every process until `thaw`; does nothing when they are gone or stopped."""
        if self._frozen is None and not self._gone.is_set():
            send_group_signal(self.pid, signal.SIGSTOP)
            self._frozen = stop_tree(self.pid)

    def thaw(self) -> None:
        """Let them run on."""
        frozen, self._frozen = self._frozen, None
        if frozen is not None and not self._gone.is_set():
            for pid in frozen:
                send_signal(pid, signal.SIGCONT)
            send_group_signal(self.pid, signal.SIGCONT)

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
            self._memory_read_at = now
            total = sum(peak_memory_kib(pid) for pid in (self.pid, *descendants(self.pid)))
            self._memory_kib = max(self._memory_kib, total)
        return -(-self._memory_kib // _KIB_PER_MIB)

    def ended(self) -> None:
        """Every process is gone: for the launcher."""
        self._gone.set()


class ProcessLauncher:
    """Starts environments. One for each engine; made inside its event loop."""

    def __init__(
        self, folder: Path, settings: FunctionSettings, *, notify: Callable[[str], None] = lambda _note: None
    ) -> None:
        """`folder` holds scratch space; `notify` hears what the user should know, each thing once."""
        self._folder = folder.absolute()
        self._notify = notify
        interpreters = Interpreters(allow_substitute=settings.allow_substitute)
        self._runtimes = Runtimes(self._folder / "runtimes", interpreters, notify)
        self._channel = SpawnChannel()
        self._cgroups: MemoryCgroups | None = None
        self._started = 0
        self._cleaning: set[asyncio.Future[None]] = set()

    async def start(
        self,
        order: LaunchOrder,
        *,
        on_output: Callable[[EnvironmentId, bytes], None],
        on_exit: Callable[[EnvironmentId, str], None],
    ) -> EnvironmentProcess:
        """Start an environment; its runtime will speak to `runtime_api_address`.

        `on_output` gets one line at a time, without its newline. `on_exit` is called once, in Lambda's words:
        `exit status 1`, `signal: killed`.

        Raises:
            EnvironmentStartFailed: no interpreter for the runtime, no code folder, or the machine refuses a process.
        """
        function = order.function
        try:
            _check_code(function)
            command = await self._runtimes.command(function)
            self._ensure_spawner()
            return await self._start(order, command, on_output, on_exit)
        except (InterpreterMissing, RuntimeUnknown, OSError) as error:
            raise EnvironmentStartFailed(function=function.name, reason=str(error)) from error

    async def close(self) -> None:
        """Kill every environment still there and remove the scratch space."""
        await self._channel.close()
        await asyncio.gather(*self._cleaning)
        if self._cgroups is not None:
            self._cgroups.close()
        shutil.rmtree(self._folder / "tmp", ignore_errors=True)

    def _ensure_spawner(self) -> None:
        if self._channel.alive:
            return
        # Whatever an engine that was killed has left behind is nobody's now.
        shutil.rmtree(self._folder / "tmp", ignore_errors=True)
        self._channel.start()
        if self._cgroups is None and Path("/proc/self/cgroup").exists():
            mounts, memberships = Path("/proc/self/mounts").read_text(), Path("/proc/self/cgroup").read_text()
            self._cgroups = MemoryCgroups.open(mounts, memberships)
            if self._cgroups is None:
                _log.info("memory_limits_not_kept", extra={"reason": "no memory cgroup can be made"})

    async def _start(
        self,
        order: LaunchOrder,
        command: RuntimeCommand,
        on_output: Callable[[EnvironmentId, bytes], None],
        on_exit: Callable[[EnvironmentId, str], None],
    ) -> EnvironmentProcess:
        environment = order.environment
        self._started += 1
        scratch = self._folder / "tmp" / f"{self._started}-{environment}"
        scratch.mkdir(parents=True)
        ending = _Ending(lambda status: on_exit(environment, _words(status)))
        readable, writable = os.pipe()
        lines = OutputLines(lambda line: on_output(environment, line), ending.output_ended)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: lines, os.fdopen(readable, "rb", buffering=0))
        spawn_order = SpawnOrder(
            command.arguments,
            self._variables(order, command, scratch),
            order.function.code_folder,
            str(self._cgroups.folder) if self._cgroups else "",
            order.function.memory_mb * _KIB_PER_MIB * 1024,
        )
        process = EnvironmentProcess(self._channel.kill)

        def gone(status: int) -> None:
            process.ended()
            self._clean(scratch)
            ending.processes_ended(status)

        try:
            process.pid = await self._channel.spawn(spawn_order, writable, gone)
        except OSError:
            self._clean(scratch)
            raise
        ending.started()
        return process

    def _variables(self, order: LaunchOrder, command: RuntimeCommand, scratch: Path) -> dict[str, str]:
        return environment_variables(
            order.function,
            command,
            runtime_api_address=order.runtime_api_address,
            initialization_type=order.initialization_type,
            log_group=order.log_group,
            log_stream=order.log_stream,
            platform=order.variables,
            temporary_folder=str(scratch),
        )

    def _clean(self, scratch: Path) -> None:
        future = asyncio.get_running_loop().run_in_executor(None, lambda: shutil.rmtree(scratch, ignore_errors=True))
        self._cleaning.add(future)
        future.add_done_callback(self._cleaning.discard)


class _Ending:
    """Calls back once: when the processes are gone, their last output has been read (or does not come), and whoever
    started them holds them.
    """

    def __init__(self, ended: Callable[[int], None]) -> None:
        self._ended: Callable[[int], None] | None = ended
        self._status: int | None = None
        self._output_over = False
        self._started = False
        self._loop = asyncio.get_running_loop()

    def started(self) -> None:
        self._started = True
        self._settle()

    def processes_ended(self, status: int) -> None:
        self._status = status
        self._settle()
        self._loop.call_later(LAST_OUTPUT_S_MAX, self.output_ended)

    def output_ended(self) -> None:
        self._output_over = True
        self._settle()

    def _settle(self) -> None:
        if self._started and self._output_over and self._status is not None and self._ended is not None:
            self._loop.call_soon(self._ended, self._status)
            self._ended = None


def _check_code(function: FunctionVersion) -> None:
    if not Path(function.code_folder).is_dir():
        raise FileNotFoundError(f"the code folder {function.code_folder} is not there")


def _words(status: int) -> str:
    """Say a wait status as Lambda does in `Runtime exited with error: ...`."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit status {code}"
    names = {
        signal.SIGSEGV: "segmentation fault",
        signal.SIGFPE: "floating point exception",
        signal.SIGBUS: "bus error",
    }
    number = signal.Signals(-code) if -code in set(signal.Signals) else None
    return f"signal: {names.get(number) or _signal_words(number)}" if number else f"signal: signal {-code}"


def _signal_words(number: signal.Signals) -> str:
    return (signal.strsignal(number) or number.name).lower()
