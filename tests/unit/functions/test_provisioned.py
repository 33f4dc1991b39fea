"""Provisioned concurrency: the scheduler's decisions, one by one. No clock: `now` is a number."""

from workshape.functions.actions import Action, Answer, Dispatch, Freeze, Outcome, Queue, Start, Stop, StopReason, Thaw
from workshape.functions.actions import Throttle as Throttled
from workshape.functions.concurrency import ThrottleReason
from workshape.functions.model import EnvironmentId, FunctionName, FunctionVersion, InitializationType, RequestId
from workshape.functions.provisioned import BACKOFF_S_FIRST, STARTING_MAX, AllocationStatus, AllocationView
from workshape.functions.scheduler import Scheduler
from workshape.settings import FunctionSettings

A, B, C = RequestId("a"), RequestId("b"), RequestId("c")
NAME = FunctionName("search")
VERSION = FunctionVersion(NAME, "1", "arn:search", "python3.12", "a.b", "/code", 128, 3, "r1")
LATEST = FunctionVersion(NAME, "$LATEST", "arn:search", "python3.12", "a.b", "/code", 128, 3, "r2")
OTHER = FunctionVersion(FunctionName("events"), "$LATEST", "arn:events", "python3.12", "a.b", "/code", 128, 3, "r3")
KEEP_ALIVE_S = 60.0
AGE_S_MAX = 500.0


def scheduler(account: int = 1_000) -> Scheduler:
    settings = FunctionSettings(account_concurrency=account, keep_alive_s=KEEP_ALIVE_S, age_s_max=AGE_S_MAX)
    return Scheduler(settings, 0.0)


def started(actions: list[Action]) -> list[EnvironmentId]:
    return [action.environment for action in actions if isinstance(action, Start)]


def stopped(actions: list[Action]) -> dict[EnvironmentId, StopReason]:
    return {action.environment: action.reason for action in actions if isinstance(action, Stop)}


def provision(core: Scheduler, count: int, now: float = 1.0, *, reserved: bool = False) -> list[EnvironmentId]:
    """Have so many environments of VERSION come through their init phase."""
    ready = []
    starting = started(core.provision(VERSION, count, now, reserved=reserved))
    while starting:
        environment = starting.pop(0)
        ready.append(environment)
        starting += started(core.became_ready(environment, now))
    return ready


def finish(core: Scheduler, environment: EnvironmentId, request: RequestId, now: float) -> list[Action]:
    assert core.settled(environment, request)
    return core.became_ready(environment, now)


def view(core: Scheduler) -> AllocationView:
    found = core.provisioned(VERSION)
    assert found is not None
    return found


def test_environments_are_started_ahead_and_say_so_to_the_function() -> None:
    core = scheduler()

    actions = core.provision(VERSION, 2, 1.0, reserved=False)

    assert [action for action in actions if isinstance(action, Start)] == actions
    assert {action.initialization_type for action in actions if isinstance(action, Start)} == {
        InitializationType.PROVISIONED
    }
    assert view(core).status is AllocationStatus.IN_PROGRESS


def test_an_invocation_runs_on_a_provisioned_environment_without_a_start() -> None:
    core = scheduler()
    ready = provision(core, 2)

    actions = core.invoke(VERSION, A, None, 0, 2.0)

    assert actions == [Dispatch(ready[-1], A, 5.0)]
    assert (view(core).busy, view(core).invocations, view(core).spillovers) == (1, 1, 0)
    assert view(core).utilization == 0.5


def test_nobody_may_use_any_of_them_before_all_are_there() -> None:
    core = scheduler()
    first, second = started(core.provision(VERSION, 2, 1.0, reserved=False))
    core.became_ready(first, 1.1)

    early = core.invoke(VERSION, A, None, 0, 1.2)
    before = view(core)
    completed = core.became_ready(second, 1.3)

    assert isinstance(early[0], Start)
    assert early[0].initialization_type is InitializationType.ON_DEMAND
    assert (before.allocated, before.available, before.status) == (1, 0, AllocationStatus.IN_PROGRESS)
    assert completed == [Dispatch(second, A, 4.3)], "it waits no longer than need be"
    assert (view(core).allocated, view(core).available, view(core).status) == (2, 2, AllocationStatus.READY)


def test_what_finds_none_idle_spills_over_to_an_environment_on_demand() -> None:
    core = scheduler()
    provision(core, 1)
    core.invoke(VERSION, A, None, 0, 2.0)

    actions = core.invoke(VERSION, B, None, 0, 2.1)
    (on_demand,) = started(actions)
    core.became_ready(on_demand, 2.2)

    assert actions[-1] == Queue(B)
    assert (view(core).invocations, view(core).spillovers) == (1, 1)


