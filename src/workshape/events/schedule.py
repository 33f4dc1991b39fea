"""AWS's schedule expressions, `at()`, `rate()` and `cron()`, and when they are due. A core: times are Unix times.

AWS's cron is its own: six fields, `?` in one of the two days, Sunday 1, `L`, `W` and `#`. A time that daylight saving
skips is skipped, one that it repeats is due once, and a day of a rate is 24 hours.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
Source: https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html (a rate's units)
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from math import floor
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from workshape.errors import Invalid
from workshape.events.cron_fields import CronFields, InvalidCron, parse_cron_fields

_UNIT_S = {"minute": 60, "hour": 3_600, "day": 86_400}
_EXPRESSION = re.compile(r"(at|rate|cron)\((.*)\)")
_RATE = re.compile(r"([1-9]\d*) (minute|hour|day)(s?)")
_AT_FORMAT = "%Y-%m-%dT%H:%M:%S"


class InvalidSchedule(Invalid):
    """{expression!r} is no schedule: {reason}."""

    expression: str


class UnknownTimeZone(Invalid):
    """{name!r} is no time zone: name one of the IANA database, such as Europe/Berlin."""

    name: str


@dataclass(frozen=True, slots=True)
class At:
    """Once."""

    time: float

    def next_after(self, after: float, start: float) -> float | None:
        """When it is due next; None when never again."""
        return self.time if self.time > after else None


@dataclass(frozen=True, slots=True)
class Rate:
    """Again and again, so many seconds apart, counted from its start."""

    period_s: int

    def next_after(self, after: float, start: float) -> float | None:
        """When it is due next: one period after its start at the earliest."""
        periods = max(1, floor((after - start) / self.period_s) + 1)
        return start + periods * self.period_s


@dataclass(frozen=True, slots=True)
class Cron:
    """At the minutes of the calendar that its fields name."""

    fields: CronFields
    zone: tzinfo

    def next_after(self, after: float, start: float) -> float | None:
        """When it is due next; None when its years are over."""
        first = datetime.fromtimestamp(after, self.zone).replace(tzinfo=None, second=0, microsecond=0)
        for local in self._minutes_from(first):
            due = local.replace(tzinfo=self.zone)  # of a time that comes twice, the first
            if due.astimezone(UTC).astimezone(self.zone).replace(tzinfo=None) != local:
                continue  # daylight saving leaves this time out
            if due.timestamp() > after:
                return due.timestamp()
        return None

    def _minutes_from(self, first: datetime) -> Iterator[datetime]:
        for day in self.fields.days_from(first.date()):
            for hour in self.fields.hours:
                for minute in self.fields.minutes:
                    local = datetime(day.year, day.month, day.day, hour, minute)  # noqa: DTZ001 - a wall's time
                    if local >= first:
                        yield local


Schedule = At | Rate | Cron


def parse_schedule(expression: str, time_zone: str = "UTC", *, any_number: bool = False) -> Schedule:
    """Read an expression; `time_zone` is the one its dates and times are in.

    EventBridge's rules insist on `1 hour` and `2 hours`. EventBridge Scheduler does not (`any_number`): its page has
    plurals alone, its reference both.

    Raises:
        InvalidSchedule: it is none. UnknownTimeZone: there is no such time zone.
    """
    zone = _zone(time_zone)
    found = _EXPRESSION.fullmatch(expression.strip())
    if found is None:
        raise InvalidSchedule(expression=expression, reason="it must be at(...), rate(...) or cron(...)")
    kind, inside = found.groups()
    match kind:
        case "at":
            return _at(expression, inside, zone)
        case "rate":
            return _rate(expression, inside, any_number=any_number)
        case _:
            try:
                return Cron(parse_cron_fields(inside), zone)
            except InvalidCron as error:
                raise InvalidSchedule(expression=expression, reason=error.reason) from error


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC  # there even where the machine has no time zones
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnknownTimeZone(name=name) from error


def _at(expression: str, inside: str, zone: tzinfo) -> At:
    try:
        return At(datetime.strptime(inside, _AT_FORMAT).replace(tzinfo=zone).timestamp())
    except ValueError as error:
        raise InvalidSchedule(expression=expression, reason="at() takes yyyy-mm-ddThh:mm:ss") from error


def _rate(expression: str, inside: str, *, any_number: bool) -> Rate:
    found = _RATE.fullmatch(inside)
    if found is None or (not any_number and (found[1] == "1") == bool(found[3])):
        reason = "rate() takes `1 minute`, `5 minutes`, `1 hour`, `2 hours`, `1 day`, `7 days`"
        raise InvalidSchedule(expression=expression, reason=reason)
    period_s = int(found[1]) * _UNIT_S[found[2]]
    if period_s > timedelta.max.total_seconds():
        raise InvalidSchedule(expression=expression, reason="that is longer than time is counted")
    return Rate(period_s)
