"""Event buses, rules and targets over a real boto3 client: what is kept and shown, and what is refused."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.fakes.live_engine import ACCOUNT, REGION, LiveEngine

ARN = f"arn:aws:events:{REGION}:{ACCOUNT}"
PATTERN = json.dumps({"source": ["shop.orders"]})
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:q"


@pytest.fixture(scope="module")
def events(engine: LiveEngine) -> Any:
    return engine.client("events")


def refused(call: Any, **parameters: Any) -> tuple[str, str]:
    """Call what must be refused; return its code and its words."""
    with pytest.raises(ClientError) as error:
        call(**parameters)
    answer = error.value.response["Error"]
    return answer["Code"], answer["Message"]


def test_the_default_bus_is_there_and_stays(events: Any) -> None:
    bus = events.describe_event_bus()

    assert (bus["Name"], bus["Arn"]) == ("default", f"{ARN}:event-bus/default")
    assert refused(events.delete_event_bus, Name="default") == (
        "ValidationException",
        "Cannot delete event bus default.",
    )


def test_a_bus_lives_from_its_creation_to_its_deletion(events: Any) -> None:
    made = events.create_event_bus(Name="life", Description="first", Tags=[{"Key": "team", "Value": "a"}])
    events.update_event_bus(Name="life", Description="second")

    shown = events.describe_event_bus(Name=made["EventBusArn"])
    names = [bus["Name"] for bus in events.list_event_buses(NamePrefix="li")["EventBuses"]]
    again = refused(events.create_event_bus, Name="life")
    events.delete_event_bus(Name="life")
    events.delete_event_bus(Name="life")
    gone = refused(events.describe_event_bus, Name="life")

    assert made["EventBusArn"] == f"{ARN}:event-bus/life"
    assert (shown["Name"], shown["Description"]) == ("life", "second")
    assert names == ["life"]
    assert again == ("ResourceAlreadyExistsException", "Event bus life already exists.")
    assert gone == ("ResourceNotFoundException", "Event bus life does not exist.")


def test_a_rule_is_replaced_whole_but_for_its_targets_and_tags(events: Any) -> None:
    first = events.put_rule(
        Name="replaced", EventPattern=PATTERN, Description="old", Tags=[{"Key": "team", "Value": "a"}], State="DISABLED"
    )
    events.put_targets(Rule="replaced", Targets=[{"Id": "1", "Arn": QUEUE}])
    events.put_rule(Name="replaced", ScheduleExpression="rate(1 day)")

    shown = events.describe_rule(Name="replaced")
    targets = events.list_targets_by_rule(Rule="replaced")["Targets"]
    tags = events.list_tags_for_resource(ResourceARN=first["RuleArn"])["Tags"]
    by_target = events.list_rule_names_by_target(TargetArn=QUEUE)["RuleNames"]

    assert first["RuleArn"] == f"{ARN}:rule/replaced"
    assert shown["State"] == "ENABLED"
    assert shown["ScheduleExpression"] == "rate(1 day)"
    assert "EventPattern" not in shown
    assert "Description" not in shown
    assert targets == [{"Id": "1", "Arn": QUEUE}]
    assert tags == [{"Key": "team", "Value": "a"}]
    assert by_target == ["replaced"]


def test_rules_are_switched_listed_and_deleted_once_they_have_no_targets(events: Any) -> None:
    events.create_event_bus(Name="ruled")
    for name in ("r-1", "r-2"):
        events.put_rule(Name=name, EventBusName="ruled", EventPattern=PATTERN)
    events.put_targets(Rule="r-1", EventBusName="ruled", Targets=[{"Id": "1", "Arn": QUEUE}])
    events.disable_rule(Name="r-2", EventBusName="ruled")

    page = events.list_rules(EventBusName="ruled", Limit=1)
    rest = events.list_rules(EventBusName=f"{ARN}:event-bus/ruled", Limit=1, NextToken=page["NextToken"])
    in_use = refused(events.delete_event_bus, Name="ruled")
    has_targets = refused(events.delete_rule, Name="r-1", EventBusName="ruled")
    removed = events.remove_targets(Rule="r-1", EventBusName="ruled", Ids=["1", "2"])
    for name in ("r-1", "r-2", "never-there"):
        events.delete_rule(Name=name, EventBusName="ruled")
    events.delete_event_bus(Name="ruled")

    assert [rule["Arn"] for rule in page["Rules"]] == [f"{ARN}:rule/ruled/r-1"]
    assert [(rule["Name"], rule["State"]) for rule in rest["Rules"]] == [("r-2", "DISABLED")]
    assert "NextToken" not in rest
    assert in_use[0] == "ValidationException"
    assert has_targets == ("ValidationException", "Rule can't be deleted since it has targets.")
    assert [failed["TargetId"] for failed in removed["FailedEntries"]] == ["2"]


def test_a_target_is_shown_as_it_was_put(events: Any) -> None:
    target = {
        "Id": "all",
        "Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f",
        "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/r",
        "InputTransformer": {"InputPathsMap": {"id": "$.detail.id"}, "InputTemplate": '{"id": <id>}'},
        "RetryPolicy": {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 120},
        "DeadLetterConfig": {"Arn": QUEUE},
    }
    fair = {"Id": "fair", "Arn": QUEUE, "SqsParameters": {"MessageGroupId": "g"}, "InputPath": "$.detail"}
    events.put_rule(Name="shown", EventPattern=PATTERN)

    events.put_targets(Rule="shown", Targets=[target, fair])

    assert events.list_targets_by_rule(Rule="shown")["Targets"] == [target, fair]


@pytest.mark.parametrize(
    ("rule", "code", "words"),
    [
        ({}, "ValidationException", "Parameter(s) EventPattern or ScheduleExpression must be specified."),
        ({"EventPattern": "["}, "InvalidEventPatternException", "Event pattern is not valid. Reason: "),
        ({"EventPattern": '{"source": "x"}'}, "InvalidEventPatternException", "Event pattern is not valid. Reason: "),
        (
            {"ScheduleExpression": "rate(1 minutes)"},
            "ValidationException",
            "Parameter ScheduleExpression is not valid.",
        ),
        (
            {"ScheduleExpression": "at(2030-01-01T00:00:00)"},
            "ValidationException",
            "Parameter ScheduleExpression is not valid.",
        ),
        (
            {"EventPattern": PATTERN, "EventBusName": "none"},
            "ResourceNotFoundException",
            "Event bus none does not exist.",
        ),
    ],
)
def test_a_rule_that_eventbridge_would_refuse_is_refused(
    events: Any, rule: dict[str, str], code: str, words: str
) -> None:
    answer = refused(events.put_rule, Name="refused", **rule)

    assert answer[0] == code
    assert answer[1].startswith(words)


def test_schedules_are_the_default_buss_alone(events: Any) -> None:
    events.create_event_bus(Name="timeless")

    answer = refused(events.put_rule, Name="r", EventBusName="timeless", ScheduleExpression="rate(1 hour)")

    assert answer == ("ValidationException", "ScheduleExpression is supported only on the default event bus.")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({"Arn": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:s"}, "states is no destination for this"),
        ({"Arn": f"arn:aws:sqs:eu-west-1:{ACCOUNT}:q"}, "it is not of the region us-east-1"),
        ({"Arn": QUEUE, "Input": "{"}, "Input for target t is not a valid JSON text."),
        ({"Arn": QUEUE, "Input": "{}", "InputPath": "$.detail"}, "Only one of Input, InputPath, or InputTransformer"),
        ({"Arn": QUEUE, "InputTransformer": {"InputTemplate": '"<x>"'}}, "contains invalid placeholder x."),
        ({"Arn": QUEUE, "KinesisParameters": {"PartitionKeyPath": "$.id"}}, "KinesisParameters"),
        ({"Arn": f"{QUEUE}.fifo"}, "Parameter(s) SqsParameters must be specified for target: t."),
        ({"Arn": f"arn:aws:sns:{REGION}:{ACCOUNT}:t.fifo"}, "is a FIFO topic, which EventBridge does not publish to."),
        ({"Arn": QUEUE, "DeadLetterConfig": {"Arn": f"{QUEUE}.fifo"}}, "is not a standard SQS queue."),
        ({"Arn": f"{ARN}:event-bus/default", "InputPath": "$.detail"}, "an input of its own for an event bus"),
    ],
)
def test_a_target_that_cannot_be_invoked_is_refused_when_it_is_put(
    events: Any, target: dict[str, Any], words: str
) -> None:
    events.put_rule(Name="strict", EventPattern=PATTERN)

    code, message = refused(events.put_targets, Rule="strict", Targets=[{"Id": "t", **target}])

    assert code == "ValidationException"
    assert words in message
    assert not events.list_targets_by_rule(Rule="strict")["Targets"]


def test_a_rule_has_five_targets_at_most(events: Any) -> None:
    events.put_rule(Name="many", EventPattern=PATTERN)
    five = [{"Id": str(number), "Arn": QUEUE} for number in range(5)]
    events.put_targets(Rule="many", Targets=five)

    code, _ = refused(events.put_targets, Rule="many", Targets=[{"Id": "5", "Arn": QUEUE}])
    events.put_targets(Rule="many", Targets=[{"Id": "4", "Arn": QUEUE}])

    assert code == "LimitExceededException"


def test_a_policys_statements_are_kept_and_shown(events: Any) -> None:
    events.create_event_bus(Name="open")
    events.put_permission(EventBusName="open", Action="events:PutEvents", Principal="111122223333", StatementId="other")
    one = json.loads(events.describe_event_bus(Name="open")["Policy"])
    statement = {"Sid": "all", "Effect": "Allow", "Principal": "*", "Action": "events:*", "Resource": "*"}

    events.put_permission(EventBusName="open", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    whole = json.loads(events.describe_event_bus(Name="open")["Policy"])
    absent = refused(events.remove_permission, EventBusName="open", StatementId="other")
    events.remove_permission(EventBusName="open", RemoveAllPermissions=True)

    assert one["Statement"][0]["Principal"] == {"AWS": "arn:aws:iam::111122223333:root"}
    assert whole["Statement"] == [statement]
    assert absent == ("ResourceNotFoundException", "Statement with the provided id does not exist.")
    assert "Policy" not in events.describe_event_bus(Name="open")


def test_a_pattern_is_tested_against_an_event(events: Any) -> None:
    event = {"id": "1", "account": ACCOUNT, "source": "shop.orders", "time": "2026-01-01T00:00:00Z"}
    whole = {**event, "region": REGION, "resources": [], "detail-type": "t", "detail": {"total": 7}}
    pattern = json.dumps({"detail": {"total": [{"numeric": [">", 5]}]}})

    assert events.test_event_pattern(EventPattern=pattern, Event=json.dumps(whole))["Result"]
    assert refused(events.test_event_pattern, EventPattern=pattern, Event=json.dumps(event)) == (
        "ValidationException",
        "Parameter Event is not valid. Reason: it has no region, resources, detail-type.",
    )


def test_tags_are_of_rules_and_buses(events: Any) -> None:
    arn = events.create_event_bus(Name="tagged")["EventBusArn"]
    events.tag_resource(ResourceARN=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])

    events.untag_resource(ResourceARN=arn, TagKeys=["a"])

    assert events.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    assert refused(events.list_tags_for_resource, ResourceARN=f"{ARN}:rule/none")[0] == "ResourceNotFoundException"


@pytest.mark.parametrize("operation", ["list_endpoints", "list_event_sources"])
def test_what_is_not_built_is_refused_by_name(events: Any, operation: str) -> None:
    code, message = refused(getattr(events, operation))

    assert code == "NotImplemented"
    assert operation.title().replace("_", "") in message


def test_an_archive_and_its_replay_over_boto3(engine: LiveEngine, events: Any) -> None:
    bus = events.create_event_bus(Name="archived")["EventBusArn"]
    url, queue = engine.create_queue("archived")
    events.put_rule(Name="late", EventBusName="archived", EventPattern=PATTERN)
    made = events.create_archive(ArchiveName="orders", EventSourceArn=bus, EventPattern=PATTERN, RetentionDays=3)
    entry = {"EventBusName": "archived", "Source": "shop.orders", "DetailType": "Order", "Detail": '{"id": 1}'}
    events.put_events(Entries=[{**entry, "Time": "2026-01-02T03:04:05Z"}, {**entry, "Source": "elsewhere"}])
    events.put_targets(Rule="late", EventBusName="archived", Targets=[{"Id": "q", "Arn": queue}])

    started = events.start_replay(
        ReplayName="again",
        EventSourceArn=made["ArchiveArn"],
        EventStartTime="2026-01-02T03:00:00Z",
        EventEndTime="2026-01-02T04:00:00Z",
        Destination={"Arn": bus, "FilterArns": [f"{ARN}:rule/archived/late"]},
    )
    (message,) = engine.receive(url)
    engine.wait_until(lambda: events.list_replays(State="COMPLETED")["Replays"])
    ended = events.list_replays(NamePrefix="again")["Replays"]
    shown, kept = events.describe_replay(ReplayName="again"), events.describe_archive(ArchiveName="orders")

    assert (started["State"], started["ReplayArn"]) == ("STARTING", f"{ARN}:replay/again")
    body = json.loads(message["Body"])
    assert (body["detail"], body["replay-name"], body["time"]) == ({"id": 1}, "again", "2026-01-02T03:04:05Z")
    assert [one["ReplayName"] for one in ended] == ["again"]
    assert shown["EventLastReplayedTime"].isoformat() == "2026-01-02T03:04:05+00:00"
    assert (shown["Destination"]["Arn"], shown["EventSourceArn"]) == (bus, made["ArchiveArn"])
    assert (kept["EventCount"], kept["RetentionDays"], kept["State"]) == (1, 3, "ENABLED")
    assert kept["SizeBytes"] > 100


def test_an_archive_lives_from_its_creation_to_its_deletion(events: Any) -> None:
    bus = events.create_event_bus(Name="keeps")["EventBusArn"]
    events.create_archive(ArchiveName="life", EventSourceArn=bus, Description="first")
    again = refused(events.create_archive, ArchiveName="life", EventSourceArn=bus)
    events.update_archive(ArchiveName="life", Description="second", RetentionDays=7)

    shown = events.describe_archive(ArchiveName="life")
    listed = events.list_archives(EventSourceArn=bus)["Archives"]
    both = refused(events.list_archives, EventSourceArn=bus, NamePrefix="l")
    pattern = refused(events.create_archive, ArchiveName="odd", EventSourceArn=bus, EventPattern="{")
    held = refused(events.delete_event_bus, Name="keeps")
    ended = refused(events.cancel_replay, ReplayName="nobody")
    events.delete_archive(ArchiveName="life")
    gone = refused(events.describe_archive, ArchiveName="life")

    assert again == ("ResourceAlreadyExistsException", "Archive life already exists.")
    assert (shown["Description"], shown["RetentionDays"], shown["EventCount"]) == ("second", 7, 0)
    assert [one["ArchiveName"] for one in listed] == ["life"]
    assert both[0] == "ValidationException"
    assert pattern[0] == "InvalidEventPatternException"
    assert held == ("ValidationException", "Event bus keeps can't be deleted since it has archives.")
    assert ended == ("ResourceNotFoundException", "Replay nobody does not exist.")
    assert gone == ("ResourceNotFoundException", "Archive life does not exist.")
