"""The timetable: due once, never before, none missed while somebody comes in time, and no burst of what was missed."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.events.schedule import parse_schedule
from workshape.events.timetable import GRACE_S, Due, Missed, Plan, Timetable

T0 = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
MINUTE = 60.0


def plan(
    expression: str,
    *,
    is_due_at_once: bool = False,
    starts_at: float | None = None,
    ends_at: float | None = None,
    window_s: float = 0.0,
) -> Plan:
    return Plan(parse_schedule(expression), T0, is_due_at_once, starts_at, ends_at, window_s)


def due_times(table: Timetable, until: float) -> list[float]:
    """Come exactly in time, every time."""
    times = []
    while (due_at := table.next_due_at()) is not None and due_at <= until:
        times += [due.scheduled_at - T0 for due in table.take(due_at) if isinstance(due, Due)]
    return times


def test_a_rate_of_a_rule_begins_one_period_after_it_was_made() -> None:
    table = Timetable()

    table.put("rule", plan("rate(5 minutes)"), T0)

    assert due_times(table, T0 + 15 * MINUTE) == [5 * MINUTE, 10 * MINUTE, 15 * MINUTE]


def test_a_rate_of_the_scheduler_begins_at_once() -> None:
    table = Timetable()

    table.put("schedule", plan("rate(5 minutes)", is_due_at_once=True), T0 - 1)

    assert due_times(table, T0 + 10 * MINUTE) == [0, 5 * MINUTE, 10 * MINUTE]


def test_a_rate_with_a_start_counts_from_it() -> None:
    table = Timetable()

    table.put("schedule", plan("rate(5 minutes)", is_due_at_once=True, starts_at=T0 + 7 * MINUTE), T0)

    assert due_times(table, T0 + 13 * MINUTE) == [7 * MINUTE, 12 * MINUTE]


def test_a_start_and_an_end_bound_a_cron_and_count_themselves() -> None:
    table = Timetable()

    table.put("s", plan("cron(* * * * ? *)", starts_at=T0 + 2 * MINUTE, ends_at=T0 + 4 * MINUTE), T0)

    assert due_times(table, T0 + 3_600) == [2 * MINUTE, 3 * MINUTE, 4 * MINUTE]
    assert table.next_due_at() is None


def test_a_start_and_an_end_do_not_bound_a_single_time() -> None:
    table = Timetable()

    table.put("s", plan("at(2026-01-01T00:10:00)", starts_at=T0 + 3_600, ends_at=T0 + 60), T0)

    assert due_times(table, T0 + 7_200) == [10 * MINUTE]


def test_the_last_time_says_so() -> None:
    table = Timetable()
    table.put("once", plan("at(2026-01-01T00:10:00)"), T0)
    table.put("often", plan("rate(10 minutes)", ends_at=T0 + 25 * MINUTE), T0)

    first = table.take(T0 + 10 * MINUTE)
    second = table.take(T0 + 20 * MINUTE)

    assert {due.key: due.is_last for due in first if isinstance(due, Due)} == {"once": True, "often": False}
    assert second == [Due("often", T0 + 20 * MINUTE, is_last=True)]


def test_after_a_long_sleep_what_was_missed_is_said_once_and_only_the_latest_runs() -> None:
    table = Timetable()
    table.put("s", plan("rate(1 minute)"), T0)

    taken = table.take(T0 + 3_600 + 30)

    assert taken == [Missed("s", T0 + MINUTE), Due("s", T0 + 3_600, is_last=False)]


def test_what_is_missed_and_rare_waits_for_its_next_time() -> None:
    table = Timetable()
    table.put("s", plan("rate(1 day)"), T0)

    taken = table.take(T0 + 86_400 + GRACE_S + 1)

    assert taken == [Missed("s", T0 + 86_400)]
    assert table.next_due_at() == T0 + 2 * 86_400


def test_a_replaced_plan_is_due_no_more() -> None:
    table = Timetable()
    table.put("s", plan("rate(1 minute)"), T0)

    table.put("s", plan("rate(2 minutes)"), T0)
    table.put("gone", plan("rate(1 minute)"), T0)
    table.remove("gone")

    assert due_times(table, T0 + 4 * MINUTE) == [2 * MINUTE, 4 * MINUTE]


def test_a_plan_that_is_over_is_not_entered() -> None:
    table = Timetable()

    will_be_due = table.put("s", plan("at(2025-01-01T00:00:00)"), T0)

    assert not will_be_due
    assert table.next_due_at() is None


@pytest.mark.parametrize("key", ["a", "b", "c", "d"])
def test_a_flexible_window_spreads_within_itself_and_stays_the_same(key: str) -> None:
    flexible = plan("rate(1 hour)", window_s=900.0)

    offset = flexible.due_at(key, T0) - T0

    assert 0 <= offset < 900
    assert flexible.due_at(key, T0) - T0 == offset
    assert flexible.due_at(key, T0 + 3_600) - T0 - 3_600 != offset


expressions = st.sampled_from(
    ["rate(1 minute)", "rate(7 minutes)", "cron(*/3 * * * ? *)", "cron(0 * * * ? *)", "at(2026-01-01T00:33:20)"]
)
plans = st.builds(
    lambda expression, at_once, window: plan(expression, is_due_at_once=at_once, window_s=window),
    expressions,
    st.booleans(),
    st.sampled_from([0.0, 120.0]),
)


@given(st.lists(plans, min_size=1, max_size=5), st.lists(st.floats(0.001, GRACE_S - 0.1), min_size=1, max_size=60))
def test_while_somebody_comes_in_time_each_time_is_due_once_and_never_before(
    entered: list[Plan], steps: list[float]
) -> None:
    table = Timetable()
    for number, one in enumerate(entered):
        table.put(str(number), one, T0 - 1)
    taken: list[Due] = []

    now = T0
    for step in steps:
        now += step
        for due in table.take(now):
            assert isinstance(due, Due), "nothing is missed"
            assert entered[int(due.key)].due_at(due.key, due.scheduled_at) <= now, "never before"
            taken.append(due)

    for number, one in enumerate(entered):
        mine = [due.scheduled_at for due in taken if due.key == str(number)]
        expected = []
        scheduled_at = one.next_after(T0 - 1)
        while scheduled_at is not None and scheduled_at <= now:
            expected += [scheduled_at] if one.due_at(str(number), scheduled_at) <= now else []
            scheduled_at = one.next_after(scheduled_at)
        assert mine == expected, "once, in order, and none is left out"


@given(st.sampled_from(["rate(1 minute)", "cron(* * * * ? *)", "rate(5 minutes)"]), st.floats(0, 10 * 86_400))
def test_however_long_nobody_came_at_most_one_is_run_late(expression: str, slept_s: float) -> None:
    table = Timetable()
    table.put("s", plan(expression), T0)

    taken = table.take(T0 + slept_s)

    assert sum(isinstance(due, Due) for due in taken) <= 1
    assert sum(isinstance(due, Missed) for due in taken) <= 1
