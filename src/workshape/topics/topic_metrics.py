"""SNS's metrics: what was published, and what became of it. A core.

Source: https://docs.aws.amazon.com/sns/latest/dg/sns-monitoring-using-cloudwatch.html
"""

from workshape.metrics.book import MetricBook
from workshape.metrics.metric import Metric, Point, Unit

NAMESPACE = "AWS/SNS"


class TopicMetrics:
    """Counts, until it is asked."""

    def __init__(self) -> None:
        self._book = MetricBook()

    def __repr__(self) -> str:
        return f"<TopicMetrics {self._book!r}>"

    def published(self, topic: str, size_bytes: int, at: float) -> None:
        """Count a message."""
        self._count("NumberOfMessagesPublished", topic, at)
        self._book.record(Metric(NAMESPACE, "PublishSize", (("TopicName", topic),), Unit.BYTES), size_bytes, at)

    def delivered(self, topic: str, at: float) -> None:
        """Count a delivery to one subscription."""
        self._count("NumberOfNotificationsDelivered", topic, at)

    def failed(self, topic: str, at: float) -> None:
        """Count a delivery that was given up."""
        self._count("NumberOfNotificationsFailed", topic, at)

    def filtered_out(self, topic: str, at: float) -> None:
        """Count a message that a filter policy has kept from a subscription."""
        self._count("NumberOfNotificationsFilteredOut", topic, at)

    def redriven(self, topic: str, at: float) -> None:
        """Count a message that went to a subscription's dead-letter queue."""
        self._count("NumberOfNotificationsRedrivenToDlq", topic, at)

    def failed_to_redrive(self, topic: str, at: float) -> None:
        """Count a message that could not go there either."""
        self._count("NumberOfNotificationsFailedToRedriveToDlq", topic, at)

    def take(self, _now: float) -> list[Point]:
        """Return what was counted since the last time, and forget it."""
        return self._book.take()

    def _count(self, name: str, topic: str, at: float) -> None:
        self._book.record(Metric(NAMESPACE, name, (("TopicName", topic),)), 1.0, at)
