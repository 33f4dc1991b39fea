"""Bodies that nobody's SDK sends: each is refused as what it is, and costs no more than reading it."""

from typing import Any

import msgspec
import pytest
from botocore.loaders import Loader

from workshape.aws.protocol.codec import Codec
from workshape.aws.protocol.compiled import compile_codecs
from workshape.aws.protocol.errors import Malformed, UnreadableBody
from workshape.http1.message import Request

DEEP = 100_000
TARGET = {"Arn": "arn:aws:sqs:us-east-1:123456789012:q", "RoleArn": "arn:aws:iam::123456789012:role/r"}
SCHEDULE = {"ScheduleExpression": "rate(5 minutes)", "FlexibleTimeWindow": {"Mode": "OFF"}, "Target": TARGET}


def codec(service: str) -> Codec:
    return compile_codecs(service, Loader().load_service_model(service, "service-2"))[0]


def read(service: str, path: str, body: bytes, target: str = "") -> dict[str, Any]:
    reader, request = codec(service), Request("POST", path, (("x-amz-target", target),), body)
    operation, labels = reader.route(request)
    return reader.read(operation, labels, request)


@pytest.mark.parametrize(
    ("service", "path", "target"),
    [("events", "/", "AWSEvents.PutEvents"), ("scheduler", "/schedules/s", ""), ("apigateway", "/restapis", "")],
)
@pytest.mark.parametrize("body", [b"[" * DEEP, b'{"a":' * DEEP + b"1" + b"}" * DEEP])
def test_a_body_nested_too_deep_cannot_be_read(service: str, path: str, target: str, body: bytes) -> None:
    with pytest.raises(UnreadableBody):
        read(service, path, body, target)


@pytest.mark.parametrize("time", [1e18, -1e18, 1e300, True, "soon"])
def test_a_time_that_no_calendar_has_is_none(time: object) -> None:
    with pytest.raises(Malformed):
        read("scheduler", "/schedules/s", msgspec.json.encode({**SCHEDULE, "StartDate": time}))
