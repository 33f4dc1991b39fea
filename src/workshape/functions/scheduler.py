"""Which environment gets which invocation, and when environments start, freeze and end.

An invocation goes to the idle environment used last; else it waits, and a new environment is started for it. It is
served by whichever comes free first, that one or another: on Lambda, too, an environment is sometimes found
initialised long before its first invocation, and waiting longer than need be helps nobody. So that each waiting
invocation has an environment on its way, there are never fewer starting than waiting.

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
from workshape.functions.concurrency import Concurrency, ScalingRate, ThrottleReason
from workshape.functions.deadlines import Deadlines
from workshape.functions.environment import Admitted, Environment, EnvironmentState
from workshape.functions.limits import INIT_S_MAX
from workshape.functions.model import EnvironmentId, FunctionName, FunctionVersion, RequestId
from workshape.functions.pool import IDLE, STARTING, Pool
from workshape.settings import FunctionSettings

FREEZE_AFTER_S = 0.010
"""An environment idle this long is frozen: late enough that warm traffic never pays for it."""

PoolKey = tuple[FunctionName, str, str]
State = EnvironmentState


class Scheduler:
    """Decides for all functions. Every method that takes `now` (seconds, monotonic) returns what to do, in order."""

    def __init__(self, settings: FunctionSettings, now: float) -> None:
        self._keep_alive_s = settings.keep_alive_s
        self._age_s_max = settings.age_s_max
        self._concurrency = Concurrency(settings.account_concurrency)
        self._pools: dict[PoolKey, Pool] = {}
        self._environments: dict[EnvironmentId, Environment] = {}
        self._last_id = 0
        self._rates: dict[FunctionName, ScalingRate] = {}
        self._deadlines = Deadlines()
        self._warm: dict[PoolKey, Pool] = {}
        """Pools with something to freeze, or lately so."""
        self._freeze_at = inf

    def __repr__(self) -> str:
        return f"<Scheduler environments={len(self._environments)} {self._concurrency!r}>"

    # Invocations

    def invoke(
        self, function: FunctionVersion, request: RequestId, reserved: int | None, reserved_total: int, now: float
    ) -> list[Action]:
        """Admit an invocation and find it an environment, or refuse it."""
        name = function.name
        refusal = self._concurrency.refuses(name, reserved, reserved_total)
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
            if not self._may_start(name, now):
                self._forget_if_empty(pool)
                return [Throttle(request, _rate_reason(reserved))]
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
                self._deadlines.set(environment, now + INIT_S_MAX)

    def became_ready(self, environment_id: EnvironmentId, now: float) -> list[Action]:
        """GET next came: the init phase, or the invocation, is over."""
        environment = self._environments.get(environment_id)
        if environment is None or environment.state in IDLE or environment.state is State.STOPPING:
            return []
        pool = self._pool(environment.function)
        if environment.current is not None:
            if not environment.settled:
                return []  # a runtime that asks twice for the same invocation: it still owes the answer
            actions: list[Action] = [self._answer(environment, Outcome.SETTLED)]
        else:
            actions = []
            self.started(environment_id, now)  # its GET next can overtake the news that it was started
            pool.starting -= 1
        environment.move(State.IDLE)
        actions += self._serve_or_keep(pool, environment, now)
        return actions

    def start_failed(self, environment_id: EnvironmentId) -> list[Action]:
        """No process could be made."""
        return self._failed(environment_id, Outcome.START_FAILED, StopReason.START_FAILED)

    def init_failed(self, environment_id: EnvironmentId) -> list[Action]:
        """The runtime reported an error of the init phase."""
        environment = self._environments.get(environment_id)
        if environment is None or environment.state not in STARTING:
            return []
        return self._failed(environment_id, Outcome.INIT_FAILED, StopReason.INIT_FAILED)

    def exited(self, environment_id: EnvironmentId) -> list[Action]:
        """Its runtime's process ended by itself."""
        environment = self._environments.get(environment_id)
        if environment is None:
            return []
        outcome = Outcome.INIT_EXITED if environment.state in STARTING else Outcome.EXITED
        return self._failed(environment_id, outcome, StopReason.EXITED)

    def gone(self, environment_id: EnvironmentId) -> None:
        """A `Stop` has been carried out."""
        self._environments.pop(environment_id).move(State.GONE)

    def retire(self, name: FunctionName, kept_revisions: Collection[str]) -> list[Action]:
        """The function changed (or was deleted: it keeps none): end what runs other revisions of it than these.

        Idle environments end now, busy ones after their invocation, starting ones once nobody waits for them.
        """
        actions: list[Action] = []
        for pool in [pool for key, pool in self._pools.items() if key[0] == name]:
            pool.retired = pool.function.revision not in kept_revisions
            if pool.retired:
                idle = [*pool.frozen, *pool.warm]
                actions += [self._stop(environment, StopReason.RETIRED) for environment in idle]
        return actions

    def close(self) -> list[Action]:
        """End everything; invocations that have not ended are abandoned."""
        actions: list[Action] = []
        for environment in list(self._environments.values()):
            if environment.state is State.STOPPING:
                continue
            if environment.current is not None:
                actions.append(self._answer(environment, Outcome.ABANDONED))
            actions += self._abandon_waiting(self._pool(environment.function))
            actions.append(self._stop(environment, StopReason.CLOSING))
        return actions

    # Time

    def next_deadline(self) -> float:
        """When to call `tick` at the latest; `inf` when time changes nothing."""
        return min(self._freeze_at, self._deadlines.next())

    def tick(self, now: float) -> list[Action]:
        """Do what is due: timeouts of functions and init phases, keep-alive, age, freezing."""
        actions: list[Action] = []
        for environment in self._deadlines.due(now):
            actions += self._overdue(environment, now)
        if self._freeze_at <= now:
            actions += self._freeze(now)
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
        pool = self._pools.get(_key(function))
        return (pool.busy, len(pool.alive)) if pool is not None else (0, 0)

    def pools(self) -> Iterable[Pool]:
        """Every revision that has environments."""
        return self._pools.values()

    # Private

    def _pool(self, function: FunctionVersion) -> Pool:
        key = _key(function)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = Pool(function)
        return pool

    def _forget_if_empty(self, pool: Pool) -> None:
        if pool.is_empty:
            key = _key(pool.function)
            self._pools.pop(key, None)
            self._warm.pop(key, None)

    def _may_start(self, name: FunctionName, now: float) -> bool:
        rate = self._rates.get(name)
        if rate is None:
            # The full ones are the same as none: the table holds only functions that scaled within the last 10 s.
            self._rates = {other: rate for other, rate in self._rates.items() if not rate.is_full(now)}
            rate = self._rates[name] = ScalingRate(now)
        return rate.take(now)

    def _start(self, pool: Pool, now: float, retry_deadline: float | None = None) -> Start:
        self._last_id += 1
        retried = retry_deadline is not None
        environment = Environment(EnvironmentId(self._last_id), pool.function, now, retried=retried)
        self._environments[environment.id] = environment
        pool.add(environment)
        if retry_deadline is not None:
            self._deadlines.set(environment, retry_deadline)
        return Start(environment.id, pool.function, retried)

    def _dispatch(self, environment: Environment, admitted: Admitted, now: float) -> list[Action]:
        actions: list[Action] = []
        if environment.state is State.FROZEN:
            environment.move(State.IDLE)
            actions.append(Thaw(environment.id))
        environment.take(admitted)
        if admitted.deadline is None:
            admitted.deadline = now + environment.function.timeout_s
        self._deadlines.set(environment, admitted.deadline)
        actions.append(Dispatch(environment.id, admitted.request, admitted.deadline))
        return actions

    def _serve_or_keep(self, pool: Pool, environment: Environment, now: float) -> list[Action]:
        """Give an environment that is idle its next invocation; else keep it, unless its time is over."""
        actions: list[Action] = []
        while pool.waiting:
            admitted = pool.waiting.popleft()
            if admitted.deadline is None or admitted.deadline > now:
                return [*actions, *self._dispatch(environment, admitted, now)]
            actions.append(self._answer_waiting(pool, admitted, Outcome.TIMED_OUT, environment.id))
        pool.put_idle(environment, now)
        if pool.retired:
            return [*actions, self._stop(environment, StopReason.RETIRED)]
        old_at = environment.started_at + self._age_s_max
        if old_at <= now:
            return [*actions, self._stop(environment, StopReason.AGE)]
        self._deadlines.set(environment, min(now + self._keep_alive_s, old_at))
        self._warm[_key(pool.function)] = pool
        if self._freeze_at == inf:
            self._freeze_at = now + FREEZE_AFTER_S
        return actions

    def _freeze(self, now: float) -> Iterator[Action]:
        """Freeze what has been idle long enough; look again in a while if anything idle is left."""
        self._freeze_at = inf
        for key, pool in list(self._warm.items()):
            for environment in pool.freeze_idle_since(now - FREEZE_AFTER_S):
                yield Freeze(environment.id)
            if pool.warm:
                self._freeze_at = now + FREEZE_AFTER_S
            else:
                del self._warm[key]

    def _overdue(self, environment: Environment, now: float) -> list[Action]:
        if environment.state in IDLE:
            is_old = environment.started_at + self._age_s_max <= now
            return [self._stop(environment, StopReason.AGE if is_old else StopReason.KEEP_ALIVE)]
        if environment.state is State.BUSY:
            outcome = Outcome.SETTLED if environment.settled else Outcome.TIMED_OUT
            answer = self._answer(environment, outcome, after_stop=True)
            return [answer, self._stop(environment, StopReason.TIMED_OUT)]
        return self._init_timed_out(environment, now) if environment.state in STARTING else []

    def _init_timed_out(self, environment: Environment, now: float) -> list[Action]:
        """Begin again inside the timeout of an invocation that waits, unless the longest waiting one's is over.

        Each environment does so for another invocation: if all did for the one that waits longest, the timeouts of the
        others would begin only after its end, one after the other.
        """
        pool = self._pool(environment.function)
        actions: list[Action] = [self._stop(environment, StopReason.INIT_TIMED_OUT)]
        if not pool.waiting:
            self._forget_if_empty(pool)
            return actions
        oldest = pool.waiting[0]
        if oldest.deadline is not None and oldest.deadline <= now:
            pool.waiting.popleft()
            actions.append(self._answer_waiting(pool, oldest, Outcome.TIMED_OUT, environment.id, after_stop=True))
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
        pool = self._pool(environment.function)
        actions: list[Action] = []
        was_starting = environment.state in STARTING
        if environment.current is not None:
            actions.append(self._answer(environment, Outcome.SETTLED if environment.settled else outcome))
        actions.append(self._stop(environment, reason))
        if was_starting and pool.starting < len(pool.waiting):
            actions.insert(0, self._answer_waiting(pool, pool.waiting.popleft(), outcome, environment.id))
            self._forget_if_empty(pool)
        return actions

    def _abandon_waiting(self, pool: Pool) -> Iterator[Action]:
        while pool.waiting:
            yield self._answer_waiting(pool, pool.waiting.popleft(), Outcome.ABANDONED)

    def _answer(self, environment: Environment, outcome: Outcome, *, after_stop: bool = False) -> Answer:
        admitted = environment.drop()
        assert admitted is not None
        self._concurrency.release(environment.function.name, reserved=admitted.reserved)
        return Answer(admitted.request, outcome, environment.id, after_stop)

    def _answer_waiting(
        self,
        pool: Pool,
        admitted: Admitted,
        outcome: Outcome,
        environment: EnvironmentId | None = None,
        *,
        after_stop: bool = False,
    ) -> Answer:
        self._concurrency.release(pool.function.name, reserved=admitted.reserved)
        return Answer(admitted.request, outcome, environment, after_stop)

    def _stop(self, environment: Environment, reason: StopReason) -> Stop:
        pool = self._pool(environment.function)
        pool.remove(environment)
        environment.move(State.STOPPING)
        environment.deadline = inf
        self._forget_if_empty(pool)
        return Stop(environment.id, reason)


def _key(function: FunctionVersion) -> PoolKey:
    return function.name, function.version, function.revision


def _rate_reason(reserved: int | None) -> ThrottleReason:
    return ThrottleReason.RATE if reserved is None else ThrottleReason.RESERVED_RATE
