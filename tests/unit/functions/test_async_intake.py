"""How many events of a throttled function are tried: as many as it takes, and none is forgotten."""

import heapq

from hypothesis import given
from hypothesis import strategies as st

from workshape.functions.async_event import BACKOFF_S_MAX
from workshape.functions.async_intake import HOLD_S_MAX, UNLIMITED, Intake

NAME = "f"


def drained_s(events: int, capacity: int, takes_s: float) -> tuple[float, int]:
    """Have so many events tried of a function that takes some at once; tell how long it took, and how often it was
    asked in vain.
    """
    intake = Intake()
    now, busy, refused, done = 0.0, 0, 0, 0
    times: list[tuple[float, int, str]] = [(0.0, 0, str(number)) for number in range(events)]
    backoffs = dict.fromkeys((event for _, _, event in times), 0)
    while done < events:
        if not times:
            now = max(now, min(intake.opens_at().values()))
        else:
            opens_at = min(intake.opens_at().values(), default=times[0][0])
            if opens_at >= times[0][0]:
                now, ends, event = heapq.heappop(times)
                if ends:
                    busy, done = busy - 1, done + 1
                    intake.leave(NAME, now, throttled=False)
                elif intake.enter(NAME, event, now):
                    if busy < capacity:
                        busy += 1
                        heapq.heappush(times, (now + takes_s, 1, event))
                    else:
                        refused += 1
                        at_work = intake.leave(NAME, now, throttled=True)
                        wait_s = 0.0 if at_work else min(BACKOFF_S_MAX, 2.0 ** backoffs[event])
                        backoffs[event] += not at_work
                        heapq.heappush(times, (now + wait_s, 0, event))
            else:
                now = max(now, opens_at)
        for event in intake.resume(NAME, now):
            heapq.heappush(times, (now, 0, event))
    return now, refused


@given(st.integers(1, 400), st.integers(1, 20), st.sampled_from([0.05, 0.3, 2.0, 30.0]))
def test_a_throttled_function_is_kept_at_work(events: int, capacity: int, takes_s: float) -> None:
    took_s, _ = drained_s(events, capacity, takes_s)

    assert took_s <= 1.2 * takes_s * -(-events // capacity) + 10


def test_a_throttled_function_is_not_asked_over_and_over() -> None:
    took_s, refused = drained_s(events=10_000, capacity=10, takes_s=1.0)

    assert took_s < 1_100
    assert refused < 5_000


def test_nothing_is_held_back_of_a_function_that_takes_all() -> None:
    intake = Intake()

    assert all(intake.enter(NAME, str(number), 0.0) for number in range(3 * UNLIMITED))

    for _ in range(3 * UNLIMITED):
        intake.leave(NAME, 0.0, throttled=False)
    assert "targets=0" in repr(intake)


def test_a_function_of_which_nothing_runs_is_asked_now_and_then() -> None:
    intake = Intake()
    asked: list[float] = []
    now = 0.0
    intake.enter(NAME, "first", now)
    intake.leave(NAME, now, throttled=True)
    for number in range(50):
        assert not intake.enter(NAME, str(number), now)

    while now < 100.0:
        now = intake.opens_at()[NAME]
        for event in intake.resume(NAME, now):
            assert intake.enter(NAME, event, now)
            asked.append(now)
            intake.leave(NAME, now, throttled=True)
            intake.enter(NAME, event, now)

    assert 10 <= len(asked) <= 20
    assert asked[-1] - asked[-2] == HOLD_S_MAX


def test_an_event_that_is_ended_untried_gives_its_place_up() -> None:
    intake = Intake()
    intake.enter(NAME, "runs", 0.0)
    intake.enter(NAME, "refused", 0.0)
    intake.leave(NAME, 0.0, throttled=True)
    waits = [intake.enter(NAME, event, 0.1) for event in ("old", "next")]
    intake.leave(NAME, 0.2, throttled=False)

    assert waits == [False, False]
    assert intake.resume(NAME, 0.2) == ["old"]
    assert intake.resume(NAME, 0.2) == []
    intake.dismiss(NAME, "old")
    assert intake.resume(NAME, 0.2) == ["next"]
    assert intake.enter(NAME, "next", 0.2)


def test_a_clock_that_is_set_back_holds_nothing_up() -> None:
    intake = Intake()
    intake.enter(NAME, "refused", 1_000_000.0)
    intake.leave(NAME, 1_000_000.0, throttled=True)
    intake.enter(NAME, "waits", 0.0)

    assert intake.resume(NAME, 0.0) == []
    assert intake.resume(NAME, HOLD_S_MAX) == ["waits"]
