"""Functions over a real boto3 client: made, shown, changed, invoked, removed."""

import json
import threading
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError
from msgspec.structs import replace

from tests.fakes.functions import ARN, Archive, create, refusal
from tests.fakes.invocations import echo
from tests.fakes.live_door import LiveDoor
from workshape.errors import BackendUnavailable
from workshape.functions.concurrency import ThrottleReason, TooManyRequests
from workshape.functions.model import InvocationRequest, InvocationResult


def test_a_created_function_is_shown_as_it_was_made(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")

    made = create(client, archive(), Timeout=9, MemorySize=256, Environment={"Variables": {"A1": "ü"}}, Tags={"a": "b"})

    shown = client.get_function(FunctionName="f")
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert {**shown["Configuration"]} == {name: made[name] for name in made if name != "ResponseMetadata"}
    assert (made["FunctionArn"], made["Version"], made["Timeout"], made["MemorySize"]) == (ARN, "$LATEST", 9, 256)
    assert (made["State"], made["LastUpdateStatus"], made["CodeSize"]) == ("Active", "Successful", len(archive()))
    assert made["Environment"] == {"Variables": {"A1": "ü"}}
    assert shown["Tags"] == {"a": "b"}
    client.get_waiter("function_active_v2").wait(FunctionName="f")
    client.get_waiter("function_updated_v2").wait(FunctionName="f")


def test_functions_and_their_code_are_found_again(tmp_path: Path, archive: Archive) -> None:
    first = LiveDoor(tmp_path)
    made = create(first.client("lambda"), archive())
    first.close()

    second = LiveDoor(tmp_path)

    found = second.client("lambda").get_function_configuration(FunctionName="f")
    folder = Path(second.call(second.catalog.resolve, "f", None).code_folder)
    second.close()
    assert (found["RevisionId"], found["CodeSha256"]) == (made["RevisionId"], made["CodeSha256"])
    assert (folder / "app.py").read_text().startswith("def handler")


@pytest.mark.parametrize("name", ["f", "f:$LATEST", ARN, f"{ARN}:$LATEST", "123456789012:function:f"])
def test_a_function_goes_by_all_its_names(door: LiveDoor, archive: Archive, name: str) -> None:
    client = door.client("lambda")
    create(client, archive())

    found = client.invoke(FunctionName=name, Payload=b"1")

    assert found["Payload"].read() == b"1"
    assert door.invoke.asked[0].name == "f"


def test_an_invocation_carries_everything_both_ways(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    create(client, archive())
    context = b64encode(json.dumps({"custom": {"a": 1}}).encode()).decode()

    answer = client.invoke(FunctionName="f", Payload=b'{"x": 1}', LogType="Tail", ClientContext=context)

    (asked,) = door.invoke.asked
    assert (asked.payload, asked.trigger, asked.client_context) == (b'{"x": 1}', "api", '{"custom": {"a": 1}}')
    assert asked.request_id == answer["ResponseMetadata"]["RequestId"]
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert b64decode(answer["LogResult"]) == b"START\nEND\n"
    assert answer["Payload"].read() == b'{"x": 1}'


def test_no_payload_is_an_empty_object(door: LiveDoor, archive: Archive) -> None:
    create(door.client("lambda"), archive())

    assert door.client("lambda").invoke(FunctionName="f")["Payload"].read() == b"{}"


def test_a_function_that_fails_is_an_answer(door: LiveDoor, archive: Archive) -> None:
    create(door.client("lambda"), archive())
    door.invoke.answer = lambda asked: replace(echo(asked), function_error="Unhandled", payload=b'{"errorType": "E"}')

    answer = door.client("lambda").invoke(FunctionName="f", Payload=b"{}")

    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert answer["Payload"].read() == b'{"errorType": "E"}'


def test_a_throttled_invocation_says_why(door: LiveDoor, archive: Archive) -> None:
    create(door.client("lambda"), archive())

    def throttle(_asked: InvocationRequest) -> InvocationResult:
        raise TooManyRequests(reason_code=ThrottleReason.RESERVED.value)

    door.invoke.answer = throttle

    with pytest.raises(ClientError) as refused:
        door.client("lambda").invoke(FunctionName="f")

    response: Any = refused.value.response
    assert response["Error"] == {"Code": "TooManyRequestsException", "Message": "Rate Exceeded."}
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (BackendUnavailable(backend="it", address="there", reason="so"), "it does not answer at there: so."),
        (KeyError("secret"), "workshape failed on this request; the engine's log tells why, under the request's id."),
    ],
    ids=["ours", "unexpected"],
)
def test_a_failure_of_the_platform_is_a_service_exception(
    door: LiveDoor, archive: Archive, failure: Exception, told: str
) -> None:
    create(door.client("lambda"), archive())

    def fail(_asked: InvocationRequest) -> InvocationResult:
        raise failure

    door.invoke.answer = fail

    assert refusal(lambda: door.client("lambda").invoke(FunctionName="f")) == ("ServiceException", 500, told)


