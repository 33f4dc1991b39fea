"""Every member that a request about an event source mapping may have: obeyed, or refused by its name."""

from typing import Any

import pytest
from botocore.loaders import Loader

from tests.integration.triggers.conftest import ACCOUNT, EVENTS, REGION, Stage
from workshape.aws.lambda_.mappings import mapping_operations
from workshape.aws.operation import Call
from workshape.errors import Invalid

CALL = Call(ACCOUNT, REGION, "id-1", "http://127.0.0.1:4566")
GIVEN: dict[str, Any] = {"FunctionName": "events", "EventSourceArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{EVENTS}"}
OBEYED: dict[str, Any] = {
    "Enabled": False,
    "BatchSize": 7,
    "MaximumBatchingWindowInSeconds": 2,
    "FunctionResponseTypes": ["ReportBatchItemFailures"],
    "ScalingConfig": {"MaximumConcurrency": 9},
    "FilterCriteria": {"Filters": [{"Pattern": '{"body": {"a": [1]}}'}]},
    "KMSKeyArn": "arn:aws:kms:us-east-1:123456789012:key/1",
    "MetricsConfig": {"Metrics": ["EventCount"]},
}
OTHERWISE: dict[str, Any] = {"Tags": {"team": "a"}, "ProvisionedPollerConfig": {"MinimumPollers": 3}}
"""Obeyed too, and shown by other operations or not beside those."""
OF_NO_EFFECT: dict[str, Any] = {
    "FilterCriteria": {},
    "KMSKeyArn": "",
    "MetricsConfig": {"Metrics": []},
    "ParallelizationFactor": 1,
    "TumblingWindowInSeconds": 0,
    "DestinationConfig": {"OnFailure": {}},
    "MaximumRetryAttempts": -1,
    "MaximumRecordAgeInSeconds": -1,
    "BisectBatchOnFunctionError": False,
    "ProvisionedPollerConfig": {},
    "SourceAccessConfigurations": [],
    "Queues": [],
}
EFFECTIVE: dict[str, Any] = {
    "ParallelizationFactor": 2,
    "TumblingWindowInSeconds": 5,
    "MaximumRetryAttempts": 3,
    "MaximumRecordAgeInSeconds": 60,
    "BisectBatchOnFunctionError": True,
    "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:123456789012:failed"}},
    "SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["127.0.0.1:9092"]}},
    "StartingPosition": "LATEST",
    "Topics": ["orders"],
    "SourceAccessConfigurations": [{"Type": "VPC_SUBNET", "URI": "subnet:subnet-1"}],
}


def members(operation: str) -> list[str]:
    model = Loader().load_service_model("lambda", "service-2")
    return sorted(model["shapes"][f"{operation}Request"]["members"])


REFUSED = [name for name in members("CreateEventSourceMapping") if name not in {*OBEYED, *OTHERWISE, *GIVEN}]


@pytest.mark.parametrize("member", REFUSED)
async def test_a_member_that_would_not_be_obeyed_is_refused_by_name(stage: Stage, member: str) -> None:
    operations = mapping_operations(stage.supervisor())

    with pytest.raises(Invalid, match=f"{member}|retry settings are not for SQS"):
        await operations["CreateEventSourceMapping"](CALL, {**GIVEN, member: EFFECTIVE.get(member, "something")})


async def test_a_member_that_changes_nothing_is_accepted(stage: Stage) -> None:
    operations = mapping_operations(stage.supervisor())

    created = await operations["CreateEventSourceMapping"](CALL, {**GIVEN, **OF_NO_EFFECT})
    same = await operations["UpdateEventSourceMapping"](CALL, {"UUID": created["UUID"], **OF_NO_EFFECT})

    assert same == created


async def test_what_an_update_leaves_out_stays(stage: Stage) -> None:
    operations = mapping_operations(stage.supervisor())
    settings = {name: value for name, value in OBEYED.items() if name != "Enabled"}
    created = await operations["CreateEventSourceMapping"](CALL, {**GIVEN, **OBEYED})

    changed = await operations["UpdateEventSourceMapping"](CALL, {"UUID": created["UUID"], "BatchSize": 8})
    moved = await operations["UpdateEventSourceMapping"](
        CALL, {"UUID": created["UUID"], "FunctionName": "events:live", "ScalingConfig": {}, "FilterCriteria": {}}
    )

    assert {name: changed[name] for name in settings} == {**settings, "BatchSize": 8}
    assert changed["FunctionArn"] == f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:events"
    assert moved["FunctionArn"] == f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:events:live"
    assert (moved["BatchSize"], "ScalingConfig" in moved, "FilterCriteria" in moved) == (8, False, False)


async def test_filters_that_are_said_to_be_encrypted_are_left_out_of_lists(stage: Stage) -> None:
    operations = mapping_operations(stage.supervisor())
    created = await operations["CreateEventSourceMapping"](CALL, {**GIVEN, **OBEYED})

    (listed,) = (await operations["ListEventSourceMappings"](CALL, {}))["EventSourceMappings"]
    read = await operations["GetEventSourceMapping"](CALL, {"UUID": created["UUID"]})

    assert read["FilterCriteria"] == OBEYED["FilterCriteria"]
    assert "FilterCriteria" not in listed


async def test_provisioned_mode_has_the_documented_defaults_and_can_be_left(stage: Stage) -> None:
    operations = mapping_operations(stage.supervisor())
    created = await operations["CreateEventSourceMapping"](CALL, {**GIVEN, **OTHERWISE})

    left = await operations["UpdateEventSourceMapping"](
        CALL, {"UUID": created["UUID"], "ProvisionedPollerConfig": {}, "ScalingConfig": {"MaximumConcurrency": 5}}
    )

    assert created["ProvisionedPollerConfig"] == {"MinimumPollers": 3, "MaximumPollers": 200}
    assert ("ProvisionedPollerConfig" in left, left["ScalingConfig"]) == (False, {"MaximumConcurrency": 5})


async def test_a_source_is_set_once(stage: Stage) -> None:
    operations = mapping_operations(stage.supervisor())
    created = await operations["CreateEventSourceMapping"](CALL, GIVEN)

    with pytest.raises(Invalid, match="SelfManagedKafkaEventSourceConfig"):
        await operations["UpdateEventSourceMapping"](
            CALL, {"UUID": created["UUID"], "SelfManagedKafkaEventSourceConfig": {"ConsumerGroupId": "mine"}}
        )


def test_an_update_may_say_nothing_that_a_creation_may_not() -> None:
    assert set(members("UpdateEventSourceMapping")) <= {"UUID", *members("CreateEventSourceMapping")}
