"""Schedule expressions: AWS's own examples, daylight saving, and what is refused."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.events.schedule import InvalidSchedule, Rate, UnknownTimeZone, parse_schedule

START = datetime(2026, 1, 1, tzinfo=UTC).timestamp()  # a Thursday


def times(expression: str, count: int, after: str = "2026-01-01T00:00", zone: str = "UTC") -> list[str]:
    """When it is due next, by the zone's clocks."""
    schedule = parse_schedule(expression, zone)
    now = datetime.fromisoformat(after).replace(tzinfo=ZoneInfo(zone)).timestamp()
    found = []
    for _ in range(count):
        due = schedule.next_after(now, START)
        if due is None:
            break
        now = due
        found.append(datetime.fromtimestamp(due, ZoneInfo(zone)).strftime("%a %Y-%m-%d %H:%M"))
    return found


@pytest.mark.parametrize(
    ("expression", "due"),
    [
        ("cron(0 10 * * ? *)", ["Thu 2026-01-01 10:00", "Fri 2026-01-02 10:00"]),
        ("cron(15 12 * * ? *)", ["Thu 2026-01-01 12:15", "Fri 2026-01-02 12:15"]),
        ("cron(0 18 ? * MON-FRI *)", ["Thu 2026-01-01 18:00", "Fri 2026-01-02 18:00", "Mon 2026-01-05 18:00"]),
        ("cron(0 8 1 * ? *)", ["Thu 2026-01-01 08:00", "Sun 2026-02-01 08:00"]),
        ("cron(0/15 * * * ? *)", ["Thu 2026-01-01 00:15", "Thu 2026-01-01 00:30"]),
        ("cron(0/10 * ? * MON-FRI *)", ["Thu 2026-01-01 00:10", "Thu 2026-01-01 00:20"]),
        ("cron(5,35 14 * * ? *)", ["Thu 2026-01-01 14:05", "Thu 2026-01-01 14:35"]),
        ("cron(15 10 ? * 6L 2019-2022)", []),
        ("cron(15 10 ? * 6L 2026-2027)", ["Fri 2026-01-30 10:15", "Fri 2026-02-27 10:15"]),
        ("cron(1/10 0 1 1 ? *)", ["Thu 2026-01-01 00:01", "Thu 2026-01-01 00:11", "Thu 2026-01-01 00:21"]),
        ("cron(0 0 ? * 3#2 *)", ["Tue 2026-01-13 00:00", "Tue 2026-02-10 00:00"]),
        ("cron(0 0 3W * ? *)", ["Fri 2026-01-02 00:00", "Tue 2026-02-03 00:00"]),
        ("cron(0 0 1W * ? *)", ["Mon 2026-02-02 00:00", "Mon 2026-03-02 00:00"]),
        ("cron(0 0 L * ? *)", ["Sat 2026-01-31 00:00", "Sat 2026-02-28 00:00"]),
        ("cron(0 0 ? * L *)", ["Sat 2026-01-03 00:00", "Sat 2026-01-10 00:00"]),
        ("cron(0 0 29 FEB ? *)", ["Tue 2028-02-29 00:00", "Sun 2032-02-29 00:00"]),
        ("cron(0 22-1 2 JAN ? 2026)", ["Fri 2026-01-02 00:00", "Fri 2026-01-02 01:00", "Fri 2026-01-02 22:00"]),
        ("cron(30 6 ? * MON *)", ["Mon 2026-01-05 06:30", "Mon 2026-01-12 06:30"]),
        ("cron(0 0 31 2 ? *)", []),
        ("at(2026-03-04T05:06:07)", ["Wed 2026-03-04 05:06"]),
        ("at(2025-12-31T23:59:59)", []),
        ("rate(1 minute)", ["Thu 2026-01-01 00:01", "Thu 2026-01-01 00:02"]),
        ("rate(5 hours)", ["Thu 2026-01-01 05:00", "Thu 2026-01-01 10:00"]),
        ("rate(2 days)", ["Sat 2026-01-03 00:00", "Mon 2026-01-05 00:00"]),
    ],
)
def test_it_is_due_when_awss_documentation_says(expression: str, due: list[str]) -> None:
    assert times(expression, max(len(due), 1)) == due


def test_a_time_that_daylight_saving_skips_is_skipped() -> None:
    due = times("cron(30 2 28-30 3 ? 2026)", 3, "2026-03-27T00:00", "Europe/Berlin")

    assert due == ["Sat 2026-03-28 02:30", "Mon 2026-03-30 02:30"]


