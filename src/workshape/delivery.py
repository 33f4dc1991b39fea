"""What is handed to a destination (a queue, a function, a topic, an event bus, a bucket), and how that went. A core.

Whoever has something to deliver makes a `Delivery` and calls a `Deliver`; `triggers/destinations.py` is the one that
knows how. It answers with a value, never with an exception: whether a failure is tried again is the sender's affair.
"""

import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from workshape.arn import Arn, parse_arn
from workshape.errors import Invalid

FIFO_SUFFIX = ".fifo"
FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no message of a queue may hold: characters that XML 1.0 does not allow.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
"""
_REPLACEMENT = "\ufffd"
_BUCKET_SERVICE = "s3"
_FUNCTION_PREFIX = "function:"
_BUS_PREFIX = "event-bus/"
_API_DESTINATION_PREFIX = "api-destination/"


class DestinationKind(StrEnum):
    """What a destination is."""

    QUEUE = "SQS queue"
    FUNCTION = "Lambda function"
    TOPIC = "SNS topic"
    BUS = "EventBridge event bus"
    API_DESTINATION = "EventBridge API destination"
    BUCKET = "S3 bucket"


_KINDS = {
    "sqs": DestinationKind.QUEUE,
    "lambda": DestinationKind.FUNCTION,
    "sns": DestinationKind.TOPIC,
    "events": DestinationKind.BUS,
    _BUCKET_SERVICE: DestinationKind.BUCKET,
}
_FORMS = {
    DestinationKind.QUEUE: "arn:aws:sqs:REGION:ACCOUNT:NAME",
    DestinationKind.FUNCTION: "arn:aws:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER]",
    DestinationKind.TOPIC: "arn:aws:sns:REGION:ACCOUNT:NAME",
    DestinationKind.BUS: "arn:aws:events:REGION:ACCOUNT:event-bus/NAME",
    DestinationKind.API_DESTINATION: "arn:aws:events:REGION:ACCOUNT:api-destination/NAME/ID",
    DestinationKind.BUCKET: "arn:aws:s3:::NAME",
}


class DestinationRefused(Invalid):
    """The destination {arn} is invalid: {why}. Possible here: {possible}."""

    arn: str
    why: str
    possible: str


@dataclass(frozen=True, slots=True)
class Destination:
    """A destination's ARN, taken apart."""

    kind: DestinationKind
    arn: str
    name: str
    qualifier: str | None = None
    """Of functions: a version or an alias."""

    @property
    def is_fifo(self) -> bool:
        """Tell whether it keeps an order, and so wants a message group."""
        return self.kind in (DestinationKind.QUEUE, DestinationKind.TOPIC) and self.name.endswith(FIFO_SUFFIX)


@dataclass(frozen=True, slots=True)
class DeliveryAttribute:
    """A typed value beside the body, for queues and topics: exactly one of the two values is set."""

    data_type: str
    """`String`, `Number` or `Binary`."""
    text: str | None = None
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class BusEnvelope:
    """What an event bus wants to know beside the body, which is the event's detail."""

    source: str
    detail_type: str
    resources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delivery:
    """A body on its way to a destination. Each kind of destination takes what means something to it."""

    body: str
    """JSON for functions and buses."""
    attributes: Mapping[str, DeliveryAttribute] = field(default_factory=dict)
    """For queues and topics."""
    group_id: str = ""
    deduplication_id: str = ""
    """Both for FIFO queues and topics."""
    subject: str = ""
    """For topics."""
    envelope: BusEnvelope | None = None
    """For buses, which take nothing without."""
    object_key: str = ""
    """For buckets, which take nothing without."""
    trace_header: str = ""
    """X-Ray's."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """It is there, and as durable as the destination is."""


@dataclass(frozen=True, slots=True)
class Undelivered:
    """It is not there."""

    code: str
    """AWS's error code: `ResourceNotFoundException`, `QueueDoesNotExist`."""
    message: str
    retryable: bool
    """False: the same delivery would fail again."""
    status: int = 400
    """The HTTP status that goes with the code."""
    retry_after_s: float = 0.0
    """How long the destination wants to be left alone."""


DeliveryOutcome = Delivered | Undelivered
Deliver = Callable[[str, Delivery], Awaitable[DeliveryOutcome]]
"""Takes the destination's ARN; does not raise."""


def text_attribute(text: str) -> DeliveryAttribute:
    """Make an attribute of the type String. Characters that no queue takes are replaced."""
    return DeliveryAttribute("String", FORBIDDEN.sub(_REPLACEMENT, text))


def parse_destination(
    arn: str,
    *,
    region: str,
    account: str,
    kinds: Collection[DestinationKind] = tuple(DestinationKind),
    fifo: bool = True,
) -> Destination:
    """Read a destination's ARN; `kinds` and `fifo` say what the sender may send to.

    Raises:
        DestinationRefused: it is none, of another kind, or of another region or account.
    """

    def refused(why: str) -> DestinationRefused:
        possible = ", ".join(_FORMS[kind] for kind in DestinationKind if kind in kinds)
        return DestinationRefused(arn=arn, why=why, possible=possible)

    try:
        parts = parse_arn(arn)
    except Invalid:
        raise refused("it is not an ARN") from None
    kind = _kind(parts)
    if kind is None or kind not in kinds:
        raise refused(f"{parts.service} is no destination for this")
    owner = ("", "") if kind is DestinationKind.BUCKET else (region, account)
    if (parts.region, parts.account) != owner:
        raise refused(f"it is not of the region {region} and the account {account}")
    destination = _named(kind, arn, parts)
    if not destination.name:
        raise refused(f"it does not name a {kind}")
    if destination.is_fifo and not fifo:
        raise refused("FIFO queues and FIFO topics are no destinations for this")
    return destination


def _kind(parts: Arn) -> DestinationKind | None:
    kind = _KINDS.get(parts.service)
    is_api_destination = kind is DestinationKind.BUS and parts.resource.startswith(_API_DESTINATION_PREFIX)
    return DestinationKind.API_DESTINATION if is_api_destination else kind


def _named(kind: DestinationKind, arn: str, parts: Arn) -> Destination:
    resource = parts.resource
    if kind is DestinationKind.FUNCTION:
        name, _, qualifier = resource.removeprefix(_FUNCTION_PREFIX).partition(":")
        found = name if resource.startswith(_FUNCTION_PREFIX) else ""
        return Destination(kind, arn, found, qualifier or None)
    if kind is DestinationKind.BUS:
        return Destination(kind, arn, resource[len(_BUS_PREFIX) :] if resource.startswith(_BUS_PREFIX) else "")
    if kind is DestinationKind.API_DESTINATION:
        name, _, key = resource.removeprefix(_API_DESTINATION_PREFIX).partition("/")
        return Destination(kind, arn, name if key and "/" not in key else "")
    return Destination(kind, arn, "" if ":" in resource or "/" in resource else resource)
