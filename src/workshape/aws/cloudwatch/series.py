"""Reads series of ours for CloudWatch's operations, a day at a time: what is long must not hold up everything else."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from workshape.apis import api_metrics
from workshape.aws.cloudwatch.statistics import by_period, check_period, minutes_between
from workshape.clock import Clock
from workshape.events import event_metrics
from workshape.functions import function_metrics
from workshape.metrics.archive import DAY_MINUTES, KEPT_MINUTES
from workshape.metrics.distribution import Distribution
from workshape.metrics.keeper import MetricKeeper
from workshape.metrics.metric import Metric, Point, minute_of
from workshape.proxies import proxy_metrics
from workshape.queues import queue_metrics
from workshape.topics import topic_metrics

OUR_NAMESPACES = frozenset(
    {
        function_metrics.NAMESPACE,
        function_metrics.OWN_NAMESPACE,
        queue_metrics.NAMESPACE,
        topic_metrics.NAMESPACE,
        event_metrics.EVENTS,
        event_metrics.SCHEDULER,
        api_metrics.NAMESPACE,
        proxy_metrics.NAMESPACE,
    }
)


class SeriesReader:
    """What the keeper has, by periods."""

    def __init__(self, keeper: MetricKeeper, clock: Clock) -> None:
        self._keeper = keeper
        self._clock = clock

    def flush(self) -> None:
        """See to it that what was measured up to now is there to be read."""
        self._keeper.flush()

    async def read(
        self, metric: Metric, begin_s: float, end_s: float, period_s: int, unit: str | None = None
    ) -> tuple[str, dict[float, Distribution]]:
        """Return the metric's unit, and its values by the beginnings of their periods; none in another unit than asked.

        Raises:
            InvalidParameter: the period is not a multiple of a minute.
        """
        check_period(period_s, "Period")
        begin, end = minutes_between(begin_s, end_s)
        present = minute_of(self._clock.wall_s())
        points: list[Point] = []
        first = max(begin, present - KEPT_MINUTES)
        last = min(end, present + 1)
        for day in range(first, last, DAY_MINUTES):
            points += self._keeper.read(metric, day, min(day + DAY_MINUTES, last))
            await asyncio.sleep(0)  # others' turn
        kept = [point for point in points if unit is None or point.metric.unit == unit]
        return (kept[0].metric.unit if kept else ""), by_period(kept, begin, period_s)


def metric_of(parameters: Mapping[str, Any]) -> Metric:
    """Read a metric as CloudWatch's inputs name it."""
    dimensions: Sequence[Mapping[str, str]] = parameters.get("Dimensions") or ()
    pairs = sorted((dimension["Name"], dimension["Value"]) for dimension in dimensions)
    return Metric(parameters.get("Namespace", ""), parameters.get("MetricName", ""), tuple(pairs))
