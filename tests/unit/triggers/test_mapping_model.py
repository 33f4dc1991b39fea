"""What Lambda accepts as an event source mapping of a queue."""

import msgspec
import pytest

from workshape.errors import Invalid
from workshape.triggers.model import EventSourceMapping, MappingInvalid, check_mapping, check_visibility

QUEUE_ARN = "arn:aws:sqs:us-east-1:123456789012:events"
FUNCTION_ARN = "arn:aws:lambda:us-east-1:123456789012:function:f"


def mapping(**changes: object) -> EventSourceMapping:
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
    ],
)
def test_what_lambda_accepts_is_accepted(changes: dict[str, object]) -> None:
    check_mapping(mapping(**changes))


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
    ],
)
def test_what_lambda_refuses_is_refused_by_name(changes: dict[str, object], named: str) -> None:
    with pytest.raises(MappingInvalid, match=named):
        check_mapping(mapping(**changes))


def test_a_source_that_is_no_arn_is_refused() -> None:
    with pytest.raises(Invalid):
        check_mapping(mapping(queue_arn="events"))


def test_the_visibility_timeout_must_cover_the_functions_timeout() -> None:
    check_visibility(30, 30)

    with pytest.raises(MappingInvalid, match="29 seconds is less than Function timeout: 30 seconds"):
        check_visibility(29, 30)


def test_a_mapping_knows_its_queue_and_survives_storage() -> None:
    stored = msgspec.json.encode(mapping(concurrency_max=2))

    found = msgspec.json.decode(stored, type=EventSourceMapping)

    assert found == mapping(concurrency_max=2)
    assert found.queue == "events"
