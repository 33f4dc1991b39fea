"""What Lambda accepts as an event source mapping."""

from typing import Any

import msgspec
import pytest

from workshape.errors import Invalid
from workshape.streams.model import KafkaTopic, StartingPosition
from workshape.triggers.model import (
    EventSourceMapping,
    FailurePolicy,
    MappingInvalid,
    Pollers,
)
from workshape.triggers.rules import check_mapping, check_visibility

QUEUE_ARN = "arn:aws:sqs:us-east-1:123456789012:events"
FUNCTION_ARN = "arn:aws:lambda:us-east-1:123456789012:function:f"
TOPIC = KafkaTopic(("127.0.0.1:9092",), "orders", "group", StartingPosition.TRIM_HORIZON)
FIFO = {"queue_arn": f"{QUEUE_ARN}.fifo"}
KAFKA: dict[str, Any] = {"queue_arn": "", "kafka": TOPIC}
PROVISIONED: dict[str, Any] = {**KAFKA, "pollers": Pollers(1, 3)}


def mapping(**changes: Any) -> EventSourceMapping:
    plain = EventSourceMapping(id="1", queue_arn=QUEUE_ARN, function="f", function_arn=FUNCTION_ARN)
    return msgspec.structs.replace(plain, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"batch_size": 1},
        {"batch_size": 11, "batch_window_s": 1},
        {"batch_size": 10_000, "batch_window_s": 300},
        {"concurrency_max": 2},
        {"concurrency_max": 1_000},
        {"pollers": Pollers(2, 200)},
        {"filters": ('{"body": {"a": [1]}}',) * 5},
        {"metrics": ("EventCount",)},
        {**FIFO, "batch_size": 10, "batch_window_s": 0},
        {**KAFKA, "batch_size": 10_000},
        {**KAFKA, "metrics": ("EventCount", "ErrorCount", "KafkaMetrics")},
        {**KAFKA, "failures": FailurePolicy("arn:aws:sqs:us-east-1:123456789012:failed")},
        {**PROVISIONED, "failures": FailurePolicy("kafka://failed", 0, 60, bisect=True)},
        {**PROVISIONED, "report_batch_item_failures": True},
        {
            "kafka": msgspec.structs.replace(
                TOPIC, starting_position=StartingPosition.AT_TIMESTAMP, starting_timestamp=1.0
            )
        },
    ],
    ids=str,
)
def test_what_lambda_accepts_is_accepted(changes: dict[str, Any]) -> None:
    check_mapping(mapping(**changes), filters_max=5)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"batch_size": 0}, "BatchSize"),
        ({"batch_size": 10_001, "batch_window_s": 1}, "BatchSize"),
        ({"batch_window_s": -1}, "MaximumBatchingWindowInSeconds"),
        ({"batch_window_s": 301}, "MaximumBatchingWindowInSeconds"),
        ({"batch_size": 11}, "batch window"),
        ({"concurrency_max": 1}, "MaximumConcurrency"),
        ({"concurrency_max": 0}, "MaximumConcurrency"),
        ({"concurrency_max": 1_001}, "MaximumConcurrency"),
        ({"queue_arn": "arn:aws:kinesis:us-east-1:123456789012:stream/events"}, "kinesis"),
        ({"concurrency_max": 2, "pollers": Pollers(2, 2)}, "cannot be used together"),
        ({"pollers": Pollers(1, 2)}, "MinimumPollers"),
        ({"pollers": Pollers(201, 300)}, "MinimumPollers"),
        ({"pollers": Pollers(2, 10_001)}, "MaximumPollers"),
        ({"pollers": Pollers(5, 4)}, "greater than or equal"),
        ({"pollers": Pollers(2, 4, "group")}, "PollerGroupName"),
        ({"filters": ('{"body": [1]}',) * 6}, "6 filters; the quota is 5"),
        ({"filters": ("{}",)}, "Invalid filter pattern definition"),
        ({"metrics": ("EventCount", "KafkaMetrics")}, "KafkaMetrics"),
        ({"failures": FailurePolicy("arn:aws:sqs:us-east-1:123456789012:failed")}, "redrive"),
        ({"tags": {str(number): "" for number in range(51)}}, "50 tags"),
        ({**FIFO, "batch_size": 11, "batch_window_s": 1}, "FIFO"),
        ({**FIFO, "batch_window_s": 1}, "FIFO"),
        ({**KAFKA, "concurrency_max": 2}, "ScalingConfig"),
        ({**KAFKA, "pollers": Pollers(1, 2_001)}, "MaximumPollers"),
        ({**KAFKA, "failures": FailurePolicy(retries_max=3)}, "MaximumRetryAttempts needs provisioned mode"),
        ({**KAFKA, "failures": FailurePolicy(age_s_max=60)}, "MaximumRecordAgeInSeconds needs provisioned mode"),
        ({**KAFKA, "failures": FailurePolicy(bisect=True)}, "BisectBatchOnFunctionError needs provisioned mode"),
        ({**KAFKA, "failures": FailurePolicy("kafka://failed")}, "needs provisioned mode"),
        ({**KAFKA, "report_batch_item_failures": True}, "FunctionResponseTypes needs provisioned mode"),
        ({**PROVISIONED, "failures": FailurePolicy(retries_max=10_001)}, "MaximumRetryAttempts"),
        ({**PROVISIONED, "failures": FailurePolicy(age_s_max=59)}, "MaximumRecordAgeInSeconds"),
        ({**PROVISIONED, "failures": FailurePolicy("kafka://orders")}, "cannot be the topic"),
        (
            {"kafka": msgspec.structs.replace(TOPIC, starting_position=StartingPosition.AT_TIMESTAMP)},
            "StartingPositionTimestamp",
        ),
        ({"kafka": msgspec.structs.replace(TOPIC, starting_timestamp=1.0)}, "StartingPositionTimestamp"),
    ],
    ids=str,
)
def test_what_lambda_refuses_is_refused_by_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(MappingInvalid, match=named):
        check_mapping(mapping(**changes), filters_max=5)


def test_the_quota_of_filters_can_be_raised() -> None:
    check_mapping(mapping(filters=('{"body": [1]}',) * 10), filters_max=10)


def test_a_source_that_is_no_arn_is_refused() -> None:
    with pytest.raises(Invalid):
        check_mapping(mapping(queue_arn="events"), filters_max=5)


def test_the_visibility_timeout_must_cover_the_functions_timeout() -> None:
    check_visibility(30, 30)

    with pytest.raises(MappingInvalid, match="29 seconds is less than Function timeout: 30 seconds"):
        check_visibility(29, 30)


@pytest.mark.parametrize(
    ("made", "source", "window_s"),
    [(mapping(concurrency_max=2), "events", 0.0), (mapping(**PROVISIONED, filters=("{}",)), "orders", 0.5)],
)
def test_a_mapping_knows_its_source_and_survives_storage(
    made: EventSourceMapping, source: str, window_s: float
) -> None:
    stored = msgspec.json.encode(made)

    found = msgspec.json.decode(stored, type=EventSourceMapping)

    assert found == made
    assert (found.source, found.window_s) == (source, window_s)
