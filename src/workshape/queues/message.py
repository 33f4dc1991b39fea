"""What a message may hold, how its size counts, and its MD5 digests: all before it enters a queue.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html
"""

import hashlib
import re
import struct
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from workshape.delivery import FORBIDDEN
from workshape.errors import Invalid
from workshape.queues.limits import (
    ATTEMPT_ID_CHARACTERS_MAX,
    ATTRIBUTE_NAME_CHARACTERS_MAX,
    ATTRIBUTE_TYPE_CHARACTERS_MAX,
    DEDUPLICATION_ID_CHARACTERS_MAX,
    DELAY_S_MAX,
    GROUP_ID_CHARACTERS_MAX,
    MESSAGE_ATTRIBUTES_MAX,
)
from workshape.queues.model import (
    InvalidMessage,
    InvalidMessageContents,
    InvalidParameter,
    MessageAttribute,
    MessageNumber,
    MissingParameter,
    NewMessage,
    QueueAttributes,
)

TRACE_HEADER = "AWSTraceHeader"

_ATTRIBUTE_NAME = re.compile(r"[A-Za-z0-9_\-.]+")
_RESERVED_PREFIXES = ("aws.", "amazon.")
_ID = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]+")
_SEQUENCE_START = 10**19
"""Sequence numbers have 20 digits, so that they sort as text too."""
_TRANSPORT_STRING = b"\x01"
_TRANSPORT_BINARY = b"\x02"
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NUMBER_DIGITS_MAX = 38
_NUMBER_EXPONENT_MIN = -128
_NUMBER_EXPONENT_MAX = 126


def check_message(message: NewMessage, queue: QueueAttributes) -> None:
    """Refuse what SQS would refuse.

    Raises:
        InvalidMessageContents: a character that XML 1.0 does not allow.
        InvalidMessage, InvalidParameter, MissingParameter: empty, too large, badly described, or not for this kind of
            queue.
    """
    if not message.body:
        raise InvalidParameter(value="", parameter="MessageBody", reason="The message body must not be empty.")
    _check_characters(message.body)
    if message.delay_s is not None and not 0 <= message.delay_s <= DELAY_S_MAX:
        reason = f"DelaySeconds must be >= 0 and <= {DELAY_S_MAX}."
        raise InvalidParameter(value=message.delay_s, parameter="DelaySeconds", reason=reason)
    if queue.fifo:
        _check_for_fifo(message, queue)
    elif message.deduplication_id:
        raise _not_for_this_queue("MessageDeduplicationId", message.deduplication_id)
    if message.group_id:
        check_id("MessageGroupId", message.group_id, GROUP_ID_CHARACTERS_MAX)
    if message.attributes:
        _check_attributes(message.attributes)
    if message.trace_header:
        _check_characters(message.trace_header)
    bytes_max = queue.message_bytes_max
    if (message.attributes or len(message.body) * 4 > bytes_max) and size_bytes(message) > bytes_max:
        raise InvalidMessage(reason=f"Message must be shorter than {bytes_max} bytes.")


def check_attempt(attempt_id: str, queue: QueueAttributes) -> None:
    """Refuse the name of an attempt to receive that SQS would refuse.

    Raises:
        InvalidParameter: it is badly formed, or the queue is a standard queue.
    """
    if not attempt_id:
        return
    if not queue.fifo:
        raise _not_for_this_queue("ReceiveRequestAttemptId", attempt_id)
    check_id("ReceiveRequestAttemptId", attempt_id, ATTEMPT_ID_CHARACTERS_MAX)


def check_id(parameter: str, value: str, characters_max: int) -> None:
    """Refuse an id that is too long, or has other characters than letters, digits and punctuation.

    Raises:
        InvalidParameter: it is.
    """
    if not _ID.fullmatch(value) or len(value) > characters_max:
        # AWS: undocumented; we chose the words.
        reason = (
            f"{parameter} can only include alphanumeric and punctuation characters. 1 to {characters_max} in length."
        )
        raise InvalidParameter(value=value, parameter=parameter, reason=reason)


def sequence_number(number: MessageNumber) -> str:
    """Write a message's place in its FIFO queue: it grows with every message, though not by one."""
    return str(_SEQUENCE_START + number)


def size_bytes(message: NewMessage) -> int:
    """Size as the limits count it: body, and each attribute's name, type and value. Not the system attributes."""
    total = len(_utf8(message.body))
    for name, attribute in message.attributes.items():
        total += len(_utf8(name)) + len(_utf8(attribute.data_type)) + len(_value_bytes(attribute))
    return total


