"""When a secret is rotated: the windows of its rotation rules. A core: times are Unix times, days are UTC's.

Source: https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_schedule.html
Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotationRulesType.html
"""

import re
from dataclasses import dataclass
from itertools import pairwise

from workshape.events.schedule import At, Cron, InvalidSchedule, Rate, parse_schedule
from workshape.secrets.model import DAY_S, InvalidParameter, RotationRules

HOUR_S = 3_600.0
PERIOD_S_MIN = 4 * HOUR_S
"""Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotationRulesType.html"""
_LAST_SECOND = DAY_S - 1
"""Of a day: when a window ends that goes to the day's end. AWS: undocumented to the second; we chose."""
_DURATION = re.compile(r"([1-9]\d?)h")
_CRON = re.compile(r"cron\(\s*(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s*\)")


@dataclass(frozen=True, slots=True)
class Window:
    """A secret is rotated at some time in it; here, as soon as it opens."""

    opens_at: float
    closes_at: float


@dataclass(frozen=True, slots=True)
class RotationSchedule:
    """Rotation rules, read."""

    schedule: Rate | Cron
    is_hourly: bool
    """Its windows are some hours apart, not days."""
    duration_s: float | None
    """How long a window is; None: an hour where they are some hours apart, else until the day's end."""

    def window_after(self, counts_from: float, now: float) -> Window | None:
        """Find the first window after the last rotation (`counts_from`) that is not over; None: there is none."""
        opens_at = self._opening_after(counts_from, now)
        while opens_at is not None and self._closing(opens_at) <= now:
            opens_at = self._following(opens_at)
        return None if opens_at is None else Window(opens_at, self._closing(opens_at))

    def first_count(self, now: float) -> float:
        """From when a secret is counted that was never rotated: a rate begins at midnight."""
        return now - now % DAY_S

    def _opening_after(self, counts_from: float, now: float) -> float | None:
        if isinstance(self.schedule, Cron):
            return self.schedule.next_after(max(counts_from, now - DAY_S), 0.0)
        period_s, unit_s = self.schedule.period_s, HOUR_S if self.is_hourly else DAY_S
        base = counts_from - counts_from % unit_s
        passed = max(0.0, now - DAY_S - base) // period_s
        return base + (passed + 1) * period_s

    def _following(self, opens_at: float) -> float | None:
        if isinstance(self.schedule, Cron):
            return self.schedule.next_after(opens_at, 0.0)
        return opens_at + self.schedule.period_s

    def _closing(self, opens_at: float) -> float:
        day_ends_at = opens_at - opens_at % DAY_S + _LAST_SECOND
        if self.duration_s is not None:
            return min(opens_at + self.duration_s, day_ends_at)
        return min(opens_at + HOUR_S, day_ends_at) if self.is_hourly else day_ends_at


def read_rules(rules: RotationRules) -> RotationSchedule | None:
    """Read rotation rules; None: they name no times.

    Raises:
        InvalidParameter: they are none.
    """
    if rules.after_days is not None and rules.expression:
        raise InvalidParameter(reason="Specify AutomaticallyAfterDays or ScheduleExpression, not both.")
    expression = rules.expression
    if rules.after_days is not None:
        expression = "rate(1 day)" if rules.after_days == 1 else f"rate({rules.after_days} days)"
    if not expression:
        if rules.duration:
            raise InvalidParameter(reason="Duration is for a ScheduleExpression, or AutomaticallyAfterDays.")
        return None
    schedule = _read_schedule(expression)
    is_hourly = len(schedule.fields.hours) > 1 if isinstance(schedule, Cron) else "day" not in expression
    duration_s = _read_duration(rules.duration, schedule, is_hourly=is_hourly) if rules.duration else None
    return RotationSchedule(schedule, is_hourly, duration_s)


def _read_schedule(expression: str) -> Rate | Cron:
    try:
        schedule = parse_schedule(_with_question_mark(expression))
    except InvalidSchedule as error:
        raise InvalidParameter(reason=f"ScheduleExpression: {error}") from error
    if isinstance(schedule, At):
        raise InvalidParameter(reason="ScheduleExpression must be rate(...) or cron(...).")
    if isinstance(schedule, Rate):
        if schedule.period_s < PERIOD_S_MIN or "minute" in expression:
            raise InvalidParameter(reason="A secret is rotated every four hours at most: in hours or days.")
        return schedule
    cron = _CRON.fullmatch(expression.strip())
    if cron is None or cron[1] != "0" or cron[6] != "*":
        reason = "A cron expression of a rotation has 0 minutes and every year: cron(0 hours day month weekday *)."
        raise InvalidParameter(reason=reason)
    return schedule


def _with_question_mark(expression: str) -> str:
    """Take `*` for `?` in the one of two days that the other decides, as AWS's own examples have it."""
    cron = _CRON.fullmatch(expression.strip())
    if cron is None or "?" in cron.groups():
        return expression
    minutes, hours, day, month, weekday, year = cron.groups()
    if weekday == "*":
        weekday = "?"
    elif day == "*":
        day = "?"
    return f"cron({minutes} {hours} {day} {month} {weekday} {year})"


def _read_duration(text: str, schedule: Rate | Cron, *, is_hourly: bool) -> float:
    found = _DURATION.fullmatch(text)
    if found is None:
        raise InvalidParameter(reason="Duration is a number of hours, such as 3h.")
    hours = int(found[1])
    opening = list(schedule.fields.hours) if isinstance(schedule, Cron) else [0]
    if opening[-1] + hours > DAY_S / HOUR_S:
        raise InvalidParameter(reason="The rotation window must not extend into the next UTC day.")
    gaps = [later - earlier for earlier, later in pairwise(opening)]
    if is_hourly and isinstance(schedule, Rate):
        gaps = [int(schedule.period_s // HOUR_S)]
    if gaps and hours > min(gaps):
        raise InvalidParameter(reason="The rotation window must not extend into the next rotation window.")
    return hours * HOUR_S
