"""What is set beside a function's versions, over a real boto3 client."""

import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from tests.fakes.functions import ARN, Archive, create, refusal
from tests.fakes.invocations import echo
from tests.fakes.live_door import LiveDoor
from workshape.functions.model import InvocationRequest, InvocationResult


def test_limits_of_asynchronous_invocations_are_set_for_each_qualifier(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    create(client, archive(), Publish=True)

    put = client.put_function_event_invoke_config(FunctionName="f", MaximumRetryAttempts=0)
    of_one = client.put_function_event_invoke_config(FunctionName="f", Qualifier="1", MaximumEventAgeInSeconds=60)
    updated = client.update_function_event_invoke_config(
        FunctionName="f", Qualifier="1", MaximumRetryAttempts=1, DestinationConfig={"OnFailure": {}}
    )

    assert (put["FunctionArn"], put["MaximumRetryAttempts"]) == (f"{ARN}:$LATEST", 0)
    assert "MaximumEventAgeInSeconds" not in put
    assert of_one["FunctionArn"] == f"{ARN}:1"
    assert (updated["MaximumRetryAttempts"], updated["MaximumEventAgeInSeconds"]) == (1, 60)
    shown = client.get_function_event_invoke_config(FunctionName="f:1")
    assert {**shown, "ResponseMetadata": 0} == {**updated, "ResponseMetadata": 0}
    listed = client.list_function_event_invoke_configs(FunctionName="f")["FunctionEventInvokeConfigs"]
    assert [config["FunctionArn"] for config in listed] == [f"{ARN}:$LATEST", f"{ARN}:1"]
    again = client.put_function_event_invoke_config(FunctionName="f", Qualifier="1", MaximumRetryAttempts=2)
    assert "MaximumEventAgeInSeconds" not in again, "a put leaves nothing of the one before"


def test_an_event_is_tried_as_often_as_its_qualifier_says(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    create(client, archive())
    client.put_function_event_invoke_config(FunctionName="f", MaximumRetryAttempts=0)
    ran = threading.Event()

    def fail(asked: InvocationRequest) -> InvocationResult:
        ran.set()
        return replace(echo(asked), function_error="Unhandled")

    door.invoke.answer = fail

    client.invoke(FunctionName="f", InvocationType="Event")

    assert ran.wait(5)
    deadline = time.monotonic() + 20
    while door.call(repr, door.events) != "<AsyncQueue events=0 running=0>":
        assert time.monotonic() < deadline, "the event is still there"
    assert len(door.invoke.asked) == 1


def test_limits_go_with_what_they_are_of(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    create(client, archive(), Publish=True)
    for qualifier in ("1", "$LATEST"):
        client.put_function_event_invoke_config(FunctionName="f", Qualifier=qualifier, MaximumRetryAttempts=0)
    none = ("ResourceNotFoundException", 404, f"The function {ARN}:$LATEST doesn't have an EventInvokeConfig")

    client.delete_function(FunctionName="f", Qualifier="1")
    left = client.list_function_event_invoke_configs(FunctionName="f")["FunctionEventInvokeConfigs"]
    client.delete_function_event_invoke_config(FunctionName="f")

    assert [config["FunctionArn"] for config in left] == [f"{ARN}:$LATEST"]
    assert refusal(lambda: client.get_function_event_invoke_config(FunctionName="f")) == none
    assert refusal(lambda: client.delete_function_event_invoke_config(FunctionName="f")) == none
    assert refusal(lambda: client.update_function_event_invoke_config(FunctionName="f", MaximumRetryAttempts=1)) == none


def test_destinations_and_dead_letter_queues_are_set_and_shown(door: LiveDoor, archive: Archive) -> None:
    client, queue = door.client("lambda"), "arn:aws:sqs:us-east-1:123456789012:told"
    door.client("sqs").create_queue(QueueName="told")
    create(client, archive(), DeadLetterConfig={"TargetArn": queue})

    put = client.put_function_event_invoke_config(
        FunctionName="f",
        DestinationConfig={"OnSuccess": {"Destination": ARN}, "OnFailure": {"Destination": queue}},
    )
    updated = client.update_function_event_invoke_config(
        FunctionName="f", DestinationConfig={"OnSuccess": {"Destination": ""}}
    )
    shown = client.get_function_configuration(FunctionName="f")["DeadLetterConfig"]
    without = client.update_function_configuration(FunctionName="f", DeadLetterConfig={"TargetArn": ""})

    assert put["DestinationConfig"] == {"OnSuccess": {"Destination": ARN}, "OnFailure": {"Destination": queue}}
    assert updated["DestinationConfig"] == {"OnSuccess": {}, "OnFailure": {"Destination": queue}}
    assert shown == {"TargetArn": queue}
    assert "DeadLetterConfig" not in without


def test_what_nothing_can_be_delivered_to_is_refused_with_the_reason(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    create(client, archive())
    account = "us-east-1:123456789012"

    def put(**destination: str) -> tuple[str, int, str]:
        config = {member: {"Destination": arn} for member, arn in destination.items()}
        return refusal(lambda: client.put_function_event_invoke_config(FunctionName="f", DestinationConfig=config))

    missing = put(OnFailure=f"arn:aws:sqs:{account}:q")
    stream = put(OnFailure=f"arn:aws:kinesis:{account}:stream/s")
    fifo = put(OnSuccess=f"arn:aws:sqs:{account}:q.fifo")
    bucket = put(OnSuccess="arn:aws:s3:::b")
    dead_letter = refusal(
        lambda: client.update_function_configuration(FunctionName="f", DeadLetterConfig={"TargetArn": ARN})
    )

    refusals = (missing, stream, fifo, bucket, dead_letter)
    assert {refused[:2] for refused in refusals} == {("InvalidParameterValueException", 400)}
    assert missing[2].endswith("q does not exist: create the SQS queue first.")
    assert "kinesis is no destination for this" in stream[2]
    assert "FIFO queues" in fifo[2]
    assert "s3 is no destination for this" in bucket[2]
    assert "Possible here: arn:aws:sqs:REGION:ACCOUNT:NAME." in dead_letter[2]
    assert refusal(lambda: client.put_function_event_invoke_config(FunctionName="f"))[2] == (
        "You must specify at least one of error handling or destination setting."
    )
    assert refusal(lambda: client.put_function_event_invoke_config(FunctionName="f", MaximumRetryAttempts=3))[:2] == (
        "ValidationException",
        400,
    )


def test_settings_are_found_again(tmp_path: Path, archive: Archive) -> None:
    first = LiveDoor(tmp_path)
    client = first.client("lambda")
    create(client, archive())
    client.put_function_event_invoke_config(FunctionName="f", MaximumRetryAttempts=1)
    client.add_permission(FunctionName="f", Action="lambda:*", StatementId="a", Principal="*")
    client.put_runtime_management_config(FunctionName="f", UpdateRuntimeOn="FunctionUpdate")
    first.close()

    second = LiveDoor(tmp_path)

    client = second.client("lambda")
    retries = client.get_function_event_invoke_config(FunctionName="f")["MaximumRetryAttempts"]
    policy = client.get_policy(FunctionName="f")["Policy"]
    update = client.get_runtime_management_config(FunctionName="f")["UpdateRuntimeOn"]
    second.close()
    assert (retries, '"Sid":"a"' in policy, update) == (1, True, "FunctionUpdate")


def test_a_runtimes_updates_are_set_where_they_mean_nothing_and_refused_where_they_would(
    door: LiveDoor, archive: Archive
) -> None:
    client = door.client("lambda")
    create(client, archive(), Publish=True)

    put = client.put_runtime_management_config(FunctionName="f", Qualifier="1", UpdateRuntimeOn="FunctionUpdate")

    assert (put["UpdateRuntimeOn"], put["FunctionArn"]) == ("FunctionUpdate", f"{ARN}:1")
    assert client.get_runtime_management_config(FunctionName="f")["UpdateRuntimeOn"] == "Auto"
    assert refusal(
        lambda: client.put_runtime_management_config(
            FunctionName="f",
            UpdateRuntimeOn="Manual",
            RuntimeVersionArn=f"arn:aws:lambda:us-east-1::runtime:{'0' * 64}",
        )
    ) == ("InvalidParameterValueException", 400, "workshape does not do UpdateRuntimeOn Manual of functions yet.")


def test_tags_are_a_functions_and_at_most_fifty(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    create(client, archive(), Publish=True, Tags={str(number): "" for number in range(50)})
    invalid = ("InvalidParameterValueException", 400)

    assert refusal(lambda: client.tag_resource(Resource=ARN, Tags={"one more": ""})) == (
        *invalid,
        "A function has at most 50 tags.",
    )
    assert (
        refusal(lambda: create(client, archive(), "g", Tags={str(number): "" for number in range(51)}))[:2] == invalid
    )
    assert refusal(lambda: client.tag_resource(Resource=f"{ARN}:1", Tags={"a": "b"}))[2].startswith(
        "Tags on function aliases and versions are not supported."
    )
    assert refusal(lambda: client.list_tags(Resource=f"{ARN}x"))[:2] == ("ResourceNotFoundException", 404)


def test_the_account_counts_the_packages_of_functions_versions_and_layers(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    create(client, archive(), Publish=True)
    client.publish_layer_version(LayerName="l", Content={"ZipFile": archive()})

    usage = client.get_account_settings()["AccountUsage"]

    assert usage == {"FunctionCount": 1, "TotalCodeSize": 3 * len(archive())}


def test_operations_that_are_not_built_are_refused_by_name(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    create(client, archive())
    signing = f"arn:aws:lambda:us-east-1:123456789012:code-signing-config:csc-{'0' * 17}"

    refused: dict[str, dict[str, Any]] = {
        "create_code_signing_config": {"AllowedPublishers": {"SigningProfileVersionArns": [signing]}},
        "get_code_signing_config": {"CodeSigningConfigArn": signing},
        "list_code_signing_configs": {},
        "delete_code_signing_config": {"CodeSigningConfigArn": signing},
        "put_function_code_signing_config": {"CodeSigningConfigArn": signing, "FunctionName": "f"},
        "delete_function_code_signing_config": {"FunctionName": "f"},
        "list_functions_by_code_signing_config": {"CodeSigningConfigArn": signing},
    }
    for name, parameters in refused.items():
        code, status, message = refusal(partial(getattr(client, name), **parameters))

        assert (code, status) == ("NotImplemented", 501)
        assert (
            message == f"workshape does not answer lambda's operation {client.meta.method_to_api_mapping[name]} (yet)."
        )
