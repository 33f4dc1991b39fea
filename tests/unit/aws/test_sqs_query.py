"""SQS's older protocol, as its API reference shows it: forms in, XML out.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html (and others)
"""

import xml.etree.ElementTree as ElementTree
from functools import cache
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.loaders import Loader

from workshape.aws.protocol.codec import Codec, WireFault
from workshape.aws.protocol.compiled import compile_codecs
from workshape.aws.protocol.errors import Malformed, UnknownOperation
from workshape.http1.message import Request, Response

FORM = (("content-type", "application/x-www-form-urlencoded; charset=utf-8"), ("host", "localhost:4566"))
QUEUE = "http://localhost:4566/123456789012/q"


@cache
def codec() -> Codec:
    return compile_codecs("sqs", Loader().load_service_model("sqs", "service-2"))[0]


def read(fields: dict[str, str], target: str = "/") -> dict[str, Any]:
    request = Request("POST", target, FORM, urlencode(fields).encode())
    assert codec().accepts(request)
    operation, labels = codec().route(request)
    return codec().read(operation, labels, request)


def element(response: Response, path: str) -> list[str | None]:
    assert isinstance(response.body, bytes)
    root = ElementTree.fromstring(response.body.replace(b' xmlns="http://queue.amazonaws.com/doc/2012-11-05/"', b""))
    return [found.text for found in root.findall(path)]


def test_maps_are_read_from_numbered_names_and_values() -> None:
    fields = {
        "Action": "CreateQueue",
        "QueueName": "q",
        "Attribute.1.Name": "DelaySeconds",
        "Attribute.1.Value": "5",
        "Attribute.2.Name": "VisibilityTimeout",
        "Attribute.2.Value": "40",
        "Tag.1.Key": "team",
        "Tag.1.Value": "events",
    }

    attributes = {"DelaySeconds": "5", "VisibilityTimeout": "40"}
    assert read(fields) == {"QueueName": "q", "Attributes": attributes, "tags": {"team": "events"}}


def test_lists_are_read_in_the_order_of_their_numbers() -> None:
    fields = {
        "Action": "ReceiveMessage",
        "QueueUrl": QUEUE,
        "MaxNumberOfMessages": "10",
        "AttributeName.10": "SenderId",
        "AttributeName.2": "All",
        "MessageAttributeName.1": "a.*",
    }

    assert read(fields) == {
        "QueueUrl": QUEUE,
        "MaxNumberOfMessages": 10,
        "AttributeNames": ["All", "SenderId"],
        "MessageAttributeNames": ["a.*"],
    }


def test_a_batch_is_read_with_its_entries_attributes() -> None:
    fields = {
        "Action": "SendMessageBatch",
        "SendMessageBatchRequestEntry.1.Id": "one",
        "SendMessageBatchRequestEntry.1.MessageBody": "a b&c",
        "SendMessageBatchRequestEntry.1.MessageAttribute.1.Name": "n",
        "SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.DataType": "Binary",
        "SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.BinaryValue": "AAE=",
        "SendMessageBatchRequestEntry.2.Id": "two",
        "SendMessageBatchRequestEntry.2.DelaySeconds": "7",
    }

    first = {
        "Id": "one",
        "MessageBody": "a b&c",
        "MessageAttributes": {"n": {"DataType": "Binary", "BinaryValue": b"\x00\x01"}},
    }
    assert read(fields) == {"Entries": [first, {"Id": "two", "DelaySeconds": 7}]}


def test_the_path_names_the_queue_when_no_field_does() -> None:
    assert read({"Action": "PurgeQueue"}, "/123456789012/q") == {"QueueUrl": QUEUE}


def test_a_request_may_be_all_in_the_query() -> None:
    request = Request("GET", "/?Action=GetQueueUrl&QueueName=q&Version=2012-11-05")

    assert codec().accepts(request)
    assert codec().route(request)[0] == "GetQueueUrl"
    assert codec().read("GetQueueUrl", {}, request) == {"QueueName": "q"}


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"Action": "ReceiveMessage", "MaxNumberOfMessages": "many"}, "MaxNumberOfMessages"),
        ({"Action": "ReceiveMessage", "AttributeName.x": "All"}, "AttributeNames"),
        ({"Action": "CreateQueue", "Attribute.1.Name": "x"}, "Attributes.1"),
        ({"Action": "SendMessage", ".".join("a" * 40): ""}, "a.a.a"),
    ],
)
def test_a_malformed_field_is_named(fields: dict[str, str], place: str) -> None:
    with pytest.raises(Malformed) as refused:
        read(fields)

    assert refused.value.place == place


def test_an_unknown_action_is_told() -> None:
    with pytest.raises(UnknownOperation, match="sqs has no operation Dance"):
        read({"Action": "Dance"})


def test_messages_are_written_as_xml() -> None:
    message = {
        "MessageId": "m",
        "Body": "<&>\r\n",
        "Attributes": {"SenderId": "x", "SentTimestamp": "1"},
        "MessageAttributes": {"n": {"DataType": "Binary", "BinaryValue": b"\x00\x01"}},
    }

    response = codec().write("ReceiveMessage", {"Messages": [message, {"MessageId": "m2"}]}, "id-1")

    result = "ReceiveMessageResult/Message"
    assert element(response, f"{result}/MessageId") == ["m", "m2"]
    assert element(response, f"{result}/Body") == ["<&>\r\n"]
    assert element(response, f"{result}/Attribute/Name") == ["SenderId", "SentTimestamp"]
    assert element(response, f"{result}/MessageAttribute/Value/BinaryValue") == ["AAE="]
    assert element(response, "ResponseMetadata/RequestId") == ["id-1"]


def test_an_operation_without_output_has_no_result() -> None:
    response = codec().write("DeleteMessage", {}, "id-1")

    assert response.body == (
        b'<?xml version="1.0"?><DeleteMessageResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/">'
        b"<ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata></DeleteMessageResponse>"
    )


def test_an_error_carries_the_older_code() -> None:
    fault = WireFault("QueueDoesNotExist", 400, "none", {}, "AWS.SimpleQueueService.NonExistentQueue")

    response = codec().write_fault(fault, "id-1")

    assert element(response, "Error/Code") == ["AWS.SimpleQueueService.NonExistentQueue"]
    assert element(response, "Error/Type") == ["Sender"]
