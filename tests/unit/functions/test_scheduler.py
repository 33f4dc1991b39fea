"""The scheduler's decisions, one by one. No clock: `now` is a number."""

from dataclasses import replace
from math import inf

import pytest

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
from workshape.functions.concurrency import ThrottleReason
from workshape.functions.environment import Environment, EnvironmentState, IllegalTransition
from workshape.functions.limits import SCALING_ENVIRONMENTS
from workshape.functions.model import EnvironmentId, FunctionName, FunctionVersion, RequestId
from workshape.functions.scheduler import Scheduler
from workshape.settings import FunctionSettings

A, B, C = RequestId("a"), RequestId("b"), RequestId("c")
E1, E2, E3 = EnvironmentId(1), EnvironmentId(2), EnvironmentId(3)
NAME = FunctionName("search")
FUNCTION = FunctionVersion(NAME, "$LATEST", "arn:search", "python3.12", "a.b", "/code", 128, 3, "1")


def scheduler(account: int = 1_000, keep_alive_s: float = 60.0, age_s_max: float = 500.0) -> Scheduler:
    settings = FunctionSettings(account_concurrency=account, keep_alive_s=keep_alive_s, age_s_max=age_s_max)
    return Scheduler(settings, 0.0)


def invoke(core: Scheduler, request: RequestId, now: float, reserved: int | None = None) -> list[Action]:
    return core.invoke(FUNCTION, request, reserved, reserved or 0, now)


def finish(core: Scheduler, environment: EnvironmentId, request: RequestId, now: float) -> list[Action]:
    assert core.settled(environment, request)
    return core.became_ready(environment, now)


def warm(count: int, core: Scheduler, now: float = 1.0) -> None:
    """Leave environments 1..count idle, in this order."""
    for number in range(count):
        invoke(core, RequestId(f"warm{number}"), now)
    for number in range(count):
        core.became_ready(EnvironmentId(number + 1), now)
    for number in range(count):
        finish(core, EnvironmentId(number + 1), RequestId(f"warm{number}"), now)


def test_the_first_invocation_starts_an_environment_and_is_dispatched_when_it_is_ready() -> None:
    core = scheduler()

    started = invoke(core, A, 1.0)
    ready = core.became_ready(E1, 1.2)
    ended = finish(core, E1, A, 1.5)

    assert started == [Start(E1, FUNCTION), Queue(A)]
    assert ready == [Dispatch(E1, A, 1.2 + 3)], "the timeout counts from the dispatch, not from the cold start"
    assert ended == [Answer(A, Outcome.SETTLED, E1)]


def test_the_idle_environment_used_last_is_reused_first() -> None:
    core = scheduler()
    warm(3, core)

    first, second = invoke(core, A, 2.0), invoke(core, B, 2.0)

    assert [first, second] == [[Dispatch(E3, A, 5.0)], [Dispatch(E2, B, 5.0)]]


def test_a_waiting_invocation_takes_the_environment_that_comes_free_first() -> None:
    core = scheduler()
    invoke(core, A, 1.0)
    core.became_ready(E1, 1.1)

    waiting = invoke(core, B, 1.2)
    freed = finish(core, E1, A, 1.3)
    late = core.became_ready(E2, 1.4)

    assert waiting == [Start(E2, FUNCTION), Queue(B)]
    assert freed == [Answer(A, Outcome.SETTLED, E1), Dispatch(E1, B, 4.3)]
    assert late == [], "the environment started for it is kept, initialised ahead of its first invocation"


def test_no_environment_is_started_for_one_that_can_have_a_surplus_environment() -> None:
    core = scheduler()
    invoke(core, A, 1.0)
    core.became_ready(E1, 1.1)
    invoke(core, B, 1.2)
    finish(core, E1, A, 1.3)

    assert invoke(core, C, 1.35) == [Queue(C)]


def test_an_idle_environment_is_frozen_after_ten_milliseconds_and_thawed_for_its_next_invocation() -> None:
    core = scheduler()
    warm(1, core)

    early, frozen = core.tick(1.005), core.tick(core.next_deadline())
    thawed = invoke(core, A, 5.0)

    assert early == []
    assert frozen == [Freeze(E1)]
    assert thawed == [Thaw(E1), Dispatch(E1, A, 8.0)]


