"""A message as a record of the event a function gets.

Source: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event
"""

import base64
from typing import Any

import msgspec

from workshape.queues.model import MessageAttribute, ReceivedMessage
from workshape.triggers.batching import Entry

EVENT_SOURCE = "aws:sqs"

_encoder = msgspec.json.Encoder()


def entry_of(message: ReceivedMessage, *, queue_arn: str, region: str) -> Entry:
    """Describe a message to the function."""
    record: dict[str, Any] = {
        "messageId": message.message_id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": message.system_attributes,
        "messageAttributes": {name: _attribute(value) for name, value in message.message_attributes.items()},
        "md5OfBody": message.md5_of_body,
        "eventSource": EVENT_SOURCE,
        "eventSourceARN": queue_arn,
        "awsRegion": region,
    }
    if message.md5_of_message_attributes:
        record["md5OfMessageAttributes"] = message.md5_of_message_attributes
    return Entry(message, _encoder.encode(record))


def _attribute(attribute: MessageAttribute) -> dict[str, Any]:
    described: dict[str, Any] = {"stringListValues": [], "binaryListValues": [], "dataType": attribute.data_type}
    if attribute.binary_value is not None:
        described["binaryValue"] = base64.b64encode(attribute.binary_value).decode()
    else:
        described["stringValue"] = attribute.string_value
    return described
