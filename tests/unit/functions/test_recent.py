"""What functions have done in the last minute, by advancing `now`."""

from hypothesis import given
from hypothesis import strategies as st

from workshape.functions.model import FunctionName
from workshape.functions.recent import SPAN_S, RecentInvocations
from workshape.status import MinuteStatus

SEARCH, EVENTS = FunctionName("search"), FunctionName("events")
NOW = 1_700_000_000.0


def test_what_a_function_did_is_counted_apart_from_others() -> None:
    recent = RecentInvocations()
    for duration_ms in (10.0, 20.0, 30.0):
        recent.ended(SEARCH, NOW, duration_ms, cold=duration_ms == 10.0, failed=duration_ms == 30.0)
    recent.throttled(SEARCH, NOW + 1)
    recent.throttled(EVENTS, NOW + 1)

    minute = recent.last_minute(SEARCH, NOW + 1)

    assert (minute.invocations, minute.errors, minute.throttles, minute.cold_starts) == (3, 1, 1, 1)
    assert minute.p50_ms is not None
    assert abs(minute.p50_ms - 20.0) <= 0.2
    assert minute.p99_ms == 30.0
    assert recent.last_minute(EVENTS, NOW + 1) == MinuteStatus(throttles=1)


def test_what_is_a_minute_old_is_forgotten() -> None:
    recent = RecentInvocations()
    recent.ended(SEARCH, NOW, 5.0, cold=False, failed=False)

    assert recent.last_minute(SEARCH, NOW + SPAN_S - 1).invocations == 1
    assert recent.last_minute(SEARCH, NOW + SPAN_S) == MinuteStatus()


def test_a_function_that_was_deleted_is_forgotten() -> None:
    recent = RecentInvocations()
    recent.throttled(SEARCH, NOW)

    recent.forget(SEARCH)

    assert recent.last_minute(SEARCH, NOW) == MinuteStatus()


@given(st.lists(st.tuples(st.floats(0, 40), st.booleans(), st.booleans()), max_size=60))
def test_every_invocation_of_the_last_minute_counts_once_and_no_other(steps: list[tuple[float, bool, bool]]) -> None:
    recent, at = RecentInvocations(), NOW
    ended: list[tuple[int, bool]] = []

    for wait_s, failed, cold in steps:
        at += wait_s
        recent.ended(SEARCH, at, 1.0, cold=cold, failed=failed)
        ended.append((int(at), failed))
        within = [failure for second, failure in ended if second > int(at) - SPAN_S]
        minute = recent.last_minute(SEARCH, at)

        assert (minute.invocations, minute.errors) == (len(within), sum(within))
        assert len(recent._seconds[SEARCH]) <= SPAN_S + 1, "what it holds is bounded"
