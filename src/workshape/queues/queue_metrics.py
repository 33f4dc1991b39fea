"""SQS's metrics of how many messages a queue holds, for queues that hold some, or did in the last hours. A core.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
"""

from collections.abc import Iterable, Mapping

from workshape.metrics.book import MetricBook
from workshape.metrics.metric import Metric, Point, Unit
from workshape.queues.model import FairDepth, QueueDepth, QueueName

NAMESPACE = "AWS/SQS"
ACTIVE_S = 6 * 3_600.0
"""Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/monitoring-using-cloudwatch.html"""


class QueueMetrics:
    """Knows which queues are active."""

    def __init__(self) -> None:
        self._held_at: dict[QueueName, float] = {}

    def __repr__(self) -> str:
        return f"<QueueMetrics active={len(self._held_at)}>"

    def points(
        self, depths: Mapping[QueueName, QueueDepth], fair: Mapping[QueueName, FairDepth], now: float
    ) -> Iterable[Point]:
        """Tell how deep the active ones of all queues are, at a Unix time, and of fair queues what is not noisy."""
        for name, depth in depths.items():
            if depth.visible or depth.in_flight or depth.delayed:
                self._held_at[name] = now
        active = {name: at for name, at in self._held_at.items() if name in depths and now - at <= ACTIVE_S}
        self._held_at = active
        book = MetricBook()
        for name in active:
            depth, dimensions = depths[name], (("QueueName", name),)
            for metric, count in (
                ("ApproximateNumberOfMessagesVisible", depth.visible),
                ("ApproximateNumberOfMessagesNotVisible", depth.in_flight),
                ("ApproximateNumberOfMessagesDelayed", depth.delayed),
            ):
                book.record(Metric(NAMESPACE, metric, dimensions), count, now)
            if name in fair:
                _record_fair(book, fair[name], dimensions, now)
        return book.take()


def _record_fair(book: MetricBook, fair: FairDepth, dimensions: tuple[tuple[str, str], ...], now: float) -> None:
    """Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html"""
    for metric, count in (
        ("ApproximateNumberOfNoisyGroups", fair.noisy_groups),
        ("ApproximateNumberOfMessagesVisibleInQuietGroups", fair.quiet.visible),
        ("ApproximateNumberOfMessagesNotVisibleInQuietGroups", fair.quiet.in_flight),
        ("ApproximateNumberOfMessagesDelayedInQuietGroups", fair.quiet.delayed),
    ):
        book.record(Metric(NAMESPACE, metric, dimensions), count, now)
    oldest_s = fair.quiet.oldest_s(now)
    if oldest_s is not None:
        age = Metric(NAMESPACE, "ApproximateAgeOfOldestMessageInQuietGroups", dimensions, Unit.SECONDS)
        book.record(age, oldest_s, now)
