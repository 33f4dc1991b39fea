"""What a subscription gets of a message: a queue SNS's JSON or the message itself, a function its record. A core.

Source: https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
Source: https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html
Source: https://docs.aws.amazon.com/sns/latest/dg/sns-large-payload-raw-message-delivery.html
"""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec

from workshape.delivery import Delivery, DeliveryAttribute
from workshape.iso_time import iso_milliseconds
from workshape.topics.model import Message, Protocol, Subscription, Topic

TYPE = "Notification"
_SOURCE = "aws:sns"

Sign = Callable[[str, str], str]
"""Takes the string to sign and the version of the signature; returns the signature in base64."""


@dataclass(frozen=True, slots=True)
class Sending:
    """One message, published."""

    topic: Topic
    message: Message
    message_id: str
    sequence_number: str
    deduplication_id: str
    """Both empty on standard topics."""
    at: float
    """Unix time."""
    endpoint: str
    """The front door's URL."""
    certificate_url: str


def delivery_for(subscription: Subscription, sending: Sending, sign: Sign) -> Delivery:
    """Make what a subscription gets."""
    message = sending.message
    body, attributes = message.body_for(subscription.protocol), {}
    if subscription.protocol is Protocol.LAMBDA:
        text = _encode(_record(subscription, sending, sign))
    elif subscription.raw:
        text, attributes = body, dict(message.attributes) if message.by_protocol is None else {}
    else:
        text = _encode(_notification(subscription, sending, sign))
    return Delivery(
        text,
        attributes,
        group_id=message.group_id if subscription.protocol is Protocol.SQS else "",
        deduplication_id=sending.deduplication_id,
        trace_header=message.trace_header,
    )


def string_to_sign(sending: Sending, body: str) -> str:
    """Write what a signature is over.

    Source: https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
    """
    pairs = [("Message", body), ("MessageId", sending.message_id)]
    if sending.message.subject:
        pairs.append(("Subject", sending.message.subject))
    pairs += [("Timestamp", iso_milliseconds(sending.at)), ("TopicArn", sending.topic.arn), ("Type", TYPE)]
    return "".join(f"{name}\n{value}\n" for name, value in pairs)


def unsubscribe_url(endpoint: str, subscription: Subscription) -> str:
    """Write the URL whose visit ends a subscription."""
    return f"{endpoint}/?Action=Unsubscribe&SubscriptionArn={quote(subscription.arn, safe=':')}"


def _notification(subscription: Subscription, sending: Sending, sign: Sign) -> dict[str, Any]:
    message, version = sending.message, sending.topic.signature_version
    body = message.body_for(subscription.protocol)
    told: dict[str, Any] = {"Type": TYPE, "MessageId": sending.message_id}
    if sending.sequence_number:
        told["SequenceNumber"] = sending.sequence_number
    told["TopicArn"] = sending.topic.arn
    if message.subject:
        told["Subject"] = message.subject
    told |= {
        "Message": body,
        "Timestamp": iso_milliseconds(sending.at),
        "SignatureVersion": version,
        "Signature": sign(string_to_sign(sending, body), version),
        "SigningCertURL": sending.certificate_url,
        "UnsubscribeURL": unsubscribe_url(sending.endpoint, subscription),
    }
    if attributes := _attributes(message):
        told["MessageAttributes"] = attributes
    return told


def _record(subscription: Subscription, sending: Sending, sign: Sign) -> dict[str, Any]:
    message, version = sending.message, sending.topic.signature_version
    body = message.body_for(subscription.protocol)
    told = {
        "Type": TYPE,
        "MessageId": sending.message_id,
        "TopicArn": sending.topic.arn,
        # AWS: undocumented what stands there without a subject; public events have null.
        "Subject": message.subject or None,
        "Message": body,
        "Timestamp": iso_milliseconds(sending.at),
        "SignatureVersion": version,
        "Signature": sign(string_to_sign(sending, body), version),
        "SigningCertUrl": sending.certificate_url,
        "UnsubscribeUrl": unsubscribe_url(sending.endpoint, subscription),
        "MessageAttributes": _attributes(message),
    }
    record = {
        "EventSource": _SOURCE,
        "EventVersion": "1.0",
        "EventSubscriptionArn": subscription.arn,
        "Sns": told,
    }
    return {"Records": [record]}


def _attributes(message: Message) -> dict[str, Any]:
    """Attributes go along only with messages of one body.

    Source: https://docs.aws.amazon.com/sns/latest/dg/sns-message-attributes.html
    """
    if message.by_protocol is not None:
        return {}
    return {
        name: {"Type": attribute.data_type, "Value": _text(attribute)} for name, attribute in message.attributes.items()
    }


def _text(attribute: DeliveryAttribute) -> str:
    return b64encode(attribute.data).decode() if attribute.data is not None else attribute.text or ""


def _encode(value: Any) -> str:
    return msgspec.json.encode(value).decode()
