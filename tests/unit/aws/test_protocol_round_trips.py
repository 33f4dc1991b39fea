"""What botocore's own serialisers write, our codecs read; what our codecs write, botocore's own parsers read."""

from functools import cache
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.awsrequest import HeadersDict
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.shape_values import values_of
from workshape.aws.protocol.codec import Codec, WireFault
from workshape.aws.protocol.compiled import compile_codecs
from workshape.http1.message import Request, Response

REQUEST_ID = "8d1f3c1e-0000-4000-8000-000000000000"
quick = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))


@cache
def description(service: str) -> dict[str, Any]:
    return dict(Loader().load_service_model(service, "service-2"))


@cache
def model(service: str) -> ServiceModel:
    return ServiceModel(description(service), service)


@cache
def codec(service: str) -> Codec:
    """The codec of the service's own protocol."""
    return compile_codecs(service, description(service))[-1]


def sent(service: str, operation: str, parameters: dict[str, Any]) -> Request:
    """The request botocore makes."""
    serializer = create_serializer(model(service).metadata["protocol"], include_validation=False)
    wire = serializer.serialize_to_request(parameters, model(service).operation_model(operation))
    body = urlencode(wire["body"]) if isinstance(wire["body"], dict) else wire["body"]
    body = body.encode() if isinstance(body, str) else bytes(body)
    query = urlencode(wire["query_string"], doseq=True) if wire["query_string"] else ""
    separator = "&" if "?" in wire["url_path"] else "?"
    headers = tuple((name.lower(), str(value)) for name, value in wire["headers"].items())
    return Request(wire["method"], wire["url_path"] + (f"{separator}{query}" if query else ""), headers, body)


def read_back(service: str, operation: str, response: Response) -> dict[str, Any]:
    """What botocore makes of a response."""
    parser = create_parser(model(service).metadata["protocol"])
    wire = {"status_code": response.status, "headers": HeadersDict(response.headers), "body": response.body}
    shape = model(service).operation_model(operation).output_shape
    assert shape is not None
    found: dict[str, Any] = dict(parser.parse(wire, shape))
    metadata = found.pop("ResponseMetadata")
    assert metadata["HTTPStatusCode"] == response.status
    return found


def received(service: str, request: Request) -> tuple[str, dict[str, Any]]:
    operation, labels = codec(service).route(request)
    return operation, codec(service).read(operation, labels, request)


INPUTS = [
    ("sqs", "SendMessageBatch"),
    ("sqs", "ReceiveMessage"),
    ("sqs", "CreateQueue"),
    ("sqs", "ListQueues"),
    ("dynamodb", "PutItem"),
    ("dynamodb", "TransactWriteItems"),
    ("dynamodb", "CreateTable"),
    ("sts", "AssumeRole"),
    ("sns", "Publish"),
    ("sns", "CreateTopic"),
    ("iam", "CreateRole"),
    ("logs", "PutLogEvents"),
    ("secretsmanager", "CreateSecret"),
]


@pytest.mark.parametrize(("service", "operation"), INPUTS)
@quick
@given(data=st.data())
def test_an_input_arrives_as_it_was_given(service: str, operation: str, data: st.DataObject) -> None:
    shape = model(service).operation_model(operation).input_shape
    assert shape is not None
    parameters = data.draw(values_of(shape))
    reader = _unchecked(codec(service))

    request = sent(service, operation, parameters)

    assert codec(service).route(request)[0] == operation
    assert _no_empty(reader(operation, request)) == _no_empty(parameters)


def _unchecked(whole: Codec) -> Any:
    """Read without the constraints: the values made up here do not keep them."""

    def read(operation: str, request: Request) -> Any:
        readers = whole._readers  # type: ignore[attr-defined]  # the test is about shapes, not about constraints
        convert, check = readers[operation]
        readers[operation] = (convert, lambda _value: None)
        try:
            return whole.read(operation, {}, request)
        finally:
            readers[operation] = (convert, check)

    return read


OUTPUTS = [
    ("lambda", "GetFunction"),
    ("lambda", "ListFunctions"),
    ("lambda", "ListEventSourceMappings"),
    ("lambda", "GetAccountSettings"),
    ("sqs", "ReceiveMessage"),
    ("sqs", "GetQueueAttributes"),
    ("sqs", "SendMessageBatch"),
    ("dynamodb", "GetItem"),
    ("dynamodb", "DescribeTable"),
    ("sts", "AssumeRole"),
    ("sns", "GetTopicAttributes"),
    ("sns", "ListSubscriptions"),
    ("iam", "GetRole"),
    ("iam", "SimulatePrincipalPolicy"),
    ("cloudformation", "DescribeStacks"),
]


@pytest.mark.parametrize(("service", "operation"), OUTPUTS)
@quick
@given(data=st.data())
def test_an_output_is_read_as_it_was_returned(service: str, operation: str, data: st.DataObject) -> None:
    shape = model(service).operation_model(operation).output_shape
    assert shape is not None
    output = data.draw(values_of(shape))

    response = codec(service).write(operation, output, REQUEST_ID)

    assert _no_empty(read_back(service, operation, response)) == _no_empty(output)


