"""Which environment gets which invocation, and when environments start, freeze and end.

An invocation goes to the idle environment used last; else it waits, and a new environment is started for it. It is
served by whichever comes free first, that one or another: on Lambda, too, an environment is sometimes found
initialised long before its first invocation, and waiting longer than need be helps nobody. So that each waiting
invocation has an environment on its way, there are never fewer starting than waiting.

A version with provisioned concurrency has environments of a second kind, in a pool of their own (`provisioned.py`).
Its invocations go to those first; what finds none idle is served on demand, as if there were no others.

Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""

from collections.abc import Collection, Iterable, Iterator
from math import inf

from workshape.functions.actions import (
    Action,
    Answer,
    Dispatch,
    Freeze,
    Outcome,
    Queue,
    Start,
    Stop,
    StopReason,
    Thaw,
    Throttle,
)
from workshape.functions.concurrency import Concurrency, ScalingRates, rate_reason
from workshape.functions.deadlines import Deadlines
from workshape.functions.environment import Admitted, Environment, EnvironmentState
from workshape.functions.freezing import Freezing
from workshape.functions.limits import RESTORE_S_MAX
from workshape.functions.model import EnvironmentId, FunctionName, FunctionVersion, InitializationType, RequestId
from workshape.functions.pool import IDLE, STARTING, Pool
from workshape.functions.provisioned import (
    INIT_FAILURE,
    START_FAILURE,
    Allocation,
    Allocations,
    AllocationView,
    VersionKey,
    version_key,
)
from workshape.settings import FunctionSettings

State = EnvironmentState


class Scheduler:
    """Decides for all functions. Every method that takes `now` (seconds, monotonic) returns what to do, in order."""

    def __init__(self, settings: FunctionSettings, now: float) -> None:
        self._keep_alive_s = settings.keep_alive_s
        self._age_s_max = settings.age_s_max
        self._concurrency = Concurrency(settings.account_concurrency)
        self._pools: dict[VersionKey, Pool] = {}
        self._allocations = Allocations()
        self._environments: dict[EnvironmentId, Environment] = {}
        self._last_id = 0
        self._rates = ScalingRates()
        self._deadlines = Deadlines()
        self._freezing = Freezing()

    def __repr__(self) -> str:
        return f"<Scheduler environments={len(self._environments)} {self._concurrency!r}>"

    # Invocations

    def invoke(
        self, function: FunctionVersion, request: RequestId, reserved: int | None, reserved_total: int, now: float
    ) -> list[Action]:
        """Admit an invocation and find it an environment, or refuse it."""
        name = function.name
        allocation = self._allocations.get(version_key(function))
        if allocation is not None and allocation.has_idle:
            return self._invoke_provisioned(allocation, request, reserved, reserved_total, now)
        set_aside = self._allocations.set_aside(name, reserved=reserved is not None)
        refusal = self._concurrency.refuses(name, reserved, reserved_total, set_aside)
        if refusal is not None:
            return [Throttle(request, refusal)]
        pool = self._pool(function)
        admitted = Admitted(request, reserved=reserved is not None)
        environment = pool.most_recently_used()
        if environment is not None:
            self._concurrency.admit(name, reserved=admitted.reserved)
            return self._dispatch(environment, admitted, now)
        actions: list[Action] = [Queue(request)]
        if pool.starting <= len(pool.waiting):
            if not self._rates.take(name, now):
                self._forget_if_empty(pool)
                return [Throttle(request, rate_reason(reserved))]
            actions.insert(0, self._start(pool, now))
        self._concurrency.admit(name, reserved=admitted.reserved)
        pool.waiting.append(admitted)
        return actions

    def settled(self, environment_id: EnvironmentId, request: RequestId) -> bool:
        """The function gave its response or error; tell whether it was to the invocation it has.

        The invocation ends with the next GET next (or exit, or timeout): until then the environment is busy.
        """
        environment = self._environments.get(environment_id)
        if environment is None or environment.current is None or environment.settled:
            return False
        environment.settled = environment.current.request == request
        return environment.settled

    # What becomes of environments

    def started(self, environment_id: EnvironmentId, now: float) -> None:
        """Its processes exist: the init phase has begun, and its limit counts from now."""
        environment = self._environments.get(environment_id)
        if environment is not None and environment.state is State.STARTING:
            environment.move(State.INIT)
            if not environment.retried:
                self._deadlines.set(environment, now + environment.init_s_max)

    def restored(self, environment_id: EnvironmentId, now: float) -> None:
        """The function is as its snapshot has it: what it does after that has a limit of its own, from now."""
        self.started(environment_id, now)
        environment = self._environments.get(environment_id)
        if environment is not None and environment.state is State.INIT:
            environment.move(State.RESTORING)
            self._deadlines.set(environment, now + RESTORE_S_MAX)

    def became_ready(self, environment_id: EnvironmentId, now: float) -> list[Action]:
        """GET next came: the init phase, or the invocation, is over."""
        environment = self._environments.get(environment_id)
        if environment is None or environment.state in IDLE or environment.state is State.STOPPING:
            return []
        if environment.current is not None:
            if not environment.settled:
                return []  # a runtime that asks twice for the same invocation: it still owes the answer
            actions: list[Action] = [self._answer(environment, Outcome.SETTLED)]
        else:
            actions = []
            self.started(environment_id, now)  # its GET next can overtake the news that it was started
            self._home(environment).starting -= 1
            if environment.provisioned:
                self._allocations.of(version_key(environment.function)).init_succeeded()
        environment.move(State.IDLE)
        keep = self._keep_provisioned if environment.provisioned else self._serve_or_keep
        actions += keep(environment, now)
        return actions

    def start_failed(self, environment_id: EnvironmentId) -> list[Action]:
        """No process could be made."""
        return self._failed(environment_id, Outcome.START_FAILED, StopReason.START_FAILED)

    def init_failed(self, environment_id: EnvironmentId) -> list[Action]:
        """The runtime reported an error of the init phase, or after a restore."""
        environment = self._environments.get(environment_id)
        if environment is None or environment.state not in STARTING:
            return []
        outcome = Outcome.RESTORE_FAILED if environment.state is State.RESTORING else Outcome.INIT_FAILED
        return self._failed(environment_id, outcome, StopReason.INIT_FAILED)

    def exited(self, environment_id: EnvironmentId) -> list[Action]:
        """Its runtime's process ended by itself."""
        environment = self._environments.get(environment_id)
        if environment is None:
            return []
        outcome = Outcome.INIT_EXITED if environment.state in STARTING else Outcome.EXITED
        return self._failed(environment_id, outcome, StopReason.EXITED)

    def gone(self, environment_id: EnvironmentId) -> None:
        """A `Stop` has been carried out."""
        environment = self._environments.pop(environment_id)
        environment.move(State.GONE)
        if environment.owed is not None:
            self._release(environment.function, environment.owed)

    def retire(self, name: FunctionName, kept_revisions: Collection[str]) -> list[Action]:
        """The function changed (or was deleted: it keeps none): end what runs other revisions of it than these.

        Idle environments end now, busy ones after their invocation, starting ones once nobody waits for them.
        """
        actions: list[Action] = []
        for allocation in [each for each in self._allocations if each.pool.function.name == name]:
            if allocation.pool.function.revision not in kept_revisions:
                actions += self._ask_for(allocation, 0)
        for pool in [pool for key, pool in self._pools.items() if key[0] == name]:
            pool.retired = pool.function.revision not in kept_revisions
            if pool.retired:
                idle = [*pool.frozen, *pool.warm]
                actions += [self._stop(environment, StopReason.RETIRED) for environment in idle]
        return actions

    def provision(self, function: FunctionVersion, count: int, now: float, *, reserved: bool) -> list[Action]:
        """Keep so many environments of a version initialised ahead of its invocations; 0 ends them.

        `reserved` tells whether its function has a reservation, of which they are a part then.
        """
        key = version_key(function)
        allocation = self._allocations.get(key)
        if allocation is None:
            if count == 0:
                return []
            allocation = self._allocations.add(key, function)
        allocation.reserved = reserved
        return [*self._ask_for(allocation, count), *self._serve_from(allocation, now), *self._start_missing(now)]

    def close(self) -> list[Action]:
        """End everything; invocations that have not ended are abandoned."""
        actions: list[Action] = []
        for environment in list(self._environments.values()):
            if environment.state is State.STOPPING:
                continue
            if environment.current is not None:
                actions.append(self._answer(environment, Outcome.ABANDONED))
            actions += self._abandon_waiting(environment.function)
            actions.append(self._stop(environment, StopReason.CLOSING))
        self._allocations = Allocations()
        return actions

    # Time

    def next_deadline(self) -> float:
        """When to call `tick` at the latest; `inf` when time changes nothing."""
        return min(self._freezing.due_at, self._deadlines.next(), self._allocations.due_at)

    def tick(self, now: float) -> list[Action]:
        """Do what is due: timeouts of functions and init phases, keep-alive, age, freezing, provisioning."""
        actions: list[Action] = []
        for environment in self._deadlines.due(now):
            actions += self._overdue(environment, now)
        if self._freezing.due_at <= now:
            actions += [Freeze(environment.id) for environment in self._freezing.freeze(now)]
        if self._allocations.due_at <= now:
            actions += self._start_missing(now)
        return actions

    # What there is

    @property
    def concurrency(self) -> Concurrency:
        """The invocations admitted and not yet answered."""
        return self._concurrency

    def environments(self) -> Iterable[Environment]:
        """Every environment that is not gone."""
        return self._environments.values()

    def counts(self, function: FunctionVersion) -> tuple[int, int]:
        """Environments of the function's revision: (busy, alive)."""
        key = version_key(function)
        busy = alive = 0
        if (pool := self._pools.get(key)) is not None:
            busy, alive = pool.busy, len(pool.alive)
        if (allocation := self._allocations.get(key)) is not None:
            busy, alive = busy + allocation.pool.busy, alive + len(allocation.pool.alive)
        return busy, alive

    def pools(self) -> Iterable[Pool]:
        """Every revision that has environments on demand."""
        return self._pools.values()

    def allocations(self) -> Iterable[Allocation]:
        """Every version that has provisioned concurrency, or still has environments of it."""
        return self._allocations

    def provisioned(self, function: FunctionVersion) -> AllocationView | None:
        """How a version's provisioned concurrency stands; None when it has none."""
        allocation = self._allocations.get(version_key(function))
        return allocation.view() if allocation is not None and allocation.target else None

    # Private

    def _pool(self, function: FunctionVersion) -> Pool:
        key = version_key(function)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = Pool(function)
        return pool

    def _home(self, environment: Environment) -> Pool:
        """The pool an environment belongs to."""
        if environment.provisioned:
            return self._allocations.of(version_key(environment.function)).pool
        return self._pool(environment.function)

    def _forget_if_empty(self, pool: Pool) -> None:
        if pool.is_empty:
            self._pools.pop(version_key(pool.function), None)

    # Provisioned concurrency

    def _invoke_provisioned(
        self, allocation: Allocation, request: RequestId, reserved: int | None, reserved_total: int, now: float
    ) -> list[Action]:
        name = allocation.pool.function.name
        refusal = self._concurrency.refuses_provisioned(name, reserved, reserved_total)
        if refusal is not None:
            return [Throttle(request, refusal)]
        admitted = Admitted(request, reserved=reserved is not None, provisioned=True)
        self._concurrency.admit(name, reserved=admitted.reserved, provisioned=True)
        return self._dispatch(allocation.take_idle(), admitted, now)

    def _ask_for(self, allocation: Allocation, count: int) -> Iterator[Action]:
        allocation.ask_for(count)
        yield from self._trim(allocation)
        self._allocations.look_again()

    def _trim(self, allocation: Allocation) -> Iterator[Action]:
        for environment in allocation.surplus():
            yield self._stop(environment, StopReason.SURPLUS)

    def _start_missing(self, now: float) -> Iterator[Action]:
        for allocation in self._allocations.to_start(now):
            yield self._start(allocation.pool, now, provisioned=True)

    def _keep_provisioned(self, environment: Environment, now: float) -> list[Action]:
        """Keep it however long it is idle, unless there are enough without it; it may be the one others waited for."""
        allocation = self._allocations.of(version_key(environment.function))
        allocation.pool.put_idle(environment, now)
        old_at = environment.started_at + self._age_s_max
        if old_at <= now:
            allocation.outgoing[environment.id] = environment
        self._deadlines.set(environment, inf if old_at <= now else old_at)
        self._freezing.expect(allocation.pool, now)
        return [*self._trim(allocation), *self._serve_from(allocation, now), *self._start_missing(now)]

    def _serve_from(self, allocation: Allocation, now: float) -> list[Action]:
        """Give those that wait for an environment on demand the provisioned ones that are idle."""
        actions: list[Action] = []
        pool = self._pools.get(version_key(allocation.pool.function))
        while pool is not None and pool.waiting and allocation.has_idle:
            environment = allocation.take_idle()
            if not self._serve_waiting(pool, environment, actions, now):
                allocation.pool.put_idle(environment, now)
        return actions

    def _count_dispatch(self, environment: Environment, admitted: Admitted) -> None:
        """Tell provisioned invocations from those that spilled over; move one that waited to what it got."""
        function = environment.function
        allocation = self._allocations.get(version_key(function))
        if allocation is None:
            return
        if not environment.provisioned:
            allocation.spillovers += 1
            return
        allocation.invoked()
        if not admitted.provisioned:
            self._concurrency.release(function.name, reserved=admitted.reserved)
            self._concurrency.admit(function.name, reserved=admitted.reserved, provisioned=True)
            admitted.provisioned = True

    # Environments

    def _start(
        self, pool: Pool, now: float, retry_deadline: float | None = None, *, provisioned: bool = False
    ) -> Start:
        self._last_id += 1
        retried = retry_deadline is not None
        environment = Environment(
            EnvironmentId(self._last_id), pool.function, now, retried=retried, provisioned=provisioned
        )
        self._environments[environment.id] = environment
        pool.add(environment)
        if retry_deadline is not None:
            self._deadlines.set(environment, retry_deadline)
        kind = InitializationType.PROVISIONED if provisioned else pool.function.initialization_type
        return Start(environment.id, pool.function, retried, kind)

    def _dispatch(self, environment: Environment, admitted: Admitted, now: float) -> list[Action]:
        actions: list[Action] = []
        if environment.state is State.FROZEN:
            environment.move(State.IDLE)
            actions.append(Thaw(environment.id))
        environment.take(admitted)
        self._count_dispatch(environment, admitted)
        if admitted.deadline is None:
            admitted.deadline = now + environment.function.timeout_s
        self._deadlines.set(environment, admitted.deadline)
        actions.append(Dispatch(environment.id, admitted.request, admitted.deadline))
        return actions

    def _serve_or_keep(self, environment: Environment, now: float) -> list[Action]:
        """Give an environment that is idle its next invocation; else keep it, unless its time is over."""
        pool = self._pool(environment.function)
        actions: list[Action] = []
        if self._serve_waiting(pool, environment, actions, now):
            return actions
        pool.put_idle(environment, now)
        if pool.retired:
            return [*actions, self._stop(environment, StopReason.RETIRED)]
        old_at = environment.started_at + self._age_s_max
        if old_at <= now:
            return [*actions, self._stop(environment, StopReason.AGE)]
        self._deadlines.set(environment, min(now + self._keep_alive_s, old_at))
        self._freezing.expect(pool, now)
        return actions

    def _serve_waiting(self, pool: Pool, environment: Environment, actions: list[Action], now: float) -> bool:
        """Give an environment that is idle the invocation that waits longest, unless none does."""
        while pool.waiting:
            admitted = pool.waiting.popleft()
            if admitted.deadline is None or admitted.deadline > now:
                actions += self._dispatch(environment, admitted, now)
                return True
            actions.append(self._answer_waiting(pool.function, admitted, Outcome.TIMED_OUT, environment.id))
        return False

    def _overdue(self, environment: Environment, now: float) -> list[Action]:
        if environment.state in IDLE and environment.provisioned:
            self._allocations.of(version_key(environment.function)).outgoing[environment.id] = environment
            self._allocations.look_again()
            return []
        if environment.state in IDLE:
            is_old = environment.started_at + self._age_s_max <= now
            return [self._stop(environment, StopReason.AGE if is_old else StopReason.KEEP_ALIVE)]
        if environment.state is State.BUSY:
            outcome = Outcome.SETTLED if environment.settled else Outcome.TIMED_OUT
            answer = self._answer(environment, outcome, after_stop=True)
            return [answer, self._stop(environment, StopReason.TIMED_OUT)]
        if environment.state in STARTING and environment.function.snap_start:
            return self._failed(environment.id, Outcome.RESTORE_TIMED_OUT, StopReason.INIT_TIMED_OUT)
        return self._init_timed_out(environment, now) if environment.state in STARTING else []

    def _init_timed_out(self, environment: Environment, now: float) -> list[Action]:
        """Begin again inside the timeout of an invocation that waits, unless the longest waiting one's is over.

        Each environment does so for another invocation: if all did for the one that waits longest, the timeouts of the
        others would begin only after its end, one after the other.
        """
        pool = self._home(environment)
        actions: list[Action] = [self._stop(environment, StopReason.INIT_TIMED_OUT)]
        if environment.provisioned:
            self._allocations.of(version_key(environment.function)).init_failed(INIT_FAILURE)
            return actions
        if not pool.waiting:
            self._forget_if_empty(pool)
            return actions
        oldest = pool.waiting[0]
        if oldest.deadline is not None and oldest.deadline <= now:
            environment.owed = pool.waiting.popleft()
            actions.append(Answer(oldest.request, Outcome.TIMED_OUT, environment.id, after_stop=True))
            self._forget_if_empty(pool)
        elif pool.starting < len(pool.waiting):
            served = next((admitted for admitted in pool.waiting if admitted.deadline is None), oldest)
            if served.deadline is None:
                served.deadline = now + pool.function.timeout_s
            actions.append(self._start(pool, now, served.deadline))
        return actions

    def _failed(self, environment_id: EnvironmentId, outcome: Outcome, reason: StopReason) -> list[Action]:
        """Answer whom the failure concerns: its own invocation, or, in the init phase, the one waiting longest."""
        environment = self._environments.get(environment_id)
        if environment is None or environment.state is State.STOPPING:
            return []
        pool = self._home(environment)
        actions: list[Action] = []
        was_starting = environment.state in STARTING
        if was_starting and environment.provisioned:
            why = START_FAILURE if outcome is Outcome.START_FAILED else INIT_FAILURE
            self._allocations.of(version_key(environment.function)).init_failed(why)
        if environment.current is not None:
            actions.append(self._answer(environment, Outcome.SETTLED if environment.settled else outcome))
        actions.append(self._stop(environment, reason))
        if was_starting and pool.starting < len(pool.waiting):
            actions.insert(0, self._answer_waiting(pool.function, pool.waiting.popleft(), outcome, environment.id))
            self._forget_if_empty(pool)
        return actions

    def _abandon_waiting(self, function: FunctionVersion) -> Iterator[Action]:
        pool = self._pools.get(version_key(function))
        while pool is not None and pool.waiting:
            yield self._answer_waiting(function, pool.waiting.popleft(), Outcome.ABANDONED)

    def _answer(self, environment: Environment, outcome: Outcome, *, after_stop: bool = False) -> Answer:
        admitted = environment.drop()
        assert admitted is not None
        if after_stop:
            environment.owed = admitted
        else:
            self._release(environment.function, admitted)
        return Answer(admitted.request, outcome, environment.id, after_stop)

    def _answer_waiting(
        self, function: FunctionVersion, admitted: Admitted, outcome: Outcome, environment: EnvironmentId | None = None
    ) -> Answer:
        self._release(function, admitted)
        return Answer(admitted.request, outcome, environment)

    def _release(self, function: FunctionVersion, admitted: Admitted) -> None:
        self._concurrency.release(function.name, reserved=admitted.reserved, provisioned=admitted.provisioned)

    def _stop(self, environment: Environment, reason: StopReason) -> Stop:
        pool = self._home(environment)
        pool.remove(environment)
        environment.move(State.STOPPING)
        environment.deadline = inf
        if environment.provisioned:
            self._allocations.of(version_key(environment.function)).lost(environment)
            self._allocations.look_again()
        else:
            self._forget_if_empty(pool)
        return Stop(environment.id, reason)