def test_a_dry_run_runs_nothing(door: LiveDoor, archive: Archive) -> None:
    create(door.client("lambda"), archive())

    answer = door.client("lambda").invoke(FunctionName="f", InvocationType="DryRun")

    assert answer["StatusCode"] == 204
    assert not door.invoke.asked


def test_an_event_is_accepted_and_runs_in_the_background(door: LiveDoor, archive: Archive) -> None:
    create(door.client("lambda"), archive())
    ran = threading.Event()

    def answer(asked: InvocationRequest) -> InvocationResult:
        ran.set()
        return echo(asked)

    door.invoke.answer = answer

    accepted = door.client("lambda").invoke(FunctionName="f", InvocationType="Event", Payload=b"[1]")

    assert (accepted["StatusCode"], accepted["Payload"].read()) == (202, b"")
    assert ran.wait(5)
    (asked,) = door.invoke.asked
    assert (asked.payload, asked.trigger, asked.request_id) == (
        b"[1]",
        "event",
        accepted["ResponseMetadata"]["RequestId"],
    )


def test_the_old_asynchronous_call_is_a_smaller_event_without_the_callers_trace(
    door: LiveDoor, archive: Archive
) -> None:
    client = door.client("lambda")
    create(client, archive())
    ran = threading.Event()

    def answer(asked: InvocationRequest) -> InvocationResult:
        ran.set()
        return echo(asked)

    door.invoke.answer = answer
    trace = {"X-Amzn-Trace-Id": "Root=1-5"}
    client.meta.events.register("before-send.lambda", lambda request, **_: request.headers.update(trace))

    accepted = client.invoke_async(FunctionName="f", InvokeArgs=b"[2]")
    too_large = refusal(lambda: client.invoke_async(FunctionName="f", InvokeArgs=b'"%b"' % (b"x" * 256 * 1024)))

    assert accepted["Status"] == 202
    assert ran.wait(5)
    (asked,) = door.invoke.asked
    assert (asked.payload, asked.trigger) == (b"[2]", "event")
    assert "Root=" not in asked.trace_id
    assert too_large[:2] == ("RequestTooLargeException", 413)