def test_one_that_comes_free_serves_what_spilled_over_and_still_waits() -> None:
    core = scheduler()
    (provisioned,) = provision(core, 1)
    core.invoke(VERSION, A, None, 0, 2.0)
    core.invoke(VERSION, B, None, 0, 2.1)

    freed = finish(core, provisioned, A, 2.2)

    assert freed == [Answer(A, Outcome.SETTLED, provisioned), Dispatch(provisioned, B, 5.2)]
    assert (view(core).invocations, view(core).spillovers) == (2, 0)


def test_idle_ones_are_frozen_and_never_end_by_keep_alive() -> None:
    core = scheduler()
    (provisioned,) = provision(core, 1)

    frozen = core.tick(1.02)
    later = core.tick(1.0 + 2 * KEEP_ALIVE_S)
    thawed = core.invoke(VERSION, A, None, 0, 200.0)

    assert frozen == [Freeze(provisioned)]
    assert later == []
    assert thawed == [Thaw(provisioned), Dispatch(provisioned, A, 203.0)]


def test_one_that_is_too_old_serves_until_its_replacement_is_there() -> None:
    core = scheduler()
    (old,) = provision(core, 1)
    core.tick(2.0)

    due = core.tick(1.0 + AGE_S_MAX)
    (new,) = started(due)
    served = core.invoke(VERSION, A, None, 0, 502.0)
    finish(core, old, A, 503.0)
    replaced = core.became_ready(new, 504.0)

    assert stopped(due) == {}
    assert Dispatch(old, A, 505.0) in served
    assert stopped(replaced) == {old: StopReason.SURPLUS}
    assert view(core).allocated == 1


def test_a_busy_one_that_is_too_old_ends_after_its_invocation() -> None:
    core = scheduler()
    (old,) = provision(core, 1)
    (new,) = started(core.tick(1.0 + AGE_S_MAX))
    core.invoke(VERSION, A, None, 0, 502.0)

    replaced = core.became_ready(new, 502.5)
    ended = finish(core, old, A, 503.0)

    assert stopped(replaced) == {}
    assert stopped(ended) == {old: StopReason.SURPLUS}


def test_one_that_dies_is_replaced() -> None:
    core = scheduler()
    (provisioned,) = provision(core, 1)
    core.invoke(VERSION, A, None, 0, 2.0)

    died = core.exited(provisioned)
    replaced = core.tick(2.1)

    assert died == [Answer(A, Outcome.EXITED, provisioned), Stop(provisioned, StopReason.EXITED)]
    assert len(started(replaced)) == 1
    assert (view(core).status, view(core).available) == (AllocationStatus.READY, 0)


def test_a_timeout_replaces_it_too() -> None:
    core = scheduler()
    provision(core, 1)
    core.invoke(VERSION, A, None, 0, 2.0)

    due = core.tick(5.0)

    assert StopReason.TIMED_OUT in stopped(due).values()
    assert len(started(due)) == 1


def test_the_init_phase_may_take_130_seconds_or_the_functions_timeout_and_is_begun_again() -> None:
    core = scheduler()
    (slow,) = started(core.provision(VERSION, 1, 1.0, reserved=False))
    core.started(slow, 1.0)

    within = core.tick(130.9)
    over = core.tick(131.0)
    again = core.tick(131.0 + BACKOFF_S_FIRST)

    assert within == []
    assert stopped(over) == {slow: StopReason.INIT_TIMED_OUT}
    assert len(started(again)) == 1


def test_init_failures_in_a_row_fail_the_allocation_with_awss_reason_and_are_tried_ever_more_seldom() -> None:
    core = scheduler()
    waits = []
    now = 1.0
    starting = started(core.provision(VERSION, 1, now, reserved=False))

    for _ in range(8):
        core.init_failed(starting[0])
        failed_at = now
        while not (starting := started(core.tick(now))):
            now = core.next_deadline()
        waits.append(now - failed_at)

    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert (view(core).status, view(core).reason) == (AllocationStatus.FAILED, "FUNCTION_ERROR_INIT_FAILURE")
    assert core.became_ready(starting[0], now) == []
    assert (view(core).status, view(core).reason) == (AllocationStatus.READY, "")


def test_only_so_many_start_at_once() -> None:
    core = scheduler()

    first = started(core.provision(VERSION, STARTING_MAX + 1, 1.0, reserved=False))
    next_one = started(core.became_ready(first[0], 1.1))

    assert len(first) == STARTING_MAX
    assert len(next_one) == 1


