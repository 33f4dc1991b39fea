"""Apache Kafka, on a real broker: a member of a consumer group, and a topic mapped to a real function over the API."""

import asyncio
import json
import time
from base64 import b64decode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from tests.fakes.live_engine import LiveEngine, live_engine
from tests.integration.streams.conftest import Cluster
from workshape.cli.ports import free_ports
from workshape.streams.access import ClusterAccess
from workshape.streams.model import (
    Assignment,
    ClusterUnavailable,
    KafkaTopic,
    LogReader,
    LogRecord,
    StartingPosition,
    TopicNotFound,
)

FOUND_S_MAX = 30.0
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:broker"
FUSSY = """
import base64, json
def handler(event, context):
    print('EVENT ' + json.dumps(event))
    failed = []
    for records in event['records'].values():
        for record in records:
            if base64.b64decode(record['value']) == b'bad':
                failed.append({'partition': f"{record['topic']}-{record['partition']}", 'offset': record['offset']})
    return {'batchItemFailures': [{'itemIdentifier': each} for each in failed]}
"""


def described(
    cluster: Cluster,
    topic: str,
    position: StartingPosition = StartingPosition.TRIM_HORIZON,
    at: float | None = None,
    group: str = "",
) -> KafkaTopic:
    return KafkaTopic((cluster.address,), topic, group or uuid4().hex, position, at)


def make(topic: KafkaTopic) -> LogReader:
    reader: LogReader = import_module("workshape.streams.kafka_reader").KafkaReader(topic, ClusterAccess())
    return reader


@asynccontextmanager
async def reading(topic: KafkaTopic) -> AsyncIterator[tuple[LogReader, Assignment]]:
    reader = make(topic)
    try:
        await reader.start()
        async with asyncio.timeout(FOUND_S_MAX):
            assignment = await reader.assignment(0)
        yield reader, assignment
    finally:
        await reader.close()


async def read(reader: LogReader, assignment: Assignment, count: int) -> list[LogRecord]:
    found: list[LogRecord] = []
    async with asyncio.timeout(FOUND_S_MAX):
        while len(found) < count:
            found += await reader.fetch(assignment.generation, list(assignment.positions), count - len(found), 0.2)
    return found


async def test_a_new_group_begins_at_the_oldest_record_and_goes_on_from_what_it_committed(
    cluster: Cluster, topic: str
) -> None:
    source = described(cluster, topic)
    await cluster.write(topic, "a", "b", key=b"k", headers=[("h", b"\x00\xff")])
    await cluster.write(topic, "c", partition=1)

    async with reading(source) as (reader, assignment):
        records = await read(reader, assignment, 3)
        ends = await reader.end_offsets([0, 1])
        await reader.commit({0: 1, 1: 1})
    async with reading(source) as (reader, again):
        rest = await read(reader, again, 1)

    assert assignment.positions == {0: 0, 1: 0}
    assert ends == {0: 2, 1: 1}
    first = next(record for record in records if record.value == b"a")
    assert (first.partition, first.offset, first.key, first.headers) == (0, 0, b"k", (("h", b"\x00\xff"),))
    assert abs(first.timestamp_ms / 1_000 - time.time()) < 300
    assert again.positions == {0: 1, 1: 1}
    assert [record.value for record in rest] == [b"b"]


async def test_the_latest_position_is_kept_from_the_first_moment_on(cluster: Cluster, topic: str) -> None:
    source = described(cluster, topic, StartingPosition.LATEST)
    await cluster.write(topic, "before")

    async with reading(source) as (_, first):
        pass
    await cluster.write(topic, "while nobody read")
    async with reading(source) as (reader, again):
        found = await read(reader, again, 1)

    assert first.positions == again.positions == {0: 1, 1: 0}
    assert [record.value for record in found] == [b"while nobody read"]


async def test_a_group_may_begin_at_a_time(cluster: Cluster, topic: str) -> None:
    now_ms = round(time.time() * 1_000)
    await cluster.write(topic, "old", timestamp_ms=now_ms - 60_000)
    await cluster.write(topic, "new", timestamp_ms=now_ms)

    async with reading(described(cluster, topic, StartingPosition.AT_TIMESTAMP, now_ms / 1_000 - 30)) as (_, assigned):
        assert assigned.positions == {0: 1, 1: 0}


