"""What the invoker holds of each environment and each invocation while they live."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, inf

from workshape.functions import results
from workshape.functions.init_gate import InitGate
from workshape.functions.launch.environment_process import EnvironmentProcess
from workshape.functions.launch.recipe import LaunchOrder
from workshape.functions.log_tail import LogTail
from workshape.functions.model import (
    EnvironmentId,
    FunctionName,
    FunctionVersion,
    InitializationType,
    Invocation,
    InvocationResult,
)
from workshape.functions.platform_log import own_log_group
from workshape.functions.response_stream import ResponseStream
from workshape.functions.telemetry_delivery import Telemetry
from workshape.later import Later

KILLED = "signal: killed"


@dataclass(frozen=True, slots=True)
class EnvironmentView:
    """An environment, for `workshape status`."""

    id: EnvironmentId
    function: FunctionName
    version: str
    state: str
    """`starting`, `init`, `restoring`, `idle`, `frozen`, `busy`, `stopping`."""
    invocations: int
    started_at: float
    """Unix time."""
    pid: int | None
    provisioned: bool
    """It is part of its version's provisioned concurrency."""


class RunningInvocation:
    """An admitted invocation, from its admission to its result."""

    __slots__ = (
        "answer",
        "arrived_at",
        "body",
        "concurrency",
        "environments",
        "error_header",
        "function",
        "invocation",
        "is_error",
        "is_runtime_done",
        "log_tail",
        "started_at",
        "stream",
        "trigger",
    )

    def __init__(self, function: FunctionVersion, invocation: Invocation, trigger: str, arrived_at: float) -> None:
        self.function = function
        self.invocation = invocation
        self.trigger = trigger
        self.answer: Later[InvocationResult] = Later()
        self.arrived_at = arrived_at
        self.started_at = arrived_at
        """Since when its timeout counts."""
        self.concurrency = 0
        self.environments = 0
        self.body = b""
        """What the function answered: a response, or an error object."""
        self.stream: ResponseStream | None = None
        """Where a streamed response goes; None: the caller wants it whole."""
        self.is_error = False
        self.is_runtime_done = False
        """Extensions have been told that it is."""
        self.error_header = ""
        self.log_tail = LogTail() if invocation.log_tail else None

    def give(self, result: InvocationResult) -> None:
        """Tell the caller, unless it has been told."""
        if not self.answer.done:
            self.answer.give(result)

    def __repr__(self) -> str:
        return f"<RunningInvocation {self.invocation.request_id} of {self.function.name}>"


