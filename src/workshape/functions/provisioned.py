"""Provisioned concurrency: environments of a version made ahead of its invocations, and kept at their number.

Source: https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html
Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html (how Lambda allocates it)
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from workshape.functions.concurrency import ScalingRates
from workshape.functions.environment import Environment
from workshape.functions.model import EnvironmentId, FunctionName, FunctionVersion
from workshape.functions.pool import STARTING, Pool

STARTING_MAX = 8
"""Environments in their init phase ahead of invocations, all versions together: on one machine each of them delays
the cold start that somebody is waiting for."""
FAILURES_MAX = 3  # AWS: undocumented; one init phase may fail by accident, three in a row will not be better soon
BACKOFF_S_FIRST = 1.0  # AWS: undocumented
BACKOFF_S_MAX = 60.0
DOUBLINGS_MAX = 6  # by then the longest wait is reached
RATE_WAIT_S = 0.010  # what one more environment takes at 6,000 a minute
INIT_FAILURE = "FUNCTION_ERROR_INIT_FAILURE"
START_FAILURE = "INTERNAL_ERROR"  # AWS: undocumented

VersionKey = tuple[FunctionName, str, str]
"""Function, version, revision: whose environments may serve each other's invocations."""


def version_key(function: FunctionVersion) -> VersionKey:
    """Tell which environments may serve a version's invocations."""
    return function.name, function.version, function.revision


class AllocationStatus(StrEnum):
    """How far an allocation is.

    Source: https://docs.aws.amazon.com/lambda/latest/api/API_GetProvisionedConcurrencyConfig.html
    """

    IN_PROGRESS = "IN_PROGRESS"
    READY = "READY"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class AllocationView:
    """The provisioned concurrency of one version, as it stands."""

    requested: int
    allocated: int
    """Environments that have come through their init phase."""
    available: int
    """Those that invocations may use."""
    busy: int
    """Those that run one: ProvisionedConcurrentExecutions."""
    status: AllocationStatus
    reason: str
    """Why it failed; empty otherwise."""
    invocations: int
    """Invocations begun on provisioned environments so far."""
    spillovers: int
    """Invocations begun on other environments of the version so far."""

    @property
    def utilization(self) -> float:
        """The share of what is allocated that is in use, 0 to 1."""
        return self.busy / self.allocated if self.allocated else 0.0


@dataclass(frozen=True, slots=True)
class ProvisionedUse:
    """What a version's provisioned concurrency was used for, over some span of time."""

    function: FunctionName
    version: str
    allocated: int
    busy_peak: int
    invocations: int
    spillovers: int


