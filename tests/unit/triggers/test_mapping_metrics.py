"""The metrics of mappings: counted by mapping, where they are wanted."""

from workshape.triggers.mapping_metrics import MappingMetric, MappingMetrics
from workshape.triggers.model import EventSourceMapping, Pollers

PLAIN = EventSourceMapping(id="1", queue_arn="arn:aws:sqs:us-east-1:1:q", function="f", function_arn="arn")
COUNTED = EventSourceMapping(
    id="2",
    queue_arn="arn:aws:sqs:us-east-1:1:q",
    function="f",
    function_arn="arn",
    metrics=("EventCount",),
    pollers=Pollers(2, 2),
)


def test_only_the_groups_that_a_mapping_asks_for_are_counted() -> None:
    metrics = MappingMetrics()

    for mapping in (PLAIN, COUNTED):
        metrics.count(mapping, MappingMetric.POLLED, 3, 60.0)
        metrics.count(mapping, MappingMetric.POLLED, 4, 61.0)
        metrics.count(mapping, MappingMetric.LAG_MAX, 9, 60.0)
        metrics.count(mapping, MappingMetric.POLLERS, 2, 60.0)
    metrics.offset_lag(PLAIN, 7, 60.0)

    told = {(point.metric.name, point.metric.dimensions): point.values for point in metrics.take(0.0)}
    of_mapping = (("EventSourceMappingUUID", "2"),)
    assert set(told) == {
        ("PolledEventCount", of_mapping),
        ("ProvisionedPollers", of_mapping),
        ("OffsetLag", (("FunctionName", "f"),)),
    }
    assert (told["PolledEventCount", of_mapping].total, told["PolledEventCount", of_mapping].count) == (7, 2)
    assert metrics.take(0.0) == []