class RunningEnvironment:
    """An environment, from its start to the end of its processes."""

    __slots__ = (
        "entering",
        "exit",
        "exit_type",
        "failure",
        "function",
        "held",
        "id",
        "init_error",
        "init_error_header",
        "init_told",
        "initialization_type",
        "invocation",
        "is_snapshot",
        "leave_gate",
        "process",
        "ready_at",
        "restored_at",
        "retried",
        "started_at",
        "starting",
        "stream",
        "telemetry",
        "wall_started_at",
    )

    def __init__(
        self,
        environment: EnvironmentId,
        function: FunctionVersion,
        stream: str,
        now: float,
        wall: float,
        telemetry: Telemetry,
        *,
        retried: bool,
        initialization_type: InitializationType,
        is_snapshot: bool = False,
    ) -> None:
        self.id = environment
        self.telemetry = telemetry
        self.initialization_type = initialization_type
        self.is_snapshot = is_snapshot
        """It serves nobody: its version's snapshot is taken of it."""
        self.function = function
        self.stream = stream
        self.started_at = now
        self.wall_started_at = wall
        self.retried = retried
        self.ready_at = inf
        self.restored_at = inf
        """When it was as its snapshot has it; only with SnapStart."""
        self.starting: asyncio.Task[None] | None = None
        self.entering: asyncio.Task[Callable[[], None]] | None = None
        """Its wait for a place among those in their init phase."""
        self.leave_gate: Callable[[], None] = _nothing
        """Gives that place back; more often than once does nothing."""
        self.process: EnvironmentProcess | None = None
        self.invocation: RunningInvocation | None = None
        self.init_error = b""
        self.init_error_header = ""
        self.init_told = False
        """Its init phase has been reported: with its first invocation, or as a failure."""
        self.exit = ""
        """How its runtime, or an extension, ended by itself."""
        self.exit_type = results.EXIT_ERROR
        self.failure: Exception | None = None
        self.held: tuple[RunningInvocation, InvocationResult] | None = None
        """A result that may be told only once nothing of the environment runs any more."""

    def __repr__(self) -> str:
        return (
            f"<RunningEnvironment {self.id} of {self.function.name} pid={self.process.pid if self.process else None}>"
        )

    @property
    def provisioned(self) -> bool:
        """It is part of its version's provisioned concurrency."""
        return self.initialization_type is InitializationType.PROVISIONED

    def enter(self, gate: InitGate) -> None:
        """Take a place among the init phases, or ask for one."""
        leave = gate.enter_now()
        if leave is not None:
            self.leave_gate = leave
        else:
            self.entering = asyncio.get_running_loop().create_task(gate.enter())

    async def entered(self) -> bool:
        """Wait for the place; False when somebody has put an end to that."""
        if self.entering is None:
            return True
        await asyncio.wait({self.entering})
        if self.entering.cancelled():
            return False
        self.leave_gate = self.entering.result()
        return True

    @property
    def snap_start(self) -> bool:
        """It begins as its version's snapshot has it."""
        return self.initialization_type is InitializationType.SNAP_START and not self.is_snapshot

    @property
    def billed_restore_ms(self) -> int | None:
        """Of a restored one, what follows the restore itself: its hooks."""
        return ceil((self.ready_at - self.restored_at) * 1_000) if self.restored_at <= self.ready_at < inf else None

    @property
    def init_error_type(self) -> str:
        """What its runtime reported. Of hooks (SnapStart) the header tells which, the body what went wrong in it."""
        if self.snap_start and self.init_error_header:
            return self.init_error_header
        return results.error_type(self.init_error, self.init_error_header)

    def launch_order(self, runtime_api_address: str, variables: Mapping[str, str], waiting: int = 0) -> LaunchOrder:
        """Say what to start; `variables` are the platform's. So many more are `waiting` to be started."""
        return LaunchOrder(
            environment=self.id,
            function=self.function,
            runtime_api_address=runtime_api_address,
            initialization_type=self.initialization_type,
            log_group=self.function.log_group or own_log_group(self.function.name),
            log_stream=self.stream,
            variables=variables,
            waiting=waiting,
            is_snapshot=self.is_snapshot,
        )

    def view(self, state: str, invocations: int) -> EnvironmentView:
        """Show it."""
        return EnvironmentView(
            self.id,
            self.function.name,
            self.function.version,
            state,
            invocations,
            self.wall_started_at,
            self.process.pid if self.process is not None else None,
            self.provisioned,
        )

    def exited(self, how: str) -> None:
        """Note how its runtime, or an extension, has ended by itself."""
        self.exit = how
        lacked = how == KILLED and self.process is not None and self.process.ran_out_of_memory
        if lacked and self.exit_type == results.EXIT_ERROR:
            self.exit_type = results.OUT_OF_MEMORY

    @property
    def max_memory_mb(self) -> int:
        """The most memory its processes have used so far."""
        if self.exit_type == results.OUT_OF_MEMORY:
            return self.function.memory_mb  # it went up faster than anybody looked
        return self.process.max_memory_mb() if self.process is not None else 0

    def take_init_ms(self) -> float | None:
        """How long its init phase, or its restore, took; for its first invocation only."""
        if self.init_told or self.ready_at == inf:
            return None
        self.init_told = True
        return (self.ready_at - self.started_at) * 1_000


def _nothing() -> None:
    """There is no place to give back."""
