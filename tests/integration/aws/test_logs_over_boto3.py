"""Function logs over real clients; other groups are moto's."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.fakes.functions import Archive, create
from tests.fakes.live_door import LiveDoor
from workshape.functions.model import FunctionName

AWS = Path(sys.executable).with_name("aws")
AT_MS = 1_791_442_429_256
ONE, TWO = "2026/10/08/[$LATEST]one", "2026/10/08/[$LATEST]two"
GROUP = "/aws/lambda/greeter"
ARN = f"arn:aws:logs:us-east-1:123456789012:log-group:{GROUP}"


def write(door: LiveDoor, *lines: tuple[str, str], function: str = "greeter") -> None:
    """Have a function write lines into streams, ten milliseconds apart."""
    for number, (stream, message) in enumerate(lines):
        at = (AT_MS + number * 10) / 1_000
        door.call(door.logs.write, FunctionName(function), stream, message.encode(), at)


def five_lines(door: LiveDoor) -> None:
    write(
        door,
        (ONE, "START RequestId: 1"),
        (ONE, '{"level": "ERROR", "ms": 12}'),
        (TWO, "START RequestId: 2"),
        (TWO, "hello ERROR"),
        (ONE, "END RequestId: 1"),
    )


def test_groups_and_streams_are_described(door: LiveDoor) -> None:
    five_lines(door)
    client = door.client("logs")

    (group,) = client.describe_log_groups(logGroupNamePrefix="/aws/lambda/gr")["logGroups"]
    by_name = client.describe_log_streams(logGroupName=GROUP)["logStreams"]
    latest = client.describe_log_streams(
        logGroupIdentifier=group["logGroupArn"], orderBy="LastEventTime", descending=True, limit=1
    )

    assert (group["logGroupName"], group["creationTime"]) == (GROUP, AT_MS)
    assert group["arn"] == f"arn:aws:logs:us-east-1:123456789012:log-group:{GROUP}:*"
    assert group["storedBytes"] > 0
    assert [(stream["logStreamName"], stream["firstEventTimestamp"]) for stream in by_name] == [
        (ONE, AT_MS),
        (TWO, AT_MS + 20),
    ]
    assert [stream["lastEventTimestamp"] for stream in latest["logStreams"]] == [AT_MS + 40]
    rest = client.describe_log_streams(
        logGroupName=GROUP, orderBy="LastEventTime", descending=True, nextToken=latest["nextToken"]
    )
    assert [stream["logStreamName"] for stream in rest["logStreams"]] == [TWO]


def test_a_stream_is_read_from_its_tail_and_from_its_head(door: LiveDoor) -> None:
    five_lines(door)
    client = door.client("logs")
    asked = {"logGroupName": GROUP, "logStreamName": ONE, "limit": 2}

    def said(answer: dict[str, Any]) -> list[str]:
        return [event["message"] for event in answer["events"]]

    tail = client.get_log_events(**asked)
    before = client.get_log_events(**asked, nextToken=tail["nextBackwardToken"])
    head = client.get_log_events(**asked, startFromHead=True)
    after = client.get_log_events(**asked, nextToken=head["nextForwardToken"])
    end = client.get_log_events(**asked, nextToken=after["nextForwardToken"])

    assert said(tail) == ['{"level": "ERROR", "ms": 12}', "END RequestId: 1"]
    assert said(before) == ["START RequestId: 1"]
    assert said(head) == ["START RequestId: 1", '{"level": "ERROR", "ms": 12}']
    assert said(after) == ["END RequestId: 1"]
    assert (said(end), end["nextForwardToken"]) == ([], after["nextForwardToken"])
    write(door, (ONE, "one more"))
    later = {"logGroupName": GROUP, "logStreamName": ONE, "startTime": AT_MS + 10, "endTime": AT_MS + 40}
    assert said(client.get_log_events(**later)) == ['{"level": "ERROR", "ms": 12}']


def test_a_group_is_searched_by_time_stream_and_pattern(door: LiveDoor) -> None:
    five_lines(door)
    client = door.client("logs")

    def found(**asked: Any) -> list[str]:
        pages = client.get_paginator("filter_log_events").paginate(logGroupName=GROUP, **asked)
        return [event["message"] for page in pages for event in page["events"]]

    assert found(filterPattern="ERROR", limit=1) == ['{"level": "ERROR", "ms": 12}', "hello ERROR"]
    assert found(filterPattern='{ $.level = "ERROR" && $.ms > 10 }') == ['{"level": "ERROR", "ms": 12}']
    assert found(logStreamNames=[TWO], interleaved=True) == ["START RequestId: 2", "hello ERROR"]
    assert found(startTime=AT_MS + 20, endTime=AT_MS + 30) == ["START RequestId: 2", "hello ERROR"]
    assert found(startFromHead=False, limit=2, filterPattern="?START ?END") == [
        "END RequestId: 1",
        "START RequestId: 2",
        "START RequestId: 1",
    ]
    ids = [event["eventId"] for event in client.filter_log_events(logGroupName=GROUP)["events"]]
    assert len(set(ids)) == 5
    assert ids == sorted(ids)


def test_the_cli_filters_events(door: LiveDoor) -> None:
    five_lines(door)
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
    command = [str(AWS), "--endpoint-url", door.url, "logs", "filter-log-events", "--log-group-name", GROUP]

    ran = subprocess.run(
        [*command, "--filter-pattern", '"RequestId: 2"'], env={**os.environ, **keys}, capture_output=True, timeout=60
    )

    assert [event["message"] for event in json.loads(ran.stdout)["events"]] == ["START RequestId: 2"]


def test_other_groups_are_the_upstreams_and_a_list_has_both(door_to_moto: LiveDoor) -> None:
    five_lines(door_to_moto)
    client = door_to_moto.client("logs")
    client.create_log_group(logGroupName="/my/app")
    client.create_log_stream(logGroupName="/my/app", logStreamName="s")
    event = {"timestamp": round(time.time() * 1_000), "message": "theirs"}
    client.put_log_events(logGroupName="/my/app", logStreamName="s", logEvents=[event])
    client.create_log_group(logGroupName=GROUP)
    client.put_retention_policy(logGroupName=GROUP, retentionInDays=7)

    groups = {group["logGroupName"]: group for group in client.describe_log_groups()["logGroups"]}
    events = client.get_log_events(logGroupName="/my/app", logStreamName="s", startFromHead=True)["events"]

    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        client.get_log_events(logGroupName="/nobodys", logStreamName="s")
    client.create_log_group(logGroupName="/aws/lambda/new")
    assert client.describe_log_streams(logGroupName="/aws/lambda/new")["logStreams"] == []
    assert set(groups) == {"/my/app", GROUP}
    assert groups[GROUP]["retentionInDays"] == 7
    assert [event["message"] for event in events] == ["theirs"]
    assert len(client.filter_log_events(logGroupName=GROUP)["events"]) == 5


@pytest.mark.parametrize(
    ("operation", "asked", "code", "message"),
    [
        ("filter_log_events", {"logGroupName": "/aws/lambda/no"}, "ResourceNotFoundException", "log group does not"),
        ("get_log_events", {"logGroupName": GROUP, "logStreamName": "no"}, "ResourceNotFoundException", "log stream"),
        ("filter_log_events", {}, "InvalidParameterException", "logGroupName or logGroupIdentifier"),
        ("filter_log_events", {"logGroupName": GROUP, "filterPattern": "{ $"}, "InvalidParameterException", "pattern"),
        ("filter_log_events", {"logGroupName": GROUP, "nextToken": "x"}, "InvalidParameterException", "nextToken"),
        ("filter_log_events", {"logGroupName": GROUP, "limit": 10_001}, "InvalidParameterException", "limit"),
        ("describe_log_streams", {"logGroupName": GROUP, "nextToken": "x"}, "InvalidParameterException", "nextToken"),
        (
            "put_log_events",
            {"logGroupName": GROUP, "logStreamName": "s", "logEvents": [{"timestamp": 1, "message": "x"}]},
            "InvalidParameterException",
            "PutLogEvents to /aws/lambda/greeter",
        ),
        (
            "start_query",
            {
                "logGroupIdentifiers": [f"arn:aws:logs:us-east-1:123456789012:log-group:{GROUP}"],
                "startTime": 0,
                "endTime": 1,
                "queryString": "fields @message",
            },
            "InvalidParameterException",
            "Logs Insights",
        ),
    ],
)
def test_what_cannot_be_is_refused(
    door: LiveDoor, operation: str, asked: dict[str, Any], code: str, message: str
) -> None:
    five_lines(door)
    client = door.client("logs", parameter_validation=False)

    with pytest.raises(ClientError, match=message) as refused:
        getattr(client, operation)(**asked)

    assert refused.value.response["Error"]["Code"] == code


def test_functions_share_the_group_that_their_configurations_name(door: LiveDoor, archive: Archive) -> None:
    functions, client = door.client("lambda"), door.client("logs")
    for name in ("greeter", "waiter"):
        create(functions, archive(), name, LoggingConfig={"LogGroup": "/shop"})
    write(door, (ONE, "first"), (ONE, "third"))
    door.call(door.logs.write, FunctionName("waiter"), TWO, b"second", (AT_MS + 5) / 1_000)
    write(door, (ONE, "alone"), function="stranger")

    found = client.filter_log_events(logGroupName="/shop")["events"]
    one = client.get_log_events(logGroupName="/shop", logStreamName=TWO, startFromHead=True)["events"]
    groups = [group["logGroupName"] for group in client.describe_log_groups()["logGroups"]]
    streams = [stream["logStreamName"] for stream in client.describe_log_streams(logGroupName="/shop")["logStreams"]]

    assert [event["message"] for event in found] == ["first", "second", "third"]
    assert [event["message"] for event in one] == ["second"]
    assert {"/shop", "/aws/lambda/stranger"} <= set(groups)
    assert not {"/aws/lambda/greeter", "/aws/lambda/waiter"} & set(groups)
    assert streams == [ONE, TWO]
    functions.update_function_configuration(FunctionName="greeter", LoggingConfig={"LogGroup": "/aws/lambda/greeter"})
    assert [event["message"] for event in client.filter_log_events(logGroupName=GROUP)["events"]] == ["first", "third"]
