"""Application Auto Scaling over a real boto3 client: targets, policies, scheduled actions, and what they do."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.functions import ARN, Archive, create, refusal
from tests.fakes.live_door import LiveDoor

SCOPE = {
    "ServiceNamespace": "lambda",
    "ResourceId": "function:f:live",
    "ScalableDimension": "lambda:function:ProvisionedConcurrency",
}
LAMBDA = {"ServiceNamespace": "lambda"}
TRACKING = {
    "TargetValue": 0.7,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "LambdaProvisionedConcurrencyUtilization"},
}
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC).timestamp()


@pytest.fixture
def scaling(door: LiveDoor, archive: Archive) -> Any:
    """A client, and a function with an alias."""
    functions = door.client("lambda")
    create(functions, archive(), Publish=True)
    functions.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    return door.client("application-autoscaling")


def register(client: Any, low: int = 1, high: int = 10) -> Any:
    return client.register_scalable_target(**SCOPE, MinCapacity=low, MaxCapacity=high)


def put_policy(client: Any, **more: Any) -> Any:
    configuration = {**TRACKING, **more}
    return client.put_scaling_policy(
        **SCOPE,
        PolicyName="p",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=configuration,
    )


def put_action(client: Any, schedule: str, low: int | None = None, high: int | None = None, **more: Any) -> None:
    bounds = {"MinCapacity": low, "MaxCapacity": high}
    action = {member: value for member, value in bounds.items() if value is not None}
    client.put_scheduled_action(
        **SCOPE, ScheduledActionName="a", Schedule=schedule, ScalableTargetAction=action, **more
    )


def capacity(door: LiveDoor) -> int:
    shown = door.client("lambda").get_provisioned_concurrency_config(FunctionName="f", Qualifier="live")
    return int(shown["RequestedProvisionedConcurrentExecutions"])


def test_a_registered_target_is_shown_and_brought_within_its_bounds(door: LiveDoor, scaling: Any) -> None:
    registered = register(scaling, 2, 10)
    capacity_at_first = capacity(door)
    register(scaling, 5, 10)
    scaling.register_scalable_target(**SCOPE, SuspendedState={"ScheduledScalingSuspended": True})

    (target,) = scaling.describe_scalable_targets(**LAMBDA, ResourceIds=["function:f:live"])["ScalableTargets"]
    activities = scaling.describe_scaling_activities(**LAMBDA)["ScalingActivities"]
    assert {name: target[name] for name in SCOPE} == SCOPE
    assert (target["MinCapacity"], target["MaxCapacity"]) == (5, 10)
    assert target["ScalableTargetARN"] == registered["ScalableTargetARN"]
    assert target["RoleARN"].endswith("AWSServiceRoleForApplicationAutoScaling_LambdaConcurrency")
    assert target["SuspendedState"] == {
        "DynamicScalingInSuspended": False,
        "DynamicScalingOutSuspended": False,
        "ScheduledScalingSuspended": True,
    }
    assert (capacity_at_first, capacity(door)) == (2, 5)
    assert [activity["StatusCode"] for activity in activities] == ["Successful", "Successful"]
    assert activities[0]["Description"] == "Setting provisioned concurrency to 5."


def test_a_targets_tags_are_kept(scaling: Any) -> None:
    arn = scaling.register_scalable_target(**SCOPE, MinCapacity=1, MaxCapacity=2, Tags={"a": "1"})["ScalableTargetARN"]

    scaling.tag_resource(ResourceARN=arn, Tags={"b": "2"})
    scaling.untag_resource(ResourceARN=arn, TagKeys=["a"])

    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"b": "2"}
    assert refusal(lambda: scaling.list_tags_for_resource(ResourceARN=f"{arn}0"))[0] == "ResourceNotFoundException"


def test_a_policy_has_the_alarms_of_awss_names(scaling: Any) -> None:
    register(scaling)

    made = put_policy(scaling, ScaleInCooldown=60)
    again = put_policy(scaling, DisableScaleIn=True)

    (policy,) = scaling.describe_scaling_policies(**SCOPE, PolicyNames=["p"])["ScalingPolicies"]
    assert made["PolicyARN"] == again["PolicyARN"] == policy["PolicyARN"]
    assert made["PolicyARN"].startswith("arn:aws:autoscaling:us-east-1:123456789012:scalingPolicy:")
    assert made["PolicyARN"].endswith(":resource/lambda/function:f:live:policyName/p")
    assert made["Alarms"][0]["AlarmName"].startswith("TargetTracking-function:f:live-AlarmHigh-")
    assert policy["TargetTrackingScalingPolicyConfiguration"] == {
        **TRACKING,
        "ScaleOutCooldown": 0,
        "ScaleInCooldown": 0,
        "DisableScaleIn": True,
    }
    scaling.delete_scaling_policy(**SCOPE, PolicyName="p")
    assert scaling.describe_scaling_policies(**LAMBDA)["ScalingPolicies"] == []


def test_three_busy_minutes_scale_out_up_to_the_maximum_and_then_say_why_no_further(
    door: LiveDoor, scaling: Any
) -> None:
    register(scaling, 2, 3)
    put_policy(scaling)
    door.call(door.provisioner.make_ready)
    door.call(door.provisioner.make_busy, 2)

    for second in range(0, 3 * 60 + 1, 10):
        door.call(door.autoscaler.tick, NOON + second)
    scaled = capacity(door)
    door.call(door.provisioner.make_ready)
    door.call(door.provisioner.make_busy, 3)
    for second in range(190, 7 * 60 + 1, 10):
        door.call(door.autoscaler.tick, NOON + second)

    latest, *_ = scaling.describe_scaling_activities(**LAMBDA, IncludeNotScaledActivities=True)["ScalingActivities"]
    assert scaled == capacity(door) == 3
    assert latest["NotScaledReasons"] == [{"Code": "AlreadyAtMaxCapacity", "MaxCapacity": 3}]
    assert latest["Cause"].startswith("monitor alarm TargetTracking-function:f:live-AlarmHigh-")


def test_fifteen_idle_minutes_scale_in(door: LiveDoor, scaling: Any) -> None:
    register(scaling, 1, 10)
    put_policy(scaling)
    door.client("lambda").put_provisioned_concurrency_config(
        FunctionName="f", Qualifier="live", ProvisionedConcurrentExecutions=5
    )
    door.call(door.provisioner.make_ready)

    for second in range(0, 15 * 60 + 1, 20):
        door.call(door.autoscaler.tick, NOON + second)

    assert capacity(door) == 4


def test_a_scheduled_action_changes_the_bounds_and_the_capacity_with_them(door: LiveDoor, scaling: Any) -> None:
    register(scaling, 1, 10)
    start = datetime(2029, 12, 31, 23, tzinfo=UTC)
    put_action(scaling, "cron(0 9 * * ? *)", 7, 20, Timezone="Europe/Berlin", StartTime=start)

    door.call(door.autoscaler.tick, datetime(2029, 12, 31, 22, tzinfo=UTC).timestamp())
    before = capacity(door)
    door.call(door.autoscaler.tick, datetime(2029, 12, 31, 23, tzinfo=UTC).timestamp())
    at_its_start = capacity(door)
    register(scaling, 1, 2)
    door.call(door.autoscaler.tick, datetime(2030, 1, 1, 7, 59, tzinfo=UTC).timestamp())
    between = capacity(door)
    door.call(door.autoscaler.tick, datetime(2030, 1, 1, 8, tzinfo=UTC).timestamp())

    (target,) = scaling.describe_scalable_targets(**LAMBDA)["ScalableTargets"]
    assert (before, at_its_start, between, capacity(door)) == (1, 7, 2, 7)
    assert (target["MinCapacity"], target["MaxCapacity"]) == (7, 20)


def test_a_one_time_action_runs_once_and_zero_takes_the_configuration_away(door: LiveDoor, scaling: Any) -> None:
    register(scaling, 3, 10)
    put_action(scaling, "at(2030-01-01T12:00:00)", 0, 0)

    door.call(door.autoscaler.tick, NOON)
    gone = refusal(lambda: capacity(door))
    register(scaling, 2, 10)
    door.call(door.autoscaler.tick, NOON + 60)

    assert gone[0] == "ProvisionedConcurrencyConfigNotFoundException"
    assert capacity(door) == 2


def test_scheduled_actions_are_shown_as_they_were_put_and_deleted(scaling: Any) -> None:
    register(scaling)
    put_action(scaling, "rate(1 hour)", 1, EndTime=datetime(2031, 1, 1, tzinfo=UTC))
    scaling.put_scheduled_action(**SCOPE, ScheduledActionName="a", ScalableTargetAction={"MaxCapacity": 9})

    (action,) = scaling.describe_scheduled_actions(**LAMBDA, ScheduledActionNames=["a"])["ScheduledActions"]
    scaling.delete_scheduled_action(**SCOPE, ScheduledActionName="a")

    assert (action["Schedule"], action["ScalableTargetAction"]) == ("rate(1 hour)", {"MaxCapacity": 9})
    assert action["EndTime"] == datetime(2031, 1, 1, tzinfo=UTC)
    assert action["ScheduledActionARN"].endswith(":resource/lambda/function:f:live:scheduledActionName/a")
    assert scaling.describe_scheduled_actions(**LAMBDA)["ScheduledActions"] == []


def test_everything_is_there_again_after_a_restart_and_goes_with_its_target(tmp_path: Path, archive: Archive) -> None:
    first = LiveDoor(tmp_path)
    create(first.client("lambda"), archive(), Publish=True)
    first.client("lambda").create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    client = first.client("application-autoscaling")
    register(client, 2, 4)
    put_policy(client)
    put_action(client, "at(2030-01-01T12:00:00)", 4)
    first.close()

    second = LiveDoor(tmp_path)
    client = second.client("application-autoscaling")
    policies = client.describe_scaling_policies(**LAMBDA)["ScalingPolicies"]
    second.call(second.autoscaler.tick, NOON)
    scaled = capacity(second)
    client.deregister_scalable_target(**SCOPE)
    left = client.describe_scheduled_actions(**LAMBDA)["ScheduledActions"]
    unscaled = capacity(second)
    second.close()

    assert len(policies) == 1
    assert (scaled, unscaled, left) == (4, 4, [])


def test_what_the_function_refuses_is_a_failed_activity(door: LiveDoor, scaling: Any) -> None:
    door.client("lambda").put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=5)

    register(scaling, 6, 10)

    (activity,) = scaling.describe_scaling_activities(**LAMBDA)["ScalingActivities"]
    assert activity["StatusCode"] == "Failed"
    assert "reserved for the function" in activity["StatusMessage"]


def test_a_target_whose_alias_is_gone_fails_and_harms_nobody(door: LiveDoor, scaling: Any) -> None:
    register(scaling)
    put_policy(scaling)
    put_action(scaling, "at(2030-01-01T12:00:00)", 5)
    door.client("lambda").delete_function(FunctionName="f")

    for second in (0, 60):
        door.call(door.autoscaler.tick, NOON + second)

    activity = scaling.describe_scaling_activities(**LAMBDA)["ScalingActivities"][0]
    assert activity["StatusCode"] == "Failed"
    assert f"Function not found: {ARN}:live" in activity["StatusMessage"]


def test_targets_are_shown_in_pages(door: LiveDoor, scaling: Any) -> None:
    for name in ("a", "b", "c"):
        door.client("lambda").create_alias(FunctionName="f", Name=name, FunctionVersion="1")
        scaling.register_scalable_target(**{**SCOPE, "ResourceId": f"function:f:{name}"}, MinCapacity=0, MaxCapacity=1)

    pages = list(
        scaling.get_paginator("describe_scalable_targets").paginate(**LAMBDA, PaginationConfig={"PageSize": 2})
    )

    names = [[target["ResourceId"][-1] for target in page["ScalableTargets"]] for page in pages]
    assert names == [["a", "b"], ["c"]]
    bad = refusal(lambda: scaling.describe_scalable_targets(**LAMBDA, NextToken="%"))
    assert bad[0] == "InvalidNextTokenException"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"ServiceNamespace": "dynamodb"}, "workshape does not do the service namespace dynamodb"),
        (
            {"ScalableDimension": "ecs:service:DesiredCount"},
            "workshape does not do the scalable dimension ecs:service:DesiredCount",
        ),
        ({"ResourceId": "f:live"}, "'f:live' is no scalable resource of Lambda: function:NAME:VERSION_OR_ALIAS"),
        ({"ResourceId": "function:f:gone"}, f"Function not found: {ARN}:gone"),
        ({"ResourceId": "function:f:$LATEST"}, "cannot be applied to unpublished function versions"),
        ({"MinCapacity": 11}, "MinCapacity 11 and MaxCapacity 10: neither may be negative"),
    ],
)
def test_what_cannot_be_a_target_is_refused_by_name(scaling: Any, parameters: dict[str, Any], message: str) -> None:
    bounds = {"MinCapacity": 1, "MaxCapacity": 10}

    code, status, said = refusal(lambda: scaling.register_scalable_target(**{**SCOPE, **bounds, **parameters}))

    assert (code, status) == ("ValidationException", 400)
    assert message in said


def test_a_new_target_needs_both_bounds(scaling: Any) -> None:
    said = refusal(lambda: scaling.register_scalable_target(**SCOPE, MinCapacity=1))[2]

    assert said == "MaxCapacity is required: the scalable target is a new one."


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"PolicyType": "StepScaling"}, "Lambda supports no scaling policy of the type StepScaling."),
        (
            {"TargetTrackingScalingPolicyConfiguration": {"TargetValue": 0.5}},
            "PredefinedMetricType of Lambda must be LambdaProvisionedConcurrencyUtilization, not None.",
        ),
        (
            {
                "TargetTrackingScalingPolicyConfiguration": {
                    "TargetValue": 0.5,
                    "CustomizedMetricSpecification": {"MetricName": "m", "Namespace": "n", "Statistic": "Average"},
                }
            },
            "workshape does not do customized metrics of Application Auto Scaling yet.",
        ),
        (
            {"TargetTrackingScalingPolicyConfiguration": {**TRACKING, "TargetValue": 0.0}},
            "TargetValue must be more than 0, not 0.0.",
        ),
    ],
)
def test_a_policy_that_cannot_be_followed_is_refused(scaling: Any, changes: dict[str, Any], message: str) -> None:
    register(scaling)
    parameters = {
        **SCOPE,
        "PolicyName": "p",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": TRACKING,
    }

    assert refusal(lambda: scaling.put_scaling_policy(**{**parameters, **changes})) == (
        "ValidationException",
        400,
        message,
    )


def test_a_schedule_that_is_never_due_is_refused(scaling: Any) -> None:
    register(scaling)

    assert "rate() takes" in refusal(lambda: put_action(scaling, "rate(1 hours)", 1))[2]
    assert "is no time zone" in refusal(lambda: put_action(scaling, "rate(1 hour)", 1, Timezone="Mars"))[2]
    assert "ScalableTargetAction is required" in refusal(lambda: put_action(scaling, "rate(1 hour)"))[2]


def test_what_is_not_there_is_not_found(scaling: Any) -> None:
    missing = [
        refusal(lambda: put_policy(scaling)),
        refusal(lambda: scaling.deregister_scalable_target(**SCOPE)),
    ]
    register(scaling)
    missing.append(refusal(lambda: scaling.delete_scaling_policy(**SCOPE, PolicyName="p")))
    missing.append(refusal(lambda: scaling.delete_scheduled_action(**SCOPE, ScheduledActionName="a")))

    assert [code for code, _, _ in missing] == ["ObjectNotFoundException"] * 4
    assert missing[0][2].startswith("No scalable target found for service namespace: lambda, resource ID: function:f")
