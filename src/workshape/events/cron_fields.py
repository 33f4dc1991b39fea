"""The six fields of AWS's cron expressions, and the days they name. A core.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
"""

import calendar
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from workshape.errors import Invalid

DaysOfMonth = Callable[[int, int], set[int]]
"""Takes a year and a month and returns days of it."""

_WEEKDAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), start=1)}
_MONTH_NAMES = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_SATURDAY = 7
_WEEKDAY = r"([1-7]|SUN|MON|TUE|WED|THU|FRI|SAT)"
_LAST_WEEKDAY = re.compile(rf"{_WEEKDAY}L")
_NTH_WEEKDAY = re.compile(rf"{_WEEKDAY}#([1-5])")
_NEAREST_WEEKDAY = re.compile(r"(\d{1,2})W")
_PART = re.compile(r"(?P<from>\*|\w+)(?:-(?P<to>\w+))?(?:/(?P<step>\d+))?")


class InvalidCron(Invalid):
    """{reason}"""


@dataclass(frozen=True, slots=True)
class CronFields:
    """What the fields name: sorted, without doubles."""

    minutes: Sequence[int]
    hours: Sequence[int]
    months: Sequence[int]
    years: Sequence[int]
    days: DaysOfMonth

    def days_from(self, first: date) -> Iterator[date]:
        """Every day they name from `first` on, in order; there may be none."""
        for year in self.years:
            if year < first.year:
                continue
            for month in self.months:
                if (year, month) < (first.year, first.month):
                    continue
                for day in sorted(self.days(year, month)):
                    named = date(year, month, day)
                    if named >= first:
                        yield named


def parse_cron_fields(text: str) -> CronFields:
    """Read the inside of `cron(...)`.

    Raises:
        InvalidCron: it is none; `reason` says why.
    """
    fields = text.upper().split()
    if len(fields) != 6:
        reason = f"cron() has six fields (minutes, hours, day of month, month, day of week, year), not {len(fields)}"
        raise InvalidCron(reason=reason)
    minutes, hours, day_of_month, months, day_of_week, years = fields
    if (day_of_month == "?") == (day_of_week == "?"):
        raise InvalidCron(reason="exactly one of day of month and day of week must be ?")
    return CronFields(
        minutes=_values("minutes", minutes, 0, 59),
        hours=_values("hours", hours, 0, 23),
        months=_values("month", months, 1, 12, _MONTH_NAMES),
        years=_values("year", years, 1970, 2199, cyclic=False),
        days=_by_weekday(day_of_week) if day_of_month == "?" else _by_number(day_of_month),
    )


def _by_number(text: str) -> DaysOfMonth:
    if text == "L":
        return lambda year, month: {calendar.monthrange(year, month)[1]}
    nearest = _NEAREST_WEEKDAY.fullmatch(text)
    if nearest is not None:
        (wanted,) = _values("day of month", nearest[1], 1, 31, cyclic=False)
        return lambda year, month: _nearest_weekday(year, month, wanted)
    numbers = _values("day of month", text, 1, 31, cyclic=False)
    return lambda year, month: {number for number in numbers if number <= calendar.monthrange(year, month)[1]}


def _by_weekday(text: str) -> DaysOfMonth:
    if text == "L":
        return lambda year, month: set(_days_that_are(_SATURDAY, year, month))
    if (last := _LAST_WEEKDAY.fullmatch(text)) is not None:
        weekday = _number(last[1], _WEEKDAYS)
        return lambda year, month: {_days_that_are(weekday, year, month)[-1]}
    if (nth := _NTH_WEEKDAY.fullmatch(text)) is not None:
        weekday, count = _number(nth[1], _WEEKDAYS), int(nth[2])
        return lambda year, month: set(_days_that_are(weekday, year, month)[count - 1 : count])
    if "/" in text:
        raise InvalidCron(reason=f"day of week takes no increments: {text}")
    weekdays = _values("day of week", text, 1, 7, _WEEKDAYS)
    return lambda year, month: {day for weekday in weekdays for day in _days_that_are(weekday, year, month)}


def _days_that_are(weekday: int, year: int, month: int) -> list[int]:
    """The days of a month that are this day of the week; Sunday is 1."""
    first_weekday, days = calendar.monthrange(year, month)  # of the first day; Monday is 0
    first = (weekday - 2 - first_weekday) % 7 + 1
    return list(range(first, days + 1, 7))


def _nearest_weekday(year: int, month: int, wanted: int) -> set[int]:
    """The day from Monday to Friday that is closest. AWS: undocumented at a month's ends; we chose to stay in it."""
    days = calendar.monthrange(year, month)[1]
    if wanted > days:
        return set()
    weekday = calendar.weekday(year, month, wanted)
    if weekday == calendar.SATURDAY:
        return {wanted - 1 if wanted > 1 else wanted + 2}
    if weekday == calendar.SUNDAY:
        return {wanted + 1 if wanted < days else wanted - 2}
    return {wanted}


def _values(
    field: str, text: str, low: int, high: int, names: Mapping[str, int] | None = None, *, cyclic: bool = True
) -> list[int]:
    """Read a list of values, ranges and increments. A range of a cyclic field may go over its end (`22-2`)."""
    numbers: set[int] = set()
    for part in text.split(","):
        found = _PART.fullmatch(part)
        if found is None or (found["from"] == "*" and found["to"] is not None):
            raise InvalidCron(reason=f"{part!r} is nothing {field} takes")
        step = int(found["step"] or 1)
        if found["from"] == "*":
            first, last = low, high
        else:
            first = _number(found["from"], names)
            last = _number(found["to"], names) if found["to"] else high if found["step"] else first
        if not (low <= first <= high and low <= last <= high and step >= 1):
            raise InvalidCron(reason=f"{part!r} is out of range for {field}, {low} to {high}")
        if first > last and not cyclic:
            raise InvalidCron(reason=f"{part!r} is a range that ends before it begins")
        size = high - low + 1
        numbers.update(low + (first - low + offset) % size for offset in range(0, (last - first) % size + 1, step))
    return sorted(numbers)


def _number(text: str, names: Mapping[str, int] | None) -> int:
    if names is not None and text in names:
        return names[text]
    if not text.isdecimal():
        raise InvalidCron(reason=f"{text!r} is no number" + (f" nor one of {', '.join(names)}" if names else ""))
    return int(text)