def test_an_environment_ends_at_its_keep_alive() -> None:
    core = scheduler(keep_alive_s=60)
    warm(1, core)
    core.tick(1.02)

    assert core.tick(60.9) == []
    assert core.next_deadline() == 61.0
    assert core.tick(61.0) == [Stop(E1, StopReason.KEEP_ALIVE)]
    assert core.next_deadline() == inf


def test_an_environment_ends_at_its_maximum_age_once_idle() -> None:
    core = scheduler(keep_alive_s=60, age_s_max=100)
    warm(1, core)
    invoke(core, A, 59.0)
    finish(core, E1, A, 60.0)
    invoke(core, B, 100.9)

    busy = core.tick(101.5)
    ended = finish(core, E1, B, 102.0)

    assert busy == []
    assert ended == [Answer(B, Outcome.SETTLED, E1), Stop(E1, StopReason.AGE)]


def test_an_idle_environment_ends_at_its_maximum_age() -> None:
    core = scheduler(keep_alive_s=60, age_s_max=100)
    warm(1, core)
    invoke(core, A, 50.0)
    finish(core, E1, A, 60.0)

    assert core.tick(99.0) == [Freeze(E1)]
    assert core.tick(101.0) == [Stop(E1, StopReason.AGE)]


def test_at_the_function_timeout_the_invocation_is_answered_and_the_environment_replaced() -> None:
    core = scheduler()
    invoke(core, A, 1.0)
    core.became_ready(E1, 1.1)

    early, due = core.tick(4.09), core.tick(4.1)
    again = invoke(core, B, 4.2)

    assert early == []
    assert due == [Answer(A, Outcome.TIMED_OUT, E1, after_stop=True), Stop(E1, StopReason.TIMED_OUT)]
    assert again == [Start(E2, FUNCTION), Queue(B)]


def test_the_place_of_a_timed_out_invocation_is_free_once_its_processes_are_gone() -> None:
    core = scheduler()
    invoke(core, A, 1.0, reserved=1)
    core.became_ready(E1, 1.1)
    core.tick(4.1)

    early = invoke(core, B, 4.2, reserved=1)
    core.gone(E1)
    late = invoke(core, C, 4.3, reserved=1)

    assert early == [Throttle(B, ThrottleReason.RESERVED)], "it has not been answered yet"
    assert late == [Start(E2, FUNCTION), Queue(C)]


def test_so_is_the_place_of_one_whose_second_init_phase_took_too_long() -> None:
    core = scheduler()
    invoke(core, A, 1.0, reserved=1)
    core.started(E1, 1.0)
    core.tick(11.0)
    core.tick(14.0)

    early = invoke(core, B, 14.1, reserved=1)
    core.gone(E2)
    late = invoke(core, C, 14.2, reserved=1)

    assert early == [Throttle(B, ThrottleReason.RESERVED)]
    assert isinstance(late[0], Start)


def test_an_exit_after_the_response_leaves_the_response_as_it_is() -> None:
    core = scheduler()
    invoke(core, A, 1.0)
    core.became_ready(E1, 1.1)
    core.settled(E1, A)

    assert core.exited(E1) == [Answer(A, Outcome.SETTLED, E1), Stop(E1, StopReason.EXITED)]


def test_a_response_given_before_the_timeout_stands_though_the_runtime_never_asks_for_more() -> None:
    core = scheduler()
    invoke(core, A, 1.0)
    core.became_ready(E1, 1.1)
    core.settled(E1, A)

    assert core.tick(4.1)[0] == Answer(A, Outcome.SETTLED, E1, after_stop=True)


def test_an_exit_answers_the_invocation_and_replaces_the_environment() -> None:
    core = scheduler()
    invoke(core, A, 1.0)
    core.became_ready(E1, 1.1)

    assert core.exited(E1) == [Answer(A, Outcome.EXITED, E1), Stop(E1, StopReason.EXITED)]
    assert core.exited(E1) == []
    assert invoke(core, B, 1.2)[0] == Start(E2, FUNCTION)


def test_a_failed_init_phase_answers_the_invocation_that_waits_longest() -> None:
    core = scheduler()
    invoke(core, A, 1.0)
    invoke(core, B, 1.0)

    failed, exited = core.init_failed(E2), core.exited(E1)

    assert failed == [Answer(A, Outcome.INIT_FAILED, E2), Stop(E2, StopReason.INIT_FAILED)]
    assert exited == [Answer(B, Outcome.INIT_EXITED, E1), Stop(E1, StopReason.EXITED)]


