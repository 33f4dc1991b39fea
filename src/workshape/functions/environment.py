"""The execution environment: its states as a table, and the one invocation it may have.

Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html (the phases)
"""

from collections.abc import Mapping
from enum import Enum
from math import inf

from workshape.functions.limits import INIT_S_MAX, PROVISIONED_INIT_S_MIN
from workshape.functions.model import EnvironmentId, FunctionVersion, RequestId


class EnvironmentState(Enum):
    """Where an environment is in its life."""

    STARTING = "starting"
    """Its processes are being made."""
    INIT = "init"
    """The runtime and the function's static code are running; GET next has not come yet."""
    RESTORING = "restoring"
    """The function's state is that of its snapshot; what it has to do after that is running (SnapStart)."""
    IDLE = "idle"
    FROZEN = "frozen"
    """Idle, with its processes stopped."""
    BUSY = "busy"
    STOPPING = "stopping"
    """Its processes are being killed."""
    GONE = "gone"

    __hash__ = object.__hash__  # a state is looked up four times an invocation; Enum's own hash is a call into Python


_S = EnvironmentState
TRANSITIONS: Mapping[EnvironmentState, frozenset[EnvironmentState]] = {
    _S.STARTING: frozenset({_S.INIT, _S.STOPPING}),
    _S.INIT: frozenset({_S.RESTORING, _S.IDLE, _S.STOPPING}),
    _S.RESTORING: frozenset({_S.IDLE, _S.STOPPING}),
    _S.IDLE: frozenset({_S.BUSY, _S.FROZEN, _S.STOPPING}),
    _S.FROZEN: frozenset({_S.IDLE, _S.STOPPING}),
    _S.BUSY: frozenset({_S.IDLE, _S.STOPPING}),
    _S.STOPPING: frozenset({_S.GONE}),
    _S.GONE: frozenset(),
}
"""What may follow what. An environment that cannot be reused is never repaired: it stops, and another starts."""


class IllegalTransition(AssertionError):
    """The table lacks the step: a mistake of ours, not of a caller or a function."""


class Admitted:
    """An invocation that was let in: it waits for an environment, or it has one, until it gets its one result."""

    __slots__ = ("deadline", "provisioned", "request", "reserved")

    def __init__(self, request: RequestId, *, reserved: bool, provisioned: bool = False) -> None:
        self.request = request
        self.reserved = reserved
        """Whether it counts against its function's reservation (else: against the unreserved pool)."""
        self.provisioned = provisioned
        """Whether it uses provisioned concurrency, which has been set aside from either."""
        self.deadline: float | None = None
        """When it times out; None until that clock runs: from its dispatch, or from its second init phase."""


class Environment:
    """One execution environment. Moves only along `TRANSITIONS`; holds an invocation exactly while BUSY."""

    __slots__ = (
        "current",
        "deadline",
        "function",
        "id",
        "idle_since",
        "invocations",
        "owed",
        "provisioned",
        "retried",
        "settled",
        "started_at",
        "state",
        "timer_at",
    )

    def __init__(
        self,
        environment: EnvironmentId,
        function: FunctionVersion,
        now: float,
        *,
        retried: bool = False,
        provisioned: bool = False,
    ) -> None:
        self.id = environment
        self.function = function
        self.state = EnvironmentState.STARTING
        self.started_at = now
        self.idle_since = now
        self.invocations = 0
        self.current: Admitted | None = None
        self.settled = False
        """The function has given its response or error; what is left is its next GET next."""
        self.owed: Admitted | None = None
        """The invocation that is answered once its processes are gone, and keeps its place until then."""
        self.retried = retried
        """Its init phase is the second attempt, inside an invocation's own timeout."""
        self.provisioned = provisioned
        """It is part of its version's provisioned concurrency, for as long as it lives."""
        self.deadline = inf
        """When something must be done about it if nothing happens before; what, depends on its state."""
        self.timer_at = inf
        """The time of its entry among the scheduler's timers; at or before `deadline`."""

    def __repr__(self) -> str:
        return f"<Environment {self.id} {self.function.name} {self.state.name} invocations={self.invocations}>"

    @property
    def init_s_max(self) -> float:
        """How long its init phase may take, unless that is part of an invocation."""
        is_ahead = self.provisioned or self.function.snap_start
        return max(PROVISIONED_INIT_S_MIN, self.function.timeout_s) if is_ahead else INIT_S_MAX

    def move(self, state: EnvironmentState) -> None:
        """Take a step of the table.

        Raises:
            IllegalTransition: the table lacks it.
        """
        if state not in TRANSITIONS[self.state]:
            raise IllegalTransition(f"{self!r} cannot become {state.name}")
        self.state = state

    def take(self, admitted: Admitted) -> None:
        """Begin an invocation: IDLE -> BUSY."""
        self.move(EnvironmentState.BUSY)
        assert self.current is None, "an environment runs one invocation at a time"
        self.current = admitted
        self.settled = False
        self.invocations += 1

    def drop(self) -> Admitted | None:
        """Give up the invocation it has, if any."""
        admitted, self.current = self.current, None
        return admitted