class Allocation:
    """The provisioned environments of one version.

    Nobody may use any of them until all that were asked for are there; from then on each may be used as soon as it
    is there. One that is too old is outgoing: it serves until its replacement has come through its init phase.
    """

    __slots__ = (
        "_awaits_backoff",
        "_busy_peak",
        "_counted",
        "_failures",
        "_retry_at",
        "ending",
        "invocations",
        "outgoing",
        "pool",
        "reason",
        "reserved",
        "serves",
        "spillovers",
        "status",
        "target",
    )

    def __init__(self, function: FunctionVersion) -> None:
        self.reserved = False
        """It is part of its function's reservation; else it is taken from the unreserved pool."""
        self.pool = Pool(function)
        """Its environments. Nothing waits in this pool: who finds none idle runs on demand."""
        self.target = 0
        self.serves = False
        self.status = AllocationStatus.IN_PROGRESS
        self.reason = ""
        self.outgoing: dict[EnvironmentId, Environment] = {}
        self.ending: set[EnvironmentId] = set()
        """Busy ones that are too many: they end after their invocation."""
        self.invocations = 0
        self.spillovers = 0
        self._busy_peak = 0
        self._counted = (0, 0)
        """How many invocations and spillovers have been told of."""
        self._failures = 0
        self._awaits_backoff = False
        self._retry_at = -inf

    def __repr__(self) -> str:
        function = self.pool.function
        return f"<Allocation {function.name}:{function.version} {self.ready}/{self.target} {self.status}>"

    @property
    def ready(self) -> int:
        """Environments that have come through their init phase and are to stay."""
        return len(self.pool.alive) - self.pool.starting - len(self.ending)

    @property
    def is_over(self) -> bool:
        """Nothing is asked for and nothing is left."""
        return self.target == 0 and not self.pool.alive

    def view(self) -> AllocationView:
        """Tell how it stands."""
        return AllocationView(
            requested=self.target,
            allocated=self.ready,
            available=self.ready if self.serves else 0,
            busy=self.pool.busy - len(self.ending),
            status=self.status,
            reason=self.reason,
            invocations=self.invocations,
            spillovers=self.spillovers,
        )

    def invoked(self) -> None:
        """An invocation has begun on one of its environments."""
        self.invocations += 1
        self._busy_peak = max(self._busy_peak, self.pool.busy)

    def take_use(self) -> ProvisionedUse:
        """Tell what it was used for since this was last asked."""
        function, (invocations, spillovers) = self.pool.function, self._counted
        use = ProvisionedUse(
            function.name,
            function.version,
            self.ready,
            self._busy_peak,
            self.invocations - invocations,
            self.spillovers - spillovers,
        )
        self._busy_peak, self._counted = self.pool.busy, (self.invocations, self.spillovers)
        return use

    def ask_for(self, count: int) -> None:
        """Change how many there are to be; a failed allocation begins afresh."""
        self.serves = self.serves and self.target > 0
        if self.serves:
            self.ending.clear()  # whether they are still too many is decided anew
        self.target = count
        self.status, self.reason = AllocationStatus.IN_PROGRESS, ""
        self._failures, self._awaits_backoff, self._retry_at = 0, False, -inf

    @property
    def has_idle(self) -> bool:
        """There is an idle environment, and it may be used."""
        return self.serves and bool(self.pool.warm or self.pool.frozen)

    def take_idle(self) -> Environment:
        """Take it out: the one used last."""
        environment = self.pool.most_recently_used()
        assert environment is not None, "has_idle was asked first"
        return environment

    def init_succeeded(self) -> None:
        """One has come through its init phase."""
        self._failures = 0

    def init_failed(self, reason: str) -> None:
        """One has not: wait before the next attempt."""
        self._failures += 1
        self._awaits_backoff = True
        if self._failures >= FAILURES_MAX:
            self.status, self.reason = AllocationStatus.FAILED, reason

    def lost(self, environment: Environment) -> None:
        """One is about to stop, whyever."""
        self.outgoing.pop(environment.id, None)
        self.ending.discard(environment.id)

    def surplus(self) -> Iterator[Environment]:
        """Name what is too many, to be stopped before the next is asked for. Busy ones are marked instead."""
        while (environment := self._one_too_many()) is not None:
            if environment.current is None:
                yield environment
            else:
                self.ending.add(environment.id)
        if self.ready >= self.target:
            self.status, self.reason, self.serves = AllocationStatus.READY, "", True

    def may_start(self, now: float) -> bool:
        """Tell whether one more is needed, and may be tried by now."""
        if self._awaits_backoff:
            self._awaits_backoff = False
            self._retry_at = now + min(BACKOFF_S_MAX, BACKOFF_S_FIRST * 2 ** min(self._failures - 1, DOUBLINGS_MAX))
        return self._is_short and self._retry_at <= now

    def wait_for_rate(self, now: float) -> None:
        """The function may not get another environment at this moment."""
        self._retry_at = now + RATE_WAIT_S

    def retry_at(self) -> float:
        """When to try again; `inf` when nothing is needed."""
        return self._retry_at if self._is_short else inf

    @property
    def _is_short(self) -> bool:
        return self._staying < self.target

    @property
    def _staying(self) -> int:
        """Those that are to stay, starting ones included."""
        return len(self.pool.alive) - len(self.outgoing.keys() | self.ending)

    def _one_too_many(self) -> Environment | None:
        pool = self.pool
        for environment_id in self.ending:
            if pool.alive[environment_id].current is None:
                return pool.alive[environment_id]
        if self._staying > self.target and pool.starting:
            return next(environment for environment in pool.alive.values() if environment.state in STARTING)
        if max(self._staying, self.ready) <= self.target:
            return None
        longest_idle = (*pool.frozen, *pool.warm)
        candidates: Iterable[Environment] = (*self.outgoing.values(), *longest_idle, *pool.alive.values())
        return next(environment for environment in candidates if environment.id not in self.ending)