def test_a_function_gets_no_more_than_its_scaling_rate_of_them() -> None:
    core = scheduler(account=3_000)
    now = 1.0
    starting = started(core.provision(VERSION, 1_010, now, reserved=False))
    ready = 0
    while starting:
        starting += started(core.became_ready(starting.pop(), now))
        ready += 1

    later = core.tick(now + 0.05)

    assert ready == 1_000
    assert 1 <= len(started(later)) <= 5
    assert view(core).status is AllocationStatus.IN_PROGRESS


def test_fewer_of_them_end_the_longest_idle_at_once_and_a_busy_one_after_its_invocation() -> None:
    core = scheduler()
    first, second, third = provision(core, 3)
    core.invoke(VERSION, A, None, 0, 2.0)

    fewer = core.provision(VERSION, 1, 2.1, reserved=False)
    none = core.provision(VERSION, 0, 2.2, reserved=False)
    ended = finish(core, third, A, 2.5)

    assert list(stopped(fewer)) == [first, second]
    assert none == []
    assert stopped(ended) == {third: StopReason.SURPLUS}
    assert core.provisioned(VERSION) is None


def test_starting_ones_end_first() -> None:
    core = scheduler()
    (ready,) = provision(core, 1)
    (starting,) = started(core.provision(VERSION, 2, 2.0, reserved=False))

    fewer = core.provision(VERSION, 1, 2.1, reserved=False)

    assert stopped(fewer) == {starting: StopReason.SURPLUS}
    assert isinstance(core.invoke(VERSION, A, None, 0, 2.2)[0], Dispatch), repr(ready)
    assert view(core).status is AllocationStatus.READY


def test_without_provisioned_concurrency_invocations_run_on_demand_again() -> None:
    core = scheduler()
    provision(core, 1)

    core.provision(VERSION, 0, 2.0, reserved=False)
    actions = core.invoke(VERSION, A, None, 0, 2.1)

    assert isinstance(actions[0], Start)
    assert actions[0].initialization_type is InitializationType.ON_DEMAND


def test_those_of_a_version_that_is_gone_end() -> None:
    core = scheduler()
    (provisioned,) = provision(core, 1)

    retired = core.retire(NAME, ["r2"])

    assert stopped(retired) == {provisioned: StopReason.SURPLUS}


def test_other_functions_cannot_use_what_is_provisioned() -> None:
    core = scheduler(account=3)
    provision(core, 2)
    core.invoke(OTHER, A, None, 0, 2.0)

    refused = core.invoke(OTHER, B, None, 0, 2.0)
    served = core.invoke(VERSION, C, None, 0, 2.0)

    assert refused == [Throttled(B, ThrottleReason.ACCOUNT)]
    assert isinstance(served[0], Dispatch)


def test_a_reservation_that_is_provisioned_whole_throttles_the_unpublished_version() -> None:
    core = scheduler()
    provision(core, 2, reserved=True)

    unpublished = core.invoke(LATEST, A, 2, 2, 2.0)
    published = [core.invoke(VERSION, request, 2, 2, 2.0) for request in (B, C)]
    one_more = core.invoke(VERSION, A, 2, 2, 2.0)

    assert unpublished == [Throttled(A, ThrottleReason.RESERVED)]
    assert all(isinstance(actions[0], Dispatch) for actions in published)
    assert one_more == [Throttled(A, ThrottleReason.RESERVED)]


def test_within_a_reservation_invocations_spill_over_up_to_it() -> None:
    core = scheduler()
    provision(core, 1, reserved=True)

    provisioned = core.invoke(VERSION, A, 2, 2, 2.0)
    spilled = core.invoke(VERSION, B, 2, 2, 2.0)
    refused = core.invoke(VERSION, C, 2, 2, 2.0)

    assert isinstance(provisioned[0], Dispatch)
    assert isinstance(spilled[0], Start)
    assert refused == [Throttled(C, ThrottleReason.RESERVED)]


def test_what_others_used_before_it_was_provisioned_is_theirs_until_they_end() -> None:
    core = scheduler(account=2)
    for request in (A, B):
        core.invoke(OTHER, request, None, 0, 1.0)
    provision(core, 1, now=2.0)

    refused = core.invoke(VERSION, C, None, 0, 3.0)

    assert refused == [Throttled(C, ThrottleReason.ACCOUNT)]


def test_closing_ends_them_and_starts_no_others() -> None:
    core = scheduler()
    ready = provision(core, 2)

    closed = core.close()

    assert list(stopped(closed)) == ready
    assert core.tick(100.0) == []
