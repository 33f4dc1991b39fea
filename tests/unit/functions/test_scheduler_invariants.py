"""Whatever happens, in whatever order: no environment runs two invocations, none is forgotten, no limit is passed."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, precondition, rule

from workshape.functions.actions import (
    Action,
    Answer,
    Dispatch,
    Freeze,
    Queue,
    Start,
    Stop,
    StopReason,
    Thaw,
    Throttle,
)
from workshape.functions.environment import EnvironmentState
from workshape.functions.model import EnvironmentId, FunctionName, FunctionVersion, InitializationType, RequestId
from workshape.functions.pool import STARTING
from workshape.functions.provisioned import STARTING_MAX, AllocationStatus
from workshape.functions.scheduler import Scheduler
from workshape.settings import FunctionSettings

ACCOUNT = 8
NAMES = [FunctionName("free"), FunctionName("other"), FunctionName("reserved"), FunctionName("off")]
SNAP_STARTED = NAMES[1]
RESERVED = {FunctionName("reserved"): 3, FunctionName("off"): 0}
RESERVED_TOTAL = sum(RESERVED.values())


def version(name: FunctionName, revision: str) -> FunctionVersion:
    code = (f"arn:{name}", "python3.12", "a.b", "/code", 128, 3, revision)
    return FunctionVersion(name, "$LATEST", *code, snap_start=name == SNAP_STARTED)


class SchedulerMachine(RuleBasedStateMachine):
    """A driver that does what it is told, and an outside world that does what it likes."""

    environments: Bundle[EnvironmentId] = Bundle("environments")

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.scheduler = Scheduler(FunctionSettings(account_concurrency=ACCOUNT, keep_alive_s=60, age_s_max=200), 100.0)
        self.requests = 0
        self.open: dict[RequestId, FunctionName] = {}
        self.running: dict[EnvironmentId, RequestId] = {}
        self.held: dict[EnvironmentId, FunctionName] = {}
        """Answers to be told once the environment's processes are gone."""
        self.frozen: set[EnvironmentId] = set()
        self.stopping: set[EnvironmentId] = set()
        self.alive: set[EnvironmentId] = set()
        self.revision = dict.fromkeys(NAMES, "1")
        self.provisioned: dict[EnvironmentId, bool] = {}
        self.asked: dict[FunctionName, int] = dict.fromkeys(NAMES, 0)

    def perform(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Start(environment=environment, initialization_type=kind):
                    assert environment not in self.alive | self.stopping
                    self.alive.add(environment)
                    self.provisioned[environment] = kind is InitializationType.PROVISIONED
                case Dispatch(environment=environment, request=request):
                    assert environment in self.alive, "only a living environment gets work"
                    assert environment not in self.running, "no environment runs two invocations"
                    assert environment not in self.frozen, "a frozen environment is thawed first"
                    assert request in self.open
                    assert request not in self.running.values(), "no invocation runs twice"
                    self.running[environment] = request
                case Answer():
                    self.answered(action)
                case Stop(environment=environment, reason=reason):
                    assert environment in self.alive
                    assert not (self.provisioned[environment] and reason in (StopReason.KEEP_ALIVE, StopReason.AGE))
                    assert environment not in self.running, "what ran there has been answered"
                    self.alive.discard(environment)
                    self.frozen.discard(environment)
                    self.stopping.add(environment)
                case Freeze(environment=environment):
                    assert environment in self.alive
                    assert environment not in self.running
                    self.frozen.add(environment)
                case Thaw(environment=environment):
                    self.frozen.remove(environment)
                case Throttle(request=request):
                    del self.open[request]
                case Queue(request=request):
                    assert request in self.open

    def answered(self, answer: Answer) -> None:
        assert answer.request in self.open, "exactly one result for each"
        name = self.open.pop(answer.request)
        if answer.after_stop:
            assert answer.environment is not None
            self.held[answer.environment] = name
        self.running = {key: value for key, value in self.running.items() if value != answer.request}

    @rule(target=environments, name=st.sampled_from(NAMES))
    def invoke(self, name: FunctionName) -> EnvironmentId:  # a tuple of new environments, as hypothesis has it
        self.requests += 1
        request = RequestId(f"r{self.requests}")
        self.open[request] = name
        function = version(name, self.revision[name])
        actions = self.scheduler.invoke(function, request, RESERVED.get(name), RESERVED_TOTAL, self.now)
        self.perform(actions)
        return started(actions)

    @rule(target=environments, name=st.sampled_from(NAMES), count=st.sampled_from([0, 1, 2, 3, STARTING_MAX + 2]))
    def provision(self, name: FunctionName, count: int) -> EnvironmentId:
        self.asked[name] = count
        function = version(name, self.revision[name])
        actions = self.scheduler.provision(function, count, self.now, reserved=name in RESERVED)
        self.perform(actions)
        return started(actions)

    @rule(environment=environments)
    def process_exists(self, environment: EnvironmentId) -> None:
        self.scheduler.started(environment, self.now)

    @rule(target=environments, environment=environments, response=st.booleans())
    def asks_for_next(self, environment: EnvironmentId, response: bool) -> EnvironmentId:
        if response and environment in self.running:
            assert self.scheduler.settled(environment, self.running[environment])
        if environment in self.frozen:
            return multiple()  # type: ignore[return-value]
        actions = self.scheduler.became_ready(environment, self.now)
        self.perform(actions)
        return started(actions)

    @rule(environment=environments)
    def answers_something_else(self, environment: EnvironmentId) -> None:
        assert not self.scheduler.settled(environment, RequestId("another"))

    @rule(environment=consumes(environments))
    def exits(self, environment: EnvironmentId) -> None:
        self.perform(self.scheduler.exited(environment))
        assert environment not in self.alive

    @rule(environment=environments)
    def is_restored(self, environment: EnvironmentId) -> None:
        self.scheduler.restored(environment, self.now)

    @rule(environment=environments)
    def reports_init_error(self, environment: EnvironmentId) -> None:
        self.perform(self.scheduler.init_failed(environment))

    @rule(target=environments, seconds=st.sampled_from([0.004, 0.011, 1.0, 3.0, 10.0, 61.0, 201.0]))
    def time_passes(self, seconds: float) -> EnvironmentId:
        self.now += seconds
        actions = self.scheduler.tick(self.now)
        self.perform(actions)
        assert self.scheduler.next_deadline() > self.now
        return started(actions)

    @precondition(lambda self: self.stopping)
    @rule(data=st.data())
    def stop_is_done(self, data: st.DataObject) -> None:
        environment = data.draw(st.sampled_from(sorted(self.stopping)))
        self.stopping.discard(environment)
        self.scheduler.gone(environment)
        self.held.pop(environment, None)

    @rule(name=st.sampled_from(NAMES), revision=st.sampled_from(["1", "2"]))
    def code_changes(self, name: FunctionName, revision: str) -> None:
        self.asked[name] = self.asked[name] if revision == self.revision[name] else 0
        self.revision[name] = revision
        self.perform(self.scheduler.retire(name, {revision}))

    @invariant()
    def no_limit_is_passed(self) -> None:
        places = [*self.open.values(), *self.held.values()]
        by_name = {name: places.count(name) for name in NAMES}
        assert len(places) <= ACCOUNT
        assert by_name[NAMES[0]] + by_name[NAMES[1]] <= ACCOUNT - RESERVED_TOTAL, "nobody eats a reservation"
        assert all(by_name[name] <= limit for name, limit in RESERVED.items())
        assert self.scheduler.concurrency.total == len(places)

    @invariant()
    def no_admitted_invocation_is_forgotten(self) -> None:
        waiting = {admitted.request for pool in self.scheduler.pools() for admitted in pool.waiting}
        assert waiting | set(self.running.values()) == set(self.open)
        assert not waiting & set(self.running.values())

    @invariant()
    def each_waiting_invocation_has_an_environment_on_its_way(self) -> None:
        for pool in self.scheduler.pools():
            starting = [environment for environment in pool.alive.values() if environment.state in STARTING]
            assert len(starting) == pool.starting
            assert len(pool.waiting) <= pool.starting
            assert not (pool.waiting and (pool.warm or pool.frozen)), "nobody waits beside an idle environment"
            assert pool.busy == sum(1 for e in pool.alive.values() if e.state is EnvironmentState.BUSY)
            assert not pool.is_empty

    @invariant()
    def there_are_never_more_provisioned_environments_than_asked_for_and_fewer_only_for_a_reason(self) -> None:
        starting = 0
        for allocation in self.scheduler.allocations():
            pool = allocation.pool
            starting += pool.starting
            assert all(self.provisioned[environment] for environment in pool.alive)
            assert allocation.target in (0, self.asked[pool.function.name])
            staying = {*pool.alive} - {*allocation.outgoing} - allocation.ending
            assert len(staying) <= allocation.target
            assert allocation.ready <= allocation.target
            assert allocation.serves or pool.busy == len(allocation.ending), "nobody uses them before all are there"
            view = allocation.view()
            assert view.busy + len(pool.warm) + len(pool.frozen) == view.allocated
            if view.status is AllocationStatus.READY and not allocation.outgoing:
                assert view.reason == ""
            if len(staying) < allocation.target:
                some_start = any(each.pool.starting for each in self.scheduler.allocations())
                assert some_start or self.scheduler.next_deadline() < self.now + 61, "another attempt is on its way"
        assert starting <= STARTING_MAX

    @invariant()
    def nobody_waits_beside_an_idle_provisioned_environment(self) -> None:
        waiting = [pool.function for pool in self.scheduler.pools() if pool.waiting]
        assert not any(each.has_idle and each.pool.function in waiting for each in self.scheduler.allocations())

    @invariant()
    def idle_environments_end_and_freeze_in_time(self) -> None:
        for environment in self.scheduler.environments():
            if environment.provisioned:
                continue
            if environment.state in (EnvironmentState.IDLE, EnvironmentState.FROZEN):
                assert self.now < environment.idle_since + 60
                assert self.now < environment.started_at + 200
            if environment.state is EnvironmentState.IDLE:
                assert self.scheduler.next_deadline() <= environment.idle_since + 0.021

    def teardown(self) -> None:
        self.perform(self.scheduler.close())
        assert not self.open
        assert not self.alive


def started(actions: list[Action]) -> EnvironmentId:
    """What a rule returns: the environments started, as hypothesis has it for none or several."""
    return multiple(*(action.environment for action in actions if isinstance(action, Start)))  # type: ignore[return-value]


SchedulerMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)
TestScheduler = SchedulerMachine.TestCase
