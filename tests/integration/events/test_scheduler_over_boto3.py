"""EventBridge Scheduler over a real boto3 client: what is kept and shown, what is refused, and who is invoked."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest
from botocore.exceptions import ClientError

from tests.fakes.live_engine import ACCOUNT, REGION, ROLE, LiveEngine
from workshape.status import EngineStatus

ARN = f"arn:aws:scheduler:{REGION}:{ACCOUNT}"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:q"
OFF = {"Mode": "OFF"}


@pytest.fixture(scope="module")
def scheduler(engine: LiveEngine) -> Any:
    return engine.client("scheduler")


def create(scheduler: Any, name: str, expression: str, target: dict[str, Any], **more: Any) -> str:
    parameters = {"FlexibleTimeWindow": OFF, **more}
    made = scheduler.create_schedule(
        Name=name, ScheduleExpression=expression, Target={"RoleArn": ROLE, **target}, **parameters
    )
    return str(made["ScheduleArn"])


def just_now() -> str:
    """A single time that is due already, as `at()` knows it."""
    return datetime.fromtimestamp(time.time(), UTC).strftime("at(%Y-%m-%dT%H:%M:%S)")


def refused(call: Any, **parameters: Any) -> tuple[str, str]:
    """Call what must be refused; return its code and its words."""
    with pytest.raises(ClientError) as error:
        call(**parameters)
    answer = error.value.response["Error"]
    return answer["Code"], answer["Message"]


def test_a_schedule_lives_from_its_creation_to_its_deletion(scheduler: Any) -> None:
    target = {"Arn": QUEUE, "Input": "hello", "SqsParameters": {"MessageGroupId": "g"}}
    arn = create(
        scheduler,
        "life",
        "cron(0 8 ? * MON-FRI *)",
        target,
        ScheduleExpressionTimezone="Europe/Berlin",
        StartDate=datetime(2030, 1, 1, tzinfo=UTC),
        EndDate=datetime(2031, 1, 1, tzinfo=UTC),
        FlexibleTimeWindow={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15},
        Description="mornings",
        ActionAfterCompletion="DELETE",
    )

    shown = scheduler.get_schedule(Name="life")
    listed = scheduler.list_schedules(NamePrefix="li")["Schedules"]
    again = refused(
        scheduler.create_schedule,
        Name="life",
        ScheduleExpression="rate(1 day)",
        Target={"Arn": QUEUE, "RoleArn": ROLE},
        FlexibleTimeWindow=OFF,
    )
    scheduler.delete_schedule(Name="life")
    gone = refused(scheduler.get_schedule, Name="life")

    assert arn == f"{ARN}:schedule/default/life"
    assert (shown["GroupName"], shown["State"], shown["Description"]) == ("default", "ENABLED", "mornings")
    assert shown["StartDate"] == datetime(2030, 1, 1, tzinfo=UTC)
    assert shown["FlexibleTimeWindow"] == {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}
    assert shown["ActionAfterCompletion"] == "DELETE"
    assert shown["Target"] == {
        "RoleArn": ROLE,
        **target,
        "RetryPolicy": {"MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 185},
    }
    assert [one["Target"] for one in listed] == [{"Arn": QUEUE}]
    assert again == ("ConflictException", "Schedule life already exists.")
    assert gone == ("ResourceNotFoundException", "Schedule life does not exist.")


def test_a_rate_may_be_written_as_terraforms_example_has_it(scheduler: Any) -> None:
    create(scheduler, "hourly", "rate(1 hours)", {"Arn": QUEUE})

    assert scheduler.get_schedule(Name="hourly")["ScheduleExpression"] == "rate(1 hours)"


def test_an_update_sets_what_it_does_not_name_back(scheduler: Any) -> None:
    create(scheduler, "whole", "rate(1 day)", {"Arn": QUEUE}, Description="old", State="DISABLED")

    scheduler.update_schedule(
        Name="whole",
        ScheduleExpression="rate(2 days)",
        Target={"Arn": QUEUE, "RoleArn": ROLE},
        FlexibleTimeWindow=OFF,
        State="DISABLED",
    )

    shown = scheduler.get_schedule(Name="whole")
    assert shown["ScheduleExpression"] == "rate(2 days)"
    assert "Description" not in shown


def test_groups_gather_schedules_and_have_tags(scheduler: Any) -> None:
    arn = scheduler.create_schedule_group(Name="team", Tags=[{"Key": "a", "Value": "1"}])["ScheduleGroupArn"]
    create(scheduler, "grouped", "rate(1 day)", {"Arn": QUEUE}, GroupName="team", State="DISABLED")
    scheduler.tag_resource(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}])
    scheduler.untag_resource(ResourceArn=arn, TagKeys=["a"])

    tags = scheduler.list_tags_for_resource(ResourceArn=arn)["Tags"]
    names = [group["Name"] for group in scheduler.list_schedule_groups()["ScheduleGroups"]]
    inside = [one["Name"] for one in scheduler.list_schedules(GroupName="team")["Schedules"]]
    scheduler.delete_schedule_group(Name="team")
    gone = refused(scheduler.get_schedule_group, Name="team")
    orphan = refused(scheduler.get_schedule, Name="grouped", GroupName="team")

    assert tags == [{"Key": "b", "Value": "2"}]
    assert names == ["default", "team"]
    assert inside == ["grouped"]
    assert gone == ("ResourceNotFoundException", "Schedule group team does not exist.")
    assert orphan[0] == "ResourceNotFoundException"
    assert refused(scheduler.delete_schedule_group, Name="default")[0] == "ValidationException"


@pytest.mark.parametrize(
    ("expression", "target", "more", "words"),
    [
        ("daily", {"Arn": QUEUE}, {}, "Invalid Schedule Expression daily."),
        ("rate(1 day)", {"Arn": QUEUE}, {"ScheduleExpressionTimezone": "Berlin"}, "Europe/Berlin"),
        ("rate(1 day)", {"Arn": QUEUE}, {"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}}, "MaximumWindowInMinutes"),
        ("rate(1 day)", {"Arn": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:s"}, {}, "states is no destination"),
        ("rate(1 day)", {"Arn": QUEUE, "KinesisParameters": {"PartitionKey": "p"}}, {}, "KinesisParameters"),
        ("rate(1 day)", {"Arn": f"{QUEUE}.fifo"}, {}, "SqsParameters"),
        ("rate(1 day)", {"Arn": f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"}, {}, "EventBridgeParameters"),
        (
            "rate(1 day)",
            {"Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f", "Input": "hello"},
            {},
            "Input must be well-formed JSON",
        ),
        ("rate(1 day)", {"Arn": "arn:aws:scheduler:::aws-sdk:sqs:receiveMessage"}, {}, "receiveMessage only reads"),
        ("rate(1 day)", {"Arn": "arn:aws:scheduler:::aws-sdk:sqs:sendMesage"}, {}, "sqs has no operation 'sendMesage'"),
        ("rate(1 day)", {"Arn": "arn:aws:scheduler:::aws-sdk:sqz:sendMessage"}, {}, "there is no service 'sqz'"),
    ],
)
def test_a_schedule_that_cannot_run_is_refused_when_it_is_made(
    scheduler: Any, expression: str, target: dict[str, Any], more: dict[str, Any], words: str
) -> None:
    parameters = {"FlexibleTimeWindow": OFF, "ScheduleExpression": expression, **more}

    code, message = refused(scheduler.create_schedule, Name="no", Target={"RoleArn": ROLE, **target}, **parameters)

    assert code == "ValidationException"
    assert words in message


def test_a_single_time_invokes_a_function_and_the_schedule_is_gone(engine: LiveEngine, scheduler: Any) -> None:
    function = engine.create_function("reminds")
    text = json.dumps({"at": "<aws.scheduler.scheduled-time>", "try": "<aws.scheduler.attempt-number>"})
    expression = just_now()

    create(scheduler, "remind", expression, {"Arn": function, "Input": text}, ActionAfterCompletion="DELETE")
    (event,) = engine.events("reminds")

    assert event == {"at": f"{expression[3:-1]}Z", "try": "1"}
    engine.wait_until(lambda: "remind" not in [one["Name"] for one in scheduler.list_schedules()["Schedules"]])
    metrics = engine.client("cloudwatch").list_metrics(Namespace="AWS/Scheduler")["Metrics"]
    assert ("InvocationAttemptCount", "default") in [
        (metric["MetricName"], dimension["Value"]) for metric in metrics for dimension in metric["Dimensions"]
    ]


def test_a_universal_target_calls_an_operation_by_its_name(engine: LiveEngine, scheduler: Any) -> None:
    url, _ = engine.create_queue("universal")
    text = json.dumps({"QueueUrl": url, "MessageBody": "<aws.scheduler.schedule-arn>"})

    arn = create(
        scheduler, "universal", just_now(), {"Arn": "arn:aws:scheduler:::aws-sdk:sqs:sendMessage", "Input": text}
    )
    (message,) = engine.receive(url)

    assert message["Body"] == arn


def test_what_a_universal_target_refuses_goes_to_the_dead_letter_queue(engine: LiveEngine, scheduler: Any) -> None:
    url, dead = engine.create_queue("universal-dead")
    target = {
        "Arn": "arn:aws:scheduler:::aws-sdk:sqs:sendMessage",
        "Input": json.dumps({"QueueUrl": f"{engine.run_file.endpoint}/{ACCOUNT}/none", "MessageBody": "lost"}),
        "DeadLetterConfig": {"Arn": dead},
    }

    create(scheduler, "universal-fails", just_now(), target)
    (message,) = engine.receive(url)

    assert json.loads(message["Body"])["MessageBody"] == "lost"
    assert message["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "AWS.SimpleQueueService.NonExistentQueue"
    assert message["MessageAttributes"]["TARGET_ARN"]["StringValue"] == target["Arn"]


def test_the_status_tells_when_rules_and_schedules_run_next(engine: LiveEngine, scheduler: Any) -> None:
    engine.client("events").put_rule(Name="hourly", ScheduleExpression="cron(0 * * * ? *)")
    create(scheduler, "yearly", "cron(0 0 1 1 ? 2100)", {"Arn": QUEUE})

    answer = httpx.get(f"{engine.run_file.endpoint}/_workshape/status", trust_env=False).raise_for_status()

    status = msgspec.json.decode(answer.content, type=EngineStatus)
    rule = next(one for one in status.rules if one.name == "hourly")
    schedule = next(one for one in status.schedules if one.name == "yearly")
    assert rule.next_run_at is not None
    assert 0 < rule.next_run_at - time.time() <= 3_601
    assert schedule.next_run_at == datetime(2100, 1, 1, tzinfo=UTC).timestamp()
