"""What the scheduler wants done. The invoker performs these, in order, and decides nothing."""

from enum import Enum

import msgspec

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
    RESTORE_FAILED = "restore failed"
    """The runtime reported an error of what it had to do after the restore (SnapStart)."""
    RESTORE_TIMED_OUT = "restore timed out"
    START_FAILED = "start failed"
    """No process could be made: our failure, not the function's."""
    ABANDONED = "abandoned"
    """The platform is closing."""

    __hash__ = object.__hash__  # looked up with each invocation; Enum's own hash is a call into Python


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


class Start(msgspec.Struct, frozen=True):
    """Make an environment."""

    environment: EnvironmentId
    function: FunctionVersion
    retried: bool = False
    """Its init phase is the second attempt, inside an invocation's own timeout."""
    initialization_type: InitializationType = InitializationType.ON_DEMAND


class Dispatch(msgspec.Struct, frozen=True):
    """Hand the invocation to the environment, which is idle and runs."""

    environment: EnvironmentId
    request: RequestId
    deadline: float
    """When it times out, on the scheduler's clock."""


class Queue(msgspec.Struct, frozen=True):
    """The invocation waits; an environment that will serve it is on its way."""

    request: RequestId


class Throttle(msgspec.Struct, frozen=True):
    """The invocation is not admitted: 429."""

    request: RequestId
    reason: ThrottleReason


class Answer(msgspec.Struct, frozen=True):
    """The invocation has ended; tell its caller. Each admitted invocation gets exactly one."""

    request: RequestId
    outcome: Outcome
    environment: EnvironmentId | None = None
    """Where it ended; None when it never had one."""
    after_stop: bool = False
    """To be told only when the environment's processes are gone: nothing of a timed-out invocation outlives it."""


class Stop(msgspec.Struct, frozen=True):
    """Kill every process of the environment and forget it; then call `Scheduler.gone`."""

    environment: EnvironmentId
    reason: StopReason


class Freeze(msgspec.Struct, frozen=True):
    """Stop the environment's processes until `Thaw`."""

    environment: EnvironmentId


class Thaw(msgspec.Struct, frozen=True):
    """Let the environment's processes run on."""

    environment: EnvironmentId


Action = Start | Dispatch | Queue | Throttle | Answer | Stop | Freeze | Thaw
