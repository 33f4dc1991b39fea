"""The metrics of event source mappings: counted by mapping, and only where the mapping asks for them. A core.

Source: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html#event-source-mapping-metrics
Source: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-view.html (the dimension)
"""

from enum import StrEnum

from workshape.functions.function_metrics import FUNCTION_NAME, NAMESPACE
from workshape.metrics.book import MetricBook
from workshape.metrics.metric import Metric, Point
from workshape.triggers.model import ERROR_COUNT, EVENT_COUNT, KAFKA_METRICS, EventSourceMapping

MAPPING_ID = "EventSourceMappingUUID"


class MappingMetric(StrEnum):
    """Their names."""

    POLLED = "PolledEventCount"
    FILTERED_OUT = "FilteredOutEventCount"
    INVOKED = "InvokedEventCount"
    INVOKE_FAILED = "FailedInvokeEventCount"
    DROPPED = "DroppedEventCount"
    DELIVERED_ON_FAILURE = "OnFailureDestinationDeliveredEventCount"
    DELETED = "DeletedEventCount"
    COMMITTED = "CommittedEventCount"
    POLLING_ERRORS = "PollingErrorCount"
    INVOKE_ERRORS = "InvokeErrorCount"
    DELIVERY_ERRORS = "OnFailureDestinationDeliveryErrorCount"
    COMMIT_ERRORS = "CommitErrorCount"
    LAG_MAX = "MaxOffsetLag"
    LAG_SUM = "SumOffsetLag"
    POLLERS = "ProvisionedPollers"


_GROUPS = {
    MappingMetric.POLLED: EVENT_COUNT,
    MappingMetric.FILTERED_OUT: EVENT_COUNT,
    MappingMetric.INVOKED: EVENT_COUNT,
    MappingMetric.INVOKE_FAILED: EVENT_COUNT,
    MappingMetric.DROPPED: EVENT_COUNT,
    MappingMetric.DELIVERED_ON_FAILURE: EVENT_COUNT,
    MappingMetric.DELETED: EVENT_COUNT,
    MappingMetric.COMMITTED: EVENT_COUNT,
    MappingMetric.POLLING_ERRORS: ERROR_COUNT,
    MappingMetric.INVOKE_ERRORS: ERROR_COUNT,
    MappingMetric.DELIVERY_ERRORS: ERROR_COUNT,
    MappingMetric.COMMIT_ERRORS: ERROR_COUNT,
    MappingMetric.LAG_MAX: KAFKA_METRICS,
    MappingMetric.LAG_SUM: KAFKA_METRICS,
}


class MappingMetrics:
    """Counts, until it is asked; everything taken is forgotten, which bounds it."""

    def __init__(self) -> None:
        self._book = MetricBook()

    def __repr__(self) -> str:
        return f"<MappingMetrics {self._book}>"

    def count(self, mapping: EventSourceMapping, name: MappingMetric, value: int, at: float) -> None:
        """Count into a mapping's metric, if it wants that one; `at` is Unix time."""
        group = _GROUPS.get(name)
        if group in mapping.metrics or (group is None and mapping.pollers is not None):
            self._book.record(Metric(NAMESPACE, name.value, ((MAPPING_ID, mapping.id),)), float(value), at)

    def offset_lag(self, mapping: EventSourceMapping, lag: int, at: float) -> None:
        """Measure how far a topic's consumer group is behind; every mapping of a topic has this one."""
        dimensions = ((FUNCTION_NAME, mapping.function),)
        self._book.record(Metric(NAMESPACE, "OffsetLag", dimensions), float(lag), at)

    def take(self, _now: float) -> list[Point]:
        """Return what was counted since the last time, and forget it."""
        return self._book.take()
