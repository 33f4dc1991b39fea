"""A service that is spoken to in several protocols: what botocore writes in each we read, and the other way round."""

from typing import Any
from urllib.parse import urlencode

import cbor2
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
from workshape.aws.protocol.errors import ConstraintsViolated, Malformed, UnknownOperation, UnreadableBody
from workshape.http1.message import Request, Response

PROTOCOLS = ("smithy-rpc-v2-cbor", "json", "query")
DESCRIPTION = dict(Loader().load_service_model("cloudwatch", "service-2"))
MODEL = ServiceModel(DESCRIPTION, "cloudwatch")
CODECS = compile_codecs("cloudwatch", DESCRIPTION)
CBOR_HEADERS = (("smithy-protocol", "rpc-v2-cbor"), ("content-type", "application/cbor"))
LIST_METRICS = "/service/GraniteServiceVersion20100801/operation/ListMetrics"
quick = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))


def sent(protocol: str, operation: str, parameters: dict[str, Any]) -> Request:
    """The request botocore makes."""
    serializer = create_serializer(protocol, include_validation=False)
    wire = serializer.serialize_to_request(parameters, MODEL.operation_model(operation))
    body = urlencode(wire["body"]) if isinstance(wire["body"], dict) else wire["body"]
    headers = {name.lower(): str(value) for name, value in wire["headers"].items()}
    return Request(
        wire["method"], wire["url_path"], tuple(headers.items()), body.encode() if isinstance(body, str) else body
    )


def chosen(request: Request) -> Codec:
    return next(codec for codec in CODECS if codec.accepts(request))


def parsed(protocol: str, response: Response, operation: str | None) -> dict[str, Any]:
    wire = {"status_code": response.status, "headers": HeadersDict(response.headers), "body": response.body}
    shape = MODEL.operation_model(operation).output_shape if operation else None
    return dict(create_parser(protocol).parse(wire, shape))  # type: ignore[arg-type]  # None for errors, as botocore


@pytest.mark.parametrize("operation", ["GetMetricStatistics", "ListMetrics", "GetMetricData", "PutMetricData"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
@quick
@given(data=st.data())
def test_an_input_arrives_as_it_was_given(protocol: str, operation: str, data: st.DataObject) -> None:
    shape = MODEL.operation_model(operation).input_shape
    assert shape is not None
    parameters = data.draw(values_of(shape))
    request = sent(protocol, operation, parameters)
    codec = chosen(request)
    readers = codec._readers  # type: ignore[attr-defined]  # without the constraints: made-up values do not keep them

    name, labels = codec.route(request)
    convert, check = readers[name]
    readers[name] = (convert, lambda _value: None)
    try:
        found = codec.read(name, labels, request)
    finally:
        readers[name] = (convert, check)

    assert (codec.protocol, name) == (protocol, operation)
    assert without_empty(found) == without_empty(parameters)


@pytest.mark.parametrize("operation", ["GetMetricStatistics", "ListMetrics", "GetMetricData"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
@quick
@given(data=st.data())
def test_an_output_is_read_as_it_was_returned(protocol: str, operation: str, data: st.DataObject) -> None:
    shape = MODEL.operation_model(operation).output_shape
    assert shape is not None
    output = data.draw(values_of(shape))
    codec = next(codec for codec in CODECS if codec.protocol == protocol)

    found = parsed(protocol, codec.write(operation, output, "an-id"), operation)

    del found["ResponseMetadata"]
    assert without_empty(found) == without_empty(output)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_fault_carries_the_code_that_clients_of_the_query_protocol_know(protocol: str) -> None:
    codec = next(codec for codec in CODECS if codec.protocol == protocol)
    fault = WireFault("InvalidParameterValueException", 400, "no <good>", {}, "InvalidParameterValue")

    found = parsed(protocol, codec.write_fault(fault, "an-id"), None)

    assert (found["Error"]["Code"], found["Error"]["Message"]) == ("InvalidParameterValue", "no <good>")


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (Request("POST", LIST_METRICS, CBOR_HEADERS, b"\xff"), UnreadableBody),
        (Request("POST", LIST_METRICS, CBOR_HEADERS, b"\x81" * 5_000), UnreadableBody),
        (Request("POST", LIST_METRICS, CBOR_HEADERS, cbor2.dumps([1])), Malformed),
        (Request("POST", LIST_METRICS, CBOR_HEADERS, cbor2.dumps({"MetricName": 1})), Malformed),
        (Request("POST", LIST_METRICS, CBOR_HEADERS, cbor2.dumps({"MetricName": ""})), ConstraintsViolated),
        (Request("POST", "/service/Granite/operation/Nothing", CBOR_HEADERS), UnknownOperation),
        (Request("POST", "/operation/ListMetrics", CBOR_HEADERS), UnknownOperation),
    ],
)
def test_cbor_that_is_no_input_is_refused(request_: Request, error: type[Exception]) -> None:
    codec = chosen(request_)

    with pytest.raises(error):
        codec.read(codec.route(request_)[0], {}, request_)


def without_empty(value: Any) -> Any:
    """Forms and XML cannot tell an empty structure from none."""
    if isinstance(value, dict):
        kept = {name: without_empty(item) for name, item in value.items()}
        return {name: item for name, item in kept.items() if item not in ({}, [])}
    if isinstance(value, list):
        return [item for item in map(without_empty, value) if item not in ({}, [])]
    return value