def md5_of_text(text: str) -> str:
    """Digest a body."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def md5_of_attributes(attributes: Mapping[str, MessageAttribute]) -> str:
    """Digest attributes as SQS's clients check them; empty when there are none.

    By name in ascending order: length and UTF-8 of the name, of the data type, one byte for the transport type,
    length and bytes of the value. Lengths are four bytes, big-endian.

    Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html
    (Calculating the MD5 message digest for message attributes)
    """
    if not attributes:
        return ""
    digest = hashlib.md5(usedforsecurity=False)
    for name in sorted(attributes):
        attribute = attributes[name]
        digest.update(_with_length(name.encode()))
        digest.update(_with_length(attribute.data_type.encode()))
        digest.update(_TRANSPORT_BINARY if attribute.binary_value is not None else _TRANSPORT_STRING)
        digest.update(_with_length(_value_bytes(attribute)))
    return digest.hexdigest()


def md5_of_system_attributes(trace_header: str) -> str:
    """Digest the one system attribute a sender may set; empty when it is not."""
    if not trace_header:
        return ""
    return md5_of_attributes({TRACE_HEADER: MessageAttribute("String", string_value=trace_header)})


def _check_for_fifo(message: NewMessage, queue: QueueAttributes) -> None:
    if not message.group_id:
        raise MissingParameter(parameter="MessageGroupId")
    if message.delay_s:
        raise _not_for_this_queue("DelaySeconds", message.delay_s)
    if message.deduplication_id:
        check_id("MessageDeduplicationId", message.deduplication_id, DEDUPLICATION_ID_CHARACTERS_MAX)
    elif not queue.content_based_deduplication:
        # Source: https://github.com/http4k/http4k/pull/1336 (AWS's own answer, quoted)
        either = "The queue should either have ContentBasedDeduplication enabled"
        raise Invalid(reason=f"{either} or MessageDeduplicationId provided explicitly")


def _not_for_this_queue(parameter: str, value: object) -> InvalidParameter:
    # AWS: undocumented; we chose the words.
    reason = "The request includes a parameter that is not valid for this queue type."
    return InvalidParameter(value=value, parameter=parameter, reason=reason)


def _check_characters(text: str) -> None:
    if found := FORBIDDEN.search(text):
        raise InvalidMessageContents(reason=f"#x{ord(found[0]):X} at character {found.start()}")


def _check_attributes(attributes: Mapping[str, MessageAttribute]) -> None:
    if len(attributes) > MESSAGE_ATTRIBUTES_MAX:
        reason = f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum"
        raise InvalidMessage(reason=f"{reason} [{MESSAGE_ATTRIBUTES_MAX}].")
    for name, attribute in attributes.items():
        _check_attribute_name(name)
        _check_attribute_type(name, attribute)
        _check_attribute_value(name, attribute)


def _check_attribute_name(name: str) -> None:
    well_formed = (
        _ATTRIBUTE_NAME.fullmatch(name)
        and len(name) <= ATTRIBUTE_NAME_CHARACTERS_MAX
        and not name.startswith(".")
        and not name.endswith(".")
        and ".." not in name
        and not name.lower().startswith(_RESERVED_PREFIXES)
    )
    if not well_formed:
        reason = (
            f"The message attribute name '{name}' must be 1 to {ATTRIBUTE_NAME_CHARACTERS_MAX} of A-Z a-z 0-9 _ - . "
            "without a period at either end or two in a row, and must not start with AWS. or Amazon."
        )
        raise InvalidMessage(reason=reason)


def _check_attribute_type(name: str, attribute: MessageAttribute) -> None:
    _check_characters(attribute.data_type)
    kind = attribute.data_type.partition(".")[0]
    if kind not in ("String", "Number", "Binary") or len(attribute.data_type) > ATTRIBUTE_TYPE_CHARACTERS_MAX:
        reason = (
            f"The message attribute '{name}' has an invalid message attribute type, the set of supported type "
            "prefixes is Binary, Number, and String."
        )
        raise InvalidMessage(reason=reason)
    if (kind == "Binary") != (attribute.binary_value is not None):
        reason = f"The message attribute '{name}' with type '{kind}' must use field '{_field(kind)}'."
        raise InvalidMessage(reason=reason)


def _check_attribute_value(name: str, attribute: MessageAttribute) -> None:
    if not _value_bytes(attribute):
        raise InvalidMessage(reason=f"The message attribute '{name}' must contain a non-empty value.")
    if attribute.string_value is not None:
        _check_characters(attribute.string_value)
        if attribute.data_type.partition(".")[0] == "Number" and not _is_number(attribute.string_value):
            raise InvalidMessage(reason=f"Can't cast the value of message attribute '{name}' to a number.")


def _is_number(text: str) -> bool:
    """Up to 38 digits of precision, between 10^-128 and 10^+126 in size."""
    if not _NUMBER.fullmatch(text):
        return False
    try:
        number = Decimal(text)
    except InvalidOperation:  # its exponent has too many digits
        return False
    digits = "".join(map(str, number.as_tuple().digits)).strip("0")
    in_range = not number or _NUMBER_EXPONENT_MIN <= number.adjusted() <= _NUMBER_EXPONENT_MAX
    return in_range and len(digits) <= _NUMBER_DIGITS_MAX


def _field(kind: str) -> str:
    return "BinaryValue" if kind == "Binary" else "StringValue"


def _value_bytes(attribute: MessageAttribute) -> bytes:
    if attribute.binary_value is not None:
        return attribute.binary_value
    return _utf8(attribute.string_value or "")


def _utf8(text: str) -> bytes:
    """Lone surrogates are refused, but their size is asked for before."""
    return text.encode("utf-8", "surrogatepass")


def _with_length(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data
