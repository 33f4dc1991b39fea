"""What was measured and is not written yet: values by metric and minute. A core."""

from collections.abc import Iterable

from workshape.metrics.distribution import Distribution
from workshape.metrics.metric import Metric, Point, minute_of


class MetricBook:
    """Gathers values; whoever writes them takes them out, which is what bounds it."""

    def __init__(self) -> None:
        self._open: dict[tuple[Metric, int], Distribution] = {}

    def __repr__(self) -> str:
        return f"<MetricBook points={len(self._open)}>"

    def record(self, metric: Metric, value: float, at: float, times: int = 1) -> None:
        """Count a value into its minute; `at` is Unix time, and may be long ago."""
        self._point(metric, minute_of(at)).add(value, times)

    def merge(self, point: Point) -> None:
        """Count all values of a point in."""
        self._point(point.metric, point.minute).merge(point.values)

    def take(self) -> list[Point]:
        """Return what was gathered since the last time, and forget it."""
        taken = [Point(metric, minute, values) for (metric, minute), values in self._open.items()]
        self._open.clear()
        return taken

    def _point(self, metric: Metric, minute: int) -> Distribution:
        key = (metric, minute)
        values = self._open.get(key)
        if values is None:
            values = self._open[key] = Distribution()
        return values


def total(points: Iterable[Point]) -> Distribution:
    """Add up points, whatever their metrics and minutes."""
    summed = Distribution()
    for point in points:
        summed.merge(point.values)
    return summed