def _no_empty(value: Any) -> Any:
    """Forms and XML cannot tell an empty structure from none."""
    if isinstance(value, dict):
        kept = {name: _no_empty(item) for name, item in value.items()}
        return {name: item for name, item in kept.items() if item not in ({}, [])}
    if isinstance(value, list):
        return [item for item in map(_no_empty, value) if item not in ({}, [])]
    return value


QUEUE = "arn:aws:sqs:us-east-1:123456789012:q"
LAMBDA_INPUTS: list[tuple[str, dict[str, Any]]] = [
    (
        "Invoke",
        {
            "FunctionName": "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST",
            "InvocationType": "RequestResponse",
            "LogType": "Tail",
            "ClientContext": "e30=",
            "Payload": b'{"a": 1}',
            "Qualifier": "$LATEST",
        },
    ),
    (
        "CreateFunction",
        {
            "FunctionName": "f",
            "Runtime": "python3.12",
            "Role": "arn:aws:iam::123456789012:role/r",
            "Handler": "a.b",
            "Code": {"ZipFile": b"PK\x03\x04"},
            "Environment": {"Variables": {"AB": "", "CD": "ü"}},
            "Tags": {"k": "v"},
            "Layers": [],
            "Publish": False,
            "Timeout": 900,
        },
    ),
    ("ListFunctions", {"MaxItems": 3, "Marker": "a/b+c=="}),
    ("TagResource", {"Resource": "arn:aws:lambda:us-east-1:123456789012:function:f", "Tags": {"a": "b"}}),
    ("UntagResource", {"Resource": "arn:aws:lambda:us-east-1:123456789012:function:f", "TagKeys": ["a", "b&c"]}),
    ("PutFunctionConcurrency", {"FunctionName": "f", "ReservedConcurrentExecutions": 0}),
    ("CreateEventSourceMapping", {"FunctionName": "f", "EventSourceArn": QUEUE, "Enabled": True}),
    ("DeleteEventSourceMapping", {"UUID": "b2cf7ba6-a2a3-444b-9692-e04c8da3082b"}),
    ("GetProvisionedConcurrencyConfig", {"FunctionName": "f", "Qualifier": "live"}),
    ("ListProvisionedConcurrencyConfigs", {"FunctionName": "f", "MaxItems": 3}),
    ("ListLayers", {"MaxItems": 3}),
    ("GetLayerVersionByArn", {"Arn": "arn:aws:lambda:us-east-1:123456789012:layer:l:1"}),
]


@pytest.mark.parametrize(("operation", "parameters"), LAMBDA_INPUTS, ids=lambda value: str(value)[:30])
def test_a_lambda_input_arrives_as_it_was_given(operation: str, parameters: dict[str, Any]) -> None:
    assert received("lambda", sent("lambda", operation, parameters)) == (operation, parameters)


def test_invokes_output_goes_to_status_headers_and_body() -> None:
    output = {"StatusCode": 202, "FunctionError": "Unhandled", "ExecutedVersion": "7", "Payload": b"\x00{}"}

    response = codec("lambda").write("Invoke", {**output, "LogResult": None}, REQUEST_ID)

    assert (response.status, response.body) == (202, b"\x00{}")
    assert ("X-Amz-Function-Error", "Unhandled") in response.headers
    assert "X-Amz-Log-Result" not in dict(response.headers)


@pytest.mark.parametrize("service", ["lambda", "sqs", "sts"])
def test_a_fault_is_read_with_its_code_and_message(service: str) -> None:
    fault = WireFault("ThatException", 409, "It <is> so", {})

    response = codec(service).write_fault(fault, REQUEST_ID)

    parser = create_parser(model(service).metadata["protocol"])
    wire = {"status_code": response.status, "headers": HeadersDict(response.headers), "body": response.body}
    found = parser.parse(wire, None)  # type: ignore[arg-type]  # as botocore itself does for errors
    assert (found["Error"]["Code"], found["Error"]["Message"]) == ("ThatException", "It <is> so")


def test_a_modelled_exception_carries_its_members() -> None:
    members = {"Type": "User", "Reason": "ConcurrentInvocationLimitExceeded", "retryAfterSeconds": "3"}
    fault = WireFault("TooManyRequestsException", 429, "Rate Exceeded.", members)

    response = codec("lambda").write_fault(fault, REQUEST_ID)

    assert ("Retry-After", "3") in response.headers
    assert response.body == b'{"Type":"User","Reason":"ConcurrentInvocationLimitExceeded","message":"Rate Exceeded."}'


def test_a_modelled_exception_without_members_still_has_its_message() -> None:
    response = codec("logs").write_fault(WireFault("InvalidParameterException", 400, "no good", {}), REQUEST_ID)

    assert response.body == b'{"__type":"com.amazonaws.logs#InvalidParameterException","message":"no good"}'


def test_a_query_compatible_service_tells_older_clients_their_code() -> None:
    fault = WireFault("QueueDoesNotExist", 400, "none", {}, "AWS.SimpleQueueService.NonExistentQueue")

    response = codec("sqs").write_fault(fault, REQUEST_ID)

    assert ("x-amzn-query-error", "AWS.SimpleQueueService.NonExistentQueue;Sender") in response.headers
    assert response.body == b'{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"none"}'
