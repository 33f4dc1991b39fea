"""When windows of rotation open and close."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.secrets.model import DAY_S, InvalidParameter, RotationRules
from workshape.secrets.rotation_schedule import PERIOD_S_MIN, RotationSchedule, read_rules


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def schedule(rules: RotationRules) -> RotationSchedule:
    found = read_rules(rules)
    assert found is not None
    return found


def window(rules: RotationRules, counts_from: str, now: str | None = None) -> tuple[str, str]:
    found = schedule(rules).window_after(at(counts_from), at(now or counts_from))
    assert found is not None
    opens_at, closes_at = (datetime.fromtimestamp(one, UTC) for one in (found.opens_at, found.closes_at))
    return f"{opens_at:%Y-%m-%dT%H:%M}", f"{closes_at:%Y-%m-%dT%H:%M}"


@pytest.mark.parametrize(
    ("rules", "opens_at", "closes_at"),
    [
        (RotationRules(after_days=1), "2026-11-27T00:00", "2026-11-27T23:59"),
        (RotationRules(after_days=30), "2026-12-26T00:00", "2026-12-26T23:59"),
        (RotationRules(expression="rate(10 days)"), "2026-12-06T00:00", "2026-12-06T23:59"),
        (RotationRules(expression="rate(10 days)", duration="3h"), "2026-12-06T00:00", "2026-12-06T03:00"),
        (RotationRules(expression="rate(4 hours)"), "2026-11-26T19:00", "2026-11-26T20:00"),
        (RotationRules(expression="rate(12 hours)", duration="2h"), "2026-11-27T03:00", "2026-11-27T05:00"),
        (RotationRules(expression="cron(0 10 * * ? *)"), "2026-11-27T10:00", "2026-11-27T23:59"),
        (RotationRules(expression="cron(0 18 ? * SAT *)", duration="6h"), "2026-11-28T18:00", "2026-11-28T23:59"),
        (RotationRules(expression="cron(0 17 L * ? *)"), "2026-11-30T17:00", "2026-11-30T23:59"),
        (RotationRules(expression="cron(0 1 * 1/3 SUN *)"), "2027-01-03T01:00", "2027-01-03T23:59"),
        (RotationRules(expression="cron(0 8/8 * * ? *)"), "2026-11-26T16:00", "2026-11-26T17:00"),
    ],
)
def test_a_window_comes_after_the_last_rotation(rules: RotationRules, opens_at: str, closes_at: str) -> None:
    assert window(rules, "2026-11-26T15:20") == (opens_at, closes_at)


def test_a_window_that_is_over_is_passed_over_and_one_that_is_open_is_not() -> None:
    rules = RotationRules(after_days=7)

    assert window(rules, "2026-11-01T15:20", "2026-11-08T12:00") == ("2026-11-08T00:00", "2026-11-08T23:59")
    assert window(rules, "2026-11-01T15:20", "2026-11-09T00:00") == ("2026-11-15T00:00", "2026-11-15T23:59")
    daily = RotationRules(expression="cron(0 10 * * ? *)", duration="2h")
    assert window(daily, "2026-11-01T10:00", "2026-11-08T11:59") == ("2026-11-08T10:00", "2026-11-08T12:00")
    assert window(daily, "2026-11-01T10:00", "2026-11-08T12:00") == ("2026-11-09T10:00", "2026-11-09T12:00")


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        (RotationRules(after_days=1, expression="rate(1 day)"), "not both"),
        (RotationRules(duration="3h"), "Duration is for"),
        (RotationRules(expression="at(2026-11-26T10:00:00)"), r"must be rate\(...\)"),
        (RotationRules(expression="nonsense"), "no schedule"),
        (RotationRules(expression="rate(3 hours)"), "four hours"),
        (RotationRules(expression="rate(600 minutes)"), "in hours or days"),
        (RotationRules(expression="cron(30 10 * * ? *)"), "0 minutes"),
        (RotationRules(expression="cron(0 10 * * ? 2027)"), "every year"),
        (RotationRules(expression="rate(1 day)", duration="25h"), "next UTC day"),
        (RotationRules(expression="cron(0 20 * * ? *)", duration="5h"), "next UTC day"),
        (RotationRules(expression="rate(4 hours)", duration="5h"), "next rotation window"),
        (RotationRules(expression="cron(0 1,3 * * ? *)", duration="3h"), "next rotation window"),
        (RotationRules(expression="rate(1 day)", duration="3m"), "number of hours"),
    ],
)
def test_rules_that_are_none_are_refused(rules: RotationRules, why: str) -> None:
    with pytest.raises(InvalidParameter, match=why):
        read_rules(rules)


def test_rules_without_times_are_no_schedule() -> None:
    assert read_rules(RotationRules()) is None


RULES = st.one_of(
    st.integers(1, 1000).map(lambda days: RotationRules(after_days=days)),
    st.integers(4, 2_000).map(lambda hours: RotationRules(expression=f"rate({hours} hours)")),
    st.integers(0, 23).map(lambda hour: RotationRules(expression=f"cron(0 {hour} * * ? *)")),
)
TIMES = st.integers(1_600_000_000, 2_000_000_000)


@given(RULES, TIMES, st.integers(0, 400 * 86_400))
def test_a_window_is_not_over_ends_with_its_day_and_opens_after_the_last_rotation(
    rules: RotationRules, counts_from: int, passed_s: int
) -> None:
    now = float(counts_from + passed_s)

    found = schedule(rules).window_after(float(counts_from), now)

    assert found is not None
    assert found.closes_at > max(now, found.opens_at)
    assert found.opens_at > counts_from
    assert found.opens_at // DAY_S == found.closes_at // DAY_S or found.closes_at % DAY_S == 0
    assert found.opens_at % 3_600 == 0
    if "rate" in rules.expression:
        assert found.opens_at - counts_from > PERIOD_S_MIN - 3_600
