"""A message as a record of the event, against the documentation's example."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.messages import received
from workshape.queues.model import MessageAttribute, ReceivedMessage
from workshape.triggers.records import entry_of

QUEUE_ARN = "arn:aws:sqs:us-east-2:123456789012:my-queue"


def record(message: ReceivedMessage) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(entry_of(message, queue_arn=QUEUE_ARN, region="us-east-2").record)
    return decoded


def test_a_record_has_the_documented_shape() -> None:
    attributes = {"myAttribute": MessageAttribute("String", "myValue")}
    message = received("059f36b4-87a3-44ab-83d2-661975830a7d", "Test message.", attributes)

    assert record(message) == {
        "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
        "receiptHandle": "handle of 059f36b4-87a3-44ab-83d2-661975830a7d",
        "body": "Test message.",
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1545082649183",
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": "1545082649185",
        },
        "messageAttributes": {
            "myAttribute": {
                "stringValue": "myValue",
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": "String",
            }
        },
        "md5OfMessageAttributes": message.md5_of_message_attributes,
        "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-2:123456789012:my-queue",
        "awsRegion": "us-east-2",
    }


def test_a_message_without_attributes_has_no_digest_of_them() -> None:
    made = record(received("1", "a"))

    assert made["messageAttributes"] == {}
    assert "md5OfMessageAttributes" not in made


def test_binary_attributes_are_base64() -> None:
    made = record(received("1", "a", {"b": MessageAttribute("Binary.png", None, b"\x00\xff")}))

    assert made["messageAttributes"]["b"] == {
        "binaryValue": "AP8=",
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": "Binary.png",
    }


def test_an_entry_carries_its_message() -> None:
    message = received("1")

    assert entry_of(message, queue_arn=QUEUE_ARN, region="us-east-2").message is message


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_a_body_arrives_as_it_was_sent(body: str) -> None:
    assert record(received("1", body))["body"] == body
