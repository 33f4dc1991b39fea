"""From PutEvents to a function, a queue and another bus, and to the dead-letter queue when that fails."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.fakes.live_engine import ACCOUNT, REGION, LiveEngine

GONE = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:gone"


def put(engine: LiveEngine, source: str, detail: dict[str, Any], **more: Any) -> str:
    entry = {"Source": source, "DetailType": "Order", "Detail": json.dumps(detail), **more}
    answer = engine.client("events").put_events(Entries=[entry])
    assert answer["FailedEntryCount"] == 0, answer
    return str(answer["Entries"][0]["EventId"])


def rule(engine: LiveEngine, name: str, source: str, *targets: dict[str, Any], bus: str = "default") -> None:
    client = engine.client("events")
    client.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps({"source": [source]}))
    client.put_targets(Rule=name, EventBusName=bus, Targets=list(targets))


def test_an_event_reaches_a_function_and_a_queue_each_with_its_own_input(engine: LiveEngine) -> None:
    url, queue = engine.create_queue("orders")
    function = engine.create_function("takes-orders")
    transformer = {"InputPathsMap": {"id": "$.detail.id"}, "InputTemplate": '"order <id> by <aws.events.rule-name>"'}
    rule(
        engine,
        "to-both",
        "shop",
        {"Id": "f", "Arn": function},
        {"Id": "q", "Arn": queue, "InputTransformer": transformer},
    )

    event_id = put(engine, "shop", {"id": 7}, Resources=["arn:x"], Time="2026-01-02T03:04:05Z")
    (event,) = engine.events("takes-orders")
    (message,) = engine.receive(url)

    assert event == {
        "version": "0",
        "id": event_id,
        "detail-type": "Order",
        "source": "shop",
        "account": ACCOUNT,
        "time": "2026-01-02T03:04:05Z",
        "region": REGION,
        "resources": ["arn:x"],
        "detail": {"id": 7},
    }
    assert message["Body"] == '"order 7 by to-both"'


def test_an_event_goes_to_another_bus_as_it_is_and_to_no_third_one(engine: LiveEngine) -> None:
    client = engine.client("events")
    url, queue = engine.create_queue("second-bus")
    dead_url, dead = engine.create_queue("third-bus-dead")
    second = client.create_event_bus(Name="second")["EventBusArn"]
    third = client.create_event_bus(Name="third")["EventBusArn"]
    rule(engine, "onward", "hop", {"Id": "bus", "Arn": second})
    further = {"Id": "bus", "Arn": third, "DeadLetterConfig": {"Arn": dead}}
    rule(engine, "further", "hop", {"Id": "q", "Arn": queue}, further, bus="second")

    event_id = put(engine, "hop", {})
    (message,) = engine.receive(url)
    (letter,) = engine.receive(dead_url)

    assert json.loads(message["Body"])["id"] == event_id
    assert letter["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "THIRD_ACCOUNT_HOP_DETECTED"


def test_an_event_reaches_a_topic_and_who_subscribed_to_it(engine: LiveEngine) -> None:
    url, queue = engine.create_queue("subscribed")
    topics = engine.client("sns")
    topic = topics.create_topic(Name="from-a-rule")["TopicArn"]
    topics.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes={"RawMessageDelivery": "true"})
    rule(engine, "to-topic", "topical", {"Id": "t", "Arn": topic, "InputPath": "$.detail"})

    put(engine, "topical", {"n": 1})
    (message,) = engine.receive(url)

    assert message["Body"] == '{"n":1}'


def test_what_cannot_be_delivered_goes_to_the_dead_letter_queue_with_the_reason(engine: LiveEngine) -> None:
    url, dead = engine.create_queue("undelivered")
    target = {"Id": "f", "Arn": GONE, "Input": '{"constant": 1}', "DeadLetterConfig": {"Arn": dead}}
    rule(engine, "to-nobody", "lost", target)

    event_id = put(engine, "lost", {"id": 7})
    (message,) = engine.receive(url)

    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert json.loads(message["Body"])["id"] == event_id, "the event itself, not what the target would have got"
    assert attributes == {
        "RULE_ARN": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/to-nobody",
        "TARGET_ARN": GONE,
        "ERROR_CODE": "NO_RESOURCE",
        "ERROR_MESSAGE": f"Function not found: {GONE}",
        "RETRY_ATTEMPTS": "0",
    }


def test_what_is_no_json_does_not_reach_a_function(engine: LiveEngine) -> None:
    url, dead = engine.create_queue("not-json")
    function = engine.create_function("wants-json")
    transformer = {"InputPathsMap": {"said": "$.detail.said"}, "InputTemplate": '"<said>"'}
    target = {"Id": "f", "Arn": function, "InputTransformer": transformer, "DeadLetterConfig": {"Arn": dead}}
    rule(engine, "quotes", "talk", target)

    put(engine, "talk", {"said": 'he said "hi"'})
    (message,) = engine.receive(url)

    assert message["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "INVALID_JSON"


def test_a_disabled_rule_and_another_bus_take_nothing(engine: LiveEngine) -> None:
    client = engine.client("events")
    url, queue = engine.create_queue("quiet")
    rule(engine, "quiet-off", "quiet", {"Id": "q", "Arn": queue})
    client.disable_rule(Name="quiet-off")
    client.create_event_bus(Name="elsewhere")
    rule(engine, "quiet-elsewhere", "quiet", {"Id": "q", "Arn": queue, "InputPath": "$.detail.n"}, bus="elsewhere")

    put(engine, "quiet", {"n": 1})
    put(engine, "quiet", {"n": 2}, EventBusName="elsewhere")
    (message,) = engine.receive(url)

    assert message["Body"] == "2"


def test_entries_fail_one_by_one(engine: LiveEngine) -> None:
    good = {"Source": "s", "DetailType": "t", "Detail": "{}"}

    answer = engine.client("events").put_events(
        Entries=[
            good,
            {**good, "Detail": "[]"},
            {"Source": "s", "Detail": "{}"},
            {**good, "Source": "aws.s3"},
            {**good, "EventBusName": "none"},
            {**good, "Detail": '{"a":' * 501 + "1" + "}" * 501},
            {**good, "Detail": '{"a":' * 100_000 + "1" + "}" * 100_000},
            {**good, "Detail": json.dumps({"a": [{}] * 600, "b": "{" * 600})},
            {**good, "Detail": '{"a":' * 500 + "1" + "}" * 500},
        ]
    )

    assert answer["FailedEntryCount"] == 6
    assert [entry.get("ErrorCode") for entry in answer["Entries"]] == [
        None,
        "MalformedDetail",
        "InvalidArgument",
        "NotAuthorizedForSourceException",
        "InvalidArgument",
        "MalformedDetail",
        "MalformedDetail",
        None,
        None,
    ]
    assert answer["Entries"][2]["ErrorMessage"] == (
        "Parameter DetailType is not valid. Reason: DetailType is a required argument."
    )


def test_a_request_of_more_than_a_megabyte_is_refused_whole(engine: LiveEngine) -> None:
    large = {"Source": "s", "DetailType": "t", "Detail": json.dumps({"a": "x" * 600_000})}

    with pytest.raises(ClientError, match="Total size of the entries in the request is over the limit"):
        engine.client("events").put_events(Entries=[large, large])


def test_what_was_done_is_counted(engine: LiveEngine) -> None:
    url, queue = engine.create_queue("counted")
    rule(engine, "counted", "counted", {"Id": "q", "Arn": queue})
    client = engine.client("cloudwatch")

    put(engine, "counted", {})
    engine.receive(url)

    def counted(name: str) -> float:
        points = client.get_metric_statistics(
            Namespace="AWS/Events",
            MetricName=name,
            Dimensions=[{"Name": "RuleName", "Value": "counted"}],
            StartTime="2020-01-01T00:00:00Z",
            EndTime="2100-01-01T00:00:00Z",
            Period=86_400 * 30,
            Statistics=["Sum"],
        )["Datapoints"]
        return float(sum(point["Sum"] for point in points))

    engine.wait_until(lambda: [counted(name) for name in ("TriggeredRules", "Invocations")] == [1.0, 1.0])
