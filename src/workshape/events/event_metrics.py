"""EventBridge's and EventBridge Scheduler's metrics. A core.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html
Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/monitoring-cloudwatch.html (a schedule's)
Source: https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.aws_scheduler.ScheduleGroup.html (their names)
"""

from workshape.events.invocation import TargetInvocation
from workshape.events.model import DEFAULT_BUS
from workshape.metrics.book import MetricBook
from workshape.metrics.metric import Metric, Point, Unit

EVENTS = "AWS/Events"
SCHEDULER = "AWS/Scheduler"

Dimensions = tuple[tuple[str, str], ...]


class EventMetrics:
    """Counts, until it is asked; everything taken is forgotten."""

    def __init__(self) -> None:
        self._book = MetricBook()

    def __repr__(self) -> str:
        return f"<EventMetrics {self._book!r}>"

    def take(self, _now: float) -> list[Point]:
        """Return what was counted since the last time, and forget it."""
        return self._book.take()

    def put(self, accepted: int, failed: int, at: float) -> None:
        """Count a PutEvents by its entries."""
        self._count(EVENTS, "PutEventsEntriesCount", (), at, accepted + failed)
        if failed:
            self._count(EVENTS, "PutEventsFailedEntriesCount", (), at, failed)

    def matched(self, bus: str, rules: list[str], at: float) -> None:
        """Count an event that matched these rules (ARNs)."""
        self._count(EVENTS, "MatchedEvents", (), at)
        self._count(EVENTS, "MatchedEvents", (("EventBusName", bus),), at)
        for arn in rules:
            self.triggered(arn, at)

    def triggered(self, rule: str, at: float) -> None:
        """Count a rule that ran."""
        self._count(EVENTS, "TriggeredRules", _rule(rule), at)

    def attempted(self, invocation: TargetInvocation, at: float) -> None:
        """Count an attempt; the first one also tells how long it took to get there."""
        if invocation.occurrence is not None:
            self._schedule("InvocationAttemptCount", invocation, at)
            return
        dimensions = _rule(invocation.origin)
        self._count(EVENTS, "InvocationAttempts", dimensions, at)
        if invocation.retries:
            self._count(EVENTS, "RetryInvocationAttempts", dimensions, at)
            return
        latency_ms = max(0.0, at - invocation.accepted_at) * 1_000
        self._book.record(Metric(EVENTS, "IngestionToInvocationStartLatency", (), Unit.MILLISECONDS), latency_ms, at)

    def succeeded(self, invocation: TargetInvocation, at: float) -> None:
        """Count a target that was invoked."""
        if invocation.occurrence is None:
            dimensions = _rule(invocation.origin)
            self._count(EVENTS, "Invocations", dimensions, at)
            self._count(EVENTS, "SuccessfulInvocationAttempts", dimensions, at)

    def failed(self, invocation: TargetInvocation, *, throttled: bool, at: float) -> None:
        """Count an attempt that failed."""
        if invocation.occurrence is not None:
            self._schedule("TargetErrorThrottledCount" if throttled else "TargetErrorCount", invocation, at)

    def given_up(self, invocation: TargetInvocation, at: float) -> None:
        """Count an invocation that failed for good."""
        if invocation.occurrence is not None:
            self._schedule("InvocationDroppedCount", invocation, at)
            return
        dimensions = _rule(invocation.origin)
        self._count(EVENTS, "Invocations", dimensions, at)
        self._count(EVENTS, "FailedInvocations", dimensions, at)

    def dead_lettered(self, invocation: TargetInvocation, *, arrived: bool, at: float) -> None:
        """Count what went to a dead-letter queue, or did not get there."""
        if invocation.occurrence is not None:
            name = "InvocationsSentToDeadLetterCount" if arrived else "InvocationsFailedToBeSentToDeadLetterCount"
            self._schedule(name, invocation, at)
            return
        name = "InvocationsSentToDlq" if arrived else "InvocationsFailedToBeSentToDlq"
        self._count(EVENTS, name, _rule(invocation.origin), at)

    def _schedule(self, name: str, invocation: TargetInvocation, at: float) -> None:
        group = invocation.origin.split("/")[1]
        self._count(SCHEDULER, name, (), at)
        self._count(SCHEDULER, name, (("ScheduleGroup", group),), at)

    def _count(self, namespace: str, name: str, dimensions: Dimensions, at: float, count: int = 1) -> None:
        self._book.record(Metric(namespace, name, dimensions), count, at)


def _rule(arn: str) -> Dimensions:
    """A rule of the default bus is named alone, another one with its bus."""
    bus, _, name = arn.partition(":rule/")[2].rpartition("/")
    if not bus or bus == DEFAULT_BUS:
        return (("RuleName", name),)
    return (("EventBusName", bus), ("RuleName", name))
