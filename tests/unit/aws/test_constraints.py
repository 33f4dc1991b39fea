"""What does not fit the service model is refused with its place and name, in AWS's words."""

from functools import cache
from typing import Any

import msgspec
import pytest
from botocore.loaders import Loader

from workshape.aws.protocol.codec import Codec
from workshape.aws.protocol.compiled import compile_codecs
from workshape.aws.protocol.errors import ConstraintsViolated, Malformed, UnknownOperation, UnreadableBody
from workshape.http1.message import Request

FUNCTIONS = "/2015-03-31/functions"
GOOD = {"FunctionName": "f", "Role": "arn:aws:iam::123456789012:role/r", "Code": {}}


@cache
def codec(service: str) -> Codec:
    return compile_codecs(service, Loader().load_service_model(service, "service-2"))[-1]


def create(members: dict[str, Any]) -> dict[str, Any]:
    return codec("lambda").read("CreateFunction", {}, Request("POST", FUNCTIONS, (), msgspec.json.encode(members)))


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"Role": None}, "1 validation error detected: Value null at 'role' failed to satisfy constraint: "),
        ({"MemorySize": 64}, "Value '64' at 'memorySize' failed to satisfy constraint: Member must have value greater"),
        (
            {"FunctionName": "no space"},
            "Value 'no space' at 'functionName' failed to satisfy constraint: Member must s",
        ),
        ({"Runtime": "cobol74"}, "Value 'cobol74' at 'runtime' failed to satisfy constraint: Member must satisfy enum"),
        ({"Architectures": ["vax"]}, "Value 'vax' at 'architectures.1.member' failed to satisfy constraint"),
        ({"Environment": {"Variables": {"9": "x"}}}, "Value '***' at 'environment.variables.key' failed to satisfy"),
        ({"Tags": {}, "Description": "x" * 257}, "Member must have length less than or equal to 256"),
    ],
    ids=lambda value: str(value)[:25],
)
def test_a_violated_constraint_is_named_with_its_place(members: dict[str, Any], told: str) -> None:
    with pytest.raises(ConstraintsViolated) as refused:
        create({**GOOD, **members})

    assert told in str(refused.value)


def test_every_violation_is_told() -> None:
    with pytest.raises(ConstraintsViolated, match=r"2 validation errors detected: .*functionName.*; .*timeout"):
        create({**GOOD, "FunctionName": "a b", "Timeout": 0})


def test_members_that_the_model_does_not_know_are_passed_over() -> None:
    assert create({**GOOD, "Nonsense": 1}) == GOOD


def test_a_value_of_the_wrong_type_is_named_with_its_place() -> None:
    with pytest.raises(Malformed, match=r"The value at 'Environment\.Variables\.AB' is not a string\."):
        create({**GOOD, "Environment": {"Variables": {"AB": 1}}})


def test_a_body_that_is_not_json_is_told_apart() -> None:
    with pytest.raises(UnreadableBody, match="Could not parse request body into json"):
        codec("lambda").read("CreateFunction", {}, Request("POST", FUNCTIONS, (), b"{"))


@pytest.mark.parametrize(
    "request_",
    [
        Request("PATCH", FUNCTIONS),
        Request("GET", "/2015-03-31/nothing"),
        Request("GET", "/"),
        Request("GET", FUNCTIONS + "/f/configuration/more"),
    ],
    ids=lambda request: f"{request.method} {request.target}",
)
def test_a_path_that_is_no_operations_is_told(request_: Request) -> None:
    with pytest.raises(UnknownOperation, match="lambda has no operation"):
        codec("lambda").route(request_)


@pytest.mark.parametrize(
    ("method", "target", "operation", "labels"),
    [
        ("GET", FUNCTIONS + "/", "ListFunctions", {}),
        ("GET", FUNCTIONS + "/f", "GetFunction", {"FunctionName": "f"}),
        ("DELETE", FUNCTIONS + "/f?Qualifier=1", "DeleteFunction", {"FunctionName": "f"}),
        ("POST", FUNCTIONS + "/arn%3Aaws%3Alambda/invocations", "Invoke", {"FunctionName": "arn:aws:lambda"}),
        ("POST", FUNCTIONS + "/a%2Fb/invocations", "Invoke", {"FunctionName": "a/b"}),
    ],
)
def test_a_path_names_its_operation(method: str, target: str, operation: str, labels: dict[str, str]) -> None:
    assert codec("lambda").route(Request(method, target)) == (operation, labels)


def test_a_label_is_percent_decoded() -> None:
    found = codec("apigatewaymanagementapi").route(Request("POST", "/@connections/abc%3D"))

    assert found == ("PostToConnection", {"connectionId": "abc="})


def test_sqs_words_missing_parameters_itself() -> None:
    assert codec("sqs").read("SendMessage", {}, Request("POST", "/", (), b'{"MessageBody":null}')) == {}
