"""Records as AWS describes them, to functions and to destinations."""

import base64
import json
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.topics import T0_MS, record
from workshape.functions.model import LATEST, InvocationResult, RequestId
from workshape.streams.model import KafkaTopic, StartingPosition, TimestampType
from workshape.triggers.kafka_event import (
    ENVELOPE_BYTES,
    Condition,
    GivenUp,
    describe_for_topic,
    describe_given_up,
    entry_of,
    event_bytes,
    event_of,
)
from workshape.triggers.stream_batching import RecordBatch

TOPIC = KafkaTopic(("b-1.example:9092", "b-2.example:9092"), "orders", "group", StartingPosition.LATEST)
ARN = "arn:aws:lambda:us-east-1:123456789012:function:f"
FAILED = InvocationResult(RequestId("316aa6d0"), b"{}", LATEST, "Unhandled")


def decoded(*records: Any) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(event_of([entry_of(each) for each in records], TOPIC))
    return event


def test_an_event_has_the_records_of_each_partition_in_order() -> None:
    event = decoded(record(0, 15, "Hello, this is a test.", "key"), record(1, 3), record(0, 16))

    assert event["eventSource"] == "SelfManagedKafka"
    assert event["bootstrapServers"] == "b-1.example:9092,b-2.example:9092"
    assert {key: [each["offset"] for each in records] for key, records in event["records"].items()} == {
        "orders-0": [15, 16],
        "orders-1": [3],
    }
    assert event["records"]["orders-0"][0] == {
        "topic": "orders",
        "partition": 0,
        "offset": 15,
        "timestamp": T0_MS,
        "timestampType": "CREATE_TIME",
        "key": base64.b64encode(b"key").decode(),
        "value": "SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==",
        "headers": [],
    }


def test_headers_are_arrays_of_bytes_and_what_is_missing_is_left_out() -> None:
    made = replace(
        record(0, 0),
        value=None,
        headers=(("headerKey", b"headerValue"), ("empty", b""), ("nothing", None)),
        timestamp_type=TimestampType.LOG_APPEND_TIME,
    )

    (described,) = decoded(made)["records"]["orders-0"]

    assert described["headers"] == [
        {"headerKey": [104, 101, 97, 100, 101, 114, 86, 97, 108, 117, 101]},
        {"empty": []},
        {"nothing": None},
    ]
    assert described["timestampType"] == "LOG_APPEND_TIME"
    assert not {"key", "value"} & described.keys()


def test_a_queue_is_told_which_records_were_given_up() -> None:
    entries = tuple(entry_of(each) for each in (record(0, 7), record(0, 9, at_ms=T0_MS + 500), record(1, 2)))

    told = describe_given_up(
        GivenUp(entries, Condition.RETRIES_EXHAUSTED, 4, FAILED), TOPIC, ARN, 1.7e9, request_id="r", whole_event=False
    )

    assert told["requestContext"] == {
        "requestId": "r",
        "functionArn": ARN,
        "condition": "RetryAttemptsExhausted",
        "approximateInvokeCount": 4,
    }
    assert told["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert (told["version"], told["timestamp"]) == ("1.0", "2023-11-14T22:13:20.000Z")
    assert told["KafkaBatchInfo"] == {
        "batchSize": 3,
        "bootstrapServers": "b-1.example:9092,b-2.example:9092",
        "payloadSize": len(event_of(entries, TOPIC)),
        "recordsInfo": {
            "orders-0": {
                "firstRecordOffset": "7",
                "firstRecordTimestamp": "2023-11-14T22:13:20.000Z",
                "lastRecordOffset": "9",
                "lastRecordTimestamp": "2023-11-14T22:13:20.500Z",
            },
            "orders-1": {
                "firstRecordOffset": "2",
                "firstRecordTimestamp": "2023-11-14T22:13:20.000Z",
                "lastRecordOffset": "2",
                "lastRecordTimestamp": "2023-11-14T22:13:20.000Z",
            },
        },
    }
    assert "payload" not in told


def test_a_bucket_has_the_whole_event_and_what_was_never_tried_has_no_response() -> None:
    entries = (entry_of(record(0, 7)),)

    told = describe_given_up(
        GivenUp(entries, Condition.TOO_LARGE, 0, None), TOPIC, ARN, 1.7e9, request_id="r", whole_event=True
    )

    assert told["payload"] == event_of(entries, TOPIC).decode()
    assert told["responseContext"] is None
    assert told["requestContext"]["condition"] == "MaximumPayloadSizeExceeded"


def test_a_topic_is_told_of_each_record_with_the_record() -> None:
    entries = tuple(entry_of(record(0, offset)) for offset in (7, 8))

    told = json.loads(
        describe_for_topic(
            entries[1], GivenUp(entries, Condition.RETRIES_EXHAUSTED, 3, FAILED), TOPIC, ARN, 1.7e9, request_id="r"
        )
    )

    assert told["requestContext"]["condition"] == "RetriesExhausted"
    assert told["KafkaBatchInfo"]["batchSize"] == 1
    assert told["KafkaBatchInfo"]["recordInfo"] == {"offset": "8", "timestamp": "2023-11-14T22:13:20.000Z"}
    assert [each["offset"] for each in told["payload"]["records"]["orders-0"]] == [8]


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 400)), max_size=20),
    st.integers(1, 8),
    st.integers(2_000, 5_000),
)
def test_a_batch_keeps_order_count_and_size(sizes: list[tuple[int, int]], count_max: int, bytes_max: int) -> None:
    made = [entry_of(record(partition, at, "x" * size)) for at, (partition, size) in enumerate(sizes)]
    left, batches = list(made), []

    while left:
        batch = RecordBatch(count_max, 0.0, bytes_max - ENVELOPE_BYTES)
        left = batch.add(left, 0.0)
        assert batch.is_due(0.0)
        batches.append(batch.entries)

    assert [entry for batch in batches for entry in batch] == made
    for gathered in batches:
        assert len(gathered) <= count_max
        assert len(event_of(gathered, TOPIC)) <= bytes_max
        assert sum(map(event_bytes, gathered)) + ENVELOPE_BYTES >= len(event_of(gathered, TOPIC))