async def test_members_of_a_group_share_its_partitions(cluster: Cluster, topic: str) -> None:
    source = described(cluster, topic)

    async with reading(source) as (reader, alone):
        async with reading(source) as (_, second):
            async with asyncio.timeout(FOUND_S_MAX):
                shared = await reader.assignment(alone.generation)
        async with asyncio.timeout(FOUND_S_MAX):
            whole = await reader.assignment(shared.generation)

    assert set(alone.positions) == set(whole.positions) == {0, 1}
    assert sorted([*shared.positions, *second.positions]) == [0, 1]


async def test_what_is_not_there_is_told_by_name(cluster: Cluster) -> None:
    missing = make(described(cluster, "no-such-topic"))
    [port] = free_ports("127.0.0.1", 1)
    nobody = make(described(Cluster(f"127.0.0.1:{port}"), "orders"))

    for reader, error in ((missing, TopicNotFound), (nobody, ClusterUnavailable)):
        with pytest.raises(error, match=r"127\.0\.0\.1"):
            await reader.start()
        await reader.close()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveEngine]:
    with live_engine(tmp_path_factory.mktemp("topics")) as engine:
        engine.create_function("fussy", FUSSY)
        yield engine


def source(cluster: Cluster, topic: str, **more: Any) -> dict[str, Any]:
    return {
        "SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": [cluster.address]}},
        "Topics": [topic],
        "StartingPosition": "TRIM_HORIZON",
        "FunctionName": "fussy",
        **more,
    }


