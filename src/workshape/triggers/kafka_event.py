"""Records of a topic as the event that a function gets, and what is told of those that it failed on. A core.

Source: https://docs.aws.amazon.com/lambda/latest/dg/with-kafka.html (the event)
Source: https://docs.aws.amazon.com/lambda/latest/dg/kafka-on-failure.html (queues, topics and buckets)
Source: https://docs.aws.amazon.com/lambda/latest/dg/kafka-on-failure-destination.html (Kafka topics)
"""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from workshape.functions.model import InvocationResult
from workshape.iso_time import iso_milliseconds
from workshape.streams.model import KafkaTopic, LogRecord

EVENT_SOURCE = "SelfManagedKafka"
ENVELOPE_BYTES = 1_024  # of bootstrap servers there are ten at most, and none is long: more than the envelope ever is

_encoder = msgspec.json.Encoder()

RecordId = tuple[str, int]
"""`TOPIC-PARTITION` and the offset: what a response names a record by."""


@dataclass(frozen=True, slots=True)
class RecordEntry:
    """A record and its description in the event, encoded."""

    record: LogRecord
    described: bytes = field(repr=False)

    @property
    def partition_key(self) -> str:
        """The key under which the event has it."""
        return f"{self.record.topic}-{self.record.partition}"

    @property
    def id(self) -> RecordId:
        """What a response names it by."""
        return self.partition_key, self.record.offset


class Condition(StrEnum):
    """Why records were given up."""

    RETRIES_EXHAUSTED = "RetryAttemptsExhausted"
    TOO_LARGE = "MaximumPayloadSizeExceeded"
    TOO_OLD = "RecordAgeExceeded"  # AWS: undocumented for Kafka; we chose the name that asynchronous events have


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Records that the function is not tried with any more."""

    entries: tuple[RecordEntry, ...]
    condition: Condition
    invocations: int
    """How often it was tried."""
    result: InvocationResult | None
    """The last one's."""


def entry_of(record: LogRecord) -> RecordEntry:
    """Describe a record to the function.

    AWS: undocumented what is said of a record without key or value, and of a header without value; we leave the two
    out, and say null.
    """
    described: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp_ms,
        "timestampType": record.timestamp_type.value,
    }
    if record.key is not None:
        described["key"] = base64.b64encode(record.key).decode()
    if record.value is not None:
        described["value"] = base64.b64encode(record.value).decode()
    described["headers"] = [{name: None if value is None else [*value]} for name, value in record.headers]
    return RecordEntry(record, _encoder.encode(described))


def event_bytes(entry: RecordEntry) -> int:
    """How much of an event an entry takes up, at most."""
    return len(entry.described) + len(entry.partition_key) + len(',"":[],')


def event_of(entries: Iterable[RecordEntry], topic: KafkaTopic) -> bytes:
    """Write the event: records by partition, each in order."""
    records: dict[str, list[msgspec.Raw]] = {}
    for entry in entries:
        records.setdefault(entry.partition_key, []).append(msgspec.Raw(entry.described))
    servers = ",".join(topic.bootstrap_servers)
    return _encoder.encode({"eventSource": EVENT_SOURCE, "bootstrapServers": servers, "records": records})


def read_record_id(named: Any) -> RecordId | None:
    """Read an `itemIdentifier`: `{"partition": "TOPIC-PARTITION", "offset": N}`."""
    if not isinstance(named, dict):
        return None
    partition, offset = named.get("partition"), named.get("offset")
    if not isinstance(partition, str) or not isinstance(offset, int) or isinstance(offset, bool):
        return None
    return partition, offset


def describe_given_up(
    given_up: GivenUp, topic: KafkaTopic, function_arn: str, now: float, *, request_id: str, whole_event: bool
) -> dict[str, Any]:
    """Tell a queue, a topic or a bucket of records given up; a bucket has the whole event."""
    described = _described(given_up, topic, function_arn, now, given_up.condition.value, request_id)
    described["KafkaBatchInfo"]["recordsInfo"] = _spans(given_up.entries)
    if whole_event:
        described["payload"] = event_of(given_up.entries, topic).decode()
    return described


def describe_for_topic(
    entry: RecordEntry, given_up: GivenUp, topic: KafkaTopic, function_arn: str, now: float, *, request_id: str
) -> bytes:
    """Tell a Kafka topic of one record given up, and what it was."""
    alone = GivenUp((entry,), given_up.condition, given_up.invocations, given_up.result)
    condition = given_up.condition.value
    if given_up.condition is Condition.RETRIES_EXHAUSTED:
        condition = "RetriesExhausted"  # the page about Kafka topics has another word than that about queues
    described = _described(alone, topic, function_arn, now, condition, request_id)
    described["KafkaBatchInfo"]["recordInfo"] = {
        "offset": str(entry.record.offset),
        "timestamp": iso_milliseconds(entry.record.timestamp_ms / 1_000),
    }
    described["payload"] = msgspec.Raw(event_of((entry,), topic))
    return _encoder.encode(described)


def _described(
    given_up: GivenUp, topic: KafkaTopic, function_arn: str, now: float, condition: str, request_id: str
) -> dict[str, Any]:
    result = given_up.result
    response = None
    if result is not None:
        response = {"statusCode": 200, "executedVersion": result.executed_version}
        if result.function_error is not None:
            response["functionError"] = result.function_error
    return {
        "requestContext": {
            "requestId": request_id,
            "functionArn": function_arn,
            "condition": condition,
            "approximateInvokeCount": given_up.invocations,
        },
        "responseContext": response,
        "version": "1.0",
        "timestamp": iso_milliseconds(now),
        "KafkaBatchInfo": {
            "batchSize": len(given_up.entries),
            "bootstrapServers": ",".join(topic.bootstrap_servers),
            "payloadSize": len(event_of(given_up.entries, topic)),
        },
    }


def _spans(entries: Sequence[RecordEntry]) -> dict[str, dict[str, str]]:
    """The first and the last record of each partition."""
    spans: dict[str, dict[str, str]] = {}
    for entry in entries:
        offset, time = str(entry.record.offset), iso_milliseconds(entry.record.timestamp_ms / 1_000)
        span = spans.setdefault(entry.partition_key, {"firstRecordOffset": offset, "firstRecordTimestamp": time})
        span |= {"lastRecordOffset": offset, "lastRecordTimestamp": time}
    return spans
