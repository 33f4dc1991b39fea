"""Every member that a request about an event source mapping may have: obeyed, or refused by its name."""

from typing import Any

import pytest
from botocore.loaders import Loader

from tests.integration.triggers.conftest import ACCOUNT, EVENTS, REGION, Stage
from workshape.aws.lambda_.mappings import NotOfMappings, mapping_operations
from workshape.aws.operation import Call

CALL = Call(ACCOUNT, REGION, "id-1", "http://127.0.0.1:4566")
GIVEN: dict[str, Any] = {"FunctionName": "events", "EventSourceArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{EVENTS}"}
OBEYED = {"Enabled", "BatchSize", "MaximumBatchingWindowInSeconds", "FunctionResponseTypes", "ScalingConfig"}
OF_NO_EFFECT: dict[str, Any] = {
    "FilterCriteria": {},
    "KMSKeyArn": "",
    "MetricsConfig": {"Metrics": []},
    "ParallelizationFactor": 1,
    "DestinationConfig": {"OnFailure": {}},
    "Tags": {},
}
EFFECTIVE: dict[str, Any] = {
    "FilterCriteria": {"Filters": [{"Pattern": "{}"}]},
    "MetricsConfig": {"Metrics": ["EventCount"]},
    "ParallelizationFactor": 2,
    "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:123456789012:failed"}},
}


def members(operation: str) -> list[str]:
    model = Loader().load_service_model("lambda", "service-2")
    return sorted(model["shapes"][f"{operation}Request"]["members"])


REFUSED = [name for name in members("CreateEventSourceMapping") if name not in OBEYED | GIVEN.keys()]


@pytest.mark.parametrize("member", REFUSED)
async def test_a_member_that_would_not_be_obeyed_is_refused_by_name(stage: Stage, member: str) -> None:
    operations = mapping_operations(stage.supervisor())

    with pytest.raises(NotOfMappings, match=f"^{member} of event source mappings"):
        await operations["CreateEventSourceMapping"](CALL, {**GIVEN, member: EFFECTIVE.get(member, "something")})


async def test_a_member_that_changes_nothing_is_accepted(stage: Stage) -> None:
    operations = mapping_operations(stage.supervisor())

    created = await operations["CreateEventSourceMapping"](CALL, {**GIVEN, **OF_NO_EFFECT})
    same = await operations["UpdateEventSourceMapping"](CALL, {"UUID": created["UUID"], **OF_NO_EFFECT})

    assert same == created


async def test_what_an_update_leaves_out_stays(stage: Stage) -> None:
    operations = mapping_operations(stage.supervisor())
    settings: dict[str, Any] = {
        "BatchSize": 7,
        "MaximumBatchingWindowInSeconds": 2,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ScalingConfig": {"MaximumConcurrency": 9},
    }
    created = await operations["CreateEventSourceMapping"](CALL, {**GIVEN, **settings, "Enabled": False})

    changed = await operations["UpdateEventSourceMapping"](CALL, {"UUID": created["UUID"], "BatchSize": 8})
    moved = await operations["UpdateEventSourceMapping"](
        CALL, {"UUID": created["UUID"], "FunctionName": "events:live", "ScalingConfig": {}}
    )

    assert {name: changed[name] for name in settings} == {**settings, "BatchSize": 8}
    assert changed["FunctionArn"] == f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:events"
    assert moved["FunctionArn"] == f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:events:live"
    assert (moved["BatchSize"], "ScalingConfig" in moved) == (8, False)


def test_an_update_may_say_nothing_that_a_creation_may_not() -> None:
    assert set(members("UpdateEventSourceMapping")) <= {"UUID", *members("CreateEventSourceMapping")}