def test_a_changed_function_has_a_new_revision_and_its_users_are_told(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    made = create(client, archive(), Description="one")
    told: list[tuple[str, set[str]]] = []
    door.call(door.catalog.subscribe, lambda name, revisions: told.append((name, {*revisions})))

    recoded = client.update_function_code(FunctionName="f", ZipFile=archive(app="x = 1"), RevisionId=made["RevisionId"])
    changed = client.update_function_configuration(FunctionName=ARN, Timeout=30)
    client.delete_function(FunctionName="f")

    assert recoded["CodeSha256"] != made["CodeSha256"]
    assert (changed["Timeout"], changed["Description"], changed["CodeSha256"]) == (30, "one", recoded["CodeSha256"])
    assert told == [("f", {recoded["RevisionId"]}), ("f", {changed["RevisionId"]}), ("f", set())]


def test_what_lambda_refuses_is_refused_in_its_words(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    made = create(client, archive())
    stale = {"FunctionName": "f", "RevisionId": "not-this"}
    missing = "Function not found: arn:aws:lambda:us-east-1:123456789012:function:none"

    assert refusal(lambda: client.invoke(FunctionName="none")) == ("ResourceNotFoundException", 404, missing)
    assert refusal(lambda: client.get_function(FunctionName="none", Qualifier="7")) == (
        "ResourceNotFoundException",
        404,
        f"{missing}:7",
    )
    assert refusal(lambda: client.delete_function(FunctionName="none"))[:2] == ("ResourceNotFoundException", 404)
    assert refusal(lambda: create(client, archive())) == (
        "ResourceConflictException",
        409,
        "Function already exist: f",
    )
    assert refusal(lambda: client.update_function_configuration(**stale, Timeout=4))[:2] == (
        "PreconditionFailedException",
        412,
    )
    assert refusal(lambda: create(client, b"no zip", "g"))[0] == "InvalidParameterValueException"
    assert refusal(lambda: create(client, archive(), "g", Timeout=901)) == (
        "ValidationException",
        400,
        "1 validation error detected: Value '901' at 'timeout' failed to satisfy constraint: "
        "Member must have value less than or equal to 900",
    )
    assert refusal(lambda: create(client, archive(), "g", Environment={"Variables": {"AWS_REGION": "x"}}))[2].endswith(
        "Reserved keys used in this request: AWS_REGION"
    )
    assert refusal(lambda: create(client, archive(), "g", PackageType="Image"))[2] == (
        "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image."
    )
    assert refusal(lambda: client.invoke(FunctionName="f", Payload=b"{no"))[:2] == (
        "InvalidRequestContentException",
        400,
    )
    assert refusal(lambda: client.invoke(FunctionName="f:1", Qualifier="2"))[0] == "InvalidParameterValueException"
    assert refusal(lambda: client.list_capacity_providers())[:2] == ("NotImplemented", 501)
    assert client.get_function_configuration(FunctionName="f")["RevisionId"] == made["RevisionId"]


def test_a_payload_over_six_mebibytes_is_too_large(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    create(client, archive())
    payload = b'"' + b"x" * (6 * 1024 * 1024) + b'"'

    code, status, message = refusal(lambda: client.invoke(FunctionName="f", Payload=payload))

    assert (code, status) == ("RequestTooLargeException", 413)
    assert message == "Request must be smaller than 6291456 bytes for the InvokeFunction operation"
    assert client.invoke(FunctionName="f", Payload=payload[:-3] + b'"')["StatusCode"] == 200


def test_half_a_character_passes_as_the_grammar_of_json_allows_it(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    create(client, archive())

    passed = client.invoke(FunctionName="f", Payload=b'{"cut": "\\ud83d"}')["Payload"].read()

    assert passed == b'{"cut": "\\ud83d"}'


@pytest.mark.parametrize(
    "payload", [b'{"cut": "\\ud83d"', b'["\\ud83d", NaN]', b'"\\ud83d" 1', b'"\\u12"', b'"\xed\xa0\xbd\\u0041"']
)
def test_half_a_character_makes_nothing_else_json(door: LiveDoor, archive: Archive, payload: bytes) -> None:
    client = door.client("lambda")
    create(client, archive())

    code, status, _ = refusal(lambda: client.invoke(FunctionName="f", Payload=payload))

    assert (code, status) == ("InvalidRequestContentException", 400)


def test_functions_are_listed_in_pages(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    for name in ("c", "a", "b"):
        create(client, archive(), name)

    pages = list(client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2}))

    assert [[function["FunctionName"] for function in page["Functions"]] for page in pages] == [["a", "b"], ["c"]]


@pytest.mark.parametrize("marker", ["@@@", "=", "4", "YQ==\n", "/w=="])
def test_a_marker_of_no_page_is_refused(door: LiveDoor, marker: str) -> None:
    client = door.client("lambda")

    code, status, message = refusal(lambda: client.list_functions(Marker=marker))

    assert (code, status) == ("InvalidParameterValueException", 400)
    assert message.startswith("Invalid Marker")


def test_what_is_said_of_a_network_is_kept(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    network = {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}

    made = create(client, archive(), VpcConfig={**network, "Ipv6AllowedForDualStack": True})

    assert made["VpcConfig"] == {**network, "VpcId": "", "Ipv6AllowedForDualStack": True}
    changed = client.update_function_configuration(FunctionName="f", VpcConfig=network)
    assert changed["VpcConfig"] == {**network, "VpcId": "", "Ipv6AllowedForDualStack": False}


def test_concurrency_is_reserved_and_given_back(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    create(client, archive())

    client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=900)

    assert client.get_function_concurrency(FunctionName="f")["ReservedConcurrentExecutions"] == 900
    assert client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == 100
    assert door.call(door.catalog.reserved_concurrency, "f") == 900
    code, _, message = refusal(
        lambda: client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=901)
    )
    assert code == "InvalidParameterValueException"
    assert message.endswith("below its minimum value of [100].")
    client.delete_function_concurrency(FunctionName="f")
    assert "ReservedConcurrentExecutions" not in client.get_function_concurrency(FunctionName="f")


def test_tags_are_set_and_removed(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    create(client, archive(), Tags={"a": "1"})

    client.tag_resource(Resource=ARN, Tags={"b": "2", "c": "3"})
    client.untag_resource(Resource=ARN, TagKeys=["a", "c"])

    assert client.list_tags(Resource=ARN)["Tags"] == {"b": "2"}


def test_keys_of_tags_that_begin_as_awss_own_do_are_refused(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    create(client, archive())

    assert refusal(lambda: create(client, archive(), "g", Tags={"aws:a": "1"}))[:2] == (
        "InvalidParameterValueException",
        400,
    )
    assert refusal(lambda: client.tag_resource(Resource=ARN, Tags={"b": "1", "AWS:a": "1"}))[0] == (
        "InvalidParameterValueException"
    )
    assert client.list_tags(Resource=ARN)["Tags"] == {}
    assert [found["FunctionName"] for found in client.list_functions()["Functions"]] == ["f"]


def test_the_admin_path_is_not_aws(door: LiveDoor) -> None:
    assert httpx.get(f"{door.url}/_workshape/status").text == "admin /_workshape/status"


def test_every_answer_carries_its_request_id(door: LiveDoor) -> None:
    answer = httpx.get(f"{door.url}/2015-03-31/functions/none")

    assert answer.status_code == 404
    assert answer.headers["x-amzn-errortype"] == "ResourceNotFoundException"
    assert len(answer.headers["x-amzn-requestid"]) == 36


def test_waiting_clients_do_not_hold_others_up(door: LiveDoor, archive: Archive) -> None:
    create(door.client("lambda"), archive())
    sqs = door.client("sqs")
    queue = sqs.create_queue(QueueName="q")["QueueUrl"]
    poll = threading.Thread(target=sqs.receive_message, kwargs={"QueueUrl": queue, "WaitTimeSeconds": 20})
    poll.start()

    invoked = door.client("lambda").invoke(FunctionName="f")
    still_waits = poll.is_alive()
    sqs.send_message(QueueUrl=queue, MessageBody="enough")
    poll.join()

    assert (invoked["StatusCode"], still_waits) == (200, True)