def test_a_failed_init_phase_nobody_waits_for_answers_nobody() -> None:
    core = scheduler()
    invoke(core, A, 1.0)
    core.became_ready(E1, 1.1)
    invoke(core, B, 1.2)
    finish(core, E1, A, 1.3)

    assert core.init_failed(E2) == [Stop(E2, StopReason.INIT_FAILED)]


def test_an_init_phase_over_ten_seconds_begins_once_more_inside_the_invocations_own_timeout() -> None:
    core = scheduler()
    invoke(core, A, 1.0)
    core.started(E1, 1.0)

    again = core.tick(11.0)
    over = core.tick(14.0)

    assert again == [Stop(E1, StopReason.INIT_TIMED_OUT), Start(E2, FUNCTION, retried=True)]
    assert over == [Stop(E2, StopReason.INIT_TIMED_OUT), Answer(A, Outcome.TIMED_OUT, E2, after_stop=True)]


def test_the_second_init_phase_counts_against_the_timeout() -> None:
    core = scheduler()
    invoke(core, A, 1.0)
    core.started(E1, 1.0)
    core.tick(11.0)

    assert core.became_ready(E2, 13.0) == [Dispatch(E2, A, 14.0)]


def test_each_environment_that_begins_again_does_so_inside_the_timeout_of_another_invocation() -> None:
    core = scheduler()
    invoke(core, A, 1.0)
    core.started(E1, 1.0)
    invoke(core, B, 1.0)
    core.started(E2, 1.0)

    again = core.tick(11.0)
    over = core.tick(14.0)

    assert [action for action in again if isinstance(action, Start)] == [
        Start(E3, FUNCTION, retried=True),
        Start(EnvironmentId(4), FUNCTION, retried=True),
    ]
    assert [action for action in over if not isinstance(action, Stop)] == [
        Answer(A, Outcome.TIMED_OUT, E3, after_stop=True),
        Answer(B, Outcome.TIMED_OUT, EnvironmentId(4), after_stop=True),
    ]


def test_the_init_limit_counts_from_when_there_are_processes() -> None:
    core = scheduler()
    invoke(core, A, 1.0)

    waiting = core.tick(60.0)
    core.started(E1, 60.0)
    within = core.tick(69.0)
    over = core.tick(70.0)

    assert waiting == within == []
    assert over[0] == Stop(E1, StopReason.INIT_TIMED_OUT)


def test_a_failed_start_answers_the_invocation() -> None:
    core = scheduler()
    invoke(core, A, 1.0)

    assert core.start_failed(E1) == [Answer(A, Outcome.START_FAILED, E1), Stop(E1, StopReason.START_FAILED)]
    assert core.concurrency.total == 0


def test_a_new_revision_ends_idle_environments_at_once_and_busy_ones_after_their_invocation() -> None:
    core = scheduler()
    warm(2, core)
    invoke(core, A, 2.0)

    retired = core.retire(NAME, {"2"})
    ended = finish(core, E2, A, 2.5)

    assert retired == [Stop(E1, StopReason.RETIRED)]
    assert ended == [Answer(A, Outcome.SETTLED, E2), Stop(E2, StopReason.RETIRED)]


def test_a_published_version_keeps_its_environments_when_what_is_unpublished_changes() -> None:
    core = scheduler()
    published = replace(FUNCTION, version="1", revision="published")
    warm(1, core)
    core.invoke(published, A, None, 0, 2.0)
    core.became_ready(E2, 2.1)
    finish(core, E2, A, 2.2)

    retired = core.retire(NAME, {"2", "published"})

    assert retired == [Stop(E1, StopReason.RETIRED)]
    assert core.invoke(published, B, None, 0, 2.3) == [Dispatch(E2, B, 5.3)]


def test_an_invocation_that_waits_for_an_old_revision_is_still_served_by_it() -> None:
    core = scheduler()
    invoke(core, A, 1.0)

    core.retire(NAME, ())

    assert core.became_ready(E1, 1.2) == [Dispatch(E1, A, 4.2)]
    assert finish(core, E1, A, 1.3)[-1] == Stop(E1, StopReason.RETIRED)


def test_a_runtime_that_asks_again_without_an_answer_keeps_its_invocation() -> None:
    core = scheduler()
    invoke(core, A, 1.0)
    core.became_ready(E1, 1.1)

    assert core.became_ready(E1, 1.2) == []
    assert not core.settled(E1, B), "an answer to another invocation is not taken"
    assert core.settled(E1, A)
    assert not core.settled(E1, A), "nor a second one"


