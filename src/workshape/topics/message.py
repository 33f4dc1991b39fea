"""What may be published, and how its size counts. A core.

Source: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
Source: https://docs.aws.amazon.com/sns/latest/dg/sns-message-attributes.html
"""

import hashlib
import re
from typing import Any

import msgspec

from workshape.delivery import DeliveryAttribute
from workshape.topics.model import MESSAGE_BYTES_DEFAULT, SUBJECT_CHARACTERS_MAX, InvalidParameter, Message, Topic

STRUCTURE = "json"
DEFAULT_KEY = "default"
ARRAY = "String.Array"
_TYPES = ("String", ARRAY, "Number", "Binary")
_TOKEN = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}")
_ATTRIBUTE_NAME = re.compile(r"(?!(?i:aws|amazon)\.)(?=.{1,256}$)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def read_structure(message: str) -> tuple[str, dict[str, str]]:
    """Read a message of the structure `json`: the default body, and those of protocols by name.

    Raises:
        InvalidParameter: it is no JSON object, or has no default body.
    """
    try:
        decoded = msgspec.json.decode(message, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        reason = "JSON message body failed to parse"
        raise InvalidParameter(parameter="Message Structure", reason=reason) from error
    default = decoded.get(DEFAULT_KEY)
    if not isinstance(default, str):
        reason = "No default entry in JSON message body"
        raise InvalidParameter(parameter="Message Structure", reason=reason)
    return default, {name: body for name, body in decoded.items() if isinstance(body, str) and name != DEFAULT_KEY}


def check_message(message: Message, topic: Topic) -> None:
    """Refuse what SNS would refuse of a message for that topic.

    Raises:
        InvalidParameter: says what.
    """
    if not message.body and not message.by_protocol:
        raise InvalidParameter(parameter="Message", reason="Empty message")
    if len(message.subject) > SUBJECT_CHARACTERS_MAX or _CONTROL.search(message.subject):
        reason = f"at most {SUBJECT_CHARACTERS_MAX} characters, no line breaks or control characters"
        raise InvalidParameter(parameter="Subject", reason=reason)
    for name, attribute in message.attributes.items():
        _check_attribute(name, attribute)
    bytes_max = topic.message_bytes_max or MESSAGE_BYTES_DEFAULT
    if size_bytes(message) > bytes_max:
        raise InvalidParameter(parameter="Message", reason="Message too long")
    for parameter, value in (
        ("MessageGroupId", message.group_id),
        ("MessageDeduplicationId", message.deduplication_id),
    ):
        if value and not _TOKEN.fullmatch(value):
            reason = "1 to 128 letters, digits and punctuation"
            raise InvalidParameter(parameter=parameter, reason=reason)
    _check_order(message, topic)


def size_bytes(message: Message) -> int:
    """Size as the limit counts it: the bodies, and each attribute's name, type and value."""
    total = sum(len(body.encode()) for body in (message.body, *(message.by_protocol or {}).values()))
    for name, attribute in message.attributes.items():
        value = attribute.data if attribute.data is not None else (attribute.text or "").encode()
        total += len(name.encode()) + len(attribute.data_type) + len(value)
    return total


def deduplication_id(message: Message) -> str:
    """The id given, or the SHA-256 of the body. Source: https://docs.aws.amazon.com/sns/latest/dg/fifo-message-dedup.html"""
    return message.deduplication_id or hashlib.sha256(message.body.encode()).hexdigest()


def _check_order(message: Message, topic: Topic) -> None:
    if not topic.is_fifo:
        if message.deduplication_id:
            reason = "The request includes MessageDeduplicationId parameter that is not valid for this topic type"
            raise InvalidParameter(parameter="MessageDeduplicationId", reason=reason)
        return
    if not message.group_id:
        raise InvalidParameter(
            parameter="MessageGroupId", reason="The MessageGroupId parameter is required for FIFO topics"
        )
    if not message.deduplication_id and not topic.content_based_deduplication:
        reason = "The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided"
        raise InvalidParameter(parameter="MessageDeduplicationId", reason=reason)


def _check_attribute(name: str, attribute: DeliveryAttribute) -> None:
    # AWS: the rules are documented, of the words only some are known.
    if not _ATTRIBUTE_NAME.fullmatch(name):
        reason = (
            f"The message attribute name '{name}' must be 1 to 256 of A-Z a-z 0-9 _ - . without a period at either end "
            "or two in a row, and must not start with AWS. or Amazon."
        )
        raise InvalidParameter(parameter="MessageAttributes", reason=reason)
    kind = attribute.data_type.partition(".")[0]
    if kind not in _TYPES:
        reason = (
            f"The message attribute '{name}' has an invalid message attribute type: it is one of {', '.join(_TYPES)}"
        )
        raise InvalidParameter(parameter="MessageAttributes", reason=reason)
    if (kind == "Binary") != (attribute.data is not None):
        reason = f"The message attribute '{name}' with type '{attribute.data_type}' must use the field of that type"
        raise InvalidParameter(parameter="MessageAttributes", reason=reason)
    if not (attribute.data or attribute.text):
        reason = f"The message attribute '{name}' must contain non-empty message attribute value"
        raise InvalidParameter(parameter="MessageAttributes", reason=reason)
    if kind == "Number" and not _NUMBER.fullmatch(attribute.text or ""):
        reason = f"Could not cast message attribute '{name}' value to number"
        raise InvalidParameter(parameter="MessageAttributes", reason=reason)
