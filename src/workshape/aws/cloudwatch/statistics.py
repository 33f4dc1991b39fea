"""Statistics by their names, and how a series falls into periods. A core.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html
"""

import re
from collections.abc import Callable, Iterable
from math import ceil

from workshape.aws.cloudwatch.errors import InvalidParameter, NotBuilt
from workshape.metrics.distribution import Distribution
from workshape.metrics.metric import MINUTE_S, Point

Statistic = Callable[[Distribution], float]

_SIMPLE: dict[str, Statistic] = {
    "SampleCount": lambda values: float(values.count),
    "Average": Distribution.average,
    "Sum": lambda values: values.total,
    "Minimum": lambda values: values.minimum,
    "Maximum": lambda values: values.maximum,
}
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,10})?|100)")
_TRIMMED = re.compile(r"(?:TM|WM|TC|TS|PR)(?:\d|\().*|IQM", re.IGNORECASE)


def statistic(name: str, parameter: str) -> Statistic:
    """Find a statistic: one of the five simple ones, or `p0` to `p100`. `parameter` is where the name stood.

    Raises:
        InvalidParameter: there is none of that name. NotBuilt: CloudWatch has it, workshape does not.
    """
    if name in _SIMPLE:
        return _SIMPLE[name]
    if found := _PERCENTILE.fullmatch(name):
        percent = float(found[1])
        return lambda values: values.percentile(percent)
    if _TRIMMED.fullmatch(name):
        raise NotBuilt(feature=f"the statistic {name}: trimmed means, counts and ranks are not there")
    raise InvalidParameter(parameter=parameter, value=name, reason="it is no statistic")


def check_period(period_s: int, parameter: str) -> None:
    """Accept what suits metrics of one-minute resolution, which all of ours are.

    Raises:
        InvalidParameter: the period is not a multiple of a minute.
    """
    if period_s % MINUTE_S:
        raise InvalidParameter(parameter=parameter, value=period_s, reason="it is not a multiple of 60")


def minutes_between(begin_s: float, end_s: float) -> tuple[int, int]:
    """The minutes from the one `begin_s` is in until before `end_s`."""
    return int(begin_s // MINUTE_S), ceil(end_s / MINUTE_S)


def by_period(points: Iterable[Point], begin: int, period_s: int) -> dict[float, Distribution]:
    """Add points up by periods, counted from minute `begin`; returns what has values, by its beginning in Unix time."""
    # AWS: undocumented where periods begin when the start is not a multiple of the period; we chose the start itself.
    minutes = period_s // MINUTE_S
    found: dict[float, Distribution] = {}
    for point in points:
        started = float((begin + (point.minute - begin) // minutes * minutes) * MINUTE_S)
        found.setdefault(started, Distribution()).merge(point.values)
    return found