def test_a_time_that_daylight_saving_repeats_is_due_once() -> None:
    due = times("cron(30 2 ? 10 SUN 2026)", 2, "2026-10-19T00:00", "Europe/Berlin")

    first = parse_schedule("cron(30 2 ? 10 SUN 2026)", "Europe/Berlin").next_after(START + 297 * 86_400, START)
    assert due == ["Sun 2026-10-25 02:30"]
    assert first == datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp()


def test_a_day_of_a_rate_is_24_hours_whatever_the_clocks_do() -> None:
    start = datetime(2026, 3, 28, 12, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()

    due = parse_schedule("rate(1 day)", "Europe/Berlin").next_after(start, start)

    assert due == start + 86_400


def test_an_at_is_in_its_time_zone() -> None:
    due = parse_schedule("at(2026-07-01T12:00:00)", "America/New_York").next_after(START, START)

    assert due == datetime(2026, 7, 1, 16, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("every 5 minutes", "it must be at(...), rate(...) or cron(...)"),
        ("rate(1 minutes)", "rate() takes"),
        ("rate(5 minute)", "rate() takes"),
        ("rate(0 minutes)", "rate() takes"),
        ("rate(5 seconds)", "rate() takes"),
        ("at(tomorrow)", "at() takes yyyy-mm-ddThh:mm:ss"),
        ("cron(0 10 * * ?)", "six fields (minutes, hours, day of month, month, day of week, year), not 5"),
        ("cron(0 10 * * * *)", "exactly one of day of month and day of week must be ?"),
        ("cron(0 10 ? * ? *)", "exactly one of day of month and day of week must be ?"),
        ("cron(60 10 * * ? *)", "'60' is out of range for minutes, 0 to 59"),
        ("cron(0 10 * * ? 2200)", "'2200' is out of range for year, 1970 to 2199"),
        ("cron(0 10 20-2 * ? *)", "'20-2' is a range that ends before it begins"),
        ("cron(0 10 ? * 3#1,6#3 *)", "'3#1' is nothing day of week takes"),
        ("cron(0 10 ? * MON/2 *)", "day of week takes no increments"),
        ("cron(0 10 ? * MAYDAY *)", "'MAYDAY' is no number nor one of SUN, MON"),
        ("cron(0/0 10 * * ? *)", "out of range for minutes"),
        ("cron(0 10 32W * ? *)", "'32' is out of range for day of month"),
    ],
)
def test_what_is_no_schedule_is_refused_with_the_reason(expression: str, reason: str) -> None:
    with pytest.raises(InvalidSchedule) as refused:
        parse_schedule(expression)

    assert expression in str(refused.value)
    assert reason in str(refused.value)


@pytest.mark.parametrize(("expression", "period_s"), [("rate(1 hours)", 3_600), ("rate(5 minute)", 300)])
def test_where_it_is_said_so_a_rates_unit_may_have_either_number(expression: str, period_s: int) -> None:
    assert parse_schedule(expression, any_number=True) == Rate(period_s)


@pytest.mark.parametrize("zone", ["Berlin", "", "../etc/passwd", "Europe"])
def test_what_is_no_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(UnknownTimeZone):
        parse_schedule("rate(1 day)", zone)


minutes = st.sampled_from(["0", "7", "0/20", "*/25", "10-12", "59-1"])
hours = st.sampled_from(["*", "0", "3", "1-4", "22-2", "0/7"])
days = st.sampled_from([("*", "?"), ("28-31", "?"), ("?", "SUN"), ("?", "MON-FRI"), ("L", "?"), ("?", "2L")])
zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])


@given(minutes, hours, days, zones, st.integers(0, 2 * 365 * 24 * 60))
def test_the_next_time_is_the_first_minute_that_matches(
    minute: str, hour: str, day: tuple[str, str], zone: str, offset: int
) -> None:
    schedule = parse_schedule(f"cron({minute} {hour} {day[0]} * {day[1]} *)", zone)
    after = START + offset * 60

    due = schedule.next_after(after, START)

    assert due is not None
    assert due > after
    assert due % 60 == 0
    between = min(due, after + timedelta(days=1).total_seconds())
    for earlier in range(int(after), int(between), 600):
        assert schedule.next_after(earlier, START) == due, "nothing is due in between"