class Allocations:
    """All versions' provisioned concurrency."""

    def __init__(self) -> None:
        self._by_version: dict[VersionKey, Allocation] = {}
        self._rates = ScalingRates()
        """For each function 6,000 environments a minute, apart from those on demand."""
        self.due_at = inf
        """When to call `to_start` at the latest."""

    def __repr__(self) -> str:
        return f"<Allocations {list(self._by_version.values())}>"

    def __iter__(self) -> Iterator[Allocation]:
        return iter(self._by_version.values())

    def get(self, key: VersionKey) -> Allocation | None:
        """The version's allocation, if it has one."""
        return self._by_version.get(key)

    def of(self, key: VersionKey) -> Allocation:
        """The allocation of a provisioned environment's version."""
        return self._by_version[key]

    def add(self, key: VersionKey, function: FunctionVersion) -> Allocation:
        """Begin an allocation for a version that has none."""
        allocation = self._by_version[key] = Allocation(function)
        return allocation

    def set_aside(self, function: FunctionName, *, reserved: bool) -> int:
        """What invocations on demand may not use: of the function's reservation, or of the unreserved pool."""
        if not self._by_version:
            return 0
        serving = [each for each in self if each.serves and each.reserved == reserved]
        return sum(each.ready for each in serving if not reserved or each.pool.function.name == function)

    def look_again(self) -> None:
        """Something changed at a moment that cannot be told: have `to_start` called."""
        self.due_at = -inf

    def to_start(self, now: float) -> Iterator[Allocation]:
        """Name the allocations that get one more environment each, to be started before the next is asked for."""
        self._by_version = {key: each for key, each in self._by_version.items() if not each.is_over}
        for allocation in self._by_version.values():
            while self._starting() < STARTING_MAX and allocation.may_start(now):
                if not self._rates.take(allocation.pool.function.name, now):
                    allocation.wait_for_rate(now)
                    break
                yield allocation
        # A place among the starting ones comes free with an event, not with time.
        waits = [allocation.retry_at() for allocation in self]
        self.due_at = min((at for at in waits if at > now), default=inf)

    def _starting(self) -> int:
        return sum(allocation.pool.starting for allocation in self)


def split(count: int, version: str, additional_weights: Mapping[str, float]) -> dict[str, int]:
    """Share an alias's provisioned concurrency out among the versions it points at.

    AWS: undocumented how; we chose each by its weight, and the whole of it, none lost to rounding.
    """
    shares = {other: round(count * weight) for other, weight in additional_weights.items()}
    return {version: count - sum(shares.values()), **shares}


def together(requested: int, views: Iterable[AllocationView]) -> AllocationView:
    """Tell how the allocations stand that make up one configuration."""
    parts = list(views)
    failed = next((part for part in parts if part.status is AllocationStatus.FAILED), None)
    in_progress = sum(part.requested for part in parts) < requested or any(
        part.status is AllocationStatus.IN_PROGRESS for part in parts
    )
    status = AllocationStatus.IN_PROGRESS if in_progress else AllocationStatus.READY
    return AllocationView(
        requested=requested,
        allocated=sum(part.allocated for part in parts),
        available=sum(part.available for part in parts),
        busy=sum(part.busy for part in parts),
        status=status if failed is None else failed.status,
        reason="" if failed is None else failed.reason,
        invocations=sum(part.invocations for part in parts),
        spillovers=sum(part.spillovers for part in parts),
    )
