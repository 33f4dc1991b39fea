"""How many batches at once: five at first, three hundred more a minute, fewer with failures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.triggers.model import Pollers
from workshape.triggers.pace import (
    BACK_OFF_HOLD_S,
    CONCURRENCY_CEILING,
    CONCURRENCY_START,
    RETRY_DELAY_S_MAX,
    Pace,
    throttle_delay_s,
)

NOW = 1_000.0
CHECK_S = 0.2


def watched(pace: Pace, now: float, seconds: float, *, messages_wait: bool) -> float:
    """Look at the queue five times a second for so long; return the time then."""
    for _ in range(round(seconds / CHECK_S)):
        now += CHECK_S
        pace.observed(now, messages_wait=messages_wait)
    return now


def test_a_mapping_starts_with_five_batches_at_once() -> None:
    assert Pace(None, NOW).allowed == CONCURRENCY_START == 5
    assert Pace(1_000, NOW).allowed == 5
    assert Pace(2, NOW).allowed == 2


def test_it_grows_by_300_a_minute_while_messages_wait() -> None:
    pace = Pace(None, NOW)

    now = watched(pace, NOW, 60, messages_wait=True)
    assert 304 <= pace.allowed <= 305
    watched(pace, now, 240, messages_wait=True)

    assert pace.allowed == CONCURRENCY_CEILING == 1_250


def test_it_never_exceeds_the_mappings_own_maximum() -> None:
    pace = Pace(7, NOW)

    watched(pace, NOW, 60, messages_wait=True)

    assert pace.allowed == 7


def test_provisioned_pollers_have_ten_each_and_grow_by_a_thousand_a_minute() -> None:
    pace = Pace(None, NOW, Pollers(2, 90))
    assert (pace.allowed, pace.pollers) == (20, 2)

    now = watched(pace, NOW, 30, messages_wait=True)
    assert 515 <= pace.allowed <= 525
    now = watched(pace, now, 60, messages_wait=True)
    assert (pace.allowed, pace.pollers) == (900, 90)
    watched(pace, now, 120, messages_wait=False)

    assert (pace.allowed, pace.pollers) == (20, 2)


def test_it_scales_back_to_five_when_no_messages_wait() -> None:
    pace = Pace(None, NOW)
    now = watched(pace, NOW, 60, messages_wait=True)

    now = watched(pace, now, 10, messages_wait=False)
    assert 250 <= pace.allowed <= 260
    watched(pace, now, 60, messages_wait=False)

    assert pace.allowed == 5


def test_it_backs_off_with_each_failure_down_to_one() -> None:
    pace = Pace(None, NOW)
    allowed = [pace.allowed]

    for _ in range(20):
        pace.failed(NOW)
        allowed.append(pace.allowed)

    assert allowed == sorted(allowed, reverse=True)
    assert (allowed[1], allowed[-1]) == (4, 1)


def test_a_function_that_keeps_failing_is_not_given_more() -> None:
    pace = Pace(None, NOW)
    now = watched(pace, NOW, 60, messages_wait=True)

    for _ in range(40):
        pace.failed(now)
        now = watched(pace, now, BACK_OFF_HOLD_S - CHECK_S, messages_wait=True)

    assert pace.allowed == 1


@pytest.mark.parametrize("messages_wait", [True, False])
def test_it_recovers_when_failures_end(messages_wait: bool) -> None:
    pace = Pace(None, NOW)
    for _ in range(20):
        pace.failed(NOW)

    watched(pace, NOW, BACK_OFF_HOLD_S + 1, messages_wait=messages_wait)

    assert pace.allowed >= 5
    assert messages_wait or pace.allowed == 5


@given(
    st.none() | st.integers(2, 1_000),
    st.lists(st.tuples(st.sampled_from(["failed", "waits", "rests"]), st.floats(0, 60)), max_size=60),
)
def test_it_stays_within_its_bounds_and_its_rate(concurrency_max: int | None, events: list[tuple[str, float]]) -> None:
    pace, now = Pace(concurrency_max, NOW), NOW
    for what, passed_s in events:
        before = pace.allowed
        now += passed_s
        if what == "failed":
            pace.failed(now)
            assert pace.allowed <= before
        else:
            pace.observed(now, messages_wait=what == "waits")
        assert 1 <= pace.allowed <= min(concurrency_max or 1_250, 1_250)
        assert pace.allowed <= 5 + (now - NOW) * 5 + 1e-6


def test_a_throttled_batch_is_tried_again_more_and_more_rarely() -> None:
    delays = [throttle_delay_s(attempt, NOW, 3_600, NOW) for attempt in range(1, 10)]

    assert delays[:4] == [0.1, 0.2, 0.4, 0.8]
    assert delays[-1] == RETRY_DELAY_S_MAX
    assert throttle_delay_s(100_000, NOW, 3_600, NOW) == RETRY_DELAY_S_MAX


@given(st.integers(1, 1_000), st.floats(0, 43_200), st.floats(0, 50_000))
def test_a_throttled_batch_is_dropped_by_its_visibility_timeout(
    attempt: int, timeout_s: float, passed_s: float
) -> None:
    delay_s = throttle_delay_s(attempt, NOW, timeout_s, NOW + passed_s)

    if passed_s >= timeout_s:
        assert delay_s is None
    assert delay_s is None or NOW + passed_s + delay_s < NOW + timeout_s