def test_over_the_account_limit_is_throttled_with_awss_reason() -> None:
    core = scheduler(account=1)
    invoke(core, A, 1.0)

    assert invoke(core, B, 1.0) == [Throttle(B, ThrottleReason.ACCOUNT)]


@pytest.mark.parametrize("reserved", [0, 1])
def test_a_reservation_is_a_ceiling_and_zero_is_off(reserved: int) -> None:
    core = scheduler()
    for number in range(reserved):
        invoke(core, RequestId(f"r{number}"), 1.0, reserved)

    assert invoke(core, B, 1.0, reserved) == [Throttle(B, ThrottleReason.RESERVED)]


def test_a_reservation_is_a_floor_that_others_cannot_use() -> None:
    core = scheduler(account=2)
    core.invoke(FUNCTION, A, None, 1, 1.0)

    unreserved = core.invoke(FUNCTION, B, None, 1, 1.0)
    other = FunctionVersion(FunctionName("events"), "$LATEST", "arn", "python3.12", "a.b", "/code", 128, 3, "1")
    reserved = core.invoke(other, C, 1, 1, 1.0)

    assert unreserved == [Throttle(B, ThrottleReason.ACCOUNT)]
    assert isinstance(reserved[0], Start)


def test_a_lower_reservation_holds_from_the_next_invocation_on() -> None:
    core = scheduler()
    warm(2, core)
    for request in (A, B):
        invoke(core, request, 2.0, reserved=2)

    lowered = invoke(core, C, 2.1, reserved=1)
    finish(core, E2, A, 2.2)
    still_full = invoke(core, C, 2.3, reserved=1)
    finish(core, E1, B, 2.4)
    free = invoke(core, C, 2.5, reserved=1)

    assert lowered == still_full == [Throttle(C, ThrottleReason.RESERVED)]
    assert isinstance(free[0], Dispatch)


def test_a_reservation_made_while_others_use_its_room_holds_once_they_have_ended() -> None:
    core = scheduler(account=2)
    warm(2, core)
    other = FunctionVersion(FunctionName("events"), "$LATEST", "arn", "python3.12", "a.b", "/code", 128, 3, "1")
    for request in (A, B):
        invoke(core, request, 2.0)

    early = core.invoke(other, C, 1, 1, 2.1)
    finish(core, E2, A, 2.2)
    late = core.invoke(other, C, 1, 1, 2.3)

    assert early == [Throttle(C, ThrottleReason.ACCOUNT)]
    assert isinstance(late[0], Start)


def test_a_function_gets_a_thousand_environments_at_once_and_then_a_hundred_a_second() -> None:
    core = scheduler(account=5_000)
    started = [invoke(core, RequestId(f"r{number}"), 1.0) for number in range(SCALING_ENVIRONMENTS)]

    throttled = invoke(core, A, 1.0)
    refilled = invoke(core, B, 1.01)
    empty_again = invoke(core, C, 1.01)

    assert all(isinstance(actions[0], Start) for actions in started)
    assert throttled == [Throttle(A, ThrottleReason.RATE)]
    assert isinstance(refilled[0], Start)
    assert empty_again == [Throttle(C, ThrottleReason.RATE)]
    assert core.concurrency.total == SCALING_ENVIRONMENTS + 1


def test_closing_abandons_every_invocation_and_stops_every_environment() -> None:
    core = scheduler()
    warm(1, core)
    invoke(core, A, 2.0)
    invoke(core, B, 2.0)

    actions = core.close()

    assert {action.request for action in actions if isinstance(action, Answer)} == {A, B}
    assert {action.environment for action in actions if isinstance(action, Stop)} == {E1, E2}


def test_busy_traffic_leaves_no_trail_of_deadlines() -> None:
    core = scheduler()
    warm(1, core)
    now = 2.0

    for number in range(2_000):
        now += 0.005
        request = RequestId(f"r{number}")
        invoke(core, request, now)
        finish(core, E1, request, now + 0.001)
        if core.next_deadline() <= now:
            core.tick(now)

    assert len(core._deadlines) < 10  # the bound is the point of the module, and shows nowhere else


def test_a_transition_the_table_lacks_is_refused() -> None:
    environment = Environment(E1, FUNCTION, 0.0, retried=False)

    with pytest.raises(IllegalTransition, match="cannot become BUSY"):
        environment.move(EnvironmentState.BUSY)
