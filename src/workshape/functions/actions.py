"""What the scheduler wants done. The invoker performs these, in order, and decides nothing."""

from dataclasses import dataclass
from enum import Enum

from workshape.functions.concurrency import ThrottleReason
from workshape.functions.model import EnvironmentId, FunctionVersion, InitializationType, RequestId


class Outcome(Enum):
    """How an admitted invocation ended."""

    SETTLED = "settled"
    """The function reported a response or an error."""
    TIMED_OUT = "timed out"
    EXITED = "exited"
    """The runtime's process ended in the middle of the invocation."""
    INIT_FAILED = "init failed"
    """The runtime reported an error of the init phase."""
    INIT_EXITED = "init exited"
    """The runtime's process ended in the init phase."""
    START_FAILED = "start failed"
    """No process could be made: our failure, not the function's."""
    ABANDONED = "abandoned"
    """The platform is closing."""


class StopReason(Enum):
    """Why an environment ends."""

    KEEP_ALIVE = "idle for the keep-alive time"
    AGE = "too old"
    RETIRED = "its revision was replaced"
    SURPLUS = "more than its version's provisioned concurrency"
    TIMED_OUT = "the function timed out"
    INIT_TIMED_OUT = "the init phase took too long"
    INIT_FAILED = "the init phase failed"
    EXITED = "its runtime exited"
    START_FAILED = "it could not be started"
    CLOSING = "the platform is closing"


@dataclass(frozen=True, slots=True)
class Start:
    """Make an environment."""

    environment: EnvironmentId
    function: FunctionVersion
    retried: bool = False
    """Its init phase is the second attempt, inside an invocation's own timeout."""
    initialization_type: InitializationType = InitializationType.ON_DEMAND


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Hand the invocation to the environment, which is idle and runs."""

    environment: EnvironmentId
    request: RequestId
    deadline: float
    """When it times out, on the scheduler's clock."""


@dataclass(frozen=True, slots=True)
class Queue:
    """The invocation waits; an environment that will serve it is on its way."""

    request: RequestId


@dataclass(frozen=True, slots=True)
class Throttle:
    """The invocation is not admitted: 429."""

    request: RequestId
    reason: ThrottleReason


@dataclass(frozen=True, slots=True)
class Answer:
    """The invocation has ended; tell its caller. Each admitted invocation gets exactly one."""

    request: RequestId
    outcome: Outcome
    environment: EnvironmentId | None = None
    """Where it ended; None when it never had one."""
    after_stop: bool = False
    """To be told only when the environment's processes are gone: nothing of a timed-out invocation outlives it."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Kill every process of the environment and forget it; then call `Scheduler.gone`."""

    environment: EnvironmentId
    reason: StopReason


@dataclass(frozen=True, slots=True)
class Freeze:
    """Stop the environment's processes until `Thaw`."""

    environment: EnvironmentId


@dataclass(frozen=True, slots=True)
class Thaw:
    """Let the environment's processes run on."""

    environment: EnvironmentId


Action = Start | Dispatch | Queue | Throttle | Answer | Stop | Freeze | Thaw