def test_records_reach_the_function_and_what_it_cannot_do_reaches_the_queue(
    cluster: Cluster, engine: LiveEngine
) -> None:
    lambda_ = engine.client("lambda")
    url, queue = engine.create_queue("failed-records")
    topic = asyncio.run(cluster.create_topic(2))
    asyncio.run(cluster.write(topic, "good", "bad", '{"kind": "note"}', key=b"k", headers=[("h", b"hi")]))

    mapping = lambda_.create_event_source_mapping(
        **source(
            cluster,
            topic,
            SelfManagedKafkaEventSourceConfig={"ConsumerGroupId": "mine"},
            ProvisionedPollerConfig={"MinimumPollers": 1, "MaximumPollers": 2},
            FunctionResponseTypes=["ReportBatchItemFailures"],
            MaximumRetryAttempts=1,
            MaximumBatchingWindowInSeconds=1,
            FilterCriteria={"Filters": [{"Pattern": '{"value": {"kind": ["order"]}}'}]},
            DestinationConfig={"OnFailure": {"Destination": queue}},
            MetricsConfig={"Metrics": ["EventCount", "ErrorCount", "KafkaMetrics"]},
        )
    )
    (message,) = engine.receive(url)
    events = engine.events("fussy", 2)
    asyncio.run(cluster.write(topic, '{"kind": "order"}', partition=1))
    engine.wait_until(lambda: any(f"{topic}-1" in event["records"] for event in engine.events("fussy", 3)))
    shown = lambda_.get_event_source_mapping(UUID=mapping["UUID"])
    (listed,) = lambda_.list_event_source_mappings(FunctionName="fussy")["EventSourceMappings"]
    engine.wait_until(lambda: mapping_sum(engine, mapping["UUID"], "CommittedEventCount") == 4)
    lambda_.delete_event_source_mapping(UUID=mapping["UUID"])

    told = json.loads(message["Body"])
    assert told["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert told["requestContext"]["approximateInvokeCount"] == 2
    assert told["KafkaBatchInfo"]["recordsInfo"][f"{topic}-0"]["firstRecordOffset"] == "1"
    first, again = events[:2]
    assert (first["eventSource"], first["bootstrapServers"]) == ("SelfManagedKafka", cluster.address)
    assert [b64decode(each["value"]) for each in first["records"][f"{topic}-0"]] == [b"good", b"bad"]
    assert first["records"][f"{topic}-0"][0]["headers"] == [{"h": [104, 105]}]
    assert [b64decode(each["value"]) for each in again["records"][f"{topic}-0"]] == [b"bad"]
    assert shown["State"] == listed["State"] == "Enabled"
    assert shown["SelfManagedKafkaEventSourceConfig"] == {"ConsumerGroupId": "mine"}
    assert shown["Topics"] == [topic]
    assert shown["DestinationConfig"] == {"OnFailure": {"Destination": queue}}
    assert (shown["MaximumRetryAttempts"], shown["BatchSize"], shown["StartingPosition"]) == (1, 100, "TRIM_HORIZON")
    assert mapping_sum(engine, mapping["UUID"], "FilteredOutEventCount") == 1
    assert mapping_sum(engine, mapping["UUID"], "OnFailureDestinationDeliveredEventCount") == 1
    assert engine.metric_sum("OffsetLag", "fussy") >= 0


def test_a_topic_may_be_the_destination(cluster: Cluster, engine: LiveEngine) -> None:
    topic, failed = asyncio.run(cluster.create_topic()), asyncio.run(cluster.create_topic())
    asyncio.run(cluster.write(topic, "bad", key=b"k"))

    mapping = engine.client("lambda").create_event_source_mapping(
        **source(
            cluster,
            topic,
            ProvisionedPollerConfig={"MinimumPollers": 1},
            FunctionResponseTypes=["ReportBatchItemFailures"],
            MaximumRetryAttempts=0,
            DestinationConfig={"OnFailure": {"Destination": f"kafka://{failed}"}},
        )
    )
    (record,) = asyncio.run(cluster.read(failed, 1))
    engine.client("lambda").delete_event_source_mapping(UUID=mapping["UUID"])

    told = json.loads(record.value)
    assert record.key == b"k"
    assert told["requestContext"]["functionArn"].endswith(":function:fussy:$LATEST")
    assert [b64decode(each["value"]) for each in told["payload"]["records"][f"{topic}-0"]] == [b"bad"]


def test_a_mapping_says_what_keeps_it_from_reading(cluster: Cluster, engine: LiveEngine) -> None:
    lambda_ = engine.client("lambda")
    mapping = lambda_.create_event_source_mapping(**source(cluster, "no-such-topic"))

    def result() -> str:
        return str(lambda_.get_event_source_mapping(UUID=mapping["UUID"])["LastProcessingResult"])

    engine.wait_until(lambda: result().startswith("PROBLEM"))

    assert result() == f"PROBLEM: The topic no-such-topic does not exist at {cluster.address}."
    lambda_.delete_event_source_mapping(UUID=mapping["UUID"])


def test_what_a_topics_mapping_may_not_say_is_refused(cluster: Cluster, engine: LiveEngine) -> None:
    lambda_ = engine.client("lambda")
    kept = lambda_.create_event_source_mapping(**source(cluster, "kept", Enabled=False))
    own = {"SelfManagedKafkaEventSourceConfig": {"ConsumerGroupId": kept["UUID"]}}
    refused = {
        "already": source(cluster, "kept"),
        "consumer group": source(cluster, "other", **own),
        "StartingPosition is mandatory": {**source(cluster, "other"), "StartingPosition": None},
        "does not exist": source(
            cluster, "other", DestinationConfig={"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:123456789012:no"}}
        ),
        "is no destination for this": source(
            cluster,
            "other",
            DestinationConfig={"OnFailure": {"Destination": "arn:aws:events:us-east-1:123456789012:event-bus/default"}},
        ),
        "must be the ARN of a Secrets Manager secret": source(
            cluster, "other", SourceAccessConfigurations=[{"Type": "BASIC_AUTH", "URI": "arn:secret"}]
        ),
        "OAUTHBEARER_AUTH": source(
            cluster, "other", SourceAccessConfigurations=[{"Type": "OAUTHBEARER_AUTH", "URI": SECRET}]
        ),
    }

    for words, parameters in refused.items():
        given = {name: value for name, value in parameters.items() if value is not None}
        with pytest.raises(ClientError, match=words):
            lambda_.create_event_source_mapping(**given)

    assert kept["SelfManagedKafkaEventSourceConfig"]["ConsumerGroupId"] == kept["UUID"]
    lambda_.delete_event_source_mapping(UUID=kept["UUID"])


def mapping_sum(engine: LiveEngine, mapping_id: str, name: str) -> float:
    """What a metric of a mapping has come to."""
    now = time.time()
    points = engine.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName=name,
        Dimensions=[{"Name": "EventSourceMappingUUID", "Value": mapping_id}],
        StartTime=now - 3_600,
        EndTime=now + 60,
        Period=3_600,
        Statistics=["Sum"],
    )
    return float(sum(point["Sum"] for point in points["Datapoints"]))
